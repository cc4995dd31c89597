"""AVSBench: S4 and MS3 (one sounding object, several; binary masks) and AVSS (71 classes).

Where each kind's files lie under a root (or under a folder of that root, see `_FOLDERS`)::

    S4    s4_meta_data.csv                              name, category, split
          s4_data/visual_frames/SPLIT/CATEGORY/NAME/NAME_{1..5}.png
          s4_data/gt_masks/SPLIT/CATEGORY/NAME/NAME_{1..5}.png       train: NAME_1.png only
          s4_data/audio_wav/SPLIT/CATEGORY/NAME.wav, or audio_log_mel/….pkl
    MS3   ms3_meta_data.csv                             video_id, split
          ms3_data/visual_frames/ID/ID.mp4_{1..5}.png   the ".mp4" may be missing
          ms3_data/gt_masks/SPLIT/ID/ID_{1..5}.png
          ms3_data/audio_wav/SPLIT/ID.wav, or audio_log_mel/….pkl
    AVSS  metadata.csv                                  uid, a_obj, split, label: v1s | v1m | v2
          LABEL/UID/frames/{0..4}.jpg, of v2 {0..9}.jpg
          LABEL/UID/labels_rgb/{0..}.png, or labels_semantic; v1s in train: 0.png only
          LABEL/UID/audio.wav

Copies that leave out a split or category folder, or have png for jpg, are read as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from avscli.audio.log_mel import HOP_SAMPLES, PATCH_FRAMES, log_mel_patches
from avscli.audio.loudness import level_dbfs
from avscli.config import Split
from avscli.datasets.contract import SPLITS
from avscli.datasets.label_files import (
    colour_labels_of,
    index_labels_of,
    picture_of,
    sound_of,
    stored_log_mel,
)
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.mask_pictures import read_white
from avscli.datasets.problems import require_size
from avscli.datasets.tables import read_table
from avscli.datatypes import VOID, WINDOW_SAMPLES, PatchTrack
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

AvsBenchKind = Literal["avsbench-s4", "avsbench-ms3", "avsbench-avss"]
AVSBENCH_KINDS: tuple[AvsBenchKind, ...] = get_args(AvsBenchKind)

# Index of a name = class index = place of its colour in `label_palette`.
AVSS_CLASSES = tuple(
    """background accordion airplane axe baby bassoon bell bird boat boy bus car cat cello clarinet
    clipper clock dog donkey drum duck elephant emergency-car erhu flute frying-food girl goose
    guitar gun guzheng hair-dryer handpan harmonica harp helicopter hen horse keyboard leopard lion
    man marimba missile-rocket motorcycle mower parrot piano pig pipa saw saxophone sheep sitar
    sorna squirrel tabla tank tiger tractor train trombone truck trumpet tuba ukulele utv
    vacuum-cleaner violin wolf woman""".split()  # noqa: SIM905
)
_TABLES = {
    "avsbench-s4": ("s4_meta_data.csv", ("name", "category", "split")),
    "avsbench-ms3": ("ms3_meta_data.csv", ("video_id", "split")),
    "avsbench-avss": ("metadata.csv", ("uid", "a_obj", "split", "label")),
}
_FOLDERS = {
    "avsbench-s4": (".", "s4_data", "Single-source", "avsbench_data/Single-source"),
    "avsbench-ms3": (".", "ms3_data", "Multi-sources", "avsbench_data/Multi-sources"),
    "avsbench-avss": (".", "AVSBench_semantic", "avsbench_semantic"),
}
_NUM_STEPS = {"s4": 5, "ms3": 5, "v1s": 5, "v1m": 5, "v2": 10}
_FIRST_ONLY = ("s4", "v1s")  # in train, only the first step of these is labelled


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """One row of a table with the files that belong to it, whether they exist or not.

    Attributes:
        clip_id: the video's name in its table.
        split: which one it belongs to.
        subset: ``s4``, ``ms3``, or within AVSS ``v1s``, ``v1m``, ``v2``.
        category: what the table calls the sounding object or objects; None in MS3.
        frames: T pictures, one second apart.
        labels: T masks or label maps; None where a step has none.
        sound: a .wav, or a .pkl with the log-mel.
    """

    clip_id: str
    split: Split
    subset: str
    category: str | None
    frames: tuple[Path, ...]
    labels: tuple[Path | None, ...]
    sound: Path


@dataclass(frozen=True, slots=True)
class AvsBench:
    """The table of one copy; clips are read when asked for.

    Attributes:
        kind: which of the three data sets.
        root: the folder that holds the table.
        rows: of the table.
    """

    kind: AvsBenchKind
    root: Path
    rows: tuple[dict[str, str], ...]

    @classmethod
    def open(cls, kind: AvsBenchKind, root: Path) -> AvsBench:
        """Open a copy: its root, or a folder in which that lies under its published name.

        Raises:
            DataError: the table is missing, lacks a column, or names an unknown split or subset.
        """
        name, columns = _TABLES[kind]
        folders = [root / folder for folder in _FOLDERS[kind]]
        found = next((f for f in folders if (f / name).is_file()), root)
        rows = read_table(found / name, columns, kind)
        for number, row in enumerate(rows, start=2):
            if row["split"] not in SPLITS:
                raise DataError(
                    f"{found / name}, line {number}: no split {row['split']!r} "
                    f"(known: {', '.join(SPLITS)})"
                )
            if kind == "avsbench-avss" and row["label"] not in ("v1s", "v1m", "v2"):
                raise DataError(
                    f"{found / name}, line {number}: no label {row['label']!r} "
                    "(known: v1s, v1m, v2)"
                )
        return cls(kind, found, rows)

    @property
    def num_classes(self) -> int:
        """1 for masks, 71 for label maps."""
        return len(AVSS_CLASSES) if self.kind == "avsbench-avss" else 1

    def files(self, split: Split) -> list[ClipFiles]:
        """Return the clips of one split in table order.

        Raises:
            DataError: the split has none.
        """
        locate = {"avsbench-s4": _s4, "avsbench-ms3": _ms3, "avsbench-avss": _avss}[self.kind]
        found = [locate(self.root, row) for row in self.rows if row["split"] == split]
        if not found:
            raise DataError(f"{self.root / _TABLES[self.kind][0]} has no clip of split {split!r}")
        return found

    def read(self, files: ClipFiles) -> LabelledClip:
        """Read one clip.

        Raises:
            DataError: naming the first file that is not as the format says.
        """
        pictures = [picture_of(path) for path in files.frames]
        size = pictures[0].shape[:2]
        for path, picture in zip(files.frames, pictures, strict=True):
            require_size(path, picture.shape[:2], size, files.frames[0])
        targets = np.full((len(pictures), *size), VOID, np.uint8)
        for step, label in enumerate(files.labels):
            if label is not None:
                target = self.read_label(label)
                require_size(label, target.shape, size, files.frames[step])
                targets[step] = target
        return LabelledClip(
            clip_id=files.clip_id,
            pictures=np.stack(pictures),
            sound=self.read_sound(files),
            targets=targets,
            labelled=np.array([path is not None for path in files.labels]),
            valid=np.ones(len(pictures), np.bool_),
            category=files.category,
        )

    def read_label(self, path: Path) -> NDArray[np.uint8]:
        """Read one mask or label map as [H, W] uint8, see `LabelledClip.targets`.

        Raises:
            DataError: naming the file.
        """
        if self.kind != "avsbench-avss":
            return read_white(path)
        read = index_labels_of if path.parent.name == "labels_semantic" else colour_labels_of
        return read(path, len(AVSS_CLASSES))

    def read_sound(self, files: ClipFiles) -> PatchTrack:
        """Return one patch a step.

        Consecutive patches of 0.96 s, as published; where the sound is too short, MS3 and S4 repeat
        the last patch and AVSS has zeros, whose level is that of digital silence.

        Raises:
            DataError: naming the file.
        """
        T = len(files.frames)
        sound = _stored(files.sound) if files.sound.suffix == ".pkl" else _recorded(files.sound)
        if not len(sound.log_mel):
            raise DataError(f"sound {files.sound} is shorter than one patch (0.975 s)")
        whole = sound.taken(np.minimum(np.arange(T), len(sound.log_mel) - 1))
        if self.kind == "avsbench-avss":
            lacking = slice(len(sound.log_mel), None)
            whole.log_mel[lacking] = 0.0
            whole.levels_dbfs[lacking] = -np.inf
            if whole.windows is not None:
                whole.windows[lacking] = 0.0
        return whole


def _stored(path: Path) -> PatchTrack:
    patches = stored_log_mel(path)
    return PatchTrack(patches, np.full(len(patches), np.nan))


def _recorded(path: Path) -> PatchTrack:
    waveform = sound_of(path)
    patches = log_mel_patches(waveform).numpy()
    starts = PATCH_FRAMES * HOP_SAMPLES * np.arange(len(patches))
    windows = waveform[starts[:, None] + np.arange(WINDOW_SAMPLES)]
    return PatchTrack(patches, level_dbfs(windows), windows)


def _s4(root: Path, row: dict[str, str]) -> ClipFiles:
    name, category, split = row["name"], row["category"], row["split"]
    data = _there([root / "s4_data", root])
    places = (f"{split}/{category}", f"{split}", f"{category}", ".")
    return _object_files(data, name, split, places, category=category, subset="s4")


def _ms3(root: Path, row: dict[str, str]) -> ClipFiles:
    data = _there([root / "ms3_data", root])
    return _object_files(
        data, row["video_id"], row["split"], (row["split"], "."), category=None, subset="ms3"
    )


def _object_files(
    data: Path, name: str, split: str, places: tuple[str, ...], *, category: str | None, subset: str
) -> ClipFiles:
    steps = range(1, 1 + _NUM_STEPS[subset])
    dotted = (".mp4_", "_") if subset == "ms3" else ("_", ".mp4_")
    frames_at = places[::-1] if subset == "ms3" else places
    first = _there(
        data / "visual_frames" / place / name / f"{name}{joint}1{suffix}"
        for place, joint, suffix in product(frames_at, dotted, (".png", ".jpg"))
    )
    stem = first.stem.removesuffix("1")
    masks = _there(data / "gt_masks" / place / name for place in places)
    labels = [masks / f"{name}_{k}.png" for k in steps]
    return ClipFiles(
        clip_id=name,
        split=_split(split),
        subset=subset,
        category=category,
        frames=tuple(first.with_name(f"{stem}{k}{first.suffix}") for k in steps),
        labels=_labelled(labels, subset, split),
        sound=_there(
            data / folder / place / f"{name}{suffix}"
            for folder, suffix in (("audio_wav", ".wav"), ("audio_log_mel", ".pkl"))
            for place in places
        ),
    )


def _avss(root: Path, row: dict[str, str]) -> ClipFiles:
    uid, subset, split = row["uid"], row["label"], row["split"]
    clip = _there([root / subset / uid, root / uid])
    steps = range(_NUM_STEPS[subset])
    suffix = _there(clip / "frames" / f"0{suffix}" for suffix in (".jpg", ".png")).suffix
    maps = _there([clip / "labels_rgb", clip / "labels_semantic"])
    return ClipFiles(
        clip_id=uid,
        split=_split(split),
        subset=subset,
        category=row["a_obj"],
        frames=tuple(clip / "frames" / f"{k}{suffix}" for k in steps),
        labels=_labelled([maps / f"{k}.png" for k in steps], subset, split),
        sound=clip / "audio.wav",
    )


def _labelled(paths: list[Path], subset: str, split: str) -> tuple[Path | None, ...]:
    if split == "train" and subset in _FIRST_ONLY:
        return (paths[0], *(None for _ in paths[1:]))
    return tuple(paths)


def _there(candidates: Iterable[Path]) -> Path:
    """Return the first path that exists; the first of all when none does, for the message."""
    paths = list(candidates)
    return next((path for path in paths if path.exists()), paths[0])


def _split(name: str) -> Split:
    return next(split for split in SPLITS if split == name)
