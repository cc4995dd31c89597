"""What the names of frames tell: which number counts them, or at which second they lie."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)(m?)s$")  # clip_1.25s, clip_1250ms
_NUMBER = re.compile(r"\d+")
_ROBOFLOW = re.compile(r"(_(jpe?g|png|webp|bmp|tiff?))?\.rf\.[0-9A-Za-z]+$")
_LABEL_STUDIO = re.compile(r"^[0-9a-f]{8}-")
_MOST_DIGITS = 18  # of a number that counts frames; hashes have more


class FrameName(NamedTuple):
    """Where a picture lies, without what services add to names, and its name without suffix."""

    folder: str
    stem: str


class FramePlace(NamedTuple):
    """What a name tells of its frame; one of the two is None.

    Attributes:
        number: in its clip, as it is counted there.
        seconds: its time.
    """

    number: int | None
    seconds: float | None


def frame_name(file_name: str) -> FrameName:
    """Return folder and stem of a picture that a file of annotations names.

    Names come as addresses, with the separators of Windows, and with hashes that services add.

    >>> frame_name("a/clip_mp4-0007_jpg.rf.3fa9c1d07be24.jpg")
    FrameName(folder='a', stem='clip_mp4-0007')
    >>> frame_name("upload/3/1a2b3c4d-frame_000007.png")
    FrameName(folder='upload/3', stem='frame_000007')
    """
    name = unquote(urlsplit(file_name).path) if "://" in file_name else file_name
    path = PurePosixPath(name.replace("\\\\", "/"))
    folder = path.parent.as_posix() if path.parent.name else ""
    return FrameName(folder, bare(path.stem))


def bare(stem: str) -> str:
    """Drop the hashes that annotation services put around a name."""
    return _LABEL_STUDIO.sub("", _ROBOFLOW.sub("", stem))


def frame_places(stems: Sequence[str], where: str) -> list[FramePlace]:
    """Find out where the frames of one clip lie from all their names together.

    Args:
        stems: names without suffix and without the additions of services.
        where: of the clip, for messages.

    Raises:
        DataError: a name has no number, or which one counts the frames is not clear.
    """
    times = [_SECONDS.search(stem) for stem in stems]
    if all(times):
        return [
            FramePlace(None, float(found[1]) / (1000 if found[2] else 1))
            for found in times
            if found is not None
        ]
    return [FramePlace(number, None) for number in _numbers(stems, where)]


def _numbers(stems: Sequence[str], where: str) -> list[int]:
    """Return the numbers that count frames.

    That is the last one, if the names are alike without it. Names that hold a hash as well still
    begin or end alike: then it is the number between that and the rest.
    """
    found = [list(_NUMBER.finditer(stem)) for stem in stems]
    for stem, runs in zip(stems, found, strict=True):
        if not runs:
            raise DataError(f"{where}: its name {stem!r} has no frame number")
    last = [runs[-1] for runs in found]
    rests = {
        (stem[: run.start()], stem[run.end() :]) for stem, run in zip(stems, last, strict=True)
    }
    candidates = [_values(last)] if len(rests) == 1 else [_after_same(stems), _before_same(stems)]
    known = {tuple(numbers) for numbers in candidates if numbers}
    if len(known) != 1:
        first, other = stems[0], next((s for s in stems if s != stems[0]), stems[0])
        raise DataError(
            f"{where}: which number counts the frames of {first!r} and {other!r}?",
            hint="name the files of a clip alike up to that number: CLIP/00000.png",
        )
    return list(known.pop())


def _after_same(stems: Sequence[str]) -> list[int]:
    """Return the numbers that follow the common beginning, each before a separator or the end."""
    start = len(_common(stems).rstrip("0123456789"))
    found = [re.compile(r"\d+(?![0-9A-Za-z])").match(stem, start) for stem in stems]
    return _distinct(found)


def _before_same(stems: Sequence[str]) -> list[int]:
    """Return the numbers before the common end, each after a separator or the beginning."""
    common = _common([stem[::-1] for stem in stems]).rstrip("0123456789")
    found = [re.search(r"(?<![0-9A-Za-z])\d+$", stem[: len(stem) - len(common)]) for stem in stems]
    return _distinct(found)


def _common(stems: Sequence[str]) -> str:
    """Return the longest beginning that all have: in rising order, that of the two ends."""
    first, last = min(stems), max(stems)
    alike = (k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(alike, min(len(first), len(last)))]


def _distinct(found: Sequence[re.Match[str] | None]) -> list[int]:
    runs = [run for run in found if run is not None]
    numbers = _values(runs)
    return numbers if len(runs) == len(found) == len(set(numbers)) else []


def _values(runs: Sequence[re.Match[str]]) -> list[int]:
    """Return the numbers; none if one is too long to count anything."""
    texts = [run[0] for run in runs]
    return [int(text) for text in texts] if max(map(len, texts), default=0) <= _MOST_DIGITS else []
