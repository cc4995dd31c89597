"""What a file holds, packet by packet, looked through once before an overlay of it is begun.

An MP4 fixes its clock and how its sound is encoded in its header, before the first frame; whether
the source fits is known only at its end. So its packets are read once more, ahead of the work: it
takes seconds to decode an hour of sound, and hours to mark what makes it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.stream import Stream

from avscli.datatypes import MediaInfo
from avscli.media.containers import open_media, readable_packets
from avscli.media.sound import JITTER_SECONDS
from avscli.media.streams import video_stream

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

# What players read inside MP4; FFmpeg can also store others there (PCM, Vorbis, TrueHD), but
# browsers then play no sound.
COPIED_CODECS = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})


@dataclass(frozen=True, slots=True)
class SoundSurvey:
    """The chosen track.

    Attributes:
        begin, end: source seconds of its first and behind its last packet, decodable or not.
        obstacle: why its packets cannot be copied into an MP4; empty when they can.
        is_told: whether that is a fault of the source, which a person should know, and not how
            its codec is always dealt with.
    """

    begin: Fraction
    end: Fraction
    obstacle: str
    is_told: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What an overlay has to hold.

    Attributes:
        longest_gap: seconds from one picture to the next, at most.
        sound: None where the track has no packet in the range.
    """

    longest_gap: Fraction
    sound: SoundSurvey | None


class SurveyAbandonedError(Exception):
    """Nobody wants to know any more."""


def survey(
    media: MediaInfo, sound_from: float, sound_until: float, is_abandoned: Callable[[], bool]
) -> Survey:
    """Look through the packets of a file.

    Args:
        media: a probed file.
        sound_from, sound_until: half-open range of source seconds.
        is_abandoned: asked before each packet whether to stop.

    Raises:
        SurveyAbandonedError: `is_abandoned` said so.
    """
    longest = Fraction(0)
    newest: Fraction | None = None
    with open_media(media) as container:
        pictures = video_stream(container, media.path)
        sound = None
        if media.audio is not None:
            sound = _SoundCheck(container.streams.audio[media.audio.track], sound_from, sound_until)
        # Damage that ends the reading is told by those who decode.
        for packet in readable_packets(container, on_damage=lambda: None):
            if is_abandoned():
                raise SurveyAbandonedError
            time = _seconds(packet)
            ours = packet.stream.index
            if sound is not None and ours == sound.stream.index:
                sound.take(packet)
            elif ours == pictures.index and time is not None:
                # Packets come in coding order: what the newest picture leaps is at least the gap.
                longest = max(longest, time - (time if newest is None else newest))
                newest = time if newest is None else max(newest, time)
                if time > sound_until and (sound is None or sound.is_past):
                    break
        return Survey(longest, None if sound is None else sound.result())


class _SoundCheck:
    """Takes a track's packets one by one and finds the first reason not to copy them."""

    def __init__(self, stream: av.AudioStream, sound_from: float, sound_until: float) -> None:
        self.stream = stream
        self.is_past = False
        self._from, self._until = sound_from, sound_until
        self._span: tuple[Fraction, Fraction] | None = None
        self._is_in_range = False
        self._due: Fraction | None = None
        self._form: tuple[str, int] | None = None
        self._obstacle = ""
        self._is_for_players = stream.codec_context.name.removesuffix("float") in COPIED_CODECS
        self._trial = _Trial(stream) if self._is_for_players else None

    def take(self, packet: av.Packet[Stream]) -> None:
        """Note where a packet stands, and whether it could be copied."""
        if packet.size == 0:  # flushes the decoder
            return
        time = _seconds(packet)
        if time is not None:
            end = time + (packet.duration or 0) * packet.time_base
            first, last = self._span or (time, end)
            self._span = min(first, time), max(last, end)
            self._is_in_range |= self._from <= time < self._until
            self.is_past |= time >= self._until
        if self._trial is not None and not self._obstacle:
            near = float(self._span[1]) if self._span else 0.0
            self._obstacle = self._found(packet, f"near {near:.1f} s")

    def result(self) -> SoundSurvey | None:
        """Return what was found."""
        if self._trial is not None:
            self._trial.close()
        if self._span is None or not self._is_in_range:
            return None
        obstacle = self._obstacle if self._is_for_players else "MP4 players do not know its codec"
        return SoundSurvey(*self._span, obstacle, is_told=self._is_for_players)

    def _found(self, packet: av.Packet[Stream], near: str) -> str:
        if packet.pts is None or packet.dts is None:
            return f"it has no times {near}"
        if packet.is_corrupt:
            return f"it is damaged {near}"
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return f"it is damaged {near}"
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            if reason := self._break(frame):
                return f"{reason} {near}"
        assert self._trial is not None
        if reason := self._trial.refusal(packet):
            return f"MP4 refuses it {near} ({reason})"
        return ""

    def _break(self, frame: AudioFrame) -> str:
        """Say what is between a frame and the one before, if anything is."""
        form = frame.layout.name, frame.sample_rate
        due, before = self._due, self._form
        begin = due
        if frame.pts is not None and frame.time_base is not None:
            begin = frame.pts * frame.time_base
        self._form = form
        self._due = None if begin is None else begin + Fraction(frame.samples, frame.sample_rate)
        if frame.is_corrupt:
            return "it is damaged"
        if before not in (None, form):
            return "its format changes"
        if begin is None or due is None or abs(begin - due) <= JITTER_SECONDS:
            return ""
        return "its parts overlap" if begin < due else "it has a gap"


class _Trial:
    """An MP4 that is thrown away: the muxer itself knows best what it takes."""

    def __init__(self, stream: av.AudioStream) -> None:
        self._file = av.open(_Nowhere(), "w", format="mp4")
        self._copy = self._file.add_stream_from_template(stream)

    def refusal(self, packet: av.Packet[Stream]) -> str:
        """Return why a packet cannot be muxed; it is of no further use."""
        packet.stream = self._copy
        try:
            self._file.mux(packet)
        except av.FFmpegError as err:
            return err.strerror or str(err)
        return ""

    def close(self) -> None:
        """Throw the file away."""
        try:
            self._file.close()
        except av.FFmpegError:  # without a packet there is no index to write
            return


class _Nowhere(io.RawIOBase):
    """Takes bytes as a file would, and keeps only where it stands."""

    def __init__(self) -> None:
        self._position = self._size = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take bytes."""
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move."""
        self._position = offset + {io.SEEK_CUR: self._position, io.SEEK_END: self._size}.get(
            whence, 0
        )
        return self._position

    def tell(self) -> int:
        """Say where it stands."""
        return self._position

    def seekable(self) -> bool:
        """Say that the muxer may go back to its index."""
        return True

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True


def _seconds(packet: av.Packet[Stream]) -> Fraction | None:
    time = packet.pts if packet.pts is not None else packet.dts
    return None if time is None else time * packet.time_base
