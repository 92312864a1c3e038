"""Calibration of predicted densities: do the stated probabilities come true?"""

from __future__ import annotations

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture, as_period, nearest_image
from sim.errors import ShapeError


def pit(mixture: GaussianMixture, y: Tensor) -> Tensor:
    """Probability integral transform of each coordinate, F(y) of its marginal, (B, D).

    Uniform on [0, 1] where the marginals are calibrated (Dawid, J. R. Stat. Soc. A 147, 1984; Gneiting, Balabdaoui &
    Raftery, J. R. Stat. Soc. B 69, 2007). A circle has no beginning: a circular marginal is cut at the antipode of its
    mean direction m, F(y) = P(Y in [m - period/2, y]). Any cut that depends on the forecast alone leaves the transform
    of a calibrated forecast uniform; this one puts the bulk of the mass in the middle, so that a forecast that is
    too wide shows a hump, one that is too narrow a trough, and a biased one a slope, as on the line.

    Args:
        mixture: Batch shape (B,).
        y: What came true, (B, D).

    Raises:
        ShapeError: y is not (B, D).
    """
    _check(mixture, y)
    columns = []
    for d in range(mixture.event_shape[0]):
        marginal = mixture.marginal(d)
        cut = marginal.mean if marginal.period is not None else torch.zeros_like(marginal.mean)  # (B, 1)
        centred = GaussianMixture(
            marginal.logits, marginal.loc - cut[..., None], scale=marginal.scale, period=marginal.period
        )
        columns.append(centred.cdf(y[..., d : d + 1] - cut))
    return torch.stack(columns, dim=-1).clamp(0.0, 1.0)


def density_level(log_p: Tensor, log_p_draws: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Probability of the smallest highest-density region that contains y, (B,).

    P(p(Y) > p(y)) (Hyndman, The American Statistician 50, 1996), estimated from draws Y ~ p as (number of draws with
    a higher density + u)/(S + 1) with u uniform on [0, 1): for a calibrated density the rank of y among the draws is
    uniform on 0 … S, so that the values are uniform on [0, 1] however few the draws. The region of probability α
    contains y exactly when its level is at most α: the distribution function of the levels is the coverage.

    Args:
        log_p: Log density of what came true, (B,).
        log_p_draws: Log density of draws from the same density, (S, B).
        generator: Source of u; None is torch's own.

    Raises:
        ShapeError: The two do not fit each other.
    """
    if log_p.dim() != 1 or log_p_draws.shape[1:] != log_p.shape:
        raise ShapeError(
            f"log densities {tuple(log_p.shape)} and those of draws {tuple(log_p_draws.shape)} do not fit; "
            "give (B,) and (S, B)."
        )
    above = (log_p_draws > log_p).sum(0)
    u = torch.rand(above.shape, dtype=log_p.dtype, device=log_p.device, generator=generator)
    return (above + u) / (len(log_p_draws) + 1)


def coverage(levels: Tensor, at: Tensor) -> Tensor:
    """Share of the levels, (N,), that are at most each of `at`, (A,): the coverage of regions of that probability, (A,).

    Args:
        levels: From `density_level`, or PIT values of one coordinate.
        at: Nominal probabilities.
    """
    return (levels[:, None] <= at).to(at.dtype).mean(0)


def uniform_distance(levels: Tensor) -> Tensor:
    """Kolmogorov-Smirnov distance of values in [0, 1] from uniform, sup |F(u) - u|, (*batch) for (N, *batch).

    0 is calibrated; of N calibrated values 95 % stay below 1.36/√N.
    """
    ordered, n = levels.sort(dim=0).values, levels.shape[0]
    grid = torch.arange(n + 1, dtype=levels.dtype).reshape(-1, *[1] * (levels.dim() - 1)) / n
    return torch.maximum(grid[1:] - ordered, ordered - grid[:-1]).amax(0)


def angular_crps(draws: Tensor, y: Tensor, period: Tensor | None) -> Tensor:
    """Continuous ranked probability score of each coordinate, estimated without bias from draws, (B, D).

    E δ(Y, y) - ½ E δ(Y, Y') with the distance along the circle δ in circular coordinates (Grimit, Gneiting, Berrocal &
    Johnson, Q. J. R. Meteorol. Soc. 132, 2006, equation 9) and |Y - y| in others, over all pairs of different draws. In
    the unit of the coordinate; a forecast that is a point scores its angular error.

    Args:
        draws: (S, B, D), S >= 2; memory B x S² x D.
        y: (B, D).
        period: (D,), inf where a coordinate is not circular; None where none is.

    Raises:
        ShapeError: fewer than two draws, or shapes that do not fit.
    """
    if draws.dim() != 3 or draws.shape[0] < 2 or draws.shape[1:] != y.shape:
        raise ShapeError(
            f"draws {tuple(draws.shape)} do not fit y {tuple(y.shape)}; give (S, B, D) with S >= 2 and (B, D).",
            shape=tuple(draws.shape),
        )
    length, n = as_period(period, y), draws.shape[0]
    to_y = nearest_image(draws - y, length).abs().mean(0)
    pairs = nearest_image(draws[:, None] - draws[None], length).abs().sum((0, 1)) / (n * (n - 1))
    return to_y - 0.5 * pairs


def _check(mixture: GaussianMixture, y: Tensor) -> None:
    want = (*mixture.batch_shape, *mixture.event_shape)
    if tuple(y.shape) != want or len(want) != 2:
        raise ShapeError(f"y {tuple(y.shape)} does not fit this mixture; give y as (B, D) = {want}.")
