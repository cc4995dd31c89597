"""Mattes: ``NAME.webm`` or ``NAME.mov``, what sounds cut out of the video, or white on black."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.errors import DataError
from avscli.exports.places import file_for
from avscli.masks import decode_mask
from avscli.media.matte_writer import matte_suffix, write_matte
from avscli.outputs.run_source import opened_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedFrame, MarkedVideo
    from avscli.masks import LabelMap

_OPAQUE = 255
_SIGMAS = 4  # a soft edge of some width is that many standard deviations wide


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write a video per video; see `Writer.write`.

    Raises:
        DataError: a video is gone, or has no track of that number.
    """
    for video in videos:
        if options.track is not None:
            _require_track(video, options.track)
        alphas = _Alphas(video, options)
        with opened_source(video.source, video.source_sha256) as media:
            target = file_for(video, folder, matte_suffix(options.video))
            zero = write_matte(media, target, options.video, alphas.of, on_note)
        alphas.require_all_asked()
        if zero:
            on_note(f"{video.name}: the matte plays from 0; add {float(zero):g} s for source times")


def _require_track(video: MarkedVideo, track_id: int) -> None:
    known = {each.track_id for frame in video.frames() for each in frame.objects}
    if track_id not in known:
        told = ", ".join(map(str, sorted(known)[:20])) or "none"
        raise DataError(f"{video.name} has no track {track_id}", hint=f"its tracks are: {told}")


class _Alphas:
    """Gives the alpha of one frame after the other."""

    def __init__(self, video: MarkedVideo, options: ExportOptions) -> None:
        self._options, self._video = options, video
        self._frames = video.frames()
        self._next = next(self._frames, None)

    def of(self, index: int) -> LabelMap | None:
        """Return the alpha of a frame; None before and after the range that was segmented."""
        if self._next is None or self._next.index != index:
            return None
        frame, self._next = self._next, next(self._frames, None)
        return self._alpha(frame)

    def require_all_asked(self) -> None:
        """Make sure that the video had every frame of the run.

        Raises:
            DataError: it ended before.
        """
        if self._next is not None:
            raise DataError(
                f"{self._video.source} has no frame {self._next.index} any more",
                hint="has it been replaced?",
            )

    def _alpha(self, frame: MarkedFrame) -> LabelMap:
        alpha = np.zeros(self._video.size_hw, np.uint8)
        for each in frame.objects:
            if self._options.track in (None, each.track_id):
                alpha[decode_mask(each.mask.size_hw, each.mask.counts)] = _OPAQUE
        if self._options.feather:
            sigma = self._options.feather / _SIGMAS
            alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.uint8)
        return _OPAQUE - alpha if self._options.invert else alpha
