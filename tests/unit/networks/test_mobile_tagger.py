"""The tagger against its published numbers, where its weights lie beside the project."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avscli.errors import CheckpointMismatchError
from avscli.networks.backbones.mobile_tagger import MobileTagger, load_audioset_tagger
from avscli.networks.state_dicts import read_state_dict
from tests.unit.audio.test_fine_log_mel import published

INIT = Path(__file__).parents[4] / "shared" / "data" / "init"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return dict(read_state_dict(INIT / "mn04_audioset.safetensors"))


@pytest.mark.shared
@pytest.mark.parametrize("recording", ["dog_bark", "speech"])
def test_embedding_and_tags_are_the_published_ones(
    state: dict[str, torch.Tensor], recording: str
) -> None:
    tagger = MobileTagger().eval()
    load_audioset_tagger(tagger, state)
    with np.load(INIT / "mn04_reference.npz") as stored:
        waveform = stored[f"{recording}_waveform"].astype(np.float64)
        mel, embedding, logits = (
            stored[f"{recording}_{part}"] for part in ("mel_sub", "embedding", "logits")
        )
    log_mel = published(waveform)
    np.testing.assert_allclose(log_mel[::8, ::10], mel, rtol=0.0, atol=1e-4)
    with torch.inference_mode():
        ours = tagger(torch.from_numpy(log_mel.astype(np.float32))[None, None])
        tags = tagger.tags(ours)
    np.testing.assert_allclose(ours[0, :384].numpy(), embedding, rtol=0.0, atol=1e-4)
    np.testing.assert_allclose(tags[0].numpy(), logits, rtol=0.0, atol=1e-3)


@pytest.mark.shared
def test_weights_that_lack_a_layer_are_refused_by_its_name(state: dict[str, torch.Tensor]) -> None:
    lacking = {key: value for key, value in state.items() if key != "classifier.5.weight"}
    with pytest.raises(CheckpointMismatchError, match=r"missing: names\.weight"):
        load_audioset_tagger(MobileTagger(), lacking)


@pytest.mark.parametrize(
    ("frames", "middle"), [(32, slice(0, 1)), (98, slice(1, 3)), (300, slice(3, 7))]
)
def test_the_second_half_of_an_embedding_is_the_mean_over_the_middle_of_the_patch(
    frames: int, middle: slice
) -> None:
    tagger = MobileTagger().eval()
    maps: list[torch.Tensor] = []
    drawn = torch.Generator().manual_seed(0)

    def draw(_layer: torch.nn.Module, _inputs: object, outputs: torch.Tensor) -> torch.Tensor:
        maps.append(torch.randn(outputs.shape, generator=drawn))  # random weights give hardly any
        return maps[-1]

    tagger.last.register_forward_hook(draw)
    with torch.inference_mode():
        embedding = tagger(torch.zeros(2, 1, 128, frames))
    (map_,) = maps
    expected = torch.cat((map_.mean(dim=(2, 3)), map_[..., middle].mean(dim=(2, 3))), dim=1)
    assert embedding.shape == (2, MobileTagger.num_features)
    torch.testing.assert_close(embedding, expected)
