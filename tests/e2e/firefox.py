"""A headless Firefox that tells what a page drew, said and asked for."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from websockets.sync.client import ClientConnection, connect

_NAMES = ("firefox-esr", "firefox")
_H264 = 'video/mp4; codecs="avc1.64001f"'
_LONGEST_SECONDS = 180
_KEYS = {"ArrowDown": "\ue015", "ArrowUp": "\ue013", "Enter": "\ue006", "Escape": "\ue00c"}
_EVENTS = ("log.entryAdded", "network.beforeRequestSent")
# Its first start would open pages of its own, and ask its maker for news.
_PREFERENCES = {
    "browser.aboutwelcome.enabled": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
}


def require_firefox() -> str:
    """Return the program; skip without it."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("needs Firefox (Debian: apt-get install firefox-esr)")
    return found


class FirefoxTab:
    """A page that is open in Firefox; as far as it goes, like `tests.e2e.browser.Tab`."""

    def __init__(self, session: _Session, context: str) -> None:
        self._session, self._context = session, context

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, itself included."""
        return [e["request"]["url"] for e in self._session.events("network.beforeRequestSent")]

    @property
    def complaints(self) -> list[str]:
        """What the console was told, and exceptions."""
        return [str(e["text"]) for e in self._session.events("log.entryAdded")]

    def value(self, expression: str) -> Any:
        """Return the value of JavaScript, of a promise what comes of it."""
        found = self._session.call(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
        )
        assert found["type"] == "success", found
        return _plain(found["result"])

    def wait_until(self, condition: str, seconds: float = 60.0) -> None:
        """Wait until JavaScript is true; fail when it does not become so."""
        until = time.monotonic() + seconds
        while not self.value(f"!!({condition})"):
            assert time.monotonic() < until, f"not within {seconds:g} s: {condition}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press a key and let it go: a letter or sign as it is typed, or a name such as Enter."""
        value = _KEYS.get(key, key)
        strokes = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        self._session.call("input.performActions", context=self._context, actions=actions)

    def reload(self) -> None:
        """Load the page again, and wait for it."""
        self._session.call("browsingContext.reload", context=self._context, wait="complete")

    def screenshot(self) -> bytes:
        """Return a picture of the window, PNG."""
        shot = self._session.call("browsingContext.captureScreenshot", context=self._context)
        return base64.b64decode(shot["data"])


@contextmanager
def opened_in_firefox(page: Path, profile: Path) -> Iterator[FirefoxTab]:
    """Load a file in Firefox, and let go of it at the end of the ``with`` block.

    Args:
        page: the file.
        profile: folder for what the browser keeps.
    """
    with _firefox(require_firefox(), profile) as session:
        context = session.call("browsingContext.getTree")["contexts"][0]["context"]
        session.call("session.subscribe", events=list(_EVENTS))
        size = {"width": 1280, "height": 800}
        session.call("browsingContext.setViewport", context=context, viewport=size)
        url = page.resolve().as_uri()
        session.call("browsingContext.navigate", context=context, url=url, wait="complete")
        tab = FirefoxTab(session, context)
        if not tab.value(f"document.createElement('video').canPlayType('{_H264}')"):
            pytest.skip("this Firefox decodes no H.264 (Debian: it recommends a libavcodec)")
        yield tab


class _Session:
    """Speaks WebDriver BiDi (W3C): JSON messages over a web socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(_LONGEST_SECONDS))).get("id") is None:
            self._events.append(answer)
        assert answer["type"] == "success", answer
        result: dict[str, Any] = answer["result"]
        return result

    def events(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self._events if event["method"] == method]


@contextmanager
def _firefox(program: str, profile: Path) -> Iterator[_Session]:
    profile.mkdir(parents=True, exist_ok=True)
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    # timeout ends it when a test is stuck waiting for an answer.
    process = subprocess.Popen(
        [
            *("timeout", "-k", "5", str(_LONGEST_SECONDS), program, "--headless", "--no-remote"),
            *("--profile", str(profile), "--remote-debugging-port", "0", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(profile)},  # as root it takes no other's home
    )
    try:
        assert process.stderr is not None
        with connect(f"{_address(process.stderr)}/session", max_size=None) as socket:
            session = _Session(socket)
            session.call("session.new", capabilities={})
            yield session
    finally:
        process.terminate()
        process.communicate()


def _address(told: IO[str]) -> str:
    for line in told:
        if found := re.search(r"BiDi listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError("Firefox ended")


def _plain(remote: dict[str, Any]) -> Any:
    """Return a value of BiDi as Python has it."""
    kind, value = remote["type"], remote.get("value")
    if kind == "array":
        return [_plain(each) for each in value or ()]
    if kind == "object":
        return {key: _plain(each) for key, each in value or ()}
    return value
