"""Log-mel patches against the numbers of the published front end (data/README.md)."""

from pathlib import Path

import numpy as np
import pytest

from avscli.audio.log_mel import log_mel_patches, window_log_mel

REFERENCE = Path(__file__).parent / "data" / "log_mel_seed1.npz"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def test_a_16_khz_signal_gives_the_published_patches(reference: dict[str, np.ndarray]) -> None:
    waveform = reference["w16m_int16"].astype(np.float32) / 32768
    np.testing.assert_allclose(
        log_mel_patches(waveform).numpy(), reference["w16m_logmel"], rtol=0, atol=1e-4
    )


def test_a_resampled_signal_gives_the_published_patches(reference: dict[str, np.ndarray]) -> None:
    patches = log_mel_patches(reference["w441s_resampled_f32_first_2s"]).numpy()
    np.testing.assert_allclose(patches, reference["w441s_logmel_first_2s"], rtol=0, atol=1e-4)


def test_a_window_gives_the_published_patch_it_covers(reference: dict[str, np.ndarray]) -> None:
    waveform = reference["w16m_int16"].astype(np.float32) / 32768
    windows = np.stack([waveform[15360 * k :][:15600] for k in range(5)])
    np.testing.assert_allclose(
        window_log_mel(windows).numpy(), reference["w16m_logmel"], rtol=0, atol=1e-4
    )
