"""``avs eval``: how good are masks, a network's or stored ones?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.config import (
    DEFAULT_WEIGHTS,
    EVAL_PROTOCOLS,
    DataSelection,
    EvalOptions,
    EvalProtocol,
    EvalSplit,
    Marked,
    SegmentOptions,
    StoredOptions,
)
from avscli.datasets.registry import kinds_for
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.evaluation.report.report import EvaluationReport

_Pred = Annotated[
    Path | None,
    typer.Option("--pred", help="Masks: a run, runs, COCO .json, or PNGs.", show_default="none"),
]
_Gt = Annotated[
    Path | None,
    typer.Option("--gt", help="Truth for --pred: COCO .json, PNGs, or runs.", show_default="none"),
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
_Split = Annotated[EvalSplit, typer.Option(help="Part of the data set.")]
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
_Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="A.json B.json",
        help="Only compare two eval.json of the same clips.",
        show_default="none",
    ),
]
_Output = Annotated[
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


def evaluate(
    predicted: _Pred = None,
    true: _Gt = None,
    data: _Data = None,
    root: _Root = None,
    split: _Split = "test",
    pairs: _Pairs = None,
    limit: _Limit = None,
    weights: shared.WeightsOption = DEFAULT_WEIGHTS,
    device: shared.DeviceOption = "auto",
    precision: shared.PrecisionOption = "auto",
    threshold: shared.ThresholdOption = None,
    fps: shared.FpsOption = "native",  # type: ignore[assignment]
    no_audio: shared.NoAudioOption = "error",
    protocol: _Protocol = None,
    protocol_batch: _ProtocolBatch = 1,
    classes: _Classes = 2,
    tolerance: _Tolerance = 0.05,
    predicted_first: _PredFirst = None,
    true_first: _GtFirst = None,
    predicted_fps: _PredFps = None,
    true_fps: _GtFps = None,
    predicted_marked: _PredMarked = "auto",
    true_marked: _GtMarked = "auto",
    counterfactual: _Counterfactual = False,
    compare: _Compare = None,
    output: _Output = Path("avs_eval"),
    min_miou: _MinMiou = None,
    min_f: _MinF = None,
    min_boundary_f: _MinBoundaryF = None,
    min_kept_empty: _MinKeptEmpty = None,
    overwrite: shared.OverwriteOption = False,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Score masks against truth, or a network on a data set.

    avs eval --pred avs_out --gt masks/, or avs eval --data avsmix --root DIR: writes a table,
    OUTPUT/eval.json, eval.csv and eval.html.
    """
    gates = {
        "mean_iou": min_miou,
        "f_score": min_f,
        "boundary_f": min_boundary_f,
        "kept_empty": min_kept_empty,
    }
    if compare is not None:
        if {predicted, true, data, *gates.values()} != {None}:
            raise UsageError("--compare reads two eval.json; --pred, --data and --min-… score anew")
        _compare(compare, as_json=as_json)
        return
    options = EvalOptions(
        protocols=() if protocol is None else parse_protocols(protocol),
        protocol_batch=protocol_batch,
        threshold=threshold,
        counterfactual=counterfactual,
        fps=fps or None,
        no_audio=no_audio,
        num_classes=classes,
        tolerance_seconds=tolerance,
        predicted=StoredOptions(predicted_first, predicted_fps, predicted_marked),
        true=StoredOptions(true_first, true_fps, true_marked),
    )
    _refuse_existing(output, overwrite=overwrite)
    if data is None:
        if {root, pairs, limit} != {None}:
            raise UsageError("--root, --pairs and --limit belong to --data")
        report = _masks(predicted, true, options, quiet=quiet)
    else:
        if predicted is not None or true is not None:
            raise UsageError("--data runs a network; --pred and --gt score stored masks: choose")
        selection = DataSelection(data, root, split, pairs, limit)
        run = SegmentOptions(threshold=threshold, device=device, precision=precision)
        report = _network(selection, options, weights, run, quiet=quiet)
    _tell(report, output, gates, as_json=as_json)


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


def _refuse_existing(output: Path, *, overwrite: bool) -> None:
    from avscli.evaluation.report.report_files import refuse_existing

    refuse_existing(output, overwrite=overwrite)


def _masks(
    predicted: Path | None, true: Path | None, options: EvalOptions, *, quiet: bool
) -> EvaluationReport:
    from avscli.evaluation.run import evaluate_masks

    if predicted is None or true is None:
        raise UsageError(
            "nothing to score: give --pred and --gt, or --data",
            hint="avs eval --pred avs_out --gt masks/, or avs eval --data avsmix --root DIR",
        )
    if options.counterfactual:
        raise UsageError("--counterfactual needs a network: use --data")
    with console.counting("eval", quiet=quiet) as on_progress:
        return evaluate_masks(predicted, true, options, on_progress, console.warn)


def _network(
    selection: DataSelection,
    options: EvalOptions,
    weights: str,
    run: SegmentOptions,
    *,
    quiet: bool,
) -> EvaluationReport:
    from avscli.evaluation.network.data import open_data
    from avscli.evaluation.run import evaluate_network
    from avscli.pipeline import open_runtime

    data = open_data(selection)
    runtime = open_runtime(weights, run, console.warn)
    total = None if options.counterfactual else data.num_samples  # how many sound is not known
    with console.counting("eval", quiet=quiet, total=total) as on_progress:
        return evaluate_network(runtime, data, options, on_progress)


def _compare(files: tuple[Path, Path], *, as_json: bool) -> None:
    from avscli.evaluation.report.compare import compare
    from avscli.evaluation.report.table import compared_rows

    told = compare(*files)
    if as_json:
        console.result_json(told)
        return
    columns = ("score", "first", "second", "difference", "95 % interval")
    title = f"{files[1]} against {files[0]}, {told['num_clips']} clips"
    console.table(title, columns, compared_rows(told))
    left_out = told["not_compared"]
    if isinstance(left_out, list) and left_out:
        console.warn(f"not compared, not in the file of another version: {', '.join(left_out)}")


def _tell(
    report: EvaluationReport,
    output: Path,
    gates: Mapping[str, float | None],
    *,
    as_json: bool,
) -> None:
    from avscli.evaluation.report.report_files import require_gates, write_report
    from avscli.evaluation.report.table import COLUMNS, rows_of

    write_report(report, output)
    if as_json:
        console.result_json(report.to_json())
    else:
        console.table("avs eval", COLUMNS, rows_of(report))
        console.result(str(output))
    require_gates(report.scores, gates)
