"""Messages are one line on stderr, results are on stdout, and neither gets into the other."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from avscli import console
from avscli.console import messages
from avscli.demo import DemoReport
from avscli.errors import MediaError
from avscli.results import Progress
from tests.networks_for_tests import TINY_SPEC
from tests.run_folders import recorded_source, report_of

Captured = pytest.CaptureFixture[str]


def test_an_error_is_one_line_and_its_hint_another(capsys: Captured) -> None:
    console.error(MediaError("cannot read\n  'a b.mp4'", hint="look\nat it"))
    console.error(MediaError("x" * 500))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: cannot read 'a b.mp4'",
        "hint: look at it",
        f"error: {'x' * 500}",
    ]


@pytest.mark.parametrize("text", ["[red]a[/red].mp4", "[/]", "a\\[b]", ":smile: 12:30", "é😀"])
def test_text_from_outside_is_printed_as_it_is(capsys: Captured, text: str) -> None:
    console.error(MediaError(text, hint=text))
    console.warn(text)
    console.note(text)
    console.result(text)
    out, err = capsys.readouterr()
    assert out == f"{text}\n"
    assert err.splitlines() == [f"error: {text}", f"hint: {text}", f"warning: {text}", text]


def test_what_a_message_quotes_is_cut_in_the_middle(capsys: Captured) -> None:
    console.error(MediaError(f"cannot read {'a' * 100_000}: it is damaged"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot read aaa")
    assert line.endswith("aaa: it is damaged")
    assert " … " in line
    assert len(line) < 2000


def test_a_bug_names_its_kind_and_asks_for_a_report(capsys: Captured) -> None:
    console.bug(ZeroDivisionError("division\nby zero"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "internal error: ZeroDivisionError: division by zero"
    assert lines[1].startswith("hint: ")
    assert "--traceback" in lines[1]


def test_json_is_one_document_without_words_json_does_not_have(capsys: Captured) -> None:
    console.result_json({"a": [1.5, None], "name": "é\udce9"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"a": [1.5, None], "name": "é\udce9"}
    with pytest.raises(ValueError, match="JSON compliant"):
        console.result_json({"a": float("nan")})


def test_a_path_that_is_no_unicode_is_given_back_byte_for_byte(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    with console.standard_streams():
        console.result("caf\udce9.mp4")
    assert capfdbinary.readouterr().out == b"caf\xe9.mp4\n"


def test_a_table_shows_every_cell_in_full(capsys: Captured) -> None:
    console.table("T", ["name", "what"], [["[b]x[/b]", "y" * 200]])
    out = capsys.readouterr().out
    assert "[b]x[/b]" in out
    assert out.count("y") == 200


REPORT = replace(
    report_of(source=recorded_source(Path("clip.mp4")), spec=TINY_SPEC, num_frames=30),
    num_analysed_frames=10,
    sounding_share=0.25,
    mean_score=0.8,
    timings_seconds={"total": 2.04},
    output="out/clip.mp4",
)


def test_a_report_is_a_folder_on_stdout_and_a_sentence_on_stderr(capsys: Captured) -> None:
    console.show_report(REPORT, as_json=False, quiet=False)
    out, err = capsys.readouterr()
    assert out == "out/clip.mp4\n"
    assert err == (
        "30 frames (10 analysed) in 2.0 s on cpu fp32; something sounds in 25%, mean score 0.80\n"
    )


def test_a_quiet_report_is_only_its_result(capsys: Captured) -> None:
    console.show_report(REPORT, as_json=True, quiet=True)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["num_frames"] == 30


DEMO = DemoReport(
    clip="d/scene.mp4",
    output="d/avs_out/scene.mp4",
    mean_iou=0.7125,
    num_sounding_frames=40,
    empty_share=0.975,
    num_silent_frames=10,
)


def test_the_demo_tells_its_scores_and_where_to_look(capsys: Captured) -> None:
    console.show_demo(DEMO)
    assert capsys.readouterr().out.splitlines() == [
        "mean IoU 0.713 over 40 frames in which something visible sounds",
        "no mask in 97.5% of 10 frames in which nothing visible sounds",
        "watch d/avs_out/scene.mp4/overlay.mp4",
    ]


def test_the_demo_leaves_out_what_it_could_not_measure(capsys: Captured) -> None:
    console.show_demo(replace(DEMO, mean_iou=None, empty_share=None))
    assert capsys.readouterr().out == "watch d/avs_out/scene.mp4/overlay.mp4\n"


# --- progress -------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Give the console a clock that a test sets."""
    now = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        yield now


def state(frames: int, total: int | None = 100) -> Progress:
    return Progress(frames, total, frames / 10, None if total is None else total / 10)


def test_plain_progress_speaks_every_ten_seconds(capsys: Captured, clock: list[float]) -> None:
    with console.progress("[b]clip", quiet=False) as update:
        for clock[0], frames in [(1.0, 5), (10.0, 50), (11.0, 55), (19.9, 80), (20.0, 90)]:
            update(state(frames))
    assert capsys.readouterr().err.splitlines() == [
        "[b]clip: 50/100 frames, 0.50× real time",
        "[b]clip: 90/100 frames, 0.45× real time",
    ]


def test_progress_says_when_only_the_hash_is_waited_for(
    capsys: Captured, clock: list[float]
) -> None:
    with console.progress("clip", quiet=False) as update:
        clock[0] = 10.0
        update(replace(state(100), hashed_share=0.421))
    assert capsys.readouterr().err == "clip: 100/100 frames, hashing the source: 42%\n"


def test_plain_progress_without_a_known_length_has_no_total(
    capsys: Captured, clock: list[float]
) -> None:
    with console.progress("clip", quiet=False) as update:
        clock[0] = 10.0
        update(state(50, total=None))
    assert capsys.readouterr().err == "clip: 50 frames, 0.50× real time\n"


def test_quiet_progress_says_nothing(capsys: Captured, clock: list[float]) -> None:
    with console.progress("clip", quiet=True) as update:
        clock[0] = 100.0
        update(state(50))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [100, None])
def test_a_terminal_gets_a_bar_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, total: int | None
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(messages, "err", Console(file=screen, force_terminal=True, width=100))
    with console.progress("a [b]clip[/b]", quiet=False) as update:
        update(state(50, total))
    drawn = screen.getvalue()
    assert "a [b]clip[/b]" in drawn
    assert "50/100" in drawn if total else "50/?" in drawn
    assert "× real time" in drawn
    assert drawn.endswith("\x1b[1A\x1b[2K")  # the line of the bar is cleared
    assert capsys.readouterr() == ("", "")


def test_a_failure_under_the_bar_leaves_the_screen_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(messages, "err", Console(file=screen, force_terminal=True, width=100))
    with pytest.raises(MediaError), console.progress("clip", quiet=False):
        raise MediaError("gone")
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")
    console.error(MediaError("gone"))
    assert screen.getvalue().endswith("gone\n")
