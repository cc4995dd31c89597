"""``avs batch --engine ray`` on a real cluster of two nodes, both on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.batches import (
    make_clips,
    manifest_lines,
    require_whole,
    result_folders,
    start_batch,
    statuses,
    times_finished,
)
from tests.e2e.test_process import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.ray
NUM_FILES = 6

CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
cluster = Cluster(
    initialize_head=True,
    head_node_args={
        "num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20,
        "_system_config": {"health_check_period_ms": 500, "health_check_failure_threshold": 2},
    },
)
second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
cluster.shutdown()
"""


@dataclass(frozen=True)
class TwoNodes:
    """A cluster of two nodes with a CPU each."""

    address: str
    process: subprocess.Popen[str]

    def lose_one(self) -> None:
        """Let the second node die, for good."""
        assert self.process.stdin is not None
        self.process.stdin.write("lose one\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    pytest.importorskip("ray", reason="needs avscli[ray]")
    # Ray makes sockets there, whose names may not be longer than about 100 characters.
    environment = {**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line, "the cluster did not start"
        yield TwoNodes(line, process)
        process.communicate("", timeout=PATIENCE_SECONDS)


@pytest.fixture
def address(cluster: TwoNodes) -> str:
    return cluster.address


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"{'ab'[i % 2]}/{i}.mp4" for i in range(NUM_FILES)]
    return make_clips(tmp_path_factory.mktemp("ray") / "clips", names)


@pytest.fixture
def run(clips: Path, weights: Path, address: str, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a batch to its end and returns what it told."""

    def call(
        *options: object,
        engine: str = "ray",
        code: int = 0,
        source: Path = clips,
        env: dict[str, str] | None = None,
    ) -> str:
        where = ("--engine", "ray", "--ray-address", address) if engine == "ray" else ()
        common = (source, "-o", tmp_path / "out", "-w", weights, "--fps", 4, *where)
        with start_batch(*common, *options, env=env) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == code, err
        assert "Traceback" not in err
        return out + err

    return call


def with_path(folder: Path) -> dict[str, str]:
    """Return an environment in which Python looks for modules in a folder first."""
    return {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}" + os.environ.get("PYTHONPATH", ""),
    }


def actors() -> set[int]:
    """Return the processes on this machine in which a worker of ours lives."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"ray::RayWorker"):
            found.add(int(folder.name))
    return found


def test_two_nodes_give_the_results_of_one_process_and_each_knows_the_others(
    run: Callable[..., str], tmp_path: Path
) -> None:
    told = run("--json")
    events = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert events[0]["num_workers"] == 2, "one per CPU of the cluster"
    # A worker that starts late on a busy machine may find no file left.
    assert {event["worker"] for event in events if event["event"] == "started"} <= {0, 1}
    output = tmp_path / "out"
    require_whole(output)
    assert set(times_finished(output).values()) == {1}
    assert f"0 done · {NUM_FILES} up to date" in run(engine="local")
    output.rename(tmp_path / "by ray")
    run(engine="local")
    for key in result_folders(output):
        for file in ("frames.jsonl", "confidence.csv"):
            ours, theirs = tmp_path / "by ray" / key / file, output / key / file
            assert ours.read_bytes() == theirs.read_bytes()
    assert f"0 done · {NUM_FILES} up to date" in run()


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    clips: Path, weights: Path, address: str, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    where = ("--engine", "ray", "--ray-address", address, "--json")
    others = actors()
    with start_batch(clips, "-o", output, "-w", weights, "--fps", 4, *where) as process:
        wait_until(lambda: list(output.rglob("*.partial")) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        victims = actors() - others
        assert victims
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    repeated = {event["file"] for event in events if event["event"] == "repeated"}
    assert repeated
    assert times_finished(output) == dict.fromkeys(
        (line["key"] for line in manifest_lines(output)), 1
    )
    assert len(result_folders(output)) == NUM_FILES
    require_whole(output)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while actors() - others:
        assert time.monotonic() < deadline, "workers outlive their batch"
        time.sleep(0.2)


def test_a_cluster_that_is_not_there_is_said(run: Callable[..., str], tmp_path: Path) -> None:
    told = run("--ray-address", "127.0.0.1:1", code=6)
    assert "cannot join the Ray cluster at 127.0.0.1:1" in told


def test_a_cluster_of_another_version_is_said(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import ray\nray.__version__ = '0.0.1'\n")
    told = run(env=with_path(tmp_path), code=6)
    assert "cannot join the Ray cluster" in told
    assert "0.0.1" in told


def test_a_file_that_takes_too_long_is_given_up_and_leaves_nothing(
    run: Callable[..., str], tmp_path: Path
) -> None:
    source = make_clips(tmp_path / "long", ["long.mp4"], seconds=240)
    run("--timeout", 1, "--fps", "native", source=source, code=8)
    assert statuses(tmp_path / "out") == {"long.mp4": "timed_out"}
    assert result_folders(tmp_path / "out") == set()


def test_without_the_package_the_way_to_it_is_said(
    clips: Path, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('no ray')")
    command = (clips, "-o", tmp_path / "out", "-w", weights, "--engine", "ray")
    with start_batch(*command, env=with_path(tmp_path)) as process:
        _out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 10
    assert 'pip install "avscli[ray]"' in err


# --- the last tests, since they cost the cluster a node -------------------------------------------


def test_a_node_that_dies_loses_nothing(cluster: TwoNodes, weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    # Long enough that one worker does not finish them all while the other still starts.
    names = [f"{i}.mp4" for i in range(NUM_FILES)]
    clips = make_clips(tmp_path / "clips", names, seconds=20)
    where = ("--engine", "ray", "--ray-address", cluster.address, "--json")
    with start_batch(clips, "-o", output, "-w", weights, "--fps", "native", *where) as process:
        wait_until(lambda: len(list(output.rglob("*.partial"))) == 2 or process.poll() is not None)
        cluster.lose_one()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert [event for event in map(json.loads, out.splitlines()) if event["event"] == "repeated"]
    assert set(times_finished(output).values()) == {1}
    assert len(result_folders(output)) == NUM_FILES
    require_whole(output)


@contextmanager
def blind_node(address: str, hidden: Path) -> Iterator[None]:
    """Let a node join that sees an empty folder where the others see a full one."""
    script = 'mount -t tmpfs tmpfs "$1" && exec "$2" start --address "$3" --num-cpus 1 --block'
    alone = [str(shutil.which("unshare")), "--mount"]
    if alone[0] == "None" or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("hiding a folder from a node needs root on Linux")
    ray = Path(sys.executable).with_name("ray")
    with subprocess.Popen(
        [*alone, "sh", "-c", script, "sh", hidden, ray, address],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = []
        while not told or "--block" not in told[-1]:
            told.append(process.stdout.readline())
            assert told[-1], told
        try:
            yield
        finally:
            process.terminate()


def test_a_node_that_does_not_see_the_storage_is_named(
    clips: Path, address: str, run: Callable[..., str], tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "in").mkdir(parents=True)
    (hidden / "in" / "a.mp4").write_bytes((clips / "a" / "0.mp4").read_bytes())
    with blind_node(address, hidden):
        told = run(source=hidden / "in", code=6)
        assert f"does not see {hidden}/in/a.mp4" in told
        told = run("-o", hidden / "out", code=6)
        assert f"does not see the output folder {hidden}/out" in told
    assert statuses(hidden / "out") == {}
