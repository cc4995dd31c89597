"""Files that label video clips: black-and-white masks, coloured label maps, stored log-mels."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch._utils import _rebuild_tensor_v2

from avscli.datatypes import VOID
from avscli.errors import DataError, MediaError
from avscli.media.stills import read_indices, read_picture, read_png, read_waveform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_OLD_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # what files of torch.save before 1.6 begin with


def picture_of(path: Path) -> NDArray[np.uint8]:
    """Read a picture as [H, W, 3] uint8 RGB.

    Raises:
        DataError: missing or unreadable.
    """
    try:
        return read_picture(path)
    except MediaError as err:
        raise _unreadable(path, err, "picture") from err


def labels_of(path: Path, num_classes: int) -> NDArray[np.uint8]:
    """Read a label map of indices or colours as class indices [H, W] uint8, 255 void.

    Raises:
        DataError: missing, unreadable, or with an index or a colour that stands for no class.
    """
    try:
        coloured = read_png(path).samples.ndim == 3
    except MediaError as err:
        raise _unreadable(path, err, "label map") from err
    return colour_labels_of(path, num_classes) if coloured else index_labels_of(path, num_classes)


def colour_labels_of(path: Path, num_classes: int) -> NDArray[np.uint8]:
    """Read a coloured label map as class indices [H, W] uint8, by `label_palette`.

    Raises:
        DataError: missing, unreadable, or with a colour that stands for no class.
    """
    try:
        picture = read_picture(path).astype(np.int32)
    except MediaError as err:
        raise _unreadable(path, err, "label map") from err
    codes = (picture[..., 0] << 16) | (picture[..., 1] << 8) | picture[..., 2]
    known, order = _palette_codes(num_classes)
    places = np.minimum(np.searchsorted(known, codes), num_classes - 1)
    strange = known[places] != codes
    if strange.any():
        y, x = np.argwhere(strange)[0].tolist()
        colour = tuple(picture[y, x].tolist())
        raise DataError(
            f"label map {path}: colour {colour} at row {y}, column {x} is not in the palette "
            f"of {num_classes} classes ({int(strange.sum())} such pixels)",
            hint="label maps must not be resized or compressed with loss",
        )
    return order[places]


def index_labels_of(path: Path, num_classes: int) -> NDArray[np.uint8]:
    """Read a label map that holds class indices (255 void) as [H, W] uint8.

    Raises:
        DataError: missing, unreadable, coloured, or with an index beyond the classes.
    """
    try:
        indices = read_indices(path)
    except MediaError as err:
        raise _unreadable(path, err, "label map") from err
    strange = (indices >= num_classes) & (indices != VOID)
    if strange.any():
        raise DataError(
            f"label map {path} holds the index {int(indices[strange][0])}; the "
            f"{num_classes} classes count from 0"
        )
    return indices


@cache
def label_palette(num_classes: int) -> NDArray[np.uint8]:
    """Return [num_classes, 3] uint8: the RGB colour of every class index.

    Bit b of the index's k-th group of three goes to bit 7 − k of channel b, as in the PASCAL VOC
    development kit.

    >>> label_palette(4).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    index = np.arange(num_classes)[:, None]
    channels = np.arange(3)[None]
    palette = np.zeros((num_classes, 3), np.int64)
    for group in range(3):
        palette |= ((index >> (3 * group + channels)) & 1) << (7 - group)
    return palette.astype(np.uint8)


def sound_of(path: Path) -> NDArray[np.float32]:
    """Read a sound as float32 [N] in [-1, 1], 16 kHz mono.

    Raises:
        DataError: missing, damaged or empty.
    """
    try:
        samples = read_waveform(path)
    except MediaError as err:
        raise _unreadable(path, err, "sound") from err
    if not len(samples):
        raise DataError(f"sound {path} is empty")
    return samples


def stored_log_mel(path: Path) -> NDArray[np.float32]:
    """Read a stored log-mel as [n, 1, 96, 64] float32, n ≥ 1, without running code it may hold.

    Takes a tensor of ``torch.save`` and one of plain ``pickle.dump``, as published.

    Raises:
        DataError: missing, damaged, or anything but such a tensor.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DataError(f"cannot read log-mel {path}: {err.strerror}") from err
    try:
        zipped = data.startswith(b"PK")
        value = _load_tensor(data) if zipped else _TensorUnpickler(io.BytesIO(data)).load()
        if isinstance(value, int) and value == _OLD_MAGIC_NUMBER:
            value = _load_tensor(data)
    except (
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        OSError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as err:
        told = (str(err) or type(err).__name__).splitlines()[0]
        raise DataError(f"log-mel {path} cannot be read safely: {told}") from err
    if not isinstance(value, Tensor) or value.shape[1:] != (1, 96, 64) or not len(value):
        what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise DataError(f"log-mel {path} holds {what}, expected a tensor [n, 1, 96, 64]")
    patches: NDArray[np.float32] = value.detach().to(torch.float32).numpy()
    if not np.isfinite(patches).all():
        raise DataError(f"log-mel {path} holds numbers that are not finite")
    return patches


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles one tensor: of all names a pickle can call, only these four are known.

    ``torch.load(weights_only=True)`` refuses such files, because in them tensors are made by
    ``torch.storage._load_from_bytes``, which would unpickle anything; here the bytes go to
    ``torch.load(weights_only=True)`` instead.
    """

    def find_class(self, module_name: str, global_name: str) -> object:
        """Return the callable of one of the four names.

        Raises:
            UnpicklingError: any other name.
        """
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
            ("torch.storage", "_load_from_bytes"): _load_tensor,
            ("collections", "OrderedDict"): OrderedDict,
            ("_codecs", "encode"): _latin1,
        }
        if (module_name, global_name) not in known:
            raise pickle.UnpicklingError(f"it wants to call {module_name}.{global_name}")
        return known[module_name, global_name]


def _latin1(text: str, _encoding: str) -> bytes:
    """Make bytes of the text that old pickle protocols keep them as."""
    return text.encode("latin1")


def _load_tensor(data: bytes) -> object:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


@cache
def _palette_codes(num_classes: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the palette's colours as sorted numbers, and the class of each."""
    palette = label_palette(num_classes).astype(np.int32)
    codes = (palette[:, 0] << 16) | (palette[:, 1] << 8) | palette[:, 2]
    order = np.argsort(codes)
    return codes[order], order.astype(np.uint8)


def _unreadable(path: Path, err: MediaError, what: str) -> DataError:
    if not path.exists():
        return DataError(f"no {what} {path}")
    return DataError(f"{what} {path} is damaged or of another kind: {err}")
