"""What was typed becomes files with places in the output, each once."""

import io
import os
from pathlib import Path

import pytest

from avscli.batch.sources import Found, Narrowing, find_sources, settle
from avscli.errors import OutputError, UsageError


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(
    *inputs: str, ext: tuple[str, ...] = (), exclude: tuple[str, ...] = (), stdin: bytes = b""
) -> list[Found]:
    warnings: list[str] = []
    sources = find_sources(
        inputs, Narrowing(ext, exclude), standard_input=io.BytesIO(stdin), warn=warnings.append
    )
    return list(sources)


def keys(*inputs: str, **narrowing: tuple[str, ...]) -> list[str]:
    return [one.key for one in found(*inputs, **narrowing)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("videos", ["a.mp4", "day/a.mp4", "day/b.mkv"]),
        ("videos/", ["a.mp4", "day/a.mp4", "day/b.mkv"]),
        ("./videos", ["a.mp4", "day/a.mp4", "day/b.mkv"]),
        ("videos/day/b.mkv", ["b.mkv"]),
        ("videos/./day/b.mkv", ["day/b.mkv"]),
        ("./videos/day", ["a.mp4", "b.mkv"]),
        ("videos/./day", ["day/a.mp4", "day/b.mkv"]),
        ("videos/*.mp4", ["a.mp4"]),
        ("videos/**/*.mp4", ["a.mp4", "day/a.mp4"]),
        ("videos/*", ["a.mp4", "day/a.mp4", "day/b.mkv"]),
        ("videos/d*/*.m*", ["day/a.mp4", "day/b.mkv"]),
        ("*/day", ["videos/day/a.mp4", "videos/day/b.mkv"]),
    ],
)
def test_inputs_keep_their_tree(typed: str, expected: list[str]) -> None:
    touch("videos/a.mp4", "videos/day/a.mp4", "videos/day/b.mkv")
    assert sorted(keys(typed)) == expected


def test_a_marked_path_gives_the_same_key_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch("videos/day/two\nlines.mp4", "b.mp4")
    before = found("videos", "b.mp4", "videos/./day/two\nlines.mp4")
    marked = [one.marked for one in before]
    monkeypatch.chdir("/")
    after = found(*marked)
    assert [one.key for one in after] == [one.key for one in before]
    assert [os.path.realpath(one.path) for one in after] == [
        str(tmp_path / "videos/day/two\nlines.mp4"),
        str(tmp_path / "b.mp4"),
        str(tmp_path / "videos/day/two\nlines.mp4"),
    ]


def test_hidden_files_are_taken_only_by_name() -> None:
    touch("v/.hidden.mp4", "v/.git/c.mp4", "v/a.mp4")
    assert keys("v") == ["a.mp4"]
    assert keys("v/*") == ["a.mp4"]
    assert keys("v/.hidden.mp4") == [".hidden.mp4"]


def test_links_to_files_and_folders_are_followed_and_loops_end() -> None:
    touch("elsewhere/x.mp4", "elsewhere/more/y.mp4", "v/a.mp4")
    Path("v/x-link.mp4").symlink_to("../elsewhere/x.mp4")
    Path("v/more").symlink_to("../elsewhere/more")
    Path("v/up").symlink_to("..")
    Path("v/self").symlink_to(".")
    listed = keys("v")
    assert "x-link.mp4" in listed
    assert "more/y.mp4" in listed
    settled = settle(found("v"), Path("out"))
    assert len(settled) == 3
    assert {"a.mp4", "more/y.mp4"} <= {one.key for one in settled}


def test_a_broken_link_is_a_job_that_will_say_so() -> None:
    touch("v/a.mp4")
    Path("v/gone.mp4").symlink_to("nowhere.mp4")
    assert [one.key for one in settle(found("v"), Path("out"))] == ["a.mp4", "gone.mp4"]


def test_the_same_file_is_one_job_and_its_own_name_wins_over_a_link() -> None:
    touch("v/z.mp4")
    Path("v/a-link.mp4").symlink_to("z.mp4")
    typed = ["v", "v/z.mp4", "./v/../v/z.mp4", str(Path("v/z.mp4").absolute())]
    assert [one.key for one in settle(found(*typed), Path("out"))] == ["z.mp4"]


def test_only_wanted_files_are_taken_from_folders() -> None:
    touch("v/a.mp4", "v/b.MKV", "v/c.mov", "v/old/d.mp4", "v/old/e.mkv")
    assert keys("v", ext=("mp4", "mkv")) == ["a.mp4", "b.MKV", "old/d.mp4", "old/e.mkv"]
    assert keys("v", exclude=("old",)) == ["a.mp4", "b.MKV", "c.mov"]
    assert keys("v", exclude=("*.mp4", "old/e*")) == ["b.MKV", "c.mov"]
    assert keys("v/c.mov", ext=("mp4",)) == ["c.mov"], "a file named by itself is meant"


@pytest.mark.parametrize("typed", ["v", "v/*", "v/**", "v/**/*.mp4"])
def test_an_excluded_folder_is_left_out_however_its_files_are_found(typed: str) -> None:
    touch("v/a.mp4", "v/day/b.mp4", "v/old/c.mp4", "v/day/old/deep/d.mp4")
    assert sorted(keys(typed, exclude=("old",))) == ["a.mp4", "day/b.mp4"]
    assert sorted(keys(typed, exclude=("day/old",)))[:2] == ["a.mp4", "day/b.mp4"]


def test_only_names_of_videos_are_certain() -> None:
    touch("v/a.MP4", "v/notes.txt", "v/noext")
    assert {one.key: one.is_certain for one in found("v")} == {
        "a.MP4": True,
        "notes.txt": False,
        "noext": False,
    }
    assert [one.is_certain for one in found("v/notes.txt")] == [True]


def test_names_come_from_lists_and_standard_input() -> None:
    touch("v/a.mp4", "v/day/b.mp4")
    Path("list.txt").write_text("v/a.mp4\nv/./day/b.mp4\nabsent.mp4\n")
    assert keys("@list.txt") == ["a.mp4", "day/b.mp4", "absent.mp4"]
    assert [one.key for one in found("-", stdin=b"v/a.mp4\0v/day\0")] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("vidoes", "vidoes does not exist"),
        ("*.mp4", "nothing matches"),
        ("@absent.txt", "cannot read the list"),
        ("v/./../a.mp4", "must not lead upwards"),
    ],
)
def test_what_cannot_be_meant_is_refused(typed: str, says: str) -> None:
    touch("a.mp4", "v/x")
    Path("a.mp4").unlink()
    if "upwards" in says:
        touch("a.mp4")
    with pytest.raises(UsageError, match=says):
        found(typed)


@pytest.mark.parametrize(
    "names",
    [("x/a.mp4", "y/a.mp4"), ("x/a.mp4", "y/a.mp4.partial"), ("x/a.mp4", "y/a.mp4.replaced")],
)
def test_results_that_would_land_on_one_another_are_refused(names: tuple[str, str]) -> None:
    touch(*names)
    with pytest.raises(UsageError, match=r"would both be written to") as refused:
        settle(found(*names), Path("out"))
    assert all(name in str(refused.value) for name in names)
    assert "/./" in refused.value.hint


@pytest.mark.parametrize(
    "name", ["failures.txt", "summary.2-of-3.csv", "combined.coco.json", "manifest.jsonl/a.mp4"]
)
def test_a_place_where_the_batch_keeps_its_own_files_is_refused(name: str) -> None:
    touch(f"x/{name}")
    with pytest.raises(UsageError, match="where the batch keeps its own file"):
        settle([Found(Path("x") / name, name, None, is_certain=True)], Path("out"))
    deeper = Found(Path("x") / name, f"day/{name}", None, is_certain=True)
    assert settle([deeper], Path("out")) == [deeper]


def test_results_inside_those_of_another_file_are_refused() -> None:
    touch("x/a.mp4", "y/a.mp4/b.mp4")
    with pytest.raises(UsageError, match="inside those of"):
        settle(found("x", "y"), Path("out"))


@pytest.mark.parametrize(
    ("typed", "output"),
    [("v", "v"), ("v", "v/out"), (".", "avs_out"), ("v/a.mp4", "v"), ("v", "v/day/../deep")],
)
def test_results_in_an_input_are_refused(typed: str, output: str) -> None:
    touch("v/a.mp4", "v/day/b.mp4")
    with pytest.raises(OutputError, match="would land in the input"):
        settle(found(typed), Path(output))


@pytest.mark.parametrize("typed", [["a.mp4", "day", "out"], ["*"], ["**/*.mp4"]], ids=str)
def test_results_in_the_output_folder_are_no_inputs(typed: list[str]) -> None:
    touch("a.mp4", "day/b.mp4", "out/a.mp4/overlay.mp4", "out/a.mp4/run.json")
    touch("out/day/b.mp4.partial/overlay.mp4", "out/day/b.mp4.replaced/overlay.mp4")
    settled = settle(found(*typed), Path("out"))
    assert [one.path.name for one in settled] == ["a.mp4", "b.mp4"]
    elsewhere = settle(found("out"), Path("elsewhere"))
    assert len(elsewhere) == 4, "there it would be an input like any other"


def test_inputs_may_lie_in_the_output_folder_beside_the_results() -> None:
    touch("v/a.mp4", "v/day/b.mp4", "a.mp4/run.json", "a.mp4/overlay.mp4", "manifest.jsonl")
    assert [one.key for one in settle(found("v"), Path())] == ["a.mp4", "day/b.mp4"]


def test_results_beside_a_named_file_are_fine() -> None:
    touch("v/a.mp4")
    assert [one.key for one in settle(found("v/a.mp4"), Path("v/out"))] == ["a.mp4"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_nobody_may_read_is_warned_of() -> None:
    touch("v/closed/a.mp4", "v/b.mp4")
    Path("v/closed").chmod(0)
    warnings: list[str] = []
    sources = find_sources(["v"], Narrowing(), standard_input=io.BytesIO(), warn=warnings.append)
    assert [one.key for one in sources] == ["b.mp4"]
    assert "cannot look into" in warnings[0]
