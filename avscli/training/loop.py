"""The training loop: draw couples, four supervised stages, atomic resumable state."""

from __future__ import annotations

import json
import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from avscli.audio.log_mel import window_log_mel
from avscli.datatypes import NetworkInput
from avscli.media.prefetch import prefetch
from avscli.networks.registry import build_network
from avscli.networks.state_dicts import load_strictly
from avscli.preprocess import normalised
from avscli.training.losses import stage_loss
from avscli.training.tflite_start import start_from_tflite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from avscli.networks.pcmanet.network import PCMANet
    from avscli.training.recipe import Recipe
    from avscli.training.samples import Sample, SampleSource

SAVE_EVERY_SECONDS = 120.0
LOG_EVERY_STEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples as tensors: network input, target [N, H, W] uint8, tags [N, K] in {0, 1, −1}."""

    inputs: NetworkInput
    target: Tensor
    tags: Tensor


class Trainer:
    """One training run in one folder: ``last.pt`` (resumable), ``metrics.jsonl``.

    Args:
        recipe: what to do.
        sources: couples are drawn from these …
        shares: … with these probabilities.
        tag_names: sounds the auxiliary audio head learns to name.
        folder: where state and metrics go; created when missing.
    """

    def __init__(
        self,
        recipe: Recipe,
        sources: Sequence[SampleSource],
        shares: Sequence[float],
        *,
        tag_names: Sequence[str],
        folder: Path,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.sources, self.folder = recipe, sources, folder
        self.shares = np.asarray(shares) / np.sum(shares)
        self.tag_index = {name: i for i, name in enumerate(tag_names)}
        self.network: PCMANet = build_network(recipe.spec)  # type: ignore[assignment]
        assert self.network.audio_encoder is not None
        self.tag_head = nn.Linear(int(self.network.audio_encoder.num_features), len(tag_names))  # type: ignore[arg-type]
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.optimizer = self._optimizer()
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    def start_encoders(self, *, backbone: Path | None, audio: Path | None) -> None:
        """Start the light encoders from published tflite graphs.

        Raises:
            WeightsError: a graph is unreadable or of another shape.
        """
        if backbone is not None:
            start_from_tflite(self.network.backbone, backbone)
        if audio is not None:
            assert self.network.audio_encoder is not None
            start_from_tflite(self.network.audio_encoder, audio)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Start from a network's weights, with a fresh optimizer and schedule.

        Raises:
            CheckpointMismatchError: they belong to another network.
        """
        load_strictly(self.network, weights, source="the start weights")
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}

    def run(self) -> None:
        """Train from the current step to the last, saving on the way and at the end."""
        self.network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        saved = time.monotonic()
        with (
            closing(prefetch(self._batches(), depth=4)) as batches,
            tqdm(total=self.recipe.steps, initial=self.step, unit="step") as bar,
        ):
            for batch in batches:
                losses = self._train_step(batch)
                self.step += 1
                bar.update()
                if self.step % LOG_EVERY_STEPS == 0:
                    self._log(losses)
                    bar.set_postfix(losses)
                if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the whole state to ``last.pt``, whole or not at all."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "tag_head": self.tag_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self.folder / "last.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "last.pt")

    def resume(self) -> bool:
        """Continue from ``last.pt`` when the folder has one; say whether it did."""
        path = self.folder / "last.pt"
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.tag_head.load_state_dict(state["tag_head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step = state["average"], state["step"]
        return True

    def _optimizer(self) -> torch.optim.AdamW:
        recipe, network = self.recipe, self.network
        assert network.audio_encoder is not None
        encoders = {
            "backbone": (list(network.backbone.parameters()), recipe.backbone_learning_rate),
            "audio": (list(network.audio_encoder.parameters()), recipe.audio_learning_rate),
        }
        known = {id(p) for params, _ in encoders.values() for p in params}
        fresh = [p for p in network.parameters() if id(p) not in known]
        groups = [{"params": p, "lr": lr, "peak": lr} for p, lr in encoders.values()]
        groups.append(
            {
                "params": [*fresh, *self.tag_head.parameters()],
                "lr": recipe.learning_rate,
                "peak": recipe.learning_rate,
            }
        )
        return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    def _batches(self) -> Iterator[Batch]:
        """Yield the batches from the current step on; batch k depends on (seed, k) only."""
        couples = self.recipe.batch_samples // 2
        for step in range(self.step, self.recipe.steps):
            samples: list[Sample] = []
            for i in range(couples):
                rng = np.random.default_rng([self.recipe.seed, step * couples + i])
                source = self.sources[rng.choice(len(self.sources), p=self.shares)]
                samples += source.draw(rng)
            yield self._collate(samples)

    def _collate(self, samples: list[Sample]) -> Batch:
        spec = self.recipe.spec
        pixels = torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2)
        frames = normalised(pixels, spec)  # channels_last, as the weights are
        log_mel = window_log_mel(torch.from_numpy(np.stack([s.window for s in samples])))
        tags = torch.full((len(samples), len(self.tag_index)), -1.0)
        for row, sample in zip(tags, samples, strict=True):
            if sample.sounds is not None:
                row.fill_(0.0)
                row[[self.tag_index[name] for name in sample.sounds]] = 1.0
        inputs = NetworkInput(
            frames[:, None], log_mel[:, None], torch.ones(len(samples), 1, dtype=torch.bool)
        )
        return Batch(inputs, torch.from_numpy(np.stack([s.target for s in samples])), tags)

    def _train_step(self, batch: Batch) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self._rate(self.step)
        self._rest_early_blocks(self.step < self.recipe.resting_share * self.recipe.steps)
        bf16 = self.recipe.precision == "bf16"
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            assert self.network.audio_encoder is not None
            embedding = self.network.audio_encoder(batch.inputs.log_mel.flatten(0, 1))
            output = self.network.forward_embeddings(
                batch.inputs.frames, embedding[:, None], batch.inputs.valid
            )
            tag_logits = self.tag_head(embedding)
        stages = [
            stage_loss(x.flatten(0, 1), batch.target, smoothing_pixels=self.recipe.smoothing_pixels)
            for x in output.stage_logits
        ]
        known = (batch.tags >= 0).float()
        tags = F.binary_cross_entropy_with_logits(
            tag_logits.float(), batch.tags.clamp_min(0.0), weight=known, reduction="sum"
        ) / len(batch.tags)
        loss = torch.stack(stages).sum() + self.recipe.tag_weight * tags
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.recipe.gradient_norm)
        self.optimizer.step()
        self._update_average()
        told = {"stage1": stages[0], "stage4": stages[3], "tags": tags}
        return {name: value.detach().item() for name, value in told.items()}

    def _rest_early_blocks(self, resting: bool) -> None:
        if self.recipe.resting_blocks:
            backbone = self.network.backbone
            early = [backbone.stem, *list(backbone.blocks)[: self.recipe.resting_blocks]]  # type: ignore[arg-type]
            for module in early:
                module.requires_grad_(not resting)

    def _update_average(self) -> None:
        # A young average would remember the start: its memory grows with the run.
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def _rate(self, step: int) -> float:
        """Return the share of the peak learning rate: a linear rise, then a cosine to 0."""
        warmup = max(1, round(self.recipe.warmup_share * self.recipe.steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, self.recipe.steps - warmup))

    def _log(self, losses: dict[str, float]) -> None:
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, **losses}) + "\n")
