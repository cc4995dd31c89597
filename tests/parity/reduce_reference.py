"""Reduce the full reference measurements to the arrays the tests read.

Usage: python tests/parity/reduce_reference.py REFERENCE_DIR

REFERENCE_DIR holds the full files named in data/README.md; their reduced forms are written to
data/, key lists and metrics are copied.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
MODELS = ("s4_pvt_seed1_b1.npz", "s4_resnet_seed2_b1.npz")
COPIED = (
    "keys_s4_pvt.json",
    "keys_s4_resnet.json",
    "keys_vggish_pca.json",
    "metrics_binary.json",
    "metrics_avss.npz",
)
# TPAVI, CATR and C3N: the parts that tests read. What their encoders give is PCMANet's.
BASELINES = {
    "tpavi_s4_pvt_seed1_b1.npz": r"(conv|tpavi|path|head)\d_(mean|std)|tpavi\d_sub|audio\d",
    "tpavi_s4_resnet_seed2_b1.npz": r"(conv|tpavi|path|head)\d_(mean|std)|tpavi\d_sub|audio\d",
    "c3n_s4_pvt_seed1_b1.npz": (
        r"(gated|conv|tpavi|path|head)\d_(mean|std)|(grad|gate|audio)\d|class_logits|consensus_\w+"
    ),
}
ALWAYS = r"input_crc32|weights_crc32_xor|mask_packed"
CATR = "catr_s4_pvt_seed1_b1.npz"
CATR_KEPT = (
    r"(memory_in|temporal\d_src|gated\d|fpn_gn\d|pred_masks)_(mean|std)"
    r"|(spatial\d|temporal\d_src|gated\d|decoder\d|aux\d_masks)_sub|spatial\d_sound|audio_in"
    r"|(pred|aux\d)_is_referred|chosen_(query|mask_packed)|params"
)
BASELINE_KEYS = (
    "tpavi_s4_pvt",
    "tpavi_s4_resnet",
    "tpavi_avss_pvt",
    "tpavi_avss_resnet",
    "catr_s4_pvt",
    "c3n_s4_pvt",
)
ENCODER = re.compile(r"(encoder_backbone|resnet)\.(?!head\.)")
UNUSED = ("input_head", "weights_sum", "margin_", "maxabs_", "masks_equal_", "seed_batch_t")
# 224 × 224 maps are bilinear resizes of the low logits, which stay whole.
EVERY = 7


def reduce_model(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    reduced = {}
    for name, values in arrays.items():
        if name.startswith("logits_stage") and not name.endswith("mean_std"):
            reduced[f"{name}_every{EVERY}"] = values[..., ::EVERY, ::EVERY]
        elif not name.startswith(UNUSED) and not (name[0] == "x" and name.endswith("_shape")):
            reduced[name] = values
    return reduced


def reduce_baseline(arrays: dict[str, np.ndarray], kept: str) -> dict[str, np.ndarray]:
    reduced = {k: v for k, v in arrays.items() if re.fullmatch(f"{kept}|{ALWAYS}", k)}
    return reduced | {f"logits_every{EVERY}": arrays["logits"][..., ::EVERY, ::EVERY]}


def reduce_catr(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    reduced = {k: v for k, v in arrays.items() if re.fullmatch(f"{CATR_KEPT}|{ALWAYS}", k)}
    chosen = arrays["chosen_logits_224"][:, ::EVERY, ::EVERY]  # of every second pixel
    few = arrays["pred_masks_sub"][..., ::2, ::2]
    return reduced | {f"chosen_logits_every{2 * EVERY}": chosen, "pred_masks_few": few}


def reduce_keys(keys: dict[str, list[int]]) -> dict[str, list[int]]:
    """Leave the encoder's out, which PCMANet's key lists have."""
    return {key: shape for key, shape in keys.items() if not ENCODER.match(key)}


def reduce_vggish(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kept = ("_embedding", "_pca_quantised", "_pca_unclipped")
    reduced = {name: values for name, values in arrays.items() if name.endswith(kept)}
    return reduced | {"w441s_logmel": arrays["w441s_logmel"]}


def reduce_log_mel(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kept = ("w16m_int16", "w16m_logmel", "w441s_resampled_f32_first_2s")
    reduced = {name: arrays[name] for name in kept}
    return reduced | {"w441s_logmel_first_2s": arrays["w441s_logmel"][:2]}


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def main(reference: Path) -> None:
    for name in MODELS:
        np.savez_compressed(DATA / name, **reduce_model(load(reference / name)))
    for name, kept in BASELINES.items():
        np.savez_compressed(DATA / name, **reduce_baseline(load(reference / name), kept))
    np.savez_compressed(DATA / CATR, **reduce_catr(load(reference / CATR)))
    for name in BASELINE_KEYS:
        file = f"keys_{name}.json"
        keys = json.loads((reference / file).read_text(encoding="utf-8"))
        lines = json.dumps(reduce_keys(keys), indent=0)
        (DATA / file).write_text(re.sub(r"\n(?=[\d\]])", "", lines) + "\n", encoding="utf-8")
    vggish = load(reference / "vggish_seed1.npz")
    np.savez_compressed(DATA / "vggish_seed1.npz", **reduce_vggish(vggish))
    np.savez_compressed(DATA / "log_mel_seed1.npz", **reduce_log_mel(vggish))
    for name in COPIED:
        shutil.copyfile(reference / name, DATA / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
