"""Decoded frames as 8-bit YUV planes in display orientation, open to changes in place."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from avscli.datatypes import FrameStamp, MediaInfo
from avscli.media.frames import StampedImage

_PIXELS = "yuv420p"


@dataclass(frozen=True, slots=True, eq=False)
class OverlayFrame:
    """A frame in display orientation whose pixels may be changed in place.

    Attributes:
        stamp: its place in the source.
        y: [H, W] uint8 luma at display size, writable.
        u, v: [⌈H/2⌉, ⌈W/2⌉] uint8 chroma, writable; sample (i, j) colours the luma block of
            rows 2i, 2i+1 and columns 2j, 2j+1.
        image: the yuv420p frame that the planes are views of; its sides are even.
    """

    stamp: FrameStamp
    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    image: av.VideoFrame

    def pad(self) -> None:
        """Repeat the last row or column into the one that makes an odd side even."""
        (height, width), canvas = self.y.shape, _view(self.image, 0)
        canvas[height:, :width] = canvas[height - 1, :width]
        canvas[:, width:] = canvas[:, width - 1 : width]


def scaled_size(media: MediaInfo, most_rows: int | None) -> tuple[int, int]:
    """Return (height, width) of a source scaled down to so many rows, even; None leaves it.

    The aspect is kept as far as even sides can; what is small enough stays as it is.
    """
    if most_rows is None or most_rows >= media.height:
        return media.height, media.width
    height = most_rows // 2 * 2
    return height, max(2, 2 * round(media.width * height / media.height / 2))


class PlaneMaker:
    """Turns stored frames of one source into `OverlayFrame`; see there for the layout.

    Args:
        media: the source.
        most_rows: height of the frames, see `scaled_size`.
    """

    def __init__(self, media: MediaInfo, most_rows: int | None = None) -> None:
        self._display_hw = scaled_size(media, most_rows)
        self._orientation = media.orientation
        swaps_sides = media.orientation.swaps_sides
        self._stored_hw = self._display_hw[::-1] if swaps_sides else self._display_hw
        self._swscale = VideoReformatter()

    def __call__(self, frame: StampedImage) -> OverlayFrame:
        """Return one frame's planes; the decoder's own picture is never changed."""
        height, width = self._display_hw
        stored = self._as_yuv420p(frame.image)
        if self._orientation.is_upright and height % 2 == 0 and width % 2 == 0:
            # The decoder may still predict later frames from this picture: copy if so.
            stored.make_writable()
            canvas = stored
        else:
            canvas = av.VideoFrame(width + width % 2, height + height % 2, _PIXELS)
            for index in range(3):
                turned = self._orientation.applied_to(_view(stored, index))
                _view(canvas, index)[: turned.shape[0], : turned.shape[1]] = turned
            _copy_colour_tags(stored, canvas)
        y, u, v = (_view(canvas, index) for index in range(3))
        return OverlayFrame(frame.stamp, y[:height, :width], u, v, canvas)

    def _as_yuv420p(self, image: av.VideoFrame) -> av.VideoFrame:
        height, width = self._stored_hw
        if (image.format.name, image.height, image.width) == (_PIXELS, height, width):
            return image
        # RGB has no luma matrix to keep; everything converted leaves in video range, which is
        # what players assume for yuv420p.
        return self._swscale.reformat(
            image,
            width,
            height,
            _PIXELS,
            dst_colorspace=Colorspace.ITU709 if image.format.is_rgb else None,
            dst_color_range=ColorRange.MPEG,
        )


def _view(image: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    plane = image.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _copy_colour_tags(source: av.VideoFrame, target: av.VideoFrame) -> None:
    target.color_range, target.colorspace = source.color_range, source.colorspace
    target.color_primaries, target.color_trc = source.color_primaries, source.color_trc
