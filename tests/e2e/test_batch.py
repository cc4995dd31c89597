"""``avs batch``: every file gets its line, and what was done is not done again."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from tests.conftest import Avs, Outcome
from tests.e2e.batches import (
    make_clips,
    manifest_lines,
    require_same,
    require_whole,
    result_folders,
    start_batch,
    statuses,
    times_finished,
)
from tests.e2e.test_process import PATIENCE_SECONDS, wait_until
from tests.pictures import make_picture, make_song

Batch = Callable[..., Outcome]
NAMES = ["a.mp4", "day one/b.mp4", "day one/c 😀.mkv", "two\nlines.mp4"]


@pytest.fixture
def batch(avs: Avs, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """Return a function that runs ``avs batch`` in the test's folder, results in out/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")  # so that cells of the table keep their words

    def call(*args: object, code: int | None = None) -> Outcome:
        outcome = avs("batch", *args, "-o", "out", "-w", weights, "--fps", 4)
        assert code is None or outcome.code == code, outcome.err
        assert "Traceback" not in outcome.err
        return outcome

    return call


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder with four good clips, one without sound and one that is none."""
    folder = make_clips(tmp_path / "clips", NAMES)
    make_clips(folder, ["mute.mp4"], audio=None)
    (folder / "text.mp4").write_text("no video")
    (folder / "notes.txt").write_text("Dear diary")
    return folder


def done_again(output: Path) -> bool:
    return any(count != 1 for count in times_finished(output).values())


# --- one batch, its records, and carrying on --------------------------------------------------


def test_a_batch_does_what_it_can_and_says_the_rest(batch: Batch, clips: Path) -> None:
    outcome = batch("clips", code=8)
    output = Path("out")
    assert statuses(output) == {
        **dict.fromkeys(NAMES, "done"),
        "mute.mp4": "no_audio",
        "text.mp4": "failed",
    }
    require_whole(output)
    assert result_folders(output) == set(NAMES)
    assert "4 done · 0 up to date · 2 failed" in outcome.err
    for words in ("mute.mp4", "no audio track", "text.mp4", "done", "a.mp4"):
        assert words in " ".join(outcome.out.split())
    failures = (output / "failures.txt").read_text().splitlines()
    assert failures == [f"{clips}/./mute.mp4", f"{clips}/./text.mp4"]
    rows = list(csv.DictReader((output / "summary.csv").read_text().splitlines()))
    assert {row["file"]: row["status"] for row in rows} == {
        json.dumps(key) if "\n" in key else key: status for key, status in statuses(output).items()
    }

    before = {line["key"]: line["at"] for line in manifest_lines(output)}
    again = batch("clips", code=8)
    assert "0 done · 4 up to date · 2 failed" in again.err
    assert not done_again(output)

    (clips / "text.mp4").unlink()
    make_clips(clips, ["text.mp4"])
    only = batch("@out/failures.txt", "--no-audio", "empty", code=0)
    assert "2 done · 0 up to date · 0 failed" in only.err
    assert not (output / "failures.txt").exists()
    assert result_folders(output) == {*NAMES, "mute.mp4", "text.mp4"}
    assert {line["key"]: line["at"] for line in manifest_lines(output)}["a.mp4"] == before["a.mp4"]


def test_one_file_after_the_other_as_avs_segment_would(
    batch: Batch, avs: Avs, weights: Path, clips: Path, tmp_path: Path
) -> None:
    batch("clips", "--exclude", "mute.mp4", "--exclude", "text.*", code=0)
    for name in NAMES:
        target = (tmp_path / "one by one" / name).parent
        done = avs("segment", clips / name, "-o", target, "-w", weights, "--fps", 4)
        assert done.code == 0
    for name in NAMES:
        ours, theirs = (Path("out") / name), (tmp_path / "one by one" / name)
        for file in ("frames.jsonl", "confidence.csv"):
            assert (ours / file).read_bytes() == (theirs / file).read_bytes()


def test_changed_options_replace_results_and_a_foreign_folder_is_kept(
    batch: Batch, tmp_path: Path
) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "b.mp4"])
    batch("clips/a.mp4", code=0)
    (Path("out") / "b.mp4").mkdir()
    (Path("out") / "b.mp4" / "thesis.tex").touch()
    outcome = batch("clips", "--min-area", "0.01", code=8)
    assert statuses(Path("out")) == {"a.mp4": "done", "b.mp4": "failed"}
    record = json.loads((Path("out") / "a.mp4" / "run.json").read_text())
    assert record["options"]["min_area"] == 0.01
    assert "is not replaced" in " ".join(outcome.err.split())
    assert (Path("out") / "b.mp4" / "thesis.tex").exists()


def test_results_that_the_manifest_does_not_know_are_adopted(batch: Batch, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "b.mp4"])
    batch("clips", code=0)
    record = (Path("out") / "a.mp4" / "run.json").read_bytes()
    (Path("out") / "manifest.jsonl").unlink()
    outcome = batch("clips", code=0)
    assert "2 done · 0 up to date" in outcome.err
    assert (Path("out") / "a.mp4" / "run.json").read_bytes() == record
    assert not done_again(Path("out"))


def test_events_are_json_lines(batch: Batch, clips: Path) -> None:
    outcome = batch("clips", "--json", "--workers", 2, code=8)
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["planned", "end"]
    assert events[0]["num_jobs"] == 6
    assert events[0]["media_seconds"] == pytest.approx(2.5, abs=0.5)
    started = [event["file"] for event in events if event["event"] == "started"]
    ended = {event["file"]: event["status"] for event in events if event["event"] == "ended"}
    assert sorted(started) == sorted(ended) == sorted([*NAMES, "mute.mp4", "text.mp4"])
    assert events[-1]["counts"] == {"done": 4, "failed": 1, "no_audio": 1}
    assert events[-1]["exit_code"] == 8
    for event in events:
        if event["event"] == "ended" and event["status"] == "done":
            assert event["frames"] == 5
            assert Path(event["output"], "run.json").exists()


def test_a_dry_run_tells_and_does_nothing(batch: Batch, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "b.mp4"])
    outcome = batch("clips", "--dry-run", code=0)
    assert outcome.out.splitlines() == ["run   a.mp4  (new)", "run   b.mp4  (new)"]
    assert "2 to run, 0 up to date" in outcome.err
    assert "time unknown" in outcome.err
    assert not Path("out").exists()
    batch("clips/a.mp4", code=0)
    (tmp_path / "clips" / "c.mp4").touch()
    outcome = batch("clips", "--dry-run", code=0)
    assert outcome.out.splitlines() == [
        *("run   b.mp4  (new)", "run   c.mp4  (new)", "skip  a.mp4  (up to date)"),
    ]
    assert "time about" in outcome.err
    assert "disk about 0 MB" in outcome.err
    lines = batch("clips", "--dry-run", "--json", code=0).out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == [
        *("would_run", "would_run", "up_to_date", "planned"),
    ]
    assert events[-1]["num_bytes"] == (tmp_path / "clips" / "b.mp4").stat().st_size
    assert events[-1]["media_seconds"] == pytest.approx(0.5, abs=0.1)
    assert events[-1]["wall_seconds"] > 0


def test_combine_joins_all_results_with_unique_ids(batch: Batch, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "day/b.mp4", "c.mp4"])
    batch("clips", code=0)
    batch("clips", "--combine", code=0)
    path = Path("out", "combined.coco.json")
    document = json.loads(path.read_text())
    assert [video["file_name"] for video in document["videos"]] == ["a.mp4", "c.mp4", "day/b.mp4"]
    single = {
        key: json.loads((Path("out") / key / "masks.coco.json").read_text())
        for key in ("a.mp4", "c.mp4", "day/b.mp4")
    }
    for number, (key, one) in enumerate(single.items(), start=1):
        images = [image for image in document["images"] if image["video_id"] == number]
        assert [image["frame_id"] for image in images] == [i["frame_id"] for i in one["images"]]
        assert all(image["file_name"].startswith(f"{key}/") for image in images)
        masks = [a["segmentation"] for a in document["annotations"] if a["video_id"] == number]
        assert masks == [a["segmentation"] for a in one["annotations"]]
    for kind in ("images", "annotations"):
        ids = [item["id"] for item in document[kind]]
        assert ids == list(range(1, len(ids) + 1))
    assert len(COCO(str(path)).getImgIds()) == len(document["images"])
    shutil.rmtree(Path("out", "c.mp4"))
    batch("clips/a.mp4", "--combine", code=0)
    videos = json.loads(path.read_text())["videos"]
    assert [video["file_name"] for video in videos] == ["a.mp4", "day/b.mp4"], "what is there"


def test_names_come_from_a_pipe(weights: Path, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "two\nlines.mp4"])
    found = subprocess.run(
        ["find", "clips", "-type", "f", "-print0"], cwd=tmp_path, capture_output=True, check=True
    )
    command = [sys.executable, "-m", "avscli", "batch", "-", "-o", "out", "-w", str(weights)]
    done = subprocess.run(
        [*command, "--fps", "4", "--quiet"],
        cwd=tmp_path, input=found.stdout, capture_output=True, check=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert result_folders(tmp_path / "out") == {"a.mp4", "two\nlines.mp4"}


def test_a_closed_standard_input_is_no_hindrance(weights: Path, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["a.mp4"])
    command = [sys.executable, "-m", "avscli", "batch", "clips", "-w", str(weights), "--dry-run"]
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "run   a.mp4  (new)\n"), done.stderr


# --- shards, workers ----------------------------------------------------------------------------


def test_shards_processes_and_serial_give_the_same_results(
    batch: Batch, weights: Path, tmp_path: Path
) -> None:
    names = [f"{i}.mp4" for i in range(6)]
    make_clips(tmp_path / "clips", names)
    batch("clips", "--workers", 2, code=0)
    Path("out").rename("processes")
    batch("clips", code=0)
    Path("out").rename("serial")
    common = ("clips", "-o", "out", "-w", weights, "--fps", 4, "--quiet")
    shards = [start_batch(*common, "--shard", f"{i}/2", cwd=tmp_path) for i in (1, 2)]
    for shard in shards:
        _out, err = shard.communicate(timeout=PATIENCE_SECONDS)
        assert (shard.returncode, err) == (0, "")
    assert set(times_finished(Path("out")).values()) == {1}
    require_same(Path("out"), Path("serial"))
    for key in result_folders(Path("serial")):
        for file in ("frames.jsonl", "confidence.csv"):
            ours, theirs = Path("processes", key, file), Path("serial", key, file)
            assert ours.read_bytes() == theirs.read_bytes()
    again = batch("clips", "--workers", 2, code=0)
    assert "0 done · 6 up to date" in again.err, "a run without shards knows what shards did"


# --- failures that are not the file's, and files that are worse than broken ----------------------

FAULTS = '''
import av, ctypes, os, sys, time
_open = av.open

def faulty_open(file, *args, **options):
    """Open a file like av.open, but die, hang or fail where its name says so."""
    name = os.path.basename(str(file))
    if name.startswith("segfault"):
        ctypes.string_at(0)
    if "worker" in sys.argv[0]:
        if name.startswith("hang"):
            time.sleep(600)
        if name.startswith("flaky") and not os.path.exists(name + ".tried"):
            open(name + ".tried", "w").close()
            raise av.error.OSError(5, "Input/output error", str(file))
        if name.startswith("bug"):
            raise RuntimeError("a bug of ours")
        if name.startswith("killed") and not os.path.exists(name + ".tried"):
            open(name + ".tried", "w").close()
            os.kill(os.getpid(), 9)
    return _open(file, *args, **options)

av.open = faulty_open
'''


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every process that is started an FFmpeg that some names are too much for."""
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "sitecustomize.py").write_text(FAULTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "faults"), prepend=os.pathsep)


@pytest.mark.usefixtures("faults")
def test_a_decoder_that_crashes_costs_its_file_only(batch: Batch, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "segfault.mp4", "segfault2.mkv", "z.mp4"])
    (tmp_path / "clips" / "segfault2.mkv").rename(tmp_path / "clips" / "segfault2")
    outcome = batch("clips", code=8)
    assert statuses(Path("out")) == {
        "a.mp4": "done", "segfault.mp4": "crashed", "segfault2": "crashed", "z.mp4": "done",
    }  # fmt: skip
    assert result_folders(Path("out")) == {"a.mp4", "z.mp4"}
    assert "SIGSEGV" in outcome.err
    assert len(Path("out", "failures.txt").read_text().splitlines()) == 2


@pytest.mark.usefixtures("faults")
def test_bugs_hangs_and_killed_workers(batch: Batch, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["bug.mp4", "hang.mp4", "killed.mp4", "z.mp4"])
    outcome = batch("clips", "--timeout", 8, "--workers", 2, code=8)
    assert statuses(Path("out")) == {
        "bug.mp4": "crashed", "hang.mp4": "timed_out", "killed.mp4": "done", "z.mp4": "done",
    }  # fmt: skip
    assert "internal error: RuntimeError: a bug of ours" in outcome.err
    assert "longer than 8 s" in outcome.err
    assert "killed.mp4 will be done again" in outcome.err
    require_whole(Path("out"))


@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize(("retries", "status", "code"), [(0, "failed", 8), (1, "done", 0)])
def test_only_what_can_pass_is_tried_again(
    batch: Batch, tmp_path: Path, retries: int, status: str, code: int
) -> None:
    make_clips(tmp_path / "clips", ["flaky.mp4"])
    names = ["clips"]
    if retries:
        (tmp_path / "clips" / "text.mp4").write_text("no video")
        names, code = ["clips"], 8
    outcome = batch(*names, "--retries", retries, code=code)
    assert statuses(Path("out"))["flaky.mp4"] == status
    assert ("flaky.mp4 will be done again" in outcome.err) == (retries > 0)
    assert "text.mp4 will be done again" not in outcome.err


def test_fail_fast_begins_nothing_more(batch: Batch, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", ["b.mp4", "c.mp4"])
    (tmp_path / "clips" / "a.mp4").write_text("no video")
    outcome = batch("clips", "--fail-fast", code=8)
    assert statuses(Path("out")) == {"a.mp4": "failed"}
    assert "2 left; the same command carries on" in outcome.err


# --- refusals ---------------------------------------------------------------------------------


def test_a_second_run_on_one_folder_is_refused_by_name(
    batch: Batch, weights: Path, tmp_path: Path
) -> None:
    make_clips(tmp_path / "clips", ["a.mp4", "b.mp4"], seconds=20)
    common = ("clips", "-o", "out", "-w", weights, "--quiet")
    with start_batch(*common, cwd=tmp_path) as first:
        wait_until(lambda: Path("out", "a.mp4.partial").exists() or first.poll() is not None)
        assert first.poll() is None, first.communicate()
        first.send_signal(signal.SIGSTOP)  # or a fast machine has it done before the second asks
        outcome = batch("clips")
        first.terminate()
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=PATIENCE_SECONDS)
    assert outcome.code == 7
    assert f"is in use by process {first.pid} on {os.uname().nodename}" in outcome.err
    assert first.returncode == 143
    assert not Path("out", "a.mp4.partial").exists()


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["absent"], 2, "absent does not exist"),
        (["x/a.mp4", "y/a.mp4"], 2, "would both be written"),
        (["x", "--shard", "3/2"], 2, "--shard 3/2"),
        (["x", "--shard", "some"], 2, "--shard takes I/N"),
        (["x", "--workers", "0"], 2, "--workers"),
        (["x", "--retries", "-1"], 2, "--retries"),
        (["x", "--timeout", "0"], 2, "--timeout"),
        (["x", "--resume", "maybe"], 2, "--resume"),
        (["x", "--ray-address", "auto"], 2, "--engine ray"),
        (["x", "--engine", "ray", "--devices", "0"], 2, "--devices"),
        (["x", "--combine", "--shard", "1/2"], 2, "--combine joins the results of all parts"),
        (["x", "--ext", "mov"], 2, "no video in x"),
        (["."], 7, "would land in the input"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    batch: Batch, tmp_path: Path, args: list[str], code: int, says: str
) -> None:
    for name in ("x/a.mp4", "y/a.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    outcome = batch(*args, code=code)
    assert says in outcome.err
    assert outcome.out == ""
    assert not Path("out").exists()


def test_weights_that_do_not_load_end_the_batch(avs: Avs, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "bad.safetensors").touch()
    output = tmp_path / "out"
    outcome = avs("batch", tmp_path / "a.mp4", "-o", output, "-w", tmp_path / "bad.safetensors")
    assert outcome.code == 5
    assert "cannot be read as safetensors" in outcome.err
    absent = avs("batch", tmp_path / "a.mp4", "-o", tmp_path / "new", "-w", "absent")
    assert absent.code == 5
    assert not (tmp_path / "new").exists()


def test_a_device_that_is_absent_ends_the_batch(avs: Avs, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    outcome = avs(
        "batch", tmp_path / "a.mp4", "-o", tmp_path / "out", "-w", weights, "--devices", "tpu"
    )
    assert outcome.code == 6
    assert "tpu" in outcome.err


def test_help_names_every_option_with_its_default(
    avs: Avs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = avs("batch", "--help").out
    for option in (
        *("--output", "--weights", "--device", "--precision", "--batch-clips", "--fps", "--start"),
        *(
            "--end",
            "--prefer",
            "--threshold",
            "--region-threshold",
            "--min-area",
            "--audio-track",
            "--no-audio",
            "--write",
        ),
        *("--overwrite", "--ext", "--exclude", "--resume", "--hash", "--workers", "--devices"),
        *("--shard", "--engine", "--ray-address", "--retries", "--timeout", "--fail-fast"),
        *("--combine", "--dry-run", "--json", "--quiet"),
    ):
        assert option in text
    for line in text.splitlines():
        if line.startswith("│ --") and not line.startswith("│ --help"):
            assert "[default: " in line, line


@pytest.mark.parametrize(
    "name",
    ["x" * 246 + ".mp4", "é" * 125 + ".mp4", "two\nlines.mp4", "\x1b[2J\r.mp4", "\udcff'\" .mp4"],
    ids=lambda name: ascii(name)[:8],
)
def test_a_name_that_a_file_system_allows_is_done_found_and_done_again(
    weights: Path, tmp_path: Path, name: str
) -> None:
    clips = make_clips(tmp_path / "clips", ["a.mp4", name])
    (clips / "a.mp4").write_bytes(b"")
    output = tmp_path / "out"
    options = ("-o", output, "-w", weights, "--fps", 4, "--write", "csv")
    with start_batch(clips, *options) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 8, err
    assert statuses(output) == {"a.mp4": "failed", name: "done"}
    assert result_folders(output) == {name}
    assert "\x1b" not in out + err, "names steer no terminal"
    (clips / name).write_bytes(b"")
    with start_batch(clips, *options, "--quiet") as process:
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 8
    make_clips(clips, ["a.mp4", name])
    with start_batch(f"@{output / 'failures.txt'}", *options, "--quiet") as process:
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert statuses(output) == {"a.mp4": "done", name: "done"}


def test_pictures_and_music_are_no_jobs_and_animations_are_said_once(
    batch: Batch, tmp_path: Path
) -> None:
    make_clips(tmp_path / "in", ["a.mp4"])
    for name in ("still.avif", "still.webp", "still.gif"):
        make_picture(tmp_path / "in" / name, 1)
    animations = ["1.gif", "2.apng", "3.webp", "4.avif", "5.gif", "6.gif"]
    for name in animations:
        make_picture(tmp_path / "in" / name, 3)
    make_song(tmp_path / "in" / "song.mp3", "libmp3lame")
    outcome = batch("in", code=0)
    assert statuses(tmp_path / "out") == {"a.mp4": "done"}
    assert outcome.err.splitlines()[0] == (
        "warning: animations have no sound and are left out (6): "
        "1.gif, 2.apng, 3.webp, 4.avif, 5.gif, ..."
    )
    assert outcome.err.count("animations") == 1
    batch("in/5.gif", code=8)
    assert statuses(tmp_path / "out")["5.gif"] == "no_audio", "a person named it"


@pytest.mark.parametrize("part", ["x" * 256, "/".join(["x" * 200] * 20)], ids=["name", "path"])
def test_a_listed_name_that_is_too_long_costs_its_own_job_only(
    batch: Batch, tmp_path: Path, part: str
) -> None:
    make_clips(tmp_path / "in", ["a.mp4"])
    (tmp_path / "list").write_text(f"in/a.mp4\n{part}.mp4\n")
    batch("@list", code=8)
    ended = statuses(tmp_path / "out")
    assert ended.pop("a.mp4") == "done"
    assert list(ended.values()) == ["failed"]


@pytest.mark.parametrize(
    ("options", "num_workers"),
    [
        ([], 1),
        (["--workers", "3"], 3),
        (["--devices", "cpu,cpu"], 2),
        (["--engine", "ray"], None),
        (["--engine", "ray", "--workers", "4"], 4),
    ],
)
def test_a_plan_promises_no_more_than_it_knows(
    batch: Batch, tmp_path: Path, options: list[str], num_workers: int | None
) -> None:
    make_clips(tmp_path / "in", ["a.mp4"], seconds=1)
    batch("in", code=0)
    make_clips(tmp_path / "in", ["b.mp4"], seconds=1)
    outcome = batch("in", "--dry-run", "--json", *options, code=0)
    planned = json.loads(outcome.out.splitlines()[-1])
    (done,) = manifest_lines(tmp_path / "out")
    speed = done["result"]["wall_seconds"] / done["result"]["media_seconds"]
    assert planned["num_workers"] == num_workers
    if num_workers is None:
        assert planned["wall_seconds"] is None, "how many a cluster does at once is not asked"
    else:
        expected = planned["media_seconds"] * speed / num_workers
        assert planned["wall_seconds"] == pytest.approx(expected)
