"""A source that only the ffmpeg program can open is segmented like any other."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av

from avscli.config import ReadOptions, SegmentOptions
from avscli.pipeline import segment as stream
from tests.e2e.conftest import Segment
from tests.e2e.results import ALL_FILES, frame_times
from tests.imf import make_imf


def test_an_imf_composition_is_segmented_under_its_own_name(
    segment: Segment, tmp_path: Path, temporary: Path
) -> None:
    source = make_imf(tmp_path / "imf", seconds=1.2)
    run = segment(source)
    described = run.record["source"]
    assert described["path"] == str(source)
    assert described["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert run.coco["videos"][0]["file_name"] == source.name
    assert run.record["files"] == ALL_FILES
    assert run.record["num_frames"] == 30
    assert frame_times(run.overlay) == [Fraction(k, 25) for k in range(30)]
    with av.open(str(run.overlay)) as overlay:
        assert len(overlay.streams.audio) == 1
    rewritten = [line for line in run.record["warnings"] if "had to be rewritten" in line]
    assert len(rewritten) == 1
    assert run.outcome.err.count("had to be rewritten") == 1
    assert str(temporary) not in (run.folder / "run.json").read_text() + run.outcome.err
    assert list(temporary.iterdir()) == []


def test_a_stream_of_predictions_removes_the_copy_when_left_early(
    weights: Path, tmp_path: Path, temporary: Path
) -> None:
    warned: list[str] = []
    options = SegmentOptions(read=ReadOptions(fps=4), device="cpu")
    source = make_imf(tmp_path / "imf")
    predictions = stream(source, weights=str(weights), options=options, warn=warned.append)
    assert next(predictions).stamp.pts == 0
    assert [folder.name[:4] for folder in temporary.iterdir()] == ["avs-"]
    predictions.close()
    assert list(temporary.iterdir()) == []
    assert any("had to be rewritten" in line for line in warned)
