"""A training recipe: one TOML file, validated once."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from avscli.datatypes import NetworkSpec
from avscli.errors import UsageError
from avscli.json_values import decoded


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train one network.

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
    precision: str

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
        tags = self.spec.architecture.get("audio_encoder") == "mobile_tagger"
        if self.sound_steps and not tags and not self.source_classes:
            raise UsageError("sound_steps have nothing to learn without source_classes or a tagger")
        if self.precision not in ("fp32", "bf16"):
            raise UsageError(f"precision must be fp32 or bf16, got {self.precision!r}")

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
        return values | {"spec": self.spec.to_json()}

    def with_overrides(self, **changes: Any) -> Recipe:
        """Return a copy with the fields that are not None replaced."""
        return dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})


def recipe_of(path: Path, values: dict[str, Any]) -> Recipe:
    """Make a recipe of what its file holds.

    Raises:
        UsageError: wrong fields.
    """
    try:
        return decoded(Recipe, values)
    except ValueError as err:
        raise UsageError(f"recipe {path} cannot be used: {err}") from err


def read_recipe_file(name_or_path: str) -> tuple[Path, dict[str, Any]]:
    """Find a shipped recipe by name, or any by path, and return its path and what it holds.

    Raises:
        UsageError: unknown name, or an unreadable file.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        shipped = resources.files("avscli.training") / "recipes"
        path = Path(str(shipped / f"{name_or_path}.toml"))
        if not path.is_file():
            known = sorted(p.stem for p in path.parent.glob("*.toml"))
            raise UsageError(f"no recipe {name_or_path!r}", hint=f"shipped: {', '.join(known)}")
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise UsageError(f"recipe {path} cannot be used: {err}") from err
