"""Couples, and windows of sound alone, as tensors: batch k depends on the recipe and k only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from avscli.audio.front_end import FRONT_ENDS
from avscli.datatypes import NetworkInput
from avscli.preprocess import normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from avscli.training.couples.recipe import CoupleRecipe
    from avscli.training.couples.samples import Sample, SampleSource, SoundSample


@dataclass(frozen=True, slots=True, eq=False)
class SoundBatch:
    """N windows without pictures, as tensors.

    Attributes:
        log_mel: [N, 1, ·, ·], of the spec's kind.
        heard: [N, K] float, 1 where a source class could make what is heard.
        is_known: [N] bool, whether that holds.
    """

    log_mel: Tensor
    heard: Tensor
    is_known: Tensor

    @property
    def num_labelled(self) -> int:
        """N."""
        return len(self.log_mel)

    def to(self, device: str) -> SoundBatch:
        """Return the same batch on another device."""
        return SoundBatch(*(getattr(self, f.name).to(device) for f in dataclasses.fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class CoupleBatch:
    """Couples as tensors: N samples of N / 2 pictures.

    Attributes:
        log_mel: [N, 1, ·, ·], of the spec's kind.
        frames: [N / 2, 3, h, w], normalised.
        shown: [N / 2, h, w] uint8 source classes, as `Sample.shown`.
        target: [N, h, w] uint8, as `Sample.target`.
        heard: [N, K] float, 1 where a source class could make what is heard.
    """

    log_mel: Tensor
    frames: Tensor
    shown: Tensor
    target: Tensor
    heard: Tensor

    @property
    def num_labelled(self) -> int:
        """N."""
        return len(self.target)

    @property
    def labelled(self) -> Tensor:
        """[N, 1] bool: every sample is, as a clip of one step."""
        return torch.ones(self.num_labelled, 1, dtype=torch.bool, device=self.target.device)

    def inputs(self) -> NetworkInput:
        """Return the N samples as clips of one step, each with its picture."""
        frames = self.frames.repeat_interleave(2, dim=0)[:, None]
        return NetworkInput(frames, self.log_mel[:, None], self.labelled)

    def to(self, device: str) -> CoupleBatch:
        """Return the same batch on another device."""
        return CoupleBatch(*(getattr(self, f.name).to(device) for f in dataclasses.fields(self)))


class CoupleBatches:
    """The batches of a run: first windows of sound alone, then couples.

    Args:
        recipe: what to draw.
        sources: couples are drawn from these …
        shares: … with these probabilities.
    """

    def __init__(
        self, recipe: CoupleRecipe, sources: Sequence[SampleSource], shares: Sequence[float]
    ) -> None:
        self._recipe, self._sources = recipe, sources
        self._shares = np.asarray(shares) / np.sum(shares)
        self._source_index = {name: i for i, name in enumerate(recipe.source_classes)}
        self._of_windows = FRONT_ENDS[recipe.spec.log_mel].of_windows

    def since(self, step: int) -> Iterator[SoundBatch | CoupleBatch]:
        """Yield the batches from a step on."""
        recipe = self._recipe
        for number in range(step, recipe.num_steps):
            if recipe.hears_only(number):
                drawn = self._drawing(number, recipe.sound_batch_samples)
                yield self._of_sounds([s for source, rng in drawn for s in source.draw_sounds(rng)])
            else:
                size_hw = recipe.size_hw_at(number - recipe.sound_steps)
                drawn = self._drawing(number, recipe.batch_samples)
                yield self._of_couples([source.draw(rng, size_hw) for source, rng in drawn])

    def _drawing(
        self, step: int, num_samples: int
    ) -> Iterator[tuple[SampleSource, np.random.Generator]]:
        """Yield a source and a generator for each two of a step's samples."""
        for i in range(num_samples // 2):
            rng = np.random.default_rng([self._recipe.seed, step, i])
            yield self._sources[rng.choice(len(self._sources), p=self._shares)], rng

    def _of_sounds(self, samples: list[SoundSample]) -> SoundBatch:
        return SoundBatch(
            log_mel=self._log_mel(samples),
            heard=_many_hot([s.heard for s in samples], self._source_index),
            is_known=torch.tensor([s.is_known for s in samples]),
        )

    def _of_couples(self, couples: list[list[Sample]]) -> CoupleBatch:
        samples = [sample for couple in couples for sample in couple]
        pixels = torch.from_numpy(np.stack([first.image for first, _ in couples]))
        return CoupleBatch(
            log_mel=self._log_mel([s.sound for s in samples]),
            # channels_last, as the weights are
            frames=normalised(pixels.permute(0, 3, 1, 2), self._recipe.spec),
            shown=torch.from_numpy(np.stack([first.shown for first, _ in couples])),
            target=torch.from_numpy(np.stack([s.target for s in samples])),
            heard=_many_hot([s.sound.heard for s in samples], self._source_index),
        )

    def _log_mel(self, samples: Sequence[SoundSample]) -> Tensor:
        return self._of_windows(torch.from_numpy(np.stack([s.window for s in samples])))


def _many_hot(chosen: Sequence[frozenset[str]], index: Mapping[str, int]) -> Tensor:
    """Return [N, len(index)] float32, 1 where a name was chosen; names not in the index pass."""
    hot = torch.zeros(len(chosen), len(index))
    for row, names in zip(hot, chosen, strict=True):
        row[[index[name] for name in names if name in index]] = 1.0
    return hot
