"""A matte of a video: its frames cut out by an alpha channel, or the alpha alone in white."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from avscli.config import MatteKind, ReadOptions
from avscli.datatypes import MediaInfo
from avscli.errors import ExtraOutputError, MediaError, OutputError
from avscli.media.containers import Warn
from avscli.media.frames import FrameReader, StampedImage
from avscli.media.overlay_clock import OverlayClock
from avscli.media.video_writer import WrittenVideo, verify_video

AlphaOf = Callable[[int], NDArray[np.uint8] | None]
"""Gives the [H, W] alpha of a frame by its index, asked in rising order; None leaves it out."""


class _Form(NamedTuple):
    """How one kind of matte is written, and what its decoder says it is."""

    suffix: str
    encoder: str
    pixels: str
    options: dict[str, str]
    codec: str
    decoded_pixels: str
    tick: Fraction | None = None  # None takes the source's

    @property
    def has_alpha(self) -> bool:
        return "yuva" in self.pixels


_VP9 = {"crf": "16", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
_FORMS: dict[MatteKind, _Form] = {
    # A player that knows no alpha in WebM shows the whole picture; its second stream has the alpha.
    "vp9": _Form(".webm", "libvpx-vp9", "yuva420p", _VP9, "vp9", "yuv420p", tick=Fraction(1, 1000)),
    "prores": _Form(
        ".mov", "prores_ks", "yuva444p10le", {"profile": "4"}, "prores", "yuva444p12le"
    ),
    "white": _Form(".mov", "prores_ks", "yuv422p10le", {"profile": "3"}, "prores", "yuv422p10le"),
}


def matte_suffix(kind: MatteKind) -> str:
    """Return what names of such files end with."""
    return _FORMS[kind].suffix


def write_matte(
    media: MediaInfo, target: Path, kind: MatteKind, alpha_of: AlphaOf, on_warning: Warn
) -> Fraction:
    """Write a matte with the source's timestamps, without sound, and check it.

    Args:
        media: a probed file.
        target: the file to write; removed after an error.
        kind: VP9 or ProRes 4444 with the picture and its alpha, or the alpha alone, in ProRes 422.
        alpha_of: of each frame.
        on_warning: told about damage.

    Returns:
        Source seconds at the matte's zero, see `OverlayClock`.

    Raises:
        MediaError: no frame that has an alpha can be decoded.
        OutputError: the target cannot be written, or the finished file is not what was written.
    """
    reader = FrameReader(media, ReadOptions(), on_warning)
    encoder: _Encoder | None = None
    try:
        with closing(iter(reader)) as images:
            for image in images:
                alpha = alpha_of(image.stamp.index)
                if alpha is None:
                    continue
                if encoder is None:
                    clock = OverlayClock.of(image, reader.time_base, ReadOptions())
                    encoder = _Encoder(media, target, _FORMS[kind], clock)
                encoder.add(image, alpha)
        encoder = _begun(encoder, media)
        verify_video(target, encoder.finish())
    except BaseException as err:
        if encoder is not None:
            encoder.close()
        target.unlink(missing_ok=True)
        if isinstance(err, ExtraOutputError):  # of an overlay, which a run can do without
            raise OutputError(str(err)) from err
        raise
    return encoder.clock.zero


def _begun(encoder: _Encoder | None, media: MediaInfo) -> _Encoder:
    if encoder is None:
        raise MediaError(
            f"{media.path} has none of these frames any more", hint="has it been replaced?"
        )
    return encoder


class _Encoder:
    """One matte being written."""

    def __init__(self, media: MediaInfo, target: Path, form: _Form, clock: OverlayClock) -> None:
        self._media, self._target, self._form, self.clock = media, target, form, clock
        self._tick = form.tick or clock.tick
        self._times = array("q")
        with self._as_output_error():
            self._file = av.open(f"file:{target}", "w", format=form.suffix[1:])
            stream = self._file.add_stream(form.encoder, options=form.options)
        assert isinstance(stream, av.VideoStream), "its encoder is one of video"
        self._video = stream
        context = self._video.codec_context
        context.height, context.width = media.height, media.width
        context.pix_fmt = form.pixels
        self._video.time_base = context.time_base = self._tick
        if media.frame_rate is not None:
            context.framerate = media.frame_rate
        context.sample_aspect_ratio = media.sample_aspect_ratio
        context.thread_type = "AUTO"
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709

    def add(self, image: StampedImage, alpha: NDArray[np.uint8]) -> None:
        """Encode one frame."""
        frame = self._drawn(image, alpha)
        ticks = round((image.stamp.pts * self.clock.source_tick - self.clock.zero) / self._tick)
        if self._times:  # a coarser tick may bring two frames together
            ticks = max(ticks, self._times[-1] + 1)
        frame.pts, frame.time_base = ticks, self._tick
        self._times.append(ticks)
        with self._as_output_error():
            self._file.mux(self._video.encode(frame))

    def _drawn(self, image: StampedImage, alpha: NDArray[np.uint8]) -> av.VideoFrame:
        if self._form.has_alpha:
            swaps_sides = self._media.orientation.swaps_sides
            size = (self._media.height, self._media.width)
            height, width = size[::-1] if swaps_sides else size
            stored = image.image.to_ndarray(format="rgb24", width=width, height=height)
            upright = self._media.orientation.applied_to(np.asarray(stored, np.uint8))
            frame = av.VideoFrame.from_ndarray(np.dstack([upright, alpha]), format="rgba")
        else:
            frame = av.VideoFrame.from_ndarray(np.dstack([alpha] * 3), format="rgb24")
        return frame.reformat(
            format=self._form.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def finish(self) -> WrittenVideo:
        """Write what the encoder holds, and the index."""
        with self._as_output_error():
            self._file.mux(self._video.encode(None))
            self._file.close()
        context = self._video.codec_context
        return WrittenVideo(
            context.height,
            context.width,
            self._times,
            self._tick,
            has_audio=False,
            codec=self._form.codec,
            pixels=self._form.decoded_pixels,
        )

    def close(self) -> None:
        """Close the file, whatever state it is in."""
        with suppress(av.FFmpegError, OSError):
            self._file.close()

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as err:
            raise OutputError(
                f"cannot write {self._target}: {err.strerror or err}",
                hint="check free space and permissions, or choose another --output",
            ) from err
