"""The page of ``avs review`` in a browser: what is on the screen, and how to point at it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avscli.review.decisions import read_review
from tests.builders import frame_number
from tests.e2e.browser import Tab, opened


@contextmanager
def shown(
    page: Path, *, profile: Path | None = None, size: tuple[int, int] = (1280, 800)
) -> Iterator[Tab]:
    """The page, open and ready; at the end nothing may have gone wrong or outside."""
    with opened(page, profile or page.parent / "profile", size=size) as tab:
        tab.wait_until("document.documentElement.dataset.ready")
        settle(tab)
        yield tab
        assert tab.complaints == []
        outside = [url for url in tab.requests if not url.startswith(("file:", "data:", "blob:"))]
        assert outside == []


def settle(tab: Tab) -> None:
    """Wait until the frame that was asked for is on the screen, with its masks."""
    tab.wait_until("page.player.wanted === null && page.overlay.row === page.player.row")


def pause(tab: Tab) -> None:
    """Pause by the key. That the video is paused is told a moment later, and then it settles."""
    tab.press(" ")
    tab.wait_until("byId('play').ariaLabel === 'Play'")
    settle(tab)
    assert tab.value("byId('video').paused")


def seek(tab: Tab, row: int) -> None:
    tab.value(f"page.player.seekRow({row})")
    tab.wait_until(f"page.player.row === {row}")
    settle(tab)


# A copy is read: Chromium complains of canvases that are read often and were not made for it.
_PIXELS = """const c = document.getElementById('masks');
    const copy = new OffscreenCanvas(c.width, c.height);
    const context = copy.getContext('2d', {willReadFrequently: true});
    context.drawImage(c, 0, 0);
    const p = context.getImageData(0, 0, c.width, c.height).data;"""


def drawn_pixels(tab: Tab) -> NDArray[np.bool_]:
    """Where the canvas shows a mask, [H, W]."""
    size, marked = tab.value(
        f"""(() => {{ {_PIXELS}
        const marked = []; for (let i = 3; i < p.length; i += 4) if (p[i]) marked.push((i - 3) / 4);
        return [[c.height, c.width], marked]; }})()"""
    )
    pixels = np.zeros(size[0] * size[1], np.bool_)
    pixels[marked] = True
    return pixels.reshape(size)


def picture_of_video(tab: Tab) -> NDArray[np.uint8]:
    """What the screen shows of the video, without masks and labels, [H, W, 3] RGB."""
    tab.value("for (const id of ['masks', 'labels']) document.getElementById(id).hidden = true")
    box = tab.value("(b => [b.x, b.y, b.width, b.height])(byId('video').getBoundingClientRect())")
    shot = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    tab.value("for (const id of ['masks', 'labels']) document.getElementById(id).hidden = false")
    x, y, width, height = (round(value) for value in box)
    return np.asarray(shot[y : y + height, x : x + width, ::-1], np.uint8)


def require_picture(tab: Tab, frame: int, seconds: float = 20.0) -> NDArray[np.uint8]:
    """Return the picture of the video once it is of this frame; fail when it does not become so.

    A browser says that it has sought before the picture is on the screen.
    """
    until = time.monotonic() + seconds
    while (found := frame_number(picture := picture_of_video(tab))) != frame:
        assert time.monotonic() < until, f"the picture is of frame {found}, not {frame}"
        time.sleep(0.05)
    return picture


def status_of(tab: Tab) -> str:
    return str(tab.value("byId('status').textContent"))


def downloaded(tab: Tab, folder: Path, *, by: str) -> dict[str, Any]:
    """Download review.json by a key or a click, and read it."""
    tab.downloads_into(folder)
    if by.startswith("#"):
        tab.click(by)
    else:
        tab.press(by)
    path = folder / "review.json"
    tab.wait_until("true")
    for _ in range(500):
        with suppress(OSError, ValueError):  # it is there before anything is in it
            json.loads(path.read_text())
            break
        tab.value("new Promise(resolve => setTimeout(resolve, 20))")
    read_review(path)
    return dict(json.loads(path.read_text()))


def click_time(tab: Tab, seconds: float) -> None:
    tab.drag(point_of(tab, seconds))


def drag_time(tab: Tab, start: float, end: float) -> None:
    tab.drag(point_of(tab, start), point_of(tab, (start + end) / 2), point_of(tab, end))


def point_of(tab: Tab, seconds: float) -> tuple[float, float]:
    x, y = tab.value("(b => [b.x, b.y + 40])(byId('tracks').getBoundingClientRect())")
    return x + tab.value(f"page.timeline.xOf({seconds})"), y


def contrast(tab: Tab, selector: str) -> float:
    """Between text and what is behind it. Source: WCAG 2.2, relative luminance."""
    text, back = tab.value(
        f"""(() => {{ let e = document.querySelector('{selector}');
        const c = getComputedStyle(e).color; let b;
        do {{ b = getComputedStyle(e).backgroundColor; e = e.parentElement; }}
        while (e && /, 0(\\.\\d+)?\\)$/.test(b)); return [c, b]; }})()"""
    )
    lights = []
    for colour in (text, back):
        values = np.array([int(v) for v in colour.split("(")[1].split(")")[0].split(",")[:3]]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def elements(node: dict[str, Any], name: str) -> list[dict[str, Any]]:
    own = [node] if node.get("nodeName") == name else []
    return own + [found for child in node.get("children", []) for found in elements(child, name)]


def edge_colours(tab: Tab) -> set[tuple[int, ...]]:
    """The colours that the canvas shows without any transparency."""
    told = tab.value(
        f"""(() => {{ {_PIXELS}
        const found = new Set(); for (let i = 0; i < p.length; i += 4)
            if (p[i + 3] === 255) found.add([...p.slice(i, i + 3)].join());
        return [...found].map(t => t.split(',').map(Number)); }})()"""
    )
    return {tuple(colour) for colour in told}


def box_of(tab: Tab, selector: str) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of an element."""
    element = f"document.querySelector('{selector}').getBoundingClientRect()"
    x, y, right, bottom = tab.value(f"(b => [b.x, b.y, b.right, b.bottom])({element})")
    return x, y, right, bottom
