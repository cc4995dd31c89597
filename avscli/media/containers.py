"""Open containers and decode their streams, with errors a person can act on."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.container import InputContainer
from av.stream import Stream

from avscli.errors import MediaError, UnknownContainerError
from avscli.media.streams import locked

FrameT = TypeVar("FrameT", av.VideoFrame, av.AudioFrame)
_CLOCK_FALL_SECONDS = 1  # larger than any reordering of packets within one recording
Warn = Callable[[str], None]


@contextmanager
def open_input(path: Path) -> Iterator[InputContainer]:
    """Open a local media file for reading and close it at the end of the ``with`` block.

    Raises:
        UnknownContainerError: the file is no media that PyAV knows.
        MediaError: the path is missing, not a regular file, empty, or cannot be read.
    """
    require_regular_file(path)
    try:
        # "file:" keeps names with a colon from being taken for a protocol; the white list keeps
        # playlists from reaching the network.
        container = av.open(
            f"file:{path}",
            "r",
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as err:
        is_unknown = isinstance(err, av.InvalidDataError | av.DemuxerNotFoundError)
        raise (UnknownContainerError if is_unknown else MediaError)(
            f"cannot read {path} as a media file: {reason_of(err)}",
            hint="check that the file is complete; a player such as ffplay should open it",
        ) from err
    with container:
        yield container


def decoded_frames(
    container: InputContainer,
    stream: av.VideoStream | av.AudioStream,
    kind: type[FrameT],
    *,
    on_damage: Callable[[], None],
    on_packet: Callable[[av.Packet[Stream]], None] | None = None,
) -> Iterator[FrameT]:
    """Decode one stream in presentation order, stepping over damaged packets.

    Args:
        container, stream: an open file and the stream to decode.
        kind: the stream's frame class, ``av.VideoFrame`` or ``av.AudioFrame``.
        on_damage: called for every packet or frame that is damaged.
        on_packet: called for every packet of every stream as it is read.

    Raises:
        EncryptedMediaError: a packet of the stream is encrypted; some files begin in the clear.
    """
    stream.codec_context.thread_type = "AUTO"
    for packet in readable_packets(container, on_damage):
        if on_packet is not None:
            on_packet(packet)
        # Not packet.stream_index: PyAV leaves that 0 in the packets that flush a decoder.
        if packet.stream.index != stream.index:
            continue
        if packet.has_sidedata("encryption_info"):
            raise locked(stream, Path(container.name.removeprefix("file:")), "Common Encryption")
        for frame in _decoded(packet, on_damage):
            if isinstance(frame, kind):
                if frame.is_corrupt:
                    on_damage()
                yield frame


def readable_packets(
    container: InputContainer, on_damage: Callable[[], None]
) -> Iterator[av.Packet[Stream]]:
    """Yield the packets of all streams on one time line that never falls back.

    Recordings joined end to end (common with .ts) start their clock anew in the middle. All
    streams move on by what the first of them fell, so picture and sound stay together, but each
    from its own fall on, because packets of both parts alternate around the seam::

        read, picture   0 1 2 3 . . 4 0 1 2       handed out   0 1 2 3 . . 4 5 6 7
        read, sound     0 1 2 3 4 0 . 1 2 3                    0 1 2 3 4 5 . 6 7 8

    Each stream ends with an empty packet, which makes its decoder hand out what it still holds.

    Args:
        container: an open file.
        on_damage: called when the rest of the container cannot be read.
    """
    shifts = [Fraction(0)]
    part, ends = Counter[int](), dict[int, Fraction]()
    for packet in _demuxed(container, on_damage):
        if packet.dts is not None:
            base, ours = packet.time_base, packet.stream.index
            fallen = ends.get(ours, Fraction(0)) - packet.dts * base
            if ours in ends and fallen > _CLOCK_FALL_SECONDS:
                part[ours] += 1
                if part[ours] == len(shifts):
                    shifts.append(shifts[-1] + fallen)
            ends[ours] = (packet.dts + (packet.duration or 0)) * base
            move_packet(packet, shifts[part[ours]])
        yield packet


def move_packet(packet: av.Packet[Stream], seconds: Fraction) -> None:
    """Move a packet on the time line, by whole ticks of its time base."""
    ticks = round(seconds / packet.time_base)
    packet.dts = None if packet.dts is None else packet.dts + ticks
    packet.pts = None if packet.pts is None else packet.pts + ticks


def require_regular_file(path: Path) -> None:
    """Check that a path is worth opening.

    Raises:
        MediaError: it is missing, no regular file, or empty.
    """
    try:
        status = path.stat()
    except OSError as err:
        raise MediaError(
            f"cannot open {path}: {err.strerror}", hint="check the path and its permissions"
        ) from err
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{path} is a directory", hint="name one video file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            f"{path} is not a regular file",
            hint="pipes and devices cannot be read twice; save the video to a file first",
        )
    if status.st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes)", hint="copy or download the file again")


def _demuxed(
    container: InputContainer, on_damage: Callable[[], None]
) -> Iterator[av.Packet[Stream]]:
    try:
        yield from container.demux()
    except av.FFmpegError:
        on_damage()
        for stream in container.streams:
            flush: av.Packet[Stream] = av.Packet()
            flush.stream = stream
            yield flush


def _decoded(packet: av.Packet[Stream], on_damage: Callable[[], None]) -> list[object]:
    try:
        return list(packet.decode())
    except av.FFmpegError:
        on_damage()
        return []


def reason_of(err: Exception) -> str:
    """Return why a file cannot be read, in words: PyAV's own text carries a raw error number."""
    if isinstance(err, av.FFmpegError):
        return (err.strerror or "unknown format").lower()
    return err.strerror or str(err) if isinstance(err, OSError) else str(err)
