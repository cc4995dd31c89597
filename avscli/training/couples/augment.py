"""Augmentation that keeps picture, mask and sound consistent.

Pictures are [H, W, 3] uint8 RGB, index masks [H, W] uint8, waveforms float32 at 16 kHz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.datasets.avsmix import loudest_window
from avscli.datatypes import SAMPLE_RATE_HZ, VOID, WINDOW_SAMPLES

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

_PASTED_SHARES = (0.1, 0.85)  # least and largest, of the picture's sides
REFERENCE_DBFS = -26.0  # speech level most recordings are brought to before the random gain


def random_crop(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], size_hw: tuple[int, int], rng: Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crop 35–100 % of the area at an aspect of 3:5 to 5:3 of the output's, flip, resize.

    A crop that loses more than two thirds of the labelled pixels is replaced by the whole
    picture, so that samples keep their object.
    """
    H, W = mask.shape
    share = rng.uniform(0.35, 1.0)
    aspect = np.exp(rng.uniform(np.log(0.6), np.log(1.67))) * size_hw[1] / size_hw[0]
    h = min(H, round(np.sqrt(share * H * W / aspect)))
    w = min(W, round(np.sqrt(share * H * W * aspect)))
    top, left = rng.integers(0, H - h + 1), rng.integers(0, W - w + 1)
    window = (slice(top, top + h), slice(left, left + w))
    labelled = (mask > 0) & (mask != VOID)
    if labelled[window].sum() * 3 < labelled.sum():
        window = (slice(0, H), slice(0, W))
    image, mask = image[window], mask[window]
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    wh = (size_hw[1], size_hw[0])
    area = cv2.INTER_AREA if image.shape[0] > size_hw[0] else cv2.INTER_LINEAR
    return (
        cv2.resize(np.ascontiguousarray(image), wh, interpolation=area).astype(np.uint8),
        cv2.resize(np.ascontiguousarray(mask), wh, interpolation=cv2.INTER_NEAREST).astype(
            np.uint8
        ),
    )


def paste_object(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    donor: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    index: int,
    rng: Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put all that a donor shows of one class onto a picture: anywhere, flipped or not, softly cut.

    Its longer side takes 10 to 85 % of the picture's there, half of the time less than 29 %.

    Args:
        image, mask: of the picture, [H, W, 3] and [H, W]; not changed.
        donor: image and mask of another one, of any size.
        index: of the class in the donor's mask; at least one pixel has it.

    Returns:
        image and mask, of the same sizes; the object's edges are blended, but not beyond its box.

    Source: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation", arXiv 2012.07177, with smoothed edges.
    """
    H, W = mask.shape
    shown = donor[1] == index
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    pixels, opaque = donor[0][box], shown[box].astype(np.float32)
    if rng.random() < 0.5:
        pixels, opaque = pixels[:, ::-1], opaque[:, ::-1]
    share = np.exp(rng.uniform(*np.log(_PASTED_SHARES)))
    scale = share * min(H / opaque.shape[0], W / opaque.shape[1])
    h, w = (max(1, round(scale * side)) for side in opaque.shape)
    area = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    small, cut = (
        cv2.resize(np.ascontiguousarray(plane), (w, h), interpolation=area)
        for plane in (pixels, opaque)
    )
    top, left = rng.integers(0, H - h + 1), rng.integers(0, W - w + 1)
    place = (slice(top, top + h), slice(left, left + w))
    image, mask = image.copy(), mask.copy()
    mask[place][cut >= 0.5] = index
    cut = cv2.GaussianBlur(cut, (0, 0), 0.8)[..., None]
    image[place] = (image[place] * (1.0 - cut) + small * cut).astype(np.uint8)
    return image, mask


def jitter_colours(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue a little; sometimes grey or blurred."""
    pixels = image.astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.6, 1.4)
    pixels = grey + (pixels - grey) * saturation
    pixels = (pixels - pixels.mean()) * rng.uniform(0.7, 1.3) + pixels.mean()
    pixels = pixels * rng.uniform(0.9, 1.1, 3) + rng.uniform(-25.0, 25.0)
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.5))
    jittered: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return jittered


def change_speed(samples: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Play 15 % slower to 18 % faster, pitch included; half of the calls change nothing."""
    if rng.random() < 0.5:
        return samples
    places = np.arange(0.0, len(samples) - 1, np.exp(rng.uniform(-0.165, 0.165)))
    return np.asarray(np.interp(places, np.arange(len(samples)), samples), np.float32)


def random_window(samples: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Cut 0.975 s near the loudest stretch, at the reference level.

    Sounds shorter than the window are placed anywhere in it.
    """
    if len(samples) <= WINDOW_SAMPLES:
        before = int(rng.integers(0, WINDOW_SAMPLES - len(samples) + 1))
        window = np.pad(samples, (before, WINDOW_SAMPLES - len(samples) - before))
    else:
        # A random stretch of at least 1.2 windows, and the loudest window within it.
        length = int(rng.integers(min(len(samples), WINDOW_SAMPLES * 6 // 5), len(samples) + 1))
        start = int(rng.integers(0, len(samples) - length + 1))
        window = loudest_window(samples[start : start + length])
    level = np.sqrt(np.mean(window.astype(np.float64) ** 2))
    if level < 1e-6:
        return window
    scaled: NDArray[np.float32] = (window * (10 ** (REFERENCE_DBFS / 20) / level)).astype(
        np.float32
    )
    return scaled


def in_a_room(window: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Add the echo of a random room: noise that falls by 60 dB in 0.08 to 0.6 s.

    It sets in 1 to 25 ms after the sound itself, 3 to 18 dB below it.
    """
    decay_seconds = rng.uniform(0.08, 0.6)
    seconds = np.arange(int(SAMPLE_RATE_HZ * rng.uniform(0.05, 0.5))) / SAMPLE_RATE_HZ
    echo = rng.standard_normal(len(seconds)) * 10 ** (-3.0 * seconds / decay_seconds)
    echo *= 10 ** (rng.uniform(-18.0, -3.0) / 20) / np.sqrt(np.sum(echo**2))
    delay = int(rng.integers(16, 400))
    response = np.concatenate(([1.0], np.zeros(delay - 1), echo))
    size = 1 << (len(window) + len(response)).bit_length()  # odd sizes take five times as long
    spectrum = np.fft.rfft(window, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(window)].astype(np.float32)


def disturb(window: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Apply gain (−16…+10 dB), sometimes a room, a band limit, coloured noise (−80…−40 dBFS)."""
    if rng.random() < 0.4:
        window = in_a_room(window, rng)
    window = window * np.float32(10 ** (rng.uniform(-16.0, 10.0) / 20))
    if rng.random() < 0.35:
        window = _band_limited(window, rng)
    if rng.random() < 0.5:
        noise = rng.standard_normal(len(window)).astype(np.float32)
        if rng.random() < 0.5:
            noise = _band_limited(noise, rng)
        window = window + noise * np.float32(10 ** (rng.uniform(-80.0, -40.0) / 20))
    return np.clip(window, -1.0, 1.0).astype(np.float32)


def _band_limited(window: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Keep one random band, tilted and with soft edges, as small speakers and phones do."""
    spectrum = np.fft.rfft(window)
    hertz = np.fft.rfftfreq(len(window), 1 / 16_000)
    low, high = rng.uniform(20.0, 400.0), rng.uniform(2500.0, 8000.0)
    gain = 1 / (1 + (low / np.maximum(hertz, 1.0)) ** 4) / (1 + (hertz / high) ** 8)
    gain *= (np.maximum(hertz, 50.0) / 1000.0) ** rng.uniform(-0.5, 0.5)  # up to 3 dB an octave
    return np.fft.irfft(spectrum * gain, len(window)).astype(np.float32)
