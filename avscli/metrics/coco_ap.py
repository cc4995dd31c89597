"""COCO's mask average precision, computed by pycocotools."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AveragePrecision(NamedTuple):
    """COCO's first three numbers; None when nothing is true anywhere.

    Attributes:
        ap: over IoU thresholds 0.50, 0.55 … 0.95.
        ap50, ap75: at one threshold.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None


class MaskAveragePrecision:
    """Collects one mask per frame and class, as run lengths, and scores them at the end."""

    def __init__(self) -> None:
        self._images: list[dict[str, int]] = []
        self._truths: list[dict[str, object]] = []
        self._detections: list[dict[str, object]] = []
        self._classes: set[int] = set()

    def add(
        self,
        labels: NDArray[np.uint8],
        target: NDArray[np.uint8],
        scored: NDArray[np.bool_],
        score: float,
    ) -> None:
        """Add a frame.

        Args:
            labels: [H, W] predicted class per pixel, 0 for none.
            target: [H, W] true class per pixel, 0 for none.
            scored: [H, W] False on void pixels, which are cleared in both.
            score: how sure the prediction is, for the ranking of masks.
        """
        height, width = target.shape
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": height, "width": width})
        for category, mask in _masks(labels, scored):
            self._detections.append(_annotation(image_id, category, mask) | {"score": score})
            self._classes.add(category)
        for category, mask in _masks(target, scored):
            numbered = {"id": len(self._truths) + 1, "iscrowd": 0}
            self._truths.append(_annotation(image_id, category, mask) | numbered)
            self._classes.add(category)

    def result(self) -> AveragePrecision:
        """Return the scores of everything added."""
        if not self._truths:
            return AveragePrecision(None, None, None)
        if not self._detections:
            return AveragePrecision(0.0, 0.0, 0.0)
        truth = COCO()
        truth.dataset = {
            "images": self._images,
            "annotations": self._truths,
            "categories": [{"id": c, "name": str(c)} for c in sorted(self._classes)],
        }
        with redirect_stdout(io.StringIO()):  # it tells its progress and a table
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(self._detections), "segm")
            # Masks of all sizes only: by size it would take four times the time and memory.
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return AveragePrecision(*(float(value) for value in evaluation.stats[:3]))


def _masks(
    labels: NDArray[np.uint8], scored: NDArray[np.bool_]
) -> list[tuple[int, NDArray[np.bool_]]]:
    cleared = labels * scored
    return [(int(c), cleared == c) for c in np.unique(cleared) if c]


def _annotation(image_id: int, category: int, mask: NDArray[np.bool_]) -> dict[str, object]:
    encoded = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
    return {
        "image_id": image_id,
        "category_id": category,
        "segmentation": encoded,
        "area": float(coco_mask.area(encoded)),
        "bbox": coco_mask.toBbox(encoded).tolist(),
    }
