"""The run folder appears whole or not at all, and never costs anybody a file."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from avscli.errors import ExitCode, OutputError
from avscli.outputs import run_folder
from avscli.outputs.run_folder import (
    UNFINISHED_NAME,
    RunFolder,
    WholeFolder,
    clear_partial,
    file_names,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "clip.mp4"
    path.parent.mkdir()
    path.write_bytes(b"video")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "out" / "deep"


def run(root: Path, source: Path, text: str = "{}", *, overwrite: bool = False) -> RunFolder:
    folder = RunFolder(root, source, overwrite=overwrite)
    with folder as partial:
        (partial / "run.json").write_text(text)
    return folder


def fail_in(folder: RunFolder, error: BaseException) -> None:
    with folder as partial:
        (partial / "run.json").write_text("half")
        raise error


def names(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir())


def test_the_folder_is_partial_during_the_run_and_final_after_it(root: Path, source: Path) -> None:
    with RunFolder(root, source, overwrite=False) as partial:
        assert names(root) == ["clip.mp4.partial"]
        assert partial == root / "clip.mp4.partial"
        (partial / "run.json").write_text("{}")
    assert names(root) == ["clip.mp4"]
    assert names(root / "clip.mp4") == ["run.json"]


def test_files_are_on_the_disk_before_the_folder_has_its_name(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def fsync_and_note(descriptor: int) -> None:
        assert not (root / "clip.mp4").exists()
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_and_note)
    with RunFolder(root, source, overwrite=False) as partial:
        for name in ("run.json", "overlay.mp4"):
            (partial / name).write_text("{}")
    assert synced >= {path.stat().st_ino for path in (root / "clip.mp4").iterdir()}


def test_a_disk_that_fails_late_leaves_nothing(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="quota exceeded"):
        run(root, source)
    assert not root.parent.exists()


@pytest.mark.parametrize("error", [OutputError("full"), KeyboardInterrupt(), RuntimeError("bug")])
def test_any_exception_removes_the_partial_folder(
    root: Path, source: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        fail_in(RunFolder(root, source, overwrite=False), error)
    assert not root.parent.exists(), "it was not there before"


def test_a_root_that_was_there_stays(root: Path, source: Path) -> None:
    root.mkdir(parents=True)
    with pytest.raises(RuntimeError):
        fail_in(RunFolder(root, source, overwrite=False), RuntimeError("bug"))
    assert names(root) == []


def test_a_new_root_stays_when_another_run_has_come_to_use_it(root: Path, source: Path) -> None:
    folder = RunFolder(root, source, overwrite=False)
    folder.__enter__()
    run(root, source.with_name("other.mp4"))
    folder.__exit__(RuntimeError, RuntimeError("bug"), None)
    assert names(root) == ["other.mp4"]


def test_a_root_that_another_run_removes_in_the_same_moment_is_made_again(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fails removes the folder it has made, if nothing is in it."""
    mkdir, num_removed = os.mkdir, 0

    def make_and_remove(path: Path, mode: int = 0o777) -> None:
        nonlocal num_removed
        mkdir(path, mode)
        if path == root and num_removed < 3:
            num_removed += 1
            root.rmdir()

    monkeypatch.setattr(os, "mkdir", make_and_remove)
    run(root, source)
    assert num_removed == 3
    assert names(root) == ["clip.mp4"]


def test_an_existing_run_is_refused_before_any_work(root: Path, source: Path) -> None:
    run(root, source, "first")
    with (
        pytest.raises(OutputError, match="exists already") as caught,
        RunFolder(root, source, overwrite=False),
    ):
        pytest.fail("must not start")
    assert caught.value.exit_code == ExitCode.BAD_OUTPUT
    assert "--overwrite" in caught.value.hint
    assert names(root) == ["clip.mp4"]


def test_overwriting_replaces_the_whole_folder(root: Path, source: Path) -> None:
    run(root, source, "first")
    (root / "clip.mp4" / "stale.csv").touch()
    run(root, source, "second", overwrite=True)
    assert names(root) == ["clip.mp4"]
    assert names(root / "clip.mp4") == ["run.json"]
    assert (root / "clip.mp4" / "run.json").read_text() == "second"


def test_a_failed_run_leaves_the_old_one_as_it_was(root: Path, source: Path) -> None:
    run(root, source, "first")
    with pytest.raises(KeyboardInterrupt):
        fail_in(RunFolder(root, source, overwrite=True), KeyboardInterrupt())
    assert (root / "clip.mp4" / "run.json").read_text() == "first"
    assert names(root) == ["clip.mp4"]


def test_a_folder_that_is_no_run_is_never_replaced(root: Path, source: Path) -> None:
    (root / "clip.mp4").mkdir(parents=True)
    (root / "clip.mp4" / "holiday.jpg").touch()
    with (
        pytest.raises(OutputError, match="not the folder of an earlier run"),
        RunFolder(root, source, overwrite=True),
    ):
        pytest.fail("must not start")
    assert names(root / "clip.mp4") == ["holiday.jpg"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_link_in_the_way_is_never_replaced(root: Path, source: Path, kind: str) -> None:
    root.mkdir(parents=True)
    if kind == "file":
        (root / "clip.mp4").write_text("mine")
    else:
        (root / "clip.mp4").symlink_to("nowhere")
    with pytest.raises(OutputError), RunFolder(root, source, overwrite=True):
        pytest.fail("must not start")
    assert os.path.lexists(root / "clip.mp4")


@pytest.mark.parametrize("overwrite", [True, False])
def test_output_over_the_input_is_refused(source: Path, overwrite: bool) -> None:
    with (
        pytest.raises(OutputError, match="would replace the input"),
        RunFolder(source.parent, source, overwrite=overwrite),
    ):
        pytest.fail("must not start")
    assert source.read_bytes() == b"video"
    assert names(source.parent) == ["clip.mp4"]


@pytest.mark.parametrize("folder", ["clip.mp4", "clip.mp4.partial", "clip.mp4.replaced"])
def test_output_around_the_input_is_refused(tmp_path: Path, folder: str) -> None:
    source = tmp_path / folder / "clip.mp4"
    source.parent.mkdir()
    source.write_bytes(b"video")
    (source.parent / "run.json").touch()
    with pytest.raises(OutputError, match="input"), RunFolder(tmp_path, source, overwrite=True):
        pytest.fail("must not start")
    assert source.read_bytes() == b"video"


def test_output_inside_the_input_is_refused(source: Path) -> None:
    with pytest.raises(OutputError), RunFolder(source, source, overwrite=True):
        pytest.fail("must not start")
    assert source.read_bytes() == b"video"


def test_what_a_dead_run_left_behind_is_cleared(root: Path, source: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from avscli.outputs.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1]), Path(sys.argv[2]), overwrite=False) as partial:\n"
        "    (partial / 'deep').mkdir(); (partial / 'deep' / 'old').touch(); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(root), str(source)], check=False)
    assert names(root) == ["clip.mp4.partial"]
    with RunFolder(root, source, overwrite=False) as partial:
        assert file_names(partial) == set()
    assert names(root) == ["clip.mp4"]


def test_a_second_run_on_the_same_source_is_refused(root: Path, source: Path) -> None:
    with RunFolder(root, source, overwrite=False) as partial:
        (partial / "run.json").write_text("first")
        with (
            pytest.raises(OutputError, match="another run is writing"),
            RunFolder(root, source, overwrite=True),
        ):
            pytest.fail("must not start")
    assert (root / "clip.mp4" / "run.json").read_text() == "first"


def test_a_run_that_finished_meanwhile_is_not_lost(root: Path, source: Path) -> None:
    slow = RunFolder(root, source, overwrite=False)
    slow.__enter__()
    (root / "clip.mp4").mkdir()
    (root / "clip.mp4" / "run.json").write_text("other")
    with pytest.raises(OutputError, match="exists already"):
        slow.__exit__(None, None, None)
    assert names(root) == ["clip.mp4"]
    assert (root / "clip.mp4" / "run.json").read_text() == "other"


@pytest.mark.parametrize("part", ["x" * 256, "/".join(["x" * 200] * 21)], ids=["name", "path"])
def test_a_path_that_is_too_long_leaves_no_root(tmp_path: Path, source: Path, part: str) -> None:
    root = tmp_path / "out" / "deep" / part
    with (
        pytest.raises(OutputError, match="name too long"),
        RunFolder(root, source, overwrite=False),
    ):
        pytest.fail("must not start")
    assert not (tmp_path / "out").exists(), "it was not there before"


def test_ctrl_c_while_starting_leaves_no_root(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "_clear", interrupt)
    with pytest.raises(KeyboardInterrupt), RunFolder(root, source, overwrite=False):
        pytest.fail("must not start")
    assert not root.parent.exists()


def test_ctrl_c_while_replacing_brings_the_old_run_back(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, source, "first")
    rename = Path.rename

    def rename_and_interrupt(path: Path, target: Path) -> None:
        rename(path, target)
        if target.suffix == ".replaced":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", rename_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(root, source, "second", overwrite=True)
    assert (root / "clip.mp4" / "run.json").read_text() == "first"
    assert names(root) == ["clip.mp4"]


def test_a_root_that_is_a_file_is_an_output_error(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"cannot write .*clip\.mp4"),
        RunFolder(tmp_path / "file", source, overwrite=False),
    ):
        pytest.fail("must not start")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_write_permission_is_an_output_error(tmp_path: Path, source: Path) -> None:
    root = tmp_path / "locked"
    root.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with (
        pytest.raises(OutputError, match="Permission denied"),
        RunFolder(root, source, overwrite=False),
    ):
        pytest.fail("must not start")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write")
def test_a_root_nobody_can_write_is_an_output_error(source: Path) -> None:
    with pytest.raises(OutputError), RunFolder(Path("/proc/self/out"), source, overwrite=False):
        pytest.fail("must not start")


@pytest.mark.parametrize("place", [".", "..", "/", "deep/.."])
def test_a_folder_without_a_name_of_its_own_is_refused(place: str) -> None:
    with pytest.raises(OutputError, match="no name for a new folder"):
        WholeFolder(Path(place), inputs=(), marker="run.json", overwrite=True)


@pytest.mark.parametrize("ending", [".partial", ".replaced"])
@pytest.mark.parametrize("kind", ["folder", "run", "link", "file"])
def test_what_only_has_the_name_of_a_half_written_run_stays(
    root: Path, source: Path, tmp_path: Path, ending: str, kind: str
) -> None:
    run(root, source)
    beside, precious = root / f"clip.mp4{ending}", tmp_path / "precious"
    precious.mkdir()
    if kind == "folder":
        beside.mkdir()
        (beside / "thesis").write_text("mine")
    elif kind == "run":  # of a source that is called so
        shutil.copytree(root / "clip.mp4", beside)
    elif kind == "link":
        (precious / "thesis").write_text("mine")
        beside.symlink_to(precious, target_is_directory=True)
    else:
        beside.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(OutputError, match=ending),
        RunFolder(root, source, overwrite=True),
    ):
        pytest.fail("must not start")
    clear_partial(root, "clip.mp4")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_was_killed_while_it_replaced_is_replaced_itself(
    root: Path, source: Path
) -> None:
    run(root, source)
    older = root / "clip.mp4.replaced"
    shutil.copytree(root / "clip.mp4", older)
    (older / UNFINISHED_NAME).touch()
    run(root, source, overwrite=True)
    assert names(root) == ["clip.mp4"]
    assert names(root / "clip.mp4") == ["run.json"]


def test_what_a_killed_run_left_is_cleared_but_not_what_another_writes(tmp_path: Path) -> None:
    killed = tmp_path / "out" / "a.mp4.partial"
    killed.mkdir(parents=True)
    for name in ("frames.jsonl", UNFINISHED_NAME):
        (killed / name).touch()
    clear_partial(tmp_path / "out", "a.mp4")
    assert not (tmp_path / "out").exists()
    clear_partial(tmp_path / "out", "a.mp4")
    with RunFolder(tmp_path / "out", tmp_path / "a.mp4", overwrite=False) as partial:
        clear_partial(tmp_path / "out", "a.mp4")
        assert partial.is_dir()
        (partial / "run.json").touch()
    assert (tmp_path / "out" / "a.mp4" / "run.json").exists()


def test_a_run_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out", tmp_path / "a.mp4", overwrite=False)
    folder.__enter__()
    assert folder._lock is not None
    end_of_process = Timer(0.3, os.close, [folder._lock])
    end_of_process.start()
    clear_partial(tmp_path / "out", "a.mp4", patience_seconds=30)
    end_of_process.join()
    assert not (tmp_path / "out").exists()


def test_an_older_run_that_a_kill_left_beside_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "out" / "a.mp4.replaced").mkdir(parents=True)
    with RunFolder(tmp_path / "out", tmp_path / "a.mp4", overwrite=True):
        pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]


# --- names that leave no room for an ending -------------------------------------------------

LONG_NAMES = [
    "x" * 243 + ".mp4",  # the longest with room for .partial
    "x" * 244 + ".mp4",
    "x" * 251 + ".mp4",
    "é" * 125 + ".mp4",
    "😀" * 62 + ".mp4",
    "a" + "😀" * 62 + ".mp4",  # is cut within a letter
    "\udcff" * 251 + ".mp4",
]


@pytest.mark.parametrize("name", LONG_NAMES, ids=lambda name: ascii(name)[:6])
def test_a_name_as_long_as_the_file_system_allows_gets_its_folder(root: Path, name: str) -> None:
    source = root.parent / name
    source.parent.mkdir()
    source.write_bytes(b"video")
    folder = RunFolder(root, source, overwrite=True)
    for text in ("first", "second"):
        with folder as partial:
            assert len(os.fsencode(partial.name)) <= 255
            assert partial.name.endswith(".partial")
            (partial / "run.json").write_text(text)
    assert names(root) == [name]
    assert (folder.final / "run.json").read_text() == "second"
    with pytest.raises(ZeroDivisionError):
        fail_in(folder, ZeroDivisionError())
    assert names(root) == [name]


def test_long_names_that_differ_at_their_end_only_stay_apart(root: Path) -> None:
    sources = [root.parent / ("x" * 250 + letter + ".mp4") for letter in "ab"]
    with (
        RunFolder(root, sources[0], overwrite=False) as first,
        RunFolder(root, sources[1], overwrite=False) as second,
    ):
        assert first != second


def test_what_a_killed_run_of_a_long_name_left_is_cleared(tmp_path: Path) -> None:
    name = "x" * 251 + ".mp4"
    folder = RunFolder(tmp_path / "out", tmp_path / name, overwrite=False)
    folder.partial.mkdir(parents=True)
    clear_partial(tmp_path / "out", name)
    assert not (tmp_path / "out").exists()
