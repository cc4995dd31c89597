"""Clips with the truth about them: what every set of real videos is read into."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
VOID = 255  # in targets: a pixel about which nothing is known


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClip:
    """T steps of a video, one second apart, with their sound and what of it is labelled.

    Attributes:
        clip_id: unique within its data set and split.
        pictures: [T, H, W, 3] uint8 RGB as stored.
        log_mel: [T, 1, 96, 64] float32, the VGGish patch of each step.
        waveform: [N] float32 in [-1, 1], mono, 16 kHz; None when only patches are stored.
        targets: [T, H, W] uint8. One class: 1 sounds, 0 does not. Several: index of the class
            that sounds, 0 for background. 255 is void, as all of a step without label is.
        labelled: [T] bool, the steps whose target is known.
        valid: [T] bool, False where a step is padding: black, with zeros for sound.
        category: what the data set calls the sounding object or objects; None when it does not.
    """

    clip_id: str
    pictures: NDArray[np.uint8]
    log_mel: NDArray[np.float32]
    waveform: NDArray[np.float32] | None
    targets: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    category: str | None

    def __post_init__(self) -> None:
        T = len(self.pictures)
        if self.pictures.ndim != 4 or self.pictures.shape[3] != 3:
            raise ValueError(f"pictures must be [T, H, W, 3], got {self.pictures.shape}")
        if self.targets.shape != self.pictures.shape[:3]:
            raise ValueError(f"targets {self.targets.shape} of pictures {self.pictures.shape}")
        if self.log_mel.shape != (T, 1, 96, 64):
            raise ValueError(f"log_mel must be [{T}, 1, 96, 64], got {self.log_mel.shape}")
        if self.labelled.shape != (T,) or self.valid.shape != (T,):
            raise ValueError(f"labelled and valid must be [{T}]")

    def __repr__(self) -> str:
        labelled = int(self.labelled.sum())
        return f"LabelledClip({self.clip_id}, {self.pictures.shape}, {labelled} steps labelled)"

    def padded_to(self, num_steps: int) -> LabelledClip:
        """Return the clip with padding up to a number of steps; its target is void.

        >>> import numpy as np
        >>> black = np.zeros((5, 2, 2, 3), np.uint8)
        >>> mel = np.zeros((5, 1, 96, 64), np.float32)
        >>> known = np.ones(5, bool)
        >>> clip = LabelledClip("a", black, mel, None, black[..., 0], known, known, None)
        >>> clip.padded_to(7).valid.astype(int)
        array([1, 1, 1, 1, 1, 0, 0])

        Raises:
            ValueError: the clip is longer than that.
        """
        extra = num_steps - len(self.valid)
        if extra < 0:
            raise ValueError(f"{self.clip_id} has {len(self.valid)} steps, more than {num_steps}")
        if extra == 0:
            return self
        return dataclasses.replace(
            self,
            pictures=_extended(self.pictures, extra),
            log_mel=_extended(self.log_mel, extra),
            targets=_extended(self.targets, extra, VOID),
            labelled=_extended(self.labelled, extra),
            valid=_extended(self.valid, extra),
        )


def _extended(steps: NDArray[_Scalar], extra: int, value: int = 0) -> NDArray[_Scalar]:
    return np.concatenate([steps, np.full((extra, *steps.shape[1:]), value, steps.dtype)])
