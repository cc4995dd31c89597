"""``avs eval``: how good are masks, a network's or stored ones?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from avscli import console
from avscli.commands import _eval_options as own
from avscli.commands import _options as shared
from avscli.commands._takes import takes
from avscli.config import (
    DEFAULT_WEIGHTS,
    DataSelection,
    EvalOptions,
    ReadOptions,
    SegmentOptions,
    StoredOptions,
)
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.evaluation.report.report import EvaluationReport


@takes(
    selection=own.data_selection,
    options=own.eval_options,
    of_predicted=own.predicted_options,
    of_true=own.true_options,
    gates=own.gates,
)
def evaluate(
    predicted: own.PredOption = None,
    true: own.GtOption = None,
    *,
    selection: DataSelection | None,
    weights: shared.WeightsOption = DEFAULT_WEIGHTS,
    device: shared.DeviceOption = "auto",
    precision: shared.PrecisionOption = "auto",
    options: EvalOptions,
    of_predicted: StoredOptions,
    of_true: StoredOptions,
    compare: own.CompareOption = None,
    output: own.EvalOutputOption = Path("avs_eval"),
    gates: dict[str, float | None],
    overwrite: shared.OverwriteOption = False,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Score masks against truth, or a network on a data set.

    avs eval --pred avs_out --gt masks/, or avs eval --data avsmix --root DIR: writes a table,
    OUTPUT/eval.json, eval.csv and eval.html.
    """
    stored = {predicted, true} != {None} or {of_predicted, of_true} != {StoredOptions()}
    if compare is not None:
        if stored or selection is not None or {*gates.values()} != {None}:
            raise UsageError("--compare reads two eval.json; --pred, --data and --min-… score anew")
        _compare(compare, as_json=as_json)
        return
    if selection is not None and stored:
        raise UsageError("--data runs a network; --pred… and --gt… score stored masks: choose")
    _refuse_existing(output, overwrite=overwrite)
    if selection is None:
        options = replace(options, predicted=of_predicted, true=of_true)
        report = _masks(predicted, true, options, quiet=quiet)
    else:
        run = SegmentOptions(
            read=ReadOptions(fps=options.fps),
            prefer=options.prefer,
            threshold=options.threshold,
            device=device,
            precision=precision,
        )
        report = _network(selection, options, weights, run, quiet=quiet)
    _tell(report, output, gates, as_json=as_json)


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
    if options.prefer != "balanced":
        raise UsageError("--prefer chooses where a network's answer is cut: use --data")
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
