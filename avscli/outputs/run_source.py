"""The video that a finished run was made of, as long as it is still that one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.media.fallback import probed
from avscli.media.source_hash import SourceHash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from avscli.datatypes import MediaInfo


@contextmanager
def opened_source(source: Path, sha256: str, *, audio_track: int = 0) -> Iterator[MediaInfo]:
    """Open the video that was segmented.

    A name is not enough: it may be relative to another folder, or another video's by now.

    Args:
        source: where the run's record says that it is.
        sha256: what the record says of its bytes.
        audio_track: that is listened to.

    Raises:
        DataError: it is not where it was, or is another one by now.
        MediaError: it is unreadable.
    """
    if not source.is_file():
        raise DataError(
            f"{source} is not there, and this needs the video that was segmented",
            hint="put it back, or run this in the folder in which it was segmented",
        )
    with SourceHash(source) as source_hash:
        found = source_hash.hexdigest(lambda _share: None)
    if found != sha256:
        raise DataError(
            f"{source} is not the video that was segmented",
            hint="put that back, or run this in the folder in which it was segmented",
        )
    with probed(source, audio_track=audio_track) as media:
        yield media
