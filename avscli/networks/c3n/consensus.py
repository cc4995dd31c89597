"""What picture and sound agree on, and what in the picture speaks for it: C3N's C3IM and CCAM.

Source: the published C3N's layout and exponent. Written from that description.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

_TAPPED = Lock()
EXPONENT = 0.1  # of both confidences; the similarity of labels counts whole


def consensus_classes(class_logits: Tensor, tag_logits: Tensor, similarity: Tensor) -> Tensor:
    """Choose, for each frame, the class that picture and sound together speak most for (C3IM).

    With the softmax of either side, p_v and p_a, and S the similarity of labels, this is the row of
    the largest p_v[i]^0.1 · S[i, j] · p_a[j]^0.1. As p_v is positive, each row's best tag can be
    found first, whatever the sign of S.

    Args:
        class_logits: [N, K] of the picture's classes.
        tag_logits: [N, J] of the sound's names.
        similarity: [K, J], about −1 to 1.

    Returns:
        [N] int64, 0 … K − 1.
    """
    seen = class_logits.float().softmax(dim=1) ** EXPONENT
    heard = tag_logits.float().softmax(dim=1) ** EXPONENT
    # Frame by frame, so that no [N, K, J] stands at once.
    best = torch.stack([(similarity * of_frame).amax(dim=1) for of_frame in heard])
    return (seen * best).argmax(dim=1)


class Activation(NamedTuple):
    """N frames, and what in them speaks for the class of each.

    Attributes:
        maps: four of the encoder's, fine to coarse, [N, C_k, h_k, w_k].
        weights: four [N, C_k], how much the class's logit grows with each channel, mean over
            positions; constants.
        class_logits: [N, K].
        classes: [N] int64, as `consensus_classes` chose them.
    """

    maps: list[Tensor]
    weights: list[Tensor]
    class_logits: Tensor
    classes: Tensor


def class_activation(
    encoder: nn.Module,
    classifier: nn.Module,
    frames: Tensor,
    tag_logits: Tensor,
    similarity: Tensor,
) -> Activation:
    """Encode frames, and ask by a backward pass what speaks for their classes (CCAM, part 1).

    Gradients are asked for at the encoder's four ``taps`` alone: no parameter's is computed, none
    is stored. It works whatever the caller says of gradients; without them nothing of the graph is
    kept.

    Args:
        encoder: picture encoder with ``taps``.
        classifier: last map [N, C_4, h_4, w_4] to class logits [N, K].
        frames: [N, 3, h, w].
        tag_logits: [N, J].
        similarity: [K, J].
    """
    keeps_graph = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    with torch.inference_mode(mode=False), torch.enable_grad():
        frames, tag_logits, similarity = map(_usable, (frames, tag_logits, similarity))
        with _tapped(encoder, starts_there=not keeps_graph) as taps:
            maps = encoder(frames)
        logits = classifier(maps[-1])
        classes = consensus_classes(logits.detach(), tag_logits.detach(), similarity)
        chosen = logits.gather(1, classes[:, None]).sum()
        gradients = torch.autograd.grad(chosen, taps, retain_graph=keeps_graph)
    weights = [_mean_over_positions(gradient) for gradient in gradients]
    if not keeps_graph:
        maps, logits = [each.detach() for each in maps], logits.detach()
    return Activation(maps, weights, logits, classes)


def channel_gates(weights: Tensor) -> Tensor:
    """Return gates [N, C], 0 to 1, of activation weights [N, C]: near 0.5, whatever they say."""
    return F.normalize(weights, dim=1).sigmoid()


def gated(maps: Tensor, weights: Tensor) -> Tensor:
    """Weigh channels, then places, by what speaks for the class (CCAM, part 2).

    Args:
        maps: [N, C, h, w].
        weights: [N, C].
    """
    weighed = maps * channel_gates(weights)[:, :, None, None]
    return weighed * weighed.mean(dim=1, keepdim=True).sigmoid()


def _usable(values: Tensor) -> Tensor:
    """Return values that a graph may hold; those of inference mode may not be."""
    return values.clone() if values.is_inference() else values


def _mean_over_positions(gradient: Tensor) -> Tensor:
    """Return [N, C] of tokens [N, L, C] or maps [N, C, h, w]."""
    return gradient.mean(dim=1) if gradient.ndim == 3 else gradient.mean(dim=(2, 3))


@contextmanager
def _tapped(encoder: nn.Module, *, starts_there: bool) -> Iterator[list[Tensor]]:
    """Collect what an encoder's taps pass on while it runs.

    Args:
        encoder: has ``taps``.
        starts_there: the graph begins at the first tap, and not at the encoder's parameters.
    """
    found: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        if not found and (starts_there or not output.requires_grad):
            output = output.detach().requires_grad_()
        found.append(output)
        return output

    names: tuple[str, ...] = encoder.taps  # type: ignore[assignment]
    with _TAPPED:  # hooks are the module's: they would take what passes side by side give it
        hooks = [encoder.get_submodule(name).register_forward_hook(keep) for name in names]
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()
