"""How a decoded frame says that it wants to be shown: `orientation_of`."""

from __future__ import annotations

import math
import struct
from typing import Literal, cast

import av
from av.sidedata.sidedata import SideDataContainer

from avscli.datatypes import Orientation


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Read the display matrix of a frame, which comes from its container or its own bit stream.

    A point (x, y) of the stored picture, y downwards, is shown at (a·x + c·y, b·x + d·y). PyAV's
    `VideoFrame.rotation` tells only a turn, and takes a mirrored picture for a turned one.

    Source: ISO/IEC 14496-12, 6.2.2; the layout is that of FFmpeg's libavutil/display.h.

    Example:
        >>> orientation_of(av.VideoFrame(16, 16))
        Orientation(rotation_degrees=0, mirrored=False, leftover_degrees=0.0)
    """
    side_data = cast("SideDataContainer", frame.side_data)  # its stub knows motion vectors alone
    try:
        matrix = bytes(side_data["DISPLAYMATRIX"])
    except KeyError:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    mirrored = a * d - b * c < 0
    # Where the right-hand side of the picture, mirrored first if so, comes to lie.
    right = (-a, -b) if mirrored else (a, b)
    declared = math.degrees(math.atan2(right[1], right[0]))
    nearest = round(declared / 90) * 90
    return Orientation(
        cast("Literal[0, 90, 180, 270]", nearest % 360), mirrored, round(declared - nearest, 1)
    )
