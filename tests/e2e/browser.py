"""A headless Chromium that tells what a page drew, said and asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # CI runs as root, where the sandbox refuses to start
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_LONGEST_SECONDS = 120


@dataclass(frozen=True)
class Visit:
    """What happened while a page was loaded.

    Attributes:
        requests: addresses that the page asked for, itself included.
        complaints: errors and warnings of the console, and exceptions.
        value: what the given expression was at the end.
    """

    requests: list[str]
    complaints: list[str]
    value: object


def require_chromium() -> str:
    """Return the program; skip without it, or fail if AVSCLI_REQUIRE_CHROMIUM is 1."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        message = "needs Chromium (Debian: apt-get install chromium)"
        if os.environ.get("AVSCLI_REQUIRE_CHROMIUM") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


def visit(page: Path, expression: str, profile: Path) -> Visit:
    """Load a file in Chromium and evaluate an expression there.

    Args:
        page: the file.
        expression: JavaScript whose value can be written as JSON.
        profile: empty folder for what the browser keeps.
    """
    with _chromium(require_chromium(), profile) as browser:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            browser.call(f"{domain}.enable", session)
        browser.call("Page.navigate", session, url=page.resolve().as_uri())
        browser.wait_for("Page.loadEventFired")
        found = browser.call("Runtime.evaluate", session, expression=expression, returnByValue=True)
        return Visit(
            [e["request"]["url"] for e in browser.events("Network.requestWillBeSent")],
            [
                *(e["entry"]["text"] for e in browser.events("Log.entryAdded")),
                *(str(e["args"]) for e in browser.events("Runtime.consoleAPICalled")),
                *(str(e["exceptionDetails"]) for e in browser.events("Runtime.exceptionThrown")),
            ],
            found["result"].get("value"),
        )


class _Browser:
    """Speaks Chromium's debugging protocol: JSON messages, each ended by a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._last_id = 0
        self._events: list[dict] = []

    def call(self, method: str, session: str | None = None, **params: object) -> dict:
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last_id:
            self._events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def wait_for(self, method: str) -> None:
        while not self.events(method):
            self._events.append(self._next())

    def events(self, method: str) -> list[dict]:
        return [event["params"] for event in self._events if event.get("method") == method]

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 16)
            assert read, "Chromium ended"
            self._rest += read
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


@contextmanager
def _chromium(program: str, profile: Path) -> Iterator[_Browser]:
    their_commands, our_commands = os.pipe()
    our_answers, their_answers = os.pipe()
    # It reads commands from descriptor 3 and answers on 4; bash puts the pipes there, and
    # timeout ends it when a test is stuck waiting for an answer.
    wiring = (
        f'exec timeout -k 5 {_LONGEST_SECONDS} "$0" "$@" 3<&{their_commands} 4>&{their_answers}'
    )
    process = subprocess.Popen(
        ["bash", "-c", wiring, program, *_OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=(their_commands, their_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_commands)
    os.close(their_answers)
    try:
        yield _Browser(our_commands, our_answers)
    finally:
        os.close(our_commands)
        os.close(our_answers)
        process.terminate()
        process.wait()
