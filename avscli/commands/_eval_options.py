"""The options of ``avs eval``, and what they build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli.commands import _options as shared
from avscli.config import (
    EVAL_PROTOCOLS,
    DataSelection,
    EvalOptions,
    EvalProtocol,
    Marked,
    Split,
    StoredOptions,
)
from avscli.datasets.registry import kinds_for
from avscli.errors import UsageError

PredOption = Annotated[
    Path | None,
    typer.Option("--pred", help="Masks: runs, PNGs, or a tool's file.", show_default="none"),
]
GtOption = Annotated[
    Path | None,
    typer.Option("--gt", help="Truth for --pred, of the same kinds.", show_default="none"),
]
_Data = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help=f"Run a network over a data set: {', '.join(kinds_for('eval'))}.",
        show_default="none",
    ),
]
_Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the data set.", show_default="none; scenes are generated"),
]
_Split = Annotated[Split, typer.Option(help="Part of the data set.")]
_Pairs = Annotated[
    Path | None,
    typer.Option(help="Table of avsmix pairs in --root.", show_default="pairs_SPLIT.csv"),
]
_Limit = Annotated[
    int | None,
    typer.Option(help="The first so many samples only.", show_default="all; 500 scenes"),
]
_Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help=f"How to score: {', '.join(EVAL_PROTOCOLS)}.",
        show_default="avs; clips of real video",
    ),
]
_ProtocolBatch = Annotated[
    int, typer.Option(help="Clips per batch of avsbench; its numbers depend on it.")
]
_Classes = Annotated[
    int, typer.Option(help="Classes of stored label maps with background; 2: marked or not.")
]
_Tolerance = Annotated[
    float, typer.Option(help="Seconds by which times of one stored frame may differ.")
]
_PredMarked = Annotated[
    Marked,
    typer.Option(
        "--pred-marked", help="What marks PNGs of --pred; black: inverted; crowds: of COCO."
    ),
]
_PredFirst = Annotated[
    int | None,
    typer.Option(
        "--pred-first", help="Number of a video's first frame in --pred.", show_default="as in --gt"
    ),
]
_GtFirst = Annotated[
    int | None,
    typer.Option(
        "--gt-first", help="Number of a video's first frame in --gt.", show_default="as in --pred"
    ),
]
_PredFps = Annotated[
    float | None,
    typer.Option(
        "--pred-fps", help="Frames a second by which --pred is numbered.", show_default="as in --gt"
    ),
]
_GtFps = Annotated[
    float | None,
    typer.Option(
        "--gt-fps", help="Frames a second by which --gt is numbered.", show_default="as in --pred"
    ),
]
_GtMarked = Annotated[Marked, typer.Option("--gt-marked", help="The same for --gt.")]
_Counterfactual = Annotated[
    bool,
    typer.Option(
        "--counterfactual",
        help="Also with the sound muted, swapped, shifted by 2 s.",
        show_default="off",
    ),
]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="A.json B.json",
        help="Only compare two eval.json of the same clips.",
        show_default="none",
    ),
]
EvalOutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for eval.json, eval.csv, eval.html.")
]
_MinMiou = Annotated[
    float | None,
    typer.Option("--min-miou", help="Exit 9 below this mean IoU.", show_default="any will do"),
]
_MinF = Annotated[
    float | None,
    typer.Option("--min-f", help="Exit 9 below this F.", show_default="any will do"),
]
_MinBoundaryF = Annotated[
    float | None,
    typer.Option(help="Exit 9 below this boundary F.", show_default="any will do"),
]
_MinKeptEmpty = Annotated[
    float | None,
    typer.Option(help="Exit 9 if fewer quiet frames are kept empty.", show_default="any will do"),
]


def data_selection(
    data: _Data = None,
    root: _Root = None,
    split: _Split = "test",
    pairs: _Pairs = None,
    limit: _Limit = None,
) -> DataSelection | None:
    """Build what a network is run over; None where masks are stored.

    Raises:
        UsageError: options of a data set without one.
    """
    if data is not None:
        return DataSelection(data, root, split, pairs, limit)
    if {root, pairs, limit} != {None}:
        raise UsageError("--root, --pairs and --limit belong to --data")
    return None


def predicted_options(
    predicted_first: _PredFirst = None,
    predicted_fps: _PredFps = None,
    predicted_marked: _PredMarked = "auto",
) -> StoredOptions:
    """Build what is known of the predicted masks."""
    return StoredOptions(predicted_first, predicted_fps, predicted_marked)


def true_options(
    true_first: _GtFirst = None, true_fps: _GtFps = None, true_marked: _GtMarked = "auto"
) -> StoredOptions:
    """Build what is known of the true masks."""
    return StoredOptions(true_first, true_fps, true_marked)


def eval_options(
    prefer: shared.PreferOption = "balanced",
    threshold: shared.ThresholdOption = None,
    fps: shared.FpsOption = "native",  # type: ignore[assignment]
    no_audio: shared.NoAudioOption = "error",
    protocol: _Protocol = None,
    protocol_batch: _ProtocolBatch = 1,
    classes: _Classes = 2,
    tolerance: _Tolerance = 0.05,
    counterfactual: _Counterfactual = False,
) -> EvalOptions:
    """Build how masks are scored."""
    return EvalOptions(
        protocols=() if protocol is None else parse_protocols(protocol),
        protocol_batch=protocol_batch,
        prefer=prefer,
        threshold=threshold,
        counterfactual=counterfactual,
        fps=fps or None,
        no_audio=no_audio,
        num_classes=classes,
        tolerance_seconds=tolerance,
    )


def gates(
    min_miou: _MinMiou = None,
    min_f: _MinF = None,
    min_boundary_f: _MinBoundaryF = None,
    min_kept_empty: _MinKeptEmpty = None,
) -> dict[str, float | None]:
    """Build the least value of each score, by its name."""
    return {
        "mean_iou": min_miou,
        "f_score": min_f,
        "boundary_f": min_boundary_f,
        "kept_empty": min_kept_empty,
    }


def parse_protocols(text: str) -> tuple[EvalProtocol, ...]:
    """Read a comma-separated choice of protocols.

    >>> parse_protocols("avs,avsbench")
    ('avs', 'avsbench')
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in EVAL_PROTOCOLS]
    if unknown or not names:
        raise UsageError(f"--protocol {text!r} is not made of: {', '.join(EVAL_PROTOCOLS)}")
    return tuple(name for name in EVAL_PROTOCOLS if name in names)
