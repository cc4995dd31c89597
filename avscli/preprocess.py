"""Clips to network input: the one way pixels and sound reach a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from avscli.audio.front_end import FRONT_ENDS
from avscli.audio.loudness import level_dbfs
from avscli.audio.windows import centred_windows
from avscli.datatypes import NetworkInput, PatchTrack
from avscli.errors import DataError

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

    A clip of padding alone, which published protocols score, is zeros.

    Args:
        clips: B clips of the same T and frame size.
        spec: what the network expects.

    Returns:
        The batch and the levels of its windows.

    Raises:
        ValueError: the clips differ in shape.
        DataError: the network hears other patches than the clips hold in place of sound.
    """
    valid = np.stack([clip.valid for clip in clips])
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips]))
    heard = [_heard(clip, spec) for clip in clips]
    levels = np.full(valid.shape, -np.inf)
    levels[valid] = np.concatenate([each.levels_dbfs for each in heard])
    patch_shape = FRONT_ENDS[spec.log_mel].patch_shape
    log_mel = torch.zeros(*valid.shape, 1 + len(spec.sound_offsets_seconds), *patch_shape)
    log_mel[torch.from_numpy(valid)] = torch.cat([each.log_mel for each in heard])
    inputs = NetworkInput(
        frames=_filled(normalised(frames, spec), valid, spec.padding),
        log_mel=_filled(log_mel, valid, spec.padding),
        valid=torch.from_numpy(valid),
    )
    return PreparedBatch(inputs, levels)


class _Heard(NamedTuple):
    """The sound of a clip's valid steps.

    Attributes:
        log_mel: [n, 1 + S, ·, ·] float32, each step's own patch and those around it.
        levels_dbfs: [n] float64 of each step's own window.
    """

    log_mel: Tensor
    levels_dbfs: NDArray[np.float64]


def _heard(clip: Clip, spec: NetworkSpec) -> _Heard:
    offsets = np.array((0.0, *spec.sound_offsets_seconds))
    front_end = FRONT_ENDS[spec.log_mel]
    if not clip.analysed:  # MKL has no transform of nothing
        return _Heard(torch.zeros(0, len(offsets), *front_end.patch_shape), np.zeros(0))
    times = np.array([frame.stamp.pts_seconds for frame in clip.analysed])
    moments = np.add.outer(times, offsets)
    if isinstance(clip.audio, PatchTrack):
        log_mel = _stored_log_mel(clip.audio.taken(clip.audio.nearest(moments.ravel())), spec)
        levels_dbfs = clip.audio.levels_dbfs[clip.audio.nearest(times)]
    else:
        windows = centred_windows(clip.audio, moments.ravel())
        log_mel = front_end.of_windows(windows)
        levels_dbfs = level_dbfs(windows[:: len(offsets)])
    return _Heard(log_mel.reshape(-1, len(offsets), *front_end.patch_shape), levels_dbfs)


def _stored_log_mel(sound: PatchTrack, spec: NetworkSpec) -> Tensor:
    """Return the patches [N, 1, ·, ·] of stored sound that a network takes."""
    if spec.log_mel == "vggish":
        return torch.from_numpy(sound.log_mel)
    if sound.windows is None:
        raise DataError(
            "the data hold VGGish's log-mel patches in place of sound, and this network hears "
            "finer ones",
            hint="use a copy with recordings (.wav), or a network of VGGish's patches",
        )
    return FRONT_ENDS[spec.log_mel].of_windows(sound.windows)


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
        repeats = padding == "repeat_last" and of_clip.any()
        last = int(np.flatnonzero(of_clip)[-1]) if repeats else 0
        clip[torch.from_numpy(~of_clip)] = clip[last].clone() if repeats else steps.new_zeros(())
    return steps
