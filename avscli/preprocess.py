"""Clips to network input: the one way pixels and sound reach a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from avscli.audio.log_mel import window_log_mel
from avscli.audio.loudness import level_dbfs
from avscli.audio.windows import centred_windows
from avscli.datatypes import NetworkInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from avscli.datatypes import Clip, NetworkSpec, Padding


@dataclass(frozen=True, slots=True, eq=False)
class PreparedBatch:
    """Clips as a network takes them, with what the network does not see.

    Attributes:
        inputs: the batch, on the CPU.
        levels_dbfs: [B, T] float64 level of each step's sound window; -inf for digital silence
            and for padding.
    """

    inputs: NetworkInput
    levels_dbfs: NDArray[np.float64]


def prepare(clips: Sequence[Clip], spec: NetworkSpec) -> PreparedBatch:
    """Normalise pixels and turn the sound around every frame into a log-mel patch.

    What the clips' padding steps hold does not matter; they are filled as the spec says:
    ``repeat_last`` copies the last valid step, ``zeros_with_flag`` leaves zeros in both network
    inputs. Zero is a loud value in log-mel, not silence; networks trained that way expect it.

    Args:
        clips: B clips of the same T and frame size, each with at least one valid step.
        spec: what the network expects.

    Returns:
        The batch and the levels of its windows.

    Raises:
        ValueError: a clip has no valid step, or the clips differ in shape.
    """
    valid = np.stack([clip.valid for clip in clips])
    if not valid.any(axis=1).all():
        raise ValueError("every clip needs at least one valid step")
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips]))
    offsets = np.array((0.0, *spec.sound_offsets_seconds))
    moments = [
        np.add.outer([frame.stamp.pts_seconds for frame in clip.analysed], offsets).ravel()
        for clip in clips
    ]
    windows = np.concatenate(
        [centred_windows(clip.audio, times) for clip, times in zip(clips, moments, strict=True)]
    )
    levels = np.full(valid.shape, -np.inf)
    levels[valid] = level_dbfs(windows[:: len(offsets)])
    log_mel = torch.zeros(*valid.shape, len(offsets), 96, 64)
    log_mel[torch.from_numpy(valid)] = window_log_mel(windows).reshape(-1, len(offsets), 96, 64)
    inputs = NetworkInput(
        frames=_filled(normalised(frames, spec), valid, spec.padding),
        log_mel=_filled(log_mel, valid, spec.padding),
        valid=torch.from_numpy(valid),
    )
    return PreparedBatch(inputs, levels)


def normalised(frames: Tensor, spec: NetworkSpec) -> Tensor:
    """Scale [..., 3, h, w] uint8 pixels to [0, 1], then by the spec's mean and deviation.

    Returns:
        [..., 3, h, w] float32.
    """
    mean, deviation = (
        torch.tensor(values, device=frames.device)[:, None, None]
        for values in (spec.pixel_mean, spec.pixel_std)
    )
    return frames.float().div_(255.0).sub_(mean).div_(deviation)


def _filled(steps: Tensor, valid: NDArray[np.bool_], padding: Padding) -> Tensor:
    """Fill the padding steps of [B, T, ...] in place and return it."""
    for clip, of_clip in zip(steps, valid, strict=True):
        if of_clip.all():
            continue
        last = int(np.flatnonzero(of_clip)[-1])
        clip[torch.from_numpy(~of_clip)] = (
            clip[last].clone() if padding == "repeat_last" else steps.new_zeros(())
        )
    return steps
