"""Pictures, palette masks and sound files, read back against what was written."""

import wave

import cv2
import numpy as np
import pytest

from avscli.errors import MediaError
from avscli.media.stills import read_indices, read_picture, read_waveform, resize_picture
from tests.pngs import write_png


@pytest.mark.parametrize("width", [1, 7, 64, 319])
def test_palette_indices_come_back_whatever_their_colours(tmp_path, width):
    indices = np.random.default_rng(1).integers(0, 256, (5, width), dtype=np.uint8)
    colours = np.random.default_rng(0).integers(0, 256, (256, 3))
    write_png(tmp_path / "mask.png", indices, palette=colours)
    assert np.array_equal(read_indices(tmp_path / "mask.png"), indices)


def test_grey_values_count_as_indices(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (9, 33), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), grey)
    assert np.array_equal(read_indices(tmp_path / "mask.png"), grey)


def test_a_colour_picture_is_no_mask(tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(MediaError, match=r"x\.png is coloured"):
        read_indices(tmp_path / "x.png")


def test_a_picture_comes_back_as_rgb(tmp_path):
    rgb = np.random.default_rng(2).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), rgb[:, :, ::-1])
    assert np.array_equal(read_picture(tmp_path / "x.png"), rgb)


def test_resizing_averages_areas():
    squares = np.kron(np.array([[0, 200], [100, 40]], np.uint8), np.ones((32, 32), np.uint8))
    picture = np.repeat(squares[..., None], 3, axis=2)
    small = resize_picture(picture, (32, 32))
    assert small.shape == (32, 32, 3)
    assert np.abs(small[8, 8].astype(int) - 0).max() <= 1
    assert np.abs(small[8, 24].astype(int) - 200).max() <= 1
    assert np.abs(small[24, 24].astype(int) - 40).max() <= 1


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 2), (44_100, 2)])
def test_a_tone_comes_back_at_16_khz_mono(tmp_path, rate, channels):
    time = np.arange(rate) / rate
    tone = np.rint(12_000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(tone[:, None], channels, axis=1).tobytes())
    samples = read_waveform(tmp_path / "tone.wav")
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16_000) <= 32
    expected = 12_000 / 32_768 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 16_000)
    assert np.abs(samples[200:8_000] - expected[200:]).max() < 0.01


@pytest.mark.parametrize("read", [read_picture, read_indices, read_waveform])
def test_what_is_missing_or_no_media_is_a_media_error_that_names_it(tmp_path, read):
    with pytest.raises(MediaError, match=r"absent\.png"):
        read(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError, match=r"text\.png"):
        read(tmp_path / "text.png")
