"""clips: real videos with sound, labelled second by second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avscli.config import ReadOptions
from avscli.datasets.clips import SECONDS, ClipsFolder
from avscli.datasets.labelled_video import FURTHEST_SECONDS, MASK_SECONDS, second_of
from avscli.datasets.mask_pictures import read_white
from avscli.datasets.problems import Check, Problem, ReadFiles, missing_files
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.errors import DataError, MediaError, UsageError
from avscli.media.fallback import probed
from avscli.media.frames import FrameReader
from avscli.media.sound import audio_chunks

if TYPE_CHECKING:
    from avscli.config import DataSelection, Split
    from avscli.datasets.labelled_video import LabelledVideo
    from avscli.datatypes import MediaInfo

_SPLIT: Split = "test"  # a folder of clips is one whole, to judge by and not to learn from


@dataclass(frozen=True, slots=True)
class Clips:
    """The videos of a folder.

    Attributes:
        root: of the folder.
        videos: with their labelled seconds.
    """

    root: Path
    videos: Sequence[LabelledVideo]
    kind: Literal["clips"] = "clips"

    @property
    def facts(self) -> Mapping[str, object]:
        """Where it is and how much of it is labelled."""
        return {
            "kind": self.kind,
            "videos": len(self.videos),
            "truth": f"{SECONDS}, masks at k + {MASK_SECONDS} s",
        }

    def problems(self, index: int) -> list[Problem]:
        """Return what is wrong with the files of a video, as far as headers and masks tell."""
        video = self.videos[index]
        missing = _missing(video)
        try:
            with probed(video.path) as media:
                return missing + _problems_of_labels(video, media)
        except MediaError as err:
            return missing or [Problem(video.path, str(err))]


def open_set(selection: DataSelection) -> Clips:
    """Open a folder.

    Raises:
        DataError: a table, or a row of one, is not as the format says, or no video is left.
        UsageError: no root, or a split.
    """
    if selection.root is None:
        raise UsageError("--data clips needs --root DIR")
    _refuse_split(selection.split)
    folder = ClipsFolder.open(selection.root)
    if folder.problems:
        raise DataError(
            folder.problems[0].message,
            hint=f"every problem of the copy: avs data check clips {selection.root}",
        )
    if not folder.videos:
        raise DataError(f"{selection.root} names no video")
    return Clips(selection.root, folder.videos[: selection.limit])


def checks(kind: str, root: Path, split: Split) -> Sequence[Check]:  # noqa: ARG001 – one layout
    """Return a check for the tables, and one for every video, which decodes it whole."""
    _refuse_split(split)
    folder = ClipsFolder.open(root)
    of_tables = [*folder.problems, *folder.extra_files()]
    tables: list[Check] = [lambda: of_tables] if of_tables else []
    return [*tables, *(partial(_problems_of_video, video) for video in folder.videos)]


def _refuse_split(split: Split) -> None:
    if split != _SPLIT:
        raise UsageError(f"clips have no --split {split}: a folder is one set, called {_SPLIT}")


def _missing(video: LabelledVideo) -> list[Problem]:
    masks = [second.mask for second in video.seconds if second.mask is not None]
    return missing_files([video.path, *masks], of=f"video {video.clip_id}")


def _problems_of_labels(video: LabelledVideo, media: MediaInfo) -> list[Problem]:
    """Return seconds beyond the declared end, masks that do not fit, sound that is not there."""
    found, size_hw = ReadFiles(), (media.height, media.width)
    length = media.duration_seconds
    for second in video.seconds:
        if length is not None and second.second >= length:
            found.problems.append(_beyond(video, second.second, length))
        if second.mask is not None:
            found.size_of(second.mask, lambda p: read_white(p).shape, size_hw, video.path)
            found.problems += _empty_mask(second.mask)
    if media.audio is None and any(s.state in ("visible", "off_screen") for s in video.seconds):
        told = f"video {video.path} has no sound, yet {SECONDS} says that something sounds"
        found.problems.append(Problem(video.path, told))
    return found.problems


def _empty_mask(path: Path) -> Iterator[Problem]:
    try:
        if path.is_file() and not read_white(path).any():
            yield Problem(path, f"mask {path} marks nothing, yet something visible sounds")
    except DataError:
        return  # told where its size is asked for


def _beyond(video: LabelledVideo, second: int, length: float) -> Problem:
    return Problem(
        video.path,
        f"{SECONDS} names second {second} of {video.clip_id}, which ends at {length:.2f} s",
    )


def _problems_of_video(video: LabelledVideo) -> list[Problem]:
    missing = _missing(video)
    try:
        with probed(video.path) as media:
            problems = [*missing, *_problems_of_labels(video, media)]
            return problems or list(_problems_of_streams(video, media))
    except MediaError as err:
        return missing or [Problem(video.path, str(err))]


def _problems_of_streams(video: LabelledVideo, media: MediaInfo) -> Iterator[Problem]:
    """Decode picture and sound, and look for a frame in every second and beside every mask."""
    warnings: list[str] = []
    times = [image.seconds_in for image in FrameReader(media, ReadOptions(), warnings.append)]
    if media.audio is not None:
        for _ in audio_chunks(media, warnings.append, rate_hz=SAMPLE_RATE_HZ):
            pass
    yield from (Problem(video.path, f"video {video.clip_id}: {told}") for told in warnings)
    seen = {second_of(time) for time in times}
    for second in video.seconds:
        if second.second not in seen:
            yield _beyond(video, second.second, times[-1])
        elif second.mask is not None:
            moment = second.second + MASK_SECONDS
            apart = min(abs(time - moment) for time in times)
            if apart > FURTHEST_SECONDS:
                yield Problem(
                    second.mask,
                    f"mask {second.mask} is of {moment} s, and the nearest frame of "
                    f"{video.clip_id} is {apart:.2f} s away",
                )
