"""The `clips` protocol: real video by the second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.evaluation.rows import ratio
from avscli.evaluation.video.rows import VideoRow
from avscli.metrics.bootstrap import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avscli.evaluation.protocols import Json
    from avscli.evaluation.video.seconds import JudgedSecond

_OF_CLASSES = ("mean_iou", "boundary_f", "detection_recall")


class ClipsProtocol:
    """Every scored second counts once; keeps numbers of seconds, and no pixels.

    Args:
        source: told with the result.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self.rows: list[VideoRow] = []
        self._of_classes: dict[str, list[VideoRow]] = {}
        self._seconds: list[Json] = []

    def add(self, clip_id: str, seconds: Sequence[JudgedSecond]) -> None:
        """Add one video.

        Args:
            clip_id: its name.
            seconds: in time order.
        """
        self.rows.append(VideoRow.of(clip_id, seconds))
        visible = [second for second in seconds if second.label.sounds]
        for name in sorted({name for second in visible for name in second.label.classes}):
            of_class = [second for second in visible if name in second.label.classes]
            self._of_classes.setdefault(name, []).append(VideoRow.of(clip_id, of_class))
        self._seconds += [_told(clip_id, second) for second in seconds]

    def result(self) -> Json:
        """Return the scores, with 95 % intervals over videos, as plain JSON values."""
        scores = {name: ratio(self.rows, name) for name in VideoRow.MEASURES}
        return {
            "source": self._source,
            "num_clips": len(self.rows),
            **{name: sum(getattr(row, name) for row in self.rows) for name in VideoRow.TRUTH},
            "scores": {
                name: {"value": of_rows.value, "interval": interval(of_rows)}
                for name, of_rows in scores.items()
            },
            "per_category": {
                name: {
                    "num_clips": len(rows),
                    "num_seconds": sum(row.num_seconds for row in rows),
                    "num_masked": sum(row.num_masked for row in rows),
                    **{measure: ratio(rows, measure).value for measure in _OF_CLASSES},
                }
                for name, rows in sorted(self._of_classes.items())
            },
            "per_second": self._seconds,
        }


def _told(clip_id: str, second: JudgedSecond) -> Json:
    return {
        "clip_id": clip_id,
        "second": second.label.second,
        "state": second.label.state,
        "classes": list(second.label.classes),
        "num_frames": second.num_frames,
        "marked_frames": second.marked_frames,
        "marked_share": second.marked_share,
        "is_marked": second.is_marked,
        "iou": None if second.overlap is None else second.overlap.iou,
        "boundary_f": second.boundary_f,
    }
