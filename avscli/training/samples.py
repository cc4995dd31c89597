"""Endless training samples: composites of avsmix, and generated scenes.

A sample is one frame with one 0.975 s window. Samples come in couples that share the picture
and differ in the sound, so that a batch always shows what the sound decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from avscli.datasets.avsmix import AvsMix, Picture, Sound, by_class
from avscli.datasets.scenes import TRAIN_SEEDS, sample_scene_couple
from avscli.datatypes import WINDOW_SAMPLES
from avscli.media.stills import read_indices, read_picture, read_waveform
from avscli.training.augment import disturb, jitter_colours, random_crop, random_window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

_SOUND_KINDS = ("matching", "mismatching", "ambient", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training sample.

    Attributes:
        image: [h, w, 3] uint8 RGB.
        window: [15600] float32 sound at 16 kHz.
        target: [h, w] uint8: 1 sounds, 0 does not, 255 void.
        sounds: names of the audio classes that are heard; None when unknown.
    """

    image: NDArray[np.uint8]
    window: NDArray[np.float32]
    target: NDArray[np.uint8]
    sounds: frozenset[str] | None


class SampleSource(Protocol):
    """Anything that draws couples of samples."""

    def draw(self, rng: Generator) -> list[Sample]:
        """Return samples that share a picture; the same generator state gives the same ones."""
        ...


class AvsMixSamples:
    """Couples of avsmix composites.

    Args:
        data: an opened copy.
        size_hw: sample size, even sides.
        composites: share of pictures that are two, side by side or one above the other.
        kinds: weights of matching, mismatching, ambient and no sound in the second sample of
            a couple; the first one matches whenever something visible can sound.
    """

    def __init__(
        self,
        data: AvsMix,
        size_hw: tuple[int, int],
        *,
        composites: float,
        kinds: tuple[float, float, float, float],
    ) -> None:
        self.data = data
        self.size_hw = size_hw
        self.composites = composites
        self.kinds = np.asarray(kinds) / np.sum(kinds)
        self.pictures = by_class(data.pictures("train"))
        sounds = [s for s in data.sounds("train") if s.audio_class not in data.ambiguous]
        self.audio_classes = sorted({s.audio_class for s in sounds})
        self.sounds = {c: [s for s in sounds if s.audio_class == c] for c in self.audio_classes}
        self.makes = {c: self.sounds[c][0].visual_classes for c in self.audio_classes}
        self.negative = [c for c in self.audio_classes if not self.makes[c]]
        # Rare classes are drawn more often than they occur, common ones less: square root.
        names = [n for n in self.pictures if n not in ("background", "other_object")]
        weights = np.sqrt([len(self.pictures[n]) for n in names])
        self.class_names, self.class_weights = names, weights / weights.sum()

    def draw(self, rng: Generator) -> list[Sample]:
        """Return two samples of one picture with different sounds."""
        image, indices = self._picture(rng)
        counts = np.bincount(indices.ravel(), minlength=256)
        visible = frozenset(n for n, i in self.data.class_index.items() if i and counts[i] >= 60)
        second = _SOUND_KINDS[rng.choice(len(_SOUND_KINDS), p=self.kinds)]
        matching = self._choose("matching", visible, rng)
        other = self._choose(second, visible - self._made_by(matching), rng, visible)
        samples = []
        for chosen in (matching, other):
            sounding = self._made_by(chosen) & visible
            window = np.zeros(WINDOW_SAMPLES, np.float32)
            for i, sound in enumerate(chosen):
                quieter = 1.0 if i == 0 else 10 ** (rng.uniform(-6.0, 3.0) / 20)
                window = window + np.float32(quieter) * random_window(_waveform(sound.audio), rng)
            samples.append(
                Sample(
                    jitter_colours(image, rng),
                    disturb(window, rng) if chosen or rng.random() < 0.8 else window,
                    self.data.target(indices, sounding),
                    frozenset(s.audio_class for s in chosen),
                )
            )
        return samples

    def _picture(self, rng: Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        h, w = self.size_hw
        if rng.random() >= self.composites:
            return random_crop(*_pixels(self._any_picture(rng)), (h, w), rng)
        beside = rng.random() < 0.6
        split = int(rng.uniform(0.35, 0.65) * (w if beside else h))
        sizes = ((h, split), (h, w - split)) if beside else ((split, w), (h - split, w))
        parts = [random_crop(*_pixels(self._any_picture(rng)), size, rng) for size in sizes]
        axis = 1 if beside else 0
        return (
            np.concatenate([image for image, _ in parts], axis=axis),
            np.concatenate([mask for _, mask in parts], axis=axis),
        )

    def _any_picture(self, rng: Generator) -> Picture:
        name = self.class_names[rng.choice(len(self.class_names), p=self.class_weights)]
        group = self.pictures[name]
        return group[rng.integers(len(group))]

    def _choose(
        self,
        kind: str,
        candidates: frozenset[str],
        rng: Generator,
        visible: frozenset[str] | None = None,
    ) -> list[Sound]:
        """Choose the sounds of one sample; ``matching`` falls back to mismatching, to none."""
        possible = [c for c in self.audio_classes if self.makes[c] & candidates]
        absent = [
            c for c in self.audio_classes
            if self.makes[c] and not self.makes[c] & (candidates if visible is None else visible)
        ]  # fmt: skip
        if kind == "matching" and possible:
            # First the object, then one of its sounds: objects with many sound classes are
            # not heard more often.
            sources = sorted(n for n in candidates if any(n in self.makes[c] for c in possible))
            source = sources[rng.integers(len(sources))]
            names = [str(rng.choice([c for c in possible if source in self.makes[c]]))]
            if rng.random() < 0.25:  # and a second sound, on screen or off
                names.append(str(rng.choice(self.negative if rng.random() < 0.6 else possible)))
        elif kind == "none":
            names = []
        elif kind == "ambient" or not absent:
            names = [str(rng.choice(self.negative))]
        else:
            names = [str(rng.choice(absent))]
            if rng.random() < 0.15:
                names.append(str(rng.choice(self.negative)))
        return [self.sounds[n][rng.integers(len(self.sounds[n]))] for n in dict.fromkeys(names)]

    def _made_by(self, sounds: list[Sound]) -> frozenset[str]:
        return frozenset().union(*(s.visual_classes for s in sounds))


class SceneSamples:
    """Couples of generated scenes, with the same colour and sound disturbance as the rest."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw

    def draw(self, rng: Generator) -> list[Sample]:
        """Return two samples of one scene with different sounds."""
        seed = int(rng.integers(TRAIN_SEEDS.start, TRAIN_SEEDS.stop))
        return [
            Sample(
                jitter_colours(frame.image, rng),
                disturb(frame.window, rng),
                frame.mask.astype(np.uint8),
                None,
            )
            for frame in sample_scene_couple(seed, self.size_hw)
        ]


@cache
def _waveform(path: Path) -> NDArray[np.float32]:
    return read_waveform(path)


@cache
def _pixels(picture: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image, mask = read_picture(picture.image), read_indices(picture.mask)
    assert image.shape[:2] == mask.shape, picture.image
    return image, mask
