"""Extension of rule.py for TPAVI, CATR and C3N: own code, numpy only.

rule.py is used unchanged.  This file adds only what it refuses or would make degenerate:

1. ``*.in_proj_weight`` / ``*.in_proj_bias`` of multi-head attention: rule.py knows only names that
   end in ``.weight`` / ``.bias``.  They are drawn from the stream of their own key, like any other
   2-D weight (sqrt(2/fan_in) N) and bias (0.02 N).
2. GAINS: a table of multipliers, applied after rule.py's value, by network and key.
3. inputs that the first three networks did not need (clip length flags, tag logits, similarity).
"""

import re

import numpy as np

from tests.parity import rule

# network -> [(regular expression on the whole key, multiplier)]; the first match wins.
# Why: with multiplier 1 the audio branch is 20 to 60 times larger than the residual it is added to
# (a wrong residual would not be seen), and nearly every logit is positive.
_W_Z = 0.03
GAINS = {
    "tpavi": [
        (r"tpavi_b[1-4]\.W_z\.1\.weight", _W_Z),
        (r"output_conv\.4\.weight", 1.0),
    ],
    # rule.py alone makes the 50 queries nearly equal (masks correlate by 0.99999), saturates the
    # gates, takes the PReLU slope, which has one dimension, for a norm's weight near 1, and lets
    # the products of the temporal encoder grow so that float32 and float64 differ visibly.
    "catr": [
        (r"obj_queries\.weight", 11.0),
        (r"transformer\.decoder\.layers\.[0-2]\.multihead_attn\.in_proj_weight", 1.6),
        (r"transformer\.decoder\.layers\.[0-2]\.multihead_attn\.out_proj\.weight", 3.0),
        (r"is_referred_head\.weight", 2.0),
        (
            r"transformer\.temporal_encoder\.layers\.[0-2]\.av_atten\.multihead_attn\.out_proj\.weight",
            0.5,
        ),
        (
            r"transformer\.temporal_encoder\.layers\.[0-2]\.va_atten\.multihead_attn\.out_proj\.weight",
            0.4,
        ),
        (r"transformer\.temporal_encoder\.attention_feature\.0\.weight", 0.15),
        (r"transformer\.temporal_encoder\.output[12]\.2\.weight", 0.25),
    ],
    "c3n": [
        (r"tpavi_[1-4]\.W_z\.1\.weight", 0.15),
    ],
}
# 4-D weights that get zero mean over each output channel (before the multiplier) although their
# fan_in is below rule.py's 64.
CENTRED = r"output_conv\.4\.weight"


def tensor(network, key, shape, seed, is_norm):
    shape = tuple(int(s) for s in shape)
    if key.endswith(".in_proj_weight"):
        a = np.sqrt(2.0 / shape[1]) * rule.stream(seed, key).standard_normal(shape)
        a = a.astype(np.float32)
    elif key.endswith(".in_proj_bias"):
        a = (0.02 * rule.stream(seed, key).standard_normal(shape)).astype(np.float32)
    else:
        a = rule.rule_tensor(key, shape, seed, is_norm)
    if re.fullmatch(CENTRED, key):
        a = a.astype(np.float64) - a.astype(np.float64).mean(axis=(1, 2, 3), keepdims=True)
        a = a.astype(np.float32)
    for pattern, gain in GAINS[network]:
        if re.fullmatch(pattern, key):
            return (a * np.float32(gain)).astype(a.dtype)
    return a


def state_dict(network, keys_shapes, seed):
    """{key: numpy array} for every published key."""
    out = {}
    for key, shape in keys_shapes.items():
        w = key.rsplit(".", 1)[0] + ".weight"
        is_norm = w in keys_shapes and len(keys_shapes[w]) == 1
        out[key] = tensor(network, key, shape, seed, is_norm)
    return out


def tag_logits(seed, batch, t):
    """AudioSet logits before any softmax [batch*t, 527]."""
    return np.concatenate(
        [
            2.0 * rule.stream(seed, f"input.tags.{b}.{t}").standard_normal((t, 527))
            for b in range(batch)
        ]
    ).astype(np.float32)


def similarity(seed):
    """label similarity [1000, 527]: cosine-like, mostly positive, a few negative."""
    return np.clip(
        0.25 + 0.12 * rule.stream(seed, "input.similarity").standard_normal((1000, 527)), -1.0, 1.0
    ).astype(np.float32)


def flags_avss(batch, t=10, real=5):
    """[batch, t] float32: clip 0 has ``real`` true frames, further clips are complete."""
    f = np.ones((batch, t), np.float32)
    f[0, real:] = 0.0
    return f
