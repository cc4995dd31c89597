"""Published checkpoints into ours: the only way a pickled file gets in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from avscli.checkpoints import save_checkpoint
from avscli.errors import OutputError, UsageError
from avscli.networks.backbones.vggish import load_audioset_vggish
from avscli.networks.published import load_published, unused_keys
from avscli.networks.registry import build_network
from avscli.networks.state_dicts import read_state_dict

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from avscli.networks.backbones.vggish import VGGish
    from avscli.networks.contract import AVSNetwork

CLIP_LENGTHS = (5, 10)  # S4 and MS3, AVSS


def convert_official(
    source: Path, target: Path, *, clip_length: int, vggish: Path | None, overwrite: bool
) -> list[str]:
    """Write a published checkpoint as one of ours, whole or not at all.

    Args:
        source: the state dict the authors' training saved; read without unpickling code.
        target: the .safetensors file to write.
        clip_length: 5 or 10.
        vggish: state dict of VGGish, which published checkpoints do not contain; None writes a
            checkpoint that takes embeddings only.
        overwrite: replace an existing target.

    Returns:
        The source's keys that were left out, since the published network never uses them.

    Raises:
        UsageError: another clip length, or a target of another kind.
        OutputError: the target exists or cannot be written.
        WeightsError: a source is unreadable.
        CheckpointMismatchError: a source's tensors are not those of the published network.
    """
    if clip_length not in CLIP_LENGTHS:
        raise UsageError(f"--clip-length is 5 (S4, MS3) or 10 (AVSS), got {clip_length}")
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} must end in .safetensors")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists", hint="add --overwrite to replace it")
    published = read_state_dict(source)
    network = load_published(published, clip_length=clip_length)
    if vggish is not None:
        network = _with_vggish(network, vggish)
    info = {
        "name": target.stem,
        "spec": network.spec,
        "trained_on": ["unknown: converted from a published-format checkpoint"],
        "scores": {},
        "licence": "that of the source file",
        "source": f"converted from {source.name}",
    }
    save_checkpoint(target, network.state_dict(), info)
    return unused_keys(published)


def _with_vggish(network: AVSNetwork, path: Path) -> AVSNetwork:
    spec = network.spec
    hearing = replace(spec, architecture={**spec.architecture, "audio_encoder": "vggish"})
    whole = build_network(hearing)
    module = cast("nn.Module", whole)
    load_audioset_vggish(cast("VGGish", module.audio_encoder), read_state_dict(path))
    module.load_state_dict(whole.state_dict() | network.state_dict())
    return whole
