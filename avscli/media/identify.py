"""Is a file a video, and how long is it? Answered by its headers alone: `declared_seconds`."""

from __future__ import annotations

from pathlib import Path

from avscli.errors import MediaError
from avscli.media.containers import open_input, video_stream
from avscli.media.probe import duration_seconds

# FFmpeg reads still pictures and text art as videos of one frame.
_STILLS = {"image2", "tty", "bin", "xbin", "idf", "adf"}


def declared_seconds(path: Path) -> float | None:
    """Return the length a video file declares, without decoding a frame of it.

    Returns:
        Seconds; None when the container does not say.

    Raises:
        MediaError: the file is missing, unreadable, or no moving picture.
    """
    with open_input(path) as container:
        stream = video_stream(container, path)
        name = container.format.name
        if name in _STILLS or name.endswith("_pipe"):
            raise MediaError(f"{path} is a still picture or text ({name})")
        return duration_seconds(container, stream)
