"""Data sets to run a network over, each as samples and as samples with altered sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from avscli.audio.log_mel import window_log_mel
from avscli.datasets.avsbench import AVSBENCH_KINDS, AVSS_CLASSES, AvsBench
from avscli.datasets.avsmix import AvsMix
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scene_timeline import random_voice
from avscli.datasets.scenes import KINDS, TEST_SEEDS, sample_scene_frame
from avscli.datatypes import WINDOW_SAMPLES
from avscli.errors import DataError, UsageError
from avscli.evaluation.counterfactual import NUM_COUPLES, side_by_side, swapped_couples
from avscli.evaluation.frames import LabelledFrame, around_the_frame, read_pair, scene_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from avscli.config import EvalDataOptions
    from avscli.datasets.avsbench import ClipFiles
    from avscli.datasets.avsmix import Pair
    from avscli.evaluation.counterfactual import SideBySide

Sample = LabelledFrame | LabelledClip
NUM_SCENES = 500
SHIFT_STEPS = 2  # one second each
_AVSS_STEPS = 10  # the published evaluation pads every clip to that


class Altered(NamedTuple):
    """A sample, and the same with other sounds.

    Attributes:
        right: as it is.
        others: by what was done to the sound: ``muted``, ``swapped``, ``shifted``.
    """

    right: Sample
    others: dict[str, Sample]


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a network is evaluated on; samples are read when asked for.

    Attributes:
        facts: what it is, for the report.
        num_samples: how many there are.
        samples: reads them one by one.
        altered: reads the sounding ones with other sounds.
        side_by_side: couples of pictures in one frame; None where the set has no single pictures.
        class_names: by label, background first; empty for one kind of mask.
    """

    facts: dict[str, object]
    num_samples: int
    samples: Callable[[], Iterable[Sample]]
    altered: Callable[[], Iterable[Altered]]
    side_by_side: Callable[[], Iterable[SideBySide]] | None = None
    class_names: tuple[str, ...] = ()


def open_data(options: EvalDataOptions) -> DataSet:
    """Open a data set.

    Raises:
        DataError: it is not as its format says.
        UsageError: options that this kind has no use for, or needs.
    """
    if options.kind == "scenes":
        return _scenes(NUM_SCENES if options.limit is None else options.limit)
    if options.root is None:
        raise UsageError(f"--data {options.kind} needs --root DIR")
    if options.kind == "avsmix":
        return _avsmix(options, options.root)
    return _avsbench(options, options.root)


def _avsmix(options: EvalDataOptions, root: Path) -> DataSet:
    split = options.split
    if split == "train":
        raise UsageError("avsmix has fixed pairs for --split val and test only")
    data = AvsMix.open(root)
    table = root / (options.pairs or f"pairs_{split}.csv")
    pairs = data.pairs_in(table)[: options.limit]
    if not pairs:
        raise DataError(f"{table} has no pair")
    for pair in pairs:
        if unknown := pair.sounding - data.class_index.keys():
            told = f"sounding_classes has {min(unknown)!r}, classes.csv has not"
            raise DataError(f"{table}, pair {pair.pair_id}: {told}")
        for path in (pair.image, pair.mask, *pair.audio):
            if not path.is_file():
                raise DataError(f"{table}, pair {pair.pair_id}: {path} is missing")
    return DataSet(
        facts={"kind": "avsmix", "split": split, "pairs": table.name, "truth": "masks by class"}
        | _limited(options),
        num_samples=len(pairs),
        samples=lambda: (read_pair(data, pair) for pair in pairs),
        altered=partial(_altered_pairs, data, split, pairs),
        side_by_side=partial(
            side_by_side, data, split, count=min(NUM_COUPLES, options.limit or NUM_COUPLES)
        ),
    )


def _limited(options: EvalDataOptions) -> dict[str, object]:
    """Return what says that only the first samples were taken, if so."""
    return {} if options.limit is None else {"limit": options.limit}


def _altered_pairs(
    data: AvsMix, split: Literal["val", "test"], pairs: Sequence[Pair]
) -> Iterator[Altered]:
    for right, swapped in swapped_couples(data, split, pairs=pairs):
        yield Altered(right, {"muted": _muted(right), "swapped": swapped})


def _scenes(count: int) -> DataSet:
    return DataSet(
        facts={"kind": "scenes", "split": "test seeds", "truth": "drawn", "limit": count},
        num_samples=count,
        samples=partial(scene_frames, count),
        altered=partial(_altered_scenes, count),
    )


def _altered_scenes(count: int) -> Iterator[Altered]:
    seeds = islice(TEST_SEEDS, count)
    for seed, right in zip(seeds, scene_frames(count), strict=True):
        if not (right.target == 1).any():
            continue
        shown = sample_scene_frame(seed, right.target.shape).shown
        absent = [kind for index, kind in enumerate(KINDS, start=1) if not (shown == index).any()]
        rng = np.random.default_rng(seed)
        track = np.zeros(WINDOW_SAMPLES)
        random_voice(rng, absent[int(rng.integers(len(absent)))]).add_to(track, 0, WINDOW_SAMPLES)
        window = (track / max(1.0, float(np.abs(track).max()))).astype(np.float32)
        yield Altered(
            right,
            {"muted": _muted(right), "swapped": replace(right, sound=around_the_frame(window))},
        )


def _avsbench(options: EvalDataOptions, root: Path) -> DataSet:
    kind = next(kind for kind in AVSBENCH_KINDS if kind == options.kind)
    data = AvsBench.open(kind, root)
    files = data.files(options.split)[: options.limit]
    is_semantic = data.num_classes > 1
    _require_files(files, f"every problem of the copy: avs data check {kind} {root}")

    def samples() -> Iterator[LabelledClip]:
        for each in files:
            clip = data.read(each)
            yield clip.padded_to(_AVSS_STEPS) if is_semantic else clip

    return DataSet(
        facts={
            "kind": kind,
            "split": options.split,
            "truth": files[0].labels[0].parent.name
            if is_semantic and files[0].labels[0]
            else "gt_masks",
        }
        | _limited(options),
        num_samples=len(files),
        samples=samples,
        altered=lambda: _altered_clips(samples()),
        class_names=AVSS_CLASSES if is_semantic else (),
    )


def _require_files(clips: Sequence[ClipFiles], hint: str) -> None:
    """Look for every file before any is read.

    Raises:
        DataError: naming the first file that is missing, or that nothing asks for.
    """
    for clip in clips:
        labels = {path for path in clip.labels if path is not None}
        expected = {*clip.frames, *labels}
        for path in sorted({*expected, clip.sound}):
            if not path.is_file():
                raise DataError(f"clip {clip.clip_id}: {path} is missing", hint=hint)
        folders = {path.parent for path in (expected if None not in clip.labels else clip.frames)}
        found = {path for folder in folders for path in folder.iterdir()}
        extra = sorted(p for p in found - expected if p.suffix in (".png", ".jpg"))
        if extra:
            raise DataError(f"clip {clip.clip_id}: {extra[0]} is an extra frame", hint=hint)


def _altered_clips(clips: Iterable[LabelledClip]) -> Iterator[Altered]:
    """Yield clips muted, shifted, and with the sound of the last clip of another category."""
    silence = window_log_mel(np.zeros((1, WINDOW_SAMPLES), np.float32)).numpy()
    before: LabelledClip | None = None
    donor: LabelledClip | None = None
    for clip in clips:
        if before is not None and (clip.category is None or before.category != clip.category):
            donor = before  # tables list one category after the other
        others: dict[str, Sample] = {
            "muted": replace(clip, log_mel=np.repeat(silence, len(clip.log_mel), axis=0)),
            "shifted": replace(clip, log_mel=_shifted(clip)),
        }
        if donor is not None:
            steps = np.arange(len(clip.log_mel)) % int(donor.valid.sum())
            others["swapped"] = replace(clip, log_mel=donor.log_mel[steps])
        yield Altered(clip, others)
        before = clip


def _shifted(clip: LabelledClip) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the log-mel later by two steps, what falls off the end coming first."""
    log_mel = clip.log_mel.copy()
    log_mel[clip.valid] = np.roll(clip.log_mel[clip.valid], SHIFT_STEPS, axis=0)
    return log_mel


def _muted(frame: LabelledFrame) -> LabelledFrame:
    return replace(frame, sound=replace(frame.sound, samples=np.zeros_like(frame.sound.samples)))
