"""Who does what: shards cover every job once, and a plan redoes only what it must."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avscli.batch.executors import Work
from avscli.batch.jobs import JobResult
from avscli.batch.manifest import Manifest
from avscli.batch.plan import Plan, find_videos, in_shard, make_plan
from avscli.batch.prober import Prober
from avscli.config import BatchOptions, ReadOptions, SegmentOptions, Shard
from avscli.errors import UsageError
from tests.builders import make_video
from tests.networks_for_tests import save_tiny

SMALL = {"seconds": 0.3, "fps": 10, "size_hw": (16, 16)}


@settings(deadline=None)  # machines under load stop for seconds
@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 40))
def test_any_split_covers_each_job_once(keys: list[str], count: int) -> None:
    shards = [Shard(i, count) for i in range(1, count + 1)]
    for key in keys:
        assert sum(in_shard(key, shard) for shard in shards) == 1


@pytest.mark.parametrize("count", [2, 3, 16])
def test_parts_are_of_about_equal_size(count: int) -> None:
    keys = [f"day {i % 7}/clip {i}.mp4" for i in range(count * 100)]
    sizes = [sum(in_shard(key, Shard(i, count)) for key in keys) for i in range(1, count + 1)]
    assert 50 < min(sizes) <= max(sizes) < 150


def test_a_job_stays_in_its_part_whatever_else_there_is() -> None:
    # The rule itself is pinned: parts of one batch may run under different releases.
    assert [in_shard("day/a.mp4", Shard(i, 4)) for i in (1, 2, 3, 4)] == [
        *(False, True, False, False),
    ]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


class Batch:
    """Inputs, weights and an output folder, with a manifest that can be filled by hand."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.inputs, self.output = folder / "in", folder / "out"
        self.work = Work.of(str(weights), SegmentOptions())
        self.inputs.mkdir()
        self.looked: list[int] = []

    def plan(self, batch: BatchOptions = BatchOptions(), work: Work | None = None) -> Plan:  # noqa: B008
        with Prober() as prober:
            sources = find_videos([str(self.inputs)], self.output, batch, prober, lambda _: None)
            return make_plan(
                sources, self.output, work or self.work, batch, prober, looked=self.looked.append
            )

    def finish(self, status: str = "done") -> None:
        """Note that everything planned now has ended so, and put finished folders there."""
        jobs = [job for job, _why in self.plan().jobs]
        with Manifest(self.output, Shard(), lambda _: None) as manifest:
            for job in jobs:
                if status == "done":
                    job.output.mkdir(parents=True)
                    (job.output / "run.json").write_text("{}")
                result = JobResult(status, 3, 0.3, 0.6, files=("run.json",), source_sha256="ab")
                manifest.add(job, result, 1)


@pytest.fixture
def batch(tmp_path: Path, weights: Path) -> Batch:
    return Batch(tmp_path, weights)


def reasons(plan: Plan) -> dict[str, str]:
    return {job.key: why for job, why in plan.jobs}


def test_files_are_recognised_by_what_is_in_them(batch: Batch) -> None:
    make_video(batch.inputs / "a.mp4", **SMALL).rename(batch.inputs / "noext")
    make_video(batch.inputs / "b.mkv", **SMALL).rename(batch.inputs / "b.dat")
    (batch.inputs / "broken.mp4").write_text("no video")
    (batch.inputs / "notes.txt").write_text("Dear diary")
    (batch.inputs / "art.nfo").write_text("text that FFmpeg would paint")
    (batch.inputs / "still.jpg").write_bytes(Path("docs/overlay.jpg").read_bytes())
    (batch.inputs / "still").write_bytes(Path("docs/overlay.jpg").read_bytes())
    plan = batch.plan()
    assert reasons(plan) == {"noext": "new", "b.dat": "new", "broken.mp4": "new"}
    assert batch.looked == [1, 2, 3]
    seconds = {job.key: job.seconds for job, _ in plan.jobs}
    assert seconds["noext"] == pytest.approx(0.3, abs=0.05)
    assert seconds["b.dat"] == pytest.approx(0.3, abs=0.05)
    assert seconds["broken.mp4"] is None


def test_a_folder_without_videos_is_refused(batch: Batch) -> None:
    (batch.inputs / "notes.txt").write_text("Dear diary")
    with pytest.raises(UsageError, match="no video in"):
        batch.plan()


@pytest.fixture
def done(batch: Batch) -> Batch:
    for name in ("a.mp4", "b.mp4"):
        (batch.inputs / name).write_bytes(name.encode() * 100)
    batch.finish()
    return batch


def test_what_is_up_to_date_is_skipped(done: Batch) -> None:
    plan = done.plan()
    assert (reasons(plan), plan.num_up_to_date) == ({}, 2)
    assert plan.seconds_per_second == pytest.approx(2.0)


def test_a_changed_source_is_done_again_over_its_old_results(done: Batch) -> None:
    (done.inputs / "a.mp4").write_text("another")
    plan = done.plan()
    assert reasons(plan) == {"a.mp4": "source changed"}
    assert plan.jobs[0][0].overwrite


def test_results_of_another_file_of_that_name_are_not_replaced(done: Batch) -> None:
    monday, done.inputs = done.inputs, done.inputs.with_name("tuesday")
    done.inputs.mkdir()
    (done.inputs / "a.mp4").write_text("another film")
    for resume in ("auto", "off"):
        with pytest.raises(UsageError, match=r"results of .*in/\./a\.mp4, not of") as refused:
            done.plan(BatchOptions(resume=resume))
    assert "--overwrite" in refused.value.hint
    wanted = Work.of(done.work.weights, SegmentOptions(overwrite=True))
    assert reasons(done.plan(work=wanted)) == {"a.mp4": "source changed"}
    (monday / "a.mp4").rename(done.inputs / "a.mp4")
    assert reasons(done.plan()) == {}, "a file that has moved is the same file"
    (done.inputs / "a.mp4").rename(monday / "a.mp4")
    done.inputs.rmdir()
    done.inputs.symlink_to(monday)
    (monday / "a.mp4").write_text("a later version")
    assert reasons(done.plan()) == {"a.mp4": "source changed"}


def test_changed_options_are_done_again(done: Batch) -> None:
    work = Work.of(done.work.weights, SegmentOptions(min_area=0.1))
    assert reasons(done.plan(work=work)) == dict.fromkeys(("a.mp4", "b.mp4"), "options changed")


def test_changed_weights_are_done_again(done: Batch, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(Path(done.work.weights).read_bytes() + b"\0")
    work = Work.of(str(other), done.work.options)
    assert set(reasons(done.plan(work=work)).values()) == {"weights changed"}


def test_results_that_are_gone_are_made_again(done: Batch) -> None:
    (done.output / "b.mp4" / "run.json").unlink()
    assert reasons(done.plan()) == {"b.mp4": "results are gone"}


def test_force_keeps_whatever_is_finished_and_off_keeps_nothing(done: Batch) -> None:
    (done.inputs / "a.mp4").write_text("another")
    assert reasons(done.plan(BatchOptions(resume="force"))) == {}
    off = done.plan(BatchOptions(resume="off"))
    assert reasons(off) == dict.fromkeys(("a.mp4", "b.mp4"), "--resume off")


def test_a_full_hash_agrees_with_results_of_a_quick_one(batch: Batch) -> None:
    import hashlib

    (batch.inputs / "a.mp4").write_bytes(b"film")
    job = batch.plan().jobs[0][0]
    job.output.mkdir(parents=True)
    (job.output / "run.json").write_text("{}")
    digest = hashlib.sha256(b"film").hexdigest()
    with Manifest(batch.output, Shard(), lambda _: None) as manifest:
        result = JobResult("done", files=("run.json",), source_sha256=digest)
        manifest.add(job, result, 1)
    assert reasons(batch.plan(BatchOptions(hashing="full"))) == {}
    (batch.inputs / "a.mp4").write_bytes(b"flim")
    assert reasons(batch.plan(BatchOptions(hashing="full"))) == {"a.mp4": "source changed"}


def test_what_failed_is_tried_again(batch: Batch) -> None:
    (batch.inputs / "a.mp4").touch()
    batch.finish("failed")
    assert reasons(batch.plan()) == {"a.mp4": "failed before"}


def test_a_folder_that_is_no_result_of_this_job_is_not_adopted(batch: Batch) -> None:
    (batch.inputs / "a.mp4").write_bytes(b"film")
    folder = batch.output / "a.mp4"
    folder.mkdir(parents=True)
    for text in ("", "{}", "[]", json.dumps({"schema_version": 1, "checkpoint": {}})):
        (folder / "run.json").write_text(text)
        plan = batch.plan()
        assert (reasons(plan), plan.adopted) == ({"a.mp4": "new"}, [])
        assert not plan.jobs[0][0].overwrite, "it may be somebody's"


def test_a_shard_plans_its_part_only(batch: Batch) -> None:
    for i in range(30):
        (batch.inputs / f"{i}.mp4").touch()
    parts = [set(reasons(batch.plan(BatchOptions(shard=Shard(i, 3))))) for i in (1, 2, 3)]
    assert set.union(*parts) == {f"{i}.mp4" for i in range(30)}
    assert sum(map(len, parts)) == 30


@pytest.mark.parametrize(
    ("declared", "start", "end", "expected"),
    [(None, 1, 2, None), (10, None, None, 10), (10, 4, None, 6), (10, 4, 5, 1), (10, 12, 20, 0)],
)
def test_the_range_shortens_what_is_expected(
    declared: float | None, start: float | None, end: float | None, expected: float | None
) -> None:
    read = ReadOptions(start_seconds=start, end_seconds=end)
    assert read.expected_seconds(declared) == expected
