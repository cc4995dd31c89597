"""The same pictures with other sounds: muted, shifted, or a sound that nothing visible makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from avscli.audio.log_mel import window_log_mel
from avscli.datatypes import VOID, WINDOW_SAMPLES, PatchTrack
from avscli.evaluation.network.samples import Altered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.datasets.contract import LabelledSet
    from avscli.datatypes import AudioTrack

SHIFT_STEPS = 2  # one second each


def altered_clips(data: LabelledSet) -> Iterator[Altered]:
    """Read the clips in which something visible sounds, and change their sound.

    Only clips of several steps with stored patches are shifted: of a single picture's sound there
    is no other moment.
    """
    for index, foreign in enumerate(data.foreign_sounds()):
        clip = data.read(index)
        if not (clip.targets[(clip.targets != VOID)] > 0).any():
            continue
        others = {"muted": replace(clip, sound=_silence(clip.sound))}
        if isinstance(clip.sound, PatchTrack):
            others["shifted"] = replace(clip, sound=_shifted(clip.sound))
        if foreign is not None:
            others["swapped"] = replace(clip, sound=foreign)
        yield Altered(clip, others)


def _silence(sound: AudioTrack | PatchTrack) -> AudioTrack | PatchTrack:
    if not isinstance(sound, PatchTrack):
        return replace(sound, samples=np.zeros_like(sound.samples))
    windows = np.zeros((len(sound.log_mel), WINDOW_SAMPLES), np.float32)
    return PatchTrack(window_log_mel(windows).numpy(), np.full(len(windows), -np.inf), windows)


def _shifted(sound: PatchTrack) -> PatchTrack:
    """Return the sound later by two steps, what falls off the end coming first."""
    return sound.taken(np.roll(np.arange(len(sound.log_mel)), SHIFT_STEPS))
