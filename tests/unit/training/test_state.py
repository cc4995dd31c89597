import json
import resource
from pathlib import Path

import pytest
import torch

from avscli.errors import OutputError, UsageError, WeightsError
from avscli.training.state import MetricsLog, load_state, make_folder, save_state

FINGERPRINT = {"seed": 1, "spec": {"size": [32, 32]}}


def state(size: int = 10) -> dict[str, object]:
    return {"weights": torch.arange(float(size)), "fingerprint": json.dumps(FINGERPRINT)}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save_state(tmp_path, state())
    loaded = load_state(tmp_path, FINGERPRINT)
    assert loaded is not None
    assert torch.equal(loaded["weights"], torch.arange(10.0))
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_no_state_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path, FINGERPRINT) is None


def test_a_disk_that_is_full_keeps_the_last_state_and_nothing_else(tmp_path: Path) -> None:
    save_state(tmp_path, state())
    before = (tmp_path / "last.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*last\.pt"):
            save_state(tmp_path, state(size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "last.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_state_is_said_to_be(tmp_path: Path, share: float) -> None:
    save_state(tmp_path, state(size=10_000))
    path = tmp_path / "last.pt"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WeightsError, match=r"last\.pt is damaged"):
        load_state(tmp_path, FINGERPRINT)


def test_the_state_of_another_recipe_is_refused_by_its_first_difference(tmp_path: Path) -> None:
    save_state(tmp_path, state())
    with pytest.raises(UsageError, match="another seed: 1, not 2"):
        load_state(tmp_path, FINGERPRINT | {"seed": 2})


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write to"):
        make_folder(tmp_path / place)


def test_a_folder_is_made_and_stays_empty(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_metrics_beyond_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.add(step, {"loss": step / 10})
    log.close()
    log = MetricsLog(tmp_path, 2)
    log.add(3, {"loss": 7.0})
    log.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "loss": 0.1},
        {"step": 2, "loss": 0.2},
        {"step": 3, "loss": 7.0},
    ]


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("hello\n")
    with pytest.raises(OutputError, match="not a log of metrics"):
        MetricsLog(tmp_path, 0)


def test_tensorboard_gets_the_same_numbers_when_it_is_installed(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = MetricsLog(tmp_path, 0)
    for step in (1, 2):
        log.add(step, {"loss": step / 4})
    log.close()
    events = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.25), (2, 0.5)]
