"""Log-mel of the EfficientAT taggers, computed from sound at 16 kHz.

The published front end takes 32 kHz: pre-emphasis, centred STFT of 1024 points (hop 320, symmetric
Hann window of 800), power, 128 triangles on the mel scale from 0 to 15 kHz, logarithm. Sound that
was brought up from 16 kHz has nothing above 8 kHz, and below that every bin of a 512-point STFT at
16 kHz is half the one at 32 kHz. So the same numbers come from half of the samples; the bands
above 8 kHz say "nothing".

Source: Schmid et al., "Efficient Large-scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", arXiv 2211.04772, section 4, and its published settings.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MEL_BANDS = 128
HOP_SAMPLES = 160
PATCH_FRAMES = 1 + WINDOW_SAMPLES // HOP_SAMPLES
_FFT_SIZE = 512
_FRAME_SAMPLES = 400
_PUBLISHED_RATE_HZ = 2 * SAMPLE_RATE_HZ
_HIGHEST_HZ = 15_000.0
_PRE_EMPHASIS = 0.97
_LOG_OFFSET = 1e-5
_MEAN, _SPREAD = -4.5, 5.0  # of the logarithms, as published


def window_fine_log_mel(windows: Tensor | NDArray[np.float32]) -> Tensor:
    """Turn windows of 0.975 s into fine log-mel patches.

    Args:
        windows: [..., 15600] float32 in [-1, 1], mono, 16 kHz.

    Returns:
        [..., 1, 128, 98] float32 on the windows' device: bands by frames, about −1.4 … 2.

    Raises:
        ValueError: the last dimension is not 15 600.
    """
    samples = torch.as_tensor(windows)
    if samples.shape[-1] != WINDOW_SAMPLES:
        raise ValueError(f"windows must be [..., {WINDOW_SAMPLES}], got {tuple(samples.shape)}")
    return fine_log_mel(samples).unsqueeze(-3)


def fine_log_mel(samples: Tensor) -> Tensor:
    """Turn sound into fine log-mel.

    Args:
        samples: [..., N] float32 in [-1, 1], mono, 16 kHz, N > 256.

    Returns:
        [..., 128, 1 + N // 160] float32.
    """
    window, mel_matrix = _constants(samples.device)
    spectrum = torch.stft(
        samples.reshape(-1, samples.shape[-1]).float(),
        _FFT_SIZE,
        HOP_SAMPLES,
        _FRAME_SAMPLES,
        window,
        return_complex=True,
    )
    mel = mel_matrix @ torch.view_as_real(spectrum).square().sum(dim=-1)
    scaled = ((mel + _LOG_OFFSET).log() - _MEAN) / _SPREAD
    return scaled.reshape(*samples.shape[:-1], *scaled.shape[-2:])


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the [400] window, every second value of the published one, and the mel matrix."""
    published = np.arange(0, 2 * _FRAME_SAMPLES, 2) / (2 * _FRAME_SAMPLES - 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * published)
    return (
        torch.from_numpy(window.astype(np.float32)).to(device),
        torch.from_numpy(mel_matrix().astype(np.float32)).to(device),
    )


def mel_matrix() -> NDArray[np.float64]:
    """Return the [128, 257] weights from powers at 16 kHz to the published mel bands.

    They hold the pre-emphasis, and the factor 4 between the powers at the two rates.
    """
    hertz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, _FFT_SIZE // 2 + 1)
    edges = np.linspace(0.0, _mel(_HIGHEST_HZ), MEL_BANDS + 2)[:, None]
    bins = _mel(hertz)[None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    angles = 2 * np.pi * hertz / _PUBLISHED_RATE_HZ
    emphasis = 1 + _PRE_EMPHASIS**2 - 2 * _PRE_EMPHASIS * np.cos(angles)
    return np.asarray(4.0 * triangles * emphasis)


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """HTK mel scale: 1127 ln(1 + f / 700)."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))
