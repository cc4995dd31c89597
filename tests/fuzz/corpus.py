"""The whole files that inputs are damaged copies of, made once per run: ``Corpus``."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIZE_HW = (48, 64)
CLIPS = ("a.mp4", "b.mkv")
RUN_OPTIONS = ("--fps", "4")
_MASK_FORMS = ("grey", "palette", "colour", "alpha", "sixteen", "bits")


@dataclass(frozen=True)
class Corpus:
    """Where the whole files lie.

    Attributes:
        root: of all.
    """

    root: Path

    @property
    def weights(self) -> Path:
        """A small checkpoint that marks about half of a picture, with its golden beside it."""
        return self.root / "weights" / "tiny.safetensors"

    @property
    def bare_weights(self) -> Path:
        """The metadata of that checkpoint over a handful of tensors."""
        return self.root / "weights" / "bare.safetensors"

    @property
    def videos(self) -> list[Path]:
        """Videos of every format."""
        return sorted((self.root / "media").iterdir())

    @property
    def clips(self) -> Path:
        """The videos of the finished batch."""
        return self.root / "clips"

    @property
    def batch(self) -> Path:
        """The output folder of a batch over `clips`."""
        return self.root / "batch"

    @property
    def truths(self) -> list[Path]:
        """Masks of the first clip as others would store them: PNG folders and COCO files."""
        return sorted((self.root / "truth").iterdir())

    def truth(self, name: str) -> Path:
        """One of them."""
        return self.root / "truth" / name

    @property
    def evaluation(self) -> Path:
        """The output folder of an evaluation."""
        return self.root / "evaluation"

    @property
    def avsmix(self) -> Path:
        """A miniature copy of avsmix."""
        return self.root / "avsmix"

    @property
    def pickles(self) -> list[Path]:
        """State dicts as PyTorch saves them."""
        return sorted((self.root / "pickles").iterdir())


def build(root: Path) -> Corpus:
    """Make the corpus, or take the one that lies there whole."""
    corpus, mark = Corpus(root), root / "whole"
    if mark.exists():
        return corpus
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    _make(corpus)
    mark.touch()
    return corpus


def _make(corpus: Corpus) -> None:
    from tests.fuzz import media
    from tests.miniatures import write_avsmix

    media.write_all(corpus.root / "media")
    corpus.clips.mkdir()
    by_name = {path.name: path for path in corpus.videos}
    shutil.copy2(by_name["mp4-libx264-aac-av.mp4"], corpus.clips / CLIPS[0])
    shutil.copy2(by_name["mkv-ffv1-flac-va.mkv"], corpus.clips / CLIPS[1])
    _write_weights(corpus)
    _write_pickles(corpus.root / "pickles")
    write_avsmix(corpus.avsmix, num_pictures=2)
    weights = ("-w", corpus.weights, *RUN_OPTIONS, "-q")
    _avs("batch", corpus.clips, "-o", corpus.batch, *weights, "--combine")
    _write_truths(corpus.batch / CLIPS[0], corpus.root / "truth")
    run = corpus.batch / CLIPS[0]
    _avs("eval", "--pred", run, "--gt", run, "-o", corpus.evaluation, "-q")


def _avs(*args: object) -> None:
    from avscli import cli

    sys.argv = ["avs", *map(str, args)]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code, sys.argv


def _write_weights(corpus: Corpus) -> None:
    import torch
    from safetensors.torch import save_file

    from avscli.checkpoints import read_info
    from tests.networks_for_tests import make_inputs, save_marking

    corpus.weights.parent.mkdir()
    save_marking(corpus.weights, dtype=torch.float16, golden_inputs=make_inputs(B=1))
    assert read_info(corpus.weights).spec.network == "pcmanet"
    tensors = {name: torch.zeros(2, 3) for name in ("heads.0.0.weight", "x.running_mean")}
    save_file(tensors, str(corpus.bare_weights), metadata=_header(corpus.weights)["__metadata__"])


def _header(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    return header


def _write_pickles(folder: Path) -> None:
    import torch

    folder.mkdir()
    draw = torch.Generator().manual_seed(3)
    state = {
        "module.encoder_backbone.patch_embed1.proj.weight": torch.randn(4, 3, 7, 7, generator=draw),
        "module.conv4.conv.0.weight": torch.randn(4, 4, 3, 3, generator=draw).half(),
        "module.bn.num_batches_tracked": torch.tensor(7),
        "module.mask": torch.ones(3, dtype=torch.bool),
    }
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state, "best": 0.5}, folder / "nested.pth")
    torch.save(torch.nn.Linear(2, 2), folder / "module.pth")


def _write_truths(run: Path, folder: Path) -> None:
    from tests.e2e.results import decoded

    lines = (run / "frames.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    masks = []
    for entry in entries:
        mask = np.zeros(SIZE_HW, np.bool_)
        for annotation in entry["objects"]:
            mask |= decoded(annotation["segmentation"])
        masks.append(mask)
    for form in _MASK_FORMS:
        _write_pngs(folder / f"png-{form}" / run.name, masks, form)
    shutil.copy(run / "masks.coco.json", folder / "ours.coco.json")
    for form in ("polygons", "plain", "crowd"):
        document = _coco(run.name, masks, form)
        (folder / f"{form}.coco.json").write_text(json.dumps(document))


def _write_pngs(folder: Path, masks: list[Any], form: str) -> None:
    import av
    import cv2

    folder.mkdir(parents=True)
    for number, mask in enumerate(masks):
        path = folder / f"{number:05d}.png"
        white = mask.astype(np.uint8) * 255
        if form == "grey":
            cv2.imwrite(str(path), white)
        elif form == "bits":
            cv2.imwrite(str(path), white, [cv2.IMWRITE_PNG_BILEVEL, 1])
        elif form == "colour":
            cv2.imwrite(str(path), np.dstack([white] * 3))
        elif form == "alpha":
            cv2.imwrite(str(path), np.dstack([white] * 3 + [255 - white // 2]))
        elif form == "sixteen":
            cv2.imwrite(str(path), mask.astype(np.uint16) * 300)
        else:
            palette = np.zeros((256, 4), np.uint8)
            palette[1] = (255, 0, 0, 255)
            frame = av.VideoFrame.from_ndarray(
                (np.ascontiguousarray(mask.astype(np.uint8)), palette), format="pal8"
            )
            encoder = av.CodecContext.create("png", "w")
            encoder.width, encoder.height, encoder.pix_fmt = SIZE_HW[1], SIZE_HW[0], "pal8"
            encoder.time_base = Fraction(1, 25)
            path.write_bytes(b"".join(bytes(p) for p in encoder.encode(frame)))


def _coco(video: str, masks: list[Any], form: str) -> dict[str, Any]:
    """Return a COCO document as annotation tools write them."""
    images, annotations = [], []
    for number, mask in enumerate(masks):
        height, width = mask.shape
        name = f"{video}/{number:05d}.jpg"
        images.append({"id": number + 1, "file_name": name, "height": height, "width": width})
        rows, columns = np.nonzero(mask)
        if not len(rows):
            continue
        box = [int(columns.min()), int(rows.min()), int(np.ptp(columns)), int(np.ptp(rows))]
        x, y, w, h = box
        segmentation: object = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if form != "polygons":
            changes = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False)).tolist()
            ends = [0, *changes, mask.size]
            counts = [b - a for a, b in pairwise(ends)]
            segmentation = {"size": [height, width], "counts": counts}
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": number + 1,
                "category_id": 1,
                "segmentation": segmentation,
                "bbox": box,
                "area": int(mask.sum()),
                "iscrowd": int(form == "crowd"),
            }
        )
    categories = [{"id": 1, "name": "sounding_object"}]
    return {"images": images, "annotations": annotations, "categories": categories}
