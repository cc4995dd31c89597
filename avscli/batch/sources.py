"""From what was typed to the files that are meant: `find_sources`, `settle`.

Every source has a key, its place in the output folder. A folder's files keep their path below
that folder; a file named by itself is known by its name; and ``/./`` in a name marks where the
key starts, as rsync has it::

    avs batch videos           videos/day/a.mp4   →  day/a.mp4
    avs batch videos/day/a.mp4                    →  a.mp4
    avs batch videos/./day/a.mp4                  →  day/a.mp4
    avs batch 'videos/**/*.mp4'                   →  day/a.mp4
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from avscli.batch.names import Origin, read_list, read_names
from avscli.errors import OutputError, UsageError
from avscli.outputs.run_record import RUN_RECORD_NAME

MARK = "/./"
_BESIDE = ("", ".partial", ".replaced")  # what a run writes next to its results
# What a batch itself writes at the top of the output folder, for a shard as well.
_OF_THE_BATCH = ("manifest*.jsonl", "summary*.csv", "failures*.txt", "combined.coco.json")
# Files with these endings are jobs even when they are damaged; all others are looked into.
VIDEO_EXTENSIONS = {
    *("3g2", "3gp", "asf", "avi", "dv", "f4v", "flv", "m1v", "m2ts", "m2v", "m4v", "mkv", "mod"),
    *("mov", "mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "nut", "ogm", "ogv", "rm", "rmvb", "ts"),
    *("vob", "webm", "wmv", "y4m"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be a source.

    Attributes:
        path: as it was reached.
        key: its place in the output folder, with forward slashes.
        root: the folder whose tree it belongs to, when a folder was named.
        is_certain: a person named it, or its ending is that of videos, so that it is a job
            whatever it holds.
    """

    path: Path
    key: str
    root: Path | None
    is_certain: bool

    @property
    def marked(self) -> str:
        """The absolute path with the mark before the key, which gives this key anywhere."""
        whole = self.path.absolute().as_posix()
        return f"{whole.removesuffix(self.key)}./{self.key}"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What is taken from folders: endings without dot, and patterns that are not taken."""

    extensions: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, relative: str) -> bool:
        """Say whether a file at this path below its folder is wanted."""
        is_named = not self.extensions or _extension(relative) in self.extensions
        return is_named and not self.excludes(relative)

    def excludes(self, relative: str) -> bool:
        """Say whether a pattern matches the path or one above it, in whole or its last part."""
        path = PurePosixPath(relative)
        return any(
            fnmatch(str(part), pattern) or fnmatch(part.name, pattern)
            for pattern in self.exclude
            for part in (path, *path.parents[:-1])
        )


def find_sources(
    inputs: Sequence[str],
    narrowing: Narrowing,
    *,
    standard_input: BinaryIO,
    warn: Callable[[str], None],
) -> Iterator[Found]:
    """Yield the files that inputs mean, in the order given, folders in order of names.

    Args:
        inputs: files, folders, patterns, ``@list``, and ``-`` for names on standard input.
        narrowing: of what is found in folders and by patterns.
        standard_input: read when asked for.
        warn: told of folders that cannot be read, and of comments in lists.

    Raises:
        UsageError: an input that does not exist, a pattern without match, a broken list.
    """
    for text in inputs:
        if text == "-":
            names = read_names(standard_input.read(), Origin("standard input"), warn)
            yield from _listed(names, narrowing, warn)
        elif os.path.lexists(text):
            yield from _named(text, narrowing, warn)
        elif text.startswith("@"):
            yield from _listed(read_list(Path(text[1:]), warn), narrowing, warn)
        elif glob.has_magic(text):
            yield from _matching(text, narrowing, warn)
        else:
            raise UsageError(f"{text} does not exist", hint="check the path")


def settle(found: Iterable[Found], output: Path) -> list[Found]:
    """Return each file once, after checking that no result would land on another or on an input.

    Of several names for one file the first counts, but a link only where nothing else names it.
    Results that lie in the output folder already are left out: ``avs batch *`` finds them.

    Raises:
        UsageError: two files would have the same place in the output.
        OutputError: results would land over or inside an input.
    """
    by_file: dict[str, Found] = {}
    output_folder = os.path.realpath(output)
    for one in found:
        real = os.path.realpath(one.path)
        if _is_result(real, output_folder):
            continue
        if real not in by_file or (_is_link(by_file[real]) and not _is_link(one)):
            by_file[real] = one
    sources = list(by_file.values())
    _refuse_collisions(sources)
    _refuse_own_inputs(by_file, output)
    return sources


def _listed(
    names: Iterable[str], narrowing: Narrowing, warn: Callable[[str], None]
) -> Iterator[Found]:
    for name in names:
        yield from _named(name, narrowing, warn)


def _named(text: str, narrowing: Narrowing, warn: Callable[[str], None]) -> Iterator[Found]:
    path, key = Path(text), _marked_key(text)
    if not os.path.isdir(path):  # noqa: PTH112 – Path's raises for names that are too long
        yield Found(path, key or path.name, None, is_certain=True)
        return
    for relative in _walk(path, "", narrowing, [os.path.realpath(path)], warn):
        inside = f"{key}/{relative}" if key else relative
        yield Found(path / relative, inside, path, _is_video_name(relative))


def _marked_key(text: str) -> str:
    """Return what follows the last mark; empty without a mark."""
    key = text.replace(os.sep, "/").rpartition(MARK)[2] if MARK in text else ""
    if ".." in key.split("/"):
        raise UsageError(f"{text}: what follows {MARK} must not lead upwards")
    return str(PurePosixPath(key)) if key else ""


def _matching(pattern: str, narrowing: Narrowing, warn: Callable[[str], None]) -> Iterator[Found]:
    root = Path(pattern).parent
    while glob.has_magic(str(root)):
        root = root.parent
    matches = sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207 – Path's finds hidden files
    if not matches:
        raise UsageError(f"nothing matches {pattern}", hint="check the pattern, and quote it")
    for match in matches:
        relative = Path(match).relative_to(root).as_posix()
        if not Path(match).is_dir():
            if narrowing.takes(relative):
                yield Found(Path(match), relative, None, _is_video_name(relative))
        # ** gives the files below as matches of their own
        elif "**" not in pattern and not narrowing.excludes(relative):
            yield from _named(f"{root}{MARK}{relative}", narrowing, warn)


def _walk(
    folder: Path,
    below: str,
    narrowing: Narrowing,
    above: list[str],
    warn: Callable[[str], None],
) -> Iterator[str]:
    """Yield paths relative to the folder that was named; `above` stops links that lead upwards."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as err:
        warn(f"cannot look into {folder}: {err.strerror}; what is in it is left out")
        return
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        relative = below + entry.name
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if real not in above and not narrowing.excludes(relative):
                inner = Path(entry.path)
                yield from _walk(inner, relative + "/", narrowing, [*above, real], warn)
        elif narrowing.takes(relative):
            yield relative


def _refuse_collisions(sources: Iterable[Found]) -> None:
    taken: dict[str, Found] = {}
    for source in sources:
        place = source.key.partition("/")[0]
        if any(fnmatchcase(place, pattern) for pattern in _OF_THE_BATCH):
            raise UsageError(
                f"{source.path} would be written to {place}, where the batch keeps its own file",
                hint=f"mark where the output path starts: folder{MARK}sub/name.mp4, or leave it "
                "out with --exclude",
            )
        names = [source.key + ending for ending in _BESIDE]
        rival = next((taken[name] for name in names if name in taken), None)
        if rival is not None:
            raise UsageError(
                f"{rival.path} and {source.path} would both be written to {source.key}",
                hint="name the folder above both, or mark where the output path starts: "
                f"folder{MARK}sub/name.mp4",
            )
        taken.update(dict.fromkeys(names, source))
    for source in sources:
        for parent in PurePosixPath(source.key).parents:
            if str(parent) in taken:
                raise UsageError(
                    f"the results of {source.path} would lie inside those of "
                    f"{taken[str(parent)].path}",
                    hint="give the two inputs outputs of their own",
                )


def _refuse_own_inputs(by_file: dict[str, Found], output: Path) -> None:
    root_folder = os.path.realpath(output)
    roots = {os.path.realpath(one.root) for one in by_file.values() if one.root is not None}
    for real, one in by_file.items():
        target = f"{root_folder}{os.sep}{one.key}"
        if _is_below(real, target) or any(_is_below(target, root) for root in roots):
            raise OutputError(
                f"the results of {one.path} would land in the input, at {output / one.key}",
                hint="choose a folder outside of the inputs with -o",
            )


def _is_result(path: str, output: str) -> bool:
    """Say whether a run has written a file into the output folder, or was about to."""
    if not _is_below(path, output):
        return False
    above = [folder for folder in Path(path).parents if folder.is_relative_to(output)][:-1]
    return any(
        folder.name.endswith(_BESIDE[1:]) or (folder / RUN_RECORD_NAME).is_file()
        for folder in above
    )


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_link(one: Found) -> bool:
    return os.path.realpath(one.path) != str(one.path.absolute())


def _is_video_name(name: str) -> bool:
    return _extension(name) in VIDEO_EXTENSIONS


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.removeprefix(".").lower()
