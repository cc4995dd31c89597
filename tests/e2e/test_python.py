"""From Python: README's examples run as they stand, and give what the command line gives."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import avscli
from avscli.datasets.scenes import DEMO_SEED, plan_scene
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.media.ffmpeg_jobs import mux
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from tests.conftest import Avs
from tests.run_folders import ring, scene, write_run

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
VERSION_1 = ROOT / "tests" / "data" / "version1" / "clip.mp4"


def scene_video(path: Path) -> None:
    """The first second of the demo's scene, in which a clock sounds."""
    plan = plan_scene(DEMO_SEED, num_frames=5, fps=Fraction(5), size_hw=(180, 320))
    frames = (plan.draw(index)[0] for index in range(plan.num_frames))
    mux(frames, plan.waveform, path, fps=Fraction(5), sample_rate_hz=SAMPLE_RATE_HZ)


@pytest.mark.weights
def test_readmes_examples_run_and_find_what_the_command_line_finds(
    avs: Avs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scene_video(Path("video.mp4"))
    assert avs("segment", "video.mp4", "--write", "csv").code == 0
    assert len(EXAMPLES) == 2
    for example in EXAMPLES:
        exec(example, {})
    run = avscli.Run.open("avs_out/video.mp4")
    assert run.objects
    journal = read_journal(run.folder / JOURNAL_NAME)
    for stored, found in zip(journal, avscli.segment("video.mp4"), strict=True):
        assert stored.frame == found.stamp.index
        assert [(o.track_id, o.category_id) for o in stored.objects] == [
            (o.track_id, o.category_id) for o in found.objects
        ]
        for each, other in zip(stored.objects, found.objects, strict=True):
            assert run.categories[each.category_id] == other.category
            np.testing.assert_array_equal(each.mask.pixels, found.mask_of(other.track_id))


def test_rows_become_a_table_with_a_line_per_object_and_frame(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    run = avscli.Run.open(str(write_run(tmp_path / "clip.mp4", scene(12))))
    table = pandas.DataFrame(run.rows())
    assert len(table) == sum(len(entry.objects) for entry in run.frames())
    assert set(table["class"]) == {"dog", "person"}
    assert table.loc[0, "area"] == ring((20, 12), 9, 4).sum()
    assert table.loc[0, ["x", "y", "width", "height"]].tolist() == [3, 11, 19, 19]
    assert table["time"].is_monotonic_increasing


def test_masks_of_a_run_are_arrays_of_the_frames_size(tmp_path: Path) -> None:
    run = avscli.Run.open(write_run(tmp_path / "clip.mp4", scene(1)))
    (entry,) = run.frames()
    np.testing.assert_array_equal(entry.objects[0].mask.pixels, ring((20, 12), 9, 4))


def test_a_run_of_the_first_version_has_an_object_per_class() -> None:
    run = avscli.Run.open(VERSION_1)
    rows = list(run.rows())
    assert [each.category for each in run.objects] == sorted({str(row["class"]) for row in rows})
    assert all(np.isnan(row["class_score"]) for row in rows)
