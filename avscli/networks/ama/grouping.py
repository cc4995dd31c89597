"""Groups of tokens that are alike, around those that many are near: DPC-KNN.

Source: Du, Ding, Jia, "Study on density peaks clustering based on k-nearest neighbors and principal
component analysis" (2016), section 3; each other token joins the nearest centre, as Zeng et al.,
arXiv 2204.08680, group the tokens of a picture. No gradient flows through any of this.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def density_peaks(tokens: Tensor, num_groups: int, num_neighbours: int) -> Tensor:
    """Choose the tokens that groups form around.

    A centre has close neighbours (its density is high), and every denser token is far. With the
    distance d_ij = ‖x_i − x_j‖ / √C, the density is ρ_i = exp(−mean d_ij² over the k nearest
    others), δ_i the distance to the nearest denser token (of the densest: to the furthest one), and
    the centres have the largest ρ_i · δ_i. Among equals the first counts as denser.

    Args:
        tokens: [N, L, C].
        num_groups: P, at most L.
        num_neighbours: k; at most the L − 1 others count.

    Returns:
        [N, P] int64 places of the centres, the most outstanding first.
    """
    N, L, C = tokens.shape
    distances = (_squared_distances(tokens, tokens) / C).sqrt()  # [N, L, L]
    distances.diagonal(dim1=1, dim2=2).zero_()
    nearest = distances.topk(min(1 + num_neighbours, L), dim=2, largest=False).values[:, :, 1:]
    density = torch.exp(-nearest.square().sum(dim=2) / max(1, nearest.shape[2]))  # [N, L]
    order = density.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(L, device=order.device).expand(N, L)
    )
    denser = rank[:, None, :] < rank[:, :, None]  # [N, i, j]: j is denser than i
    apart = distances.masked_fill(~denser, torch.inf).amin(dim=2)
    apart = torch.where(rank == 0, distances.amax(dim=2), apart)
    return (density * apart).argsort(dim=1, descending=True, stable=True)[:, :num_groups]


@torch.no_grad()
def nearest_centre(tokens: Tensor, centres: Tensor) -> Tensor:
    """Return [N, L] int64: which of the centres [N, P, C] each of the tokens [N, L, C] joins."""
    return _squared_distances(tokens, centres).argmin(dim=2)


def _squared_distances(tokens: Tensor, others: Tensor) -> Tensor:
    """Return [N, L, M] of [N, L, C] and [N, M, C], by products of matrices: torch.cdist is slow."""
    # Half precision, and a mean far from zero, would leave nothing of what is close together.
    with torch.autocast(tokens.device.type, enabled=False):
        middle = others.float().mean(dim=1, keepdim=True)
        tokens, others = tokens.float() - middle, others.float() - middle
        squares = [x.square().sum(dim=2) for x in (tokens, others)]
        both = squares[0][:, :, None] + squares[1][:, None]
        return (both - 2.0 * tokens @ others.transpose(1, 2)).clamp_min(0.0)
