"""The page of ``avs review`` in a real browser: it plays, shows, corrects, keeps and downloads."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avscli.masks import colour_number, palette
from avscli.outputs.run import Run
from avscli.review.decisions import read_review
from avscli.review.replay import FoundObject, replay
from avscli.shipped import sha256_of
from tests.builders import impulse, is_upright, make_video
from tests.conftest import Avs
from tests.e2e.browser import Tab, opened
from tests.e2e.results import require_refusal
from tests.e2e.review_runs import SHOWN, mask_of, write_reviewed
from tests.e2e.review_tab import (
    box_of,
    click_time,
    contrast,
    downloaded,
    drag_time,
    drawn_pixels,
    edge_colours,
    elements,
    pause,
    require_picture,
    seek,
    settle,
    shown,
    status_of,
)

CASES = json.loads(
    (Path(__file__).parents[1] / "data" / "review" / "replay_cases.json").read_text("utf-8")
)
SIZE_HW = (96, 128)
FRAMES = [*range(0, 60, 2)]  # analysed ones
HOSTILE = (
    '<img src=x onerror="globalThis.hacked = 1">',
    "</script><script>globalThis.hacked = 1</script>",
    "'\"two\nlines\u2028<!--",
)


def union(at: int, *tracks: int, size_hw: tuple[int, int] = SIZE_HW) -> NDArray[np.bool_]:
    return np.any([mask_of(track, at, size_hw) for track in tracks], axis=0)


def objects_of(tab: Tab) -> dict[int, tuple[str, str, list[int]]]:
    """Name, state and frames of each object, as the page has them."""
    told = tab.value(
        "page.review.result.objects.map(o => [o.id, o.name, o.state, o.ranges.flatMap("
        "([a, b]) => [...page.table.frames.slice(a, b + 1)])])"
    )
    return {object_id: (name, state, frames) for object_id, name, state, frames in told}


def frames_of(track: int) -> list[int]:
    return [2 * at for at in range(30) if SHOWN[track](at)]


@pytest.fixture(scope="module")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its video, 60 frames of which every second one is analysed."""
    return write_reviewed(tmp_path_factory.mktemp("review") / "clip.mp4.run", audio=impulse(1.0))


@pytest.fixture
def run(made_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(made_run.parent, tmp_path / "made")
    folder = tmp_path / "made" / made_run.name
    record = json.loads((folder / "run.json").read_text())
    record["source"]["path"] = str(tmp_path / "made" / "clip.mp4")
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def page(avs: Avs, run: Path) -> Path:
    outcome = avs("review", run)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{run / 'review.html'}\n"
    return run / "review.html"


def test_the_page_plays_in_step(page: Path) -> None:
    with shown(page) as tab:
        tab.value(
            "globalThis.rows = [];"
            "page.player.addEventListener('row', () => rows.push(page.player.row))"
        )
        tab.press(" ")
        tab.wait_until("page.player.row > 20")
        assert tab.value("byId('play').ariaLabel") == "Pause"
        pause(tab)
        rows = tab.value("rows")
        assert rows == sorted(rows)  # nothing jumps back
        require_picture(tab, rows[-1])


def test_a_review_that_was_downloaded_can_be_loaded_by_another_person(
    page: Path, tmp_path: Path
) -> None:
    with shown(page) as tab:
        for key in ("a", "ArrowDown", "x"):
            tab.press(key)
        review = downloaded(tab, tmp_path, by="d")
    with shown(page, profile=tmp_path / "of another") as tab:
        assert tab.value("page.review.decisions") == []
        tab.choose_file("#file", tmp_path / "review.json")
        tab.wait_until("page.review.decisions.length === 2")
        assert tab.value("page.review.decisions") == review["decisions"]
        assert objects_of(tab)[2][1] == "rejected"
        assert status_of(tab) == "review.json with 2 decisions loaded."
        tab.press("u")
        tab.choose_file("#file", tmp_path / "review.json")  # it would replace one decision
        tab.wait_until("byId('ask').open")
        tab.press("Escape")
        tab.wait_until("!byId('ask').open")
        assert len(tab.value("page.review.decisions")) == 1
        tab.choose_file("#file", tmp_path / "review.json")
        tab.wait_until("byId('ask').open")
        tab.click("#ask-yes")
        tab.wait_until("page.review.decisions.length === 2")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"format": "coco"}, "it is no review.json"),
        ({"decisions": None}, "it is no review.json"),
        ({"version": 9}, "it is of version 9, this page of 1"),
        ({"run": {"source": "other.mp4"}}, "it is of another run: other.mp4"),
        ({"decisions": [{"do": "accept", "object": 99}]}, "decision 1 (accept): "),
        ({"decisions": [{"do": "<img src=x>"}]}, "decision 1 (<img src=x>): "),
        (None, ""),
    ],
    ids=["format", "decisions", "version", "run", "object", "markup", "json"],
)
def test_a_file_that_does_not_fit_is_not_loaded_and_says_why(
    changed: dict[str, Any] | None, why: str, page: Path, tmp_path: Path
) -> None:
    with shown(page) as tab:
        tab.press("a")
        review = downloaded(tab, tmp_path, by="d")
        tab.press("u")
        other = tmp_path / "other.json"
        other.write_text("{" if changed is None else json.dumps(review | changed))
        tab.choose_file("#file", other)
        tab.wait_until("byId('status').textContent.includes('cannot be loaded')")
        assert status_of(tab).startswith(f"other.json cannot be loaded: {why}")
        assert tab.value("page.review.decisions") == []


@pytest.mark.parametrize("at", [2, 10, 20])
def test_the_pixels_that_are_drawn_are_those_of_the_journal(page: Path, at: int) -> None:
    with shown(page) as tab:
        tracks = [track for track, is_there in SHOWN.items() if is_there(at)]
        seek(tab, 2 * at + 1)  # a frame that holds the masks of the one before
        require_picture(tab, 2 * at + 1)
        assert (drawn_pixels(tab) == union(at, *tracks)).all()
        expected = {tuple(palette(256)[colour_number(track)].tolist()) for track in tracks}
        assert edge_colours(tab) == expected


@pytest.mark.parametrize(
    "video",
    [
        {"pts_seconds": [0.0, 0.05, 0.1, 0.4, 0.41, 0.8, 1.0, 1.3, 1.31, 1.32, 1.9, 2.0]},
        {"start_offset_seconds": 0.5, "seconds": 1.0},
        {"rotation": 90, "seconds": 1.0},
        {"fps": Fraction(30000, 1001), "seconds": 1.0, "b_frames": 2},
        {"audio": None, "seconds": 1.0},
        {"sample_aspect_ratio": Fraction(4, 3), "seconds": 1.0},
    ],
    ids=lambda video: next(iter(video)),
)
def test_every_frame_is_reached_whatever_the_clock_and_orientation(
    video: dict[str, Any], avs: Avs, tmp_path: Path
) -> None:
    folder = write_reviewed(tmp_path / "run", every=1, shown={1: lambda _at: True}, **video)
    assert avs("review", folder, "-q").code == 0
    with shown(folder / "review.html") as tab:
        assert tab.value("page.table.video.kind") == "source"
        num_frames = tab.value("page.table.times.length")
        for row in (0, 3, 4, num_frames // 2, num_frames - 1):
            seek(tab, row)
            assert is_upright(require_picture(tab, row))
            assert (drawn_pixels(tab) == union(row, 1)).all()
        seek(tab, 3)
        tab.press(".")
        tab.wait_until("page.player.row === 4")
        tab.press(",")
        tab.press(",")
        tab.wait_until("page.player.row === 2")
        settle(tab)
        require_picture(tab, 2)


def test_a_run_of_a_part_shows_that_part(avs: Avs, tmp_path: Path) -> None:
    folder = write_reviewed(tmp_path / "run", skipped=20, start_offset_seconds=0.25)
    assert avs("review", folder, "-q").code == 0
    with shown(folder / "review.html") as tab:
        require_picture(tab, 20)
        seek(tab, 13)
        require_picture(tab, 33)
        assert (drawn_pixels(tab) == union(6, 1, 2)).all()
        assert "frame 33" in tab.value("byId('clock').textContent")


def test_keys_move_between_events_moments_and_objects(page: Path) -> None:
    with shown(page) as tab:
        for row in (12, 24, 30):  # starts and ends of intervals
            tab.press("]")
            tab.wait_until(f"page.player.row === {row}")
        tab.press("[")
        tab.wait_until("page.player.row === 24")
        tab.press("n")  # flicker is the least certain
        tab.wait_until("page.player.row === 18")
        assert status_of(tab) == "Moment 1 of 2: flicker"
        tab.press("n")
        tab.wait_until("page.player.row === 20")
        assert status_of(tab) == "Moment 2 of 2: low score: person 2"
        assert tab.value("page.selected") == 2
        tab.press("ArrowDown")
        assert tab.value("page.selected") == 3
        tab.press("m")
        settle(tab)
        assert not drawn_pixels(tab).any()
        tab.press(">")
        assert tab.value("byId('video').playbackRate") == 1.5


def test_every_correction_is_made_by_keys_and_kept_and_applied(
    page: Path, run: Path, avs: Avs, tmp_path: Path
) -> None:
    with shown(page) as tab:
        tab.press("a")  # accept 1
        tab.press("ArrowDown")
        seek(tab, 20)
        tab.press("s")  # split 2 at frame 20: the later half is 4
        seek(tab, 30)
        tab.press("ArrowDown")
        tab.press("ArrowDown")
        assert tab.value("page.selected") == 4
        tab.press("r")
        tab.wait_until("byId('ask').open")
        tab.value("document.activeElement.select()")
        tab.type("wolf")
        tab.press("Enter")
        tab.wait_until("page.review.decisions.length === 3")
        tab.press("ArrowUp")
        seek(tab, 36)
        tab.press("i")
        seek(tab, 40)
        tab.press("o")
        tab.press("t")  # trim 3 in 36 … 40
        tab.press("Escape")
        tab.press("ArrowUp")
        seek(tab, 22)
        tab.press("e")  # extend 2 from its end to 22
        seek(tab, 4)
        tab.press("i")
        tab.press("o")
        tab.press("f")  # off-screen in 4
        tab.press("Escape")
        tab.press("ArrowDown")
        tab.press("x")  # reject 3
        tab.press("ArrowDown")
        tab.press("g")  # merge 4 into the first that is offered
        tab.wait_until("byId('ask').open")
        tab.press("Enter")
        tab.wait_until("page.review.decisions.length === 8")
        expected = [
            {"do": "accept", "object": 1},
            {"do": "split", "object": 2, "first_frame": 20, "new_object": 4},
            {"do": "rename", "object": 4, "name": "wolf"},
            {"do": "trim", "object": 3, "first_frame": 36, "last_frame": 40},
            {"do": "extend", "object": 2, "first_frame": 20, "last_frame": 22},
            {"do": "off_screen", "first_frame": 4, "last_frame": 4},
            {"do": "reject", "object": 3},
            {"do": "merge", "object": 4, "into": 1},
        ]
        assert tab.value("page.review.decisions") == expected
        review = downloaded(tab, tmp_path, by="d")
        assert review["run"] == {
            "source": "clip.mp4",
            "source_sha256": Run.open(run).record.source.sha256,
            "journal_sha256": sha256_of(run / "frames.jsonl"),
        }
        assert review == {
            "format": "avs-review", "version": 1, "run": review["run"], "decisions": expected,
        }  # fmt: skip
        assert objects_of(tab) == replayed(tmp_path / "review.json", run)
        # The mask that object 2 now has at 22 is that of its last frame, 18; 4 is part of 1.
        seek(tab, 22)
        assert (drawn_pixels(tab) == (union(9, 2) | union(11, 1, 2))).all()
        tab.load(page)
        tab.wait_until("document.documentElement.dataset.ready")
        assert tab.value("page.review.decisions") == expected
        corrected = tmp_path / "corrected"
        applied = avs("review", run, "--apply", tmp_path / "review.json", "-o", corrected)
        assert applied.code == 0, applied.err
        entries = [*Run.open(corrected).frames()]
        for row in (2, 4, 22, 38, 50):
            seek(tab, row)
            masks = [each.mask.pixels for each in entries[row].objects]
            assert (drawn_pixels(tab) == np.any([np.zeros(SIZE_HW, bool), *masks], axis=0)).all()


def test_every_correction_is_made_by_the_mouse(page: Path, run: Path, tmp_path: Path) -> None:
    with shown(page) as tab:
        tab.click("#object-2")
        tab.click("[data-do=accept]")
        click_time(tab, 1.02)
        tab.wait_until("page.player.row === 30")
        tab.click("[data-do=split]")
        tab.click("#object-3")
        tab.click("[data-do=rename]")
        tab.wait_until("byId('ask').open")
        tab.value("document.querySelector('#ask input[type=text]').select()")
        tab.type("lynx")
        tab.click("#ask input[type=checkbox]")
        tab.click("#ask-yes")
        tab.wait_until("page.review.decisions.length === 3")
        drag_time(tab, 0.22, 0.42)
        assert tab.value("byId('range').textContent") == "frames 6–12"
        tab.click("#object-1")
        tab.click("[data-do=trim]")
        tab.click("[data-do=extend]")
        tab.click("[data-do=off_screen]")
        tab.click("#mark-none")
        tab.click("[data-do=reject]")
        tab.click("#object-4")
        tab.click("[data-do=merge]")
        tab.wait_until("byId('ask').open")
        tab.click("#ask-yes")
        tab.wait_until("page.review.decisions.length === 8")
        tab.click("#undo")
        tab.click("#undo")
        assert status_of(tab) == "Undone: reject dog 1"
        tab.click("#redo")
        assert [each["do"] for each in tab.value("page.review.decisions")] == [
            *("accept", "split", "rename", "trim", "extend", "off_screen", "reject"),
        ]
        assert downloaded(tab, tmp_path, by="#download")["decisions"][2] == {
            "do": "rename", "object": 3, "name": "lynx",
            "first_frame": 30, "last_frame": 58, "new_object": 5,
        }  # fmt: skip
        assert objects_of(tab) == replayed(tmp_path / "review.json", run)


def test_what_cannot_be_decided_is_said_and_changes_nothing(page: Path) -> None:
    with shown(page) as tab:
        tab.press("s")
        assert status_of(tab) == "Not possible: object 1 has no mask before frame 0"
        tab.press("f")
        assert status_of(tab).startswith("Mark a stretch first")
        tab.press("e")
        assert status_of(tab).startswith("The object has a mask here")
        tab.press("x")
        tab.press("a")
        assert status_of(tab) == "dog 1 was rejected; undo that first."
        assert tab.value("page.review.decisions.length") == 1
        tab.press("u")
        tab.press("u")
        assert status_of(tab) == "Nothing to undo."
        assert objects_of(tab)[1] == ("dog", "undecided", frames_of(1))


def test_the_page_plays_decisions_as_the_program_does(page: Path) -> None:
    with shown(page) as tab:
        told = tab.value(
            f"""({json.dumps(CASES)}).map(({{frames, objects, decisions}}) => {{
            const found = objects.map(({{id, name, frames: own}}) => ({{id, name,
                ranges: merged(own.map(f => frames.indexOf(f)).map(p => [p, p]))}}));
            try {{
                const {{objects, offScreen}} = replay(found, frames, decisions);
                return {{objects: objects.map(({{id, name, state, ranges}}) => ({{id, name, state,
                    frames: ranges.flatMap(([a, b]) => frames.slice(a, b + 1))}})),
                    off_screen: offScreen.map(([a, b]) => [frames[a], frames[b]])}};
            }} catch (error) {{ return error.message; }} }})"""
        )
        assert len(CASES) > 50
        for case, result in zip(CASES, told, strict=True):
            if "error" in case:
                assert isinstance(result, str), case["what"]
                assert case["error"] in result, case["what"]
            else:
                assert result == case["expected"], case["what"]


def test_hostile_names_are_shown_and_never_run(avs: Avs, tmp_path: Path) -> None:
    source = tmp_path / "</title><script>globalThis.hacked=1</script> #?%'\".mp4".replace("/", "∕")
    folder = write_reviewed(tmp_path / "run", source, names=HOSTILE, sound_name=HOSTILE[0])
    assert avs("review", folder, "-q").code == 0
    with shown(folder / "review.html") as tab:
        assert tab.value("document.documentElement.dataset.ready") == "video"
        assert tab.value("document.title") == f"{source.name} – avs review"
        names = "[...document.querySelectorAll('#objects .name')].map(e => e.textContent)"
        assert tab.value(names) == [f"{name} {at}" for at, name in enumerate(HOSTILE, start=1)]
        assert HOSTILE[0] in tab.value("byId('now').textContent")
        tab.press("r")
        tab.wait_until("byId('ask').open")
        tab.value("document.activeElement.select()")
        tab.type(HOSTILE[0])
        tab.press("Enter")
        tab.wait_until("page.review.decisions.length === 1")
        assert tab.value("document.querySelectorAll('img, main script').length") == 0
        assert tab.value("globalThis.hacked") is None


def test_the_policy_of_the_page_forbids_scripts_markup_and_requests(page: Path) -> None:
    with opened(page, page.parent / "profile") as tab:
        tab.wait_until("document.documentElement.dataset.ready")
        for attempt in (
            "const s = document.createElement('script'); s.text = 'hacked = 1'",
            "document.body.innerHTML = '<b>'",
            "eval('hacked = 1')",
        ):
            trying = f"try {{ {attempt} }} catch (e) {{ return e.name }}"
            refused = tab.value(f"(() => {{ {trying} }})()")
            assert refused in ("TypeError", "EvalError")
        for request, kind in (
            ("fetch(url).catch(() => 0)", "connect-src"),
            ("new Image().src = url", "img-src"),
        ):
            told = tab.value(
                "new Promise(tell => { addEventListener('securitypolicyviolation',"
                " e => tell(e.effectiveDirective), {once: true});"
                f" const url = 'http://127.0.0.1:9/'; {request}; }})"
            )
            assert told == kind
        assert tab.value("globalThis.hacked") is None


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("clip.avi", {"codec": "mpeg4"}),
        ("clip.mkv", {}),
        ("clip.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
        ("clip.mp4", {"codec": "libx265"}),
        ("turned.mp4", {"rotation": 90, "mirrored": True}),
        ("late.ts", {"start_offset_seconds": 5.0, "audio_start_seconds": 5.0}),
    ],
)
def test_what_browsers_do_not_play_gets_a_copy_with_the_same_times(
    name: str, video: dict[str, Any], avs: Avs, tmp_path: Path
) -> None:
    folder = write_reviewed(tmp_path / "run", tmp_path / name, every=1, seconds=1.0, **video)
    assert avs("review", folder, "-q").code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "frames.jsonl", "review.html", "review.proxy.mp4", "run.json",
    ]  # fmt: skip
    with shown(folder / "review.html") as tab:
        assert tab.value("page.table.video.kind") == "copy"
        assert tab.value("document.documentElement.dataset.ready") == "video"
        for row in (0, 7, 29):
            seek(tab, row)
            assert is_upright(require_picture(tab, row))
        assert tab.requests[1:] == [(folder / "review.proxy.mp4").as_uri()]
    before = (folder / "review.proxy.mp4").stat().st_mtime_ns
    assert avs("review", folder, "-q").code == 0
    assert (folder / "review.proxy.mp4").stat().st_mtime_ns == before


def test_a_page_behind_others_is_in_step_once_it_is_seen(avs: Avs, tmp_path: Path) -> None:
    late = {"start_offset_seconds": 5.0, "audio_start_seconds": 5.0, "seconds": 1.0}
    folder = write_reviewed(tmp_path / "run", tmp_path / "late.ts", every=1, **late)
    assert avs("review", folder, "-q").code == 0
    front = tmp_path / "front.html"
    front.write_text("<p>in front")
    with opened(front, tmp_path / "profile") as first:
        tab = first.behind(folder / "review.html")
        tab.wait_until("globalThis.page !== undefined")
        assert tab.value("document.hidden")
        tab.call("Page.bringToFront")
        tab.wait_until("document.documentElement.dataset.ready === 'video'")
        seek(tab, 12)
        require_picture(tab, 12)


def test_a_page_with_its_video_inside_needs_no_other_file(
    avs: Avs, run: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    assert avs("review", run, "--embed", "-o", alone / "sent.html").code == 0
    shutil.rmtree(run.parent)
    assert [path.name for path in alone.iterdir()] == ["sent.html"]
    with shown(alone / "sent.html") as tab:
        seek(tab, 21)
        require_picture(tab, 21)
        assert (drawn_pixels(tab) == union(10, 1, 2)).all()
        assert all(url.startswith(("file:", "blob:")) for url in tab.requests)
        assert sum(url.startswith("file:") for url in tab.requests) == 1


def test_without_its_video_the_page_says_so_and_shows_masks(avs: Avs, run: Path) -> None:
    (run.parent / "clip.mp4").unlink()
    outcome = avs("review", run)
    assert outcome.code == 0
    assert "shows no video" in outcome.err
    with shown(run / "review.html") as tab:
        problem = tab.value("byId('problem').textContent")
        assert problem.startswith("There is no video to play:")
        assert "clip.mp4 is not there" in problem
        tab.press(".")
        settle(tab)
        assert tab.value("page.player.row") == 1
        seek(tab, 40)
        assert (drawn_pixels(tab) == union(20, 1, 2, 3)).all()


def test_another_video_of_that_name_is_not_shown(avs: Avs, run: Path, tmp_path: Path) -> None:
    source = run.parent / "clip.mp4"
    shutil.copy(source, tmp_path / "other.mp4")
    make_video(source, seconds=2.0, size_hw=Run.open(run).size_hw)
    outcome = avs("review", run)
    assert outcome.code == 0
    assert "clip.mp4 is not the video that was segmented" in outcome.err
    with shown(run / "review.html") as tab:
        assert "not the video" in tab.value("byId('problem').textContent")
    shutil.copy(tmp_path / "other.mp4", source)
    assert "shows no video" not in avs("review", run).err


def test_a_video_that_went_away_later_is_said(page: Path, run: Path) -> None:
    (run.parent / "clip.mp4").unlink()
    with opened(page, page.parent / "profile") as tab:
        tab.wait_until("document.documentElement.dataset.ready === 'frames'")
        assert "cannot be played from here" in tab.value("byId('problem').textContent")
        assert not tab.value("byId('problem').hidden")


def test_without_javascript_one_line_says_that_it_is_needed(page: Path) -> None:
    with opened(page, page.parent / "profile") as tab:
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
        tab.load(page)
        tree = tab.call("DOM.getDocument", depth=-1)
        (noscript,) = elements(tree["root"], "NOSCRIPT")
        text = json.dumps(noscript)
        assert "This page needs JavaScript" in text
        (main,) = elements(tree["root"], "MAIN")
        assert "hidden" in main["attributes"]


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_fits_and_can_be_read(page: Path, size: tuple[int, int], scheme: str) -> None:
    with shown(page, size=size) as tab:
        tab.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        overflow = (
            "[document.body.scrollWidth > innerWidth, document.body.scrollHeight > innerHeight]"
        )
        assert tab.value(overflow) == [False, False]
        for selector in ("#video", "#tracks", "#lanes", "#moments", "#decisions", "#status"):
            left, top, right, bottom = box_of(tab, selector)
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
        for selector in ("body", "#now", "#status", "#objects [role=option]", "#download"):
            assert contrast(tab, selector) >= 4.5


def test_screen_readers_are_told_a_name_for_everything_that_can_be_used(page: Path) -> None:
    with shown(page) as tab:
        nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
        used = [node for node in nodes if takes_focus(node)]
        assert len(used) > 25
        nameless = [node["role"]["value"] for node in used if not node["name"]["value"].strip()]
        assert nameless == []


def test_the_keyboard_alone_reaches_every_control(page: Path) -> None:
    with shown(page) as tab:
        reached = set()
        for _ in range(60):
            tab.press("Tab")
            reached.add(tab.value("document.activeElement.id || document.activeElement.dataset.do"))
        some = {"play", "speed", "opacity", "objects", "accept", "off_screen", "tracks", "download"}
        assert some <= reached
        tab.press("?")
        tab.wait_until("byId('keys').open")
        assert tab.value("byId('keys-list').textContent.includes('split here')")
        tab.press("Escape")
        tab.wait_until("!byId('keys').open")


def test_zooming_and_clicking_seeks_to_what_is_there(page: Path) -> None:
    with shown(page) as tab:
        seek(tab, 30)
        for _ in range(3):
            tab.press("z")
        assert tab.value("page.timeline.to - page.timeline.from") == pytest.approx(0.25)
        click_time(tab, 1.005)
        tab.wait_until("page.player.row === 30")
        tab.press("0")
        assert tab.value("[page.timeline.from, page.timeline.to]") == pytest.approx([0, 2])


@pytest.mark.parametrize("options", [("--overlay",), ("--overwrite",), ("--apply", "x", "--embed")])
def test_options_of_the_other_use_are_refused(
    options: tuple[str, ...], avs: Avs, run: Path
) -> None:
    assert "has no meaning" in require_refusal(avs("review", run, *options), 2)


def test_a_damaged_mask_is_not_drawn_and_breaks_nothing(avs: Avs, run: Path) -> None:
    lines = (run / "frames.jsonl").read_text().splitlines()
    entry = json.loads(lines[40])
    entry["objects"][0]["segmentation"]["counts"] = "ooooooo4"
    entry["objects"][1]["segmentation"]["counts"] = "0"
    lines[40] = json.dumps(entry)
    (run / "frames.jsonl").write_text("\n".join(lines) + "\n")
    assert avs("review", run, "-q").code == 0
    with shown(run / "review.html") as tab:
        seek(tab, 40)
        assert (drawn_pixels(tab) == union(20, 3)).all()


def test_a_folder_that_is_no_run_is_refused(avs: Avs, tmp_path: Path) -> None:
    assert "no finished run" in require_refusal(avs("review", tmp_path), 3)


def test_a_run_of_a_later_version_is_refused(avs: Avs, run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"schema_version": 99}))
    assert "version 99" in require_refusal(avs("review", run), 3)
    assert not (run / "review.html").exists()


@pytest.mark.parametrize("name", ["notes.html", "clip.mp4"])
def test_what_others_wrote_is_not_replaced(name: str, avs: Avs, run: Path) -> None:
    target = run.parent / name
    if name == "notes.html":
        target.write_text("<p>mine")
    before = target.read_bytes()
    require_refusal(avs("review", run, "-o", target), 7)
    assert target.read_bytes() == before


@pytest.mark.parametrize("place", ["missing/review.html", "clip.mp4/review.html"])
def test_a_page_that_cannot_be_written_leaves_nothing(avs: Avs, run: Path, place: str) -> None:
    before = sorted(run.parent.rglob("*"))
    require_refusal(avs("review", run, "-o", run.parent / place), 7)
    require_refusal(avs("review", run, "--embed", "-o", run.parent / place), 7)
    assert sorted(run.parent.rglob("*")) == before


def replayed(path: Path, folder: Path) -> dict[int, tuple[str, str, list[int]]]:
    """What the program makes of a review of a run."""
    names = {each.track_id: each.category for each in Run.open(folder).objects}
    found = [FoundObject(track, names[track], tuple(frames_of(track))) for track in SHOWN]
    objects = replay(found, FRAMES, read_review(path).decisions).objects
    return {each.object: (each.name, each.state, [*each.frames]) for each in objects}


def takes_focus(node: dict[str, Any]) -> bool:
    """Whether a node of the accessibility tree is one that people use; the page itself is not."""
    properties = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
    return bool(properties.get("focusable")) and node["role"]["value"] != "RootWebArea"
