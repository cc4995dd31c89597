"""The video that a page plays: the source itself, or a small copy that every browser plays."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from avscli.config import ReadOptions
from avscli.errors import OutputError
from avscli.media.video_writer import OverlayWriter
from avscli.outputs.disk import output_errors
from avscli.outputs.run_folder import name_beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from avscli.datatypes import MediaInfo
    from avscli.results import RecordedSource

PROXY_ROWS = 540
MOST_EMBEDDED_BYTES = 50_000_000
PROXY_ENDING = ".proxy.mp4"

_MP4, _WEBM = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_SUFFIXES = {_MP4: {".mp4", ".m4v", ".mov"}, _WEBM: {".webm"}}
_VIDEO_CODECS = {_MP4: {"h264", "vp9", "av1"}, _WEBM: {"vp8", "vp9", "av1"}}
_AUDIO_CODECS = {_MP4: {"aac", "mp3", "opus", "flac"}, _WEBM: {"opus", "vorbis"}}
_DECODERS = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9", "mp3float": "mp3"}
_PIXELS = {"yuv420p", "yuvj420p"}


@dataclass(frozen=True, slots=True)
class Playback:
    """Where a page finds its video.

    Attributes:
        kind: ``source``, a ``copy`` beside the page, one ``embedded`` in it, or ``missing``.
        address: for the page, relative to it; empty when embedded or missing.
        embedded: the bytes of an MP4; None when it lies outside.
        note: why it is not the source; empty when it is.
    """

    kind: Literal["source", "copy", "embedded", "missing"]
    address: str = ""
    embedded: bytes | None = None
    note: str = ""


def why_not_playable(source: RecordedSource, suffix: str) -> str:
    """Return why browsers may not play a source as it was analysed; empty when all do.

    Args:
        source: as the run describes it.
        suffix: of its name, by which browsers tell formats of local files.
    """
    video = _DECODERS.get(source.video_codec, source.video_codec)
    audio = None if source.audio is None else source.audio.codec
    audio = _DECODERS.get(audio, audio) if audio else None
    if suffix.lower() not in _SUFFIXES.get(source.container, ()):
        return f"browsers do not play {suffix or source.container} files"
    if video not in _VIDEO_CODECS[source.container] or source.pixel_format not in _PIXELS:
        return f"browsers do not play its pictures ({video}, {source.pixel_format})"
    if audio is not None and audio not in _AUDIO_CODECS[source.container]:
        return f"browsers do not play its sound ({audio})"
    if source.audio is not None and source.audio.track > 0:
        return f"browsers play its first sound, not track {source.audio.track}"
    if source.mirrored or source.leftover_degrees:
        return "not all browsers show it mirrored or turned as it says"
    return ""


def relative_address(target: Path, page: Path) -> str:
    """Return the address of a file as seen from a page, whatever its name holds.

    >>> from pathlib import Path
    >>> relative_address(Path("/a/what?.mp4"), Path("/a/b/page.html"))
    './../what%3F.mp4'
    """
    path = os.path.relpath(target.resolve(), page.parent.resolve())
    # "./" keeps a name with a colon from being taken for a scheme.
    return "./" + quote(os.fsencode(path.replace(os.sep, "/")))


def embedded_proxy(media: MediaInfo, page: Path, on_warning: Callable[[str], None]) -> bytes:
    """Return a copy as `write_proxy` makes it, small enough to be part of a page.

    Raises:
        OutputError: it is larger than that, or the disk is full.
        MediaError, ExtraOutputError: as `write_proxy`.
    """
    with output_errors(page), TemporaryDirectory(prefix=".avs-", dir=page.parent) as folder:
        path = Path(folder) / "proxy.mp4"
        _encode(media, path, on_warning)
        size = path.stat().st_size
        if size > MOST_EMBEDDED_BYTES:
            raise OutputError(
                f"the copy of {media.path} for the page has {size / 1e6:.0f} MB, of "
                f"{MOST_EMBEDDED_BYTES / 1e6:.0f} that a page may hold",
                hint="leave --embed out, and send the video beside the page",
            )
        return path.read_bytes()


def proxy_path(page: Path) -> Path:
    """Return where the copy for a page lies."""
    return page.with_name(name_beside(page.stem, PROXY_ENDING))


def write_proxy(media: MediaInfo, page: Path, on_warning: Callable[[str], None]) -> Path:
    """Write a copy of a source beside its page: H.264 and AAC, `PROXY_ROWS` rows at most.

    Every frame keeps its time, as in overlays. A copy that is there and newer than the source is
    left as it is.

    Raises:
        OutputError: it cannot be written, or would replace the source.
        MediaError: the source cannot be decoded.
        ExtraOutputError: its pictures cannot be encoded.
    """
    target = proxy_path(page)
    if target.resolve() == media.path.resolve():
        raise OutputError(f"the copy {target} would replace the source", hint="choose another -o")
    with output_errors(target):
        if target.is_file() and target.stat().st_mtime > media.path.stat().st_mtime:
            return target
        unfinished = target.with_name(name_beside(f".{page.stem}", f"{PROXY_ENDING}.new"))
        try:
            _encode(media, unfinished, on_warning)
            unfinished.replace(target)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
    return target


def _encode(media: MediaInfo, target: Path, on_warning: Callable[[str], None]) -> None:
    options = ReadOptions(no_audio="empty")
    with OverlayWriter(media, target, options, on_warning, most_rows=PROXY_ROWS) as writer:
        for frame in writer.frames():
            writer.write(frame)
