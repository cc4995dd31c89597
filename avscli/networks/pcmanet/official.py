"""Run the authors' PCMANet checkpoints with the numbers their code gives.

The published networks take embeddings of VGGish (128-d, after its last ReLU, without PCA), which
is not part of their checkpoints, and clips of a fixed length that is not stored in them either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avscli.errors import UsageError
from avscli.networks.pcmanet.adapter import build
from avscli.networks.pcmanet.remap import PublishedForm, infer_form, read_published, to_our_keys
from avscli.networks.published import published_spec
from avscli.networks.state_dicts import read_state_dict

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.datatypes import NetworkSpec
    from avscli.networks.pcmanet.network import PCMANet

STRIDE = 32  # of the coarsest stage; frame sides must be multiples of it


@dataclass(frozen=True, slots=True, eq=False)
class OfficialOutput:
    """What the published networks return, for a batch of clips.

    Attributes:
        logits: stages 1 … 4 (finest first), each [B, T, C, H, W] float32 at the frames' size.
        selected: [3] share of query positions that stages 4, 3, 2 selected, over the batch.
    """

    logits: list[Tensor]
    selected: Tensor


class OfficialPCMANet(nn.Module):
    """A published PCMANet, in evaluation mode.

    Attributes:
        network: our network of the ``official`` variant, without an audio encoder; its state
            dict and ``spec`` are what a converted checkpoint holds.
    """

    def __init__(self, network: PCMANet) -> None:
        super().__init__()
        self.network = network
        self.eval()

    @property
    def spec(self) -> NetworkSpec:
        """What the network expects and promises."""
        return self.network.spec

    @torch.inference_mode()
    def forward_stages(
        self, frames: Tensor, audio: Tensor, valid: Tensor | None = None
    ) -> OfficialOutput:
        """Segment clips exactly as the published code does.

        Args:
            frames: [B, T, 3, H, W] float32, normalised by ImageNet mean and standard deviation;
                the published code takes 224 × 224 only, here any multiple of 32 runs.
            audio: [B, T, 128] float32 VGGish embeddings.
            valid: [B, T] bool, False for the padded steps of the 71-class form, whose features
                and embeddings count as zero; the binary forms know no padding and ignore it.
                None says that every step is real.

        Raises:
            UsageError: T is not the network's clip length, or shapes do not fit together.
        """
        self._require_shapes(frames, audio, valid)
        if valid is None:
            valid = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        output = self.network.forward_embeddings(frames, audio, valid.bool())
        size = frames.shape[-2:]
        return OfficialOutput(
            logits=[_resize(logits, size) for logits in output.stage_logits],
            selected=output.selected.mean(dim=(0, 1)),
        )

    def _require_shapes(self, frames: Tensor, audio: Tensor, valid: Tensor | None) -> None:
        T = self.spec.clip_length
        if frames.ndim != 5 or frames.shape[1] != T or frames.shape[2] != 3:
            raise UsageError(
                f"frames must be [B, {T}, 3, H, W], got {list(frames.shape)}",
                hint=f"the network was loaded with clip_length={T}",
            )
        H, W = frames.shape[-2:]
        if H % STRIDE or W % STRIDE:
            raise UsageError(
                f"frame sides must be multiples of {STRIDE}, got {H}×{W}",
                hint="the published networks were trained at 224×224",
            )
        steps = frames.shape[:2]
        features = self.network.audio_projection.in_features
        if audio.shape != (*steps, features) or (valid is not None and valid.shape != steps):
            got = [list(audio.shape)] + ([] if valid is None else [list(valid.shape)])
            raise UsageError(
                f"audio must be {[*steps, features]} and valid {list(steps)}, got {got}",
                hint="one embedding and one flag belong to every frame",
            )


def load_official(
    state_dict_or_path: Mapping[str, Tensor] | str | Path, *, clip_length: int
) -> OfficialPCMANet:
    """Load a published PCMANet checkpoint; task and picture encoder are told from its keys.

    Args:
        state_dict_or_path: the authors' state dict, or the file it was saved to, which is read
            without unpickling any code.
        clip_length: T, the steps of a clip: 5 for the S4 and MS3 forms, 10 for AVSS.

    Raises:
        WeightsError: the file cannot be read or holds no state dict.
        CheckpointMismatchError: naming the first published key that is missing, unexpected, or
            of another shape.
    """
    if isinstance(state_dict_or_path, Mapping):
        state = state_dict_or_path
    else:
        state = read_state_dict(state_dict_or_path)
    return OfficialPCMANet(load_published(state, clip_length=clip_length))


def load_published(state: Mapping[str, Tensor], *, clip_length: int) -> PCMANet:
    """Fill our network of the ``official`` variant from a published state dict.

    Raises:
        CheckpointMismatchError: as `load_official`.
    """
    published = read_published(state)
    network = build(official_spec(infer_form(published), clip_length))
    own = network.state_dict()
    network.load_state_dict(own | to_our_keys(published, network), strict=True)
    return network


def official_spec(form: PublishedForm, clip_length: int) -> NetworkSpec:
    """Describe a published form as a spec of the ``official`` variant."""
    return published_spec(
        "pcmanet",
        num_classes=form.num_classes,
        clip_length=clip_length,
        architecture={
            "backbone": form.backbone,
            "channels": form.channels,
            "avga_heads": form.avga_heads,
            "qsca_heads": 8,
            "null_audio_token": False,
        },
    )


def _resize(logits: Tensor, size: torch.Size) -> Tensor:
    """Resize [B, T, C, h, w] logits bilinearly, half-pixel centres."""
    B, T, *_ = logits.shape
    resized = F.interpolate(logits.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
    return resized.reshape(B, T, *resized.shape[1:])
