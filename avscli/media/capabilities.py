"""What the FFmpeg libraries on this machine can do, for ``avs doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import imageio_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Mapping

ENCODERS = ("libx264", "h264_nvenc", "h264_videotoolbox", "aac")


def library_versions() -> Mapping[str, str]:
    """Return the FFmpeg libraries PyAV brought along, by name."""
    return {
        name: ".".join(str(part) for part in version)
        for name, version in av.library_versions.items()
    }


def available_encoders() -> list[str]:
    """Return those of the encoders we can use that the libraries contain."""
    return [name for name in ENCODERS if name in av.codecs_available]


def program() -> tuple[str, str]:
    """Return path and version of the ffmpeg program used for whole-file jobs.

    Raises:
        RuntimeError: there is none.
    """
    return imageio_ffmpeg.get_ffmpeg_exe(), imageio_ffmpeg.get_ffmpeg_version()
