"""Recordings as the world makes them: joined end to end, cut, damaged on their way, half sent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

from tests.builders import make_video

SMALL: dict[str, Any] = {"fps": 10, "size_hw": (64, 96)}
_TS_PACKET = 188


def make_joined(path: Path, starts: Sequence[float], seconds: float = 1.0, **options: Any) -> Path:
    """Write parts that begin at `starts` seconds, each of its own clock, one behind the other.

    Transport streams are joined as `cat` does; FLV, which has one header, tag by tag.
    """
    parts = []
    for number, start in enumerate(starts):
        part = path.with_name(f"part{number}{path.suffix}")
        is_flv = path.suffix == ".flv"
        begin = 0.0 if is_flv else start
        given = {"start_offset_seconds": begin, "audio_start_seconds": begin, **SMALL, **options}
        data = make_video(part, seconds=seconds, **given).read_bytes()
        parts.append(_later_tags(data, start, has_header=number == 0) if is_flv else data)
        part.unlink()
    path.write_bytes(b"".join(parts))
    return path


def _later_tags(flv: bytes, seconds: float, *, has_header: bool) -> bytes:
    """Return the tags of an FLV file with their clock moved on."""
    written, at = bytearray(flv[:13] if has_header else b""), 13
    while at < len(flv):
        length = 11 + int.from_bytes(flv[at + 1 : at + 4]) + 4
        tag = bytearray(flv[at : at + length])
        ticks = (tag[7] << 24 | int.from_bytes(tag[4:7])) + round(1000 * seconds)
        tag[4:7], tag[7] = (ticks & 0xFFFFFF).to_bytes(3), ticks >> 24
        is_setup = tag[0] == 18 or tag[12] == 0  # what the file is, and its codecs' headers
        if has_header or not is_setup:
            written += tag
        at += length
    return bytes(written)


def spoil_sound(path: Path, begin: float, end: float, seed: int = 1) -> Path:
    """Put noise into the sound's packets in a span of seconds of a .mp4, .mov or .mkv."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [p for p in container.demux(stream) if p.size and p.pts is not None]
        spans = [
            (p.pos, bytes(p)) for p in packets if begin <= float(p.pts * stream.time_base) < end
        ]
    data, chance = bytearray(path.read_bytes()), random.Random(seed)
    for position, content in spans:
        at = data.index(content, position)
        data[at : at + len(content)] = chance.randbytes(len(content))
    path.write_bytes(data)
    return path


def spoil_bytes(path: Path, begin: float, end: float, share: float, seed: int = 1) -> Path:
    """Replace a share of the bytes between two shares of a file by noise."""
    data, chance = bytearray(path.read_bytes()), random.Random(seed)
    for at in range(int(begin * len(data)), int(end * len(data))):
        if chance.random() < share:
            data[at] = chance.randrange(256)
    path.write_bytes(data)
    return path


def drop_sound_packets(path: Path) -> Path:
    """Leave out every packet of a transport stream's sound, but not its announcement."""
    with av.open(str(path)) as container:
        sound = container.streams.audio[0].id
    data = path.read_bytes()
    packets = [data[at : at + _TS_PACKET] for at in range(0, len(data), _TS_PACKET)]
    path.write_bytes(b"".join(p for p in packets if (p[1] & 31) << 8 | p[2] != sound))
    return path
