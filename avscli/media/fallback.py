"""A way in for containers that PyAV does not know: `probed`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from avscli.datatypes import MediaInfo
from avscli.errors import MediaError, OutputError, UnknownContainerError
from avscli.media.ffmpeg_jobs import remux
from avscli.media.probe import probe


@contextmanager
def probed(source: Path, *, audio_track: int = 0) -> Iterator[MediaInfo]:
    """Describe a file, by a copy in another container where PyAV does not know its own.

    The ffmpeg program has a few more demuxers than PyAV's libraries, that of IMF compositions for
    one. It copies the streams once, into a Matroska file that goes at the end of the block.

    Args:
        source: a local file.
        audio_track: zero-based index among the file's audio tracks.

    Yields:
        Its properties; `opened_path` is the source, or the copy.

    Raises:
        MediaError: as `probe`; for a container that the program does not know either too.
        UsageError: the file has audio tracks, but not that many.
        OutputError: the copy cannot be written.
    """
    try:
        media = probe(source, audio_track=audio_track)
    except UnknownContainerError as err:
        unknown = err
    else:
        yield media
        return
    with _temporary_folder() as folder:
        copy = Path(folder) / "copy.mkv"
        try:
            remux(source, copy)
        except MediaError as err:
            raise unknown from err
        yield probe(source, audio_track=audio_track, opened_path=copy)


def _temporary_folder() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="avs-")
    except OSError as err:
        raise OutputError(
            f"cannot make a temporary folder in {gettempdir()}: {err.strerror}",
            hint="free some space there, or set TMPDIR to another folder",
        ) from err
