"""A recipe for training on labelled clips: epochs, one learning rate, one loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from avscli.config import Precision
from avscli.datatypes import NetworkSpec
from avscli.errors import UsageError

TrainingCrop = Literal["squash", "centre"]
BatchNorm = Literal["train", "frozen"]


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """How to train one network on labelled clips.

    Binary networks learn by cross-entropy plus soft IoU, semantic ones by cross-entropy, both at
    every stage with equal weight and on labelled steps only, unless they have losses of their own;
    Adam without schedule.

    Attributes:
        name: of the checkpoint to write.
        spec: of the network to train; clips are squashed to its frame size.
        epochs: passes over the data; `steps`, when given, ends the run earlier.
        batch_clips: clips per step, of all processes together.
        learning_rate: of Adam, for every part.
        smoothing_pixels: of the soft IoU.
        training_crop: ``centre`` cuts training clips to the frame's aspect before resizing.
        freezes_audio: keep the audio encoder as it starts.
        batch_norm: ``train`` normalises by the statistics of each process's share of a batch;
            ``frozen`` by those that the start weights bring.
        validate_from, validate_every: the first epoch after which the network is scored on the
            validation split, and how often from then on; it also is after the last.
        shares: how large a part of an epoch each kind of data is, by kind; kinds that are not
            named, and all when empty, weigh as much as they have clips.
        seed: of everything random.
        precision: ``fp32``, or autocast to ``bf16`` or ``fp16`` (CUDA only).
        loss_weights: of losses by name; those that are not named weigh 1.
        gradient_norm: which gradients are cut down to; None leaves them.
        kind: of recipe.
    """

    name: str
    spec: NetworkSpec
    epochs: int
    batch_clips: int
    learning_rate: float
    freezes_audio: bool
    seed: int
    steps: int | None = None
    smoothing_pixels: float = 1.0
    training_crop: TrainingCrop = "squash"
    batch_norm: BatchNorm = "train"
    validate_from: int = 1
    validate_every: int = 1
    shares: Mapping[str, float] = field(default_factory=dict)
    precision: Precision = "fp32"
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    gradient_norm: float | None = None
    kind: Literal["clips"] = "clips"

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_clips", "steps", "validate_from", "validate_every")
        for name in counts:
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"{name} must be at least 1, got {value}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate must be positive, got {self.learning_rate}")
        for name, allowed in (
            ("training_crop", get_args(TrainingCrop)),
            ("batch_norm", get_args(BatchNorm)),
            ("precision", get_args(Precision)),
        ):
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if self.gradient_norm is not None and not self.gradient_norm > 0:
            raise UsageError(f"gradient_norm must be positive, got {self.gradient_norm}")
        if self.spec.resize_mode != "squash":
            raise UsageError("clips train at one frame size: spec.resize_mode must be 'squash'")
        if any(share < 0 for share in self.shares.values()):
            raise UsageError(f"shares must not be negative, got {dict(self.shares)}")

    def with_overrides(self, *, backbone: str | None = None, **changes: Any) -> ClipRecipe:
        """Return a copy with the fields that are not None replaced.

        Args:
            backbone: of ``spec.architecture``.
            changes: other fields by name.
        """
        fields = {k: v for k, v in changes.items() if v is not None}
        if backbone is not None:
            architecture = {**self.spec.architecture, "backbone": backbone}
            fields["spec"] = dataclasses.replace(self.spec, architecture=architecture)
        return dataclasses.replace(self, **fields)

    def fingerprint(self) -> dict[str, Any]:
        """Return what must not change when a run is resumed, as plain JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for extendable in ("epochs", "steps"):
            del values[extendable]
        tables = {"shares": dict(self.shares), "loss_weights": dict(self.loss_weights)}
        return values | {"spec": self.spec.to_json()} | tables
