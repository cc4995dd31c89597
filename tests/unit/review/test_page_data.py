"""What a page is given of a run: numbers as differences, masks in blocks, sound in bins."""

from __future__ import annotations

import gzip
import json
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from avscli.errors import DataError
from avscli.media.probe import probe
from avscli.outputs.run import Run
from avscli.review.page_data import FRAMES_PER_BLOCK, PageData
from avscli.review.waveform import MOST_BINS, waveform_of
from tests.builders import impulse, make_video, tone
from tests.reviewed_runs import ANALYSED, NUM_FRAMES, OBJECTS, write_reviewed_run
from tests.run_folders import scene, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.open(write_reviewed_run(tmp_path_factory.mktemp("run")))


def test_the_table_says_what_the_journal_says(run: Run) -> None:
    told: list[int] = []
    data = PageData.of(run, told.append)
    table = json.loads(json.dumps(data.table(run, {}, None)))
    assert told == [*range(1, NUM_FRAMES + 1)]
    assert [*accumulate(table["frames"])] == [*range(NUM_FRAMES)]
    assert [*accumulate(table["analysed"])] == [*ANALYSED]
    times = [round(1e6 * entry.time_seconds) for entry in run.frames()]
    assert [*accumulate(table["microseconds"])] == times
    analysed = [entry for entry in run.frames() if not entry.interpolated]
    levels = [round(10 * (entry.audio_dbfs or 0)) for entry in analysed]
    assert [*accumulate(table["decibels"])] == levels
    assert table["states"] == "".join(entry.state[0] for entry in analysed)
    assert [each["id"] for each in table["objects"]] == [*OBJECTS]
    for each in table["objects"]:
        shown = [ANALYSED[at] for a, b in zip(each["first"], each["last"], strict=True)
                 for at in range(a, b + 1)]  # fmt: skip
        assert shown == [*OBJECTS[each["id"]][1]]
        assert each["percents"] == [round(100 * (0.5 + each["id"] / 8))] * len(shown)


def test_the_blocks_have_every_mask_of_the_analysed_frames(tmp_path: Path) -> None:
    frames = scene(2 * FRAMES_PER_BLOCK + 5, every=1)
    run = Run.open(write_run(tmp_path / "run", frames))
    data = PageData.of(run, lambda _read: None)
    rows = [row for block in data.blocks for row in json.loads(gzip.decompress(block))]
    assert len(data.blocks) == 3
    expected = [
        [value for each in entry.objects for value in (each.track, each.mask.counts)]
        for entry in run.frames()
    ]
    assert rows == expected


def test_a_run_without_frames_is_refused(tmp_path: Path) -> None:
    run = Run.open(write_run(tmp_path / "run", []))
    with pytest.raises(DataError, match="no frame to show"):
        PageData.of(run, lambda _read: None)


def test_the_waveform_shows_a_click_where_it_is(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mkv", seconds=2.0, audio=impulse(1.234))
    wave = waveform_of(probe(path), 0.0, 2.0, print)
    (loud,) = np.flatnonzero(wave.highest > 40)
    assert wave.start_seconds + wave.bin_seconds * (loud + 0.5) == pytest.approx(1.234, abs=0.01)
    assert len(wave.highest) == 200


def test_the_waveform_shows_how_far_a_tone_swings_and_gaps_as_silence(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "clip.mkv", seconds=3.0, audio=tone(440, 0.5), audio_gap_seconds=(1.0, 2.0)
    )
    wave = waveform_of(probe(path), 0.0, 3.0, print)
    assert np.abs(wave.highest[10:90] - 63).max() <= 2
    assert np.abs(wave.lowest[210:290] + 63).max() <= 2
    assert (wave.highest[110:190] == 0).all()


def test_the_waveform_of_a_part_starts_there_and_never_has_too_many_bins(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mkv", seconds=2.0, audio=impulse(1.505))
    wave = waveform_of(probe(path), 1.0, 2.0, print)
    (loud,) = np.flatnonzero(wave.highest > 40)
    assert wave.start_seconds == 1.0
    assert wave.bin_seconds * (loud + 0.5) == pytest.approx(0.505, abs=0.01)
    whole = waveform_of(probe(path), 0.0, 7200.0, print)
    assert len(whole.highest) <= MOST_BINS
    assert whole.bin_seconds * len(whole.highest) >= 7200.0
