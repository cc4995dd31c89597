"""Open containers and decode their streams, with errors a person can act on."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import av
from av.container import InputContainer
from av.stream import Stream

from avscli.datatypes import MediaInfo
from avscli.errors import MediaError, UnknownContainerError
from avscli.media.streams import locked
from avscli.media.time_line import ClockStep, TimeLine

FrameT = TypeVar("FrameT", av.VideoFrame, av.AudioFrame)
Warn = Callable[[str], None]


@contextmanager
def open_media(media: MediaInfo) -> Iterator[InputContainer]:
    """Open a probed file, or the copy of it, as `open_input` does."""
    with open_input(media.opened_path, called=media.path) as container:
        yield container


@contextmanager
def open_input(path: Path, *, called: Path | None = None) -> Iterator[InputContainer]:
    """Open a local media file for reading and close it at the end of the ``with`` block.

    Args:
        path: of the file.
        called: how errors name it, where that differs.

    Raises:
        UnknownContainerError: the file is no media that PyAV knows.
        MediaError: the path is missing, not a regular file, empty, or cannot be read.
    """
    called = called or path
    require_regular_file(path, called=called)
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
            f"cannot read {called} as a media file: {reason_of(err)}",
            hint="check that the file is complete; a player such as ffplay should open it",
        ) from err
    with container:
        yield container


def decoded_frames(
    container: InputContainer,
    stream: av.VideoStream | av.AudioStream,
    kind: type[FrameT],
    path: Path,
    *,
    on_damage: Callable[[], None],
    on_packet: Callable[[av.Packet[Stream]], None] = lambda _: None,
    on_step: Callable[[ClockStep], None] = lambda _: None,
) -> Iterator[FrameT]:
    """Decode one stream in presentation order, stepping over damaged packets.

    Args:
        container, stream: an open file and the stream to decode.
        kind: the stream's frame class, ``av.VideoFrame`` or ``av.AudioFrame``.
        path: of the file, for errors.
        on_damage: called for every packet or frame that is damaged.
        on_packet: called for every packet of every stream as it is read.
        on_step: told where the clock falls or jumps.

    Raises:
        EncryptedMediaError: a packet of the stream is encrypted; some files begin in the clear.
    """
    stream.codec_context.thread_type = "AUTO"
    for packet in readable_packets(container, on_damage, on_step):
        on_packet(packet)
        # Not packet.stream_index: PyAV leaves that 0 in the packets that flush a decoder.
        if packet.stream.index != stream.index:
            continue
        if packet.has_sidedata("encryption_info"):
            raise locked(stream, path, "Common Encryption")
        for frame in _decoded(packet, on_damage):
            if isinstance(frame, kind):
                if frame.is_corrupt:
                    on_damage()
                yield frame


def readable_packets(
    container: InputContainer,
    on_damage: Callable[[], None],
    on_step: Callable[[ClockStep], None] = lambda _: None,
) -> Iterator[av.Packet[Stream]]:
    """Yield the packets of all streams on one time line that never falls back (`TimeLine`).

    Each stream ends with an empty packet, which makes its decoder hand out what it still holds.

    Args:
        container: an open file.
        on_damage: called when the rest of the container cannot be read.
        on_step: told where the clock falls or jumps.
    """
    line = TimeLine(on_step)
    for packet in _demuxed(container, on_damage):
        line.place(packet)
        yield packet


def require_regular_file(path: Path, *, called: Path | None = None) -> None:
    """Check that a path is worth opening; errors name it as `called`, where that differs.

    Raises:
        MediaError: it is missing, no regular file, or empty.
    """
    called = called or path
    try:
        status = path.stat()
    except OSError as err:
        raise MediaError(
            f"cannot open {called}: {err.strerror}", hint="check the path and its permissions"
        ) from err
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{called} is a directory", hint="name one video file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            f"{called} is not a regular file",
            hint="pipes and devices cannot be read twice; save the video to a file first",
        )
    if status.st_size == 0:
        raise MediaError(f"{called} is empty (0 bytes)", hint="copy or download the file again")


def _demuxed(
    container: InputContainer, on_damage: Callable[[], None]
) -> Iterator[av.Packet[Stream]]:
    try:
        yield from container.demux()
    except IndexError:
        # A stream began in the middle of the file; PyAV has none for it when it comes to flush its
        # decoder, after those of all streams it knows.
        return
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
