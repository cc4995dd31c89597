"""J, F and the semantic scores against numbers measured with the published evaluation."""

import json
import zlib

import numpy as np
import pytest
import torch

from avscli.metrics.avsbench import f_measure, mask_iou
from avscli.metrics.avss import SemanticSums
from tests.parity import rule
from tests.parity.published import DATA, reference

BINARY = json.loads((DATA / "metrics_binary.json").read_text(encoding="utf-8"))
CLOSE = 1e-5  # the reference sums in float32


@pytest.mark.parametrize("case", BINARY)
def test_j_and_f_are_the_published_ones(case):
    logits, target = rule.metric_case(int(case))
    stored = BINARY[case]
    assert zlib.crc32(logits.tobytes()) == stored["crc32_logits"]
    assert zlib.crc32(target.tobytes()) == stored["crc32_target"]
    tensors = torch.from_numpy(logits), torch.from_numpy(target)
    assert mask_iou(*tensors) == pytest.approx(stored["mask_iou"], abs=CLOSE)
    assert f_measure(*tensors) == pytest.approx(stored["f_max"], abs=CLOSE)


@pytest.mark.parametrize("case", [0, 2, 4])
def test_semantic_scores_are_the_published_ones(case):
    logits, target = rule.avss_metric_case(case)
    stored = reference("metrics_avss.npz")
    assert zlib.crc32(logits.tobytes()) == stored[f"case{case}_crc32"][0]
    sums = SemanticSums(logits.shape[1])
    for frame, truth in zip(logits.argmax(axis=1), target, strict=True):
        sums.add(frame, truth)
    assert np.array_equal(sums.count, stored[f"case{case}_count"])
    assert np.allclose(sums.iou, stored[f"case{case}_iou_sum"], atol=CLOSE)
    assert np.allclose(sums.f_score, stored[f"case{case}_f_sum"], atol=CLOSE)
    frames = stored[f"case{case}_frame_miou"]
    assert np.allclose(sums.frame_ious, frames, atol=CLOSE, equal_nan=True)
    scores = sums.scores()
    aggregate = (
        scores.mean_iou,
        scores.mean_iou_without_last,
        scores.f_score,
        scores.f_score_without_last,
    )
    assert np.allclose(aggregate, stored[f"case{case}_aggregate"], atol=CLOSE)
    assert scores.binary_iou == pytest.approx(stored[f"case{case}_binary_miou"][0], abs=CLOSE)
