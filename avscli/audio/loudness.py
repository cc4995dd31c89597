"""How loud a stretch of sound is, in decibels relative to full scale.

Full scale is the square wave between −1 and 1, whose RMS is 1: it has 0 dBFS, and a sine that
touches ±1 has −3.01 dBFS. No frequency weighting, no gating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def level_dbfs(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the RMS level of each window: 20 log10(RMS).

    Args:
        windows: [..., N] samples in [-1, 1], N ≥ 1.

    Returns:
        [...] float64 dBFS; −inf for digital silence.
    """
    return _dbfs(np.mean(np.square(windows, dtype=np.float64), axis=-1))


def lowest_dbfs(
    window: NDArray[np.float32], shortest: int, held: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the lowest RMS level among the stretches of a window around a part of it.

    A moment in a pause has loud sound in its window until half a window after that sound has ended;
    the pause around it is quiet all the same.

    Args:
        window: [N] samples in [-1, 1].
        shortest: samples of a stretch; the whole window counts too.
        held: first sample of the part and the one after its last, which every stretch holds.

    Returns:
        [] float64 dBFS; −inf for digital silence.
    """
    energy = np.concatenate([[0.0], np.cumsum(np.square(window, dtype=np.float64))])
    first = max(0, held[1] - shortest)
    last = min(held[0], len(window) - shortest)
    sums = energy[first + shortest : last + shortest + 1] - energy[first : last + 1]
    powers = np.append(sums / shortest, energy[-1] / len(window))
    return _dbfs(np.maximum(powers.min(), 0.0))  # differences of sums may round to below nothing


def _dbfs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(power))
