"""Formats that masks can be exported to: names and places, so that listing them reads no files.

A new format is one module with `write` (see `Writer`), and one line here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from avscli.config import ExportOptions
from avscli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.exports.video import MarkedVideo


class Writer(Protocol):
    """A module that writes one format."""

    def write(
        self,
        videos: Sequence[MarkedVideo],
        folder: Path,
        options: ExportOptions,
        on_note: Callable[[str], None],
    ) -> None:
        """Write videos into an empty folder.

        Args:
            videos: one or more.
            folder: which is removed when anything is raised.
            options: what the format knows of them.
            on_note: told in one line what the format cannot say, and what was done instead.
        """


class Format(NamedTuple):
    """Where a format is written, what it is, and which options are its own."""

    module: str
    help: str
    takes: tuple[str, ...] = ()


FORMATS = {
    "coco-polygons": Format("coco_polygons", "COCO instances with polygons, for what reads no RLE"),
    "cvat": Format("cvat", "CVAT 1.1: the masks of each frame, as CVAT imports them"),
    "cvat-tracks": Format(
        "cvat_tracks", "CVAT for video 1.1: one track of masks per object", ("tolerance",)
    ),
    "datumaro": Format("datumaro", "Datumaro's own JSON"),
    "ytvis": Format("ytvis", "YouTube-VIS: a list of masks per track"),
    "label-studio": Format("label_studio", "Label Studio: brushed masks, and videos with boxes"),
    "supervision": Format("supervision", "supervision: Detections with tracker ids, by frame"),
    "avsbench": Format(
        "avsbench", "AVSBench MS3: clips of 5 s with pictures and sound", ("split",)
    ),
    "davis": Format("davis", "DAVIS: a palette PNG per frame, numbered by object"),
    "png": Format("png", "label maps: a palette PNG per analysed frame, numbered by class"),
    "matte": Format(
        "matte",
        "video with alpha (VP9, ProRes 4444), or white on black",
        ("video", "track", "invert", "feather"),
    ),
    "gif-preview": Format("gif_preview", "some seconds as a GIF for an issue or a mail"),
}


def writer_of(name: str, options: ExportOptions) -> Writer:
    """Return the module that writes a format.

    Raises:
        UsageError: there is no such format, or an option that is given is of another one.
    """
    if name not in FORMATS:
        raise UsageError(f"no format {name!r}", hint=f"known: {', '.join(FORMATS)}")
    usual = ExportOptions()
    for known in FORMATS.values():
        for option in set(known.takes).difference(FORMATS[name].takes):
            if getattr(options, option) != getattr(usual, option):
                takers = ", ".join(each for each in FORMATS if option in FORMATS[each].takes)
                raise UsageError(
                    f"--{option} has no meaning for {name}", hint=f"leave it out; it is of {takers}"
                )
    return cast("Writer", importlib.import_module(f"avscli.exports.{FORMATS[name].module}"))
