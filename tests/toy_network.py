"""The smallest network that hears and sees: what somebody would add first, in one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avscli.datatypes import CheckpointInfo, NetworkInput, NetworkOutput, NetworkSpec
from avscli.networks.losses import Supervision, stage_losses


class Toy(nn.Module):
    """Two convolutions at a quarter of the size; loudness shifts what they say.

    Args:
        spec: ``architecture`` names ``channels``; with ``own_losses``, large logits cost as well.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.checkpoint: CheckpointInfo | None = None
        channels = int(spec.architecture["channels"])
        self.backbone = nn.Conv2d(3, channels, 5, stride=4, padding=2)
        self.audio_encoder = nn.Linear(1, channels)
        self.head = nn.Conv2d(channels, spec.num_classes, 3, padding=1)
        self.kept = nn.Parameter(torch.full((1,), 0.5), requires_grad=False)

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        B, T = inputs.valid.shape
        seen = self.backbone(inputs.frames.flatten(0, 1)).relu()
        heard = self.audio_encoder(inputs.log_mel[:, :, 0].mean(dim=(2, 3)).flatten()[:, None])
        logits = self.head(seen + self.kept * heard[:, :, None, None])
        return NetworkOutput(
            (logits.float().unflatten(0, (B, T)),), logits.new_zeros(B, T, 0, dtype=torch.float32)
        )


class ToyWithOwnLosses(Toy):
    """The same, which learns to be modest, too."""

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        output = self(inputs)
        modesty = output.logits[truth.labelled].square().mean(dim=(1, 2, 3)).sum()
        return stage_losses(output, truth) | {"modesty": modesty}


def build(spec: NetworkSpec) -> Toy:
    """Build one with fresh weights."""
    return ToyWithOwnLosses(spec) if spec.architecture.get("own_losses") else Toy(spec)
