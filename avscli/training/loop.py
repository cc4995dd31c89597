"""The training loop: draw couples, four supervised stages, atomic resumable state.

sound_steps × windows alone ──▶ a sound side that names the possible sources of sounds, and has not
    forgotten what its tagger knew
steps × couples (one picture, two sounds) ──▶ everything else; the sound side is frozen
"""

from __future__ import annotations

import json
import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from avscli.audio.front_end import FRONT_ENDS
from avscli.media.prefetch import prefetch
from avscli.networks.registry import build_network
from avscli.preprocess import normalised
from avscli.training.clips.start import StartWeights, start_network
from avscli.training.losses import naming_loss, picture_loss, stage_loss
from avscli.training.sound_side import SoundSide, frozen_tagger
from avscli.training.state import MetricsLog, load_state, save_state
from avscli.training.stopping import stop_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from avscli.networks.pcmanet.network import PCMANet
    from avscli.training.recipe import Recipe
    from avscli.training.samples import Sample, SampleSource, SoundSample

SAVE_EVERY_SECONDS = 120.0
LOG_EVERY_STEPS = 20
_SURE_LOGIT = 8.0  # of the truth in teacher forcing; hardly any sound is as sure


@dataclass(frozen=True, slots=True, eq=False)
class SoundBatch:
    """N windows without pictures, as tensors.

    Attributes:
        log_mel: [N, 1, ·, ·], of the spec's kind.
        heard: [N, K] float, 1 where a source class could make what is heard.
        is_known: [N] bool, whether that holds.
    """

    log_mel: Tensor
    heard: Tensor
    is_known: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Couples as tensors: N samples of N / 2 pictures.

    Attributes:
        log_mel: [N, 1, ·, ·], of the spec's kind.
        frames: [N / 2, 3, h, w], normalised.
        shown: [N / 2, h, w] uint8 source classes, as `Sample.shown`.
        target: [N, h, w] uint8, as `Sample.target`.
        heard: [N, K] float, 1 where a source class could make what is heard.
    """

    log_mel: Tensor
    frames: Tensor
    shown: Tensor
    target: Tensor
    heard: Tensor


class Trainer:
    """One training run in one folder: ``last.pt`` (resumable), ``metrics.jsonl``.

    Args:
        recipe: what to do.
        sources: couples are drawn from these …
        shares: … with these probabilities.
        folder: where state and metrics go; exists and can be written to.
        on_sound_end: fits, in place, what the sound side needs beside its weights, when these are
            trained.
    """

    def __init__(
        self,
        recipe: Recipe,
        sources: Sequence[SampleSource],
        shares: Sequence[float],
        *,
        folder: Path,
        on_sound_end: Callable[[PCMANet], None] | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.sources, self.folder = recipe, sources, folder
        self.shares = np.asarray(shares) / np.sum(shares)
        self.sound_names = sorted({name for source in sources for name in source.sound_names})
        self.source_index = {name: i for i, name in enumerate(recipe.source_classes)}
        self.network: PCMANet = build_network(recipe.spec)  # type: ignore[assignment]
        assert self.network.audio_encoder is not None
        naming = None if self.network.agreement is None else self.network.agreement.sound
        self.sound_side = SoundSide(self.network.audio_encoder, naming)
        self._of_windows = FRONT_ENDS[recipe.spec.log_mel].of_windows
        self._on_sound_end = on_sound_end
        self.num_steps = recipe.sound_steps + recipe.steps
        self.step = 0
        self._begin()

    def start(self, weights: StartWeights) -> None:
        """Start from published or our own weights, with a fresh optimizer and schedule.

        Raises:
            WeightsError: a file is missing, damaged or of another network.
            UsageError: two different starts are asked for.
        """
        start_network(self.network, weights, freezes_audio=False)
        self._begin()

    def _begin(self) -> None:
        """Take the network as it is for the start."""
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.tagger = frozen_tagger(self.sound_side.encoder)
        self.optimizer = self._optimizer()

    def run(self, *, quiet: bool) -> None:
        """Train from the current step to the last, saving on the way and at the end.

        Raises:
            KeyboardInterrupt: after Ctrl-C, with the state saved.
            OutputError: state or metrics cannot be written.
        """
        self.network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        saved = time.monotonic()
        with (
            closing(MetricsLog(self.folder, self.step)) as log,
            stop_requests() as stop,
            closing(prefetch(self._batches(), depth=4)) as batches,
            tqdm(total=self.num_steps, initial=self.step, unit="step", disable=quiet) as bar,
        ):
            for batch in batches:
                losses = self._train_step(batch)
                self.step += 1
                bar.update()
                if self.step % LOG_EVERY_STEPS == 0:
                    log.add(self.step, losses)
                    bar.set_postfix(losses)
                if stop.is_made or time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if stop.is_made:
                    stop.leave()
        self.save()

    def save(self) -> None:
        """Write the whole state to ``last.pt``, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "tagger": None if self.tagger is None else self.tagger.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "fingerprint": json.dumps(self._fingerprint()),
        }
        save_state(self.folder, state)

    def resume(self) -> bool:
        """Continue from ``last.pt`` when the folder has one; say whether it did.

        Raises:
            WeightsError: it is damaged.
            UsageError: it belongs to another recipe or other data.
        """
        state = load_state(self.folder, self._fingerprint())
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        if self.tagger is not None:
            self.tagger.load_state_dict(state["tagger"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step = state["average"], state["step"]
        return True

    def _fingerprint(self) -> dict[str, object]:
        return {**self.recipe.fingerprint(), "sounds": self.sound_names}

    def _optimizer(self) -> torch.optim.AdamW:
        recipe, network = self.recipe, self.network
        assert network.audio_encoder is not None
        picture = list(network.backbone.parameters())
        if network.agreement is not None:
            picture += network.agreement.naming.parameters()
        encoders = {
            "backbone": (picture, recipe.backbone_learning_rate),
            "audio": (list(network.audio_encoder.parameters()), recipe.audio_learning_rate),
        }
        known = {id(p) for params, _ in encoders.values() for p in params}
        fresh = [p for p in network.parameters() if id(p) not in known]
        groups = [
            {"name": name, "params": p, "lr": lr, "peak": lr} for name, (p, lr) in encoders.items()
        ]
        groups.append(
            {
                "name": "fresh",
                "params": fresh,
                "lr": recipe.learning_rate,
                "peak": recipe.learning_rate,
            }
        )
        return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    def _hears_only(self, step: int) -> bool:
        return step < self.recipe.sound_steps

    def _phase_of(self, step: int) -> tuple[int, int]:
        """Return a step's place in its phase, and how long that is."""
        if self._hears_only(step):
            return step, self.recipe.sound_steps
        return step - self.recipe.sound_steps, self.recipe.steps

    def _batches(self) -> Iterator[SoundBatch | Batch]:
        """Yield the batches from the current step on; batch k depends on (seed, k) only."""
        recipe = self.recipe
        for step in range(self.step, self.num_steps):
            if self._hears_only(step):
                drawn = self._drawing(step, recipe.sound_batch_samples)
                yield self._collate_sounds(
                    [s for source, rng in drawn for s in source.draw_sounds(rng)]
                )
            else:
                size_hw = recipe.size_hw_at(step - recipe.sound_steps)
                drawn = self._drawing(step, recipe.batch_samples)
                yield self._collate([source.draw(rng, size_hw) for source, rng in drawn])

    def _drawing(
        self, step: int, num_samples: int
    ) -> Iterator[tuple[SampleSource, np.random.Generator]]:
        """Yield a source and a generator for each two of a step's samples."""
        for i in range(num_samples // 2):
            rng = np.random.default_rng([self.recipe.seed, step, i])
            yield self.sources[rng.choice(len(self.sources), p=self.shares)], rng

    def _collate_sounds(self, samples: list[SoundSample]) -> SoundBatch:
        return SoundBatch(
            log_mel=self._log_mel(samples),
            heard=_many_hot([s.heard for s in samples], self.source_index),
            is_known=torch.tensor([s.is_known for s in samples]),
        )

    def _collate(self, couples: list[list[Sample]]) -> Batch:
        samples = [sample for couple in couples for sample in couple]
        pixels = torch.from_numpy(np.stack([first.image for first, _ in couples]))
        return Batch(
            log_mel=self._log_mel([s.sound for s in samples]),
            # channels_last, as the weights are
            frames=normalised(pixels.permute(0, 3, 1, 2), self.recipe.spec),
            shown=torch.from_numpy(np.stack([first.shown for first, _ in couples])),
            target=torch.from_numpy(np.stack([s.target for s in samples])),
            heard=_many_hot([s.sound.heard for s in samples], self.source_index),
        )

    def _log_mel(self, samples: Sequence[SoundSample]) -> Tensor:
        return self._of_windows(torch.from_numpy(np.stack([s.window for s in samples])))

    def _train_step(self, batch: SoundBatch | Batch) -> dict[str, float]:
        if self.step == self.recipe.sound_steps > 0:
            self._settle_sound_side()
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self._rate(self.step)
        self._freeze_early_blocks(
            self.step - self.recipe.sound_steps < self.recipe.frozen_share * self.recipe.steps
        )
        torch.manual_seed(self.recipe.seed * self.num_steps + self.step)  # dropout, resumable
        self.sound_side.train(isinstance(batch, SoundBatch))  # frozen, it drops nothing out
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            losses = (
                self._sound_losses(batch) if isinstance(batch, SoundBatch) else self._losses(batch)
            )
        weights = {"tags": self.recipe.tag_weight}
        weights |= dict.fromkeys(("heard", "shown"), self.recipe.source_weight)
        loss = torch.stack([weights.get(name, 1.0) * x for name, x in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.recipe.gradient_norm)
        self.optimizer.step()
        self._update_average()
        return {name: value.detach().item() for name, value in losses.items()}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of one batch by name, before their weights."""
        network = self.network
        assert network.audio_encoder is not None
        with torch.no_grad():  # gradients of masks made it forget the names of sounds
            embedding = network.audio_encoder(batch.log_mel)
        losses = {}
        # A couple shares its picture, so what no sound has touched is computed once.
        features = network.encode_picture(batch.frames)
        valid = torch.ones(len(embedding), 1, dtype=torch.bool)
        forced = None if network.agreement is None else self._forced(batch, embedding)
        output = network.listen(
            features.repeated(2), embedding[:, None, None], valid, forced=forced
        )
        for number, logits in enumerate(output.stage_logits, start=1):
            losses[f"stage{number}"] = stage_loss(
                logits.flatten(0, 1), batch.target, smoothing_pixels=self.recipe.smoothing_pixels
            )
        if features.picture is not None:
            losses["shown"] = picture_loss(features.picture, batch.shown)
        return losses

    @torch.no_grad()
    def _forced(self, batch: Batch, embedding: Tensor) -> Tensor:
        """Return [N, 1, K] logits: what the sound side says, or the truth (teacher forcing)."""
        said = self.network.name_sound(embedding[:, None]).sources
        is_forced = torch.rand(len(said), 1) < self.recipe.teacher_forcing_share
        return torch.where(is_forced, _SURE_LOGIT * (2.0 * batch.heard - 1.0), said)[:, None]

    def _sound_losses(self, batch: SoundBatch) -> dict[str, Tensor]:
        said = self.sound_side(batch.log_mel)
        losses = {}
        if said.heard is not None:
            losses["heard"] = naming_loss(said.heard[batch.is_known], batch.heard[batch.is_known])
        if self.tagger is not None:
            with torch.no_grad():
                known = self.tagger.tags(self.tagger(batch.log_mel)).sigmoid()  # type: ignore[operator]
            losses["tags"] = naming_loss(said.tags, known)
        return losses

    def _settle_sound_side(self) -> None:
        """Keep the averaged sound side, and let it be fitted."""
        self.network.load_state_dict(self.average)
        if self._on_sound_end is not None:
            self._on_sound_end(self.network)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}

    def _freeze_early_blocks(self, frozen: bool) -> None:
        if self.recipe.frozen_blocks:
            backbone = self.network.backbone
            early = [backbone.stem, *list(backbone.blocks)[: self.recipe.frozen_blocks]]  # type: ignore[arg-type]
            for module in early:
                module.requires_grad_(not frozen)

    def _update_average(self) -> None:
        # A young average would remember the start: its memory grows with the run.
        step, _ = self._phase_of(self.step)
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def _rate(self, step: int) -> float:
        """Return the share of the peak learning rate: per phase a linear rise, then a cosine."""
        step, steps = self._phase_of(step)
        warmup = max(1, round(self.recipe.warmup_share * steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))


def _many_hot(chosen: Sequence[frozenset[str]], index: Mapping[str, int]) -> Tensor:
    """Return [N, len(index)] float32, 1 where a name was chosen; names not in the index pass."""
    hot = torch.zeros(len(chosen), len(index))
    for row, names in zip(hot, chosen, strict=True):
        row[[index[name] for name in names if name in index]] = 1.0
    return hot
