"""The sound of a file as packets for an MP4: copied where possible, encoded as AAC elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream

from avscli.datatypes import MediaInfo
from avscli.media.containers import Warn, open_input, readable_packets
from avscli.media.sound import AudioChunk, audio_chunks

Packets = Generator["av.Packet[Stream]", None, None]

# What players read inside MP4; FFmpeg can also store others there (PCM, Vorbis, TrueHD), but
# browsers then play no sound.
COPIED_CODECS = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})
_AAC_RATES = frozenset({8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})


def can_copy(media: MediaInfo) -> bool:
    """Say whether the chosen track's packets can go into an MP4 as they are."""
    return media.audio is not None and media.audio.codec.removesuffix("float") in COPIED_CODECS


def audio_packets(media: MediaInfo, output: OutputContainer, on_warning: Warn) -> Packets:
    """Add the chosen track to an MP4 and return its packets in time order, from a second opening.

    The stream is added at once, before the first packet is asked for: the header needs it.
    """
    make = _copied if can_copy(media) else _encoded
    packets = make(media, output, on_warning)
    next(packets)
    return packets


def _copied(media: MediaInfo, output: OutputContainer, on_warning: Warn) -> Packets:
    assert media.audio is not None

    def on_damage() -> None:
        on_warning(f"{media.path.name}: the sound could only be copied up to damaged data")

    with open_input(media.path) as container:
        source = container.streams.audio[media.audio.track]
        copy = output.add_stream_from_template(source)
        yield av.Packet()
        for packet in readable_packets(container, on_damage):
            if packet.stream_index == source.index and packet.dts is not None:
                packet.stream = copy
                yield packet


def _encoded(media: MediaInfo, output: OutputContainer, on_warning: Warn) -> Packets:
    assert media.audio is not None
    rate = media.audio.sample_rate_hz if media.audio.sample_rate_hz in _AAC_RATES else 48_000
    layout = "mono" if media.audio.num_channels == 1 else "stereo"
    stream = output.add_stream("aac", rate=rate, layout=layout)
    yield av.Packet()
    for chunk in _without_gaps(audio_chunks(media, on_warning, rate_hz=rate, layout=layout)):
        packed = np.ascontiguousarray(chunk.samples.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = chunk.first_sample
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _without_gaps(chunks: Iterator[AudioChunk]) -> Iterator[AudioChunk]:
    """Fill gaps with silence, in pieces: the encoder joins whatever it is given."""
    reached: int | None = None
    for chunk in chunks:
        num_channels, num_samples = chunk.samples.shape
        while reached is not None and reached < chunk.first_sample:
            missing = min(chunk.first_sample - reached, 48_000)
            yield AudioChunk(reached, np.zeros((num_channels, missing), np.float32))
            reached += missing
        yield chunk
        reached = chunk.first_sample + num_samples
