"""Circular coordinates: angles, and any other coordinate that repeats after a period (inf where it does not)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sim.errors import ShapeError

MISSING_MASS = 1e-7  # probability that may lie beyond the images of one coordinate; D of them stay below 1e-6


def as_period(period: Tensor | Sequence[float] | float | None, like: Tensor) -> Tensor | None:
    """The period of each coordinate, (D,), or None where no coordinate is circular.

    Args:
        period: (D,), or one number for all, in the units of the coordinates; inf where not circular.
        like: Means (..., D), which give D, dtype and device.

    Raises:
        ShapeError: not (D,), or a period on the CPU that is not positive.
    """
    if period is None:
        return None
    try:
        given = torch.as_tensor(period, dtype=like.dtype).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"period is {period!r}; give one number, or (D,) of them.", period=period) from error
    if given.dim() > 1 or (given.dim() == 1 and given.shape[0] != like.shape[-1]):
        raise ShapeError(
            f"period has shape {tuple(given.shape)}; give one number per coordinate, ({like.shape[-1]},), "
            "with inf where a coordinate is not circular.",
            period=period,
        )
    if given.device.type == "cpu":  # elsewhere to look is to wait
        if not bool((given > 0).all()):
            raise ShapeError(f"period is {given.tolist()}; every period must be positive, or inf.", period=period)
        if not bool(given.isfinite().any()):
            return None
    return given.to(like.device).expand(like.shape[-1]).contiguous()


def nearest_image(difference: Tensor, period: Tensor | None) -> Tensor:
    """The differences shifted by whole periods into [-period/2, period/2], (..., D); gradient 1.

    Args:
        difference: (..., D).
        period: (D,), inf where not circular, or None.
    """
    if period is None:
        return difference
    circular = period.isfinite()
    step = torch.where(circular, period, 0.0)
    rate = torch.where(circular, period.reciprocal(), 0.0)
    return difference - (difference.detach() * rate).round_() * step


def wrap(values: Tensor, period: Tensor | None) -> Tensor:
    """The values shifted by whole periods into [-period/2, period/2), (..., D); gradient 1.

    Args:
        values: (..., D).
        period: (D,), inf where not circular, or None.
    """
    if period is None:
        return values
    near = nearest_image(values, period)
    half = period / 2
    return torch.where(near.detach().abs() < half, near, near - near.detach() - half)


def embed(values: Tensor, period: Tensor | None) -> Tensor:
    """Points of a Euclidean space in which circular coordinates close, (..., D + number of circular ones).

    A circular coordinate becomes (sin ωx, cos ωx)/ω with ω = 2π/period: a circle whose arc length is the
    coordinate itself, so that near points keep their distance. Others stay as they are.

    Args:
        values: (..., D).
        period: (D,), inf where not circular, or None.
    """
    if period is None:
        return values
    circular = period.isfinite()
    omega = 2 * math.pi / period[circular]
    angle = values[..., circular] * omega
    return torch.cat((values[..., ~circular], angle.sin() / omega, angle.cos() / omega), dim=-1)


def angular_frequency(period: Tensor) -> Tensor:
    """ω = 2π/period, radians per unit of each circular coordinate, (D,); 1 where not circular.

    Args:
        period: (D,), inf where not circular.
    """
    return torch.where(period.isfinite(), 2 * math.pi / period, 1.0)


def mean_direction(log_weights: Tensor, loc: Tensor, variance: Tensor, period: Tensor) -> Tensor:
    """The mean direction of a mixture of wrapped normals in each coordinate, (..., D); plain mean where linear.

    The argument of the first trigonometric moment, Σₖ πₖ exp(-½ω²σₖ²) exp(iωμₖ) with ω = 2π/period (Mardia & Jupp,
    Directional Statistics, 2000, sections 2.2 and 3.5.7). It is arbitrary where that moment vanishes.

    Args:
        log_weights: (..., K).
        loc: (..., K, D).
        variance: Of the components, (..., K, D).
        period: (D,), inf where not circular.
    """
    circular, omega = period.isfinite(), angular_frequency(period)
    log_length = log_weights.unsqueeze(-1) - 0.5 * omega.square() * variance
    length = (log_length - log_length.amax(-2, keepdim=True)).exp()  # (..., K, D)
    angle = omega * loc
    direction = torch.atan2((length * angle.sin()).sum(-2), (length * angle.cos()).sum(-2)) / omega
    return torch.where(circular, wrap(direction, period), (log_weights.exp().unsqueeze(-1) * loc).sum(-2))


def wrapped_square(loc: Tensor, variance: Tensor, period: Tensor) -> Tensor:
    """E[w(X)²] of X ~ N(loc, variance) with w the wrapping into [-period/2, period/2], in double precision, (..., D).

    loc² + variance for a narrow X near 0, and period²/12 for a wide one, which is uniform on the circle. Up to a
    standard deviation of a quarter of the period by truncated normal moments, Σₘ ∫ (x - mP)² N(x) dx over
    |x - mP| <= P/2 (Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions 1, 1994, section 13.10.1), and
    beyond by the Fourier series of w², P²/12 + Σₙ (-1)ⁿ (P/πn)² exp(-½n²ω²σ²) cos nω loc with ω = 2π/P.

    Args:
        loc: (..., D).
        variance: (..., D).
        period: (D,), inf where not circular.
    """
    circular = period.isfinite()
    length = torch.where(circular, period, 1.0).double()
    delta, plain = nearest_image(loc, period).double(), variance.double()
    sigma = plain.sqrt()
    truncated, series = torch.zeros_like(delta), (length.square() / 12).expand_as(delta)
    for m in range(-2, 3):
        d = delta - m * length
        low, high = (-0.5 * length - d) / sigma, (0.5 * length - d) / sigma
        mass, edge_low, edge_high = torch.special.ndtr(high) - torch.special.ndtr(low), _normal(low), _normal(high)
        spread = plain * (mass + low * edge_low - high * edge_high)
        truncated = truncated + d.square() * mass + 2 * d * sigma * (edge_low - edge_high) + spread
    for n in range(1, 7):
        omega = 2 * math.pi * n / length
        size = (-1) ** n * (length / (math.pi * n)).square() * (-0.5 * omega.square() * plain).exp()
        series = series + size * (omega * delta).cos()
    wrapped = torch.where(4 * sigma < length, truncated, series)
    return torch.where(circular, wrapped, delta.square() + plain)


def images_needed(weights: Tensor, stddev: Tensor, period: Tensor) -> tuple[int, ...]:
    """How many images on each side every coordinate needs for the density to integrate to 1 within 1e-6.

    With n images a component misses erfc((n + ½) period / (√2 σ)) of its mass; n grows until the weighted
    sum over components is below 1e-7 for the whole batch. With period 2π, σ < 0.59 needs none.

    Args:
        weights: (..., K).
        stddev: Of the components along each coordinate, (..., K, D).
        period: (D,), inf where not circular.
    """
    counts = []
    for d, length in enumerate(period.tolist()):
        n = 0
        if math.isfinite(length):
            ratio = length / (math.sqrt(2.0) * stddev[..., d])
            while _missing(weights, (n + 0.5) * ratio) > MISSING_MASS:
                n += 1
        counts.append(n)
    return tuple(counts)


def _missing(weights: Tensor, bound: Tensor) -> float:
    return float((weights * torch.erfc(bound)).sum(-1).max()) if weights.numel() else 0.0


def _normal(z: Tensor) -> Tensor:
    """The standard normal density."""
    return (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)


def sample_mean(values: Tensor, period: Tensor, dim: int = 0) -> Tensor:
    """The mean of samples along a dimension; in circular coordinates their mean direction.

    Args:
        values: Samples, (..., D).
        period: (D,), inf where not circular.
        dim: The dimension, not the last.
    """
    rows = values.movedim(dim, -2)
    even = rows.new_full(rows.shape[-2:-1], -math.log(rows.shape[-2]))
    return mean_direction(even, rows, torch.zeros_like(rows), period)
