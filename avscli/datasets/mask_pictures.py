"""PNGs as masks: which pixels a picture marks, or that it does not say.

One mask comes as black and white, as class or instance numbers, as a palette, as a cut-out whose
mask is the alpha channel, and at 1 to 16 bits. What the values mean follows from them alone where
only one meaning makes sense; the rest is refused, for the user to say with `Marked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from avscli.datatypes import VOID
from avscli.errors import DataError, MediaError
from avscli.media.stills import read_png

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from avscli.config import Marked
    from avscli.masks import BoolMask, LabelMap
    from avscli.media.stills import PngPicture

    Samples = NDArray[np.uint8 | np.uint16]

Meaning = Literal["white", "labels"]
MARKED_HINT = (
    "say what is marked: white, black (inverted), labels (all but 0; 255 void) or alpha; "
    "avs eval --pred-marked, --gt-marked"
)
_VOID_RGB = (224, 224, 192)  # the 256th colour of the PASCAL VOC palette
_MOST_COLOURS = 32  # of label maps without soft edges; pictures have thousands
_MOST_LABELS_OF_THIN_THINGS = 3  # more darker greys than that without an area are a soft edge
_NEAR = 8  # within an eighth of black or white counts as that


class MarkedPixels(NamedTuple):
    """A mask, and how the values of its file were understood.

    Attributes:
        labels: [H, W] uint8, 1 marked, 0 not, 255 void.
        meaning: ``white`` from half brightness up, ``labels`` from 1 up with the last value void;
            None where both give the same.
    """

    labels: LabelMap
    meaning: Meaning | None = None


class _DoubtError(Exception):
    """The values of a picture can mean more than one mask."""


def read_marked(path: Path, marked: Marked = "auto") -> MarkedPixels:
    """Read which pixels of a PNG are marked.

    Args:
        path: of the PNG.
        marked: what marks them; ``auto`` finds out.

    Raises:
        DataError: unreadable, or of values that can mean more than one mask.
    """
    png = _png(path)
    try:
        return _automatic(png) if marked == "auto" else MarkedPixels(_as_told(png, marked))
    except _DoubtError as err:
        raise DataError(f"mask {path}: {err}", hint=MARKED_HINT) from err


def read_white(path: Path) -> LabelMap:
    """Read a black-and-white mask as [H, W] uint8: 1 white, 0 black, greys to the nearer one.

    Raises:
        DataError: unreadable, or of values that cannot mean black and white.
    """
    seen = _seen(_png(path))
    brightness = np.where(_opaque(seen), _brightness(seen.colours), 0)
    brightest = int(brightness.max())
    if 0 < brightest <= seen.top // 2:
        raise DataError(
            f"mask {path} is black with values up to {brightest}, expected black and white",
            hint=f"masks must hold 0 and {seen.top}, not 0 and 1",
        )
    return (brightness > seen.top // 2).view(np.uint8)


def _png(path: Path) -> PngPicture:
    try:
        return read_png(path)
    except MediaError as err:
        if not path.exists():
            raise DataError(f"no mask {path}") from err
        raise DataError(f"mask {path} is damaged or no PNG: {err}") from err


def _as_told(png: PngPicture, marked: Marked) -> LabelMap:
    seen = _seen(png)
    if marked == "labels":
        return (
            _by_index(png.samples, png.top) if png.samples.ndim == 2 else _by_colour(seen.colours)
        )
    if marked == "alpha":
        if seen.opacity is None:
            raise _DoubtError("it has no alpha channel")
        return (seen.opacity >= _half(seen.opacity)).view(np.uint8)
    bright = _brightness(seen.colours) > seen.top // 2
    marks = bright if marked == "white" else ~bright
    return (marks & _opaque(seen)).view(np.uint8)


def _automatic(png: PngPicture) -> MarkedPixels:
    if png.palette is not None and _is_label_palette(png.samples, png.palette):
        return MarkedPixels(_by_index_with_void(png.samples, png.palette))
    seen = _seen(png)
    if seen.opacity is None or seen.opacity.min() == seen.opacity.max() > 0:
        return _by_values(seen)
    return MarkedPixels(_by_opacity(seen, seen.opacity))


class _Seen(NamedTuple):
    """A picture with its palette applied.

    Attributes:
        colours: [H, W] grey or [H, W, 3] RGB.
        top: the value of full brightness.
        opacity: [H, W], or None without alpha.
    """

    colours: Samples
    top: int
    opacity: Samples | None


def _seen(png: PngPicture) -> _Seen:
    colours, top, opacity = png.samples, png.top, png.opacity
    if png.palette is not None:
        looked_up = png.palette[png.samples]
        colours, top = looked_up[..., :3], 255
        see_through = (png.palette[_used(png.samples), 3] < VOID).any()
        opacity = looked_up[..., 3] if see_through else None
    if colours.ndim == 3 and (colours == colours[..., :1]).all():
        colours = colours[..., 0]
    return _Seen(colours, top, opacity)


def _is_label_palette(indices: Samples, palette: NDArray[np.uint8]) -> bool:
    """Return whether a palette picture holds labels, and not grey or colours stored that way.

    Label palettes (VOC, DAVIS, YouTube-VOS and tools that follow them) begin with black for the
    background. Programs that save any picture with a palette may put white first, use a grey ramp
    in which 255 is white and not void, or have black at some other place.
    """
    used, rgb = _used(indices), palette[:, :3]
    if rgb[0].any() or (palette[used[used > 0], 3] < VOID).any():
        return False
    if len(np.unique(rgb[used], axis=0)) < len(used):
        return True  # colours do not tell the labels apart, so they do not matter
    only_greys = bool((rgb == rgb[:, :1]).all())
    black_elsewhere = used[0] != 0 and not rgb[used].any(axis=1).all()
    return not only_greys and not black_elsewhere


def _by_index_with_void(indices: Samples, palette: NDArray[np.uint8]) -> LabelMap:
    if _used(indices).tolist() == [0, VOID] and tuple(palette[VOID, :3]) != _VOID_RGB:
        raise _DoubtError("nothing but index 255 is marked, which is void in label palettes")
    return _by_index(indices, VOID)


def _by_index(values: Samples, void: int) -> LabelMap:
    labels: LabelMap = (values > 0).view(np.uint8)
    if void >= VOID:  # at fewer bits the last value is a label like the others
        labels[values == void] = VOID
    return labels


def _by_values(seen: _Seen) -> MarkedPixels:
    if seen.colours.ndim == 2:
        return _by_grey(seen.colours, seen.top)
    return MarkedPixels(_by_colour(seen.colours))


def _by_colour(colours: Samples) -> LabelMap:
    """Mark whatever is not black; the void colour of VOC is void."""
    codes = colours.astype(np.int64) @ np.array([1 << 32, 1 << 16, 1])
    used = np.unique(codes)
    if len(used) > _MOST_COLOURS:
        raise _DoubtError(f"{len(used)} colours: a photo, or a mask with soft or lossy edges")
    if used[0] != 0:
        raise _DoubtError("no pixel is black, so none is background")
    labels: LabelMap = (codes != 0).view(np.uint8)
    labels[(colours == _VOID_RGB).all(axis=2)] = VOID
    return labels


def _by_grey(values: Samples, top: int) -> MarkedPixels:
    """Tell black and white, also with soft edges, from class or instance numbers.

    Numbers make up areas; the greys of soft edges do not.
    """
    used, half = _used(values), top // 2
    between = used[(used > 0) & (used < top)]
    white = (values > half).view(np.uint8)
    if len(between) == 0:
        return MarkedPixels(white, "white" if top >= VOID and used[-1] == top else None)
    if len(used) == 2 and used[0] == 0:
        return MarkedPixels((values > 0).view(np.uint8), "labels" if used[1] <= half else None)
    black_until = 0 if used[0] == 0 else top // _NEAR
    white_from = top if used[-1] == top else top - top // _NEAR
    areas = _used(values[_inside_areas(values)])
    has_grey_areas = bool(((areas > black_until) & (areas < white_from)).any())
    softened = between[-1] > half or (len(between) > _MOST_LABELS_OF_THIN_THINGS)
    if used[0] <= black_until and used[-1] >= white_from and softened and not has_grey_areas:
        return MarkedPixels(white, "white")
    numbered = used[0] == 0 and len(between) <= _MOST_COLOURS and between[-1] <= half
    if numbered and (has_grey_areas or used[-1] < top):
        return MarkedPixels(_by_index(values, top), "labels")
    raise _DoubtError(f"{len(used)} greys from {used[0]} to {used[-1]} (white is {top})")


def _inside_areas(values: Samples) -> BoolMask:
    """Return the [H, W] pixels whose eight neighbours all have the same value."""
    height, width = values.shape
    inside = np.zeros(values.shape, np.bool_)
    if height < 3 or width < 3:
        return inside
    centre = values[1:-1, 1:-1]
    inside[1:-1, 1:-1] = np.logical_and.reduce(
        [
            values[y : y + height - 2, x : x + width - 2] == centre
            for y in range(3)
            for x in range(3)
        ]
    )
    return inside


def _by_opacity(seen: _Seen, opacity: Samples) -> LabelMap:
    """Read a cut-out: alpha is its mask, and below it lies a photo, or the mask again."""
    if 0 < opacity.max() < _half(opacity):
        raise _DoubtError(f"alpha is nowhere above {opacity.max()}")
    opaque = _opaque(seen)
    colours = seen.colours[opaque]
    used = np.unique(colours.reshape(len(colours), -1), axis=0) if len(colours) else colours
    if not opacity.any() and len(np.unique(seen.colours.reshape(opaque.size, -1), axis=0)) > 1:
        raise _DoubtError("all of it is transparent, yet it has colours")
    if len(used) <= 1 or used.any(axis=1).all() or len(used) > _MOST_COLOURS:
        return opaque.view(np.uint8)
    if len(used) == 2:  # black and one other colour, both opaque
        return (opaque & (seen.colours.reshape(*opaque.shape, -1) > 0).any(axis=2)).view(np.uint8)
    raise _DoubtError("alpha and colours both say what is marked, and differ")


def _opaque(seen: _Seen) -> BoolMask:
    if seen.opacity is None:
        return np.ones(seen.colours.shape[:2], np.bool_)
    return seen.opacity >= _half(seen.opacity)


def _half(opacity: Samples) -> int:
    return int(np.iinfo(opacity.dtype).max) // 2 + 1


def _brightness(colours: Samples) -> Samples:
    return colours if colours.ndim == 2 else colours.max(axis=2)


def _used(values: Samples) -> NDArray[np.intp]:
    """Return the values that occur, in rising order."""
    return np.flatnonzero(np.bincount(values.ravel()))
