import os
import signal

import pytest

from avscli.training.stopping import stop_requests


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_the_first_ctrl_c_asks_and_the_second_one_acts() -> None:
    with stop_requests() as stop:
        assert not stop.is_made
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_made
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stop.leave()


def test_sigterm_leaves_with_its_own_code() -> None:
    with stop_requests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_made
    with pytest.raises(SystemExit) as left:
        stop.leave()
    assert left.value.code == 143


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_requests():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
