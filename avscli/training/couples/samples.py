"""Endless training samples: composites of avsmix, and generated scenes.

A sample is one frame with one 0.975 s window. Samples come in couples that share the picture
and differ in the sound, so that a batch always shows what the sound decides. While the sound side
trains alone, windows come without pictures.

Source classes are named as avsmix names what is seen (``dog``), or ``scene_…`` for drawn objects;
sounds as avsmix names its recordings (``dog_bark``), `STEPS` for synthesised ones, and again
``scene_…`` for drawn objects' voices.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from avscli.datasets.avsmix import AvsMix, Picture, by_class
from avscli.datasets.scenes import KINDS, TRAIN_SEEDS, SceneFrame, sample_scene_couple
from avscli.datatypes import VOID, WINDOW_SAMPLES
from avscli.media.stills import read_indices, read_picture, read_waveform
from avscli.training.couples.augment import (
    change_speed,
    disturb,
    jitter_colours,
    paste_object,
    random_crop,
    random_window,
)
from avscli.training.couples.file_cache import FileCache
from avscli.training.couples.impacts import footsteps_and_hits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from avscli.training.couples.further_sounds import FurtherSound

_SOUND_KINDS = ("matching", "mismatching", "ambient", "none")
STEPS = "footsteps_and_hits"
_CROWDED_SHARE = 0.35  # of single pictures: where the sound has to choose, and one in nine as drawn
_LEAST_SHARE = 0.002  # of a picture; what takes less is drawn as if it took this
_PASTED_SHARE = 0.4  # of the other single pictures: get something of another one
_SOUND_NUMBERS = (0.05, 0.6, 0.35)  # shares of windows with no, one and two sounds
_LEAST_SIZE_HW = (32, 32)  # of pictures that nobody will look at
_STEPS_COUNT = 30  # recordings that this endless sound counts for
# Reading a picture with its mask takes 6 ms, a recording 18 ms; a step shows dozens of each. All
# training pictures of avsmix take 1.2 GB, its recordings 0.6 GB.
_PICTURES_BYTES, _SOUNDS_BYTES = 1_500_000_000, 750_000_000
SCENE_NAMES = tuple(f"scene_{kind}" for kind in KINDS)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SoundSample:
    """One window of sound.

    Attributes:
        window: [15600] float32 at 16 kHz.
        heard: names of the source classes that could make what is heard.
        sounds: names of the sounds themselves.
        is_known: whether `heard` holds; what makes the sounds of some recordings nobody knows.
    """

    window: NDArray[np.float32]
    heard: frozenset[str]
    sounds: frozenset[str]
    is_known: bool = True


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sample:
    """One training sample.

    Attributes:
        image: [h, w, 3] uint8 RGB.
        sound: around it.
        target: [h, w] uint8: 1 sounds, 0 does not, 255 void.
        shown: [h, w] uint8: 0 for none, 1 + index of the source class that is seen, 255 void.
    """

    image: NDArray[np.uint8]
    sound: SoundSample
    target: NDArray[np.uint8]
    shown: NDArray[np.uint8]


class SampleSource(Protocol):
    """Anything that draws couples of samples.

    Attributes:
        sound_names: every name that `SoundSample.sounds` may hold.
    """

    sound_names: tuple[str, ...]

    def draw(self, rng: Generator, size_hw: tuple[int, int]) -> list[Sample]:
        """Return two samples that share a picture of even sides.

        The same generator state gives the same ones.
        """
        ...

    def draw_sounds(self, rng: Generator) -> list[SoundSample]:
        """Return two windows without a picture; equal for equal generator states."""
        ...


class AvsMixSamples:
    """Couples of avsmix composites.

    Args:
        data: an opened copy.
        source_classes: what `Sample.shown` counts.
        composites: share of pictures that are two, side by side or one above the other.
        kinds: weights of matching, mismatching, ambient and no sound in the second sample of
            a couple; the first one matches whenever something visible can sound.
        further: recordings of other kinds; those of unknown makers are heard without pictures
            only.
    """

    def __init__(
        self,
        data: AvsMix,
        source_classes: Sequence[str],
        *,
        composites: float,
        kinds: tuple[float, float, float, float],
        further: Sequence[FurtherSound] = (),
    ) -> None:
        self.data = data
        self._pixels = FileCache(_read_labelled, _num_bytes_of, most_bytes=_PICTURES_BYTES)
        self._waveform = FileCache(
            read_waveform, lambda samples: samples.nbytes, most_bytes=_SOUNDS_BYTES
        )
        self.composites = composites
        self.kinds = np.asarray(kinds) / np.sum(kinds)
        self.pictures = by_class(data.pictures("train"))
        self.shown_table = np.zeros(256, np.uint8)
        self.shown_table[VOID] = VOID
        for name, index in data.class_index.items():
            if name in source_classes:
                self.shown_table[index] = 1 + source_classes.index(name)
        sounds = [s for s in data.sounds("train") if s.audio_class not in data.ambiguous]
        self.recordings: dict[str, list[Path]] = defaultdict(list)
        self.makes: dict[str, frozenset[str]] = {}
        for sound in sounds:
            self._add(sound.audio_class, sound.audio, sound.visual_classes)
        for other in further:
            self._add(other.audio_class, other.audio, other.makers)
        self.makes[STEPS] = frozenset({"person"})
        self.sound_names = (*self.recordings, STEPS)
        self.unclear = [c for c in self.recordings if c not in self.makes]
        self.negative = [c for c in self.recordings if self.makes.get(c) == frozenset()]
        sounding = frozenset().union(*self.makes.values())
        self.crowded = [p for p in data.pictures("train") if len(p.classes & sounding) > 1]
        # What is small is learned slowly: pictures of it are drawn more often, too.
        weights = np.array([self._smallest_share(p, sounding) for p in self.crowded]) ** -0.5
        self.crowded_weights = weights / weights.sum()
        # Rare classes are drawn more often than they occur, common ones less: square root.
        names = [n for n in self.pictures if n not in ("background", "other_object")]
        weights = np.sqrt([len(self.pictures[n]) for n in names])
        self.class_names, self.class_weights = names, weights / weights.sum()

    def _add(self, name: str, audio: Path, makers: frozenset[str] | None) -> None:
        """File a recording; one of a class that others make differently gets a name of its own."""
        if makers is not None and self.makes.setdefault(name, makers) != makers:
            name = f"further_{name}"
            self.makes[name] = makers
        self.recordings[name].append(audio)

    def draw(self, rng: Generator, size_hw: tuple[int, int]) -> list[Sample]:
        """Return two samples of one picture with different sounds."""
        image, indices = self._picture(rng, size_hw)
        image = jitter_colours(image, rng)
        counts = np.bincount(indices.ravel(), minlength=256)
        visible = frozenset(n for n, i in self.data.class_index.items() if i and counts[i] >= 60)
        second = _SOUND_KINDS[rng.choice(len(_SOUND_KINDS), p=self.kinds)]
        matching = self._choose("matching", visible, rng)
        other = self._choose(second, visible - self._made_by(matching), rng, visible)
        samples = []
        for chosen in (matching, other):
            sound = self._sound(chosen, rng)
            target = self.data.target(indices, sound.heard & visible)
            samples.append(
                Sample(image=image, sound=sound, target=target, shown=self.shown_table[indices])
            )
        return samples

    def draw_sounds(self, rng: Generator) -> list[SoundSample]:
        """Return two windows of any sounds, which no picture makes likelier."""
        return [self._sound(self._any_sounds(rng), rng) for _ in range(2)]

    def _any_sounds(self, rng: Generator) -> list[str]:
        names = [*self.makes, *self.unclear]
        number = rng.choice(3, p=_SOUND_NUMBERS)
        return list(dict.fromkeys(self._one_of(names, rng) for _ in range(number)))

    def _sound(self, chosen: list[str], rng: Generator) -> SoundSample:
        """Mix recordings of the chosen sounds, the first one mostly the loudest."""
        window = np.zeros(WINDOW_SAMPLES, np.float32)
        for i, name in enumerate(chosen):
            gain_db = rng.uniform(-6.0, 3.0) if i else 0.0
            window = window + np.float32(10 ** (gain_db / 20)) * self._window(name, rng)
        disturbed = disturb(window, rng) if chosen or rng.random() < 0.8 else window
        return SoundSample(
            window=disturbed,
            heard=self._made_by(chosen),
            sounds=frozenset(chosen),
            is_known=not any(name in self.unclear for name in chosen),
        )

    def _window(self, name: str, rng: Generator) -> NDArray[np.float32]:
        if name == STEPS:
            return footsteps_and_hits(rng)
        group = self.recordings[name]
        samples = self._waveform(group[rng.integers(len(group))])
        return random_window(change_speed(samples, rng), rng)

    def _picture(
        self, rng: Generator, size_hw: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        h, w = size_hw
        if rng.random() >= self.composites:
            return self._single_picture((h, w), rng)
        beside = rng.random() < 0.6
        split = int(rng.uniform(0.35, 0.65) * (w if beside else h))
        sizes = ((h, split), (h, w - split)) if beside else ((split, w), (h - split, w))
        parts = [random_crop(*self._pixels(self._any_picture(rng)), size, rng) for size in sizes]
        axis = 1 if beside else 0
        return (
            np.concatenate([image for image, _ in parts], axis=axis),
            np.concatenate([mask for _, mask in parts], axis=axis),
        )

    def _single_picture(
        self, size_hw: tuple[int, int], rng: Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if self.crowded and rng.random() < _CROWDED_SHARE:
            crowded = self.crowded[rng.choice(len(self.crowded), p=self.crowded_weights)]
            return random_crop(*self._pixels(crowded), size_hw, rng)
        image, mask = random_crop(*self._pixels(self._any_picture(rng)), size_hw, rng)
        if rng.random() >= _PASTED_SHARE:
            return image, mask
        name = self._any_class(rng)
        donor = self._pixels(self._picture_of(name, rng))
        return paste_object(image, mask, donor, self.data.class_index[name], rng)

    def _smallest_share(self, picture: Picture, classes: frozenset[str]) -> float:
        """Return the share of a picture that the least visible of some classes takes."""
        indices = read_indices(picture.mask)
        counts = np.bincount(indices.ravel(), minlength=256)
        least = min(counts[self.data.class_index[name]] for name in picture.classes & classes)
        return max(_LEAST_SHARE, float(least) / indices.size)

    def _any_picture(self, rng: Generator) -> Picture:
        return self._picture_of(self._any_class(rng), rng)

    def _any_class(self, rng: Generator) -> str:
        return self.class_names[rng.choice(len(self.class_names), p=self.class_weights)]

    def _picture_of(self, name: str, rng: Generator) -> Picture:
        group = self.pictures[name]
        return group[rng.integers(len(group))]

    def _choose(
        self,
        kind: str,
        candidates: frozenset[str],
        rng: Generator,
        visible: frozenset[str] | None = None,
    ) -> list[str]:
        """Choose the sounds of one sample; ``matching`` falls back to mismatching, to none."""
        possible = [c for c, made in self.makes.items() if made & candidates]
        absent = [
            c for c, made in self.makes.items()
            if made and not made & (candidates if visible is None else visible)
        ]  # fmt: skip
        if kind == "matching" and possible:
            # First the object, then one of its sounds: objects with many sound classes are
            # not heard more often.
            sources = sorted(n for n in candidates if any(n in self.makes[c] for c in possible))
            source = sources[rng.integers(len(sources))]
            names = [self._one_of([c for c in possible if source in self.makes[c]], rng)]
            if rng.random() < 0.35:  # and a second sound, on screen or off
                names.append(self._one_of(self.negative if rng.random() < 0.5 else possible, rng))
        elif kind == "none":
            names = []
        elif kind == "ambient" or not absent:
            names = [self._one_of(self.negative, rng)]
        else:
            names = [self._one_of(absent, rng)]
            if rng.random() < 0.15:
                names.append(self._one_of(self.negative, rng))
        return list(dict.fromkeys(names))

    def _one_of(self, names: list[str], rng: Generator) -> str:
        counts = [len(self.recordings.get(n, ())) or _STEPS_COUNT for n in names]
        weights = np.sqrt(counts)
        return names[rng.choice(len(names), p=weights / weights.sum())]

    def _made_by(self, sounds: list[str]) -> frozenset[str]:
        return frozenset().union(*(self.makes.get(name, frozenset()) for name in sounds))


class SceneSamples:
    """Couples of generated scenes, with the same colour and sound disturbance as the rest.

    Args:
        source_classes: what `Sample.shown` counts.
    """

    sound_names = SCENE_NAMES

    def __init__(self, source_classes: Sequence[str]) -> None:
        self.shown_table = np.array(
            [0, *(1 + source_classes.index(n) if n in source_classes else 0 for n in SCENE_NAMES)],
            np.uint8,
        )

    def draw(self, rng: Generator, size_hw: tuple[int, int]) -> list[Sample]:
        """Return two samples of one scene with different sounds."""
        seed = int(rng.integers(TRAIN_SEEDS.start, TRAIN_SEEDS.stop))
        first, second = sample_scene_couple(seed, size_hw)
        image = jitter_colours(first.image, rng)
        return [
            Sample(
                image=image,
                sound=self._sound(frame, rng),
                target=frame.mask.astype(np.uint8),
                shown=self.shown_table[frame.shown],
            )
            for frame in (first, second)
        ]

    def draw_sounds(self, rng: Generator) -> list[SoundSample]:
        """Return the two windows of one scene."""
        seed = int(rng.integers(TRAIN_SEEDS.start, TRAIN_SEEDS.stop))
        return [self._sound(frame, rng) for frame in sample_scene_couple(seed, _LEAST_SIZE_HW)]

    def _sound(self, frame: SceneFrame, rng: Generator) -> SoundSample:
        heard = frozenset(np.array(SCENE_NAMES)[frame.heard].tolist())
        return SoundSample(window=disturb(frame.window, rng), heard=heard, sounds=heard)


def _read_labelled(picture: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image, mask = read_picture(picture.image), read_indices(picture.mask)
    assert image.shape[:2] == mask.shape, picture.image
    return image, mask


def _num_bytes_of(labelled: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> int:
    image, mask = labelled
    return image.nbytes + mask.nbytes
