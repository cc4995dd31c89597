"""Everything people have in their folders, in one batch: each file ends as it should."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.builders import make_video, silence, tone, truncated_copy
from tests.conftest import Avs
from tests.e2e.batches import manifest_lines, require_whole, result_folders, statuses
from tests.e2e.results import ALL_FILES
from tests.e2e.test_media_cases import CASES, build
from tests.e2e.test_refusals import cut_before_its_index, noise, pipe, sound_only

ODD_NAMES = [
    "a space.mp4",
    "ünïcödé.mp4",
    "日本語.mp4",
    "emoji 😀👨‍👩‍👧.mp4",
    "new\nline.mp4",
    '"quoted".mp4',
    "-dash.mp4",
    "[brackets] and * stars?.mp4",
    "deep/er/and deeper/nested.mp4",
    "UPPER.MP4",
    "no ending",
]
NO_UNICODE = os.fsdecode(b"caf\xe9.mp4")


def two_hours(path: Path) -> Path:
    """Write 7200 s at one frame a second by repeating a minute; copying packets takes no time."""
    minute = make_video(
        path.with_name("minute.mkv"), seconds=60, fps=1, size_hw=(32, 32), sample_rate=8000
    )
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", "-stream_loop", "119", "-i", minute, "-c", "copy", path]
    subprocess.run(command, check=True)
    minute.unlink()
    return path


def make_corpus(folder: Path) -> dict[str, str]:
    """Fill a folder and return the status that each job must have."""
    folder.mkdir()
    expected = {}
    for name, case in CASES.items():
        build(folder / f"{name}{case.suffix}", size_hw=case.size_hw, **case.build)
        expected[f"{name}{case.suffix}"] = "done"
    for number, name in enumerate(ODD_NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path if path.suffix else path.with_suffix(".mp4")
        build(made, audio=tone(200 + 50 * number)).rename(path)
        expected[name] = "done"
    shutil.copy(folder / "plain.mp4", folder / "the same bytes.mp4")
    build(folder / "silent.mp4", audio=silence)
    build(folder / "two tracks.mkv", audio=[tone(440), silence])
    shutil.copy(folder / "plain.mp4", folder / NO_UNICODE)
    copies = ("the same bytes.mp4", NO_UNICODE)
    expected |= dict.fromkeys((*copies, "silent.mp4", "two tracks.mkv"), "done")
    for suffix in (".mkv", ".mp4"):
        whole = build(folder / f"whole{suffix}", seconds=6, faststart=True)
        truncated_copy(whole, folder / f"truncated{suffix}", 0.5)
        expected |= {f"whole{suffix}": "done", f"truncated{suffix}": "truncated"}
    two_hours(folder / "two hours.mkv")
    expected["two hours.mkv"] = "done"
    build(folder / "mute.mp4", audio=None)
    (folder / "zero bytes.mp4").touch()
    (folder / "text.mp4").write_text("Dear diary")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    expected |= {"mute.mp4": "no_audio"}
    expected |= dict.fromkeys(("zero bytes.mp4", "text.mp4", "gone.mp4"), "failed")
    for make in (noise, pipe, sound_only, cut_before_its_index):
        (folder / make.__name__).mkdir()
        make(folder / make.__name__)
        expected[f"{make.__name__}/clip.mp4"] = "failed"
    (folder / "link to plain.mp4").symlink_to("plain.mp4")
    (folder / "loop").symlink_to(".")
    (folder / "notes.txt").write_text("no video, and not meant")
    (folder / ".hidden.mp4").write_text("not meant either")
    shutil.copy(Path(__file__).parents[2] / "docs" / "overlay.jpg", folder / "picture.jpg")
    return expected


def test_every_file_of_a_corpus_ends_as_it_should(
    avs: Avs, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus, output = Path("corpus"), Path("out")
    expected = make_corpus(corpus)
    assert len(expected) >= 40
    # No overlay, and seldom a mask, for the sake of the two hours.
    options = ("-w", weights, "--fps", 0.02, "--write", "coco,csv")
    twice = (corpus, corpus / "plain.mp4", tmp_path / corpus / "stereo.mp4")
    outcome = avs("batch", *twice, "-o", output, "--workers", 2, *options)
    assert outcome.code == 8, outcome.err
    assert "Traceback" not in outcome.err
    assert statuses(output) == expected
    assert len(manifest_lines(output)) == len(expected), "each file once"
    finished = {key for key, status in expected.items() if status in ("done", "truncated")}
    failures = (output / "failures.txt").read_text().splitlines()
    assert len(failures) == len(expected) - len(finished)
    assert result_folders(output) == finished
    require_whole(output, [name for name in ALL_FILES if name != "overlay.mp4"])
    frames = {line["key"]: line["result"]["frames"] for line in manifest_lines(output)}
    assert frames["two hours.mkv"] == 7200
    notes = {line["key"]: line["result"] for line in manifest_lines(output)}
    assert notes["silent.mp4"]["sounding_share"] == 0.0
    assert "audio track" in notes["mute.mp4"]["message"]
    for key in sorted(finished):
        target = (Path("one by one") / key).parent
        alone = avs("segment", "-o", target, "--quiet", *options, "--", corpus / key)
        assert alone.code == 0, alone.err
        for file in ("frames.jsonl", "confidence.csv"):
            ours, theirs = output / key / file, Path("one by one") / key / file
            assert ours.read_bytes() == theirs.read_bytes(), (key, file)
