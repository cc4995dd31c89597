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
    tokens = tokens.float()
    N, L, C = tokens.shape
    distances = _distances(tokens, tokens) / C**0.5  # [N, L, L]
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
    return _distances(tokens.float(), centres.float()).argmin(dim=2)


def _distances(tokens: Tensor, others: Tensor) -> Tensor:
    # By products of matrices, equal tokens would lie apart, and other batches differently far.
    return torch.cdist(tokens, others, compute_mode="donot_use_mm_for_euclid_dist")
