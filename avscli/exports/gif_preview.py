"""A preview that fits into an issue or a mail: ``NAME.gif``, some seconds with their masks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from avscli.exports.places import file_for
from avscli.masks import NUM_COLOURS, colour_number, decode_mask, palette
from avscli.media.frames import upright_pictures
from avscli.media.gif_writer import write_gif
from avscli.outputs.run_source import opened_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedFrame, MarkedVideo

SECONDS = 6.0
FRAMES_PER_SECOND = 6.0
WIDTHS = (400, 280, 200, 140)  # the first one with which the file is small enough
MOST_BYTES = 3_000_000
_OPACITY = 0.5


class _Window(NamedTuple):
    """Frames of a few seconds, and in how many of them something sounds."""

    frames: tuple[MarkedFrame, ...]
    num_sounding: int


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write an animation per video; see `Writer.write`.

    Raises:
        DataError: a video is gone.
    """
    for video in videos:
        frames = _most_sounding(video)
        if not frames:
            on_note(f"{video.name}: has no frame to show")
            continue
        on_note(
            f"{video.name}: shows {frames[0].seconds:.1f} to {frames[-1].seconds:.1f} s, "
            f"{FRAMES_PER_SECOND:g} frames a second at most"
        )
        _write_video(video, frames, file_for(video, folder, ".gif"))


def _most_sounding(video: MarkedVideo) -> tuple[MarkedFrame, ...]:
    """Return the frames of the first stretch in which something sounds most often."""
    kept: deque[MarkedFrame] = deque()
    best = _Window((), -1)
    for frame in video.frames():
        if kept and frame.seconds - kept[-1].seconds < 0.999 / FRAMES_PER_SECOND:
            continue
        kept.append(frame)
        while frame.seconds - kept[0].seconds > SECONDS:
            kept.popleft()
        num_sounding = sum(bool(each.objects) for each in kept)
        if (num_sounding, len(kept)) > (best.num_sounding, len(best.frames)):
            best = _Window(tuple(kept), num_sounding)
    return best.frames


def _write_video(video: MarkedVideo, frames: Sequence[MarkedFrame], path: Path) -> None:
    width = video.size_hw[1]
    by_index = {frame.index: frame for frame in frames}
    widest = min(WIDTHS[0], width)
    pictures = []
    with opened_source(video.source, video.source_sha256) as media:
        for picture in upright_pictures(media, by_index.keys()):
            marked = _marked(picture.rgb, by_index[picture.stamp.index])
            pictures.append(_narrowed(marked, widest))
    times = [frame.seconds for frame in frames]
    for narrow in sorted({min(each, width) for each in WIDTHS}, reverse=True):
        write_gif(path, [_narrowed(picture, narrow) for picture in pictures], times)
        if path.stat().st_size <= MOST_BYTES:
            return


def _marked(rgb: NDArray[np.uint8], frame: MarkedFrame) -> NDArray[np.uint8]:
    colours = palette(NUM_COLOURS)
    for each in frame.objects:
        mask = decode_mask(each.mask.size_hw, each.mask.counts)
        colour = colours[colour_number(each.track_id)].astype(np.float32)
        rgb[mask] = np.rint((1 - _OPACITY) * rgb[mask] + _OPACITY * colour)
    return rgb


def _narrowed(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    height = max(1, round(width * picture.shape[0] / picture.shape[1]))
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)
