"""Every layout, scored with a network and again from the masks that the network gave."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avscli.checkpoints import load_network
from avscli.config import DataSelection, EvalOptions
from avscli.datasets.avsbench import AVSS_CLASSES, AvsBench
from avscli.datasets.kinds.scenes import SceneFrames
from avscli.datasets.label_files import label_palette
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import KINDS, TEST_SEEDS
from avscli.datatypes import PatchTrack
from avscli.devices import start
from avscli.errors import DataError, UsageError
from avscli.evaluation.network.data import open_data
from avscli.evaluation.network.judging import judge, prepare_labelled
from avscli.evaluation.network.samples import Altered
from avscli.evaluation.run import evaluate_masks, evaluate_network
from tests.avsbench_copies import write_avss, write_ms3, write_s4
from tests.miniatures import write_avsmix, write_picture
from tests.networks_for_tests import TINY_SPEC, make_network, save_tiny
from tests.pngs import write_png

VOC = label_palette(256)
CLIPS = {"test": 2}
LAYOUTS = {
    "avsbench-s4": lambda root: write_s4(root, clips=CLIPS),
    "avsbench-ms3": lambda root: write_ms3(root, clips=CLIPS),
    "avsbench-avss": lambda root: write_avss(root, clips={"test": 1}),
    "avsmix": lambda root: write_avsmix(root, num_pictures=3),
}
OPTIONS = EvalOptions(protocols=("avs", "network", "avsbench"), threshold=0.5)
STORED = replace(OPTIONS, protocols=("avs", "avsbench"))


def ignore(_done: int) -> None:
    return


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """A tiny random network that marks about half of a picture."""
    folder = tmp_path_factory.mktemp("runtime")
    network = make_network()
    clip = next(iter(open_data(DataSelection("avsbench-s4", write_s4(folder))).samples()))
    with torch.inference_mode():
        logits = network(prepare_labelled([clip], TINY_SPEC).inputs).logits
    last = network.heads[0][-1]  # an affine map to the finest logits; nothing else reads them
    scale = 3.0 / logits.std()
    last.weight.data *= scale
    last.bias.data = (last.bias.data - logits.median()) * scale
    path = save_tiny(folder / "tiny.safetensors", network)
    return start(load_network(str(path)), "cpu", warn=pytest.fail)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("protocol", ["avs", "network"])
def test_both_ways_give_the_same_numbers(tmp_path, runtime, kind, protocol):
    data = open_data(DataSelection(kind, LAYOUTS[kind](tmp_path / "data")))
    by_network = evaluate_network(runtime, data, OPTIONS, ignore)
    for number, sample in enumerate(data.samples()):
        clip = judge(runtime, sample, threshold=OPTIONS.threshold)
        marked = clip if protocol == "avs" else clip.by_the_network_alone()
        for step in np.flatnonzero(clip.labelled):
            name = Path(f"{number:04d}") / f"{step:05d}.png"
            true = np.where(clip.targets[step] == 255, 255, clip.targets[step] > 0)
            write_png(tmp_path / "true" / name, true.astype(np.uint8), palette=VOC)
            write_png(tmp_path / "predicted" / name, marked.labels[step], palette=VOC)
    by_masks = evaluate_masks(tmp_path / "predicted", tmp_path / "true", STORED, ignore)
    scores = by_network.protocols[protocol]
    assert scores["num_frames"] == by_masks.scores["num_frames"]
    assert scores["num_sounding_frames"] > 0
    assert 0.0 < scores["scores"]["dataset_iou"]["value"] < 1.0
    for name, told in scores["scores"].items():
        assert told["value"] == pytest.approx(by_masks.scores["scores"][name]["value"]), name
    published = [r.protocols["avsbench"]["j"] for r in (by_network, by_masks)]
    # Void is a matter of avsmix alone; and published scores know no silence gate.
    if kind != "avsmix" and protocol == "network":
        assert published[0] == pytest.approx(published[1])


LABELS = {
    "avsbench-s4": "s4_data/gt_masks",
    "avsbench-ms3": "ms3_data/gt_masks",
    "avsbench-avss": ".",
}


@pytest.mark.parametrize("kind", LABELS)
def test_a_copys_own_masks_are_the_truth_of_masks_laid_out_alike(tmp_path, runtime, kind):
    root = LAYOUTS[kind](tmp_path / "data")
    data = open_data(DataSelection(kind, root))
    by_network = evaluate_network(runtime, data, OPTIONS, ignore)
    for files, sample in zip(AvsBench.open(kind, root).files("test"), data.samples(), strict=True):
        clip = judge(runtime, sample, threshold=OPTIONS.threshold).by_the_network_alone()
        for label, mask in zip(files.labels, clip.labels[clip.labelled], strict=True):
            write_picture(tmp_path / "predicted" / label.relative_to(root), mask * 255)
    predicted, true = (side / LABELS[kind] for side in (tmp_path / "predicted", root))
    by_masks = evaluate_masks(predicted, true, STORED, ignore)
    scores = by_network.protocols["network"]["scores"]
    assert 0.0 < scores["dataset_iou"]["value"] < 1.0
    for name, told in scores.items():
        assert told["value"] == pytest.approx(by_masks.scores["scores"][name]["value"]), name
    published = [r.protocols["avsbench"]["j"] for r in (by_network, by_masks)]
    assert published[0] == pytest.approx(published[1])


def test_avss_clips_are_padded_to_ten_steps(tmp_path):
    data = open_data(DataSelection("avsbench-avss", write_avss(tmp_path, clips={"test": 1})))
    valid = [clip.valid.sum() for clip in data.samples()]
    assert [len(clip.valid) for clip in data.samples()] == [10, 10, 10]
    assert valid == [5, 5, 10]
    assert data.class_names[0] == "background"
    assert data.facts["truth"] == "labels_rgb"


SEMANTIC_SPEC = replace(
    TINY_SPEC,
    task="semantic",
    clip_length=10,
    resize_mode="squash",
    num_classes=len(AVSS_CLASSES),
    class_names=AVSS_CLASSES,
    padding="zeros_with_flag",
)


def test_classes_are_scored_the_same_both_ways(tmp_path):
    path = save_tiny(tmp_path / "semantic.safetensors", make_network(SEMANTIC_SPEC))
    semantic = start(load_network(str(path)), "cpu", warn=pytest.fail)
    root = write_avss(tmp_path / "data", clips={"test": 1})
    data = open_data(DataSelection("avsbench-avss", root))
    both = EvalOptions(protocols=("avs", "avss"), num_classes=len(AVSS_CLASSES))
    by_network = evaluate_network(semantic, data, both, ignore)
    for number, sample in enumerate(data.samples()):
        clip = judge(semantic, sample).by_the_network_alone()
        target = np.where(clip.targets == 255, 0, clip.targets)
        for step in range(10):
            for side, maps in (("true", target), ("predicted", clip.labels)):
                file = tmp_path / side / f"{number}" / f"{step}.png"
                write_png(file, maps[step], palette=VOC)
    by_masks = evaluate_masks(tmp_path / "predicted", tmp_path / "true", both, ignore)
    # The padding is written out as labelled here, which is how the published protocol sees it.
    assert by_network.protocols["avss"] == pytest.approx(by_masks.protocols["avss"])
    assert by_network.protocols["avss"]["num_frames"] == 30
    assert by_network.scores["num_frames"] == 20
    assert by_network.scores["per_class"].keys() >= {"background"}
    assert by_network.scores["dataset_mean_iou"] is not None


def test_few_clips_are_in_memory_at_once(runtime):
    pictures: list[weakref.ref] = []
    threads: set[int] = set()
    alive: list[int] = []

    def samples():
        scenes = SceneFrames(TEST_SEEDS[:25], "test", (64, 64))
        for clip in map(scenes.read, range(25)):
            picture = clip.pictures.copy()
            pictures.append(weakref.ref(picture))
            threads.add(threading.get_ident())
            alive.append(sum(seen() is not None for seen in pictures))
            yield replace(clip, pictures=picture)

    data = replace(open_data(DataSelection("scenes", limit=25)), samples=samples)
    evaluate_network(runtime, data, EvalOptions(), ignore)
    assert len(alive) == 25
    assert max(alive) < 12  # two read ahead, two judged ahead, and those in hand
    assert threading.get_ident() not in threads  # scoring goes on while the next are read


def test_a_clip_is_cut_to_the_networks_length(tmp_path):
    data = open_data(DataSelection("avsbench-s4", write_s4(tmp_path, clips=CLIPS)))
    clip = next(iter(data.samples()))
    inputs = prepare_labelled([clip], TINY_SPEC).inputs  # three steps
    assert inputs.frames.shape[:2] == inputs.valid.shape == (2, 3)
    assert inputs.valid.sum() == 5
    assert inputs.frames[1, 2].equal(inputs.frames[1, 1])  # repeat_last
    assert inputs.log_mel.flatten(0, 1)[:5].numpy() == pytest.approx(clip.sound.log_mel)


def test_a_network_that_hears_around_is_given_the_neighbouring_steps(tmp_path):
    data = open_data(DataSelection("avsbench-avss", write_avss(tmp_path, clips=CLIPS)))
    clip = next(c for c in data.samples() if not c.valid.all())
    spec = replace(TINY_SPEC, sound_offsets_seconds=(-1.0, 2.0))
    log_mel = prepare_labelled([clip], spec).inputs.log_mel.flatten(0, 1).numpy()
    last = int(clip.valid.sum()) - 1
    for step in range(last + 1):
        heard = [clip.sound.log_mel[at, 0] for at in (step, max(step - 1, 0), min(step + 2, last))]
        assert np.array_equal(log_mel[step], heard)


def sound_of(clip: LabelledClip) -> np.ndarray:
    return clip.sound.log_mel if isinstance(clip.sound, PatchTrack) else clip.sound.samples


def changed_sounds(altered: Altered) -> dict[str, np.ndarray]:
    return {change: sound_of(other) for change, other in altered.others.items()}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("avsbench-s4", {"muted", "shifted"}),  # both clips are of one category: none to swap with
        ("avsbench-ms3", {"muted", "shifted", "swapped"}),
        ("avsmix", {"muted", "swapped"}),
        ("scenes", {"muted", "swapped"}),
    ],
)
def test_altered_samples_differ_in_sound_alone(tmp_path, kind, expected):
    root = LAYOUTS[kind](tmp_path) if kind in LAYOUTS else None
    items = list(open_data(DataSelection(kind, root, limit=4)).altered())
    assert set().union(*(item.others for item in items)) == expected
    for item in items:
        for other in item.others.values():
            assert np.array_equal(other.pictures, item.right.pictures)
            assert np.array_equal(other.targets, item.right.targets)
        for change, sound in changed_sounds(item).items():
            assert not np.array_equal(sound, sound_of(item.right)), change


def test_a_shift_moves_the_sound_by_two_steps(tmp_path):
    data = open_data(DataSelection("avsbench-ms3", write_ms3(tmp_path, clips=CLIPS)))
    items = list(data.altered())
    for item in items:
        shifted = item.others["shifted"].sound.log_mel
        assert np.array_equal(shifted[2:], item.right.sound.log_mel[:3])
        assert np.array_equal(shifted[:2], item.right.sound.log_mel[3:])
    # MS3 names no category: any other clip's sound is a swap.
    assert np.array_equal(items[1].others["swapped"].sound.log_mel, items[0].right.sound.log_mel)


def test_a_scenes_swapped_sound_comes_from_a_kind_that_is_not_shown():
    assert len(KINDS) > 4  # else a full scene would leave none
    items = list(open_data(DataSelection("scenes", limit=6)).altered())
    assert items
    assert all(item.others["swapped"].sound.samples.any() for item in items)


def test_counterfactuals_are_reported_with_their_differences(tmp_path, runtime):
    root = write_avsmix(tmp_path, num_pictures=5)
    data = open_data(DataSelection("avsmix", root, limit=6))
    options = EvalOptions(counterfactual=True, threshold=1e-6)
    told = evaluate_network(runtime, data, options, ignore).counterfactual
    assert told is not None
    assert told.keys() == {"muted", "swapped", "side_by_side"}
    # Everything is marked whatever sounds, so nothing changes but by the silence gate.
    assert told["muted"]["area_gone"] == 1.0
    assert told["swapped"]["area_gone"] == 0.0
    assert told["swapped"]["mean_iou_change"] == 0.0
    for change in ("muted", "swapped"):
        assert told[change]["num_clips"] == 2  # the others are silent, or of a class not visible
    assert told["side_by_side"]["num_frames"] == 2 * 6
    assert told["side_by_side"]["wrong_covered"] == 1.0


def test_a_data_set_needs_its_root_and_a_known_split(tmp_path):
    with pytest.raises(UsageError, match="--root"):
        open_data(DataSelection("avsmix"))
    with pytest.raises(UsageError, match="val and test only"):
        open_data(DataSelection("avsmix", tmp_path, split="train"))
    with pytest.raises(DataError, match=r"s4_meta_data\.csv"):
        open_data(DataSelection("avsbench-s4", tmp_path))


def test_a_table_of_pairs_may_be_named(tmp_path):
    root = write_avsmix(tmp_path, num_pictures=3)
    text = (root / "pairs_test.csv").read_text().splitlines()
    (root / "few.csv").write_text("\n".join(text[:3]) + "\n")
    data = open_data(DataSelection("avsmix", root, pairs=Path("few.csv")))
    assert data.num_samples == 2
    assert data.facts["pairs"] == "few.csv"
