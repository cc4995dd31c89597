"""What a video file is, before it is read: `probe`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from avscli.datatypes import AudioInfo, MediaInfo
from avscli.errors import MediaError, UsageError
from avscli.media.containers import decoded_frames, open_input, require_decoder, video_stream
from avscli.media.orientation import orientation_of

_PROGRESSIVE = {0, 1}  # AVFieldOrder: unknown, progressive; the rest are interlaced


def probe(path: Path, *, audio_track: int = 0) -> MediaInfo:
    """Describe a video file by its headers and its first decoded frame.

    Args:
        path: a local file in any container FFmpeg knows.
        audio_track: zero-based index among the file's audio tracks.

    Returns:
        The file's properties; `audio` is None when the file has no audio track at all.

    Raises:
        MediaError: the file is missing, no regular file, empty, no media, has no video stream,
            none of its frames can be decoded, or the codec of picture or sound is unknown.
        UsageError: the file has audio tracks, but not that many.
    """
    with open_input(path) as container:
        stream = video_stream(container, path)
        audio = _audio_info(container, path, audio_track)
        frame = _first_frame(container, stream, path)
        orientation = orientation_of(frame)
        turned = orientation.swaps_sides
        aspect = stream.sample_aspect_ratio or Fraction(1)
        start = stream.start_time if stream.start_time is not None else frame.pts
        return MediaInfo(
            path=path,
            container=container.format.name,
            video_codec=stream.codec_context.name,
            height=frame.width if turned else frame.height,
            width=frame.height if turned else frame.width,
            frame_rate=stream.average_rate or None,
            num_frames=stream.frames or None,
            duration_seconds=duration_seconds(container, stream),
            start_seconds=float((start or 0) * _time_base(stream)),
            orientation=orientation,
            sample_aspect_ratio=1 / aspect if turned else aspect,
            pixel_format=frame.format.name,
            interlaced=frame.interlaced_frame
            or stream.codec_context.field_order not in _PROGRESSIVE,
            audio=audio,
            num_audio_tracks=len(container.streams.audio),
        )


def _first_frame(container: InputContainer, stream: av.VideoStream, path: Path) -> av.VideoFrame:
    frames = decoded_frames(container, stream, av.VideoFrame, on_damage=lambda: None)
    for frame in frames:
        return frame
    raise MediaError(
        f"no frame of {path} can be decoded ({stream.codec_context.name})",
        hint="the file is damaged or cut off; copy it again from its source",
    )


def _audio_info(container: InputContainer, path: Path, track: int) -> AudioInfo | None:
    streams = container.streams.audio
    if not streams:
        return None
    if track >= len(streams):
        raise UsageError(
            f"--audio-track {track} does not exist: {path} has {len(streams)}, counted from 0",
            hint=f"choose one of 0 to {len(streams) - 1}",
        )
    stream = streams[track]
    require_decoder(stream, path)
    base = _time_base(stream)
    return AudioInfo(
        track=track,
        codec=stream.codec_context.name,
        sample_rate_hz=stream.codec_context.sample_rate,
        num_channels=stream.codec_context.channels,
        start_seconds=float((stream.start_time or 0) * base),
        duration_seconds=float(stream.duration * base) if stream.duration else None,
    )


def duration_seconds(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Return the declared length of the picture, or of the file; None when neither is known."""
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    if container.duration:
        return container.duration / av.time_base
    return None


def _time_base(stream: av.stream.Stream) -> Fraction:
    # Every demuxer sets a time base; the type is optional for streams under construction only.
    assert stream.time_base is not None
    return stream.time_base
