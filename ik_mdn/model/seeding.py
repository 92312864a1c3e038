"""Where refinement starts: component means, and two more points in each component that covers a range of answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.mixture import GaussianMixture

SPREAD = 2.0  # distance of the sigma points from the mean [standard deviations]
LEAST_WEIGHT = 1e-3  # lighter components get no sigma points
STRATA = 6  # values of joints drawn first from which the others start
LEAST_STD = 0.3  # [rad or m] a component narrower than this along its longest axis gets none either

_POWER_STEPS = 5


class Proposal(NamedTuple):
    """Joint vectors proposed for each pose, with the probability that the model gives each."""

    q: Tensor  # (B, S, n), float64, not wrapped into limits
    weight: Tensor  # (B, S), float64, summing to one


def strata_for(drawn: int, strata: int = STRATA) -> int:
    """How many values of a joint that is drawn first stand for its density, where `drawn` joints are still to be drawn."""
    return max(1, round(math.pow(strata, 1 / drawn)))


def sigma_points(mixture: GaussianMixture) -> Proposal:
    """The components' means, and for wide components two points on their longest axis, in float64.

    Where two branches are near each other (next to a fold), or solutions form a curve, one elongated component covers
    them and its mean lies between: from there refinement finds one of them at most. The points μ ± 2 σ₁ v₁, with σ₁²
    the largest eigenvalue of the covariance and v₁ its eigenvector, start on either side; the three share the
    component's weight. (The sigma points of the unscented transform, Julier & Uhlmann 1997, on one axis.)

    Args:
        mixture: Batch shape (B,), K components, event shape (n,).

    Returns:
        3 K proposals per pose: all means, then the two sigma points of each, with weight 0 where there are none.
    """
    import torch  # not with the constants above, which compiled code reads

    mean, weight = mixture.loc.double(), mixture.weights.double()
    heavy = weight >= LEAST_WEIGHT
    std, axis = _longest_axis(mixture.precision_tril[heavy].double())
    wide = std >= LEAST_STD
    step = torch.zeros_like(mean)
    step[heavy] = torch.where(wide, SPREAD * std, torch.zeros_like(std))[:, None] * axis
    shared = torch.zeros_like(heavy)
    shared[heavy] = wide
    side = torch.where(shared, weight / 3, torch.zeros_like(weight))
    q = torch.cat([mean, mean + step, mean - step], dim=1)
    return Proposal(q, torch.cat([weight - 2 * side, side, side], dim=1))


def _longest_axis(precision_tril: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation (R,) and unit direction (R, n) of the longest axis, by power iteration on the covariance.

    With the precision AᵀA, the covariance is A⁻¹A⁻ᵀ; a wide component's axes are far apart, so few steps do.
    """
    from ik_mdn.mixture import substitute, substitute_transposed

    axis = precision_tril.new_ones(precision_tril.shape[:-1]) / precision_tril.shape[-1] ** 0.5
    std = axis.new_zeros(axis.shape[:-1])
    for _ in range(_POWER_STEPS):
        stretched = substitute(precision_tril, substitute_transposed(precision_tril, axis))
        length = stretched.norm(dim=-1)
        axis, std = stretched / length[..., None], length.sqrt()
    return std, axis
