"""Deterministic weights and inputs for comparing two implementations of one network.

Own code (numpy only).  Every array is drawn from its own PCG64 stream whose seed is
the first 8 bytes (little endian) of sha256("<seed>:<name>"), so arrays do not depend on
the order in which they are made.  Draws are float64 and are then rounded to float32.
"""

import hashlib

import numpy as np


def stream(seed, name):
    h = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(h[:8], "little")))


# multipliers of the He standard deviation: first suffix/pattern that matches wins
def weight_gain(key, shape):
    parts = key.split(".")
    if parts[0].startswith("output_conv") and key.endswith(".3.weight"):
        return GAIN_HEAD_1 if shape[0] == 1 else GAIN_HEAD_N
    return 1.0


GAIN_HEAD_1 = 3.5  # last 1x1 conv of a head with one output channel
GAIN_HEAD_N = 8.0  # the same with many output channels
GAIN_BN3 = 0.3  # last norm of a bottleneck ("*.bn3.weight", "*.bn3.bias")


def rule_tensor(key, shape, seed, is_norm):
    """float32 array for one state-dict entry. is_norm: '<prefix>.weight' has one dimension."""
    g = stream(seed, key)
    shape = tuple(int(s) for s in shape)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_mean"):
        a = 0.1 * g.standard_normal(shape)
    elif key.endswith("running_var"):
        a = g.uniform(0.5, 1.5, shape)
    elif key.endswith("pca_eigen_vectors"):
        a = 0.25 * g.standard_normal(shape)
    elif key.endswith("pca_means"):
        a = 0.1 * g.standard_normal(shape)
    elif is_norm:
        if key.endswith(".weight"):
            a = 1.0 + 0.1 * g.standard_normal(shape)
        else:
            a = 0.1 * g.standard_normal(shape)
        if ".bn3." in key:
            a = a * GAIN_BN3
    elif key.endswith(".bias"):
        a = 0.02 * g.standard_normal(shape)
    elif key.endswith(".weight"):
        fan_in = int(np.prod(shape[1:]))
        a = g.standard_normal(shape)
        if len(shape) == 4 and fan_in >= 64:  # every output channel gets zero-mean weights
            a = a - a.mean(axis=(1, 2, 3), keepdims=True)
        a = weight_gain(key, shape) * np.sqrt(2.0 / fan_in) * a
    else:
        raise KeyError(key)
    return a.astype(np.float32)


def rule_state_dict(keys_shapes, seed):
    """keys_shapes: {key: shape}. Returns {key: numpy array} (float32; int64 for counters)."""
    out = {}
    for key, shape in keys_shapes.items():
        w = key.rsplit(".", 1)[0] + ".weight"
        is_norm = w in keys_shapes and len(keys_shapes[w]) == 1
        out[key] = rule_tensor(key, shape, seed, is_norm)
    return out


def _rep(a, k):
    return np.repeat(np.repeat(a, k, axis=-2), k, axis=-1)


def frames(seed, batch, t):
    """normalised frames [batch*t, 3, 224, 224]; clip b is the same for every batch size."""
    clips = []
    for b in range(batch):
        prefix = f"input.frames.{b}.{t}"
        coarse = stream(seed, f"{prefix}.coarse").standard_normal((t, 3, 7, 7))
        mid = stream(seed, f"{prefix}.mid").standard_normal((t, 3, 28, 28))
        fine = stream(seed, f"{prefix}.fine").standard_normal((t, 3, 224, 224))
        clips.append(1.0 * _rep(coarse, 32) + 0.5 * _rep(mid, 8) + 0.25 * fine)
    return np.concatenate(clips).astype(np.float32)


def audio(seed, batch, t):
    """non-negative audio features [batch*t, 128]."""
    clips = [stream(seed, f"input.audio.{b}.{t}").standard_normal((t, 128)) for b in range(batch)]
    return np.maximum(np.concatenate(clips), 0.0).astype(np.float32)


def logmel(seed, n):
    """synthetic log-mel patches [n, 1, 96, 64]."""
    g = stream(seed, "input.logmel")
    return (-1.5 + 1.5 * g.standard_normal((n, 1, 96, 64))).astype(np.float32)


def qsca_unit(seed, bt, size_in):
    """inputs of one stand-alone attention module: x [bt,256,size_in,size_in], a [bt,256]."""
    x = stream(seed, f"unit.x.{bt}.{size_in}").standard_normal((bt, 256, size_in, size_in))
    a = stream(seed, f"unit.a.{bt}").standard_normal((bt, 256))
    return x.astype(np.float32), a.astype(np.float32)


def qsca_unit_mask(seed, bt, size, t, kind):
    """mask [bt,1,size,size] of 0/1 for one attention call (bt = batch * t)."""
    draws = stream(seed, f"unit.mask.{bt}.{size}").random((bt, 1, size, size))
    m = (draws < 0.4).astype(np.float32)
    if kind == "random":
        pass
    elif kind == "clip0_empty":
        m[:t] = 0
    elif kind == "clip1_empty":
        m[t : 2 * t] = 0
    elif kind == "all_empty":
        m[:] = 0
    elif kind == "all_full":
        m[:] = 1
    elif kind == "one_query":
        m[:] = 0
        m[1, 0, 2, 3] = 1
    else:
        raise KeyError(kind)
    return m


METRIC_CASES = 20


def metric_case(i, seed=7):
    """(logits, target), both float32 [N,H,W]; targets are 0/1."""
    n, h = 5, 64
    if i == 18:
        n = 1
    if i == 19:
        n, h = 3, 224
    g = stream(seed, f"metric.{i}")
    yy, xx = np.mgrid[0:h, 0:h].astype(np.float64) / h
    tgt = np.zeros((n, h, h))
    lg = np.zeros((n, h, h))
    for k in range(n):
        cx, cy, r = g.uniform(0.25, 0.75), g.uniform(0.25, 0.75), g.uniform(0.1, 0.35)
        d = (xx - cx) ** 2 + (yy - cy) ** 2
        tgt[k] = d < r * r
        dx, dy = 0.1 * g.standard_normal(2)
        d2 = np.sqrt((xx - cx - dx) ** 2 + (yy - cy - dy) ** 2)
        lg[k] = 20.0 * (r - d2) + (0.5 + 0.3 * (i % 4)) * g.standard_normal((h, h))
    if i == 8:
        tgt[:] = 0
    elif i == 9:
        tgt[:2] = 0
    elif i == 10:
        tgt[:] = 1
    elif i == 11:
        lg[:] = -10 - np.abs(lg)
    elif i == 12:
        tgt[:] = 0
        lg[:] = -10
    elif i == 13:
        tgt[:] = 0
        lg[:] = 10
    elif i == 14:
        tgt[:] = 1
        lg[:] = 10
    elif i == 15:
        lg[:] = 0
    elif i == 16:
        lg *= 100
    elif i == 17:
        tgt[:] = 0
        tgt[:, 10, 20] = 1
    return lg.astype(np.float32), tgt.astype(np.float32)


AVSS_CASES = 6


def avss_metric_case(i, seed=7, classes=71, n=10, h=32):
    """(logits float32 [n,classes,h,h], labels int64 [n,h,h])."""
    g = stream(seed, f"avss.{i}")
    lab = np.zeros((n, h, h), np.int64)
    for k in range(n):
        for c in g.integers(0, classes, 3):
            y, x, s = g.integers(0, h - 8), g.integers(0, h - 8), g.integers(4, 12)
            lab[k, y : y + s, x : x + s] = c
    lg = g.standard_normal((n, classes, h, h))
    hit = (g.random((n, h, h)) < 0.7) * 4.0
    np.put_along_axis(lg, lab[:, None], np.take_along_axis(lg, lab[:, None], 1) + hit[:, None], 1)
    if i == 1:
        lab[5:] = 0
    elif i == 2:
        lab[:] = 0
    elif i == 3:
        lg[:] = 0
        lg[:, 70] = 5
    elif i == 4:
        lab[:] = 70
        lg[:] = 0
        lg[:, 0] = 5
    elif i == 5:
        lg = np.round(lg)  # many ties: the lowest class index wins
    return lg.astype(np.float32), lab


def waveform(seed, seconds, rate, channels):
    """int16 [samples] or [samples, channels]: chirp + noise + clicks."""
    n = round(seconds * rate)
    t = np.arange(n) / rate
    f0, f1 = 80.0, 0.45 * rate
    ph = 2 * np.pi * (f0 * t + 0.5 * (f1 - f0) / seconds * t * t)
    out = []
    for c in range(channels):
        w = 0.4 * np.sin(ph + 0.7 * c) + 0.03 * stream(seed, f"wave.{rate}.{c}").standard_normal(n)
        w[int(0.31 * n) + 40 * c : int(0.31 * n) + 40 * c + 5] += 0.5
        w[int(0.70 * n) : int(0.70 * n) + 3] -= 0.5
        w[int(0.85 * n) : int(0.90 * n)] = 0.0  # digital silence
        out.append(w)
    a = np.clip(np.rint(np.stack(out, 1) * 32767), -32768, 32767).astype(np.int16)
    return a[:, 0] if channels == 1 else a
