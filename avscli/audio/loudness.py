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
    power = np.mean(np.square(windows, dtype=np.float64), axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(power))
