"""The versions that the checks run with: every library has one, and it is one we allow."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import avscli

ROOT = Path(avscli.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DECLARED = [
    Requirement(text)
    for some in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in some
]
OF_A_BUILD = ("nvidia-", "cuda-", "triton")  # builds of torch for GPUs name these versions exactly
PINS = {
    canonicalize_name(pin.name): pin
    for line in (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
    for pin in [Requirement(line)]
}


def pinned_version(name: str) -> str:
    (pin,) = PINS[canonicalize_name(name)].specifier
    assert pin.operator == "=="
    return pin.version


def is_as_pinned(name: str) -> bool:
    """Whether a library is installed in the version of the constraints, in whatever build."""
    return PINS[canonicalize_name(name)].specifier.contains(version(name))


@pytest.mark.parametrize("declared", DECLARED, ids=str)
def test_the_checks_run_with_a_version_that_is_allowed(declared: Requirement) -> None:
    assert declared.specifier.contains(pinned_version(declared.name))


def test_the_constraints_hold_whatever_the_checks_install() -> None:
    # Other versions, such as the oldest that are allowed, need other libraries in turn.
    if not all(is_as_pinned(declared.name) for declared in DECLARED):
        pytest.skip("this environment was made without .ci/constraints.txt")
    installed = {name for name in installed_by(DECLARED) if not name.startswith(OF_A_BUILD)}
    assert installed - set(PINS) == set()


def installed_by(wanted: list[Requirement]) -> Iterator[str]:
    """Yield the names of what is wanted and of all it needs in turn, here and now."""
    waiting, seen = list(wanted), set()
    while waiting:
        each = waiting.pop()
        if (each.name, *each.extras) in seen:
            continue
        seen.add((each.name, *each.extras))
        try:
            needs = [Requirement(text) for text in requires(each.name) or ()]
        except PackageNotFoundError:  # an extra that this environment was not asked for
            continue
        yield canonicalize_name(each.name)
        chosen = each.extras or {""}
        waiting += [
            need
            for need in needs
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in chosen)
        ]
