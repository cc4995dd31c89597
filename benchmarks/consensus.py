"""Which class C3N's consensus of picture and sound chooses, of things that make the sound heard.

    python benchmarks/consensus.py --avsmix PATH --deeplab FILE --tagger FILE

Takes avsmix's positive validation pairs whose sounding class Pascal VOC names, and a C3N with the
light encoders as published: DeepLab's 20 classes, and the mobile tagger. Prints how often the
chosen class sounds: by the picture's logits alone, by these and what goes with any sound at all,
and by the consensus.
"""

import argparse
import dataclasses
from pathlib import Path

import torch
from setting import describe, show, table

from avscli.datasets.avsmix import AvsMix, load_pair
from avscli.datatypes import NetworkSpec
from avscli.evaluation.network.judging import prepare_labelled
from avscli.networks.c3n.network import C3N
from avscli.networks.encoders import own_sounds, tags_heard
from avscli.networks.registry import build_network
from avscli.training.networks.registry import training_of
from avscli.training.recipe_files import find_recipe
from avscli.training.start import StartWeights
from avscli.training.tflite_start import VOC_CLASSES

NAMES = VOC_CLASSES[1:]


def spec() -> NetworkSpec:
    architecture = {
        "variant": "corrected",
        "backbone": "mobilenet_v2",
        "output_stride": 16,
        "audio_encoder": "mobile_tagger",
        "channels": 16,
        "picture_classes": ",".join(NAMES),
    }
    mini = find_recipe("mini").spec
    return dataclasses.replace(
        mini, network="c3n", frame_size_hw=(224, 224), architecture=architecture
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--avsmix", type=Path, required=True)
    parser.add_argument("--deeplab", type=Path, required=True)
    parser.add_argument("--tagger", type=Path, required=True)
    options = parser.parse_args()
    network = build_network(spec())
    assert isinstance(network, C3N)
    start = StartWeights(backbone=options.deeplab, audio=options.tagger)
    training_of(network).start(start, freezes_audio=True)
    network.eval()
    data = AvsMix.open(options.avsmix)
    every = [pair for pair in data.pairs("val") if pair.kind == "positive"]
    pairs = [pair for pair in every if pair.sounding & set(NAMES)]
    right = {"picture": 0, "picture and labels": 0, "consensus": 0}
    for pair in pairs:
        inputs = prepare_labelled([load_pair(data, pair)], network.spec).inputs
        with torch.inference_mode():
            tags = tags_heard(network.audio_encoder, own_sounds(network.audio_encoder, inputs))
            assert tags is not None
            heard, deaf = (network.activate(inputs.frames[0], t) for t in (tags[0], None))
        chosen = (heard.class_logits.argmax(), deaf.classes, heard.classes)
        for way, place in zip(right, chosen, strict=True):
            right[way] += NAMES[int(place)] in pair.sounding
    shares = {way: count / len(pairs) for way, count in right.items()}
    rows = [[way, count, count / len(pairs)] for way, count in right.items()]
    result = {"setting": describe(), "pairs": len(pairs), "shares": shares}
    show(result, table(["chosen by", "right", "share"], rows))


if __name__ == "__main__":
    main()
