"""Masked attention of the official variant against a literal gather, attend, scatter."""

import numpy as np
import pytest
import torch

from avscli.networks.pcmanet.modules import QuerySelectedCrossAttention
from tests.parity import rule

CHANNELS, HEADS, T, CLIPS, SIDE = 256, 8, 5, 2, 7
SEED = 3
KINDS = ("random", "clip0_empty", "clip1_empty", "all_empty", "all_full", "one_query")


@pytest.fixture(scope="module")
def attention() -> QuerySelectedCrossAttention:
    part = QuerySelectedCrossAttention(
        CHANNELS, heads=HEADS, official=True, null_audio_token=False, returns_audio=True
    )
    shapes = {key: tuple(value.shape) for key, value in part.state_dict().items()}
    arrays = rule.rule_state_dict(shapes, SEED)
    part.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    return part.eval()


def attend_literally(
    part: QuerySelectedCrossAttention, pixels: np.ndarray, sound: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Visit the selected pixels one by one, in float64: [B·T, N, C] tokens after attention."""
    weights = {key: value.double().numpy() for key, value in part.state_dict().items()}

    def linear(name: str, values: np.ndarray) -> np.ndarray:
        return values @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)

    def normalise(values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * weights["norm.weight"] + weights["norm.bias"]

    tokens = linear("visual_in", pixels.reshape(len(pixels), CHANNELS, -1).transpose(0, 2, 1))
    keys_values = linear("audio_key_value", normalise(linear("audio_in", sound)))
    queries = linear("visual_query", normalise(tokens))
    attended = np.zeros_like(tokens)
    width = CHANNELS // HEADS
    for frame, position in np.argwhere(mask.reshape(len(mask), -1)):
        clip = slice(frame // T * T, frame // T * T + T)
        for head in range(HEADS):
            part_of = slice(head * width, (head + 1) * width)
            keys = keys_values[clip, :CHANNELS][:, part_of]
            scores = keys @ queries[frame, position, part_of] / np.sqrt(width)
            shares = np.exp(scores - scores.max())
            values = keys_values[clip, CHANNELS:][:, part_of]
            attended[frame, position, part_of] = shares / shares.sum() @ values
    return tokens + linear("out", attended)


@pytest.mark.parametrize("kind", KINDS)
def test_dense_attention_equals_visiting_each_selected_pixel(
    attention: QuerySelectedCrossAttention, kind: str
) -> None:
    pixels, sound = rule.qsca_unit(SEED, CLIPS * T, SIDE)
    mask = rule.qsca_unit_mask(SEED, CLIPS * T, SIDE, T, kind) > 0
    with torch.inference_mode():
        guide, _ = attention(
            torch.from_numpy(pixels),
            torch.from_numpy(sound),
            (SIDE, SIDE),
            torch.ones(CLIPS, T, dtype=torch.bool),
            torch.from_numpy(mask).flatten(1),
        )
    tokens = attend_literally(attention, pixels.astype(np.float64), sound, mask)
    # Published memory order: tokens [N, h·w, C] are read as [N, C, h, w] without a transpose.
    expected = tokens.reshape(CLIPS * T, CHANNELS, SIDE, SIDE)
    np.testing.assert_allclose(guide.numpy(), expected, rtol=0, atol=2e-5)


def test_selecting_everything_equals_no_mask(attention: QuerySelectedCrossAttention) -> None:
    pixels, sound = (torch.from_numpy(a) for a in rule.qsca_unit(SEED, CLIPS * T, SIDE))
    valid = torch.ones(CLIPS, T, dtype=torch.bool)
    everything = torch.ones(CLIPS * T, SIDE * SIDE, dtype=torch.bool)
    with torch.inference_mode():
        masked, _ = attention(pixels, sound, (SIDE, SIDE), valid, everything)
        free, _ = attention(pixels, sound, (SIDE, SIDE), valid, None)
    torch.testing.assert_close(masked, free, rtol=0, atol=2e-6)
