"""The page of ``avs review`` in Firefox: it plays, shows, corrects, and asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.builders import impulse
from tests.conftest import Avs
from tests.e2e.firefox import FirefoxTab, opened_in_firefox
from tests.e2e.review_runs import SHOWN, mask_of, write_reviewed
from tests.e2e.review_tab import drawn_pixels, pause, require_picture, seek, settle

SIZE_HW = (96, 128)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its video, 60 frames of which every second one is analysed."""
    return write_reviewed(tmp_path_factory.mktemp("review") / "clip.mp4.run", audio=impulse(1.0))


@contextmanager
def shown(avs: Avs, run: Path, profile: Path) -> Iterator[FirefoxTab]:
    """The page, open and ready; at the end nothing may have gone wrong or outside."""
    outcome = avs("review", run)
    assert outcome.code == 0, outcome.err
    with opened_in_firefox(run / "review.html", profile) as tab:
        tab.wait_until("document.documentElement.dataset.ready")
        settle(tab)
        yield tab
        assert tab.complaints == []
        inside = ("file:", "data:", "blob:")
        assert [url for url in tab.requests if not url.startswith(inside)] == []


def test_it_plays_in_step_and_draws_the_masks_of_the_journal(
    avs: Avs, run: Path, tmp_path: Path
) -> None:
    with shown(avs, run, tmp_path / "profile") as tab:
        tab.press(" ")
        tab.wait_until("page.player.row > 20")
        pause(tab)
        require_picture(tab, tab.value("page.player.row"))
        for at in (2, 10, 20):
            tracks = [track for track, is_there in SHOWN.items() if is_there(at)]
            seek(tab, 2 * at + 1)
            require_picture(tab, 2 * at + 1)
            expected = np.any([mask_of(track, at, SIZE_HW) for track in tracks], axis=0)
            assert (drawn_pixels(tab) == expected).all()


def test_corrections_by_keys_are_kept_when_the_page_is_opened_again(
    avs: Avs, run: Path, tmp_path: Path
) -> None:
    expected = [
        {"do": "accept", "object": 1},
        {"do": "split", "object": 2, "first_frame": 20, "new_object": 4},
        {"do": "reject", "object": 3},
    ]
    with shown(avs, run, tmp_path / "profile") as tab:
        tab.press("a")
        tab.press("ArrowDown")
        seek(tab, 20)
        tab.press("s")
        tab.press("ArrowDown")
        tab.press("x")
        assert tab.value("page.review.decisions") == expected
        tab.press("u")
        assert tab.value("page.review.decisions") == expected[:2]
        tab.press("U")
        assert tab.value("page.review.decisions") == expected
        tab.reload()
        tab.wait_until("document.documentElement.dataset.ready && page.review.decisions.length")
        assert tab.value("page.review.decisions") == expected
