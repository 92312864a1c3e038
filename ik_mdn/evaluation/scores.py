"""Proper scores of a predicted density: smaller is better, and the truth is best on average."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture, as_period, embed
from sim.errors import ShapeError


def crps(mixture: GaussianMixture, y: Tensor) -> Tensor:
    """Continuous ranked probability score of a mixture in one dimension, in the unit of y, (*sample, *batch).

    E|Y - y| - ½E|Y - Y'| = Σᵢ πᵢ A(y - μᵢ, σᵢ²) - ½ Σᵢⱼ πᵢ πⱼ A(μᵢ - μⱼ, σᵢ² + σⱼ²) with
    A(μ, σ²) = 2σ φ(μ/σ) + μ (2Φ(μ/σ) - 1) (Grimit, Gneiting, Berrocal & Johnson, Q. J. R. Meteorol. Soc. 132, 2006).

    Args:
        mixture: D = 1, not circular.
        y: (*sample, *batch, 1).

    Raises:
        ShapeError: D is not 1, or the coordinate is circular; y does not fit.
    """
    if mixture.event_shape[0] != 1 or mixture.period is not None:
        raise ShapeError(
            f"crps has a closed form for D = 1 on the line; this mixture has D = {mixture.event_shape[0]} and period "
            f"{mixture.period}. Take .marginal([i]) of a linear coordinate, or energy_score on draws."
        )
    mixture._check_value(y)
    weights, loc, variance = mixture.weights, mixture.loc.squeeze(-1), mixture.scale.square().squeeze(-1)  # (*batch, K)
    to_y = (weights * _mean_abs(y - loc, variance)).sum(-1)
    pairs = _mean_abs(loc.unsqueeze(-1) - loc.unsqueeze(-2), variance.unsqueeze(-1) + variance.unsqueeze(-2))
    return to_y - 0.5 * (weights.unsqueeze(-1) * weights.unsqueeze(-2) * pairs).sum((-2, -1))


def energy_score(draws: Tensor, y: Tensor, period: Tensor | Sequence[float] | float | None = None) -> Tensor:
    """Energy score E‖Y - y‖ - ½E‖Y - Y'‖ estimated without bias from draws, (*batch).

    Gneiting & Raftery, Strictly proper scoring rules, JASA 102, 2007, equation 22; all pairs of different draws. On
    circular coordinates the distance is taken between the embedded circles (chords), which keeps the score proper.

    Args:
        draws: (S, *batch, D), S >= 2; memory batch x S².
        y: (*batch, D).
        period: (D,), inf where a coordinate is not circular; None where none is.

    Raises:
        ShapeError: fewer than two draws, or shapes that do not fit.
    """
    if draws.dim() < 2 or draws.shape[0] < 2 or draws.shape[1:] != y.shape:
        raise ShapeError(
            f"draws {tuple(draws.shape)} do not fit y {tuple(y.shape)}; give (S, *batch, D) with S >= 2 and (*batch, D).",
            shape=tuple(draws.shape),
        )
    length = as_period(period, y)
    points = embed(draws, length).movedim(0, -2)  # (*batch, S, E)
    target = embed(y, length).unsqueeze(-2)
    n = draws.shape[0]
    to_y: Tensor = (points - target).norm(dim=-1).mean(-1)
    pairs: Tensor = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return to_y - 0.5 * pairs.sum((-2, -1)) / (n * (n - 1))


def _mean_abs(loc: Tensor, variance: Tensor) -> Tensor:
    """E|X| of a Gaussian X."""
    sigma = variance.sqrt()
    z = loc / sigma
    density = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
    return 2 * sigma * density + loc * torch.erf(z / math.sqrt(2.0))
