"""JSON of others becomes dataclasses of the declared types, or an error that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from avscli.config import ReadOptions, SegmentOptions
from avscli.json_values import decoded, parsed


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int]


@dataclass(frozen=True)
class Outer:
    name: str
    share: float
    count: int | None
    kind: Literal["one", "two"]
    inner: tuple[Inner, ...]
    told: Mapping[str, str | int]
    is_whole: bool = True
    notes: tuple[str, ...] = field(default=())


WHOLE = {
    "name": "a",
    "share": 1,
    "count": None,
    "kind": "two",
    "inner": [{"size": [1, 2]}, {"size": [3, 4]}],
    "told": {"x": "y", "z": 3},
}


def test_what_asdict_and_json_carried_comes_back() -> None:
    options = SegmentOptions(ReadOptions(fps=2.0, end_seconds=3), threshold=0.3, write=("csv",))
    assert decoded(SegmentOptions, json.loads(json.dumps(asdict(options)))) == options


def test_lists_become_tuples_and_defaults_fill_in() -> None:
    found = decoded(Outer, WHOLE)
    assert found == Outer("a", 1, None, "two", (Inner((1, 2)), Inner((3, 4))), {"x": "y", "z": 3})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": 3}, "name is 3, expected str"),
        ({"share": "1"}, "share is '1', expected float"),
        ({"share": True}, "share is True, expected float"),
        ({"share": 10**400}, "share is 1000"),
        ({"share": float("inf")}, "share is inf"),
        ({"count": 1.5}, "count is 1.5, expected int"),
        ({"count": True}, "count is True, expected int"),
        ({"kind": "three"}, "kind is 'three', expected typing.Literal"),
        ({"kind": ["one"]}, "kind is"),
        ({"inner": {"size": [1, 2]}}, "inner is"),
        ({"inner": [{"size": [1, 2]}, {"size": [1]}]}, r"inner\[1\].size is \[1\]"),
        ({"inner": [[1, 2]]}, r"inner\[0\] is \[1, 2\], expected an object"),
        ({"inner": [{}]}, r"inner\[0\] lacks 'size'"),
        ({"told": ["x"]}, "told is"),
        ({"told": {"x": None}}, "told.x is None"),
        ({"is_whole": 1}, "is_whole is 1, expected bool"),
        ({"more": 1}, "'more' is unknown"),
    ],
)
def test_a_value_of_another_type_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decoded(Outer, WHOLE | change)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="it lacks 'share' and 'kind'"):
        decoded(Outer, {key: WHOLE[key] for key in WHOLE.keys() - {"share", "kind"}})


def test_what_a_later_version_added_can_be_left_out() -> None:
    added = WHOLE | {"more": 1, "inner": [{"size": [1, 2], "more": 1}]}
    assert decoded(Outer, added, ignore_unknown=True).inner == (Inner((1, 2)),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": NaN}', "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5000, "integer string conversion"),
        ("{", "Expecting property name"),
        (b"\xff\xfe\x00", "decode"),
    ],
)
def test_what_is_not_json_is_a_value_error(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parsed(text)
