"""``avs segment`` with every registered network: random weights in, complete results out."""

from math import isfinite
from pathlib import Path

import pytest

from tests.conftest import Avs
from tests.e2e.results import read_run
from tests.networks_for_tests import SPEC_OF_NETWORK, make_any, save_tiny

CLIP = Path(__file__).parents[1] / "data" / "clip.mp4"


@pytest.mark.parametrize("name", sorted(SPEC_OF_NETWORK))
def test_every_network_segments_a_video_and_is_sure_to_some_degree(
    avs: Avs, tmp_path: Path, name: str
) -> None:
    weights = save_tiny(tmp_path / f"{name}.safetensors", make_any(SPEC_OF_NETWORK[name]))
    outcome = avs("segment", CLIP, "--weights", weights, "-o", tmp_path / "out", "--fps", 4)
    assert outcome.code == 0, outcome.err
    run = read_run(tmp_path / "out" / CLIP.name, outcome)
    assert run.record["checkpoint"]["spec"]["network"] == name
    assert run.analysed
    scores = [float(row["score"]) for row in run.rows]
    assert len(scores) == len(run.entries)
    assert all(isfinite(score) and 0.0 <= score <= 1.0 for score in scores)
