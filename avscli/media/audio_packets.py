"""The sound of a file as packets for an MP4: copied where possible, encoded as AAC elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream

from avscli.datatypes import MediaInfo
from avscli.media.containers import Warn, open_media, readable_packets
from avscli.media.sound import AudioChunk, audio_chunks
from avscli.media.survey import SoundSurvey

Packets = Generator["av.Packet[Stream]", None, None]

_AAC_RATES = frozenset({8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})

_PIECE_SAMPLES = 48_000
_FULL_PIECES = 600  # about ten minutes, which take 2 s to encode


def audio_packets(
    media: MediaInfo, output: OutputContainer, sound: SoundSurvey, on_warning: Warn
) -> Packets:
    """Add the chosen track to an MP4 and return its packets in time order, from a second opening.

    The stream is added at once, before the first packet is asked for: the header needs it.

    Args:
        media: a probed file with an audio track.
        output: receives the stream, not the packets.
        sound: what that track holds.
        on_warning: told why a track that could have been copied is encoded, and of damage.
    """
    if sound.obstacle and sound.is_told:
        on_warning(
            f"{media.path.name}: its sound is encoded anew in the overlay, because {sound.obstacle}"
        )
    packets = (_encoded if sound.obstacle else _copied)(media, output, sound, on_warning)
    next(packets)
    return packets


def _copied(
    media: MediaInfo, output: OutputContainer, _sound: SoundSurvey, _on_warning: Warn
) -> Packets:
    assert media.audio is not None
    with open_media(media) as container:
        source = container.streams.audio[media.audio.track]
        copy = output.add_stream_from_template(source)
        yield av.Packet()
        for packet in readable_packets(container, on_damage=lambda: None):
            if packet.stream.index == source.index and packet.size:
                packet.stream = copy
                yield packet


def _encoded(
    media: MediaInfo, output: OutputContainer, sound: SoundSurvey, on_warning: Warn
) -> Packets:
    assert media.audio is not None
    rate = media.audio.sample_rate_hz if media.audio.sample_rate_hz in _AAC_RATES else 48_000
    layout = "mono" if media.audio.num_channels == 1 else "stereo"
    stream = output.add_stream("aac", rate=rate, layout=layout)
    yield av.Packet()
    chunks = audio_chunks(media, on_warning, rate_hz=rate, layout=layout)
    span = round(sound.begin * rate), round(sound.end * rate)
    for chunk in _without_gaps(chunks, span, stream.codec_context.layout.nb_channels):
        packed = np.ascontiguousarray(chunk.samples.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = chunk.first_sample
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _without_gaps(
    chunks: Iterator[AudioChunk], span: tuple[int, int], num_channels: int
) -> Iterator[AudioChunk]:
    """Fill a span of samples with silence wherever chunks do not, in pieces.

    The encoder joins whatever it is given, and takes times from the first.
    """
    reached, end = span
    for chunk in chunks:
        yield from _silence(reached, chunk.first_sample, num_channels)
        yield chunk
        reached = max(reached, chunk.end_sample)
    yield from _silence(reached, end, num_channels)


def _silence(first: int, end: int, num_channels: int) -> Iterator[AudioChunk]:
    """Yield silence, in full or, where it lasts, as pieces at its ends and now and then between.

    A clock that leaps by a day would keep the encoder busy for minutes. Players are silent where
    there are no packets, and MP4 only bounds how far one may lie from the next. The encoder takes
    its times from what it is given; the pieces at the ends keep blocks it joins silent.
    """
    pieces = range(first, end, _PIECE_SAMPLES)
    for number, begin in enumerate(pieces):
        is_at_an_end = number == 0 or number >= len(pieces) - 2
        if len(pieces) <= _FULL_PIECES or is_at_an_end or number % _FULL_PIECES == 0:
            length = min(_PIECE_SAMPLES, end - begin)
            yield AudioChunk(begin, np.zeros((num_channels, length), np.float32))
