"""What is measured once, on machines whose speed is known, and kept in a cache that may fail."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from avscli import arithmetic
from avscli.arithmetic import CACHE_VARIABLE, fastest, remembered


@pytest.fixture
def machine(monkeypatch):
    """A clock that moves only when something is computed, by as long as each arithmetic takes."""
    now = [0.0]
    monkeypatch.setattr(arithmetic.time, "perf_counter", lambda: now[0])

    def taking(seconds, right=("fp32", "bf16", "fp16")):
        def run(candidate):
            now[0] += seconds[candidate]
            return candidate in right

        return run

    return taking


def test_the_fastest_arithmetic_that_gives_the_right_masks_is_taken(machine):
    seconds = {"fp32": 1.0, "bf16": 0.5, "fp16": 0.4}
    assert fastest("fp32", ["bf16", "fp16"], machine(seconds)) == "fp16"
    right = ("fp32", "bf16")
    assert fastest("fp32", ["bf16", "fp16"], machine(seconds, right)) == "bf16"


@pytest.mark.parametrize("seconds", [0.95, 1.2, 50.0])
def test_what_gains_next_to_nothing_is_no_reason_to_leave_the_exact_arithmetic(machine, seconds):
    assert fastest("fp32", ["bf16"], machine({"fp32": 1.0, "bf16": seconds})) == "fp32"


def test_an_arithmetic_that_is_only_imitated_is_tried_once(machine):
    runs = []
    run = machine({"fp32": 1.0, "bf16": 50.0})
    fastest("fp32", ["bf16"], lambda candidate: runs.append(candidate) or run(candidate))
    assert runs.count("bf16") == 1


def test_each_checkpoint_and_number_of_threads_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "not there yet"))
    assert remembered("cpu", "a" * 64, lambda: "bf16") == "bf16"
    assert remembered("cpu", "a" * 64, lambda: pytest.fail("measured again")) == "bf16"
    assert remembered("cpu", "b" * 64, lambda: "fp32") == "fp32"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert remembered("cpu", "a" * 64, lambda: "fp32") == "fp32"
    stored = json.loads((tmp_path / "not there yet" / "arithmetic.json").read_text())
    assert sorted(stored.values()) == ["bf16", "fp32", "fp32"]


def test_those_who_start_together_measure_once(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    measured = []

    def measure():
        measured.append(1)
        time.sleep(0.2)
        return "bf16"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _i: remembered("cpu", "c" * 64, measure), range(4)))
    assert found == ["bf16"] * 4
    assert len(measured) == 1


@pytest.mark.parametrize("content", ["", "[1]", '{"x": 3}', "\x00"])
def test_a_damaged_cache_is_measured_over(tmp_path, monkeypatch, content):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    (tmp_path / "arithmetic.json").write_text(content)
    assert remembered("cpu", "d" * 64, lambda: "bf16") == "bf16"
    assert remembered("cpu", "d" * 64, lambda: pytest.fail("measured again")) == "bf16"


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_measuring(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "below"))
    assert remembered("cpu", "e" * 64, lambda: "bf16") == "bf16"
