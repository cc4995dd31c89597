"""Miniature copies of AVSBench's three layouts, drawn from generated scenes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from avscli.audio.log_mel import log_mel_patches
from avscli.datasets.label_files import label_palette
from avscli.datasets.scenes import KINDS, TEST_SEEDS, Scene, make_scene
from tests.miniatures import write_picture, write_sound, write_table

SIZE_HW = (64, 64)
CLIPS_PER_SPLIT = {"train": 2, "val": 1, "test": 1}
AVSS_CLASS = {kind: 3 + 7 * place for place, kind in enumerate(KINDS)}


def scene_of(number: int, num_steps: int, size_hw: tuple[int, int] = SIZE_HW) -> Scene:
    """Draw a scene with one frame a second."""
    return make_scene(TEST_SEEDS[number], num_frames=num_steps, fps=Fraction(1), size_hw=size_hw)


def label_map(scene: Scene, step: int) -> NDArray[np.uint8]:
    """Return [H, W] uint8: the class of what sounds, 0 elsewhere."""
    labels = np.zeros(scene.owners[step].shape, np.uint8)
    for index, thing in enumerate(scene.objects):
        if thing.visible and thing.sounds_at(step / float(scene.fps)):
            labels[scene.owners[step] == index] = AVSS_CLASS[thing.kind]
    return labels


def write_s4(
    root: Path,
    *,
    clips: Mapping[str, int] = CLIPS_PER_SPLIT,
    sound: Literal["wav", "pkl"] = "wav",
    size_hw: tuple[int, int] = SIZE_HW,
) -> Path:
    """Write a copy of S4 and return its root; training masks are the first frame's only."""
    rows = []
    for number, split, name in _numbered(clips):
        scene = scene_of(number, 5, size_hw)
        place = f"{split}/bell/{name}"
        data = root / "s4_data"
        for k in range(5):
            write_picture(data / "visual_frames" / place / f"{name}_{k + 1}.png", scene.frames[k])
            if split != "train" or k == 0:
                _write_mask(data / "gt_masks" / place / f"{name}_{k + 1}.png", scene.masks[k])
        _write_sound(data, place, scene, sound)
        rows.append({"name": name, "start_time": number, "category": "bell", "split": split})
    write_table(root / "s4_meta_data.csv", rows)
    return root


def write_ms3(
    root: Path,
    *,
    clips: Mapping[str, int] = CLIPS_PER_SPLIT,
    sound: Literal["wav", "pkl"] = "pkl",
    size_hw: tuple[int, int] = SIZE_HW,
) -> Path:
    """Write a copy of MS3 and return its root; frames are called ``ID.mp4_1.png``."""
    rows = []
    for number, split, name in _numbered(clips):
        scene = scene_of(100 + number, 5, size_hw)
        data = root / "ms3_data"
        for k in range(5):
            frames = data / "visual_frames" / name
            write_picture(frames / f"{name}.mp4_{k + 1}.png", scene.frames[k])
            masks = data / "gt_masks" / split / name
            _write_mask(masks / f"{name}_{k + 1}.png", scene.masks[k])
        _write_sound(data, f"{split}/{name}", scene, sound)
        rows.append({"video_id": name, "split": split})
    write_table(root / "ms3_meta_data.csv", rows)
    return root


def write_avss(
    root: Path,
    *,
    clips: Mapping[str, int] = CLIPS_PER_SPLIT,
    labels: Literal["labels_rgb", "labels_semantic"] = "labels_rgb",
    size_hw: tuple[int, int] = (48, 80),
) -> Path:
    """Write a copy of AVSS, as many clips of v1s, v1m (5 frames) and v2 (10), and return it."""
    rows = []
    for subset, num_steps in (("v1s", 5), ("v1m", 5), ("v2", 10)):
        for number, split, name in _numbered(clips):
            scene = scene_of(200 + number, num_steps, size_hw)
            clip = root / subset / name
            for k in range(num_steps):
                write_picture(clip / "frames" / f"{k}.jpg", scene.frames[k])
                if split == "train" and subset == "v1s" and k:
                    continue
                found = label_map(scene, k)
                coloured = labels == "labels_rgb"
                write_picture(
                    clip / labels / f"{k}.png", label_palette(71)[found] if coloured else found
                )
            write_sound(clip / "audio.wav", scene.waveform)
            rows.append(
                {"vid": name, "uid": name, "a_obj": "bell", "split": split, "label": subset}
            )
    write_table(root / "metadata.csv", rows)
    return root


def _numbered(clips: Mapping[str, int]) -> Iterator[tuple[int, str, str]]:
    """Yield number, split and name of every clip."""
    wanted = [split for split, count in clips.items() for _ in range(count)]
    for number, split in enumerate(wanted):
        yield number, split, f"clip-{number}_{split}"


def _write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    write_picture(path, mask.astype(np.uint8) * 255)


def _write_sound(data: Path, place: str, scene: Scene, sound: str) -> None:
    if sound == "wav":
        write_sound(data / "audio_wav" / f"{place}.wav", scene.waveform)
        return
    path = data / "audio_log_mel" / f"{place}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    patches: torch.Tensor = log_mel_patches(scene.waveform)
    path.write_bytes(pickle.dumps(patches[:5]))
