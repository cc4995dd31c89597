"""Stored shapes – run lengths and polygons – and frames painted with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import VOID
from avscli.errors import DataError
from avscli.masks import draw_polygons

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from avscli.masks import BoolMask, LabelMap, SizeHW

_BEYOND = 0.1  # programs let shapes reach over the edge, but not by a tenth of the frame


@dataclass(frozen=True, slots=True)
class StoredMask:
    """The shape of one thing in one frame.

    Attributes:
        label: its class; None is void.
        size_hw: of the frame, if the shape states it as run lengths do.
        decode: draws it into a frame of the size given, [H, W] bool; raises ValueError when it is
            damaged.
        track_id: of the object through its clip; None when the file does not say.
    """

    label: int | None
    size_hw: SizeHW | None
    decode: Callable[[SizeHW], BoolMask]
    track_id: int | None = None


def painted(name: str, masks: Sequence[StoredMask], size_hw: SizeHW, num_classes: int) -> LabelMap:
    """Paint the masks of one frame into a label map.

    Args:
        name: of the frame, for messages.
        masks: later classes hide earlier ones, and void all; two classes are marked and not.
        size_hw: of the frame.
        num_classes: including the background.

    Returns:
        [H, W] uint8, 255 void.

    Raises:
        DataError: a shape that is damaged or of another size, or a class beyond the others.
    """
    if other := {each.size_hw for each in masks if each.size_hw is not None} - {size_hw}:
        height, width = min(other)
        told = f"{height}×{width}, its frame {size_hw[0]}×{size_hw[1]}"
        raise DataError(f"{name}: segmentation size {told}")
    labels = np.zeros(size_hw, np.uint8)
    for each in masks:
        try:
            mask = each.decode(size_hw)
        except ValueError as err:
            raise DataError(f"{name}: segmentation: {err}") from err
        if each.label is None:
            labels[mask] = VOID
        elif num_classes == 2 or 0 < each.label < num_classes:
            labels[mask & (labels != VOID)] = 1 if num_classes == 2 else each.label
        else:
            raise DataError(
                f"{name}: category_id {each.label}, there are {num_classes} classes",
                hint="--classes counts the background, which is 0: the others are numbered from 1",
            )
    return labels


def filled(size_hw: SizeHW, outlines: list[list[float]]) -> BoolMask:
    """Fill polygons, [H, W] bool.

    Args:
        size_hw: of the frame.
        outlines: x1, y1, x2, y2 … in pixels, of three points or more each.

    Raises:
        ValueError: a polygon reaches further over the edge than programs let shapes reach.
    """
    height, width = size_hw
    for outline in outlines:
        for values, length, told in ((outline[::2], width, "x"), (outline[1::2], height, "y")):
            furthest = max(max(values) - length, -min(values))
            if furthest > _BEYOND * length:
                raise ValueError(
                    f"a polygon reaches {told} = {min(values):g} … {max(values):g} in a frame "
                    f"of {height}×{width}"
                )
    return draw_polygons(size_hw, outlines)
