"""``avs`` as the shell starts it: commands that read media run where they can be seen to die.

FFmpeg ends its process where it finds itself in a state it thought impossible; a damaged MPEG-TS
file can bring it there (``tests/fuzz``, about one damaged video in a thousand). ``avs batch`` reads
in workers for that reason. Everything else that reads files of others is run by a fork of this
process, made before anything is imported that minds forks; this one waits, hands signals on, and
says what happened if the other is ended by a signal.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from avscli.errors import AvscliError, DeviceError, ExitCode, MediaError

if TYPE_CHECKING:
    from types import FrameType

_READS_MEDIA = {"segment", "eval", "data"}
_HANDED_ON = (signal.SIGINT, signal.SIGTERM)
_SENT_BY_THE_TERMINAL = 0x80  # si_code SI_KERNEL: the other process has got it as well
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_KEPT_BYTES = 1 << 30
_LONGEST_TURN_SECONDS = 0.0005


def main() -> NoReturn:
    """Run ``avs`` and exit with a code of `ExitCode`."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)  # until `cli.main` says what Ctrl-C does
    from avscli import cli

    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if sys.platform == "linux" and command in _READS_MEDIA:
        _fork()
    try:
        cli.main()
    finally:
        # What comes now is Python's own end. It would be spoiled by Ctrl-C, and spends 0.3 to 0.5 s
        # on garbage among all that importing PyTorch has made, which the system takes back anyway.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Exit before anything has begun."""
    os.write(2, b"interrupted\n")
    os._exit(ExitCode.INTERRUPTED)


def _fork() -> None:
    """Return in a process of its own; in this one wait for it, and exit as it did."""
    handed_on = {
        number
        for number in (*_HANDED_ON, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as nohup and background jobs have it
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*handed_on, signal.SIGCHLD})
    parent, child = os.getpid(), os.fork()
    if not child:
        _end_with(parent)
        _keep_freed_memory()
        # Six threads give work to C for moments at a time; by default each may then wait 5 ms for
        # one that runs Python: 3 % of the time of `--fps auto`.
        sys.setswitchinterval(_LONGEST_TURN_SECONDS)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    is_interrupted = False
    while True:
        received = signal.sigwaitinfo({*handed_on, signal.SIGCHLD})
        is_interrupted |= received.si_signo == signal.SIGINT
        if received.si_signo in handed_on and received.si_code != _SENT_BY_THE_TERMINAL:
            os.kill(child, received.si_signo)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            # Threads that a library has left may end a process that was told to stop in any way.
            sys.exit(ExitCode.INTERRUPTED if is_interrupted and code < 0 else _code_of(code))


def _end_with(parent: int) -> None:
    """Have the system end this process when the one that waits for it is killed."""
    import ctypes  # here: the parent needs none of it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before that
        os._exit(128 + signal.SIGKILL)


def _keep_freed_memory() -> None:
    """Have this process keep what it frees, for the next batch, which is as large as the last.

    Left to itself, glibc gives back what is over 32 MB, and the system clears it again, page by
    page: 7 % of the time of `avs segment` in float32. Other C libraries are left as they are.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _code_of(status: int) -> int:
    """Return the exit code for how the other process ended, and tell what nobody has told yet."""
    if status >= 0:
        return status
    from avscli import console

    error = _error_of(signal.Signals(-status))
    with console.standard_streams():
        console.error(error)
    return error.exit_code


def _error_of(number: signal.Signals) -> AvscliError:
    if number == signal.SIGKILL:
        return DeviceError(
            "the system ended avs by SIGKILL, as it does when memory runs out",
            hint="try a smaller --batch-clips, or fewer programs at the same time",
        )
    return MediaError(
        f"a library that reads media was ended by {number.name}: the file is damaged in a way "
        "that it does not survive",
        hint="copy the streams into a new file with a program that plays it; avs batch tells "
        "which file of many it is, and goes on with the others",
    )
