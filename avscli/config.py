"""Options of a run: frozen, validated once at the border, trusted inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from avscli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ArtifactName = Literal["coco", "overlay", "csv"]
Precision = Literal["fp32", "bf16", "fp16"]
DevicePrecision = Literal["auto", Precision]
NoAudioPolicy = Literal["error", "empty"]
ResumePolicy = Literal["auto", "off", "force"]
Hashing = Literal["quick", "full"]
Engine = Literal["local", "ray"]
Split = Literal["train", "val", "test"]
Marked = Literal["auto", "white", "black", "labels", "alpha", "crowds"]
Preference = Literal["recall", "balanced", "precision"]
FrameRate = float | Literal["auto"]
MatteKind = Literal["vp9", "prores", "white"]
EvalProtocol = Literal["avs", "clips", "network", "avsbench", "avss"]

EVAL_PROTOCOLS: tuple[EvalProtocol, ...] = get_args(EvalProtocol)
CHOSEN_ARTIFACTS: tuple[ArtifactName, ...] = get_args(ArtifactName)  # others are always made
DEFAULT_WEIGHTS = "pcmanet-mini"
SILENCE_DBFS = -60.0


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Which frames and which sound to read from a source.

    Attributes:
        fps: analysed frames per second; None analyses every frame ("native"); ``auto`` looks at
            as many as it takes, and carries masks to the others along what moves.
        start_seconds, end_seconds: half-open range [start, end) measured from the first
            video frame; None leaves that side open.
        audio_track: zero-based index among the file's audio tracks.
        no_audio: ``error`` refuses files without sound, ``empty`` treats them as silent.
    """

    fps: FrameRate | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    audio_track: int = 0
    no_audio: NoAudioPolicy = "error"

    def __post_init__(self) -> None:
        if isinstance(self.fps, float | int) and not 0.0 < self.fps <= 1000.0:
            raise UsageError(
                f"--fps must lie in (0, 1000] or be 'native' or 'auto', got {self.fps}"
            )
        if self.start_seconds is not None and self.start_seconds < 0:
            raise UsageError(f"--start must not be negative, got {self.start_seconds}")
        if self.end_seconds is not None and self.end_seconds <= (self.start_seconds or 0.0):
            raise UsageError("--end must come after --start")
        if self.audio_track < 0:
            raise UsageError(f"--audio-track counts from 0, got {self.audio_track}")

    def expected_seconds(self, declared: float | None) -> float | None:
        """Return how much of a source of some declared length is read; None when unknown.

        >>> ReadOptions(start_seconds=2.0).expected_seconds(5.0)
        3.0
        """
        if declared is None:
            return None
        end = declared if self.end_seconds is None else min(self.end_seconds, declared)
        return max(0.0, end - (self.start_seconds or 0.0))


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Everything ``avs segment`` can be told about one file.

    Attributes:
        read: which frames and sound.
        prefer: which of the checkpoint's pairs of thresholds: ``recall`` misses little,
            ``precision`` leaves the picture empty for sounds of what cannot be seen.
        threshold: probability at or above which a pixel is marked; None takes the preferred one.
        region_threshold: probability that some pixel of a region must reach; None takes the
            preferred one.
        min_area: connected regions smaller than this share of the frame are dropped.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: arithmetic of the network.
        batch_clips: clips per forward pass; None chooses by device.
        write: which artifacts to write beside run.json and frames.jsonl.
        labels: name the objects in the overlay.
        overlay_height: scale the overlay down to at most so many rows; None keeps the source's.
        overwrite: replace an existing output folder.
    """

    read: ReadOptions = ReadOptions()
    prefer: Preference = "balanced"
    threshold: float | None = None
    region_threshold: float | None = None
    min_area: float = 0.0
    device: str = "auto"
    precision: DevicePrecision = "auto"
    batch_clips: int | None = None
    write: tuple[ArtifactName, ...] = CHOSEN_ARTIFACTS
    labels: bool = True
    overlay_height: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.overlay_height is not None and not 64 <= self.overlay_height <= 4320:
            raise UsageError(
                f"--overlay-height must lie between 64 and 4320, got {self.overlay_height}"
            )
        if self.threshold is not None and not 0.0 < self.threshold < 1.0:
            raise UsageError(f"--threshold must lie in (0, 1), got {self.threshold}")
        if self.region_threshold is not None and not 0.0 <= self.region_threshold < 1.0:
            raise UsageError(f"--region-threshold must lie in [0, 1), got {self.region_threshold}")
        if not 0.0 <= self.min_area < 1.0:
            raise UsageError(f"--min-area is a share of the frame in [0, 1), got {self.min_area}")
        if self.batch_clips is not None and self.batch_clips < 1:
            raise UsageError(f"--batch-clips must be at least 1, got {self.batch_clips}")


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a batch that several machines share.

    Attributes:
        index: which part, 1 … count.
        count: how many parts there are.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UsageError(
                f"--shard {self.index}/{self.count} does not exist",
                hint="the parts of --shard I/N count from 1 to N",
            )


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Everything ``avs batch`` can be told besides the options of each file.

    Attributes:
        extensions: without dot, lower case; only these are taken from folders; empty takes all.
        exclude: patterns of names or relative paths that are not taken from folders.
        resume: ``auto`` skips results that are up to date, ``force`` every finished one,
            ``off`` none.
        hashing: ``quick`` knows a source by size, time and both ends, ``full`` by every byte.
        workers: how many processes; None chooses one per device, or per slot of a Ray cluster.
        devices: dealt to the workers in turn; empty leaves the device of the segment options.
        shard: the part of the batch that this run does.
        engine: ``local`` processes, or a ``ray`` cluster.
        ray_address: of a running cluster; None starts one on this machine.
        fail_fast: stop at the first file that fails.
        retries: how often a file is tried again after a failure that can pass.
        timeout_seconds: longest time for one file; None waits for ever.
        combine: also write one COCO file of all results.
        dry_run: plan only.
    """

    extensions: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    resume: ResumePolicy = "auto"
    hashing: Hashing = "quick"
    workers: int | None = None
    devices: tuple[str, ...] = ()
    shard: Shard = Shard()
    engine: Engine = "local"
    ray_address: str | None = None
    fail_fast: bool = False
    retries: int = 0
    timeout_seconds: float | None = None
    combine: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers must be at least 1, got {self.workers}")
        if self.retries < 0:
            raise UsageError(f"--retries must not be negative, got {self.retries}")
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            raise UsageError(f"--timeout must be positive, got {self.timeout_seconds}")
        if self.engine == "ray" and self.devices:
            raise UsageError(
                "--devices names devices of this machine; a Ray cluster hands out its own",
                hint="leave --devices out, or use --engine local",
            )
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError("--ray-address needs --engine ray")
        if self.combine and self.shard.count > 1:
            raise UsageError(
                "--combine joins the results of all parts, --shard does one of them",
                hint="once all parts are done, run the same command without --shard",
            )


@dataclass(frozen=True, slots=True)
class DataSelection:
    """Which part of which data set.

    Attributes:
        kind: of data set, see `avscli.datasets.registry`.
        root: its folder; generated scenes need none.
        split: which part of it.
        pairs: table of avsmix pairs relative to the root; None takes the split's.
        limit: the first so many samples only; None takes all.
    """

    kind: str
    root: Path | None = None
    split: Split = "test"
    pairs: Path | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.pairs is not None and self.kind != "avsmix":
            raise UsageError(f"--pairs belongs to --data avsmix, not {self.kind}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}")


@dataclass(frozen=True, slots=True)
class StoredOptions:
    """What the user knows of stored masks that their files do not say.

    Attributes:
        first: number that the files give to the first frame of a video; None, as they are matched
            by number: that of the other side.
        fps: frames per second at which they are numbered; None where that is the other side's.
        marked: what marks a pixel: in PNGs ``white``, ``black`` (inverted), ``labels`` (all but 0,
            255 void) or ``alpha``; ``crowds`` takes iscrowd of COCO files for objects; ``auto``
            finds out, and refuses files that can mean more than one mask.
    """

    first: int | None = None
    fps: float | None = None
    marked: Marked = "auto"

    def __post_init__(self) -> None:
        if self.first is not None and self.first < 0:
            raise UsageError(f"--gt-first and --pred-first count from 0 up, got {self.first}")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise UsageError(f"--gt-fps and --pred-fps must be positive, got {self.fps}")


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """How ``avs eval`` scores.

    Attributes:
        protocols: in the order in which they are printed; none takes the data's own: ``clips`` of
            real video, else ``avs``.
        protocol_batch: clips per batch of the ``avsbench`` protocol.
        prefer: which of the weights' pairs of thresholds, as in `SegmentOptions`.
        threshold: probability at or above which a pixel is marked; None takes the preferred one.
        counterfactual: also score the same samples with other sounds.
        fps, no_audio: of real video, as in `ReadOptions`.
        num_classes: of stored label maps; 2 takes everything above 0 as one.
        tolerance_seconds: how far apart the times of one frame may lie.
        predicted, true: how stored masks of each side are to be read.
    """

    protocols: tuple[EvalProtocol, ...] = ()
    protocol_batch: int = 1
    prefer: Preference = "balanced"
    threshold: float | None = None
    counterfactual: bool = False
    fps: FrameRate | None = None
    no_audio: NoAudioPolicy = "error"
    num_classes: int = 2
    tolerance_seconds: float = 0.05
    predicted: StoredOptions = StoredOptions()
    true: StoredOptions = StoredOptions()

    def __post_init__(self) -> None:
        if self.protocol_batch < 1:
            raise UsageError(f"--protocol-batch must be at least 1, got {self.protocol_batch}")
        if self.threshold is not None and not 0.0 < self.threshold < 1.0:
            raise UsageError(f"--threshold must lie in (0, 1), got {self.threshold}")
        if not 2 <= self.num_classes <= 255:
            raise UsageError(f"--classes counts the background: 2 … 255, got {self.num_classes}")
        if not self.tolerance_seconds >= 0:
            raise UsageError(f"--tolerance must not be negative, got {self.tolerance_seconds}")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How ``avs export`` writes.

    Attributes:
        overwrite: replace the folder of an earlier export.
        corrected: a file with the masks to take instead of the runs'.
        split: of ``avsbench``, which all clips belong to; None: every fifth is for validation.
        tolerance: of ``cvat-tracks``, the IoU with the last keyframe that needs no new one.
        video: of ``matte``, picture and alpha in VP9 or ProRes 4444, or the alpha in white.
        track: of ``matte``, the only one to show; None shows all.
        invert: of ``matte``, show what does not sound.
        feather: of ``matte``, width of its soft edge in pixels.
    """

    overwrite: bool = False
    corrected: Path | None = None
    split: Split | None = None
    tolerance: float = 1.0
    video: MatteKind = "vp9"
    track: int | None = None
    invert: bool = False
    feather: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.tolerance <= 1.0:
            raise UsageError(f"--tolerance is an IoU in (0, 1], got {self.tolerance}")
        if not 0.0 <= self.feather <= 1000.0:
            raise UsageError(f"--feather is a width in pixels, 0 … 1000, got {self.feather}")
