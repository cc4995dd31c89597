"""eval.html: the numbers and plots of one evaluation in a single file, readable offline.

Everything is drawn into the file as SVG and embedded pictures; no script, no outside request.
"""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from avscli.evaluation.report.table import rows_of
from avscli.metrics.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from avscli.evaluation.report.report import EvaluationReport

WIDTH, HEIGHT, MARGIN = 460, 300, 44
_BAR = 22
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1020px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin-top: 2em; }
table { border-collapse: collapse; } td, th { padding: .2em .9em .2em 0; text-align: left; }
td { border-top: 1px solid #8884; font-variant-numeric: tabular-nums; }
figure { margin: 1em 0; max-width: 460px; } figcaption { color: #888; }
.strip { max-width: none; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5em; }
svg { background: #8881; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.axis { stroke: #888; } .ideal { stroke: #888; stroke-dasharray: 4 4; }
.line { fill: none; stroke: #2a7ae2; stroke-width: 2; } .dot, .bar { fill: #2a7ae2; }
img { display: block; }
"""


class Point(NamedTuple):
    """A point of a plot, both coordinates 0 … 1."""

    x: float
    y: float


def render(report: EvaluationReport) -> str:
    """Return the page of a report as HTML."""
    name = "stored masks" if report.checkpoint is None else str(report.checkpoint["name"])
    title = f"{name} on {report.data.get('kind', report.data.get('truth'))}"
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<link rel="icon" href="data:,">',
            f"<title>avs eval: {escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>avs eval: {escape(title)}</h1>",
            f"<p>{escape(report.tool)}, {escape(report.date_created)}</p>",
            _table("Scores", rows_of(report)),
            '<div class="plots">',
            *((_reliability(report), _f_curve(report)) if report.scored == "frames" else ()),
            _bars(report),
            "</div>",
            _strips(report),
            _table("What was scored", _facts(report)),
            "</body></html>",
        )
    )


def _reliability(report: EvaluationReport) -> str:
    points = [
        Point(row["mean_probability"], row["true_share"])
        for row in _dicts(report.scores["reliability"])
        if isinstance(row["mean_probability"], float) and isinstance(row["true_share"], float)
    ]
    error = report.scores["expected_calibration_error"]
    told = f"expected calibration error {error:.4f}" if isinstance(error, float) else "no pixels"
    diagonal = _path([Point(0, 0), Point(1, 1)], "ideal")
    dots = "".join(f'<circle class="dot" cx="{_x(p)}" cy="{_y(p)}" r="3.5"/>' for p in points)
    return _figure(
        "plot-reliability",
        diagonal + _path(points, "line") + dots,
        ("stated probability", "share that was true"),
        f"Reliability of pixels, 15 bins: on the dashed line, probabilities come true; {told}.",
    )


def _f_curve(report: EvaluationReport) -> str:
    curve = report.scores["f_curve"]
    values = [v for v in curve if isinstance(v, float)] if isinstance(curve, list) else []
    points = [Point(float(t), v) for t, v in zip(THRESHOLDS, values, strict=True)]
    return _figure(
        "plot-f-curve",
        _path(points, "line"),
        ("threshold", "F (β² = 0.3)"),
        "F over the threshold, mean over the frames in which something sounds.",
    )


def _bars(report: EvaluationReport) -> str:
    groups = report.scores["per_category"] or report.scores.get("per_kind")
    named = list(groups.items()) if isinstance(groups, dict) else []
    bars = [(name, told["mean_iou"]) for name, told in named if told["mean_iou"] is not None]
    height = _BAR * max(1, len(bars)) + 12
    drawn = "".join(
        f'<text x="118" y="{_BAR * i + 20}" text-anchor="end">{escape(name[:18])}</text>'
        f'<rect class="bar" x="124" y="{_BAR * i + 8}" width="{260 * iou:.1f}" height="14"/>'
        f'<text x="{130 + 260 * iou:.1f}" y="{_BAR * i + 20}">{iou:.3f}</text>'
        for i, (name, iou) in enumerate(bars)
    )
    return (
        f'<figure><svg id="plot-classes" width="{WIDTH}" height="{height}" role="img">{drawn}</svg>'
        "<figcaption>Mean IoU by what sounds.</figcaption></figure>"
    )


def _strips(report: EvaluationReport) -> str:
    strips = "".join(
        f'<figure class="strip"><img alt="{escape(strip.caption)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(strip.jpeg).decode()}">'
        f"<figcaption>{escape(strip.caption)}</figcaption></figure>"
        for strip in report.worst
    )
    what = "clips" if report.scored == "frames" else "seconds"
    return (
        f"<h2>Worst {what}</h2><p>Green is right, red is marked and does not sound, blue sounds "
        f'and is not marked.</p><div class="plots" id="worst">{strips}</div>'
    )


def _figure(name: str, drawn: str, axes: tuple[str, str], caption: str) -> str:
    below, left = axes
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    ticks = "".join(
        f'<text x="{_x(Point(k / 5, 0))}" y="{bottom + 16}" text-anchor="middle">{k / 5:g}</text>'
        f'<text x="{MARGIN - 6}" y="{_y(Point(0, k / 5))}" text-anchor="end">{k / 5:g}</text>'
        for k in range(6)
    )
    return (
        f'<figure><svg id="{name}" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f'<path class="axis" fill="none" d="M{MARGIN} {MARGIN}V{bottom}H{right}"/>{ticks}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(below)}</text>'
        f'<text x="{MARGIN}" y="{MARGIN - 14}">{escape(left)}</text>{drawn}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _path(points: Sequence[Point], style: str) -> str:
    if not points:
        return ""
    places = "L".join(f"{_x(point)} {_y(point)}" for point in points)
    return f'<path class="{style}" d="M{places}"/>'


def _x(point: Point) -> str:
    return f"{MARGIN + point.x * (WIDTH - 2 * MARGIN):.1f}"


def _y(point: Point) -> str:
    return f"{HEIGHT - MARGIN - point.y * (HEIGHT - 2 * MARGIN):.1f}"


def _table(title: str, rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<h2>{escape(title)}</h2><table>{lines}</table>"


def _facts(report: EvaluationReport) -> list[tuple[str, str]]:
    parts = {
        "data": report.data,
        "checkpoint": report.checkpoint or {},
        "options": report.options,
        "device": report.device or {},
        "seconds": {name: f"{value:.1f}" for name, value in report.seconds.items()},
    }
    return [
        (f"{part}: {name}", str(value))
        for part, facts in parts.items()
        for name, value in facts.items()
    ]


def _dicts(values: object) -> list[dict[str, object]]:
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []
