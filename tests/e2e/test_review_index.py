"""The index of ``avs review BATCH`` in a real browser: sorted, and every page reached."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from tests.conftest import Avs
from tests.e2e.browser import Tab, opened
from tests.e2e.results import require_refusal
from tests.e2e.review_runs import write_reviewed

HOSTILE = "<img src=x onerror='globalThis.hacked=1'>%23#?"


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """Runs of two folders: one sure, one that nobody can be sure of, one with a hostile name."""
    root = tmp_path / "out & about"
    sure = {1: lambda at: at < 30}
    clip = tmp_path / "clip.mp4"
    write_reviewed(root / "day" / "sure.mp4", clip, shown=sure, seconds=1.0)
    write_reviewed(root / "day" / "unsure.mp4", clip)
    write_reviewed(root / HOSTILE, clip, shown={1: lambda at: at < 5})
    return root


def column(tab: Tab, number: int) -> list[str]:
    rows = "[...document.querySelectorAll('tbody tr')]"
    return list(tab.value(f"{rows}.map(row => row.cells[{number}]?.textContent.trim() ?? '')"))


def flag_in(journal: Path, old: str, new: str) -> None:
    journal.write_text(journal.read_text().replace(old, new))


def test_the_index_shows_the_least_certain_first_and_sorts_by_every_column(
    avs: Avs, batch: Path
) -> None:
    flag_in(batch / "day" / "sure.mp4" / "frames.jsonl", '["flicker"]', "[]")
    flag_in(batch / "day" / "unsure.mp4" / "frames.jsonl", "flicker", "mask_while_silent")
    outcome = avs("review", batch, "-q")
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{batch / 'index.html'}\n"
    with opened(batch / "index.html", batch.parent / "profile") as tab:
        assert column(tab, 1) == ["day/unsure.mp4", HOSTILE, "day/sure.mp4"]
        assert column(tab, 2) == ["0.90", "0.60", "0.00"]
        totals = tab.value("document.getElementById('totals').textContent")
        pages = sum(path.stat().st_size for path in batch.rglob("review.html")) / 1e6
        assert totals.startswith("3 runs, 0:03 of video, 4 objects,")
        assert totals.endswith(f"pages of {pages:.1f} MB")
        tab.click("[data-column='2']")
        assert column(tab, 1)[0] == "day/sure.mp4"
        tab.click("[data-column='1']")
        assert column(tab, 1) == sorted(column(tab, 1), reverse=column(tab, 1)[0] != HOSTILE)
        assert tab.value("document.querySelectorAll('[aria-sort]').length") == 1
        assert tab.value("globalThis.hacked") is None
        assert tab.complaints == []
        assert all(url.startswith(("file:", "data:")) for url in tab.requests)


def test_every_page_is_reached_and_every_run_has_a_picture_with_its_masks(
    avs: Avs, batch: Path
) -> None:
    assert avs("review", batch, "-q").code == 0
    with opened(batch / "index.html", batch.parent / "profile") as tab:
        links = tab.value("[...document.querySelectorAll('tbody a')].map(a => a.href)")
        pages = {path.resolve() for path in batch.rglob("review.html")}
        assert {Path(unquote(link.removeprefix("file://"))) for link in links} == pages
        assert len(pages) == 3
        for link in links:
            tab.load(Path(unquote(link.removeprefix("file://"))))
            tab.wait_until("document.documentElement.dataset.ready === 'video'")
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", (batch / "index.html").read_text())
    assert len(pictures) == 3
    for picture in pictures:
        found = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)
        assert found.shape == (120, 160, 3)


def test_a_damaged_run_is_a_row_that_says_so_and_the_others_have_pages(
    avs: Avs, batch: Path
) -> None:
    (batch / "day" / "sure.mp4" / "frames.jsonl").write_text("<b>no line of a journal</b>\n")
    outcome = avs("review", batch)
    assert outcome.code == 8
    assert "sure.mp4 has no page" in outcome.err
    with opened(batch / "index.html", batch.parent / "profile") as tab:
        assert column(tab, 1)[0] == "day/sure.mp4"
        assert "is not a journal entry" in column(tab, 3)[0]
        assert tab.value("document.querySelectorAll('tbody a').length") == 2
        assert "1 without a page" in tab.value("document.getElementById('totals').textContent")


def test_an_index_of_others_is_not_replaced_and_nothing_is_written(avs: Avs, batch: Path) -> None:
    (batch / "index.html").write_text("<p>mine")
    assert "no page of avs review" in require_refusal(avs("review", batch), 7)
    assert [*batch.rglob("review.html")] == []


def test_the_index_is_read_and_sorted_without_javascript(avs: Avs, batch: Path) -> None:
    assert avs("review", batch, "-q", "-o", batch.parent / "all.html").code == 0
    text = (batch.parent / "all.html").read_text()
    assert text.index("unsure.mp4") < text.index("day/sure.mp4")
    assert "<img src=x" not in text
