"""How alike the names of things seen and of sounds heard are.

``imagenet_sounds.csv`` tells which of ImageNet's 1000 classes, by index, make a sound that AudioSet
has a name for, and what they are as makers of sound: all breeds of dogs are dogs. Later rows
overrule earlier ones; classes in no row go with no sound.
"""

from __future__ import annotations

import csv
import re
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from avscli.audio.audioset import audioset_names, makers_of_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUM_IMAGENET_CLASSES = 1000


def label_similarity(class_names: Sequence[str]) -> NDArray[np.float32]:
    """Return [K, 527], 0 to 1: how well each class of things goes with each name of AudioSet.

    It is 1 where our table says that the thing makes the sound (`avscli.audio.audioset`), else the
    cosine of the two labels' sets of words, in lower case and without a plural's s. The published
    network takes the cosine of label embeddings of a text encoder that nobody names; this rule
    needs none.

    Args:
        class_names: of K classes; those of the table's sources are known to it.
    """
    names = audioset_names()
    both = [_words(label) for label in (*class_names, *names)]
    places = {word: place for place, word in enumerate(sorted(frozenset().union(*both)))}
    bags = np.zeros((len(both), len(places)), np.float32)
    for bag, words in zip(bags, both, strict=True):
        bag[[places[word] for word in words]] = 1.0
    bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), 1.0)
    cosine = bags[: len(class_names)] @ bags[len(class_names) :].T
    makers = makers_of_names(class_names).T
    similarity: NDArray[np.float32] = np.maximum(cosine, makers.astype(np.float32))
    return similarity


def imagenet_labels() -> tuple[str, ...]:
    """Return 1000 labels by index; empty where a class goes with no sound."""
    labels = [""] * NUM_IMAGENET_CLASSES
    table = resources.files("avscli.networks.c3n") / "imagenet_sounds.csv"
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            first, last = int(row["first"]), int(row["last"])
            labels[first : last + 1] = [row["label"]] * (last + 1 - first)
    return tuple(labels)


def _words(label: str) -> frozenset[str]:
    words = re.findall(r"[a-z]+", label.lower())
    return frozenset(word.removesuffix("s") if len(word) > 3 else word for word in words)
