"""eval.html: the numbers and plots of one evaluation in a single file, readable offline.

The template `page.html` draws everything into the file as SVG and embedded pictures; no script, no
outside request. Names from data sets are escaped by it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from avscli.evaluation.report.table import rows_of
from avscli.metrics.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.evaluation.report.report import EvaluationReport


class _Size(NamedTuple):
    """Pixels of a plot, from its top left corner."""

    width: int = 460
    height: int = 300
    margin: int = 44

    @property
    def bottom(self) -> int:
        return self.height - self.margin

    @property
    def right(self) -> int:
        return self.width - self.margin


class _Place(NamedTuple):
    """A point of a plot in pixels, as SVG writes it."""

    x: str
    y: str


class _Tick(NamedTuple):
    """A number beside both axes."""

    value: str
    x: str
    y: str


class _Plot(NamedTuple):
    """A curve over 0 … 1 in 0 … 1.

    Attributes:
        name: of the picture in the page.
        below, left: what the axes say.
        caption: below all.
        points: of the curve, from left to right.
        has_diagonal: the line on which both axes are the same is drawn as well.
        has_dots: every point is.
    """

    name: str
    below: str
    left: str
    caption: str
    points: tuple[_Place, ...]
    has_diagonal: bool = False
    has_dots: bool = False


_SIZE = _Size()


def render(report: EvaluationReport) -> str:
    """Return the page of a report as HTML."""
    pages = Environment(
        loader=PackageLoader("avscli.evaluation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["base64"] = lambda data: base64.b64encode(data).decode()
    name = "stored masks" if report.checkpoint is None else report.checkpoint["name"]
    return pages.get_template("page.html").render(
        report=report,
        title=f"{name} on {report.data.get('kind', report.data.get('truth'))}",
        scores=rows_of(report),
        plots=[_reliability(report), _f_curve(report)] if report.scored == "frames" else [],
        bars=list(_bars(report)),
        facts=list(_facts(report)),
        size=_SIZE,
        ticks=[_Tick(f"{k / 5:g}", *_place(k / 5, k / 5)) for k in range(6)],
    )


def _reliability(report: EvaluationReport) -> _Plot:
    points = [
        _place(row["mean_probability"], row["true_share"])
        for row in _dicts(report.scores["reliability"])
        if isinstance(row["mean_probability"], float) and isinstance(row["true_share"], float)
    ]
    error = report.scores["expected_calibration_error"]
    told = f"expected calibration error {error:.4f}" if isinstance(error, float) else "no pixels"
    return _Plot(
        name="plot-reliability",
        below="stated probability",
        left="share that was true",
        caption=f"Reliability of pixels, 15 bins: on the dashed line, probabilities come true; "
        f"{told}.",
        points=tuple(points),
        has_diagonal=True,
        has_dots=True,
    )


def _f_curve(report: EvaluationReport) -> _Plot:
    curve = report.scores["f_curve"]
    values = [v for v in curve if isinstance(v, float)] if isinstance(curve, list) else []
    return _Plot(
        name="plot-f-curve",
        below="threshold",
        left="F (β² = 0.3)",
        caption="F over the threshold, mean over the frames in which something sounds.",
        points=tuple(_place(float(t), v) for t, v in zip(THRESHOLDS, values, strict=True)),
    )


def _bars(report: EvaluationReport) -> Iterator[tuple[str, float]]:
    """Yield the mean IoU of each class, or of each kind where there are no classes."""
    groups = report.scores["per_category"] or report.scores.get("per_kind")
    for name, told in groups.items() if isinstance(groups, dict) else ():
        if told["mean_iou"] is not None:
            yield name, told["mean_iou"]


def _place(x: float, y: float) -> _Place:
    left = _SIZE.margin + x * (_SIZE.right - _SIZE.margin)
    top = _SIZE.bottom - y * (_SIZE.bottom - _SIZE.margin)
    return _Place(f"{left:.1f}", f"{top:.1f}")


def _facts(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    parts = {
        "data": report.data,
        "checkpoint": report.checkpoint or {},
        "options": report.options,
        "device": report.device or {},
        "seconds": {name: f"{value:.1f}" for name, value in report.seconds.items()},
    }
    for part, facts in parts.items():
        for name, value in facts.items():
            yield f"{part}: {name}", str(value)


def _dicts(values: object) -> list[dict[str, object]]:
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []
