"""What a run finds, frame by frame and at its end, as frozen dataclasses.

Times are float seconds named ``*_seconds`` on the presentation time line of the source.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from avscli.datatypes import AudioInfo, CheckpointInfo, UnheardTrack
from avscli.errors import ExitCode

if TYPE_CHECKING:
    from avscli.datatypes import FrameStamp, MediaInfo

CARRIED = "carried"  # flag of frames that were not looked at
FrameState = Literal["sounding", "nothing_sounds", "silent"]


@dataclass(frozen=True, slots=True)
class FrameConfidence:
    """How far one frame's mask can be trusted, all on the network's own grid.

    Attributes:
        score: 0…1; mean probability inside the mask, or 1 − the largest probability when the
            mask is empty.
        mean_probability: inside the mask; None when the mask is empty.
        entropy: mean binary entropy in bits over the frame, 0…1.
        stage_agreement: mean IoU of the coarser stages' masks with the finest one, 0…1.
        temporal_iou: IoU with the previous analysed frame's mask; None for the first.
        area_share: marked share of the display frame, 0…1.
        num_components: 8-connected regions in the mask.
        audio_dbfs: level of the sound around the frame (`PreparedBatch`); -inf for digital silence.
        selected: share of query positions each masked attention stage still asked the sound
            about, coarse to fine; empty for networks without such stages.
        flags: any of silent, mask_while_silent, flicker, flash, low_agreement, carried.
    """

    score: float
    mean_probability: float | None
    entropy: float
    stage_agreement: float
    temporal_iou: float | None
    area_share: float
    num_components: int
    audio_dbfs: float
    selected: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeardSound:
    """What one frame's sound may be.

    Attributes:
        name: of a source class.
        probability: 0…1, that this class makes what is heard.
    """

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class SoundingObject:
    """One object in one frame.

    Attributes:
        track_id: 1…, stable through a run.
        category_id: what this frame says it is, of the checkpoint's categories, which are stable
            across files.
        category_score: 0…1, how clearly it is this category.
        score: 0…1, mean mask probability in its region.
        track_category_id: what it is by all frames up to this one.
        category, track_category: names of the two; empty where only arrays are known
            (`avscli.objects`).
    """

    track_id: int
    category_id: int
    category_score: float
    score: float
    track_category_id: int
    category: str = ""
    track_category: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FramePrediction:
    """The result for one source frame.

    Attributes:
        stamp: the frame's place in the source.
        object_map: [H, W] uint8 at display size; 0 = nothing sounds here, n = objects[n - 1].
        objects: what sounds, and can be seen.
        heard: what the sound may be, the most probable first, whether it can be seen or not; empty
            where the network cannot tell.
        state: ``silent`` when the audio gate emptied the mask.
        interpolated: True when the mask is held from the last analysed frame.
        confidence: that analysed frame's confidence.
    """

    stamp: FrameStamp
    object_map: NDArray[np.uint8]
    objects: tuple[SoundingObject, ...]
    heard: tuple[HeardSound, ...]
    state: FrameState
    interpolated: bool
    confidence: FrameConfidence

    @property
    def is_looked_at(self) -> bool:
        """Whether the network was shown this frame, rather than one that its mask is from."""
        return not self.interpolated and CARRIED not in self.confidence.flags

    @property
    def label_map(self) -> NDArray[np.uint8]:
        """[H, W] uint8: 0 = nothing sounds here, c = an object of category c."""
        categories = (0, *(each.category_id for each in self.objects))
        return np.array(categories, np.uint8)[self.object_map]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """[H, W] bool: everything that sounds, whatever its class."""
        return self.object_map > 0

    def mask_of(self, track_id: int) -> NDArray[np.bool_]:
        """Return [H, W] bool: one object; nothing where the frame does not show it."""
        numbers = [n for n, each in enumerate(self.objects, 1) if each.track_id == track_id]
        return np.isin(self.object_map, numbers)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file has come; totals are None when the source does not declare them.

    `hashed_share`, 0…1, is how much of the source is hashed, while that alone is waited for.
    """

    frames_done: int
    frames_total: int | None
    media_seconds_done: float
    media_seconds_total: float | None
    hashed_share: float | None = None


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """A source as reports describe it: `MediaInfo` in plain JSON values, with its hash."""

    path: str
    container: str
    video_codec: str
    height: int
    width: int
    frame_rate: str | None
    num_frames: int | None
    duration_seconds: float | None
    start_seconds: float
    sample_aspect_ratio: str
    pixel_format: str
    interlaced: bool
    audio: AudioInfo | None
    num_audio_tracks: int
    sha256: str
    rotation_degrees: int
    unheard: UnheardTrack | None = None
    mirrored: bool = False  # older records do not say
    leftover_degrees: float = 0.0

    @classmethod
    def of(cls, media: MediaInfo, sha256: str) -> RecordedSource:
        """Describe a source whose bytes have this hash."""
        values = {each.name: getattr(media, each.name) for each in dataclasses.fields(media)}
        orientation = values.pop("orientation")
        del values["opened_path"]
        for key in ("path", "frame_rate", "sample_aspect_ratio"):
            values[key] = None if values[key] is None else str(values[key])
        return cls(**values, **dataclasses.asdict(orientation), sha256=sha256)


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One object of a run, over all its frames; times are seconds on the source's time line.

    Attributes:
        track_id: 1…
        category_id, category: what it is in most of its frames, by their scores.
        category_score: 0…1, mean over the frames in which it is that.
        heard: the sound that was the most probable while it sounded; empty when unknown.
        first_seconds, last_seconds: when it starts and when it is over.
        sounding_seconds: length of all intervals.
        intervals: starts and ends of the stretches in which it sounds.
        mean_score: 0…1, mean mask probability.
        mean_area: pixels.
        flags: of any of its frames.
    """

    track_id: int
    category_id: int
    category: str
    category_score: float
    heard: str
    first_seconds: float
    last_seconds: float
    sounding_seconds: float
    intervals: tuple[tuple[float, float], ...]
    mean_score: float
    mean_area: float
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewOfObject:
    """What a reviewer made of one object.

    Attributes:
        track_id: 1…
        state: ``accepted`` or ``rejected`` as a whole; else ``undecided``.
        decided_by: ``reviewer`` where any decision is about it, in this review or an earlier one;
            ``network`` where it is as it was found.
        decisions: those about it, and about what became part of it, counted from 1.
    """

    track_id: int
    state: Literal["undecided", "accepted", "rejected"]
    decided_by: Literal["reviewer", "network"]
    decisions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """How a run was corrected by a person.

    Attributes:
        review_sha256: of review.json.
        tool: name and version of the program that carried it out.
        run_id: of the run that was corrected.
        journal_sha256: of its frames.jsonl.
        new_categories: id and name of what the checkpoint does not know.
        objects: of the corrected run, and those that were rejected.
        off_screen: first and last of the analysed frames in which nothing visible makes the sound.
        decisions: as in review.json, in its order.
        earlier: how the run that was corrected had been corrected before.
    """

    review_sha256: str
    tool: Mapping[str, str]
    run_id: str
    journal_sha256: str
    new_categories: tuple[tuple[int, str], ...]
    objects: tuple[ReviewOfObject, ...]
    off_screen: tuple[tuple[int, int], ...]
    decisions: tuple[Mapping[str, Any], ...]
    earlier: ReviewRecord | None = None


@dataclass(frozen=True, slots=True)
class SegmentationReport:
    """The end of one ``avs segment`` run: exactly what run.json holds and ``--json`` prints.

    Attributes:
        files: names of what is in the run's folder.
        failed_outputs: why there is none, by the name of each output (as in ``--write``) that was
            asked for and could not be made.
        overlay_offset_seconds: what to add to a time in the overlay to get the source's; None
            without an overlay.
        objects: what sounds, and when.
        review: how it was corrected; None of what a network alone has said.
    """

    schema_version: int
    status: Literal["done", "truncated"]
    run_id: str
    date_created: str
    tool: Mapping[str, str]
    source: RecordedSource
    checkpoint: CheckpointInfo
    options: Mapping[str, Any]
    device: Mapping[str, Any]
    num_frames: int
    num_analysed_frames: int
    sounding_share: float
    mean_score: float
    timings_seconds: Mapping[str, float]
    warnings: tuple[str, ...]
    output: str
    files: tuple[str, ...]
    failed_outputs: Mapping[str, str] = field(default_factory=dict)  # runs of 0.1.0 knew none
    overlay_offset_seconds: float | None = None
    objects: tuple[ObjectSummary, ...] = ()  # runs of version 1 followed none
    review: ReviewRecord | None = None

    @property
    def sounding(self) -> str:
        """What sounds for how long, the longest first, for people: ``dog 7.4 s, person 2.1 s``."""
        seconds: dict[str, float] = {}
        for each in self.objects:
            seconds[each.category] = seconds.get(each.category, 0.0) + each.sounding_seconds
        longest = sorted(seconds.items(), key=lambda item: -item[1])
        return ", ".join(f"{' '.join(name.split())} {total:.1f} s" for name, total in longest)

    @property
    def exit_code(self) -> ExitCode:
        """What to tell the shell."""
        return ExitCode.INCOMPLETE if self.failed_outputs else ExitCode.OK
