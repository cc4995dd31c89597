"""From the published CATR checkpoint's key names to ours.

One form was published: S4 with PVT-v2-b5. Key names are facts needed to open such files; none of
the published code is used here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from avscli.networks.catr.adapter import build
from avscli.networks.published import backbone_key, published_spec, telling_size
from avscli.networks.state_dicts import require_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from avscli.datatypes import NetworkSpec
    from avscli.networks.catr.network import CATR

SOURCE = "the published CATR state dict"
# Stored but never executed, or with a result that nothing reads: the first level's convolutions, a
# decoder of TPAVI's, fusion outside the layers, a convolution inside every fusion, and what the
# sounds become after the last layer.
DEAD_KEYS = re.compile(
    r"conv1\.|path[1-4]\.|fusion_module\.|transformer\.temporal_encoder\.(av|va)_atten\."
    r"|.*\.(av|va)_atten\.vid_embed_proj\.|transformer\.temporal_encoder\.layers\.2\.va_atten\."
)
_HEADS = 8  # a literal of the published code; no tensor tells it
_UPSAMPLING = 2  # 224 × 224 frames, enlarged by the data loader
_NAMES = (
    (r"^levels\.(\d)\.branches\.", lambda found: f"conv{int(found[1]) + 2}.conv2d_list."),
    (r"^picture_tokens\.", "vid_embed_proj."),
    (r"^sound_tokens\.0\.", "transformer.audio_proj.fc."),
    (r"^sound_tokens\.1\.", "transformer.audio_proj.layer_norm."),
    (r"^spatial\.", "transformer.spatial_encoder.layers."),
    (r"^temporal\.gates\.", "transformer.temporal_encoder.attention_feature.0."),
    (r"^temporal\.join\.0\.", "transformer.temporal_encoder.output1."),
    (r"^temporal\.join\.1\.", "transformer.temporal_encoder.output2."),
    (r"^temporal\.", "transformer.temporal_encoder."),
    (r"^decoder\.queries$", "obj_queries.weight"),
    (r"^decoder\.", "transformer.decoder."),
    (r"^pixels\.blocks\.(\d)\.0\.", lambda found: f"spatial_decoder.lay{int(found[1]) + 1}."),
    (r"^pixels\.blocks\.(\d)\.1\.", lambda found: f"spatial_decoder.gn{int(found[1]) + 1}."),
    (r"^pixels\.deep\.", "spatial_decoder.adapter1."),
    (r"^pixels\.middle\.", "spatial_decoder.adapter2."),
    (r"^pixels\.out\.", "spatial_decoder.out_lay."),
    (r"^score\.", "is_referred_head."),
    (r"^kernel\.(\d)\.", lambda found: f"instance_kernels_head.layers.{int(found[1]) // 2}."),
    (r"\.within\.", "."),
    (r"\.picture_asks\.", ".av_atten.multihead_attn."),
    (r"\.sound_asks\.", ".va_atten.multihead_attn."),
    (r"\.memory_attention\.", ".multihead_attn."),
    (r"\.attention\.", ".self_attn."),
    (r"\.feed_forward\.0\.", ".linear1."),
    (r"\.feed_forward\.3\.", ".linear2."),
)  # fmt: skip


def load_published(state: Mapping[str, Tensor], *, clip_length: int) -> CATR:
    """Fill our ``official`` variant from a published state dict; its sizes are told from it.

    Args:
        state: without the wrapper's prefix.
        clip_length: T, the steps of a clip; published: 5.

    Raises:
        CheckpointMismatchError: naming the first published key that is missing, unexpected, or of
            another shape.
    """
    published = {key: value for key, value in state.items() if not DEAD_KEYS.match(key)}
    network = build(_spec_of(published, clip_length))
    own = network.state_dict()
    names = {key: published_key(key) for key in own}
    expected = {names[key]: tuple(value.shape) for key, value in own.items()}
    require_shapes(published, expected, source=SOURCE)
    found = {key: published[name] for key, name in names.items() if name in published}
    network.load_state_dict(own | found, strict=True)
    return network.eval()


def published_key(key: str) -> str:
    """Return the published name of one of our keys.

    >>> published_key("temporal.layers.1.sound_asks.out_proj.bias")
    'transformer.temporal_encoder.layers.1.va_atten.multihead_attn.out_proj.bias'
    """
    part, rest = key.split(".", 1)
    if part == "backbone":
        return backbone_key(rest, "pvt_v2_b5")
    for pattern, name in _NAMES:
        key = re.sub(pattern, name, key)
    return key


def _spec_of(published: Mapping[str, Tensor], clip_length: int) -> NetworkSpec:
    feed_forward = "transformer.spatial_encoder.layers.0.linear1.weight"
    return published_spec(
        "catr",
        num_classes=1,
        clip_length=clip_length,
        architecture={
            "backbone": "pvt_v2_b5",
            "channels": telling_size(published, "vid_embed_proj.weight", SOURCE),
            "heads": _HEADS,
            "feed_forward": telling_size(published, feed_forward, SOURCE),
            "queries": telling_size(published, "obj_queries.weight", SOURCE),
            "dropout": 0.1,
            "upsampling": _UPSAMPLING,
        },
    )
