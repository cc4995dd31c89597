"""A process that is told things and answers, one JSON document per line: `Child`, `Parent`.

What the child does cannot hurt the parent: when it dies, however it dies, the parent reads the end
of its answers. When the parent dies, the child reads the end of what it is told, and dies as well.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Message = dict[str, Any]
_LAST_WORDS_BYTES = 4096
_TEMPORARY_PREFIX = "avs-worker-"


class Child:
    """A Python module of ours running in a process of its own.

    Args:
        module: run as ``python -m``; it speaks through `Parent`.
        environment: set besides the parent's own.
        inherit: descriptors the child shall hold until it ends.
    """

    def __init__(
        self,
        module: str,
        *,
        environment: Mapping[str, str] | None = None,
        inherit: Sequence[int] = (),
    ) -> None:
        self._temporary = tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 – closed with the child
        self._unread = b""
        self._process = subprocess.Popen(  # noqa: S603 – our own module
            [sys.executable, *_no_stray_modules(), "-X", "faulthandler", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            # What a killed child leaves among temporary files is found and removed.
            env={**os.environ, **(environment or {}), "TMPDIR": self._temporary},
            pass_fds=inherit,
            process_group=0,  # Ctrl-C is for the parent to deal with, and it ends as one
        )

    @property
    def answers(self) -> int:
        """The descriptor to wait on."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message; a child that is dead already will be noticed when its answers end."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def receive(self) -> list[Message] | None:
        """Return the answers that are there, at least a part of one; None at their end."""
        data = os.read(self.answers, 1 << 16)
        if not data:
            return None
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def ask(self, message: Mapping[str, object], seconds: float) -> Message | None:
        """Send a message and wait for its answer; None when it dies or takes too long."""
        self.send(message)
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            while selector.select(seconds):
                messages = self.receive()
                if messages is None:
                    return None
                if messages:
                    return messages[0]
        return None

    def end(self, *, kill: bool = True) -> int:
        """End the process, with what it has started, and return its exit status.

        Its temporary files and words go with it.
        """
        if kill:  # not through Popen, which reaps it when it has died by itself
            _kill_group(self.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # what was never read is of no use
            self._process.stdin.close()
        # Not reaped yet, so that its number cannot be another's when the rest of its group ends.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        _kill_group(self.pid)
        status = self._process.wait()
        self._process.stdout.close()
        self._words.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
        return status

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error, and forget it."""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - _LAST_WORDS_BYTES))
        return self._words.read().decode(errors="replace")

    def forget_words(self) -> None:
        """Empty what it wrote to standard error so far."""
        self._words.seek(0)  # of both: the child writes at the same place
        self._words.truncate()


def _no_stray_modules() -> tuple[str, ...]:
    """Return the option that keeps a child from importing what lies where a person stands.

    Unless the parent does so itself, when it runs from a source tree for instance.
    """
    return () if {"", os.getcwd()} & set(sys.path) else ("-P",)  # noqa: PTH109 – as Python has it


def _kill_group(leader: int) -> None:
    """End what a process has started, an ffmpeg program for instance, and has not waited for."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class Parent:
    """The other end, in the child: messages in, answers out.

    Standard output is taken over, so that no library can write into the answers.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._answers = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def answer(self, message: Mapping[str, object]) -> None:
        """Send an answer."""
        self._answers.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    def messages(self) -> Iterator[Message]:
        """Yield what the parent sends, for as long as there is a parent."""
        while True:
            yield self._messages.get()

    def _listen(self) -> None:
        unread = b""
        # Not through sys.stdin: a thread that waits in there would disturb the end of Python.
        while data := os.read(0, 1 << 16):
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                self._messages.put(json.loads(line))
        # Work nobody waits for any more must not go on: the next run may do the same file.
        if Path(tempfile.gettempdir()).name.startswith(_TEMPORARY_PREFIX):
            shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
        if os.getpgrp() == os.getpid():
            _kill_group(os.getpid())
        os._exit(0)


def describe_end(status: int, last_words: str) -> str:
    """Say how a process ended, with the line of its last words that tells most."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"its process was ended by {name}"
    lines = [line for line in last_words.splitlines() if line.strip()]
    return f"its process exited with status {status}" + (f": {lines[-1]}" if lines else "")
