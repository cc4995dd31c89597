"""VGGish log-mel patches: the only sound any of our networks hears.

    16 kHz samples ──▶ 25 ms frames every 10 ms ──▶ |FFT| ──▶ 64 mel bands ──▶ log(x + 0.01)
    15 600 samples  =  96 frames  =  one patch [1, 96, 64];  silence is ln 0.01 = −4.605 everywhere

Source: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SIZE = 512
MEL_BANDS = 64
MEL_LOWEST_HZ = 125.0
MEL_HIGHEST_HZ = 7500.0
LOG_OFFSET = 0.01
PATCH_FRAMES = 96


def log_mel_patches(waveform: Tensor | NDArray[np.float32]) -> Tensor:
    """Cut a waveform into consecutive VGGish patches, without padding.

    Args:
        waveform: [N] float32 in [-1, 1], mono, 16 kHz.

    Returns:
        [n, 1, 96, 64] float32 on the waveform's device; patch k covers samples
        15 360 k … 15 360 k + 15 599. n is 0 below 15 600 samples.

    Raises:
        ValueError: the waveform is not one-dimensional.
    """
    samples = torch.as_tensor(waveform)
    if samples.ndim != 1:
        raise ValueError(f"waveform must be [N] mono, got shape {tuple(samples.shape)}")
    if len(samples) < FRAME_SAMPLES:
        return samples.new_zeros((0, 1, PATCH_FRAMES, MEL_BANDS), dtype=torch.float32)
    bands = _log_mel(samples)
    patches = len(bands) // PATCH_FRAMES
    return bands[: patches * PATCH_FRAMES].reshape(patches, 1, PATCH_FRAMES, MEL_BANDS)


def window_log_mel(windows: Tensor | NDArray[np.float32]) -> Tensor:
    """Turn windows of exactly one patch into log-mel patches.

    Args:
        windows: [..., 15600] float32 in [-1, 1], mono, 16 kHz.

    Returns:
        [..., 1, 96, 64] float32 on the windows' device.

    Raises:
        ValueError: the last dimension is not 15 600.
    """
    samples = torch.as_tensor(windows)
    if samples.shape[-1] != WINDOW_SAMPLES:
        raise ValueError(f"windows must be [..., {WINDOW_SAMPLES}], got {tuple(samples.shape)}")
    return _log_mel(samples).unsqueeze(-3)


def _log_mel(samples: Tensor) -> Tensor:
    """[..., N] samples to [..., 1 + (N − 400) // 160, 64] log-mel, float32."""
    window, mel_matrix = _constants(samples.device)
    frames = samples.to(torch.float32).unfold(-1, FRAME_SAMPLES, HOP_SAMPLES) * window
    magnitudes = torch.fft.rfft(frames, n=FFT_SIZE).abs()
    return torch.log(magnitudes @ mel_matrix + LOG_OFFSET)


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the [400] window and the [257, 64] mel matrix, float32 on `device`."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)
    return (
        torch.from_numpy(hann.astype(np.float32)).to(device),
        torch.from_numpy(mel_matrix().astype(np.float32)).to(device),
    )


def mel_matrix() -> NDArray[np.float64]:
    """Return the [257, 64] weights from FFT magnitudes to mel bands.

    Triangles are straight lines in mel, not in hertz, and the DC bin feeds no band.
    """
    edges = np.linspace(_mel(MEL_LOWEST_HZ), _mel(MEL_HIGHEST_HZ), MEL_BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    bins = _mel(np.linspace(0.0, SAMPLE_RATE_HZ / 2, FFT_SIZE // 2 + 1))[:, None]
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    weights: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """HTK mel scale: 1127 ln(1 + f / 700)."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))
