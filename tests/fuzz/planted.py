"""Commands that do what none may, one per property: does the fuzzer notice?

python -m tests.fuzz --main tests.fuzz.planted:hangs --inputs 1 --limit 2 -o planted_out
"""

from __future__ import annotations

import ctypes
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.fuzz.inputs import CANARY
from tests.fuzz.sandbox import OUT


def raises() -> None:
    raise RuntimeError("planted")


def confesses() -> None:
    print("internal error: RuntimeError: planted", file=sys.stderr)
    sys.exit(1)


def hangs() -> None:
    time.sleep(3600)


def hangs_in_a_thread() -> None:
    threading.Thread(target=hangs).start()
    _refuse()


def crashes() -> None:
    ctypes.string_at(0)


def ends_with_another_code() -> None:
    print("error: planted", file=sys.stderr)
    sys.exit(42)


def fails_without_a_word() -> None:
    sys.exit(3)


def says_too_much() -> None:
    print("[h264 @ 0x55] error while decoding MB 1 2", file=sys.stderr)
    _refuse()


def leaves_a_partial() -> None:
    (Path(OUT) / "clip.mp4.partial").mkdir(parents=True)
    _refuse()


def leaves_half_a_run() -> None:
    folder = Path(OUT) / "clip.mp4"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"files": ["frames.jsonl", "run.json"], "num_frames": 3}')


def leaves_temporary_files() -> None:
    tempfile.mkdtemp()
    _refuse()


def changes_its_input() -> None:
    next(path for path in Path("in").rglob("*") if path.is_file()).write_bytes(b"")
    _refuse()


def writes_outside() -> None:
    Path(f"../{OUT}").write_text("planted")
    _refuse()


def unpickles() -> None:
    pickle.loads(b"cpathlib\nPath\n(S'" + CANARY.encode() + b"'\ntR(S'touch'\nl0.")
    Path(CANARY).touch()
    _refuse()


def executes() -> None:
    subprocess.run(["true"], check=True)
    _refuse()


def fills_the_memory() -> None:
    bytearray(1 << 40)


def behaves() -> None:
    _refuse()


def _refuse() -> None:
    print("error: planted\nhint: none", file=sys.stderr)
    sys.exit(3)


NOTICED = {
    raises: "traceback",
    confesses: "traceback",
    hangs: "hang",
    hangs_in_a_thread: "hang",
    crashes: "crash",
    ends_with_another_code: "exit code",
    fails_without_a_word: "words",
    says_too_much: "words",
    leaves_a_partial: "half written",
    leaves_half_a_run: "torn",
    leaves_temporary_files: "left over",
    changes_its_input: "changed",
    writes_outside: "wrote",
    unpickles: "executed",
    executes: "executed",
    fills_the_memory: "traceback",
}
"""What each of them breaks, as the fuzzer calls it."""
