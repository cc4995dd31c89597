"""How a single file or the demo went."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from avscli.console.messages import note, result, result_json
from avscli.errors import ExitCode

if TYPE_CHECKING:
    from avscli.demo import DemoReport
    from avscli.results import SegmentationReport


def show_report(report: SegmentationReport, *, as_json: bool, quiet: bool) -> None:
    """Tell how a file went on stderr, and give its folder (or the whole report) on stdout."""
    if not quiet:
        seconds = report.timings_seconds["total"]
        note(
            f"{report.num_frames} frames ({report.num_analysed_frames} analysed) in "
            f"{seconds:.1f} s on {report.device['device']} {report.device['precision']}; "
            f"something sounds in {report.sounding_share:.0%}, "
            f"mean score {report.mean_score:.2f}"
        )
        if report.sounding:
            note(report.sounding)
    if as_json:
        result_json(asdict(report))
    else:
        result(report.output)


def show_demo(report: DemoReport) -> None:
    """Tell on stdout how the demo went and where to look."""
    if report.mean_iou is not None:
        result(
            f"mean IoU {report.mean_iou:.3f} over {report.num_sounding_frames} frames "
            "in which something visible sounds"
        )
    if report.empty_share is not None:
        result(
            f"no mask in {report.empty_share:.1%} of {report.num_silent_frames} frames "
            "in which nothing visible sounds"
        )
    if report.exit_code is ExitCode.OK:
        result(f"watch {report.output}/overlay.mp4")
