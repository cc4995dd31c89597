"""The numbers of a report as rows of text, for the terminal and the page alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from avscli.evaluation.protocols import Json
    from avscli.evaluation.report.report import EvaluationReport

COLUMNS = ("protocol", "score", "value", "95 % interval")
_LABELS = {
    "mean_iou": "J: mean IoU where something sounds",
    "f_score": "F (β² = 0.3) at the threshold",
    "f_at_half": "F (β² = 0.3) at 0.5",
    "boundary_f": "boundary F",
    "j_and_boundary_f": "mean of J and boundary F",
    "dataset_iou": "IoU over all pixels of the set",
    "false_discovery_rate": "false discovery rate of pixels",
    "false_positive_area": "marked area where nothing sounds",
    "false_positive_rate": "frames marked where nothing sounds",
    "kept_empty": "frames kept under 1 % marked there",
    "detection_precision": "told to sound: precision",
    "detection_recall": "told to sound: recall",
}
_OF_SECONDS = {
    "mean_iou": "J: mean IoU of seconds with a mask",
    "f_score": "F (β² = 0.3) of seconds with a mask",
    "boundary_f": "boundary F of seconds with a mask",
    "j_and_boundary_f": "mean of J and boundary F",
    "kept_empty": "quiet seconds kept empty",
    "kept_empty_off_screen": "… sound off screen",
    "kept_empty_voice": "… a voice off screen",
    "kept_empty_music": "… music off screen",
    "kept_empty_other": "… another sound off screen",
    "kept_empty_silent": "… silence",
    "false_positive_rate": "frames of quiet seconds that are marked",
    "false_positive_area": "marked area in quiet seconds",
    "seconds_right": "seconds marked just when something visible sounds",
    "detection_recall": "sounding seconds marked at all",
    "detection_precision": "marked seconds that sound visibly",
    "detection_f": "F of marked seconds",
    "switches_found": "switches between seconds found",
    "onsets_found": "… onsets",
    "offsets_found": "… offsets",
}
_PLAIN = {
    "f_max": "largest F over one threshold for all",
    "detection_auc": "told to sound: area under ROC",
    "expected_calibration_error": "calibration error of pixels",
    "frame_calibration_error": "calibration error of frames",
    "dataset_mean_iou": "mean IoU of classes, background too",
    "mean_false_discovery_rate": "mean false discovery rate of classes",
}


def rows_of(report: EvaluationReport) -> list[tuple[str, str, str, str]]:
    """Return one row per score: protocol, score, value, interval."""
    rows: list[tuple[str, str, str, str]] = []
    matched = report.data.get("matched")
    if isinstance(matched, dict):
        rows.append(("", f"matched: {matched['told']}", "", ""))
    for name, result in report.protocols.items():
        if "scores" not in result:
            rows += _published(name, result)
        elif report.scored == "seconds":
            rows += _of_seconds(name, result)
        else:
            rows += _of_frames(name, result)
    for change, told in (report.counterfactual or {}).items():
        rows += _changed(change, told if isinstance(told, dict) else {})
    return rows


def number(value: object) -> str:
    """Write a score; – when there is none.

    >>> number(0.12345), number(None), number(12)
    ('0.1235', '–', '12')
    """
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def between(interval: object) -> str:
    """Write an interval; nothing when there is none."""
    if not isinstance(interval, tuple | list) or interval[0] is None:
        return ""
    return f"{interval[0]:.4f} … {interval[1]:.4f}"


def _of_frames(protocol: str, result: Json) -> Iterator[tuple[str, str, str, str]]:
    yield from _scores(protocol, result, _LABELS)
    for name, label in _PLAIN.items():
        if result.get(name) is not None:
            yield protocol, label, number(result[name]), ""
    coco = result["coco"]
    if isinstance(coco, dict):
        yield protocol, "COCO mask AP", number(coco["ap"]), ""
    for part in ("per_kind", "per_category"):
        groups = result[part]
        for name, told in groups.items() if isinstance(groups, dict) else ():
            of = f"{name} ({told['num_clips']} clips)"
            if told["mean_iou"] is not None:
                yield protocol, f"J, {of}", number(told["mean_iou"]), ""
            if part == "per_kind" and told["kept_empty"] is not None:
                yield protocol, f"kept empty, {of}", number(told["kept_empty"]), ""


def _of_seconds(protocol: str, result: Json) -> Iterator[tuple[str, str, str, str]]:
    yield from _scores(protocol, result, _OF_SECONDS)
    groups = result["per_category"]
    for name, told in groups.items() if isinstance(groups, dict) else ():
        marked = f"marked at all, {name} ({told['num_seconds']} seconds)"
        yield protocol, marked, number(told["detection_recall"]), ""
        if told["mean_iou"] is not None:
            yield protocol, f"J, {name} ({told['num_masked']} masks)", number(told["mean_iou"]), ""


def _scores(
    protocol: str, result: Json, labels: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    scores = result["scores"]
    assert isinstance(scores, dict)
    yield protocol, f"source: {result['source']}", "", ""
    for name, label in labels.items():
        yield protocol, label, number(scores[name]["value"]), between(scores[name]["interval"])


def _published(name: str, result: Json) -> Iterator[tuple[str, str, str, str]]:
    yield name, f"source: {result['source']}", "", ""
    for score, value in result.items():
        if score != "source":
            yield name, score.replace("_", " "), number(value), ""


def _changed(change: str, told: Json) -> Iterator[tuple[str, str, str, str]]:
    name = change.replace("_", " ")
    for score, value in told.items():
        if score == "interval":
            continue
        interval = told.get("interval") if score == "mean_iou_change" else None
        yield name, score.replace("_", " "), number(value), between(interval)


def compared_rows(told: Json) -> list[tuple[str, str, str, str, str]]:
    """Return one row per score of `avscli.evaluation.report.compare.compare`."""
    scores = told["scores"]
    assert isinstance(scores, dict)
    labels = _OF_SECONDS if told["scored"] == "seconds" else _LABELS
    return [
        (
            labels[name],
            number(row["first"]),
            number(row["second"]),
            number(row["difference"]),
            between(row["interval"]),
        )
        for name, row in scores.items()
    ]
