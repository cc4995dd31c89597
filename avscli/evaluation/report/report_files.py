"""Writing an evaluation, and whether its gates hold: eval.json, eval.csv, eval.html."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from avscli.errors import OutputError, QualityGateError
from avscli.evaluation.report.page import render
from avscli.outputs.disk import folder_for_results, write_together

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from avscli.evaluation.protocols import Json
    from avscli.evaluation.report.report import EvaluationReport

JSON_NAME, CSV_NAME, PAGE_NAME = "eval.json", "eval.csv", "eval.html"


def refuse_existing(folder: Path, *, overwrite: bool) -> None:
    """Check before any work that the results may and can be written.

    Raises:
        OutputError: results are there and may not be replaced, or the folder is not writable.
    """
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        told = "is not a folder" if not above.is_dir() else "may not be written to"
        raise OutputError(f"cannot write {folder}: {above} {told}", hint="choose another with -o")
    if not overwrite and (folder / JSON_NAME).exists():
        raise OutputError(
            f"{folder / JSON_NAME} exists already",
            hint="replace it with --overwrite, or choose another folder with -o",
        )


def write_report(report: EvaluationReport, folder: Path) -> None:
    """Write eval.json, eval.csv and eval.html, all of them or none.

    Raises:
        OutputError: the folder cannot be written.
    """
    texts = {
        folder / CSV_NAME: _csv(report),
        folder / PAGE_NAME: render(report),
        folder / JSON_NAME: json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n",
    }
    with folder_for_results(folder):
        write_together(texts)


def require_gates(scores: Json, minima: Mapping[str, float | None]) -> None:
    """Compare scores of our protocol with what they must reach.

    Args:
        scores: result of our protocol.
        minima: smallest value by name of the score; None asks for nothing.

    Raises:
        QualityGateError: naming every score that is worse or unknown.
    """
    missed = []
    for name, least in minima.items():
        if least is None:
            continue
        value = _value(scores, name)
        if value is None or not value >= least:
            told = "unknown" if value is None else f"{value:.4f}"
            missed.append(f"{name} is {told}, asked for at least {least}")
    if missed:
        raise QualityGateError("quality gate: " + "; ".join(missed))


def _value(scores: Json, name: str) -> float | None:
    ratios = scores["scores"]
    told = ratios[name]["value"] if isinstance(ratios, dict) and name in ratios else scores[name]
    return told if isinstance(told, float) else None


def _csv(report: EvaluationReport) -> str:
    text = io.StringIO()
    if report.clips:
        columns = [*asdict(report.clips[0]), "mean_iou"]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for row in report.clips:
            iou = row.mean_iou
            writer.writerow({**asdict(row), "mean_iou": "" if iou is None else iou})
    return text.getvalue()
