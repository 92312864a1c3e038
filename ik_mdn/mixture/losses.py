"""Losses that train the networks: each is one number to minimise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ik_mdn.mixture.circular import as_period, wrap
from ik_mdn.mixture.mixture import GaussianMixture
from sim.errors import ShapeError


def nll(mixture: GaussianMixture, y: Tensor, *, blur: float = 0.0) -> Tensor:
    """Mean negative log-likelihood -log p(y) over the batch, in nats, ().

    Bishop, Mixture Density Networks, 1994, equation 29. Its gradients are π - r for the logits and r Σ⁻¹(μ - y)
    for the means, with the responsibilities r, over the batch size. K = 1 is heteroscedastic regression.

    With a blur f it is that of y + f ε, ε ~ N(0, I): every component's log density becomes its mean over ε,
    log N(y; μ, Σ) - ½ f² tr Σ⁻¹. By Jensen's inequality that is at most the likelihood of the blurred targets, and equal
    to it where components lie apart. Targets without noise have no largest likelihood, since Σ shrinks on them without
    end; blurred ones have: at the best Σ no deviation, in whatever direction, is smaller than f.

    Args:
        mixture: Batch shape (*batch).
        y: Targets, (*sample, *batch, D).
        blur: f, in the units of the coordinates.

    Raises:
        ShapeError: y does not fit the mixture.
    """
    if not blur:
        return -mixture.log_prob(y).mean()
    precision = mixture.precision_tril.square().sum((-2, -1))  # tr Σ⁻¹
    softer = mixture.component_log_prob(y) - 0.5 * blur**2 * precision
    return -(mixture.log_weights + softer).logsumexp(-1).mean()


def entropy_bonus(mixture: GaussianMixture, strength: float) -> Tensor:
    """-λ H(π), mean over the batch, (): added to the loss, it rewards weights that stay spread over components.

    H = -Σ πₖ log πₖ; its gradient for the logits is -πₖ (log πₖ + H).

    Args:
        mixture: Batch shape (*batch).
        strength: λ >= 0, in nats of likelihood per nat of entropy; 0 is off.

    Raises:
        ShapeError: a negative λ, which would reward collapse.
    """
    if strength < 0:
        raise ShapeError(
            f"strength is {strength}; give λ >= 0: the bonus already carries its minus sign.", strength=strength
        )
    return -strength * mixture.weight_entropy.mean()


def ordering_penalty(mixture: GaussianMixture, strength: float = 0.0, *, dim: int = 0, margin: float = 0.0) -> Tensor:
    """λ Σₖ max(0, μₖ + margin - μₖ₊₁) along one coordinate, mean over the batch, (): against label switching.

    Components keep the order of their means along that coordinate, so that the same index means the same answer from
    input to input. A circular coordinate is cut at ±period/2, as in `GaussianMixture.reordered`, which compares components
    without touching training. Off by default: it binds components that a multi-valued map may want to cross.

    Args:
        mixture: Batch shape (*batch).
        strength: λ >= 0, in nats per unit of the coordinate; 0 is off.
        dim: The coordinate.
        margin: Least distance between neighbours, in the units of the coordinate.

    Raises:
        ShapeError: a negative λ or a coordinate that does not exist.
    """
    size = mixture.event_shape[0]
    if strength < 0:
        raise ShapeError(f"strength is {strength}; give λ >= 0.", strength=strength)
    if not -size <= dim < size:
        raise ShapeError(f"dim is {dim}; this mixture has coordinates 0 to {size - 1}.", dim=dim)
    along = wrap(mixture.loc, mixture.period)[..., dim]  # (*batch, K)
    return strength * (along[..., :-1] + margin - along[..., 1:]).relu().sum(-1).mean()


def mse(prediction: Tensor, y: Tensor, period: Tensor | Sequence[float] | float | None = None) -> Tensor:
    """Mean squared error over batch and coordinates, ().

    A circular coordinate counts with its squared chord (2/ω sin(ωδ/2))², ω = 2π/period, the squared distance between
    the points (cos, sin)/ω: δ² for small errors, smooth at half a period, and minimised by the mean direction.

    Args:
        prediction: (*batch, D), in the units of the coordinates.
        y: Targets, the same shape.
        period: (D,), inf where a coordinate is not circular; None where none is.

    Raises:
        ShapeError: shapes that differ, or a period that does not fit.
    """
    if prediction.shape != y.shape:
        raise ShapeError(
            f"prediction {tuple(prediction.shape)} and y {tuple(y.shape)} differ in shape; give both as (*batch, D).",
            shape=tuple(prediction.shape),
        )
    delta = prediction - y
    length = as_period(period, delta)
    if length is None:
        return delta.square().mean()
    circular = length.isfinite()
    half_omega = torch.where(circular, math.pi / length, 1.0)
    chord = (delta * half_omega).sin() / half_omega
    return torch.where(circular, chord, delta).square().mean()
