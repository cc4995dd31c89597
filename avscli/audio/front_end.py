"""The log-mel patches that sound encoders take, by the name that a spec calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.audio import fine_log_mel, log_mel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor


class FrontEnd(NamedTuple):
    """From windows of sound to what an encoder takes.

    Attributes:
        of_windows: [..., 15600] float32 at 16 kHz to [..., 1, *patch_shape].
        patch_shape: of a patch, without its one channel.
    """

    of_windows: Callable[[Tensor | NDArray[np.float32]], Tensor]
    patch_shape: tuple[int, int]


FRONT_ENDS: Mapping[str, FrontEnd] = {
    "vggish": FrontEnd(log_mel.window_log_mel, (log_mel.PATCH_FRAMES, log_mel.MEL_BANDS)),
    "efficientat": FrontEnd(
        fine_log_mel.window_fine_log_mel, (fine_log_mel.MEL_BANDS, fine_log_mel.PATCH_FRAMES)
    ),
}
