"""The domain as frozen dataclasses: what flows between the rooms of avscli.

Times are float seconds named ``*_seconds`` on the presentation time line of the source.
Sizes are ``(height, width)`` and refer to the *display* frame (mirrored and turned as the file
says) unless a name says ``network``. Waveforms are mono float32 in [-1, 1].
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from avscli.errors import UsageError
from avscli.json_values import decoded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

Task = Literal["binary", "semantic"]
ResizeMode = Literal["squash", "keep_aspect"]
Padding = Literal["repeat_last", "zeros_with_flag"]
LogMel = Literal["vggish", "efficientat"]
PixelT = TypeVar("PixelT", bound=np.generic)
JsonScalar = str | int | float | bool

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 15_600  # 0.975 s: exactly one VGGish patch of 96 frames (networks.md, front end)
VOID = 255  # in masks and label maps of the truth: a pixel about which nothing is known
LONGEST_CLIP = 1000  # steps; a spec that asks for more is damaged, and would fill the memory
LONGEST_SIDE = 4096  # pixels of a network's input; likewise
UNKNOWN_CATEGORY = "unknown"  # of objects that no named source explains
BALANCED = "balanced"  # the operating point of a spec that is used unless another is asked for
# What no source class could make by this probability is not looked for. Of avsmix's validation
# pairs and the foreign ones a tenth fall below; the surest pixel of these had a logit of −8.5.
LEAST_SOURCE = 0.05
FURTHEST_SECONDS = 60.0  # from a step, that a network may hear: files are read ahead by this


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """One audio track of a file, as its container and codec describe it."""

    track: int
    codec: str
    sample_rate_hz: int
    num_channels: int
    start_seconds: float
    duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class UnheardTrack:
    """The chosen audio track of a file, where it gives no sound.

    Attributes:
        track: zero-based, among the file's audio tracks.
        why: what is wrong with it, as the end of a sentence about it.
        is_empty: there is no sound in it, rather than sound that cannot be had.
        others: tracks that can be chosen instead.
    """

    track: int
    why: str
    is_empty: bool
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes the displayed one: mirrored left to right, then turned.

    Together the two say all eight ways in which a picture can lie.

    Attributes:
        rotation_degrees: clockwise turn, after mirroring.
        mirrored: whether left and right are swapped first, as front cameras do.
        leftover_degrees: what the file declares beyond `rotation_degrees`, clockwise; not applied,
            as pixels would have to be made up.
    """

    rotation_degrees: Literal[0, 90, 180, 270] = 0
    mirrored: bool = False
    leftover_degrees: float = 0.0

    @property
    def swaps_sides(self) -> bool:
        """Whether the height of the stored picture is the width of the displayed one."""
        return self.rotation_degrees in (90, 270)

    @property
    def is_upright(self) -> bool:
        """Whether stored and displayed pictures are the same."""
        return self.rotation_degrees == 0 and not self.mirrored

    def applied_to(self, stored: NDArray[PixelT]) -> NDArray[PixelT]:
        """Return the displayed picture, [H, W, …] of a stored [h, w, …], as a view.

        Example:
            >>> Orientation(90, mirrored=True).applied_to(np.array([[1, 2], [3, 4]])).tolist()
            [[4, 2], [3, 1]]
        """
        unmirrored = stored[:, ::-1] if self.mirrored else stored
        return np.rot90(unmirrored, -self.rotation_degrees // 90)


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A video file as probed, before any frame is decoded.

    Attributes:
        path: the file as results and messages name it.
        opened_path: what is decoded: the file itself, or a temporary copy of its streams in a
            container that PyAV knows.
        height, width: size of a display frame in pixels, in display orientation; not scaled by
            the sample aspect ratio.
        frame_rate: average frames per second; None when the container does not say.
        num_frames: None when unknown, never 0.
        duration_seconds: declared length; None when the container does not say.
        start_seconds: presentation time of the first video frame as declared.
        orientation: what is done to decoded frames to get display frames.
        sample_aspect_ratio: width of a displayed pixel over its height, after rotation.
        audio: the chosen audio track, None when the file has none, or none that gives sound.
        num_audio_tracks: how many audio tracks the file has.
        unheard: why the chosen track gives no sound; None when it does, or when there is none.
    """

    path: Path
    opened_path: Path
    container: str
    video_codec: str
    height: int
    width: int
    frame_rate: Fraction | None
    num_frames: int | None
    duration_seconds: float | None
    start_seconds: float
    orientation: Orientation
    sample_aspect_ratio: Fraction
    pixel_format: str
    interlaced: bool
    audio: AudioInfo | None
    num_audio_tracks: int
    unheard: UnheardTrack | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"frame size must be positive, got {self.height}×{self.width}")
        if self.num_frames is not None and self.num_frames < 1:
            raise ValueError("num_frames must be positive, or None when unknown")


@dataclass(frozen=True, slots=True)
class FrameStamp:
    """Where a frame sits in its source.

    Attributes:
        index: zero-based position in presentation order, counted from the file's first frame.
        pts: presentation timestamp in units of the video stream's time base.
        pts_seconds: the same in seconds.
    """

    index: int
    pts: int
    pts_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class AudioTrack:
    """A stretch of mono sound on the time line of its source.

    Attributes:
        samples: [N] float32 in [-1, 1].
        sample_rate_hz: samples per second.
        start_seconds: time of the first sample.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    start_seconds: float

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(
                f"samples must be [N] float32, got {self.samples.shape} {self.samples.dtype}"
            )

    def __repr__(self) -> str:
        return f"AudioTrack({len(self.samples)} samples from {self.start_seconds:.3f} s)"


@dataclass(frozen=True, slots=True, eq=False)
class PatchTrack:
    """Sound that is stored as one log-mel patch a second, as published data sets do.

    Attributes:
        log_mel: [N, 1, 96, 64] float32, the VGGish patch of second k at place k.
        levels_dbfs: [N] float64 level of the sound in each patch; -inf for digital silence, nan
            where only the patch is known.
        windows: [N, 15600] float32, the sound of each patch, for networks that take other log-mel;
            None where only patches are stored.
    """

    log_mel: NDArray[np.float32]
    levels_dbfs: NDArray[np.float64]
    windows: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.log_mel.ndim != 4 or self.log_mel.shape[1:] != (1, 96, 64):
            raise ValueError(f"log_mel must be [N, 1, 96, 64], got {self.log_mel.shape}")
        if self.levels_dbfs.shape != self.log_mel.shape[:1]:
            raise ValueError(f"{len(self.log_mel)} patches, {len(self.levels_dbfs)} levels")
        if self.windows is not None and self.windows.shape != (len(self.log_mel), WINDOW_SAMPLES):
            raise ValueError(f"{len(self.log_mel)} patches, windows {self.windows.shape}")

    def taken(self, places: NDArray[np.int64]) -> PatchTrack:
        """Return the patches at some places, in that order."""
        windows = None if self.windows is None else self.windows[places]
        return PatchTrack(self.log_mel[places], self.levels_dbfs[places], windows)

    def nearest(self, pts_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return [n] int64: the patch of each time; beyond the ends, the first and the last."""
        return np.rint(pts_seconds).astype(np.int64).clip(0, len(self.log_mel) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedFrame:
    """One frame the network looks at, with the frames after it that will hold its mask.

    Attributes:
        stamp: the frame's place in the source.
        sequence: zero-based position among all analysed frames, in time order.
        held: stamps of the frames between this analysed frame and the next.
        stands_for: seconds around the frame, from its time, whose sound it is judged by; None for
            all of its window of sound, as for a picture that is paired with a sound.
    """

    stamp: FrameStamp
    sequence: int
    held: tuple[FrameStamp, ...] = ()
    stands_for: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """T frames that the network sees together, with the sound around them.

    Attributes:
        frames: [T, 3, h, w] uint8 RGB at network size, in display orientation.
        analysed: the valid frames' places in the source, one per valid step.
        audio: sound covering every frame's centred window, and those at the network's offsets
            from it, as far as the track reaches; or stored patches of the seconds.
        valid: [T] bool, False where a step is padding.
    """

    frames: NDArray[np.uint8]
    analysed: tuple[AnalysedFrame, ...]
    audio: AudioTrack | PatchTrack
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be [T,3,h,w] uint8, got {self.frames.shape} {self.frames.dtype}"
            )
        if self.valid.shape != (len(self.frames),) or self.valid.dtype != np.bool_:
            raise ValueError(f"valid must be [{len(self.frames)}] bool, got {self.valid.shape}")
        if int(self.valid.sum()) != len(self.analysed):
            raise ValueError("every valid step needs its AnalysedFrame, padding has none")

    def __repr__(self) -> str:
        first = self.analysed[0].stamp.pts_seconds if self.analysed else float("nan")
        return f"Clip({self.frames.shape} from {first:.3f} s, {len(self.analysed)} valid)"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Where probabilities are cut: how readily something is marked.

    Attributes:
        threshold: probability at or above which a pixel is marked.
        region_threshold: probability that some pixel of a connected region must reach, or the
            region is dropped; binary networks only, 0 keeps all.
    """

    threshold: float
    region_threshold: float

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold must lie in (0, 1), got {self.threshold}")
        if not 0.0 <= self.region_threshold < 1.0:
            raise ValueError(f"region_threshold must lie in [0, 1), got {self.region_threshold}")


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What a network expects and promises; it travels in the checkpoint.

    Attributes:
        network: registry name of the architecture, for example ``pcmanet``.
        task: ``binary`` masks, or ``semantic`` label maps.
        clip_length: T, the number of steps seen together.
        seconds_per_step: time between the steps of a clip.
        frame_size_hw: network input size; with ``keep_aspect`` its area is kept and its sides
            follow the source, rounded to multiples of 32.
        pixel_mean, pixel_std: per RGB channel, on pixels in [0, 1].
        num_classes: C, channels of the logits (1 for ``binary``).
        class_names: C names, index = channel.
        padding: how steps beyond the end of a source are filled.
        log_mel: which log-mel patches it takes, a name of `avscli.audio.front_end.FRONT_ENDS`.
        sound_offsets_seconds: moments around each step whose sound the network hears as well.
        threshold, region_threshold: see `OperatingPoint`; these hold unless others are asked for.
        temperature: divides the logits before the sigmoid or softmax.
        architecture: constructor settings of the network (backbone, channels, variant …).
        operating_points: choices of both thresholds by what is preferred; older checkpoints have
            none. ``balanced``, where it is among them, is what holds anyway.
    """

    network: str
    task: Task
    clip_length: int
    seconds_per_step: float
    frame_size_hw: tuple[int, int]
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    resize_mode: ResizeMode
    num_classes: int
    class_names: tuple[str, ...]
    padding: Padding
    threshold: float = 0.5
    temperature: float = 1.0
    region_threshold: float = 0.0
    sound_offsets_seconds: tuple[float, ...] = ()
    log_mel: LogMel = "vggish"
    architecture: Mapping[str, JsonScalar] = field(default_factory=dict)
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.clip_length <= LONGEST_CLIP:
            raise ValueError(f"clip_length must lie in 1 … {LONGEST_CLIP}, got {self.clip_length}")
        if not 0.0 < self.seconds_per_step < math.inf:
            raise ValueError(f"seconds_per_step must be positive, got {self.seconds_per_step}")
        if not all(1 <= side <= LONGEST_SIDE for side in self.frame_size_hw):
            raise ValueError(
                f"frame_size_hw must lie in 1 … {LONGEST_SIDE}, got {list(self.frame_size_hw)}"
            )
        if not all(std > 0.0 for std in self.pixel_std):
            raise ValueError(f"pixel_std must be positive, got {list(self.pixel_std)}")
        if not 1 <= self.num_classes <= 256 or (self.task == "binary") != (self.num_classes == 1):
            raise ValueError(f"a {self.task} network cannot have {self.num_classes} classes")
        if len(self.class_names) != self.num_classes:
            raise ValueError(f"{self.num_classes} classes need as many names")
        if self.temperature <= 0.0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        balanced = OperatingPoint(self.threshold, self.region_threshold)
        if self.operating_points.get(BALANCED, balanced) != balanced:
            raise ValueError(f"operating_points.{BALANCED} must equal {balanced}")
        if not all(0.0 < abs(s) <= FURTHEST_SECONDS for s in self.sound_offsets_seconds):
            raise ValueError(
                f"sound_offsets_seconds must not be 0, nor further than ±{FURTHEST_SECONDS:g}, "
                f"got {list(self.sound_offsets_seconds)}"
            )

    @property
    def source_classes(self) -> tuple[str, ...]:
        """Names of the sources that the network tells apart beside its mask; mostly none."""
        stated = str(self.architecture.get("source_classes") or "")
        return tuple(stated.split(",")) if stated else ()

    @property
    def categories(self) -> Mapping[int, str]:
        """What objects can be, by id from 1 up.

        Semantic networks have their classes, networks with named sources these and "unknown" as
        the last, all others a single one.
        """
        if self.task == "semantic":
            return {label: name for label, name in enumerate(self.class_names) if label > 0}
        if self.source_classes:
            return dict(enumerate((*self.source_classes, UNKNOWN_CATEGORY), start=1))
        return {1: "sounding_object"}

    def operating_point(self, preferred: str) -> OperatingPoint:
        """Return both thresholds by what is preferred; ``balanced`` is always there.

        Raises:
            UsageError: there is no such point.
        """
        if preferred == BALANCED:
            return OperatingPoint(self.threshold, self.region_threshold)
        if preferred not in self.operating_points:
            known = ", ".join(sorted({BALANCED, *self.operating_points}))
            raise UsageError(
                f"these weights have no operating point for --prefer {preferred}, only: {known}",
                hint="leave --prefer out, or set --threshold and --region-threshold yourself",
            )
        return self.operating_points[preferred]

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON values."""
        return dataclasses.asdict(self) | {"architecture": dict(self.architecture)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> NetworkSpec:
        """Rebuild a spec from `to_json` values.

        Raises:
            ValueError: a field is missing, unknown, or out of its range.
        """
        return decoded(cls, values)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkInput:
    """A batch ready for a network.

    Attributes:
        frames: [B, T, 3, h, w] float32, normalised by the spec's mean and std.
        log_mel: [B, T, 1 + S, ·, ·] float32 log-mel patches of the spec's kind ([96, 64] VGGish's,
            [128, 98] EfficientAT's): of each step's own window, then of those at the spec's S
            ``sound_offsets_seconds`` from it; no patches, [B, T, 0, ·, ·], where there are
            embeddings.
        valid: [B, T] bool, False where a step is padding.
        embeddings: [B, T, 1 + S, D] float32, what the network's own ``encode_sound`` makes of these
            patches, when that is known already.
        silent: [B, T] bool, steps too quiet for anything to be marked there, padding among them.
            When given, a network need not look at these, nor where it hears nothing that it could
            show; without it, it looks at every step.
    """

    frames: Tensor
    log_mel: Tensor
    valid: Tensor
    embeddings: Tensor | None = None
    silent: Tensor | None = None

    def to(self, device: str) -> NetworkInput:
        """Return the same batch on another device."""
        return self.of_each(lambda values: values.to(device))

    def of_each(self, change: Callable[[Tensor], Tensor]) -> NetworkInput:
        """Return the batch with every tensor changed in the same way: moved, or cut by clips."""
        embeddings, silent = (
            None if values is None else change(values) for values in (self.embeddings, self.silent)
        )
        return NetworkInput(
            change(self.frames), change(self.log_mel), change(self.valid), embeddings, silent
        )


@dataclass(frozen=True, slots=True, eq=False)
class SourceLogits:
    """Which of K source classes are seen where, and which may make the sound.

    Attributes:
        picture: [B, T, 1 + K, h, w] float32, softmax over "none of them" and the K classes.
        sound: [B, T, K] float32, a sigmoid each: could this class make what is heard?
    """

    picture: Tensor
    sound: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What an evidential network knows of every pixel, per supervised stage, finest first.

    Attributes:
        logits: each [B, T, C, h_k, w_k] float32 before the uncertainty lowers them.
        concentration: each [B, T, K, h_k, w_k] float32, at least 1: parameters of a Dirichlet
            distribution over K classes, the background first; K is 2 where C is 1.
    """

    logits: tuple[Tensor, ...]
    concentration: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkOutput:
    """What every network returns.

    Attributes:
        stage_logits: one tensor per supervised stage, finest (stage 1) first, each
            [B, T, C, h_k, w_k] float32 before any upsampling to the source size.
        selected: [B, T, S] float32 share of query positions that each masked attention stage
            selected, coarse to fine (stages 4, 3, 2); S may be 0.
        sources: what picture and sound say of the named source classes, each by itself; None
            from networks that name none.
        heard: [B, T, 527] float32 logits of AudioSet's names, a sigmoid each; None from networks
            without a tagger.
        evidence: what the logits were lowered by; None from networks that are not evidential.
    """

    stage_logits: tuple[Tensor, ...]
    selected: Tensor
    sources: SourceLogits | None = None
    heard: Tensor | None = None
    evidence: Evidence | None = None

    def with_clips(self, chosen: Tensor, output: NetworkOutput) -> NetworkOutput:
        """Return these B clips with those chosen by [B] bool taken from another output."""

        def merged(ours: Tensor, theirs: Tensor) -> Tensor:
            ours = ours.clone()
            ours[chosen] = theirs
            return ours

        def each(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(merged(*stage) for stage in zip(ours, theirs, strict=True))

        sources = heard = evidence = None
        if self.sources is not None and output.sources is not None:
            sources = SourceLogits(
                merged(self.sources.picture, output.sources.picture),
                merged(self.sources.sound, output.sources.sound),
            )
        if self.heard is not None and output.heard is not None:
            heard = merged(self.heard, output.heard)
        if self.evidence is not None and output.evidence is not None:
            evidence = Evidence(
                each(self.evidence.logits, output.evidence.logits),
                each(self.evidence.concentration, output.evidence.concentration),
            )
        return NetworkOutput(
            each(self.stage_logits, output.stage_logits),
            merged(self.selected, output.selected),
            sources,
            heard,
            evidence,
        )

    @property
    def logits(self) -> Tensor:
        """[B, T, C, h, w]: the finest stage, the one that becomes the mask."""
        return self.stage_logits[0]


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """Where a network's weights come from, as their file says."""

    name: str
    sha256: str
    num_parameters: int
    spec: NetworkSpec
    trained_on: tuple[str, ...]
    scores: Mapping[str, float]
    licence: str
    source: str
