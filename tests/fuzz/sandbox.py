"""One command in a process of its own: limits, and a watch over what it does.

The process is forked from this one, so PyTorch is imported once. It runs until it ends, is killed
by its limit of processor time, or by `Running.kill` when its wall time is over. Linux only.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

Main = Callable[[], object]

MEMORY_BYTES = 4 << 30  # of addresses; a healthy run takes a third of it
CPU_SECONDS = 30  # a healthy run takes 0.1 to 0.5
OUT, TEMPORARY, HOME = "out", "tmp", "home"
AUDIT = "audit"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {  # audit events that change files, and which of their arguments are paths
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
}
_EXECUTES = {"os.system", "os.exec", "os.posix_spawn", "pty.spawn"}
_CONNECTS = {"socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request"}


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code; negative for the signal that ended it.
        out, err: what it wrote to standard output and error.
        misdeeds: what the watch saw: writes outside its folder, programs, connections.
        seconds: wall time; cpu_seconds: of processor time, children included.
        peak_mb: largest resident set.
        was_killed: its wall time was over.
    """

    code: int
    out: str
    err: str
    misdeeds: tuple[str, ...]
    seconds: float
    cpu_seconds: float
    peak_mb: float
    was_killed: bool


class Running:
    """A command that has been started; wait on `descriptor`, then `end`.

    Args:
        main: what to run, as the shell would: it ends by SystemExit.
        args: of ``avs``.
        folder: its world: the input lies in it, the output goes to `OUT` inside.
        notes: an existing folder outside of that, for streams and the watch.
        max_file_bytes: no file may grow beyond this; None for no limit.
    """

    def __init__(
        self,
        main: Main,
        args: Sequence[str],
        folder: Path,
        notes: Path,
        *,
        max_file_bytes: int | None = None,
    ) -> None:
        self._notes = notes
        self.started = time.monotonic()
        self._was_killed = False
        for name in (TEMPORARY, HOME):
            (folder / name).mkdir()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if not self._pid:
            _be_the_command(main, args, folder, notes, max_file_bytes)
        self.descriptor = os.pidfd_open(self._pid)

    def kill(self) -> None:
        """End it, with all it has started."""
        self._was_killed = True
        _kill_group(self._pid)

    def end(self) -> Ended:
        """Wait for its end and return how it came."""
        os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        _kill_group(self._pid)  # what it has left running
        _pid, status, usage = os.wait4(self._pid, 0)
        os.close(self.descriptor)
        return Ended(
            code=os.waitstatus_to_exitcode(status),
            out=_text(self._notes / "stdout"),
            err=_text(self._notes / "stderr"),
            misdeeds=tuple(_text(self._notes / AUDIT).splitlines()),
            seconds=time.monotonic() - self.started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss / 1000,
            was_killed=self._was_killed,
        )


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nothing of it is left, or it has not come as far as its own group


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _be_the_command(
    main: Main, args: Sequence[str], folder: Path, notes: Path, max_file_bytes: int | None
) -> NoReturn:
    """Become ``avs ARGS`` in a folder, and end as a process of its own would."""
    code = 1
    try:
        os.setsid()
        _take_streams(notes)
        _live_in(folder)
        watch = os.open(notes / AUDIT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if max_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
        sys.addaudithook(_Watch(folder, watch))
        sys.argv = ["avs", *args]
        code = _code_of(main)
    finally:
        os._exit(code)


def _code_of(main: Main) -> int:
    """Run to the end of every thread, as Python does before it leaves."""
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 – what Python itself would print
        sys.excepthook(*sys.exc_info())
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _take_streams(notes: Path) -> None:
    for number, name, flags in (
        (0, "/dev/null", os.O_RDONLY),
        (1, notes / "stdout", os.O_WRONLY | os.O_CREAT),
        (2, notes / "stderr", os.O_WRONLY | os.O_CREAT),
    ):
        descriptor = os.open(name, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)


def _live_in(folder: Path) -> None:
    os.chdir(folder)
    os.environ["TMPDIR"], os.environ["HOME"] = str(folder / TEMPORARY), str(folder / HOME)
    tempfile.tempdir = None  # asks the environment anew
    # PyTorch writes into the environment where its folder was when it was first imported.
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    sys.dont_write_bytecode = True


class _Watch:
    """An audit hook that notes what no command may do."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder, self._descriptor = os.path.realpath(folder), descriptor

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            path, _mode, flags = args
            writes = isinstance(flags, int) and flags & _WRITING
            if writes and isinstance(path, str | bytes | os.PathLike):
                self._require_inside(event, path)
        elif event in _CHANGES:
            for place in _CHANGES[event]:
                self._require_inside(event, args[place])
        elif event == "subprocess.Popen":
            if not _is_ours(args):
                self._note(f"executed {args[0]!r} {args[1]!r}")
        elif event in _EXECUTES:
            self._note(f"executed {event} {args!r}")
        elif event in _CONNECTS:
            self._note(f"connected {event} {args!r}")

    def _require_inside(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith((self._folder + os.sep, "/dev/null", "/proc/self/")):
            self._note(f"wrote outside: {event} {real}")

    def _note(self, text: str) -> None:
        os.write(self._descriptor, " ".join(text.split())[:500].encode() + b"\n")


def _is_ours(args: tuple[object, ...]) -> bool:
    """Say whether a program is the ffmpeg that comes along, or ``avs`` itself."""
    program, words = str(args[0]), [str(word) for word in args[1]]  # type: ignore[attr-defined]
    return "imageio_ffmpeg" in program or (program == sys.executable and "-m" in words)
