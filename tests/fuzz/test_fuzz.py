"""A few hundred damaged inputs, always the same ones; and whether a fault would be noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fuzz.kinds import KINDS
from tests.fuzz.mutators import mutate_json
from tests.fuzz.planted import NOTICED, behaves

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes as Linux does")

NUM_INPUTS = 300
SEED = 15
PATIENCE_SECONDS = 600


def fuzz(output: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", "-o", output, *options]
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


def results_in(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_no_damaged_input_breaks_a_promise(tmp_path: Path) -> None:
    done = fuzz(tmp_path / "out", "--inputs", NUM_INPUTS, "--seed", SEED)
    assert done.returncode == 0, done.stdout + done.stderr
    results = results_in(tmp_path / "out")
    assert sorted(result["number"] for result in results) == list(range(NUM_INPUTS))
    assert {result["kind"] for result in results} == set(KINDS)
    refused = [result for result in results if result["code"] not in (0, 8)]
    assert NUM_INPUTS / 5 < len(refused) < NUM_INPUTS, "damage is neither harmless nor hopeless"
    assert not any((tmp_path / "out" / "inputs").iterdir()), "what went well is cleared away"


def test_damage_to_json_depends_on_the_seed_alone_and_never_closes_a_circle() -> None:
    document = {"a": [[], {}, [1, 2]], "b": []}

    def all_damage() -> list[str]:
        return [repr(mutate_json(Random(seed), document)) for seed in range(3000)]

    first = all_damage()
    assert first == all_damage()
    assert not any("[...]" in told or "{...}" in told for told in first)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that runs share, with their whole files in it."""
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def planted(output: Path) -> dict[str, dict[str, Any]]:
    """Return how an input went with each of the planted faults, by its name."""
    names = [function.__name__ for function in (*NOTICED, behaves)]
    mains = [word for name in names for word in ("--main", f"tests.fuzz.planted:{name}")]
    options = ("--inputs", len(names), "--only", "video", "--limit", 5, "--seed", 1)
    done = fuzz(output, *mains, *options)
    assert done.returncode == 1, done.stderr
    return {names[result["number"]]: result for result in results_in(output)}


@pytest.mark.parametrize(("name", "called"), [(f.__name__, c) for f, c in NOTICED.items()])
def test_a_planted_fault_is_noticed_and_its_input_kept(
    output: Path, planted: dict[str, dict[str, Any]], name: str, called: str
) -> None:
    result = planted[name]
    assert any(fault.startswith(called) for fault in result["faults"]), result
    kept = output / "failures" / f"1-{result['number']}-video"
    assert (kept / "notes" / "faults").read_text().splitlines() == result["faults"]
    assert (kept / "notes" / "command").read_text().startswith("cd world && avs segment in/")
    assert any((kept / "world" / "in").iterdir())


def test_a_command_that_behaves_is_not_blamed(planted: dict[str, dict[str, Any]]) -> None:
    assert planted[behaves.__name__]["faults"] == []


def test_one_seed_gives_the_same_inputs_and_a_run_carries_on(output: Path) -> None:
    (output / "results.jsonl").unlink(missing_ok=True)
    options = ("--main", "tests.fuzz.planted:behaves", "--only", "masks", "--seed", 3)
    assert fuzz(output, *options, "--inputs", 4).returncode == 0
    first = results_in(output)
    assert fuzz(output, *options, "--inputs", 6).returncode == 0
    assert results_in(output)[:4] == first, "what was run is not run again"
    assert [result["number"] for result in results_in(output)[4:]] in ([4, 5], [5, 4])
    (output / "results.jsonl").unlink()
    assert fuzz(output, *options, "--inputs", 6).returncode == 0
    told = {result["number"]: result["told"] for result in results_in(output)}
    assert {result["number"]: result["told"] for result in first}.items() <= told.items()
