"""Full-covariance Gaussians on the circle: wrapped by summing their periodic images, those that matter at a point."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ik_mdn.mixture.factor import UNIFORM, ScaleFactor, TriangularFactor
from ik_mdn.mixture.triangular import squared_length

# Images are summed as far as this many standard deviations of every innovation: erfc(6/√2) = 2e-9 and
# erfc(4.5/√2) = 7e-6 of a component's mass lie beyond. An image that adds less than exp(-reach²/2) p(y) is left out.
REACH_DOUBLE, REACH_SINGLE = 6.0, 4.5
MAX_IMAGES = 750  # of one component: 3 in each of 6 coordinates are 729. What needs more is nearly uniform.
_CHUNK = 4096  # components looked at together; bounds the memory


class Rows(NamedTuple):
    """Components, out of a flattened batch of points and components, that want a closer look."""

    rows: Tensor  # (R,)
    budget: Tensor  # (R,), an image with a larger ½|z|² does not matter


class Images(NamedTuple):
    """Images of R components, those of one component side by side."""

    row: Tensor  # (N,), which component, from 0 to R - 1
    residual: Tensor  # (N, D), points minus the means of the images


def log_kernel_on_torus(factor: TriangularFactor, residual: Tensor, log_weights: Tensor, period: Tensor) -> Tensor:
    """Log kernels of wrapped components with full covariance, without -D/2 log 2π, (*sample, ..., K).

    Most components are so narrow, or so far away, that the nearest image is all; the others are looked at one by one.

    Args:
        factor: Of the components, (..., K, D, D).
        residual: Points minus means, to the image that is nearest coordinate by coordinate, (*sample, ..., K, D).
        log_weights: log π, (..., K).
        period: (D,), inf where not circular.
    """
    factor = _fitting(factor, residual)
    kernel, z = factor.log_kernel_and_innovations(residual)
    rows, budgets = rows_with_images(factor, kernel, z, log_weights, period)
    if not len(rows):
        return kernel
    flat, at, values = kernel.flatten(), residual.reshape(-1, residual.shape[-1]), factor.value.flatten(0, -3)
    for start in range(0, len(rows), _CHUNK):
        index, budget = rows[start : start + _CHUNK], budgets[start : start + _CHUNK]
        own = factor.map(values.index_select(0, index % len(values)))
        total = _summed_kernel(own, at.index_select(0, index), budget, period)
        found = total.detach().isfinite()  # none within the budget: the nearest one is as good as any
        flat = flat.index_copy(0, index[found], total[found])
    return flat.reshape(kernel.shape)


@torch.no_grad()
def list_images(factor: TriangularFactor, residual: Tensor, log_weights: Tensor, period: Tensor) -> Images:
    """The images of every component that matter at a point, at least one for each; rows as of the flattened residual.

    Args:
        factor: Of the components, (..., K, D, D).
        residual: Points minus means, to the image that is nearest coordinate by coordinate, (*sample, ..., K, D).
        log_weights: log π, (..., K).
        period: (D,), inf where not circular.
    """
    factor = _fitting(factor, residual)
    kernel, z = factor.log_kernel_and_innovations(residual)
    index, budget = rows_with_images(factor, kernel, z, log_weights, period)
    at, values = residual.reshape(-1, residual.shape[-1]), factor.value.flatten(0, -3)
    if not len(index):
        return Images(torch.arange(len(at), device=at.device), at)
    own = factor.map(values.index_select(0, index % len(values)))
    found, image = relevant_images(own.precision_tril(), at[index], budget, period)
    row = index[found]
    single = torch.ones(len(at), dtype=torch.bool, device=at.device).index_fill(0, row, False).nonzero()[:, 0]
    row, order = torch.cat([single, row]).sort(stable=True)
    return Images(row, torch.cat([at[single], image])[order])


def _fitting(factor: TriangularFactor, residual: Tensor) -> TriangularFactor:
    """The factor with the batch that points and means broadcast to; no copies."""
    value = factor.value
    return factor.map(value.expand(*residual.shape[1 - value.dim() : -1], *value.shape[-2:]))


def padded(images: Images, n_rows: int) -> tuple[Tensor, Tensor]:
    """Images as an array: residuals (n_rows, M, D), 0 where there is none, and which there are, (n_rows, M)."""
    count = torch.bincount(images.row, minlength=n_rows)
    place = torch.arange(len(images.row), device=images.row.device) - (count.cumsum(0) - count)[images.row]
    most = int(count.max()) if n_rows else 1
    residual = images.residual.new_zeros(n_rows, most, images.residual.shape[-1])
    listed = torch.zeros(n_rows, most, dtype=torch.bool, device=residual.device)
    residual[images.row, place], listed[images.row, place] = images.residual, True
    return residual, listed


@torch.no_grad()
def rows_with_images(factor: TriangularFactor, kernel: Tensor, z: Tensor, log_weights: Tensor, period: Tensor) -> Rows:
    """Components of which another image than the nearest one may add to p(y).

    Args:
        factor: Of the components, (..., K, D, D).
        kernel, z: Of the nearest image, coordinate by coordinate, (*sample, ..., K) and (*sample, ..., K, D).
        log_weights: log π, (..., K).
        period: (D,), inf where not circular.
    """
    diagonal = factor.precision_diagonal()  # (..., K, D)
    n_dims, reach = z.shape[-1], _reach(z.dtype)
    joint = log_weights + kernel
    budget = joint + (0.5 * squared_length(z) + 0.5 * reach**2) - joint.logsumexp(-1, keepdim=True)
    first = 0.5 * z[..., 0].square()  # no image has less
    index = (budget >= first).flatten().nonzero()[:, 0]
    size = z.reshape(-1, n_dims).index_select(0, index).abs()
    step = (diagonal * period).reshape(-1, n_dims)
    step = step.index_select(0, index % len(step))
    budget = budget.flatten().index_select(0, index)
    keep = _least_cost_of_others(size, step, reach) <= budget
    return Rows(index[keep], budget[keep])


def relevant_images(precision_tril: Tensor, residual: Tensor, budget: Tensor, period: Tensor) -> Images:
    """The images within the budget, out of those that the integral needs.

    With Σ⁻¹ = AᵀA and A lower triangular, the innovations z = A r of r ~ N(0, Σ) are independent and standard normal,
    and a turn of coordinate i moves zᵢ by P Aᵢᵢ. Choosing for each coordinate in turn one of nᵢ images on each side of
    the one with zᵢ nearest to 0 covers the mass Πᵢ erf((nᵢ + ½) P Aᵢᵢ/√2), however the coordinates are correlated. It
    is a lattice search level by level (Fincke & Pohst, Math. Comp. 44, 1985): a branch ends where ½ Σ zⱼ² exceeds the
    budget. A component that needs more than `MAX_IMAGES` gets the one image at which all |zᵢ| <= ½ P Aᵢᵢ.

    Args:
        precision_tril: A, (R, D, D).
        residual: Points minus means, (R, D).
        budget: Largest ½|A r|² that matters, (R,); inf for all that the integral needs.
        period: (D,), inf where not circular.
    """
    counts = _counts(precision_tril.diagonal(dim1=-2, dim2=-1), period)  # (R, D)
    counts = counts.masked_fill(_too_many(counts).unsqueeze(-1), 0.0)
    row = torch.arange(len(residual), device=residual.device)
    at, cost = residual.clone(), torch.zeros_like(budget)
    for i, length in enumerate(period.tolist()):
        scale, pull = precision_tril[row, i, i], (precision_tril[row, i, :i] * at[:, :i]).sum(-1)
        if math.isfinite(length):
            at[:, i] -= ((scale * at[:, i] + pull) / (scale * length)).round() * length
            z, step = scale * at[:, i] + pull, scale * length
            limit = (2 * (budget[row] - cost)).clamp_min(0.0).sqrt()
            low = torch.maximum(-counts[row, i], ((-limit - z) / step).ceil())
            high = torch.minimum(counts[row, i], ((limit - z) / step).floor())
            children = (high - low + 1).clamp_min(0.0).long()
            parent = torch.arange(len(row), device=row.device).repeat_interleave(children)
            number = torch.arange(len(parent), device=row.device) - (children.cumsum(0) - children)[parent]
            turns = low[parent] + number
            row, at, cost, scale, pull = (each[parent] for each in (row, at, cost, scale, pull))
            at[:, i] += turns * length
        cost = cost + 0.5 * (scale * at[:, i] + pull).square()
    return Images(row, at)


def sum_by_row(values: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """log Σ exp of the values of each row, (n_rows,); -inf where there is none.

    Args:
        values: (N,).
        row: Which row each belongs to, (N,).
        n_rows: How many rows.
    """
    peak = values.new_full((n_rows,), -torch.inf).scatter_reduce(0, row, values.detach(), "amax")
    peak = peak.masked_fill(peak.isinf(), 0.0)
    total = torch.zeros_like(peak).index_add(0, row, (values - peak[row]).exp())
    return peak + total.log()


def _summed_kernel(factor: TriangularFactor, residual: Tensor, budget: Tensor, period: Tensor) -> Tensor:
    """Log kernels of R components, summed over their images, (R,); -inf where none is within the budget."""
    with torch.no_grad():
        row, at = relevant_images(factor.precision_tril(), residual, budget, period)
        shift = at - residual[row]
        too_wide = _too_many(_counts(factor.precision_diagonal(), period))[row].nonzero()[:, 0]
    at = residual.index_select(0, row) + shift
    kernels = factor.map(factor.value.index_select(0, row)).log_kernel(at)
    if len(too_wide):
        wide = factor.map(factor.value.index_select(0, row[too_wide]))
        kernels = kernels.index_copy(0, too_wide, _wrapped_innovations(wide, at.index_select(0, too_wide), period))
    return sum_by_row(kernels, row, len(residual))


def _wrapped_innovations(factor: TriangularFactor, residual: Tensor, period: Tensor) -> Tensor:
    """Log kernels of components too wide to list their images: each innovation is wrapped by itself, (R,).

    It integrates to one, is exact without correlations and where the component is uniform, and close in between.
    """
    tril = factor.precision_tril()
    scale = tril.diagonal(dim1=-2, dim2=-1).reciprocal()
    innovation = scale * (tril @ residual.unsqueeze(-1)).squeeze(-1)
    widest = torch.minimum(scale.detach(), UNIFORM * period).reciprocal()
    counts = _counts(widest, period).amax(0).int().tolist()
    return ScaleFactor(scale, scale.shape[-1]).log_kernel_images(innovation, counts, period)


def _least_cost_of_others(size: Tensor, step: Tensor, reach: float) -> Tensor:
    """A bound on ½|z|² of every image but the coordinatewise nearest one, (R,).

    Args:
        size: |z| of the nearest one, (R, D).
        step: What a turn of each coordinate adds to its own z, (R, D).
        reach: Standard deviations that count.
    """
    other = (size - step * (size / step).round().clamp_min(1.0)).abs()
    beyond = (2 * size <= step) & (step >= 2 * reach)
    other = other.masked_fill(beyond | step.isinf(), torch.inf)
    before = size.square().cumsum(-1) - size.square()  # coordinates before the first that differs stay as they are
    least: Tensor = 0.5 * (before + other.square()).amin(-1)
    return least


def _counts(precision_diagonal: Tensor, period: Tensor) -> Tensor:
    """Images needed on each side in every innovation, shaped like the diagonal; 0 where linear."""
    return (_reach(period.dtype) / (precision_diagonal * period) - 0.5).ceil().clamp_min(0.0)


def _too_many(counts: Tensor) -> Tensor:
    return (2 * counts + 1).prod(-1) > MAX_IMAGES


def _reach(dtype: torch.dtype) -> float:
    return REACH_DOUBLE if dtype == torch.float64 else REACH_SINGLE
