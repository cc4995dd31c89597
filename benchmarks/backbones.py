"""The published PCMANet with PVT-v2-b5 on one clip: the plain algorithm against ours as it runs.

    python benchmarks/backbones.py [--rounds 5] [--threads 2]

The plain side is written out here from the paper and what is known of its code, over the weights
of our network: attention by matrix products, batch norms by themselves, everything copied between
tokens and maps. Ours runs as `avs` runs it, batch norms folded and weights in channels_last, in
float32 and bfloat16. Prints CPU milliseconds of the whole and of the backbone alone, in runs made
in turn, their ratio to the plain side, and how far the four logits are apart.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from setting import describe, show, table
from torch import Tensor, nn

from avscli.networks.backbones.pvt_v2 import Block, PyramidVisionTransformer
from avscli.networks.folding import fold_batch_norms
from avscli.networks.pcmanet.adapter import build
from avscli.networks.pcmanet.modules import (
    AudioVisualGroupAttention,
    GuidedFusion,
    QuerySelectedCrossAttention,
)
from avscli.networks.pcmanet.network import PCMANet
from avscli.networks.pcmanet.official import OfficialPCMANet, official_spec
from avscli.networks.pcmanet.remap import PublishedForm

FORM = PublishedForm(backbone="pvt_v2_b5", channels=256, avga_heads=8, num_classes=1)
T, SIDE = 5, 224
CONFIDENT = 0.99


def plain_attention(block: Block, x: Tensor, h: int, w: int) -> Tensor:
    attention = block.attn
    N, L, C = x.shape
    heads = attention.num_heads
    query = attention.q(x).reshape(N, L, heads, C // heads).permute(0, 2, 1, 3)
    source = x
    if attention.reduction > 1:
        maps = attention.sr(x.permute(0, 2, 1).reshape(N, C, h, w))
        source = attention.norm(maps.reshape(N, C, -1).permute(0, 2, 1))
    pairs = attention.kv(source).reshape(N, -1, 2, heads, C // heads).permute(2, 0, 3, 1, 4)
    key, value = pairs[0], pairs[1]
    weights = (query @ key.transpose(-2, -1) * (C // heads) ** -0.5).softmax(dim=-1)
    mixed: Tensor = attention.proj((weights @ value).transpose(1, 2).reshape(N, L, C))
    return mixed


def plain_feed_forward(block: Block, x: Tensor, h: int, w: int) -> Tensor:
    hidden = block.mlp.fc1(x)
    N, _, C = hidden.shape
    maps = block.mlp.dwconv.dwconv(hidden.transpose(1, 2).view(N, C, h, w))
    moved: Tensor = block.mlp.fc2(F.gelu(maps.flatten(2).transpose(1, 2)))
    return moved


def plain_backbone(backbone: PyramidVisionTransformer, frames: Tensor) -> list[Tensor]:
    maps, found = frames, []
    for number in range(1, 5):
        embedding = backbone.get_submodule(f"patch_embed{number}")
        maps = embedding.proj(maps)  # type: ignore[operator]
        N, C, h, w = maps.shape
        x = embedding.norm(maps.flatten(2).transpose(1, 2))  # type: ignore[operator]
        for block in backbone.get_submodule(f"block{number}").children():
            assert isinstance(block, Block)
            x = x + plain_attention(block, block.norm1(x), h, w)
            x = x + plain_feed_forward(block, block.norm2(x), h, w)
        x = backbone.get_submodule(f"norm{number}")(x)
        maps = x.reshape(N, h, w, C).permute(0, 3, 1, 2).contiguous()
        found.append(maps)
    return found


def plain_avga(part: AudioVisualGroupAttention, maps: Tensor, sound: Tensor) -> Tensor:
    heard = F.normalize(part.audio(sound), dim=-1)[:, :, None, None]
    groups = part.group(maps).chunk(part.heads, dim=1)
    weighted = [g * (F.normalize(g, dim=1) * heard).sum(dim=1, keepdim=True) for g in groups]
    mixed: Tensor = part.mix(torch.cat(weighted, dim=1))
    return mixed


def plain_qsca(
    part: QuerySelectedCrossAttention, maps: Tensor, sound: Tensor, side: int, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attend within one clip; `mask` [T, side, side] chooses the queries."""
    heads, size = part.heads, maps.shape[-2:]
    pooled = F.adaptive_avg_pool2d(maps, side)
    tokens = part.visual_in(pooled.flatten(2).transpose(1, 2))
    told = part.audio_in(sound)[:, None]
    both = torch.cat((told, tokens), dim=1)  # [T, 1 + N, C]
    normed = part.norm(both)
    heard, seen = normed[:, 0], normed[:, 1:].flatten(0, 1)
    C = seen.shape[-1]
    scale = (C // heads) ** -0.5

    def per_head(x: Tensor) -> Tensor:
        return x.reshape(-1, heads, C // heads).transpose(0, 1)  # [heads, ·, d]

    key, value = (per_head(x) for x in part.audio_key_value(heard).chunk(2, dim=-1))
    chosen = slice(None) if mask is None else torch.nonzero(mask.flatten())[:, 0]
    query = per_head(part.visual_query(seen[chosen]))
    asked = ((query @ key.transpose(-2, -1) * scale).softmax(dim=-1) @ value).transpose(0, 1)
    answers = seen.clone()
    answers[chosen] = asked.reshape(-1, C)
    if mask is not None:
        answers = answers * mask.flatten()[:, None]
    back = told[:, 0]
    if part.returns_audio:  # stage 1's weights for it are not kept: nothing reads what they give
        seen_key, seen_value = (per_head(x) for x in part.visual_key_value(seen).chunk(2, dim=-1))
        question = per_head(part.audio_query(heard))
        said = (question @ seen_key.transpose(-2, -1) * scale).softmax(dim=-1) @ seen_value
        back = back + part.out(said.transpose(0, 1).reshape(-1, C))
    tokens = tokens + part.out(answers).reshape(tokens.shape)
    guide = tokens.reshape(len(maps), C, side, side)  # as published, without a transpose
    return F.interpolate(guide, size=size, mode="bilinear"), back


def plain_fusion(
    part: GuidedFusion, local: Tensor, coarser: Tensor | None, guide: Tensor
) -> Tensor:
    size = local.shape[-2:]
    total = local
    if coarser is not None and part.coarser is not None:
        total = total + part.coarser(F.interpolate(coarser, size=size, mode="bilinear"))
    fused: Tensor = part.merge(total + part.guide(F.interpolate(guide, size=size, mode="bilinear")))
    return fused


def plain_mask(logits: Tensor, coarser: Tensor | None) -> Tensor:
    confidence = logits[:, 0].sigmoid()
    mask = ((confidence <= CONFIDENT) & (confidence >= 1 - CONFIDENT)).float()
    if coarser is None:
        return mask
    return mask * F.interpolate(coarser[:, None], size=mask.shape[-2:], mode="nearest")[:, 0]


def plain_decoder(network: PCMANet, maps: list[Tensor], audio: Tensor) -> list[Tensor]:
    features = [project(m) for project, m in zip(network.project, maps, strict=True)]
    sound = network.audio_projection(audio)
    token, fused, mask = sound, None, None
    logits: list[Tensor] = []
    for i in (3, 2, 1, 0):
        local = plain_avga(network.avga[i], features[i], sound)  # type: ignore[arg-type]
        side = features[min(i + 1, 3)].shape[-1]
        guide, token = plain_qsca(network.qsca[i], local, token, side, mask)  # type: ignore[arg-type]
        fused = plain_fusion(network.fusion[i], local, fused, guide)  # type: ignore[arg-type]
        logits.insert(0, network.heads[i](fused))
        if i > 0:
            mask = plain_mask(logits[0], mask)
    return [F.interpolate(x, size=(SIDE, SIDE), mode="bilinear") for x in logits]


def make_network() -> PCMANet:
    """Return the published form with random weights whose masks are neither empty nor full."""
    torch.manual_seed(0)
    network = build(official_spec(FORM, T)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
    return network


def cpu_milliseconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000.0 * (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    plain, network = make_network(), make_network()
    fold_batch_norms(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours = OfficialPCMANet(network)
    draw = torch.Generator().manual_seed(1)
    frames = torch.randn(1, T, 3, SIDE, SIDE, generator=draw)
    audio = torch.rand(1, T, 128, generator=draw)

    def published(frames: Tensor, audio: Tensor) -> list[Tensor]:
        assert isinstance(plain.backbone, PyramidVisionTransformer)
        return plain_decoder(plain, plain_backbone(plain.backbone, frames[0]), audio[0])

    def run(*, fast: bool) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            return [x[0] for x in ours.forward_stages(frames, audio).logits]

    def see(*, fast: bool) -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            return network.backbone(frames[0])

    backbone = plain.backbone
    assert isinstance(backbone, PyramidVisionTransformer)
    works: dict[str, dict[str, Callable[[], object]]] = {
        "all": {
            "plain": lambda: published(frames, audio),
            "float32": lambda: run(fast=False),
            "bfloat16": lambda: run(fast=True),
        },
        "backbone": {
            "plain": lambda: plain_backbone(backbone, frames[0]),
            "float32": lambda: see(fast=False),
            "bfloat16": lambda: see(fast=True),
        },
    }
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    with torch.inference_mode():
        expected = published(frames, audio)
        exact, rounded = run(fast=False), run(fast=True)
        for _ in range(arguments.rounds):
            for part, sides in works.items():
                for side, work in sides.items():
                    times[part, side].append(cpu_milliseconds(work))
    rows: list[list[object]] = []
    for part, sides in works.items():
        told = {side: median(times[part, side]) for side in sides}
        rows += [[f"{part}, {side}", ms, ms / told["plain"]] for side, ms in told.items()]
    apart = {
        name: [float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)]
        for name, found in {"float32": exact, "bfloat16": rounded}.items()
    }
    largest = [float(x.abs().max()) for x in expected]
    header = ("one clip of 5 frames", "CPU ms", "ratio")
    facts = {"setting": describe(), "rows": rows, "logits_apart": apart, "largest_logits": largest}
    show(facts, table(header, rows))


if __name__ == "__main__":
    main()
