"""What a video file is, before it is read: `probe`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from avscli.datatypes import AudioInfo, MediaInfo, UnheardTrack
from avscli.errors import EncryptedMediaError, MediaError, UsageError
from avscli.media.containers import decoded_frames, open_input, readable_packets
from avscli.media.orientation import orientation_of
from avscli.media.streams import codec_of, encryption_of, format_of, video_stream

_NEVER_SENT = "is announced and never sends a packet"
_PROGRESSIVE = {0, 1}  # AVFieldOrder: unknown, progressive; the rest are interlaced


def probe(path: Path, *, audio_track: int = 0, opened_path: Path | None = None) -> MediaInfo:
    """Describe a video file by its headers, its first frame and the first of its sound.

    Args:
        path: a local file in any container FFmpeg knows.
        audio_track: zero-based index among the file's audio tracks.
        opened_path: a copy of its streams that is read in its place.

    Returns:
        The file's properties; `audio` is None when the file has no audio track at all, or
        `unheard` says why the one asked for gives no sound.

    Raises:
        MediaError: the file is missing, no regular file, empty, no media, a still picture, has no
            video stream, its codec is unknown, it is encrypted, or none of its frames can be
            decoded.
        UsageError: the file has audio tracks, but not that many.
    """
    opened_path = opened_path or path
    with open_input(opened_path, called=path) as container:
        stream = video_stream(container, path)
        num_tracks = len(container.streams.audio)
        if 0 < num_tracks <= audio_track:
            raise UsageError(
                f"--audio-track {audio_track} does not exist: {path} has {num_tracks}, counted "
                "from 0",
                hint=f"choose one of 0 to {num_tracks - 1}",
            )
        frame = _first_frame(container, stream, path)
        sound = _sound(path, opened_path, audio_track) if num_tracks else None
        orientation = orientation_of(frame)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        start = stream.start_time if stream.start_time is not None else frame.pts
        return MediaInfo(
            path=path,
            opened_path=opened_path,
            container=format_of(container),
            video_codec=stream.codec_context.name,
            height=frame.width if orientation.swaps_sides else frame.height,
            width=frame.height if orientation.swaps_sides else frame.width,
            frame_rate=stream.average_rate or None,
            num_frames=stream.frames or None,
            duration_seconds=duration_seconds(container, stream),
            start_seconds=float((start or 0) * _time_base(stream)),
            orientation=orientation,
            sample_aspect_ratio=1 / aspect if orientation.swaps_sides else aspect,
            pixel_format=frame.format.name,
            interlaced=frame.interlaced_frame
            or stream.codec_context.field_order not in _PROGRESSIVE,
            audio=sound if isinstance(sound, AudioInfo) else None,
            num_audio_tracks=num_tracks,
            unheard=sound if isinstance(sound, UnheardTrack) else None,
        )


def _first_frame(container: InputContainer, stream: av.VideoStream, path: Path) -> av.VideoFrame:
    senders = _Senders()
    frames = decoded_frames(
        container, stream, av.VideoFrame, path, on_damage=_ignore, on_packet=senders.note
    )
    for frame in frames:
        return frame
    if stream.index not in senders:
        raise MediaError(
            f"{path} announces a picture ({stream.codec_context.name}) and never sends it",
            hint="it may be scrambled or cut off; record it or copy it again from its source",
        )
    raise MediaError(
        f"no frame of {path} can be decoded ({stream.codec_context.name})",
        hint="the file is damaged or cut off; copy it again from its source",
    )


def _sound(path: Path, opened_path: Path, track: int) -> AudioInfo | UnheardTrack:
    with open_input(opened_path, called=path) as container:
        streams = container.streams.audio
        stream = streams[track]
        why = _why_unheard(container, stream, path)
        if why:
            others = tuple(
                number
                for number, other in enumerate(streams)
                if number != track and other.codec_context and not encryption_of(other)
            )
            return UnheardTrack(track, why, is_empty=why == _NEVER_SENT, others=others)
        return AudioInfo(
            track=track,
            codec=stream.codec_context.name,
            sample_rate_hz=stream.codec_context.sample_rate,
            num_channels=stream.codec_context.channels,
            start_seconds=float((stream.start_time or 0) * _time_base(stream)),
            duration_seconds=float(stream.duration * _time_base(stream))
            if stream.duration
            else None,
        )


def _why_unheard(container: InputContainer, stream: av.AudioStream, path: Path) -> str:
    """Return what keeps a track from being heard; empty once a frame of it is decoded."""
    if scheme := encryption_of(stream):
        return f"is encrypted (DRM: {scheme})"
    senders = _Senders()
    if stream.codec_context is None:  # which the type does not admit
        for packet in readable_packets(container, _ignore):
            senders.note(packet)
            if stream.index in senders:
                return f"is in a codec that nobody here decodes ({codec_of(stream)})"
        return _NEVER_SENT
    frames = decoded_frames(
        container, stream, av.AudioFrame, path, on_damage=_ignore, on_packet=senders.note
    )
    try:
        for _ in frames:
            return ""
    except EncryptedMediaError:
        return "is encrypted (DRM)"
    return "is damaged from end to end" if stream.index in senders else _NEVER_SENT


class _Senders(set[int]):
    """Indices of the streams that have sent a packet; the empty ones that flush do not count."""

    def note(self, packet: av.Packet[Stream]) -> None:
        if packet.size:
            self.add(packet.stream.index)


def _ignore() -> None:
    """Let damage be told when the file is read."""


def duration_seconds(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Return the declared length of the picture, or of the file; None when neither is known."""
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    if container.duration:
        return container.duration / av.time_base
    return None


def _time_base(stream: Stream) -> Fraction:
    # Every demuxer sets a time base; the type is optional for streams under construction only.
    assert stream.time_base is not None
    return stream.time_base
