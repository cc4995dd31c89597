"""The doctor names every problem, and ends with the code of the first."""

import pytest

from avscli.doctor import require_healthy
from avscli.errors import DeviceError, ExitCode, WeightsError


def test_a_healthy_machine_passes() -> None:
    require_healthy([])


def test_problems_are_told_together_once_each_with_the_first_ones_code() -> None:
    damaged = WeightsError("weights are damaged", hint="reinstall avscli")
    with pytest.raises(WeightsError) as caught:
        require_healthy([damaged, damaged, DeviceError("no such device")])
    assert str(caught.value) == "weights are damaged; no such device"
    assert caught.value.exit_code == ExitCode.BAD_WEIGHTS
    assert caught.value.hint == "reinstall avscli"
