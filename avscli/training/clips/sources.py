"""From kinds and roots on the command line to clips for training and for validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.config import DataSelection
from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.registry import kind_of, kinds_for
from avscli.datasets.scenes import TRAIN_SEEDS, VALIDATION_SEEDS
from avscli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avscli.datatypes import NetworkSpec
    from avscli.training.clips.data import ClipSource

AVSMIX = "avsmix"  # of single pictures: couples train on it, clips do not
SCENES = "scenes"
CLIP_KINDS = tuple(kind for kind in kinds_for("train") if kind != AVSMIX)
_SCENES_PER_VALIDATION_SCENE = 10


@dataclass(frozen=True, slots=True)
class DataRoot:
    """One ``--data KIND=ROOT``.

    Attributes:
        kind: as given; who opens it says which ones there are.
        root: of the copy; of ``scenes``, the number of scenes that an epoch has.
    """

    kind: str
    root: Path


def data_root(text: str) -> DataRoot:
    """Read ``KIND=ROOT``.

    >>> data_root("avsbench-s4=copies/s4").kind
    'avsbench-s4'

    Raises:
        UsageError: it is not of that form.
    """
    kind, _, root = text.partition("=")
    if not kind or not root:
        raise UsageError(
            f"--data takes KIND=ROOT, not {text!r}",
            hint=f"KIND is one of {', '.join((*CLIP_KINDS, AVSMIX))}",
        )
    return DataRoot(kind, Path(root))


@dataclass(frozen=True, slots=True)
class ClipSources:
    """What a run sees.

    Attributes:
        training: sets whose clips it learns from.
        validation: sets by whose clips the best epoch is chosen.
    """

    training: tuple[ClipSource, ...]
    validation: tuple[ClipSource, ...]

    def sizes(self) -> dict[str, list[int]]:
        """Return the number of clips for training and validation, by kind."""
        return {
            mine.kind: [len(mine), len(theirs)]
            for mine, theirs in zip(self.training, self.validation, strict=True)
        }


def open_sources(roots: Sequence[DataRoot], spec: NetworkSpec) -> ClipSources:
    """Open every copy.

    Raises:
        UsageError: no data, a kind twice, an unknown one, or one that does not suit the network.
        DataError: a table is not as its format says.
    """
    if not roots:
        raise UsageError(
            "this recipe needs data", hint=f"--data KIND=ROOT, KIND one of {', '.join(CLIP_KINDS)}"
        )
    kinds = [root.kind for root in roots]
    for kind in kinds:
        if kind not in CLIP_KINDS:
            raise UsageError(
                f"no clips of kind {kind!r}",
                hint=f"known: {', '.join(CLIP_KINDS)}; {AVSMIX} is for the recipe mini",
            )
        if kinds.count(kind) > 1:
            raise UsageError(f"--data names {kind} twice", hint="put both into one copy")
        if spec.task == "semantic" and kind != "avsbench-avss":
            raise UsageError(
                f"{kind} does not say what sounds, and the recipe's network names classes",
                hint="use avsbench-avss, or a recipe for masks",
            )
    opened = [_opened(root, spec) for root in roots]
    return ClipSources(tuple(pair[0] for pair in opened), tuple(pair[1] for pair in opened))


def _opened(root: DataRoot, spec: NetworkSpec) -> tuple[ClipSource, ClipSource]:
    if root.kind == SCENES:
        return _scenes(root, spec)
    module = kind_of(root.kind, "train")
    return (
        module.open_set(DataSelection(root.kind, root.root, "train")),
        module.open_set(DataSelection(root.kind, root.root, "val")),
    )


def _scenes(root: DataRoot, spec: NetworkSpec) -> tuple[ClipSource, ClipSource]:
    text = str(root.root)
    if not text.isdecimal() or not 1 <= int(text) <= len(TRAIN_SEEDS):
        raise UsageError(
            f"--data scenes={text}: give the number of scenes that an epoch has",
            hint="for example --data scenes=400",
        )
    num_validation = -(-int(text) // _SCENES_PER_VALIDATION_SCENE)
    return (
        SceneClips(TRAIN_SEEDS[: int(text)], spec.clip_length, spec.frame_size_hw),
        SceneClips(VALIDATION_SEEDS[:num_validation], spec.clip_length, spec.frame_size_hw),
    )
