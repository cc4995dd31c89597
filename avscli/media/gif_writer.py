"""Short silent animations for places that take nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avscli.errors import OutputError

_TICK = Fraction(1, 100)  # seconds; all that a GIF knows


def write_gif(
    path: Path, pictures: Sequence[NDArray[np.uint8]], times_seconds: Sequence[float]
) -> None:
    """Write pictures as a GIF that plays for ever, with one palette made for all of them.

    Args:
        path: of the file.
        pictures: [H, W, 3] uint8 RGB, one or more, all of one size; held in memory twice.
        times_seconds: of each, rising; rounded to hundredths.

    Raises:
        OutputError: it cannot be written.
    """
    height, width, _ = pictures[0].shape
    graph = _palette_graph(height, width)
    ticks = -1
    for picture, seconds in zip(pictures, times_seconds, strict=True):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        ticks = max(ticks + 1, round((seconds - times_seconds[0]) / _TICK))
        frame.pts, frame.time_base = ticks, _TICK
        graph.vpush(frame)
    graph.vpush(None)
    try:
        with av.open(f"file:{path}", "w", format="gif") as file:
            stream = file.add_stream("gif")
            assert isinstance(stream, av.VideoStream), "its encoder is one of video"
            stream.height, stream.width, stream.pix_fmt = height, width, "pal8"
            stream.time_base = stream.codec_context.time_base = _TICK
            for _ in pictures:
                file.mux(stream.encode(graph.vpull()))
            file.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as err:
        raise OutputError(
            f"cannot write {path}: {err.strerror or err}", hint="choose another folder with -o"
        ) from err


def _palette_graph(height: int, width: int) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=_TICK
    )
    both, making, using = graph.add("split"), graph.add("palettegen"), graph.add("paletteuse")
    sink = graph.add("buffersink")
    source.link_to(both)
    both.link_to(making, 0, 0)
    both.link_to(using, 1, 0)
    making.link_to(using, 0, 1)
    using.link_to(sink)
    graph.configure()
    return graph
