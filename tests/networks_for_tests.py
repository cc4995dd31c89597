"""Small networks with random weights, for tests that need any network at all."""

from pathlib import Path
from typing import Any

import torch

from avscli.checkpoints import save_checkpoint
from avscli.datatypes import NetworkInput, NetworkSpec
from avscli.networks.pcmanet.network import PCMANet
from avscli.networks.registry import build_network

TINY_SPEC = NetworkSpec(
    network="pcmanet",
    task="binary",
    clip_length=3,
    seconds_per_step=1.0,
    frame_size_hw=(64, 64),
    pixel_mean=(0.5, 0.5, 0.5),
    pixel_std=(0.5, 0.5, 0.5),
    resize_mode="keep_aspect",
    num_classes=1,
    class_names=("sounding_object",),
    padding="repeat_last",
    architecture={
        "variant": "corrected",
        "backbone": "mobilenet_v2",
        "audio_encoder": "mobile_audio",
        "channels": 32,
        "avga_heads": 4,
        "qsca_heads": 4,
        "null_audio_token": True,
    },
)


def make_network(spec: NetworkSpec = TINY_SPEC) -> PCMANet:
    torch.manual_seed(0)
    network = build_network(spec)
    assert isinstance(network, PCMANet)
    return network.eval()


def make_inputs(B: int = 2, T: int = 3, size_hw: tuple[int, int] = (64, 64)) -> NetworkInput:
    draw = torch.Generator().manual_seed(7)
    return NetworkInput(
        frames=torch.randn(B, T, 3, *size_hw, generator=draw),
        log_mel=torch.randn(B, T, 1, 96, 64, generator=draw) - 2.0,
        valid=torch.ones(B, T, dtype=torch.bool),
    )


def save_tiny(path: Path, network: PCMANet | None = None, **options: Any) -> Path:
    """Save a tiny checkpoint with complete metadata, as `save_checkpoint` does; return its path."""
    network = network or make_network()
    info = {
        "name": path.stem,
        "spec": network.spec,
        "trained_on": ["nothing"],
        "scores": {"nothing": 0.0},
        "licence": "none",
        "source": "random weights",
    }
    save_checkpoint(path, network.state_dict(), info, **options)
    return path
