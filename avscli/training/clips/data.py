"""Labelled clips as batches: which ones in which order, and as what tensors."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from avscli.datatypes import VOID
from avscli.errors import UsageError
from avscli.evaluation.network.judging import prepare_labelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from avscli.datasets.labelled import LabelledClip
    from avscli.datatypes import NetworkInput, NetworkSpec
    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.process_group import ProcessGroup


class ClipSource(Protocol):
    """A numbered set of labelled clips."""

    @property
    def kind(self) -> str:
        """Kind of data, as the command line names it."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> LabelledClip:
        """Return one clip, the same each time."""
        ...


class ClipBatch(NamedTuple):
    """Clips as a network and its losses take them, at the spec's frame size.

    Attributes:
        inputs: B clips of T steps.
        targets: [B, T, h, w] uint8 as `LabelledClip.targets`.
        labelled: [B, T] bool.
    """

    inputs: NetworkInput
    targets: Tensor
    labelled: Tensor

    @property
    def num_labelled(self) -> int:
        """How many steps are labelled."""
        return int(self.labelled.sum())

    def to(self, device: str) -> ClipBatch:
        """Return the same batch on another device."""
        return ClipBatch(self.inputs.to(device), self.targets.to(device), self.labelled.to(device))


class Place(NamedTuple):
    """One clip among several sources."""

    source: int
    number: int


def epoch_order(
    sizes: Sequence[int], shares: Sequence[float], *, seed: int, epoch: int
) -> list[Place]:
    """Decide which clips an epoch shows, in which order.

    An epoch has as many clips as all sources together, dealt to them by their shares; within a
    source, none comes again before all have come.

    Args:
        sizes: of the sources.
        shares: relative weights of the sources.
        seed: of the run.
        epoch: counts from 0.
    """
    rng = np.random.default_rng([seed, epoch])
    counts = np.rint(np.asarray(shares) / sum(shares) * sum(sizes)).astype(int)
    places: list[Place] = []
    for source, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        rounds = [rng.permutation(size) for _ in range(-(-count // size))]
        order = np.concatenate([np.zeros(0, int), *rounds])[:count]
        places += [Place(source, int(number)) for number in order]
    return [places[i] for i in rng.permutation(len(places))]


def shares_of(sources: Sequence[ClipSource], shares: Mapping[str, float]) -> list[float]:
    """Return each source's relative weight: as the recipe says, else its number of clips.

    Named shares are parts of the whole; what they leave is divided among the other sources.
    """
    given = sum(shares.get(source.kind, 0.0) for source in sources)
    others = sum(len(source) for source in sources if source.kind not in shares)
    left = max(0.0, 1.0 - given)
    return [
        shares[source.kind] if source.kind in shares else left * len(source) / others
        for source in sources
    ]


class ClipBatches:
    """The training batches of a run: batch k depends on the recipe and k only.

    Batches are whole: an epoch's last clips that fill none are left out, and a set smaller than a
    batch is shown several times in one.

    Args:
        recipe: what to draw.
        sources: from these.
        processes: each gets its part of every batch.

    Raises:
        UsageError: the recipe's shares leave nothing of these sources.
    """

    def __init__(
        self, recipe: ClipRecipe, sources: Sequence[ClipSource], processes: ProcessGroup
    ) -> None:
        self._recipe, self._sources, self._processes = recipe, sources, processes
        self._sizes = [len(source) for source in sources]
        self._shares = shares_of(sources, recipe.shares)
        if sum(self._shares) <= 0:
            raise UsageError(f"the shares {dict(recipe.shares)} leave no data to train on")
        self.steps_per_epoch = max(1, len(self._order(0)) // recipe.batch_clips)

    def since(self, step: int, num_steps: int) -> Iterator[ClipBatch]:
        """Yield this process's part of the batches from a step on."""
        with ThreadPoolExecutor(self._recipe.batch_clips) as pool:
            while step < num_steps:
                order = self._order(step // self.steps_per_epoch)
                first = step % self.steps_per_epoch * self._recipe.batch_clips
                places = [
                    order[k % len(order)] for k in range(first, first + self._recipe.batch_clips)
                ]
                clips = list(pool.map(self._read, self._processes.own(places)))
                yield batch_of(clips, self._recipe.spec)
                step += 1

    def _order(self, epoch: int) -> list[Place]:
        return epoch_order(self._sizes, self._shares, seed=self._recipe.seed, epoch=epoch)

    def _read(self, place: Place) -> LabelledClip:
        clip = self._sources[place.source].read(place.number)
        if self._recipe.training_crop == "centre":
            height, width = self._recipe.spec.frame_size_hw
            clip = centre_crop(clip, width / height)
        return clip


def centre_crop(clip: LabelledClip, aspect: float) -> LabelledClip:
    """Cut the largest part of a width : height ratio out of the middle of every step."""
    H, W = clip.targets.shape[1:]
    h, w = min(H, max(1, round(W / aspect))), min(W, max(1, round(H * aspect)))
    top, left = (H - h) // 2, (W - w) // 2
    rows, columns = slice(top, top + h), slice(left, left + w)
    return dataclasses.replace(
        clip,
        pictures=clip.pictures[:, rows, columns],
        targets=clip.targets[:, rows, columns],
    )


def batch_of(clips: Sequence[LabelledClip], spec: NetworkSpec) -> ClipBatch:
    """Squash clips to a network's frame size, pad them to its length, and stack them.

    A clip longer than the network's becomes several. For a binary network, every class of a
    label map counts as sounding.
    """
    T = spec.clip_length
    targets, labelled = [], []
    for clip in clips:
        padded = clip.padded_to(T * -(-len(clip.valid) // T))
        resized = _resized(padded.targets, spec.frame_size_hw)
        if spec.num_classes == 1:
            resized = np.where(resized == VOID, resized, resized > 0).astype(np.uint8)
        targets.append(torch.from_numpy(resized).reshape(-1, T, *spec.frame_size_hw))
        labelled.append(torch.from_numpy(padded.labelled.copy()).reshape(-1, T))
    inputs = prepare_labelled(clips, spec).inputs
    return ClipBatch(inputs, torch.cat(targets), torch.cat(labelled))


def _resized(targets: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize [T, H, W] by taking the nearest pixel's value."""
    _, H, W = targets.shape
    rows = ((np.arange(size_hw[0]) + 0.5) * H / size_hw[0]).astype(int)
    columns = ((np.arange(size_hw[1]) + 0.5) * W / size_hw[1]).astype(int)
    resized: NDArray[np.uint8] = targets[:, rows[:, None], columns[None]]
    return resized
