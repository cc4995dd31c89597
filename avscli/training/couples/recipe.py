"""A recipe for training on couples: phases of steps, rates that rise and fall, averages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from avscli.datatypes import NetworkSpec
from avscli.errors import UsageError


class PhaseStep(NamedTuple):
    """A step within its phase.

    Attributes:
        number: counts from 0.
        num_steps: how long the phase is.
    """

    number: int
    num_steps: int


@dataclass(frozen=True, slots=True)
class CoupleRecipe:
    """How to train one network on couples: one picture, two sounds, one step of time.

    Attributes:
        name: of the checkpoint to write.
        spec: of the network to train.
        steps, batch_samples: length and width of the run; batch_samples is even (couples).
        sound_steps, sound_batch_samples: before that, the sound side alone learns to name the
            possible sources of sounds, from windows without pictures; after that, it is frozen.
        sample_size_hw: training size in pixels, multiples of 32.
        late_size_hw, late_share: the size in this last share of the steps: small pictures teach
            most for their time, the last steps get used to the size that will be analysed.
        learning_rate: peak for parts that start fresh.
        backbone_learning_rate, audio_learning_rate: peaks for the two encoders.
        frozen_blocks, frozen_share: the first blocks of a light backbone are frozen during this
            first share of the steps; they are a third of a step's time and the last to need it.
        warmup_share: share of steps in which the rate rises; it then falls as a cosine.
        weight_decay, gradient_norm, ema_decay: the usual.
        smoothing_pixels: of the soft IoU.
        tag_weight: of the loss that has an audio encoder which tags sounds say what it said before
            it was trained further.
        source_weight: of the losses that have sound and picture, each by itself, name the
            source classes of ``spec.architecture``.
        composites: share of pictures made of two.
        sound_kinds: weights of matching, mismatching, ambient, no sound.
        scenes_share: share of couples that come from generated scenes.
        teacher_forcing_share: share of samples whose stages are given the truth about what could
            make the sound, not what the sound side says: where that errs, they would learn to
            doubt it.
        seed: of everything random.
        precision: ``fp32`` or ``bf16`` autocast.
        loss_weights: of the losses that a network has of its own, by name; others weigh 1.
        kind: of recipe.
    """

    name: str
    spec: NetworkSpec
    steps: int
    batch_samples: int
    sound_steps: int
    sound_batch_samples: int
    sample_size_hw: tuple[int, int]
    late_size_hw: tuple[int, int]
    late_share: float
    learning_rate: float
    backbone_learning_rate: float
    audio_learning_rate: float
    frozen_blocks: int
    frozen_share: float
    warmup_share: float
    weight_decay: float
    gradient_norm: float
    ema_decay: float
    smoothing_pixels: float
    tag_weight: float
    source_weight: float
    composites: float
    sound_kinds: tuple[float, float, float, float]
    scenes_share: float
    teacher_forcing_share: float
    seed: int
    precision: Literal["fp32", "bf16"]
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    kind: Literal["couples"] = "couples"

    def __post_init__(self) -> None:
        for name in ("batch_samples", "sound_batch_samples"):
            if getattr(self, name) < 2 or getattr(self, name) % 2:
                raise UsageError(f"{name} must be even, got {getattr(self, name)}")
        for name in ("sample_size_hw", "late_size_hw"):
            if any(side % 32 for side in getattr(self, name)):
                raise UsageError(f"{name} must be multiples of 32, got {getattr(self, name)}")
        for name in (
            "late_share",
            "frozen_share",
            "composites",
            "scenes_share",
            "teacher_forcing_share",
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.spec.task != "binary":
            raise UsageError("couples have masks, no classes: spec.task must be 'binary'")
        if self.precision not in ("fp32", "bf16"):
            raise UsageError(f"precision must be fp32 or bf16, got {self.precision!r}")

    @property
    def num_steps(self) -> int:
        """Of the whole run."""
        return self.sound_steps + self.steps

    def hears_only(self, step: int) -> bool:
        """Say whether the sound side trains alone in a step of the run."""
        return step < self.sound_steps

    def place_of(self, step: int) -> PhaseStep:
        """Return where a step of the run stands in its phase."""
        if self.hears_only(step):
            return PhaseStep(step, self.sound_steps)
        return PhaseStep(step - self.sound_steps, self.steps)

    def rate_at(self, step: int) -> float:
        """Return the share of the peak rates: per phase a linear rise, then a cosine."""
        number, count = self.place_of(step)
        warmup = max(1, round(self.warmup_share * count))
        if number < warmup:
            return (number + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (number - warmup) / max(1, count - warmup))

    def is_frozen_at(self, step: int) -> bool:
        """Say whether the `frozen_blocks` are, in a step of the run."""
        return step - self.sound_steps < self.frozen_share * self.steps

    def weight_of(self, loss: str) -> float:
        """Return what a loss counts."""
        if loss == "tags":
            return self.tag_weight
        if loss in ("heard", "shown"):
            return self.source_weight
        return self.loss_weights.get(loss, 1.0)

    def size_hw_at(self, step: int) -> tuple[int, int]:
        """Return the training size of a step, counted without the sound's own."""
        is_late = step >= (1.0 - self.late_share) * self.steps
        return self.late_size_hw if is_late else self.sample_size_hw

    @property
    def source_classes(self) -> tuple[str, ...]:
        """Names of what picture and sound are classified into; may be empty."""
        return self.spec.source_classes

    def fingerprint(self) -> dict[str, Any]:
        """Return what must not change when a run is resumed, as plain JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return values | {"spec": self.spec.to_json(), "loss_weights": dict(self.loss_weights)}

    def with_overrides(self, **changes: Any) -> CoupleRecipe:
        """Return a copy with the fields that are not None replaced."""
        return dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})
