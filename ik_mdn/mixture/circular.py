"""Circular coordinates: angles, and any other coordinate that repeats after a period (inf where it does not)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from sim.errors import ShapeError

MISSING_MASS = 1e-7  # probability that may lie beyond the images of one coordinate; D of them stay below 1e-6
MAX_IMAGES = 4096  # images of one full-covariance component: 3 in each of 7 coordinates are 2187


def as_period(period: Tensor | Sequence[float] | float | None, like: Tensor) -> Tensor | None:
    """The period of each coordinate, (D,), or None where no coordinate is circular.

    Args:
        period: (D,), or one number for all, in the units of the coordinates; inf where not circular.
        like: Means (..., D), which give D, dtype and device.

    Raises:
        ShapeError: not (D,), or a period that is not positive.
    """
    if period is None:
        return None
    given = torch.as_tensor(period, dtype=like.dtype).detach()  # checked where it lies: a GPU need not wait
    if given.dim() > 1 or (given.dim() == 1 and given.shape[0] != like.shape[-1]):
        raise ShapeError(
            f"period has shape {tuple(given.shape)}; give one number per coordinate, ({like.shape[-1]},), "
            "with inf where a coordinate is not circular.",
            period=period,
        )
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
    circular = period.isfinite()
    omega = torch.where(circular, 2 * math.pi / period, 1.0)
    log_length = log_weights.unsqueeze(-1) - 0.5 * omega.square() * variance
    length = (log_length - log_length.amax(-2, keepdim=True)).exp()  # (..., K, D)
    angle = omega * loc
    direction = torch.atan2((length * angle.sin()).sum(-2), (length * angle.cos()).sum(-2)) / omega
    return torch.where(circular, wrap(direction, period), (log_weights.exp().unsqueeze(-1) * loc).sum(-2))


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
            while n < MAX_IMAGES and _missing(weights, (n + 0.5) * ratio) > MISSING_MASS:
                n = n + 1 if n < 8 else 2 * n  # a component far wider than the circle needs many
        counts.append(n)
    return tuple(counts)


def image_shifts(counts: Sequence[int], period: Tensor) -> Tensor:
    """The shifts to every image, the nearest one first, (M, D) with M = Π(2 nᵢ + 1).

    Args:
        counts: Images on each side, per coordinate; those of linear coordinates do not count.
        period: (D,), inf where not circular.

    Raises:
        ShapeError: more than 4096 images.
    """
    lengths = period.tolist()
    used = [n if math.isfinite(p) else 0 for n, p in zip(counts, lengths, strict=True)]
    total = math.prod(2 * n + 1 for n in used)
    if total > MAX_IMAGES:
        raise ShapeError(
            f"the widest component needs {tuple(used)} images on each side of the circular coordinates with periods "
            f"{lengths}: {total} in all, and at most {MAX_IMAGES} are summed for a full covariance. Pass images=0 "
            "(nearest image only) or images=1, use a diagonal scale (its images cost no product), or bound the scale.",
            images=tuple(used),
        )
    cells = sorted(product(*(range(-n, n + 1) for n in used)), key=lambda cell: sum(abs(i) for i in cell))
    step = torch.where(period.isfinite(), period, 0.0)
    return torch.tensor(cells, dtype=period.dtype, device=period.device) * step


def _missing(weights: Tensor, bound: Tensor) -> float:
    return float((weights * torch.erfc(bound)).sum(-1).max()) if weights.numel() else 0.0
