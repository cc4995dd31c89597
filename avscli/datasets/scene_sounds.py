"""The synthesised sound of every kind of scene object, with a timbre of its own per seed.

Every synthesiser maps (generator, number of samples) to [N] float64 of any level; the first thing
it draws is the timbre, so the same generator state gives the same voice. Sounds made of separate
events begin with one at sample 0 and never pause for half a second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avscli.datatypes import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

Signal = NDArray[np.float64]

PEAK = 0.9
FADE_SAMPLES = SAMPLE_RATE_HZ // 100


def synthesise(kind: str, rng: Generator, *, num_samples: int, level_dbfs: float) -> Signal:
    """Sound one object of a kind, without pause.

    Args:
        kind: a key of `SYNTHESISERS`.
        rng: decides timbre, then melody and rhythm.
        num_samples: at 16 kHz.
        level_dbfs: RMS over the whole stretch, a full-scale square being 0; sparse sounds that
            would exceed a peak of 0.9 stay below it.

    Returns:
        [num_samples] float64, faded out over its last 10 ms.
    """
    signal = SYNTHESISERS[kind](rng, num_samples)
    fade = min(FADE_SAMPLES, num_samples)
    signal[num_samples - fade :] *= np.linspace(1.0, 0.0, fade)
    gain = 10 ** (level_dbfs / 20) / math.sqrt(np.mean(signal**2))
    return np.asarray(signal * min(gain, PEAK / np.abs(signal).max()))


def ambience(rng: Generator, *, num_samples: int, level_dbfs: float) -> Signal:
    """Return [num_samples] of steady noise, white to brown, with the given RMS in dBFS."""
    slope = rng.uniform(0.0, 1.0)
    return _noise(rng, num_samples, lambda hertz: np.maximum(hertz, 20.0) ** -slope) * (
        10 ** (level_dbfs / 20)
    )


def sound_bell(rng: Generator, num_samples: int) -> Signal:
    """Strike a bell: partials that are not harmonic, dying away at their own pace."""
    strike_hz, ring_seconds = rng.uniform(700, 1400), rng.uniform(0.5, 1.1)
    ratios = np.array([0.5, 1.0, 1.19, 1.56, 2.0, 2.66, 3.01, 4.17])
    ratios *= 1 + 0.015 * rng.standard_normal(len(ratios))
    loudness = np.array([0.5, 1.0, 0.7, 0.4, 0.6, 0.35, 0.25, 0.2]) * rng.uniform(0.6, 1.4, 8)
    t = _seconds(round(1.4 * ring_seconds * SAMPLE_RATE_HZ))
    strike = np.zeros(len(t))
    for ratio, loud in zip(ratios, loudness, strict=True):
        decay = np.exp(-t * (2.2 + 0.8 * ratio) / ring_seconds)
        strike += loud * decay * np.sin(2 * np.pi * strike_hz * ratio * t)
    onsets = _onsets(rng, num_samples, (0.34, 0.46))
    return _overlay(num_samples, onsets, [strike])


def sound_engine(rng: Generator, num_samples: int) -> Signal:
    """Run an engine: low pulses at the firing rate, rough and slowly revving."""
    firing_hz, hardness = rng.uniform(32, 75), rng.uniform(7, 14)
    t = _seconds(num_samples)
    rate = firing_hz * (
        1 + 0.12 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * t + rng.uniform(0, 6))
    )
    turns = np.cumsum(rate) / SAMPLE_RATE_HZ
    bang = np.exp(-hardness * np.mod(turns, 1)) * (1 + 0.35 * np.sin(np.pi * turns))
    hiss = _band_noise(rng, num_samples, (60, rng.uniform(500, 900)))
    return np.asarray((bang - bang.mean()) + 0.9 * hiss * (0.3 + bang))


def sound_bird(rng: Generator, num_samples: int) -> Signal:
    """Chirp: short high whistles that sweep up and down."""
    centre_hz = rng.uniform(3000, 4800)
    chirps = []
    for _ in range(3):
        t = _seconds(round(rng.uniform(0.05, 0.14) * SAMPLE_RATE_HZ))
        x = t / t[-1]
        sweep, trill = rng.uniform(-1400, 1400), rng.uniform(0, 500)
        hertz = centre_hz + rng.uniform(-500, 500) + sweep * (x - 0.5)
        hertz = hertz + trill * np.sin(2 * np.pi * rng.uniform(25, 60) * t)
        chirps.append(np.sin(np.pi * x) ** 0.7 * np.sin(_phase(hertz)))
    return _overlay(num_samples, _onsets(rng, num_samples, (0.1, 0.32)), chirps)


def sound_drum(rng: Generator, num_samples: int) -> Signal:
    """Beat a drum: a falling thump and the rattle of its skin."""
    low_hz, rattle = rng.uniform(90, 170), rng.uniform(0.15, 0.45)
    t = _seconds(round(0.3 * SAMPLE_RATE_HZ))
    thump = np.exp(-t * rng.uniform(9, 16)) * np.sin(_phase(low_hz * (1 + 1.2 * np.exp(-t * 30))))
    skin = _band_noise(rng, len(t), (300, 5000)) * np.exp(-t * rng.uniform(22, 40))
    beats = [thump + rattle * skin, 0.6 * thump + 1.2 * rattle * skin]
    beat_seconds = rng.uniform(0.18, 0.32)
    return _overlay(num_samples, _onsets(rng, num_samples, (beat_seconds, beat_seconds)), beats)


def sound_voice(rng: Generator, num_samples: int) -> Signal:
    """Babble: a buzzing source, its vowels shaped by three formants, syllable by syllable."""
    pitch_hz, tract = rng.uniform(95, 240), rng.uniform(0.9, 1.2)
    onsets = _onsets(rng, num_samples, (0.16, 0.3))
    t = _seconds(num_samples)
    tune = 1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * t) + 0.02 * np.sin(30 * t)
    turns = np.cumsum(pitch_hz * tune) / SAMPLE_RATE_HZ
    buzz = np.exp(-6 * np.mod(turns, 1)) + 0.02 * rng.standard_normal(num_samples)
    speech = np.zeros(num_samples)
    for start, end in zip(onsets, [*onsets[1:], num_samples], strict=True):
        vowel = _VOWELS_HZ[rng.integers(len(_VOWELS_HZ))] * tract
        off_centre = (_bins_hertz(end - start)[:, None] - vowel) / (60 + 0.06 * vowel)
        syllable = _filter(buzz[start:end], np.exp(-(off_centre**2)) @ _FORMANT_GAINS)
        swell = np.sin(np.pi * np.arange(end - start) / (end - start)) ** 0.6
        speech[start:end] = syllable * swell
    return speech


def sound_flute(rng: Generator, num_samples: int) -> Signal:
    """Play a tune on a flute: long, almost pure tones with vibrato and a little breath."""
    lowest_hz, breath = rng.uniform(480, 800), rng.uniform(0.01, 0.04)
    hertz = np.empty(num_samples)
    onsets = _onsets(rng, num_samples, (0.25, 0.6))
    for start, end in zip(onsets, [*onsets[1:], num_samples], strict=True):
        hertz[start:end] = lowest_hz * 2 ** (rng.choice([0, 2, 4, 7, 9]) / 12)
    t = _seconds(num_samples)
    vibrato = 2 * np.pi * rng.uniform(4.5, 6) * t
    tone = _harmonics(_phase(hertz * (1 + 0.006 * np.sin(vibrato))), [1.0, 0.22, 0.08])
    air = _band_noise(rng, num_samples, (1500, 6000))
    return np.asarray(tone * (1 + 0.12 * np.sin(vibrato)) + breath * air)


def sound_siren(rng: Generator, num_samples: int) -> Signal:
    """Wail: a piercing tone, rich in overtones, gliding up and down all the time."""
    low_hz, high_hz = rng.uniform(480, 700), rng.uniform(1150, 1600)
    t = _seconds(num_samples)
    glide = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1.1, 2.6) * t + rng.uniform(0, 6))
    phase = _phase(low_hz * (high_hz / low_hz) ** glide)
    return _harmonics(phase, [1.0, 0.35, 0.6, 0.2, 0.4])


def sound_clock(rng: Generator, num_samples: int) -> Signal:
    """Tick and tock: dry clicks a few milliseconds long, evenly spaced."""
    ticks = []
    t = _seconds(round(0.03 * SAMPLE_RATE_HZ))
    tone_hz = rng.uniform(1800, 3200)
    for ratio in (1.0, rng.uniform(0.75, 0.9)):
        click = np.sin(2 * np.pi * tone_hz * ratio * t) + 0.6 * np.sin(
            2 * np.pi * 2.3 * tone_hz * t
        )
        ticks.append((click + 0.8 * rng.standard_normal(len(t))) * np.exp(-t * 300))
    tick_seconds = rng.uniform(0.15, 0.35)
    return _overlay(num_samples, _onsets(rng, num_samples, (tick_seconds, tick_seconds)), ticks)


def sound_guitar(rng: Generator, num_samples: int) -> Signal:
    """Pluck strings: low harmonic tones, bright at the pluck and soon mellow."""
    open_hz, pluck = rng.uniform(110, 220), rng.uniform(0.12, 0.3)
    t = _seconds(round(0.6 * SAMPLE_RATE_HZ))
    notes = []
    for semitones in (0, rng.choice([3, 4, 5]), rng.choice([7, 12])):
        phase = 2 * np.pi * open_hz * 2 ** (semitones / 12) * t
        orders = np.arange(1, 11)
        bright = _harmonics(phase, list(np.sin(np.pi * pluck * orders) / orders))
        mellow = _harmonics(phase, [1.0, 0.5, 0.25])
        fading = np.exp(-t * 9)
        notes.append(np.exp(-t * 3) * (fading * bright + (1 - fading) * 0.35 * mellow))
    return _overlay(num_samples, _onsets(rng, num_samples, (0.2, 0.42)), notes)


_VOWELS_HZ = np.array(
    [[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]]
)
"""First three formants of five vowels: Peterson and Barney, JASA 1952, male speakers."""

_FORMANT_GAINS = np.array([1.0, 0.7, 0.4])

SYNTHESISERS: dict[str, Callable[[Generator, int], Signal]] = {
    "bell": sound_bell,
    "engine": sound_engine,
    "bird": sound_bird,
    "drum": sound_drum,
    "voice": sound_voice,
    "flute": sound_flute,
    "siren": sound_siren,
    "clock": sound_clock,
    "guitar": sound_guitar,
}


def _seconds(num_samples: int) -> Signal:
    return np.arange(num_samples) / SAMPLE_RATE_HZ


def _phase(hertz: Signal) -> Signal:
    return np.asarray(2 * np.pi / SAMPLE_RATE_HZ * np.cumsum(hertz))


def _harmonics(phase: Signal, amplitudes: Sequence[float]) -> Signal:
    """Sum a_k sin(k phase) with one sine: sin kx = 2 cos x sin (k−1)x − sin (k−2)x."""
    before, current, twice_cos = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    total = amplitudes[0] * current
    for amplitude in amplitudes[1:]:
        before, current = current, twice_cos * current - before
        total += amplitude * current
    return total


def _band_noise(rng: Generator, num_samples: int, band_hz: tuple[float, float]) -> Signal:
    """White noise between two frequencies, RMS 1."""
    low, high = band_hz
    return _noise(rng, num_samples, lambda hz: np.where((hz >= low) & (hz <= high), 1.0, 0.0))


def _noise(rng: Generator, num_samples: int, gain: Callable[[Signal], Signal]) -> Signal:
    """Noise with the given gain over frequency in hertz, RMS 1."""
    hertz = _bins_hertz(num_samples)
    noise = _filter(rng.standard_normal(num_samples), gain(hertz))
    return np.asarray(noise / math.sqrt(np.mean(noise**2)))


def _bins_hertz(num_samples: int) -> Signal:
    """Frequencies of the bins that `_filter` uses: a power of two, because others can be slow."""
    size = max(2, 1 << (num_samples - 1).bit_length())  # of a single sample, too
    return np.asarray(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), np.float64)


def _filter(signal: Signal, gains: Signal) -> Signal:
    """Multiply the spectrum at `_bins_hertz` with gains."""
    size = 2 * (len(gains) - 1)
    return np.fft.irfft(np.fft.rfft(signal, size) * gains, size)[: len(signal)]


def _onsets(rng: Generator, num_samples: int, gap_seconds: tuple[float, float]) -> list[int]:
    """Sample indices of events, the first one 0, with gaps drawn from the range."""
    most = math.ceil(num_samples / (gap_seconds[0] * SAMPLE_RATE_HZ))
    gaps = (rng.uniform(*gap_seconds, most) * SAMPLE_RATE_HZ).astype(int)
    onsets = np.concatenate([[0], np.cumsum(gaps)])
    return [int(onset) for onset in onsets if onset < num_samples]


def _overlay(num_samples: int, onsets: Sequence[int], events: Sequence[Signal]) -> Signal:
    """Lay the events over each other in turn, one per onset."""
    signal = np.zeros(num_samples)
    for i, onset in enumerate(onsets):
        event = events[i % len(events)][: num_samples - onset]
        signal[onset : onset + len(event)] += event
    return signal
