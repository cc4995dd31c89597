import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avscli.audio.log_mel import log_mel_patches
from avscli.audio.loudness import level_dbfs
from avscli.config import DataSelection, Split
from avscli.datasets.avsbench import AVSS_CLASSES, AvsBench
from avscli.datasets.kinds.avsbench import open_set
from avscli.datasets.labelled import LabelledClip
from avscli.errors import DataError
from tests.avsbench_copies import label_map, scene_of, write_avss, write_ms3, write_s4


def clips_of(kind: str, root: Path, split: Split) -> Iterator[LabelledClip]:
    clips = open_set(DataSelection(kind, root, split))
    return (clips.read(index) for index in range(len(clips)))


@pytest.fixture(scope="module")
def s4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_s4(tmp_path_factory.mktemp("s4"))


@pytest.fixture(scope="module")
def ms3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ms3(tmp_path_factory.mktemp("ms3"))


@pytest.fixture(scope="module")
def avss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_avss(tmp_path_factory.mktemp("avss"))


def test_a_clip_of_s4_is_the_scene_it_was_written_from(s4: Path) -> None:
    data = AvsBench.open("avsbench-s4", s4)
    clip = data.read(data.files("val")[0])
    scene = scene_of(2, 5)
    np.testing.assert_array_equal(clip.pictures, scene.frames)
    np.testing.assert_array_equal(clip.targets, scene.masks.astype(np.uint8))
    assert clip.labelled.all()
    assert clip.valid.all()
    assert clip.category == "bell"
    stored = (scene.waveform * 32767).round() / 32767
    expected = log_mel_patches(stored.astype(np.float32))[:5].numpy()
    np.testing.assert_allclose(clip.sound.log_mel, expected, atol=0.05)
    windows = np.stack([scene.waveform[k * 15_360 :][:15_600] for k in range(5)])
    np.testing.assert_allclose(clip.sound.levels_dbfs, level_dbfs(windows), atol=0.1)


def test_only_the_first_step_of_a_training_clip_of_s4_is_labelled(s4: Path) -> None:
    clip = next(clips_of("avsbench-s4", s4, "train"))
    assert clip.labelled.tolist() == [True, False, False, False, False]
    np.testing.assert_array_equal(clip.targets[0], scene_of(0, 5).masks[0])
    assert (clip.targets[1:] == 255).all()


def test_a_clip_of_ms3_has_five_labels_and_the_stored_log_mel(ms3: Path) -> None:
    clip = next(clips_of("avsbench-ms3", ms3, "train"))
    scene = scene_of(100, 5)
    assert clip.labelled.all()
    np.testing.assert_array_equal(clip.targets, scene.masks.astype(np.uint8))
    np.testing.assert_array_equal(clip.sound.log_mel, log_mel_patches(scene.waveform)[:5].numpy())
    assert np.isnan(clip.sound.levels_dbfs).all()


@pytest.mark.parametrize("labels", ["labels_rgb", "labels_semantic"])
def test_avss_reads_colours_and_indices_as_the_same_classes(tmp_path: Path, labels: str) -> None:
    data = AvsBench.open("avsbench-avss", write_avss(tmp_path, labels=labels))  # type: ignore[arg-type]
    clips = [data.read(files) for files in data.files("val")]
    assert [len(clip.valid) for clip in clips] == [5, 5, 10]
    scene = scene_of(202, 10, (48, 80))
    expected = np.stack([label_map(scene, k) for k in range(10)])
    np.testing.assert_array_equal(clips[2].targets, expected)
    assert len(AVSS_CLASSES) == data.num_classes == 71


def test_training_clips_of_v1s_are_labelled_in_their_first_step_only(avss: Path) -> None:
    files = AvsBench.open("avsbench-avss", avss).files("train")
    told = {f.subset: [path is not None for path in f.labels] for f in files}
    assert told["v1s"] == [True] + [False] * 4
    assert told["v1m"] == [True] * 5
    assert told["v2"] == [True] * 10


def test_padding_adds_black_silent_unlabelled_steps(avss: Path) -> None:
    data = AvsBench.open("avsbench-avss", avss)
    clip = data.read(data.files("val")[0]).padded_to(10)
    assert clip.valid.tolist() == clip.labelled.tolist() == [True] * 5 + [False] * 5
    assert not clip.pictures[5:].any()
    assert len(clip.sound.log_mel) == 5
    assert (clip.targets[5:] == 255).all()


def test_the_folder_above_a_copy_will_do(tmp_path: Path) -> None:
    write_s4(tmp_path / "avsbench_data" / "Single-source", clips={"train": 1})
    data = AvsBench.open("avsbench-s4", tmp_path)
    assert data.root == tmp_path / "avsbench_data" / "Single-source"
    assert data.read(data.files("train")[0]).labelled[0]


def test_ms3_without_mp4_in_its_names_is_read(tmp_path: Path) -> None:
    write_ms3(tmp_path, clips={"train": 1})
    for path in list(tmp_path.rglob("*.mp4_*.png")):
        path.rename(path.with_name(path.name.replace(".mp4", "")))
    assert next(clips_of("avsbench-ms3", tmp_path, "train")).labelled.all()


def test_short_sound_repeats_its_last_patch_and_avss_has_zeros(tmp_path: Path) -> None:
    from tests.miniatures import write_sound

    write_s4(tmp_path / "s4", clips={"train": 1})
    write_avss(tmp_path / "avss", clips={"train": 1})
    for path in tmp_path.rglob("*.wav"):
        write_sound(path, np.sin(np.arange(3 * 16_000)))
    s4 = next(clips_of("avsbench-s4", tmp_path / "s4", "train")).sound.log_mel
    np.testing.assert_array_equal(s4[3:], s4[[2, 2]])
    avss = next(clips_of("avsbench-avss", tmp_path / "avss", "train")).sound
    assert avss.log_mel[2].any()
    assert not avss.log_mel[3:].any()
    assert np.isfinite(avss.levels_dbfs[:3]).all()
    assert (avss.levels_dbfs[3:] == -np.inf).all()


def test_masks_are_cut_at_half_and_not_dithered(tmp_path: Path) -> None:
    from tests.miniatures import write_picture

    write_s4(tmp_path, clips={"train": 1})
    grey = np.full((64, 64), 120, np.uint8)
    grey[:8] = 135
    path = next(tmp_path.rglob("gt_masks/**/*_1.png"))
    write_picture(path, grey)
    target = next(clips_of("avsbench-s4", tmp_path, "train")).targets[0]
    assert target[:8].all()
    assert not target[8:].any()


def test_a_missing_column_is_named_with_its_table(tmp_path: Path) -> None:
    (tmp_path / "s4_meta_data.csv").write_text("name,split\na,train\n")
    with pytest.raises(DataError, match=r"s4_meta_data\.csv lacks the column 'category'"):
        AvsBench.open("avsbench-s4", tmp_path)


@pytest.mark.parametrize(
    ("row", "told"),
    [("a,b,training,v2", "no split 'training'"), ("a,b,train,v3", "no label 'v3'")],
)
def test_an_unknown_word_in_the_table_is_named_with_its_line(
    tmp_path: Path, row: str, told: str
) -> None:
    (tmp_path / "metadata.csv").write_text(f"uid,a_obj,split,label\n{row}\n")
    with pytest.raises(DataError, match=f"line 2: {told}"):
        AvsBench.open("avsbench-avss", tmp_path)


class _Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("true",)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (_Malicious(), "wants to call"),
        ([1, 2], r"holds list, expected a tensor"),
        (torch.zeros(5, 96, 64), r"holds \(5, 96, 64\)"),
        (torch.full((5, 1, 96, 64), float("nan")), "not finite"),
    ],
)
def test_a_log_mel_that_is_none_is_refused_without_running_it(
    tmp_path: Path, value: object, told: str
) -> None:
    write_ms3(tmp_path, clips={"train": 1})
    path = next(tmp_path.rglob("*.pkl"))
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=told) as caught:
        list(clips_of("avsbench-ms3", tmp_path, "train"))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("new_form", [True, False])
def test_log_mels_of_torch_save_are_read_too(tmp_path: Path, new_form: bool) -> None:
    write_ms3(tmp_path, clips={"train": 1})
    patches = torch.randn(5, 1, 96, 64)
    path = next(tmp_path.rglob("*.pkl"))
    torch.save(patches, path, _use_new_zipfile_serialization=new_form)
    clip = next(clips_of("avsbench-ms3", tmp_path, "train"))
    np.testing.assert_array_equal(clip.sound.log_mel, patches.numpy())
