"""A headless Chromium that tells what a page drew, said and asked for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    with opened(page, profile) as tab:
        value = tab.value(expression)
        return Visit(tab.requests, tab.complaints, value)


@contextmanager
def opened(page: Path, profile: Path, *, size: tuple[int, int] = (1280, 800)) -> Iterator[Tab]:
    """Load a file in Chromium, and let go of it at the end of the ``with`` block.

    Args:
        page: the file.
        profile: folder for what the browser keeps; one that was used before remembers.
        size: width and height of the window.
    """
    with _chromium(require_chromium(), profile) as browser:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(browser, session)
        tab.set_up(size)
        tab.load(page)
        yield tab


class Tab:
    """A page that is open in Chromium."""

    def __init__(self, browser: _Browser, session: str) -> None:
        self._browser, self._session = browser, session

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, itself included."""
        return [e["request"]["url"] for e in self._browser.events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions."""
        events = self._browser.events
        return [
            *(e["entry"]["text"] for e in events("Log.entryAdded")),
            *(str(e["args"]) for e in events("Runtime.consoleAPICalled")),
            *(str(e["exceptionDetails"]) for e in events("Runtime.exceptionThrown")),
        ]

    def set_up(self, size: tuple[int, int]) -> None:
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*size)

    def load(self, page: Path) -> None:
        self._browser.forget("Page.loadEventFired")
        self.call("Page.navigate", url=page.resolve().as_uri())
        self._browser.wait_for("Page.loadEventFired")

    def call(self, method: str, **params: object) -> dict:
        """Send a command of the debugging protocol."""
        return self._browser.call(method, self._session, **params)

    def value(self, expression: str) -> Any:
        """Return the value of JavaScript, of a promise what comes of it."""
        found = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            allowUnsafeEvalBlockedByCSP=False,
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_until(self, condition: str, seconds: float = 30.0) -> None:
        """Wait until JavaScript is true; fail when it does not become so."""
        until = time.monotonic() + seconds
        while not self.value(condition):
            assert time.monotonic() < until, f"not within {seconds:g} s: {condition}"
            time.sleep(0.02)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key and let it go: a letter or sign as it is typed, or a name such as Enter.

        Args:
            key: what the page is told.
            modifiers: 1 for Alt, 2 for Ctrl, 4 for Meta, 8 for Shift.
        """
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 and not modifiers & 7 else "")
        code = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}.get(key, 0)
        shared = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        down = "keyDown" if text else "rawKeyDown"
        self.call("Input.dispatchKeyEvent", type=down, text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def type(self, text: str) -> None:
        """Put text where the focus is, as a keyboard of any language would."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click into the middle of the first element that a selector finds."""
        x, y = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.drag((x, y))

    def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first point, move it over the others, and let go at the last."""
        for number, (x, y) in enumerate(points):
            kind = "mouseMoved" if number else "mousePressed"
            self._mouse(kind, x, y)
        self._mouse("mouseReleased", *points[-1])

    def behind(self, page: Path) -> Tab:
        """Load a file in a tab behind this one."""
        url = page.resolve().as_uri()
        target = self._browser.call("Target.createTarget", url=url, background=True)["targetId"]
        attached = self._browser.call("Target.attachToTarget", targetId=target, flatten=True)
        return Tab(self._browser, attached["sessionId"])

    def resize(self, width: int, height: int) -> None:
        """Make the window as large as that."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def screenshot(self, *, form: str = "png", quality: int | None = None) -> bytes:
        """Return a picture of the window."""
        options = {} if quality is None else {"quality": quality}
        shot = self.call("Page.captureScreenshot", format=form, **options)
        return base64.b64decode(shot["data"])

    def downloads_into(self, folder: Path) -> None:
        """Save what the page lets people download."""
        self._browser.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder)
        )

    def choose_file(self, selector: str, file: Path) -> None:
        """Choose a file where the page asks for one, as its dialog would."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        handle = found["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], objectId=handle)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        button = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)


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

    def forget(self, method: str) -> None:
        self._events = [event for event in self._events if event.get("method") != method]

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
