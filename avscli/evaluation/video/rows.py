"""One row of sums per video, and the scores that are ratios of such sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from avscli.evaluation.rows import Measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avscli.evaluation.video.seconds import JudgedSecond

# Sound off screen counts by what makes it, silence by itself.
_OFF_SCREEN = ("voice", "music", "other")


@dataclass(slots=True)
class VideoRow:
    """Sums over the scored seconds of one video; those that are unclear count nowhere.

    A second is marked when at least half of the frames in its middle half are, by 1 % or more.

    Attributes:
        clip_id: the video.
        kind, category: nothing; rows of all data sets have them.
        num_seconds: scored.
        num_masked: seconds with a mask of what sounds visibly.
        iou, f_score, boundary_f: sums over those, at the frame nearest to the mask in time.
        num_sounding: seconds in which something visible sounds, with a mask or not.
        marked: of those.
        num_quiet: seconds in which nothing visible does, and
        kept_empty: of those, the ones not marked, and
        alarms: the ones marked.
        num_voice, num_music, num_other: of the quiet seconds, those with sound off screen,
        voice_kept_empty, music_kept_empty, other_kept_empty: not marked.
        num_silent, silent_kept_empty: of the quiet seconds, the silent ones.
        quiet_frames, quiet_frames_marked: analysed frames of the quiet seconds, all of each.
        marked_area: sum over quiet seconds of the mean marked share of their frames.
        num_onsets, onsets_found: from a quiet second to a sounding one, the next scored one;
            found when both are told right.
        num_offsets, offsets_found: from a sounding one to a quiet one.
    """

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "mean_iou": Measure(("iou",), ("num_masked",)),
        "f_score": Measure(("f_score",), ("num_masked",)),
        "boundary_f": Measure(("boundary_f",), ("num_masked",)),
        "j_and_boundary_f": Measure(("iou", "boundary_f"), ("num_masked",), 0.5),
        "kept_empty": Measure(("kept_empty",), ("num_quiet",)),
        "kept_empty_off_screen": Measure(
            tuple(f"{source}_kept_empty" for source in _OFF_SCREEN),
            tuple(f"num_{source}" for source in _OFF_SCREEN),
        ),
        **{
            f"kept_empty_{source}": Measure((f"{source}_kept_empty",), (f"num_{source}",))
            for source in (*_OFF_SCREEN, "silent")
        },
        "false_positive_rate": Measure(("quiet_frames_marked",), ("quiet_frames",)),
        "false_positive_area": Measure(("marked_area",), ("num_quiet",)),
        "seconds_right": Measure(("marked", "kept_empty"), ("num_sounding", "num_quiet")),
        "detection_precision": Measure(("marked",), ("marked", "alarms")),
        "detection_recall": Measure(("marked",), ("num_sounding",)),
        "detection_f": Measure(("marked",), ("marked", "alarms", "num_sounding"), 2.0),
        "switches_found": Measure(("onsets_found", "offsets_found"), ("num_onsets", "num_offsets")),
        "onsets_found": Measure(("onsets_found",), ("num_onsets",)),
        "offsets_found": Measure(("offsets_found",), ("num_offsets",)),
    }
    TRUTH: ClassVar[tuple[str, ...]] = (
        "num_seconds", "num_masked", "num_sounding", "num_quiet", "num_voice", "num_music",
        "num_other", "num_silent", "num_onsets", "num_offsets",
    )  # fmt: skip

    clip_id: str
    kind: str = "video"
    category: str | None = None
    num_seconds: int = 0
    num_masked: int = 0
    iou: float = 0.0
    f_score: float = 0.0
    boundary_f: float = 0.0
    num_sounding: int = 0
    marked: int = 0
    num_quiet: int = 0
    kept_empty: int = 0
    alarms: int = 0
    num_voice: int = 0
    voice_kept_empty: int = 0
    num_music: int = 0
    music_kept_empty: int = 0
    num_other: int = 0
    other_kept_empty: int = 0
    num_silent: int = 0
    silent_kept_empty: int = 0
    quiet_frames: int = 0
    quiet_frames_marked: int = 0
    marked_area: float = 0.0
    num_onsets: int = 0
    onsets_found: int = 0
    num_offsets: int = 0
    offsets_found: int = 0

    @classmethod
    def of(cls, clip_id: str, seconds: Sequence[JudgedSecond]) -> VideoRow:
        """Add up the judged seconds of one video, in time order."""
        row = cls(clip_id)
        scored = [second for second in seconds if second.label.is_scored]
        for second in scored:
            row._add(second)
        for before, after in pairwise(scored):
            row._add_switch(before, after)
        return row

    def _add(self, second: JudgedSecond) -> None:
        self.num_seconds += 1
        if second.overlap is not None and second.boundary_f is not None:
            self.num_masked += 1
            self.iou += second.overlap.iou
            self.f_score += second.overlap.f_score()
            self.boundary_f += second.boundary_f
        if second.label.sounds:
            self.num_sounding += 1
            self.marked += second.is_marked
        else:
            self._add_quiet(second)

    def _add_quiet(self, second: JudgedSecond) -> None:
        empty = not second.is_marked
        self.num_quiet += 1
        self.kept_empty += empty
        self.alarms += not empty
        self.quiet_frames += second.num_frames
        self.quiet_frames_marked += second.marked_frames
        self.marked_area += second.marked_share
        group = "silent" if second.label.state == "silent" else second.label.source
        for name, more in ((f"num_{group}", 1), (f"{group}_kept_empty", empty)):
            setattr(self, name, getattr(self, name) + more)

    def _add_switch(self, before: JudgedSecond, after: JudgedSecond) -> None:
        if before.label.sounds == after.label.sounds:
            return
        right = all(second.is_marked == second.label.sounds for second in (before, after))
        if after.label.sounds:
            self.num_onsets += 1
            self.onsets_found += right
        else:
            self.num_offsets += 1
            self.offsets_found += right

    @property
    def mean_iou(self) -> float | None:
        """J of this video; None without masks."""
        return self.iou / self.num_masked if self.num_masked else None
