"""Passes side by side: the same answers in the same order, each on its own threads."""

import threading
from threading import Barrier

import pytest
import torch

from avscli.devices import TorchRuntime, start
from avscli.passes import MOST_AT_ONCE, Passes
from tests.networks_for_tests import make_inputs, make_network


@pytest.mark.parametrize(("num_threads", "at_once"), [(1, 1), (2, 2), (3, 3), (16, MOST_AT_ONCE)])
def test_no_more_passes_than_threads_or_memory_allow(num_threads: int, at_once: int) -> None:
    assert Passes(num_threads).at_once == at_once


def test_passes_run_at_the_same_time_and_answer_in_order() -> None:
    both_are_here = Barrier(2)

    def one_pass(part: int) -> tuple[int, int]:
        both_are_here.wait(timeout=60)
        return part, threading.get_ident()

    answers = Passes(2).run(one_pass, [7, 8, 9, 10])
    assert [part for part, _ in answers] == [7, 8, 9, 10]
    assert len({thread for _, thread in answers}) == 2


@pytest.mark.parametrize(("num_threads", "each"), [(2, 1), (8, 2), (9, 2)])
def test_each_pass_has_its_share_of_the_threads_and_the_caller_keeps_his(
    num_threads: int, each: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        passes = Passes(num_threads)

        def one_pass(_part: int) -> int:
            torch.ones(100, 100) @ torch.ones(100, 100)
            return torch.get_num_threads()

        assert set(passes.run(one_pass, range(8))) == {each}
        assert passes.run(one_pass, [0]) == [3]  # alone, it has them all
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_a_pass_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        Passes(2).run(lambda part: 1 / part, [1, 0])


@pytest.mark.parametrize("num_clips", [1, 2, 5, 8])
def test_a_network_says_the_same_in_passes_side_by_side(num_clips: int) -> None:
    network, inputs = make_network(), make_inputs(num_clips)
    one = TorchRuntime(network, "cpu", "fp32", 8, pytest.fail)
    two = TorchRuntime(network, "cpu", "fp32", 3, pytest.fail, passes=Passes(2))
    assert (one.clips_at_once, two.clips_at_once) == (8, 6)
    torch.testing.assert_close(
        two.forward(inputs).logits, one.forward(inputs).logits, atol=1e-5, rtol=1e-4
    )


def test_a_runtime_divides_the_threads_of_the_process() -> None:
    runtime = start(make_network(), "cpu", precision="fp32", warn=pytest.fail)
    assert runtime.passes.at_once == min(torch.get_num_threads(), MOST_AT_ONCE)
    assert runtime.facts()["passes"] == runtime.passes.at_once
