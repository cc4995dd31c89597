"""Synthesised footsteps, hits and thuds: sounds that people make and that recordings lack.

avsmix knows people by their voices alone. These windows add what bodies do to floors, balls and
bars: short dry events in a room, now and then with the squeak of a shoe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

_SQUEAK_SHARE = 0.2
_MOST_EVENTS = 5


def footsteps_and_hits(rng: Generator) -> NDArray[np.float32]:
    """Return [15600] float32 of one to five impacts in a room, RMS 0.05 (−26 dBFS)."""
    dry = np.zeros(WINDOW_SAMPLES)
    strike = _impact(rng)
    onset, gap = int(rng.integers(0, WINDOW_SAMPLES // 2)), rng.uniform(0.12, 0.7)
    for _ in range(rng.integers(1, _MOST_EVENTS + 1)):
        if rng.random() < 0.3:  # a hit among the steps
            strike = _impact(rng)
        _add(dry, strike * rng.uniform(0.4, 1.0), onset)
        onset += int(gap * rng.uniform(0.75, 1.3) * SAMPLE_RATE_HZ)
    if rng.random() < _SQUEAK_SHARE:
        _add(dry, 0.5 * _squeak(rng), int(rng.integers(0, WINDOW_SAMPLES)))
    wet = dry + rng.uniform(0.0, 0.8) * _in_a_room(dry, rng)
    wet += _hum(rng) * 10 ** (rng.uniform(-50.0, -18.0) / 20) * np.abs(wet).max()
    return np.asarray(wet * (0.05 / np.sqrt(np.mean(wet**2))), np.float32)


def _impact(rng: Generator) -> NDArray[np.float64]:
    """A thump, a knock of a few resonances, and the click of the contact, peak 1."""
    t = np.arange(SAMPLE_RATE_HZ // 3) / SAMPLE_RATE_HZ
    thump = np.sin(2 * np.pi * rng.uniform(50, 160) * t) * np.exp(-t * rng.uniform(20, 70))
    knock = sum(
        rng.uniform(0.2, 1.0)
        * np.sin(2 * np.pi * np.exp(rng.uniform(np.log(180), np.log(3000))) * t)
        * np.exp(-t * rng.uniform(40, 250))
        for _ in range(rng.integers(1, 5))
    )
    click = rng.standard_normal(len(t)) * np.exp(-t * rng.uniform(60, 900))
    mixed = rng.uniform(0, 1.2) * thump + rng.uniform(0, 1) * knock + rng.uniform(0.2, 1) * click
    return np.asarray(mixed / np.abs(mixed).max())


def _squeak(rng: Generator) -> NDArray[np.float64]:
    """Rubber on a floor: a short high tone that slides."""
    t = np.arange(int(rng.uniform(0.05, 0.2) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    hertz = rng.uniform(1200, 3500) * (1 + rng.uniform(-0.3, 0.3) * t / t[-1])
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE_HZ
    tone = np.sin(phase) + 0.4 * np.sin(2 * phase)
    return np.asarray(tone * np.sin(np.pi * t / t[-1]))


def _in_a_room(dry: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Return the reverberation alone: noise that fades by 60 dB within 0.15 to 1.5 s."""
    t = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / rng.uniform(0.15, 1.5))
    size = 2 * WINDOW_SAMPLES
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail, size), size)[:WINDOW_SAMPLES]
    return np.asarray(wet * np.abs(dry).max() / max(np.abs(wet).max(), 1e-9))


def _hum(rng: Generator) -> NDArray[np.float64]:
    """Room noise between white and brown, RMS 1."""
    hertz = np.maximum(np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ), 30.0)
    spectrum = np.fft.rfft(rng.standard_normal(WINDOW_SAMPLES)) * hertz ** -rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, WINDOW_SAMPLES)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def _add(track: NDArray[np.float64], event: NDArray[np.float64], onset: int) -> None:
    stop = min(len(track), onset + len(event))
    if onset < stop:
        track[onset:stop] += event[: stop - onset]
