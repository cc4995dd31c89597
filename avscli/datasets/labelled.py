"""Clips with the truth about them: what every data set is read into."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from avscli.datatypes import VOID, AnalysedFrame, Clip, FrameStamp
from avscli.media.reader import fit_frame_size
from avscli.media.stills import resize_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.datatypes import AudioTrack, NetworkSpec, PatchTrack

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClip:
    """T steps, one second apart from time 0 on, with their sound and what of them is labelled.

    A picture with a sound is a clip of one step.

    Attributes:
        clip_id: unique within its data set and split.
        pictures: [T, H, W, 3] uint8 RGB as stored.
        sound: of the valid steps; step k is at k seconds.
        targets: [T, H, W] uint8. One class: 1 sounds, 0 does not. Several: index of the class
            that sounds, 0 for background. 255 is void, as all of a step without label is.
        labelled: [T] bool, the steps whose target is known.
        valid: [T] bool, False where a step is padding: black, without sound. Padding comes last.
        kind: what the clip tests, for grouping.
        category: what the data set calls the sounding object or objects; None when it does not.
    """

    clip_id: str
    pictures: NDArray[np.uint8]
    sound: AudioTrack | PatchTrack
    targets: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    kind: str = "clip"
    category: str | None = None

    def __post_init__(self) -> None:
        T = len(self.pictures)
        if self.pictures.ndim != 4 or self.pictures.shape[3] != 3:
            raise ValueError(f"pictures must be [T, H, W, 3], got {self.pictures.shape}")
        if self.targets.shape != self.pictures.shape[:3]:
            raise ValueError(f"targets {self.targets.shape} of pictures {self.pictures.shape}")
        if self.labelled.shape != (T,) or self.valid.shape != (T,):
            raise ValueError(f"labelled and valid must be [{T}]")
        if not self.valid[: int(self.valid.sum())].all():
            raise ValueError("padding must come last")

    def __repr__(self) -> str:
        labelled = int(self.labelled.sum())
        return f"LabelledClip({self.clip_id}, {self.pictures.shape}, {labelled} steps labelled)"

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.targets.shape[1], self.targets.shape[2]

    def padded_to(self, num_steps: int) -> LabelledClip:
        """Return the clip with padding up to a number of steps; its target is void.

        >>> from avscli.datatypes import AudioTrack
        >>> black, known = np.zeros((5, 2, 2, 3), np.uint8), np.ones(5, bool)
        >>> silence = AudioTrack(np.zeros(0, np.float32), 16_000, 0.0)
        >>> clip = LabelledClip("a", black, silence, black[..., 0], known, known)
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
            targets=_extended(self.targets, extra, VOID),
            labelled=_extended(self.labelled, extra),
            valid=_extended(self.valid, extra),
        )

    def network_clips(self, spec: NetworkSpec) -> list[Clip]:
        """Cut into ⌈T / clip_length⌉ clips as a network sees them, the last one padded."""
        size_hw = fit_frame_size(self.size_hw[1] / self.size_hw[0], spec)
        pictures = [resize_picture(picture, size_hw) for picture in self.pictures]
        length = spec.clip_length
        lacking = -len(pictures) % length
        frames = np.stack(pictures).transpose(0, 3, 1, 2)
        frames, valid = _extended(frames, lacking), _extended(self.valid, lacking)
        return [
            Clip(
                frames=frames[first : first + length],
                analysed=tuple(
                    AnalysedFrame(FrameStamp(step, step, float(step)), sequence=step)
                    for step in range(first, first + length)
                    if valid[step]
                ),
                audio=self.sound,
                valid=valid[first : first + length],
            )
            for first in range(0, len(frames), length)
        ]


def _extended(steps: NDArray[_Scalar], extra: int, value: int = 0) -> NDArray[_Scalar]:
    return np.concatenate([steps, np.full((extra, *steps.shape[1:]), value, steps.dtype)])
