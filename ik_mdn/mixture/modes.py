"""Local maxima of a Gaussian mixture density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ik_mdn.mixture.circular import nearest_image, wrap
from ik_mdn.mixture.factor import PrecisionFactor
from ik_mdn.mixture.images import Images, list_images, sum_by_row
from ik_mdn.mixture.parameters import MixtureParameters

_AT_ONCE = 1 << 16  # components at points that are looked at in one go; bounds the memory
_SADDLE = 1e-6  # how far the curvature may exceed that of a flat top before a point counts as a saddle


@dataclass(frozen=True)
class Modes:
    """Modes of each element of the batch, highest density first, padded to S: K, or as many as any has.

    Args:
        loc: Where they are, (*batch, S, D); NaN where there is no further mode.
        log_prob: log density there, (*batch, S); -inf where there is no further mode.
        valid: Which rows are modes, (*batch, S).
        weight: Total weight of the components whose means ascend to each mode, (*batch, S); 0 where none does.
    """

    loc: Tensor
    log_prob: Tensor
    valid: Tensor
    weight: Tensor


@torch.no_grad()
def find_modes(mixture: MixtureParameters, *, max_steps: int = 500, tol: float = 1e-9, merge: float = 0.05) -> Modes:
    """The modes of the mixture, found by fixed-point ascent from all component means, and from where components cross.

    y ← (Σₖ rₖ(y) Σₖ⁻¹)⁻¹ Σₖ rₖ(y) Σₖ⁻¹ μₖ (Carreira-Perpiñán, Mode-finding for mixtures of Gaussian distributions, IEEE
    TPAMI 22(11), 2000), which never lowers the density; each component enters by all its images that matter. Long thin
    components that cross have a peak at the crossing, which the ascents from their means may pass by, so the
    peaks of the products of two components are starts too: the K of them where the two are densest. Stationary points whose
    Hessian has a positive eigenvalue are dropped, and points nearer to each other than `merge` count once. A
    mixture may have more modes than starts in D > 1. Computed in double precision; memory batch x K² x D².

    Args:
        mixture: Any batch shape.
        max_steps: Bound on the steps; only modes about to merge come near it.
        tol: Largest last step, in local standard deviations.
        merge: Distance below which two end points are one mode, in local standard deviations.
    """
    flat = _in_double(mixture)
    precision = flat.precision_tril.mT @ flat.precision_tril  # (B, K, D, D)
    y = torch.cat([flat.loc, _crossings(flat, precision)], dim=1).movedim(1, 0).clone()  # (S, B, D), means first
    starts, live = (torch.arange(size, device=y.device) for size in y.shape[:2])  # where any still moves
    for _ in range(max_steps):
        at = starts[:, None], live
        _, slope, local, _ = _expansion(flat.take(live), precision[live], y[at])
        step = torch.linalg.solve(local, slope.unsqueeze(-1)).squeeze(-1)
        y[at] += step
        moves = (step * slope).sum(-1) > tol**2
        starts, live = starts[moves.any(1)], live[moves.any(0)]
        if not len(live):
            break
    log_prob, _, local, scatter = _expansion(flat, precision, y)
    y, log_prob, local, peak = (each.movedim(0, 1) for each in (y, log_prob, local, _is_peak(local, scatter)))
    modes = _distinct(flat, y, log_prob, local, peak, merge)
    most = max([mixture.n_components, *modes.valid.sum(-1).tolist()])

    def shaped(each: Tensor) -> Tensor:
        return each[:, :most].reshape(*mixture.batch_shape, most, *each.shape[2:])

    loc, log_prob, weight = (each.to(mixture.loc.dtype) for each in (modes.loc, modes.log_prob, modes.weight))
    return Modes(shaped(loc), shaped(log_prob), shaped(modes.valid), shaped(weight))


def _in_double(mixture: MixtureParameters) -> MixtureParameters:
    """The mixture in double precision with its batch flattened, (B,)."""
    size, count = mixture.event_shape[0], mixture.n_components
    return MixtureParameters(
        mixture.logits.double().reshape(-1, count),
        mixture.loc.double().reshape(-1, count, size),
        precision_tril=mixture.precision_tril.double().reshape(-1, count, size, size),
        period=mixture.period,
        validate_args=False,
    )


def _crossings(flat: MixtureParameters, precision: Tensor) -> Tensor:
    """Peaks of products N(y; μᵢ, Σᵢ) N(y; μⱼ, Σⱼ): of all pairs the K where the two alone are densest, (B, K, D)."""
    one, other = torch.triu_indices(flat.n_components, flat.n_components, 1, device=flat.loc.device)
    gap = nearest_image(flat.loc[:, other] - flat.loc[:, one], flat.period)
    pull = precision[:, other] @ gap.unsqueeze(-1)
    away = torch.linalg.solve(precision[:, one] + precision[:, other], pull).squeeze(-1)  # from the first mean
    height = flat.log_weights + flat.precision_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # at the means

    def log_density(pair: Tensor, residual: Tensor) -> Tensor:
        z = (flat.precision_tril[:, pair] @ residual.unsqueeze(-1)).squeeze(-1)
        return height[:, pair] - 0.5 * z.square().sum(-1)

    density = torch.logaddexp(log_density(one, away), log_density(other, away - gap))
    best = density.topk(min(flat.n_components, len(one)), dim=-1).indices
    highest: Tensor = (flat.loc[:, one] + away).gather(1, best.unsqueeze(-1).expand(-1, -1, away.shape[-1]))
    return highest


class _Terms(NamedTuple):
    """One image of one component at one point each, those of all points (S, B, D) in a row."""

    row: Tensor  # (N,), of (S, B, K) flattened
    point: Tensor  # (N,), of (S, B) flattened
    tril: Tensor  # (N, D, D), of the precision
    z: Tensor  # (N, D)
    log_share: Tensor  # (N,), log of weight times density


def _terms(flat: MixtureParameters, y: Tensor) -> _Terms:
    residual = flat._residual(y)  # (S, B, K, D)
    factor, size = PrecisionFactor(flat.precision_tril, y.shape[-1]), y.shape[-1]
    images = Images(torch.arange(residual.numel() // size, device=y.device), residual.reshape(-1, size))
    if flat.period is not None:
        images = list_images(factor, residual, flat.log_weights, flat.period)
    owner = images.row % flat.logits.numel()
    tril = factor.value.reshape(-1, size, size)[owner]
    kernel, z = factor.map(tril).log_kernel_and_innovations(images.residual)
    log_share = flat.log_weights.flatten()[owner] + kernel - 0.5 * size * math.log(2 * math.pi)
    return _Terms(images.row, images.row // flat.n_components, tril, z, log_share)


def _expansion(flat: MixtureParameters, precision: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """log p, Σ rₖ gₖ, Σ rₖ Σₖ⁻¹ and Σ rₖ gₖ gₖᵀ with gₖ = Σₖ⁻¹(μₖ - y), at points (S, B, D), over all images."""
    some = max(1, _AT_ONCE // max(1, flat.logits.numel()))
    log_prob, slope, local, scatter = zip(
        *(_expanded(flat, precision, part) for part in torch.split(y, some)), strict=True
    )
    return torch.cat(log_prob), torch.cat(slope), torch.cat(local), torch.cat(scatter)


def _expanded(flat: MixtureParameters, precision: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`_expansion` at as many points as are looked at in one go."""
    row, point, tril, z, log_share = _terms(flat, y)
    size = y.shape[-1]
    n_points = y.shape[0] * y.shape[1]
    log_prob = sum_by_row(log_share, point, n_points)
    share = (log_share - log_prob[point]).exp()
    g = -(z.unsqueeze(-2) @ tril).squeeze(-2)
    slope = y.new_zeros(n_points, size).index_add(0, point, share.unsqueeze(-1) * g)
    outer = (share.unsqueeze(-1) * g).unsqueeze(-1) * g.unsqueeze(-2)
    scatter = y.new_zeros(n_points, size, size).index_add(0, point, outer)
    shares = share.new_zeros(n_points * flat.n_components).index_add(0, row, share)
    shares = shares.reshape(*y.shape[:2], flat.n_components)
    local = torch.einsum("sbk,bkij->sbij", shares, precision)
    shape = y.shape[:2]
    return log_prob.reshape(shape), slope.reshape(y.shape), local, scatter.reshape(*shape, size, size)


def _is_peak(precision: Tensor, scatter: Tensor) -> Tensor:
    """Whether Σ rₖ gₖ gₖᵀ - Σ rₖ Σₖ⁻¹, the Hessian of log p at a stationary point, has no positive eigenvalue."""
    tril = torch.linalg.cholesky(precision)
    half = torch.linalg.solve_triangular(tril, scatter, upper=False)
    whitened = torch.linalg.solve_triangular(tril, half.mT, upper=False)
    largest: Tensor = torch.linalg.eigvalsh(whitened)[..., -1]
    return largest < 1 + _SADDLE


def _distinct(
    mixture: MixtureParameters, y: Tensor, log_prob: Tensor, precision: Tensor, peak: Tensor, merge: float
) -> Modes:
    between = nearest_image(y.unsqueeze(-2) - y.unsqueeze(-3), mixture.period)  # (B, S, S, D)
    distance = torch.einsum("...sti,...sij,...stj->...st", between, precision, between)
    same = torch.minimum(distance, distance.mT) < merge**2
    order = torch.where(peak, log_prob, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    n = order.shape[-1]
    same = same.gather(-2, order.unsqueeze(-1).expand_as(same)).gather(-1, order.unsqueeze(-2).expand_as(same))
    keep = peak.gather(-1, order)
    for t in range(1, n):
        keep[..., t] &= ~(same[..., t, :t] & keep[..., :t]).any(-1)
    owner = (same & keep.unsqueeze(-2)).int().argmax(-1)  # (B, S): the first mode each start is the same as
    owned = (same & keep.unsqueeze(-2)).any(-1)
    weights = torch.zeros_like(log_prob)
    weights[:, : mixture.n_components] = mixture.weights
    weights = weights.gather(-1, order) * owned
    weight = torch.zeros_like(weights).scatter_add_(-1, owner, weights)
    front = (~keep).to(torch.int8).argsort(dim=-1, stable=True)
    keep = keep.gather(-1, front)
    final = order.gather(-1, front)
    loc = wrap(y.gather(-2, final.unsqueeze(-1).expand_as(y)), mixture.period)
    return Modes(
        loc=torch.where(keep.unsqueeze(-1), loc, torch.nan),
        log_prob=torch.where(keep, log_prob.gather(-1, final), -torch.inf),
        valid=keep,
        weight=weight.gather(-1, front),
    )
