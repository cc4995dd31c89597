"""Processes that answer: whatever becomes of them, the other side learns it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avscli.batch.child import Child, describe_end
from avscli.batch.executors import divide_cores
from avscli.batch.prober import FileHeaders, Prober
from tests.builders import make_video

ECHO = """
from avscli.batch.child import Parent
import ctypes, os, subprocess, sys, time
parent = Parent()
print("a library that prints")
for message in parent.messages():
    if message.get("crash"):
        print("last words", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    if message.get("exit"):
        sys.exit(message["exit"])
    if message.get("say"):
        print(message["say"], file=sys.stderr, flush=True)
    helper = subprocess.Popen(["sleep", "600"]).pid if message.get("start") else 0
    open(os.path.join(os.environ["TMPDIR"], "left"), "w").close()
    parent.answer({
        "echo": message, "pid": os.getpid(), "tmp": os.environ["TMPDIR"], "helper": helper,
    })
    time.sleep(message.get("sleep", 0))
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "echo_child.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return "echo_child"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline, "it runs on"
        time.sleep(0.02)


def test_messages_go_both_ways_and_prints_stay_out(echo: str) -> None:
    child = Child(echo)
    odd = {"name": "two\nlines 😀 \udce9"}
    answer = child.ask(odd, 60)
    assert answer is not None
    assert answer["echo"] == odd
    assert answer["pid"] == child.pid
    assert Path(answer["tmp"], "left").exists()
    child.end()
    assert not Path(answer["tmp"]).exists()


def test_a_crash_is_an_end_with_a_signal_and_last_words(echo: str) -> None:
    child = Child(echo)
    assert child.ask({"crash": True}, 60) is None
    assert "last words" in child.last_words()
    assert "Segmentation fault" in child.last_words()
    status = child.end(kill=False)
    assert status == -signal.SIGSEGV
    assert describe_end(status, "") == "its process was ended by SIGSEGV"


def test_a_child_that_died_by_itself_is_ended_like_any_other(echo: str) -> None:
    child = Child(echo)
    assert child.ask({"crash": True}, 60) is None
    wait_for_end(child.pid)
    assert child.end(kill=True) == -signal.SIGSEGV


def test_an_exit_keeps_its_status(echo: str) -> None:
    child = Child(echo)
    assert child.ask({"exit": 3}, 60) is None
    assert child.end(kill=False) == 3
    assert describe_end(3, "Traceback\nValueError: no\n") == (
        "its process exited with status 3: ValueError: no"
    )


def test_forgotten_words_leave_no_trace_in_later_ones(echo: str) -> None:
    child = Child(echo)
    assert child.ask({"say": "long words about the file before\n" * 9}, 60) is not None
    child.forget_words()
    assert child.ask({"exit": "the last line"}, 60) is None
    assert child.last_words() == "the last line\n"
    assert child.end(kill=False) == 1


@pytest.mark.parametrize("kill", [True, False])
def test_what_a_child_has_started_ends_with_it(echo: str, kill: bool) -> None:
    child = Child(echo)
    answer = child.ask({"start": True}, 60)
    assert answer is not None
    assert is_running(answer["helper"])
    if not kill:
        assert child.ask({"exit": 3}, 60) is None
    assert child.end(kill=kill) == (-signal.SIGKILL if kill else 3)
    wait_for_end(answer["helper"])


def test_a_child_imports_nothing_from_where_a_person_stands(
    echo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "selectors.py").write_text("raise RuntimeError('a script of mine')")
    monkeypatch.chdir(tmp_path / "here")
    child = Child(echo)
    assert child.ask({}, 60) is not None, child.last_words()
    child.end()


def test_a_child_that_takes_too_long_is_given_up(echo: str) -> None:
    child = Child(echo)
    assert child.ask({"sleep": 60}, 60) is not None
    assert child.ask({}, 0.1) is None
    child.end()


def test_a_child_does_not_outlive_its_parent(echo: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "from avscli.batch.child import Child\n"
        "import os, signal, pathlib, sys\n"
        f"child = Child({echo!r})\n"
        "answer = child.ask({'sleep': 60, 'start': True}, 60)\n"
        'facts = f\'{child.pid} {answer["helper"]} {answer["tmp"]}\'\n'
        f"pathlib.Path({str(pid_file)!r}).write_text(facts)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    pid, helper, temporary = pid_file.read_text().split()
    wait_for_end(int(pid))
    wait_for_end(int(helper))
    assert not Path(temporary).exists()


def test_telling_a_dead_child_is_no_error(echo: str) -> None:
    child = Child(echo)
    os.kill(child.pid, signal.SIGKILL)
    wait_for_end(child.pid)
    child.send({"anything": 1})
    assert child.receive() is None
    assert child.end(kill=False) == -signal.SIGKILL


def test_a_prober_reads_headers(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", seconds=1, fps=10, size_hw=(16, 16))
    (tmp_path / "b.mp4").write_text("no")
    with Prober() as prober:
        seen = prober.headers(video)
        assert seen is not None
        assert seen.kind == "video"
        assert seen.seconds == pytest.approx(1.0, abs=0.1)
        assert prober.headers(tmp_path / "b.mp4") == FileHeaders(None)
        assert prober.headers(tmp_path / "absent") == FileHeaders(None)


@pytest.mark.parametrize("num_workers", [1, 2, 3, 5, 8, 100])
def test_cores_are_shared_out(num_workers: int) -> None:
    cores = os.sched_getaffinity(0)
    shares = divide_cores(num_workers)
    assert len(shares) == num_workers
    assert all(shares)
    assert set().union(*shares) == cores or num_workers < len(cores)
    if num_workers <= len(cores):
        assert sorted(core for share in shares for core in share) == sorted(cores)
    else:
        assert all(len(share) == 1 for share in shares)
