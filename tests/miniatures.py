"""Miniature data sets drawn from generated scenes, in the layouts that people have on disk."""

from __future__ import annotations

import csv
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avscli.config import Split
from avscli.datasets.scene_timeline import random_voice
from avscli.datasets.scenes import KINDS, TEST_SEEDS, plan_scene
from avscli.datatypes import SAMPLE_RATE_HZ

SIZE_HW = (60, 80)


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write [H, W, 3] RGB or [H, W] grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1] if picture.ndim == 3 else picture)


def write_sound(path: Path, samples: NDArray[np.floating]) -> None:
    """Write [N] in [-1, 1] as 16-bit PCM at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def voice_of(kind: str, seed: int, seconds: float = 1.0) -> NDArray[np.float64]:
    """Return the [N] sound of one kind of scene object."""
    track = np.zeros(round(seconds * SAMPLE_RATE_HZ))
    random_voice(np.random.default_rng(seed), kind).add_to(track, 0, len(track))
    return track / max(1.0, float(np.abs(track).max()))


def labelled_scene(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    """Return a picture, its class indices (1 + place in `KINDS`), and the kinds seen in it."""
    plan = plan_scene(TEST_SEEDS[seed], num_frames=1, size_hw=SIZE_HW)
    image, owners = plan.draw(0)
    indices = np.zeros(SIZE_HW, np.uint8)
    for index, thing in enumerate(plan.objects):
        indices[owners == index] = 1 + KINDS.index(thing.kind)
    seen = sorted({KINDS[i - 1] for i in np.unique(indices) if i})
    return image, indices, seen


def write_avsmix(root: Path, num_pictures: int = 6, *, splits: Sequence[Split] = ("test",)) -> Path:
    """Write a copy of avsmix with so many pictures in each of some splits.

    Validation and test have one pair per picture and kind of pair, training has a sound that
    nothing visible makes.
    """
    root.mkdir(parents=True, exist_ok=True)
    numbered = [{"index": i, "name": name} for i, name in enumerate(["background", *KINDS])]
    write_table(root / "classes.csv", numbered)
    mapping = [{"audio_class": k, "visual_classes": k, "role": "positive"} for k in KINDS]
    write_table(root / "class_map.csv", mapping)
    sounds, pictures = [], []
    for number, split in enumerate(splits):
        sounds += _write_sounds(root, split)
        seeds = range(number * num_pictures, (number + 1) * num_pictures)
        of_split = [_write_labelled_picture(root, seed, split) for seed in seeds]
        pictures += of_split
        if split != "train":
            recordings = {row["audio_class"]: row["audio"] for row in sounds}
            pairs = [pair for picture in of_split for pair in _pairs_of(picture, recordings)]
            for count, pair in enumerate(pairs):
                pair["pair_id"] = f"{split}{count:05d}"
            write_table(root / f"pairs_{split}.csv", pairs)
    write_table(root / "audio.csv", sounds)
    write_table(root / "images.csv", pictures)
    return root


def write_further_sounds(root: Path, splits: Mapping[str, Split]) -> Path:
    """Write a folder of further recordings, one of noise for each class in its split."""
    rows = []
    for seed, (audio_class, split) in enumerate(splits.items()):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(SAMPLE_RATE_HZ)
        write_sound(root / "audio" / f"{audio_class}.wav", noise)
        rows.append(
            {"audio": f"audio/{audio_class}.wav", "audio_class": audio_class, "split": split}
        )
    write_table(root / "sounds.csv", rows)
    return root


def _write_sounds(root: Path, split: Split) -> list[dict[str, str]]:
    prefix = "" if split == "test" else f"{split}_"
    voices = {kind: voice_of(kind, number) for number, kind in enumerate(KINDS)}
    if split == "train":
        voices["wind"] = 0.1 * np.random.default_rng(1).standard_normal(SAMPLE_RATE_HZ)
    for kind, voice in voices.items():
        write_sound(root / "audio" / f"{prefix}{kind}.wav", voice)
    return [
        {
            "audio": f"audio/{prefix}{kind}.wav",
            "audio_class": kind,
            "split": split,
            "visual_classes": kind if kind in KINDS else "",
        }
        for kind in voices
    ]


def _write_labelled_picture(root: Path, seed: int, split: Split) -> dict[str, str]:
    image, indices, seen = labelled_scene(seed)
    indices[:2] = 255
    names = {"image": f"images/{seed}.png", "mask": f"masks/{seed}.png"}
    write_picture(root / names["image"], image)
    write_picture(root / names["mask"], indices)
    return {**names, "classes_in_mask": "|".join(seen), "split": split}


def _pairs_of(picture: Mapping[str, str], recordings: Mapping[str, str]) -> list[dict[str, str]]:
    seen = picture["classes_in_mask"].split("|")
    absent = next(kind for kind in KINDS if kind not in seen)
    return [
        {
            "pair_id": "",
            "image": picture["image"],
            "mask": picture["mask"],
            "audio": recordings[sound] if sound else "",
            "audio2": "",
            "kind": kind,
            "audio_class": sound,
            "sounding_classes": sounding,
        }
        for kind, sound, sounding in (
            ("positive", seen[0], seen[0]),
            ("mismatch", absent, ""),
            ("silent", "", ""),
        )
    ]
