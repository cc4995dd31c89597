"""A folder of videos with tables of what sounds in each second: docs/formats.md, "Labelled video".

Everything about a row that is not as the format says is a `Problem`; checking names them all, and
evaluation stops at the first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from avscli.datasets.labelled_video import (
    SECOND_STATES,
    LabelledSecond,
    LabelledVideo,
    SecondState,
    SoundSource,
)
from avscli.datasets.problems import Problem
from avscli.datasets.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CLIPS, SECONDS = "clips.csv", "seconds.csv"
_CLIP_COLUMNS = ("video", "sounds", "remark", "source", "licence")
_SECOND_COLUMNS = ("video", "second", "state", "classes", "mask")
# How names of AudioSet's human voices begin; what a person does without the voice is no voice.
_VOICES = (
    "babbling", "bellow", "chant", "child speech", "child singing", "children shouting", "choir",
    "conversation", "crying", "female s", "human voice", "laughter", "male s", "narration",
    "person", "rapping", "screaming", "shout", "singing", "speech", "whispering", "yell",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClipsFolder:
    """The tables of a copy.

    Attributes:
        root: paths in the tables are relative to it.
        videos: in the order of clips.csv, each with those of its rows that can be used.
        problems: rows that cannot be used or contradict each other, in table order.
    """

    root: Path
    videos: tuple[LabelledVideo, ...]
    problems: tuple[Problem, ...]

    @classmethod
    def open(cls, root: Path) -> ClipsFolder:
        """Read both tables.

        Raises:
            DataError: one is missing, unreadable or lacks a column.
        """
        names = [row["video"] for row in read_table(root / CLIPS, _CLIP_COLUMNS, "clips")]
        rows = read_table(root / SECONDS, _SECOND_COLUMNS, "clips")
        seconds: dict[str, list[LabelledSecond]] = defaultdict(list)
        problems = list(_twice(root / CLIPS, names, "video"))
        for number, row in enumerate(rows, start=2):
            wrong = _wrong_with(row, set(names), {s.second for s in seconds[row["video"]]})
            if wrong:
                told = f"{root / SECONDS}, line {number}: {wrong}"
                problems.append(Problem(root / SECONDS, told))
            else:
                seconds[row["video"]].append(_second(row, root))
        unlabelled = sorted(set(names) - {row["video"] for row in rows})
        problems += [
            Problem(root / SECONDS, f"{root / SECONDS} has no second of {name}, {CLIPS} names it")
            for name in unlabelled
        ]
        videos = tuple(
            LabelledVideo(name, root / name, tuple(sorted(seconds[name], key=lambda s: s.second)))
            for name in dict.fromkeys(names)
        )
        masks = [str(s.mask.relative_to(root)) for v in videos for s in v.seconds if s.mask]
        return cls(root, videos, (*problems, *_twice(root / SECONDS, masks, "mask")))

    def extra_files(self) -> Iterator[Problem]:
        """Yield the files beside the named videos and masks that no row names."""
        named = {video.path for video in self.videos}
        named |= {s.mask for video in self.videos for s in video.seconds if s.mask is not None}
        for folder in sorted({path.parent for path in named} - {self.root}):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.is_file() and path not in named:
                    yield Problem(path, f"no usable row of {CLIPS} or {SECONDS} names {path}")


def source_of(classes: tuple[str, ...], heard: str) -> SoundSource:
    """Return what kind of sound is heard, by its name: the first class, else what is heard first.

    Args:
        classes: what the row says that sounds.
        heard: names with or without scores, the surest first, separated by ``;``.

    >>> source_of((), "Speech 0.98; Music 0.10"), source_of((), "Pop music 0.9"), source_of((), "")
    ('voice', 'music', 'other')
    """
    name = (classes[0] if classes else heard.partition(";")[0]).strip().lower()
    if "music" in name:
        return "music"
    return "voice" if name.startswith(_VOICES) else "other"


def _wrong_with(row: dict[str, str], videos: set[str], known: set[int]) -> str:
    """Return what is wrong with a row of seconds.csv, as the end of a sentence; empty if nothing.

    Args:
        row: of the table.
        videos: that clips.csv names.
        known: seconds of the same video in rows above.
    """
    second, state = row["second"].strip(), row["state"]
    if row["video"] not in videos:
        return f"{CLIPS} has no video {row['video']!r}"
    if not (second.isascii() and second.isdecimal()):
        return f"the second is {second!r}, expected 0, 1, 2 …"
    if int(second) in known:
        return f"second {second} of {row['video']} is there twice"
    if state not in SECOND_STATES:
        return f"the state is {state!r}, expected one of {', '.join(SECOND_STATES)}"
    if state == "visible" and not _names(row["classes"]):
        return "something visible sounds, and classes does not say what"
    if state == "silent" and _names(row["classes"]):
        return f"it is silent, and classes says {row['classes']!r}"
    if state != "visible" and row["mask"]:
        return f"it has a mask, but its state is {state}: nothing visible is known to sound"
    return ""


def _second(row: dict[str, str], root: Path) -> LabelledSecond:
    classes = _names(row["classes"])
    return LabelledSecond(
        second=int(row["second"]),
        state=cast("SecondState", row["state"]),
        classes=classes,
        mask=root / row["mask"] if row["mask"] else None,
        source=source_of(classes, row.get("heard") or ""),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split("|") if name.strip())


def _twice(table: Path, names: Iterable[str], what: str) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(table, f"{table} names the {what} {name} {count} times")
