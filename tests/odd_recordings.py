"""Recordings joined end to end, and ones whose picture changes its size on the way."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.builders import drawn_frame, make_video

FPS = 10


def joined(path: Path, starts: Sequence[float], *, seconds: float = 2.0, **video: Any) -> Path:
    """Write transport streams one behind the other, with clocks that start where asked for.

    Args:
        path: of the .ts file.
        starts: seconds at which each part's clock starts; what FFmpeg adds to all is left in.
        seconds: length of each part.
        video: for `make_video`; frames of every part are numbered from 0.
    """
    parts = []
    for start in starts:
        part = make_video(
            path.with_name("part.ts"),
            seconds=seconds,
            start_offset_seconds=start,
            audio_start_seconds=start,
            **({"fps": FPS, "size_hw": (48, 64), "b_frames": 2} | video),
        )
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def resized(
    path: Path, codec: str, sizes_hw: Sequence[tuple[int, int]], *, part_frames: int = 5
) -> Path:
    """Write one picture stream whose size changes, encoded in parts, without sound."""
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    base = Fraction(1, FPS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.height, stream.width = sizes_hw[0]
        stream.pix_fmt = pix_fmt
        for part, size_hw in enumerate(sizes_hw):
            encoder = av.CodecContext.create(codec, "w")
            encoder.height, encoder.width = size_hw
            encoder.pix_fmt, encoder.time_base, encoder.framerate = pix_fmt, base, Fraction(FPS)
            encoder.options = {"bf": "0"} if codec == "libx264" else {}
            packets = []
            for number in range(part * part_frames, (part + 1) * part_frames):
                frame = av.VideoFrame.from_ndarray(drawn_frame(number, size_hw), format="rgb24")
                frame.pts, frame.time_base = number, base
                packets += encoder.encode(frame)
            for packet in [*packets, *encoder.encode(None)]:
                packet.stream = stream
                container.mux(packet)
    return path
