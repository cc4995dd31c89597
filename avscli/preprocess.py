"""Clips to network input: the one way pixels and sound reach a network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from avscli.audio.front_end import FRONT_ENDS
from avscli.audio.loudness import level_dbfs, lowest_dbfs
from avscli.audio.windows import (
    HALF_WINDOW_SAMPLES,
    TICKS_PER_SECOND,
    centred_windows,
    nearest_ticks,
)
from avscli.config import SILENCE_DBFS
from avscli.datatypes import SAMPLE_RATE_HZ, NetworkInput, PatchTrack
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set

    from numpy.typing import NDArray
    from torch import Tensor

    from avscli.datatypes import AnalysedFrame, Clip, NetworkSpec, Padding

    SoundEncoder = Callable[[Tensor], Tensor]
    """From log-mel patches [N, 1, ·, ·] float32 to embeddings [N, D] float32, on the CPU."""


_WINDOWS_PER_PASS = 32


@dataclass(frozen=True, slots=True, eq=False)
class PreparedBatch:
    """Clips as a network takes them, with what the network does not see.

    Attributes:
        inputs: the batch, on the CPU.
        levels_dbfs: [B, T] float64 level of the sound around each step: of its window, or of the
            quietest half of it that holds all the step stands for; -inf for digital silence and
            for padding.
    """

    inputs: NetworkInput
    levels_dbfs: NDArray[np.float64]


def prepare(
    clips: Sequence[Clip],
    spec: NetworkSpec,
    sound: EncodedSound | None = None,
    *,
    looks_at_all: bool = True,
) -> PreparedBatch:
    """Normalise pixels and turn the sound around every frame into a log-mel patch.

    What the clips' padding steps hold does not matter; they are filled as the spec says:
    ``repeat_last`` copies the last valid step, ``zeros_with_flag`` leaves zeros in both network
    inputs. Zero is a loud value in log-mel, not silence; networks trained that way expect it.

    A clip of padding alone, which published protocols score, is zeros.

    Args:
        clips: B clips of the same T and frame size.
        spec: what the network expects.
        sound: of the file that the clips are from, when its windows are to be encoded here, each
            once; without it the batch holds their patches.
        looks_at_all: have the network look at every step; else it is told which ones are silent.

    Returns:
        The batch and the levels of its windows.

    Raises:
        ValueError: the clips differ in shape.
        DataError: the network hears other patches than the clips hold in place of sound.
    """
    unseen = prepare_unseen(clips, spec, sound, looks_at_all=looks_at_all)
    return replace(unseen, inputs=with_pictures(unseen.inputs, clips, spec))


def prepare_unseen(
    clips: Sequence[Clip],
    spec: NetworkSpec,
    sound: EncodedSound | None = None,
    *,
    looks_at_all: bool = False,
) -> PreparedBatch:
    """Prepare clips as `prepare` does, with zeros that take no room in place of pictures."""
    valid = np.stack([clip.valid for clip in clips])
    moments = (sound or _Patches(spec)).heard(clips)
    levels = np.full(valid.shape, -np.inf)
    levels[valid] = np.concatenate([_levels_dbfs(clip) for clip in clips])
    steps = moments.new_zeros(*valid.shape, *moments.shape[1:])
    steps[torch.from_numpy(valid)] = moments
    steps = _filled(steps, valid, spec.padding)
    none = torch.zeros(*valid.shape, 0, *FRONT_ENDS[spec.log_mel].patch_shape)
    inputs = NetworkInput(
        frames=torch.zeros(()).expand(len(clips), *clips[0].frames.shape),
        log_mel=steps if sound is None else none,
        valid=torch.from_numpy(valid),
        embeddings=None if sound is None else steps,
        silent=None if looks_at_all else torch.from_numpy(levels < SILENCE_DBFS),
    )
    return PreparedBatch(inputs, levels)


def with_pictures(inputs: NetworkInput, clips: Sequence[Clip], spec: NetworkSpec) -> NetworkInput:
    """Return what `prepare_unseen` made of clips, or of more, with the pictures of these."""
    frames = normalised(torch.from_numpy(np.stack([clip.frames for clip in clips])), spec)
    valid = np.stack([clip.valid for clip in clips])
    return replace(inputs, frames=_filled(frames, valid, spec.padding))


class EncodedSound:
    """The windows of one file's sound as embeddings, each encoded once.

    Frames a second apart hear mostly the same windows: around each are those of the spec's
    ``sound_offsets_seconds``. What lies before the clips at hand is forgotten, so memory does not
    grow; clips come in time order, up to a clip's own length.

    Args:
        encoder: of the network.
        spec: of the network.
    """

    def __init__(self, encoder: SoundEncoder, spec: NetworkSpec) -> None:
        self._encoder, self._spec = encoder, spec
        self._known: dict[int, Tensor] = {}
        self._of_silence: Tensor | None = None

    def heard(self, clips: Sequence[Clip]) -> Tensor:
        """Return what the n valid steps of clips hear, [n, 1 + S, D] embeddings.

        Many windows are encoded at once, in a fifth of the time that they take one by one;
        embeddings are the same but for rounding.
        """
        windows: dict[int, NDArray[np.float32]] = {}
        for clip in clips:
            windows |= self._windows_of(clip, self._known.keys() | windows.keys())
        ticks = list(windows)
        for i in range(0, len(ticks), _WINDOWS_PER_PASS):
            self._encode({tick: windows[tick] for tick in ticks[i : i + _WINDOWS_PER_PASS]})
        moments = [_moments_of(clip, self._spec) for clip in clips]
        heard = [self._known[tick] for each in moments for tick in each.ravel().tolist()]
        self._forget_before(int(moments[-1].min()))
        return torch.stack(heard).reshape(-1, moments[0].shape[1], heard[0].shape[-1])

    def _windows_of(self, clip: Clip, known: Set[int]) -> dict[int, NDArray[np.float32]]:
        """Return what a clip hears, by tick in rising order, but for what is known."""
        assert not isinstance(clip.audio, PatchTrack), "files have sound, not patches"
        ticks = sorted(set(_moments_of(clip, self._spec).ravel().tolist()) - known)
        if not ticks:
            return {}
        windows = centred_windows(clip.audio, np.array(ticks) / TICKS_PER_SECOND)
        return dict(zip(ticks, windows, strict=True))

    def _encode(self, windows_of: Mapping[int, NDArray[np.float32]]) -> None:
        sounding = {tick: window for tick, window in windows_of.items() if window.any()}
        if sounding:
            self._known |= zip(sounding, self._embedded([*sounding.values()]), strict=True)
        for tick in windows_of.keys() - sounding.keys():  # as before and after every file
            if self._of_silence is None:
                self._of_silence = self._embedded([windows_of[tick]])[0]
            self._known[tick] = self._of_silence

    def _embedded(self, windows: Sequence[NDArray[np.float32]]) -> Tensor:
        return self._encoder(FRONT_ENDS[self._spec.log_mel].of_windows(np.stack(windows)))

    def _forget_before(self, first: int) -> None:
        interleaved = self._spec.clip_length * self._spec.seconds_per_step * TICKS_PER_SECOND
        self._known = {k: v for k, v in self._known.items() if k >= first - interleaved}


def _moments_of(clip: Clip, spec: NetworkSpec) -> NDArray[np.int64]:
    """Return [n, 1 + S] the ticks at which the n valid steps of a clip hear."""
    times = np.array([frame.stamp.pts_seconds for frame in clip.analysed], np.float64)
    offsets = nearest_ticks((0.0, *spec.sound_offsets_seconds))
    return np.add.outer(nearest_ticks(times), offsets)


def _levels_dbfs(clip: Clip) -> NDArray[np.float64]:
    """Return [n] the levels of the valid steps of a clip."""
    times = np.array([step.stamp.pts_seconds for step in clip.analysed], np.float64)
    if isinstance(clip.audio, PatchTrack):
        return clip.audio.levels_dbfs[clip.audio.nearest(times)]
    windows = centred_windows(clip.audio, times)
    return np.array(
        [_level_dbfs(*each) for each in zip(clip.analysed, windows, strict=True)], np.float64
    )


def _level_dbfs(step: AnalysedFrame, window: NDArray[np.float32]) -> float:
    if step.stands_for is None:
        return float(level_dbfs(window))
    before, after = (HALF_WINDOW_SAMPLES + round(s * SAMPLE_RATE_HZ) for s in step.stands_for)
    held = max(before, 0), min(after, len(window))
    return float(lowest_dbfs(window, HALF_WINDOW_SAMPLES, held))


class _Patches(NamedTuple):
    """The sound of clips as log-mel patches, every one computed where it is heard."""

    spec: NetworkSpec

    def heard(self, clips: Sequence[Clip]) -> Tensor:
        """Return what the n valid steps of clips hear, [n, 1 + S, ·, ·] patches."""
        return torch.cat([self._of_clip(clip) for clip in clips])

    def _of_clip(self, clip: Clip) -> Tensor:
        moments = _moments_of(clip, self.spec)
        front_end = FRONT_ENDS[self.spec.log_mel]
        if not clip.analysed:  # MKL has no transform of nothing
            return torch.zeros(*moments.shape, *front_end.patch_shape)
        seconds = moments / TICKS_PER_SECOND
        if isinstance(clip.audio, PatchTrack):
            stored = clip.audio.taken(clip.audio.nearest(seconds.ravel()))
            log_mel = _stored_log_mel(stored, self.spec)
        else:
            log_mel = front_end.of_windows(centred_windows(clip.audio, seconds.ravel()))
        return log_mel.reshape(*moments.shape, *front_end.patch_shape)


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
