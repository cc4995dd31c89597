"""What a reviewer decided: `read_review` reads review.json, and refuses what is none.

Frames are numbered as in frames.jsonl, and are analysed ones; ranges include both ends. Objects go
by their `track_id`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

from avscli.errors import DataError
from avscli.json_values import decoded, parsed

if TYPE_CHECKING:
    from pathlib import Path

REVIEW_FORMAT = "avs-review"
REVIEW_VERSION = 1
LONGEST_NAME = 100  # characters
MOST_BYTES = 4_000_000
MOST_DECISIONS = 10_000  # a person makes hundreds
LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Accept:
    """The object was looked at, and is right."""

    do: ClassVar[str] = "accept"
    object: int


@dataclass(frozen=True, slots=True)
class Reject:
    """The whole object goes."""

    do: ClassVar[str] = "reject"
    object: int


@dataclass(frozen=True, slots=True)
class Trim:
    """The object's masks in these frames go."""

    do: ClassVar[str] = "trim"
    object: int
    first_frame: int
    last_frame: int

    def __post_init__(self) -> None:
        _require_range(self.first_frame, self.last_frame)


@dataclass(frozen=True, slots=True)
class Extend:
    """The object sounds in these frames too: where it has no mask, it gets its nearest one."""

    do: ClassVar[str] = "extend"
    object: int
    first_frame: int
    last_frame: int

    def __post_init__(self) -> None:
        _require_range(self.first_frame, self.last_frame)


@dataclass(frozen=True, slots=True)
class Rename:
    """The object is something else."""

    do: ClassVar[str] = "rename"
    object: int
    name: str

    def __post_init__(self) -> None:
        _require_name(self.name)


@dataclass(frozen=True, slots=True)
class RenamePart:
    """What these frames show is another object, of its own name."""

    do: ClassVar[str] = "rename"
    object: int
    name: str
    first_frame: int
    last_frame: int
    new_object: int

    def __post_init__(self) -> None:
        _require_name(self.name)
        _require_range(self.first_frame, self.last_frame)
        _require_id(self.new_object)


@dataclass(frozen=True, slots=True)
class Merge:
    """The two are one: masks of `object` become masks of `into`."""

    do: ClassVar[str] = "merge"
    object: int
    into: int


@dataclass(frozen=True, slots=True)
class Split:
    """From a frame on it is another object."""

    do: ClassVar[str] = "split"
    object: int
    first_frame: int
    new_object: int

    def __post_init__(self) -> None:
        _require_id(self.new_object)


@dataclass(frozen=True, slots=True)
class OffScreen:
    """What is heard in these frames is not in the picture: all their masks go."""

    do: ClassVar[str] = "off_screen"
    first_frame: int
    last_frame: int

    def __post_init__(self) -> None:
        _require_range(self.first_frame, self.last_frame)


Decision = Accept | Reject | Trim | Extend | Rename | RenamePart | Merge | Split | OffScreen
_KINDS: tuple[type[Decision], ...] = (
    *(Accept, Reject, Trim, Extend, Rename, Merge, Split, OffScreen),
)
_BY_NAME = {kind.do: kind for kind in _KINDS}
_OF_A_PART = {"first_frame", "last_frame", "new_object"}


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The run that a review is of.

    Attributes:
        source: file name of the video.
        source_sha256: of the video, as run.json has it.
        journal_sha256: of frames.jsonl as it lies on the disk.
    """

    source: str
    source_sha256: str
    journal_sha256: str


@dataclass(frozen=True, slots=True)
class Review:
    """A review.json.

    Attributes:
        run: that was reviewed.
        decisions: in the order in which they were made.
        sha256: of the file.
    """

    run: RunIdentity
    decisions: tuple[Decision, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class _File:
    format: str
    version: int
    run: RunIdentity
    decisions: tuple[object, ...]


def read_review(path: Path) -> Review:
    """Read a review.json.

    Raises:
        DataError: it is missing, damaged, too large, no review, of another version, or has a
            decision that no reviewer can make; the message says what and where.
    """
    data = _bytes_of(path)
    try:
        values = parsed(data)
        _require_readable(path, values)
        file = decoded(_File, values)
        found = tuple(
            _numbered(number, value) for number, value in enumerate(file.decisions, start=1)
        )
    except ValueError as err:
        raise DataError(
            f"{path} is no review of this version: {err}",
            hint="download it from the page again",
        ) from err
    return Review(file.run, found, sha256(data).hexdigest())


def decision_of(value: object) -> Decision:
    """Return what one item of review.json's `decisions` says.

    Raises:
        ValueError: it is no decision; what is wrong is named.

    >>> decision_of({"do": "merge", "object": 2, "into": 1})
    Merge(object=2, into=1)
    """
    if not isinstance(value, dict) or not isinstance(value.get("do"), str):
        raise ValueError("it does not say what to do")  # noqa: TRY004 – as all that is damaged
    fields = {name: each for name, each in value.items() if name != "do"}
    kind = _BY_NAME.get(value["do"])
    if kind is None:
        raise ValueError(f"{value['do'][:40]!r} is none of: {', '.join(_BY_NAME)}")
    if kind is Rename and fields.keys() & _OF_A_PART:
        kind = RenamePart
    return decoded(kind, fields)


def decision_json(decision: Decision) -> dict[str, str | int]:
    """Return a decision as review.json has it."""
    return {"do": decision.do, **asdict(decision)}


def _bytes_of(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is not a file", hint="give the review.json of the page")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as err:
        raise DataError(f"cannot read {path}: {err.strerror or err}") from err
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} is no review: it is larger than {MOST_BYTES // 1_000_000} MB")
    return data


def _require_readable(path: Path, values: object) -> None:
    """Tell files of others, and of later versions, from damaged ones."""
    if not isinstance(values, dict) or values.get("format") != REVIEW_FORMAT:
        raise DataError(
            f'{path} is no review: it does not say "format": "{REVIEW_FORMAT}"',
            hint="give the review.json of the page; avs export --from takes files of other tools",
        )
    version = values.get("version")
    if isinstance(version, int) and version != REVIEW_VERSION:
        raise DataError(
            f"{path} is of version {str(version)[:20]}, this program reads {REVIEW_VERSION}",
            hint="update avs, or make the review with this one",
        )
    decisions = values.get("decisions")
    if isinstance(decisions, list) and len(decisions) > MOST_DECISIONS:
        raise DataError(
            f"{path} is no review: {len(decisions)} decisions, {MOST_DECISIONS} at most"
        )


def _numbered(number: int, value: object) -> Decision:
    try:
        return decision_of(value)
    except ValueError as err:
        raise ValueError(f"decision {number}: {err}") from err


def _require_range(first_frame: int, last_frame: int) -> None:
    if first_frame > last_frame:
        raise ValueError(f"first_frame {first_frame} comes after last_frame {last_frame}")


def _require_name(name: str) -> None:
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters, not {len(name)}")
    if not name.isprintable() or name != name.strip():
        raise ValueError(f"{name!r} is no name: it has hidden signs, or blanks at its ends")


def _require_id(object_id: int) -> None:
    if not 1 <= object_id <= LARGEST_ID:
        raise ValueError(f"new_object lies between 1 and {LARGEST_ID}, and is {object_id}")
