"""Protocols against arithmetic done by hand, and against each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_fbeta_score

from avscli.evaluation.clips import JudgedClip, clip_of_masks
from avscli.evaluation.protocols import AvsBenchProtocol, AvsProtocol, AvssProtocol
from avscli.metrics import avsbench

SIZE_HW = (10, 10)


def left(columns: int) -> np.ndarray:
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[:, :columns] = 1
    return mask


def clip(name: str, *pairs: tuple[np.ndarray, np.ndarray]) -> JudgedClip:
    labels, targets = zip(*pairs, strict=True)
    return clip_of_masks(name, np.stack(labels), np.stack(targets))


@pytest.fixture
def result():
    protocol = AvsProtocol()
    protocol.add(clip("a", (left(4), left(8)), (left(0), left(0))))
    protocol.add(clip("b", (left(6), left(6)), (left(3), left(0)), (left(0), left(5))))
    return protocol.result()


def test_scores_are_means_over_frames_not_over_clips(result):
    told = {name: value["value"] for name, value in result["scores"].items()}
    assert told["mean_iou"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    one = 1.3 * 1.0 * 0.5 / (0.3 * 1.0 + 0.5)
    assert told["f_score"] == pytest.approx((one + 1.0 + 0.0) / 3)
    assert told["dataset_iou"] == pytest.approx((40 + 60) / (80 + 60 + 30 + 50))
    assert told["false_discovery_rate"] == pytest.approx(30 / (40 + 60 + 30))
    assert told["false_positive_area"] == pytest.approx(0.3 / 2)
    assert told["false_positive_rate"] == told["kept_empty"] == 0.5
    assert told["detection_precision"] == pytest.approx(2 / 3)
    assert told["detection_recall"] == pytest.approx(2 / 3)


def test_a_published_j_rewards_what_ours_counts_apart():
    quiet = clip("quiet", (left(1), left(0)))
    published, ours = AvsBenchProtocol(), AvsProtocol()
    published.add(quiet)
    ours.add(quiet)
    assert published.result()["j"] == pytest.approx(0.9)
    assert ours.result()["scores"]["mean_iou"]["value"] is None
    assert ours.result()["scores"]["false_positive_rate"]["value"] == 1.0


def noisy(seed: int) -> JudgedClip:
    rng = np.random.default_rng(seed)
    targets = np.stack([left(int(rng.integers(1, 10))) for _ in range(3)])
    logits = (rng.standard_normal(targets.shape) * 2 + targets * 2 - 1).astype(np.float32)
    probability = torch.sigmoid(torch.from_numpy(logits)).numpy()
    return JudgedClip(
        clip_id=f"noisy{seed}",
        kind="clip",
        category=None,
        labels=(probability >= 0.5).astype(np.uint8),
        logits=logits,
        probability=probability,
        targets=targets,
        labelled=np.array([True, True, seed != 1]),
        scores=probability.max(axis=(1, 2)).astype(np.float64),
    )


@pytest.mark.parametrize("clips_per_batch", [1, 2, 4, 8])
def test_published_scores_are_means_over_batches_of_clips(clips_per_batch):
    clips = [noisy(seed) for seed in range(5)]
    protocol = AvsBenchProtocol(clips_per_batch)
    for each in clips:
        protocol.add(each)
    j, f = [], []
    for first in range(0, 5, clips_per_batch):
        batch = clips[first : first + clips_per_batch]
        logits, targets = (
            torch.from_numpy(np.concatenate([getattr(c, name)[c.labelled] for c in batch]))
            for name in ("logits", "targets")
        )
        j.append(avsbench.mask_iou(logits, targets.float()))
        f.append(avsbench.f_measure(logits, targets.float()))
    assert protocol.result()["j"] == pytest.approx(np.mean(j))
    assert protocol.result()["f"] == pytest.approx(np.mean(f))


def parts_of(clip: JudgedClip, length: int) -> list[JudgedClip]:
    names = ("labels", "logits", "probability", "targets", "labelled", "scores")
    return [
        replace(
            clip,
            **{name: getattr(clip, name)[first : first + length] for name in names},
            continues=first > 0,
        )
        for first in range(0, len(clip.labels), length)
    ]


@pytest.mark.parametrize("clips_per_batch", [1, 2])
def test_a_clip_that_comes_in_parts_is_one_clip_of_its_batch(clips_per_batch):
    whole, parts = AvsBenchProtocol(clips_per_batch), AvsBenchProtocol(clips_per_batch)
    for seed in range(5):
        whole.add(noisy(seed))
        for part in parts_of(noisy(seed), 2):
            parts.add(part)
    assert parts.result() == pytest.approx(whole.result())


def test_frames_of_several_sizes_share_a_batch():
    small, large = (
        noisy(0),
        clip("large", (np.ones((20, 30), np.uint8), np.ones((20, 30), np.uint8))),
    )
    protocol = AvsBenchProtocol(2)
    protocol.add(small)
    protocol.add(large)
    alone = avsbench.mask_iou(*(torch.from_numpy(getattr(small, n)) for n in ("logits", "targets")))
    assert protocol.result()["num_batches"] == 1
    assert protocol.result()["j"] == pytest.approx((3 * alone + 1.0) / 4)


def test_f_at_a_half_does_not_follow_the_threshold():
    protocol = AvsProtocol()
    strict = replace(noisy(0), labels=np.zeros_like(noisy(0).labels))
    protocol.add(strict)
    told = protocol.result()
    assert told["scores"]["f_score"]["value"] == 0.0
    expected = [
        binary_fbeta_score(torch.from_numpy(p), torch.from_numpy(t), beta=0.3**0.5).item()
        for p, t in zip(strict.probability, strict.targets, strict=True)
    ]
    assert told["scores"]["f_at_half"]["value"] == pytest.approx(np.mean(expected))
    assert told["f_curve"][127] == pytest.approx(np.mean(expected))  # of 255, the one in the middle


def test_the_mean_over_classes_of_a_set_counts_the_background(result):
    hit, false, missed, rest = 40 + 60, 40 + 30, 50, 500 - 220
    foreground, background = hit / (hit + false + missed), rest / (rest + false + missed)
    assert result["dataset_mean_iou"] == pytest.approx((foreground + background) / 2)


@pytest.mark.parametrize("protocol", [AvsProtocol(), AvsBenchProtocol(), AvssProtocol(3)])
def test_every_result_names_its_source(protocol):
    protocol.add(clip("a", (left(4), left(8))))
    assert protocol.result()["source"]


def test_the_published_f_depends_on_the_batch_and_ours_does_not():
    def published(size: int) -> object:
        protocol = AvsBenchProtocol(size)
        for seed in range(8):
            protocol.add(noisy(seed))
        return protocol.result()["f"]

    assert published(1) > published(8)


def test_the_semantic_protocol_counts_padding_as_silence():
    targets = np.stack([left(5) * 3, np.full(SIZE_HW, 255, np.uint8)])
    labels = np.stack([left(5) * 3, left(5) * 3])
    padded = clip_of_masks("a", labels, targets)
    protocol = AvssProtocol(4)
    protocol.add(padded)
    result = protocol.result()
    assert result["num_frames"] == 2
    # Background: 1 and ½ over two frames; class 3: 1 and 0 over two; classes 1, 2 never met.
    assert result["mean_iou"] == pytest.approx((0.75 + 0.5) / 4)
    assert result["mean_iou_without_last"] == pytest.approx(0.75 / 3)


def test_classes_are_told_by_name():
    protocol = AvsProtocol(3, ("background", "bell", "dog"))
    labels = np.stack([left(5) * 2])
    protocol.add(clip_of_masks("a", labels, labels))
    result = protocol.result()
    assert result["per_class"].keys() == {"background", "dog"}
    assert result["dataset_mean_iou_without_background"] == 1.0
    assert result["mean_false_discovery_rate"] == 0.0
