"""Where an export puts what belongs to a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.outputs.run_folder import name_beside

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.exports.video import MarkedFrame, MarkedVideo


def folder_for(video: MarkedVideo, root: Path) -> Path:
    """Make the folder of a video below `root`, and return it."""
    folder = root / video.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def file_for(video: MarkedVideo, root: Path, ending: str) -> Path:
    """Return the file of a video below `root`, its name with an ending; its folder is made."""
    parent, _, name = video.name.rpartition("/")
    folder = root / parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name_beside(name, ending)


def picture_name(frame: MarkedFrame, ending: str = ".PNG") -> str:
    """Return what a picture of a frame is called, as in masks.coco.json."""
    return f"frame_{frame.index:06d}{ending}"
