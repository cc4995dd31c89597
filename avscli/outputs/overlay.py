"""overlay.mp4: the source with its objects tinted and named, in a thread of its own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np

from avscli.errors import MediaError
from avscli.masks import NUM_COLOURS, colour_number
from avscli.media.planes import scaled_size
from avscli.media.video_writer import OverlayWriter
from avscli.outputs.labels import Labels
from avscli.outputs.tint import Tint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from avscli.config import ReadOptions
    from avscli.datatypes import FrameStamp, MediaInfo
    from avscli.media.frame_follower import FrameFollower
    from avscli.results import FramePrediction

OVERLAY_NAME = "overlay.mp4"
MAX_WAITING = 8  # predictions; 7 MB of label maps at 1280×720


class OverlaySink:
    """Writes overlay.mp4 beside the network: blending and encoding in one other thread.

    Frames queue up to `MAX_WAITING`; then `write` waits. What goes wrong in the thread is raised
    by the next `write`, or on leaving the block, which otherwise waits for the rest of the queue
    and for the finished file's check.

    Args:
        folder: of the run.
        media: the source.
        options: the range that predictions come from.
        frames: of that range, as far as those who predict decode them; None decodes them here.
        most_rows: height to scale down to; masks and labels are then drawn at that size.
        categories: names of what objects can be, by id; None draws no labels.
        on_warning: told about sound that had to be re-encoded or is damaged.
        on_offset: told, once the file is whole, the source seconds at which its time line starts.
    """

    def __init__(
        self,
        folder: Path,
        media: MediaInfo,
        options: ReadOptions,
        *,
        frames: FrameFollower | None = None,
        most_rows: int | None = None,
        categories: Mapping[int, str] | None,
        on_warning: Callable[[str], None],
        on_offset: Callable[[float], None],
    ) -> None:
        self._source, self._on_offset, self._followed = media.path, on_offset, frames
        self._writer = OverlayWriter(
            media, folder / OVERLAY_NAME, options, on_warning, frames=frames, most_rows=most_rows
        )
        self._frames = self._writer.frames()
        size_hw = scaled_size(media, most_rows)
        self._tint = Tint(NUM_COLOURS, size_hw[0])
        self._labels = None if categories is None else Labels(size_hw, categories, NUM_COLOURS)
        # One worker runs jobs in order; taking the oldest result before adding a job beyond the
        # bound is what bounds the queue, without a put() that could block for ever.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="avs-overlay")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        """Return the sink; the file is created with the first frame."""
        return self

    def write(self, prediction: FramePrediction) -> None:
        """Queue a frame.

        Raises:
            OutputError: the disk is full or cannot be written.
            ExtraOutputError: an earlier frame could not be encoded.
            MediaError: the source could not be decoded again.
        """
        while self._waiting and (len(self._waiting) >= MAX_WAITING or self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._worker.submit(self._blend, prediction))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits and check the file; after an error drop what waits.

        Raises:
            OutputError: the disk is full or cannot be written.
            ExtraOutputError: encoding failed, or the finished file is not what was written.
            MediaError: the source could not be decoded again.
        """
        try:
            if kind is None:
                for job in self._waiting:
                    job.result()
        except BaseException as failure:
            self._finish(type(failure), failure, failure.__traceback__)
            raise
        else:
            self._finish(kind, error, trace)

    def _finish(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the thread close the writer, and end the thread."""
        if kind is not None:
            self._writer.abandon()
        for job in self._waiting:
            job.cancel()
        try:
            self._worker.submit(self._writer.__exit__, kind, error, trace).result()
        finally:
            self._worker.shutdown(wait=True)
            if self._followed is not None:  # only now: a frame in work would decode the file again
                self._followed.close()
        if kind is None and self._writer.zero_seconds is not None:
            self._on_offset(self._writer.zero_seconds)

    def _blend(self, prediction: FramePrediction) -> None:
        """Run in the thread: tint, label and encode one frame."""
        frame = next(self._frames, None)
        if frame is None or _place(frame.stamp) != _place(prediction.stamp):
            raise MediaError(
                f"{self._source} gives other frames than when it was first read",
                hint="leave the file alone during the run, then run again",
            )
        if prediction.object_map.shape != frame.y.shape:
            size = frame.y.shape[::-1]
            smaller = cv2.resize(prediction.object_map, size, interpolation=cv2.INTER_NEAREST)
            prediction = replace(prediction, object_map=np.asarray(smaller, np.uint8))
        tracks = [colour_number(each.track_id) for each in prediction.objects]
        colours = np.array([0, *tracks], np.uint8)
        planes = frame.y, frame.u, frame.v
        self._tint.blend(planes, colours[prediction.object_map])
        if self._labels is not None:
            self._labels.draw(planes, prediction, tracks)
        self._writer.write(frame)


def _place(stamp: FrameStamp) -> tuple[int, int]:
    """Return what two readings of a file agree upon; stored seconds are rounded."""
    return stamp.index, stamp.pts
