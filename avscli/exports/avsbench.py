"""AVSBench MS3, as docs/training.md lays it out: clips of five seconds to train on and to score.

Step k of a clip is the analysed frame of its second k that lies nearest to where AVSBench took its
own. Clips without a second are told and left out: the last one of most videos.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.errors import DataError
from avscli.evaluation.stored.pictures import SECONDS_INTO_STEP
from avscli.masks import decode_mask
from avscli.media.ffmpeg_jobs import write_wav
from avscli.media.frames import upright_pictures
from avscli.media.sound import MonoSound
from avscli.media.stills import png_bytes
from avscli.outputs.run_source import opened_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from avscli.config import ExportOptions, Split
    from avscli.datatypes import MediaInfo
    from avscli.exports.video import MarkedFrame, MarkedVideo
    from avscli.masks import LabelMap

STEPS = 5
VALIDATE_EVERY = 5  # of the clips, or of the videos where there are so many
_LONGEST_ID = 80


@dataclass(slots=True)
class _Clip:
    """Five seconds of one video.

    Attributes:
        clip_id: names its files.
        split: which one it belongs to.
        start_seconds: on the source's time line.
        steps: the frame of each second, by its number from 0.
    """

    clip_id: str
    split: Split
    start_seconds: float
    steps: dict[int, MarkedFrame] = field(default_factory=dict)


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write pictures, masks and sound of every whole clip; see `Writer.write`.

    Raises:
        DataError: a video is gone, or none is five seconds long.
    """
    found = [(video, clip) for video in videos for clip in _clips(video)]
    whole = [(video, clip) for video, clip in found if len(clip.steps) == STEPS]
    if not whole:
        raise DataError(
            f"no clip of AVSBench's form: none has an analysed frame in each of {STEPS} seconds",
            hint="segment with --fps 1 or more, without --start and --end around less than 5 s",
        )
    if len(whole) < len(found):
        on_note(f"{len(found) - len(whole)} clips are shorter than {STEPS} s, and left out")
    by_video: dict[int, list[_Clip]] = defaultdict(list)
    numbers = {video.name: number for number, video in enumerate(videos)}
    for number, (video, clip) in enumerate(whole):
        unit = numbers[video.name] if len(videos) >= VALIDATE_EVERY else number
        clip.split = options.split or ("train" if (unit + 1) % VALIDATE_EVERY else "val")
        by_video[numbers[video.name]].append(clip)
    for number, clips in by_video.items():
        _write_video(videos[number], clips, folder / "ms3_data")
    with (folder / "ms3_meta_data.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("video_id", "split"))
        table.writerows((clip.clip_id, clip.split) for _, clip in whole)


def _clips(video: MarkedVideo) -> list[_Clip]:
    """Choose the frames of a video's clips."""
    clips: dict[int, _Clip] = {}
    name, start = _plain(video.name), None
    for frame in video.frames():
        start = frame.seconds if start is None else start
        if frame.is_held:
            continue
        second = int(frame.seconds - start)
        number, step = divmod(second, STEPS)
        if number not in clips:
            clips[number] = _Clip(f"{name}_{number:04d}", "train", start + STEPS * number)
        steps, wanted = clips[number].steps, start + second + SECONDS_INTO_STEP
        if step not in steps or abs(frame.seconds - wanted) < abs(steps[step].seconds - wanted):
            steps[step] = frame
    return list(clips.values())


def _plain(name: str) -> str:
    """Return a name as AVSBench's programs can take it: one part, of letters, digits, ``._-``.

    >>> _plain("clip.mp4"), _plain("day/a,b.mp4")
    ('clip.mp4', 'day-a-b.mp4-9e66b629')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_LONGEST_ID]
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"


def _write_video(video: MarkedVideo, clips: Sequence[_Clip], root: Path) -> None:
    with opened_source(video.source, video.source_sha256) as media:
        _write_pictures(media, clips, root)
        _write_sound(media, clips, root)
    for clip in clips:
        masks = root / "gt_masks" / clip.split / clip.clip_id
        masks.mkdir(parents=True)
        for step, frame in clip.steps.items():
            path = masks / f"{clip.clip_id}_{step + 1}.png"
            path.write_bytes(png_bytes(255 * _marked(frame, video)))


def _marked(frame: MarkedFrame, video: MarkedVideo) -> LabelMap:
    marked = np.zeros(video.size_hw, np.uint8)
    for each in frame.objects:
        marked |= decode_mask(each.mask.size_hw, each.mask.counts).view(np.uint8)
    return marked


def _write_pictures(media: MediaInfo, clips: Sequence[_Clip], root: Path) -> None:
    paths = {}
    for clip in clips:
        place = root / "visual_frames" / clip.clip_id
        place.mkdir(parents=True)
        for step, frame in clip.steps.items():
            paths[frame.index] = place / f"{clip.clip_id}_{step + 1}.png"
    for picture in upright_pictures(media, paths.keys()):
        paths[picture.stamp.index].write_bytes(png_bytes(picture.rgb))


def _write_sound(media: MediaInfo, clips: Sequence[_Clip], root: Path) -> None:
    if media.audio is None:
        for clip in clips:
            _write_wav(np.zeros(STEPS * SAMPLE_RATE_HZ, np.float32), clip, root)
        return
    with closing(MonoSound(media, lambda _told: None)) as sound:
        for clip in clips:
            track = sound.stretch(clip.start_seconds, clip.start_seconds + STEPS)
            _write_wav(track.samples, clip, root)


def _write_wav(samples: NDArray[np.float32], clip: _Clip, root: Path) -> None:
    place = root / "audio_wav" / clip.split
    place.mkdir(parents=True, exist_ok=True)
    write_wav(place / f"{clip.clip_id}.wav", samples, SAMPLE_RATE_HZ)
