"""Join what a sound side learned with what its tagger knows: fit the numbers of `TagEvidence`.

On recordings that were not trained on, each alone and in couples, with the makers that are known:
the five numbers with the least cross-entropy. Tags may not speak against what they name, so their
weights are squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from avscli.audio.front_end import FRONT_ENDS
from avscli.datasets.avsmix import loudest_window
from avscli.media.stills import read_waveform
from avscli.training.couples.augment import REFERENCE_DBFS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from avscli.networks.pcmanet.network import PCMANet
    from avscli.training.couples.further_sounds import FurtherSound

_NUM_COUPLES = 300
_WINDOWS_PER_PASS = 64
_MOST_ITERATIONS = 200
_LEAST_PROBABILITY = 1e-6
_START = (1.0, 0.1, 0.0, 1.0, 0.0)  # a, √d, c, √b, e


@torch.no_grad()
def fit_tags(network: PCMANet, sounds: Sequence[FurtherSound], *, seed: int) -> None:
    """Fit, in place, how a network joins learned names and tags.

    Does nothing to a network without a tagger.

    Args:
        network: its sound side is trained.
        sounds: recordings that it was not trained on; those of unknown makers do not count.
        seed: of the couples.
    """
    agreement, encoder = network.agreement, network.audio_encoder
    if agreement is None or encoder is None or agreement.sound.evidence is None:
        return
    network.eval()
    naming, evidence = agreement.sound, agreement.sound.evidence
    known = [sound for sound in sounds if sound.makers is not None]
    windows, truth = _windows(known, network.spec.source_classes, np.random.default_rng(seed))
    of_windows = FRONT_ENDS[network.spec.log_mel].of_windows
    device = evidence.tags.device
    parts = torch.split(windows, _WINDOWS_PER_PASS)
    embedding = torch.cat([encoder(of_windows(part).to(device)) for part in parts])
    own, rival = evidence.own_and_rival(encoder.tags(embedding))  # type: ignore[operator]
    is_named = evidence.makers.any(dim=0)
    said = naming.of_recordings(embedding), own, rival, truth.to(device)
    a, d, c, b, e = _fitted(*(part[:, is_named].cpu() for part in said))
    evidence.recordings.copy_(torch.tensor((a, d, c)))
    evidence.tags.copy_(torch.tensor((b, e)))
    network.train()


def _windows(
    sounds: Sequence[FurtherSound], source_classes: Sequence[str], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return [N, 15600] windows of recordings and of couples, and [N, K] who makes them."""
    loudest = np.stack([loudest_window(read_waveform(sound.audio)) for sound in sounds])
    level = np.sqrt(np.mean(np.square(loudest), axis=1, keepdims=True))
    alone = loudest * np.float32(10 ** (REFERENCE_DBFS / 20)) / np.maximum(level, 1e-6)
    makers = np.array(
        [[name in (sound.makers or ()) for name in source_classes] for sound in sounds], np.float32
    )
    heard = np.flatnonzero(makers.any(axis=1))
    couples = heard[rng.integers(0, max(1, len(heard)), (_NUM_COUPLES if len(heard) else 0, 2))]
    windows = np.concatenate((alone, alone[couples].sum(axis=1)))
    truth = np.concatenate((makers, makers[couples].max(axis=1)))
    return torch.from_numpy(windows.clip(-1.0, 1.0)), torch.from_numpy(truth)


def _fitted(learned: Tensor, own: Tensor, rival: Tensor, truth: Tensor) -> tuple[float, ...]:
    """Return a, d, c, b, e of `TagEvidence` with the least cross-entropy."""
    roots = torch.tensor(_START, requires_grad=True)
    optimizer = torch.optim.LBFGS([roots], max_iter=_MOST_ITERATIONS, line_search_fn="strong_wolfe")

    def numbers() -> tuple[Tensor, ...]:
        a, d, c, b, e = roots
        return a, d.square(), c, b.square(), e

    def loss() -> Tensor:
        optimizer.zero_grad()
        a, d, c, b, e = numbers()
        either = torch.stack((a * learned + d * (own - rival) + c, b * own + e))
        log_neither = F.logsigmoid(-either).sum(dim=0)
        log_either = torch.log(-torch.expm1(log_neither.clamp_max(-_LEAST_PROBABILITY)))
        value = -(truth * log_either + (1.0 - truth) * log_neither).sum() / len(truth)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return tuple(number.item() for number in numbers())
