"""Scores of posterior draws: unbiased MMD², re-simulation error, share of draws near the target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kruse.problem import forward

BANDWIDTHS = (0.05, 0.2, 0.9)
NEAR = 0.05  # [m]

_BLOCK = 128  # rows of the kernel matrix at a time


@dataclass(frozen=True)
class Scores:
    """What the draws of all targets score.

    Args:
        err_post: Mean over targets of the unbiased MMD² against exact draws.
        err_resim: Mean squared distance of the re-simulated tip from the target [m²].
        distance: Mean distance [m].
        near: Share of draws within 0.05 m of the target.
        spread: Standard deviation of draws about their mean over that of exact ones, mean over targets: 1 where draws are as
            diverse, less where they collapse, which `err_resim` alone rewards.
    """

    err_post: float
    err_resim: float
    distance: float
    near: float
    spread: float


def score(x: Tensor, exact: Tensor, y: Tensor, *, within_exact: Tensor | None = None) -> Scores:
    """All scores of draws.

    Args:
        x: Draws of the model, (T, S, 4).
        exact: Draws of the posterior, (T, S', 4).
        y: Targets, (T, 2) [m].
        within_exact: `mean_kernel(exact)`, (T,), where it is known already.
    """
    miss = miss_distance(x, y)
    return Scores(
        err_post=float(mmd_squared(x, exact, within_b=within_exact).mean()),
        err_resim=float(miss.square().mean()),
        distance=float(miss.mean()),
        near=float((miss < NEAR).double().mean()),
        spread=float((_deviation(x) / _deviation(exact)).mean()),
    )


def miss_distance(x: Tensor, y: Tensor) -> Tensor:
    """Distance of the re-simulated tips from their targets, (T, S) [m]."""
    distance: Tensor = torch.linalg.vector_norm(forward(x.double()) - y.double().unsqueeze(1), dim=-1)
    return distance


def _deviation(x: Tensor) -> Tensor:
    """Root mean square distance of draws (T, S, 4) from their mean, (T,)."""
    return x.double().var(1).sum(-1).sqrt()


def mmd_squared(a: Tensor, b: Tensor, *, within_b: Tensor | None = None) -> Tensor:
    """Unbiased estimate of MMD² for each target, (T,).

    Mean over pairs of different draws E k(a, a') + E k(b, b') - 2 E k(a, b) with the inverse multiquadratic kernel
    k(a, b) = Σ_h 1/(1 + |a - b|²/h²), h in (0.05, 0.2, 0.9), in raw units (Gretton et al., JMLR 13, 2012, lemma 6).

    Args:
        a, b: Draws, (T, S, 4) and (T, S', 4).
        within_b: `mean_kernel(b)`, where it is known already.
    """
    across = torch.stack([_kernel_sum(one, other) / (len(one) * len(other)) for one, other in zip(a, b, strict=True)])
    return mean_kernel(a) + (mean_kernel(b) if within_b is None else within_b) - 2 * across


def mean_kernel(a: Tensor) -> Tensor:
    """Mean of k over pairs of different draws, (T,)."""
    n, own = a.shape[1], float(len(BANDWIDTHS))
    return torch.stack([(_kernel_sum(one, one) - n * own) / (n * (n - 1)) for one in a])


def _kernel_sum(a: Tensor, b: Tensor) -> Tensor:
    """Sum of k over all pairs, (): the three fractions on one denominator, block by block, so that it stays in cache.

    In float32: distances come from one matrix product about the common centre and carry an error near 1e-6, which is
    4e-4 of the smallest squared bandwidth and of either sign.
    """
    centre = b.mean(0)
    a, b = (a - centre).float(), (b - centre).float()
    right = torch.cat([b, torch.ones(len(b), 1), b.square().sum(1, keepdim=True)], dim=1).T
    c1, c2, c3 = (1 / h**2 for h in BANDWIDTHS)
    e1, e2, e3 = c1 + c2 + c3, c1 * c2 + c1 * c3 + c2 * c3, c1 * c2 * c3
    total = torch.zeros((), dtype=torch.float64)
    for rows in torch.split(a, _BLOCK):
        left = torch.cat([-2 * rows, rows.square().sum(1, keepdim=True), torch.ones(len(rows), 1)], dim=1)
        d = (left @ right).clamp_min_(0)
        above = (d * e2).add_(2 * e1).mul_(d).add_(3)
        below = (d * e3).add_(e2).mul_(d).add_(e1).mul_(d).add_(1)
        total += above.div_(below).sum().double()
    return total
