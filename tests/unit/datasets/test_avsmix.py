"""The avsmix reader, on a miniature copy written here and on the real tables when present."""

import csv
from pathlib import Path

import numpy as np
import pytest

from avscli.audio.windows import centred_windows
from avscli.datasets.avsmix import (
    AvsMix,
    centred_sound,
    load_pair,
    loudest_start,
    loudest_window,
)
from avscli.datatypes import WINDOW_SAMPLES, AudioTrack
from avscli.errors import DataError, ExitCode
from tests.miniatures import write_avsmix

AVSMIX = Path(__file__).parents[4] / "shared" / "data" / "avsmix"


def write_table(path: Path, *rows: dict[str, str]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    write_table(
        tmp_path / "classes.csv",
        {"index": "0", "name": "background"},
        {"index": "1", "name": "person"},
        {"index": "2", "name": "dog"},
    )
    write_table(
        tmp_path / "class_map.csv",
        {"audio_class": "bark", "visual_classes": "dog", "role": "positive"},
        {"audio_class": "siren", "visual_classes": "", "role": "ambiguous"},
    )
    write_table(
        tmp_path / "images.csv",
        {"image": "a.jpg", "mask": "a.png", "classes_in_mask": "person|dog", "split": "train"},
        {"image": "b.jpg", "mask": "b.png", "classes_in_mask": "dog", "split": "val"},
    )
    return tmp_path


def test_tables_are_read_by_split(miniature):
    data = AvsMix.open(miniature)
    assert data.ambiguous == {"siren"}
    (picture,) = data.pictures("train")
    assert picture.image == miniature / "a.jpg"
    assert picture.classes == {"person", "dog"}


def test_a_target_marks_the_sounding_classes_and_keeps_void(miniature):
    target = AvsMix.open(miniature).target(np.array([[0, 1, 2, 255]], np.uint8), frozenset({"dog"}))
    assert target.tolist() == [[0, 0, 1, 255]]


def test_a_folder_that_is_no_copy_is_a_data_error_with_a_hint(tmp_path):
    with pytest.raises(DataError, match=r"classes\.csv") as caught:
        AvsMix.open(tmp_path)
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.BAD_MEDIA


def test_a_missing_column_is_named(miniature):
    write_table(miniature / "images.csv", {"image": "a.jpg", "mask": "a.png", "split": "train"})
    with pytest.raises(DataError, match="classes_in_mask"):
        AvsMix.open(miniature).pictures("train")


def test_the_loudest_window_is_found_by_brute_force():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(WINDOW_SAMPLES + 400).astype(np.float32)
    samples[300:] *= 1.5
    energies = [np.sum(samples[k : k + WINDOW_SAMPLES] ** 2, dtype=np.float64) for k in range(401)]
    best = int(np.argmax(energies))
    assert np.array_equal(loudest_window(samples), samples[best : best + WINDOW_SAMPLES])


def test_a_short_sound_is_padded_with_silence():
    window = loudest_window(np.ones(10, np.float32))
    assert window.shape == (WINDOW_SAMPLES,)
    assert window.sum() == 10


def test_recordings_sound_together_where_each_is_loudest():
    rng = np.random.default_rng(0)
    long, short = (0.05 * rng.standard_normal(n).astype(np.float32) for n in (70_000, 9_000))
    long[40_000:41_000] *= 2.0
    sound = centred_sound([long, short])
    (window,) = centred_windows(sound, [0.0])
    np.testing.assert_array_equal(window, loudest_window(long) + loudest_window(short))
    (before,) = centred_windows(sound, [-1.0])
    start = loudest_start(long)
    np.testing.assert_array_equal(before, long[start - 16_000 :][:WINDOW_SAMPLES])


def test_no_recording_is_digital_silence():
    assert not centred_windows(centred_sound([]), [-1.0, 0.0]).any()


@pytest.mark.shared
@pytest.mark.skipif(not AVSMIX.is_dir(), reason="no copy of avsmix beside the project")
def test_real_pairs_fit_their_description():
    data = AvsMix.open(AVSMIX)
    pairs = data.pairs("test")
    assert len(pairs) == 1313
    for pair in pairs[::200]:
        clip = load_pair(data, pair)
        assert isinstance(clip.sound, AudioTrack)
        assert centred_windows(clip.sound, [0.0]).any() == (pair.kind != "silent")
        assert (clip.targets == 1).any() == bool(pair.sounding)


@pytest.mark.parametrize(
    "column",
    ["pair_id", "image", "mask", "audio", "audio2", "kind", "audio_class", "sounding_classes"],
)
def test_a_table_of_pairs_without_a_column_is_named(tmp_path: Path, column: str) -> None:
    mix = AvsMix.open(write_avsmix(tmp_path / "mix", num_pictures=1))
    table = mix.root / "pairs_test.csv"
    header, *rows = table.read_text().splitlines()
    named = ",".join("other" if name == column else name for name in header.split(","))
    table.write_text("\n".join([named, *rows, ""]))
    with pytest.raises(DataError, match=rf"pairs_test\.csv lacks the column '{column}'"):
        mix.pairs("test")
