"""Local maxima of a Gaussian mixture density."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ik_mdn.mixture.circular import image_shifts, nearest_image, wrap
from ik_mdn.mixture.mixture import GaussianMixture

_SADDLE = 1e-6  # how far the curvature may exceed that of a flat top before a point counts as a saddle


@dataclass(frozen=True)
class Modes:
    """Modes of each element of the batch, highest density first, padded to K.

    Args:
        loc: Where they are, (*batch, K, D); NaN where there is no further mode.
        log_prob: log density there, (*batch, K); -inf where there is no further mode.
        valid: Which rows are modes, (*batch, K).
        weight: Total weight of the components whose means ascend to each mode, (*batch, K).
    """

    loc: Tensor
    log_prob: Tensor
    valid: Tensor
    weight: Tensor


@torch.no_grad()
def find_modes(mixture: GaussianMixture, *, max_steps: int = 500, tol: float = 1e-9, merge: float = 0.05) -> Modes:
    """The modes of the mixture, found by fixed-point ascent from all component means.

    y ← (Σₖ rₖ(y) Σₖ⁻¹)⁻¹ Σₖ rₖ(y) Σₖ⁻¹ μₖ (Carreira-Perpiñán, Mode-finding for mixtures of Gaussian distributions, IEEE
    TPAMI 22(11), 2000), which never lowers the density; each component enters by its image nearest to y, or by all
    its images where the mixture sums several. Stationary points whose Hessian has a positive eigenvalue are dropped,
    and points nearer to each other than `merge` count once. A mixture may have more modes than components in
    D > 1; those that no mean ascends to are not found. Computed in double precision; memory batch x K² x D.

    Args:
        mixture: Any batch shape.
        max_steps: Bound on the steps; only modes about to merge come near it.
        tol: Largest last step, in local standard deviations.
        merge: Distance below which two end points are one mode, in local standard deviations.
    """
    parts = _Parts(mixture)
    y = mixture.loc.double()  # (*batch, S, D), S = K starts
    for _ in range(max_steps):
        _, slope, precision, _ = parts.expansion(y)
        step = torch.linalg.solve(precision, slope.unsqueeze(-1)).squeeze(-1)
        y = y + step
        if not bool(((step * slope).sum(-1) > tol**2).any()):
            break
    log_prob, _, precision, scatter = parts.expansion(y)
    return _distinct(mixture, y, log_prob, precision, _is_peak(precision, scatter), merge)


class _Parts:
    """The mixture's parameters in double precision, its images as components of their own."""

    def __init__(self, mixture: GaussianMixture) -> None:
        period, counts = mixture.period, mixture._image_counts
        self.period = None if period is None else period.double()
        self.tril = mixture.precision_tril.double()  # (*batch, K, D, D)
        self.precision = self.tril.mT @ self.tril
        self.loc = mixture.loc.double().unsqueeze(-3)  # (*batch, 1, K, D)
        constant = -0.5 * self.loc.shape[-1] * math.log(2 * math.pi)
        log_det = self.tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        self.log_scale = (mixture.logits.double().log_softmax(-1) + log_det + constant).unsqueeze(-2)
        self.shifts = None
        if self.period is not None and any(counts):
            self.shifts = image_shifts(counts, self.period)

    def expansion(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """log p, Σ rₖ gₖ, Σ rₖ Σₖ⁻¹ and Σ rₖ gₖ gₖᵀ with gₖ = Σₖ⁻¹(μₖ - y), at points (*batch, S, D)."""
        delta = nearest_image(self.loc - y.unsqueeze(-2), self.period).unsqueeze(-2)  # (*batch, S, K, 1, D)
        if self.shifts is not None:
            delta = delta + self.shifts  # (*batch, S, K, M, D)
        z = torch.einsum("...kij,...skmj->...skmi", self.tril, delta)
        joint = self.log_scale.unsqueeze(-1) - 0.5 * z.square().sum(-1)  # (*batch, S, K, M)
        log_prob = joint.flatten(-2).logsumexp(-1)
        share = (joint - log_prob[..., None, None]).exp()
        g = torch.einsum("...kij,...skmi->...skmj", self.tril, z)
        slope = torch.einsum("...skm,...skmi->...si", share, g)
        precision = torch.einsum("...sk,...kij->...sij", share.sum(-1), self.precision)
        scatter = torch.einsum("...skmi,...skmj->...sij", share.unsqueeze(-1) * g, g)
        return log_prob, slope, precision, scatter


def _is_peak(precision: Tensor, scatter: Tensor) -> Tensor:
    """Whether Σ rₖ gₖ gₖᵀ - Σ rₖ Σₖ⁻¹, the Hessian of log p at a stationary point, has no positive eigenvalue."""
    tril = torch.linalg.cholesky(precision)
    half = torch.linalg.solve_triangular(tril, scatter, upper=False)
    whitened = torch.linalg.solve_triangular(tril, half.mT, upper=False)
    largest: Tensor = torch.linalg.eigvalsh(whitened)[..., -1]
    return largest < 1 + _SADDLE


def _distinct(
    mixture: GaussianMixture, y: Tensor, log_prob: Tensor, precision: Tensor, peak: Tensor, merge: float
) -> Modes:
    period = None if mixture.period is None else mixture.period.double()
    between = nearest_image(y.unsqueeze(-2) - y.unsqueeze(-3), period)  # (*batch, S, S, D)
    distance = torch.einsum("...sti,...sij,...stj->...st", between, precision, between)
    same = torch.minimum(distance, distance.mT) < merge**2
    order = torch.where(peak, log_prob, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    n = order.shape[-1]
    same = same.gather(-2, order.unsqueeze(-1).expand_as(same)).gather(-1, order.unsqueeze(-2).expand_as(same))
    keep = peak.gather(-1, order)
    for t in range(1, n):
        keep[..., t] &= ~(same[..., t, :t] & keep[..., :t]).any(-1)
    owner = (same & keep.unsqueeze(-2)).int().argmax(-1)  # (*batch, S): the first mode each start is the same as
    owned = (same & keep.unsqueeze(-2)).any(-1)
    weights = mixture.weights.double().gather(-1, order) * owned
    weight = torch.zeros_like(weights).scatter_add_(-1, owner, weights)
    front = (~keep).to(torch.int8).argsort(dim=-1, stable=True)
    keep = keep.gather(-1, front)
    final = order.gather(-1, front)
    loc = wrap(y.gather(-2, final.unsqueeze(-1).expand_as(y)).to(mixture.loc.dtype), mixture.period)
    return Modes(
        loc=torch.where(keep.unsqueeze(-1), loc, torch.nan),
        log_prob=torch.where(keep, log_prob.gather(-1, final), -torch.inf).to(mixture.loc.dtype),
        valid=keep,
        weight=weight.gather(-1, front).to(mixture.loc.dtype),
    )
