from pathlib import Path

import pytest
import torch

from avscli.errors import CheckpointMismatchError, UsageError, WeightsError
from avscli.networks.backbones.resnet import ResNet
from avscli.training.networks.registry import training_of
from avscli.training.start import StartWeights, start_encoder
from tests.networks_for_tests import make_network, save_tiny


def tiny_resnet(seed: int) -> ResNet:
    torch.manual_seed(seed)
    return ResNet((1, 1, 1, 1))


def test_an_imagenet_file_fills_the_encoder(tmp_path: Path) -> None:
    source, target = tiny_resnet(1), tiny_resnet(2)
    published = {**source.state_dict(), "fc.weight": torch.ones(3, 3), "fc.bias": torch.ones(3)}
    torch.save(published, tmp_path / "resnet.pth")
    start_encoder(target, tmp_path / "resnet.pth")
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


def test_weights_of_another_network_are_named_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"blocks.0.weight": torch.ones(2)}, path)
    with pytest.raises(CheckpointMismatchError, match=r"other\.pth: .* does not fit: missing"):
        start_encoder(tiny_resnet(1), path)


def test_a_file_that_is_no_state_dict_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.pth"
    path.write_text("hello")
    with pytest.raises(WeightsError, match=r"cannot read .*notes\.pth"):
        start_encoder(tiny_resnet(1), path)


def test_a_checkpoint_of_ours_fills_the_whole_network(tmp_path: Path) -> None:
    source = make_network()
    path = save_tiny(tmp_path / "tiny.safetensors", source)
    target = make_network()
    for parameter in target.parameters():
        parameter.data += 1.0
    training_of(target).start(StartWeights(checkpoint=str(path)), freezes_audio=True)
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (StartWeights(), "needs --start-audio FILE"),
        (StartWeights(backbone=Path("a"), checkpoint="b"), "brings both encoders"),
    ],
)
def test_starts_that_do_not_go_together_are_refused(start: StartWeights, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        training_of(make_network()).start(start, freezes_audio=True)
