"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from avscli.config import (
    CHOSEN_ARTIFACTS,
    ArtifactName,
    DevicePrecision,
    FrameRate,
    NoAudioPolicy,
    Preference,
    ReadOptions,
    SegmentOptions,
    Shard,
)


def parse_time(text: str) -> float:
    """Read seconds from ``90``, ``1:30`` or ``00:01:30.5``.

    >>> parse_time("1:30")
    90.0
    """
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < math.inf for part in parts):
        raise typer.BadParameter(f"{text!r} is not a time; write 90, 1:30 or 00:01:30.5")
    seconds = 0.0
    for part in parts:
        seconds = 60.0 * seconds + part
    return seconds


def parse_fps(text: str) -> FrameRate:
    """Read a rate; ``native`` is 0, which stands for every frame.

    >>> parse_fps("native"), parse_fps("auto"), parse_fps("2.5")
    (0.0, 'auto', 2.5)
    """
    if text == "auto":
        return "auto"
    if text == "native":
        return 0.0
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise typer.BadParameter(f"{text!r} is neither 'native' nor 'auto' nor a positive number")
    return rate


def parse_artifacts(text: str) -> tuple[ArtifactName, ...]:
    """Read a comma-separated choice of artifacts.

    >>> parse_artifacts("coco,csv")
    ('coco', 'csv')
    """
    names = split_list(text)
    unknown = [name for name in names if name not in CHOSEN_ARTIFACTS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of: {', '.join(CHOSEN_ARTIFACTS)}")
    return tuple(artifact for artifact in CHOSEN_ARTIFACTS if artifact in names)


def split_list(text: str) -> tuple[str, ...]:
    """Split a comma-separated list.

    >>> split_list("mp4, mkv,")
    ('mp4', 'mkv')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_shard(text: str) -> Shard:
    """Read ``I/N``.

    >>> parse_shard("2/8")
    Shard(index=2, count=8)
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal()):
        raise typer.BadParameter(f"--shard takes I/N, such as 2/8, not {text!r}")
    return Shard(int(index), int(count))


ALL_ARTIFACTS = ",".join(CHOSEN_ARTIFACTS)

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="Folder that receives <name.ext>/ per file.")
]
WeightsOption = Annotated[
    str, typer.Option("--weights", "-w", help="A shipped name (avs models list) or a file.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[
    DevicePrecision,
    typer.Option("--precision", help="Arithmetic of the network; auto keeps masks the same."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on stdout.", show_default="off")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, only problems.", show_default="off")
]
OverwriteOption = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an existing output folder.", show_default="off"),
]
NoAudioOption = Annotated[
    NoAudioPolicy,
    typer.Option("--no-audio", help="A file without sound is an error, or gives empty masks."),
]
TimeOption = Annotated[
    float | None,
    typer.Option(
        parser=parse_time,
        metavar="TIME",
        help="Seconds, 1:30 or 00:01:30.5.",
        show_default="the whole file",
    ),
]
BatchClipsOption = Annotated[
    int | None, typer.Option(help="Clips per network pass.", show_default="chosen by device")
]
FpsOption = Annotated[
    float,
    typer.Option(
        parser=parse_fps,
        metavar="native|auto|FLOAT",
        help="Analysed frames per second; those between hold the mask. auto: as many as it takes, "
        "masks move along between.",
    ),
]
PreferOption = Annotated[
    Preference,
    typer.Option(help="Miss little (recall), or stay empty for unseen sounds (precision)."),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(help="Probability that marks a pixel.", show_default="that of --prefer"),
]
RegionThresholdOption = Annotated[
    float | None,
    typer.Option(
        help="Probability that a region must reach somewhere, or it is dropped.",
        show_default="that of --prefer",
    ),
]
MinAreaOption = Annotated[
    float, typer.Option(help="Drop regions smaller than this share of the frame.")
]
AudioTrackOption = Annotated[int, typer.Option(help="Which audio track, counted from 0.")]
WriteOption = Annotated[
    str,
    typer.Option(
        parser=parse_artifacts,
        metavar="LIST",
        help="What to write beside the journal, objects and run.json: "
        f"{', '.join(CHOSEN_ARTIFACTS)}.",
    ),
]
LabelsOption = Annotated[
    bool, typer.Option("--labels/--no-labels", help="Name the objects in the overlay.")
]
OverlayHeightOption = Annotated[
    int | None,
    typer.Option(
        help="Scale the overlay down to so many rows, for those who only look.",
        show_default="the source's",
    ),
]


def segment_options(
    *,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch_clips: BatchClipsOption = None,
    fps: FpsOption = "native",  # type: ignore[assignment]  # Typer runs the parser over it
    start: TimeOption = None,
    end: TimeOption = None,
    prefer: PreferOption = "balanced",
    threshold: ThresholdOption = None,
    region_threshold: RegionThresholdOption = None,
    min_area: MinAreaOption = 0.0,
    audio_track: AudioTrackOption = 0,
    no_audio: NoAudioOption = "error",
    write: WriteOption = ALL_ARTIFACTS,
    labels: LabelsOption = True,
    overlay_height: OverlayHeightOption = None,
    overwrite: OverwriteOption = False,
) -> SegmentOptions:
    """Build what ``avs segment`` and ``avs batch`` can be told about each file."""
    return SegmentOptions(
        read=ReadOptions(
            fps=fps or None,
            start_seconds=start,
            end_seconds=end,
            audio_track=audio_track,
            no_audio=no_audio,
        ),
        prefer=prefer,
        threshold=threshold,
        region_threshold=region_threshold,
        min_area=min_area,
        device=device,
        precision=precision,
        batch_clips=batch_clips,
        write=write,  # type: ignore[arg-type]  # a tuple: Typer has run the parser
        labels=labels,
        overlay_height=overlay_height,
        overwrite=overwrite,
    )
