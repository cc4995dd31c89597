"""confidence.csv: one row per source frame, for spreadsheets and plots."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Self

from avscli.outputs.disk import LineFile

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from avscli.results import FramePrediction

CONFIDENCE_NAME = "confidence.csv"
COLUMNS = (
    "frame",
    "time",
    "interpolated",
    "state",
    "score",
    "area_share",
    "num_components",
    "mean_probability",
    "entropy",
    "stage_agreement",
    "temporal_iou",
    "audio_dbfs",
    "selected",
    "flags",
)


class ConfidenceSink:
    """Writes confidence.csv.

    What a frame has no value for is left empty, digital silence is ``-inf``, flags are separated
    by semicolons, as are the ``selected`` shares of stages 4, 3, 2; held frames repeat their
    analysed frame's numbers.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = LineFile(folder / CONFIDENCE_NAME)
        self._rows = csv.writer(self._lines, lineterminator="")  # LineFile ends lines

    def __enter__(self) -> Self:
        """Create the file with its header."""
        self._lines.__enter__()
        self._rows.writerow(COLUMNS)
        return self

    def write(self, prediction: FramePrediction) -> None:
        """Append a frame.

        Raises:
            OutputError: the disk is full or gone.
        """
        self._rows.writerow(_row(prediction))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._lines.__exit__(kind, error, trace)


def _row(prediction: FramePrediction) -> tuple[str, ...]:
    """Return the values of `COLUMNS`, as text."""
    confidence = prediction.confidence
    return (
        str(prediction.stamp.index),
        f"{prediction.stamp.pts_seconds:.6f}",
        "true" if prediction.interpolated else "false",
        prediction.state,
        _share(confidence.score),
        _share(confidence.area_share),
        str(confidence.num_components),
        _share(confidence.mean_probability),
        _share(confidence.entropy),
        _share(confidence.stage_agreement),
        _share(confidence.temporal_iou),
        f"{confidence.audio_dbfs:.2f}",
        ";".join(_share(share) for share in confidence.selected),
        ";".join(confidence.flags),
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
