"""Small networks with random weights, for tests that need any network at all."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avscli.audio.front_end import FRONT_ENDS
from avscli.checkpoints import save_checkpoint
from avscli.datatypes import LogMel, NetworkInput, NetworkSpec
from avscli.networks.pcmanet.network import PCMANet
from avscli.networks.registry import build_network
from tests.builders import drawn_frame

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

# One small network of every registered kind, for what all of them promise.
SPEC_OF_NETWORK = {
    "ama": dataclasses.replace(
        TINY_SPEC,
        network="ama",
        log_mel="efficientat",
        architecture={
            "backbone": "mobilenet_v2",
            "audio_encoder": "mobile_tagger",
            "channels": 16,
            "heads": 4,
            "groups": 4,
        },
    ),
    "avesformer": dataclasses.replace(
        TINY_SPEC,
        network="avesformer",
        log_mel="efficientat",
        architecture={
            "backbone": "mobilenet_v2",
            "audio_encoder": "mobile_tagger",
            "channels": 16,
            "heads": 4,
            "prompts": 8,
        },
    ),
    "c3n": dataclasses.replace(
        TINY_SPEC,
        network="c3n",
        log_mel="efficientat",
        architecture={
            "variant": "corrected",
            "backbone": "mobilenet_v2",
            "audio_encoder": "mobile_tagger",
            "channels": 16,
            "picture_classes": "person,dog,train",
        },
    ),
    "pcmanet": TINY_SPEC,
    "tpavi": dataclasses.replace(
        TINY_SPEC,
        network="tpavi",
        log_mel="efficientat",
        architecture={
            "variant": "corrected",
            "backbone": "mobilenet_v2",
            "audio_encoder": "mobile_tagger",
            "channels": 16,
        },
    ),
    "catr": dataclasses.replace(
        TINY_SPEC,
        network="catr",
        log_mel="efficientat",
        architecture={
            "variant": "corrected",
            "backbone": "mobilenet_v2",
            "audio_encoder": "mobile_tagger",
            "channels": 64,
            "heads": 4,
            "feed_forward": 96,
            "queries": 6,
            "dropout": 0.1,
        },
    ),
}


def make_network(spec: NetworkSpec = TINY_SPEC) -> PCMANet:
    torch.manual_seed(0)
    network = build_network(spec)
    assert isinstance(network, PCMANet)
    return network.eval()


def make_any(spec: NetworkSpec) -> nn.Module:
    """Return any network in evaluation mode, whose random parameters all say something.

    What starts as a zero would pass no gradient on, and encoders without norms fade with depth.
    """
    torch.manual_seed(0)
    network = build_network(spec)
    assert isinstance(network, nn.Module)
    for name, module in network.named_modules():
        if name.startswith("audio_encoder.") and isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def make_inputs(
    B: int = 2,
    T: int = 3,
    size_hw: tuple[int, int] = (64, 64),
    *,
    log_mel: LogMel = "vggish",
) -> NetworkInput:
    draw = torch.Generator().manual_seed(7)
    return NetworkInput(
        frames=torch.randn(B, T, 3, *size_hw, generator=draw),
        log_mel=torch.randn(B, T, 1, *FRONT_ENDS[log_mel].patch_shape, generator=draw) - 2.0,
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


def save_marking(path: Path, spec: NetworkSpec = TINY_SPEC, **options: Any) -> Path:
    """Save a tiny random checkpoint whose masks are neither empty nor full and return its path."""
    network = make_network(spec)
    last = network.heads[0][-1]  # an affine map to the finest logits; nothing else reads them
    height, width = TINY_SPEC.frame_size_hw
    picture = torch.from_numpy(drawn_frame(5, (height, width))).permute(2, 0, 1)
    inputs = NetworkInput(
        frames=(picture / 127.5 - 1.0).expand(1, 3, -1, -1, -1).contiguous(),
        log_mel=torch.full((1, 3, 1, 96, 64), -2.0),
        valid=torch.ones(1, 3, dtype=torch.bool),
    )
    with torch.inference_mode():
        logits = network(inputs).logits
    scale = 3.0 / logits.std()
    last.weight.data *= scale
    last.bias.data = (last.bias.data - logits.median()) * scale
    return save_tiny(path, network, **options)
