"""How probable a network by itself holds each solution, to be measured against the exact law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ik_mdn.solver.probabilities import LEAST, count_windings, normalise
from ik_mdn.solver.solutions import SolutionBatch
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.task import as_batch

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.model import ArmModel, PoseModel

_SMEARED = 0.1  # [rad, m] that networks smear answers and limits by, where they tell branches apart: measured
_STRANGE = 8.0  # -log of the odds, at its mean, that a component stands for no solution at all
_TURN = 2 * np.pi


def network_weights(model: ArmModel, T_base_tip: ArrayLike | Tensor, found: SolutionBatch) -> FloatArray:
    """The probability that a network by itself gives each solution of each pose, whatever the exact law says.

    Each component's weight is shared among the solutions by their densities under it, after it was made wider. A network
    learns where limits are only smeared: a solution beside one gets about half of its weight. Of the limits of the first and
    the last joint it cannot know anything where the pose's symmetries were divided out of them. So what it gives is
    multiplied by the number of windings in limits and divided by the number that it sees.

    Args:
        model: A mixture. Of one that draws joints before others it is the share of proposals, `Solutions.proposal_weight`.
        T_base_tip: The poses, as `IKSolver.solve` takes them.
        found: Their solutions; where windings have no rows of their own, a solution stands for all its own.

    Returns:
        (M,), which sums to 1 over each pose that has rows.

    Raises:
        ShapeError, PoseError: The poses are none, or not as many as were solved for.
    """
    import torch

    from ik_mdn.mixture import nearest_image
    from ik_mdn.model import PoseModel

    if not isinstance(model, PoseModel):
        return normalise(found.offsets, np.log(np.maximum(found.proposal_weight, LEAST)))
    T = as_batch(model.task, T_base_tip)
    if len(T) != len(found):
        raise ShapeError(f"got {len(T)} poses and solutions of {len(found)}; give the poses that were solved for")
    arm, log_weight = model.arm, np.log(count_windings(model.arm, found.q)) - _log_of_seen(model, found.q)
    period = torch.tensor(arm.period)
    with torch.no_grad():
        mixture = model.uncut(torch.from_numpy(T)).mixture
        spread = mixture.scale_tril
        precision = torch.linalg.inv(spread @ spread.mT + _SMEARED**2 * torch.eye(arm.n_joints))  # (B, K, n, n)
    for pose, rows in enumerate(map(slice, found.offsets[:-1], found.offsets[1:])):
        away = nearest_image(torch.from_numpy(found.q[rows, None]) - mixture.loc[pose], period)  # (S, K, n)
        near = -0.5 * torch.einsum("ski,kij,skj->sk", away, precision[pose], away)
        share = near - torch.cat([near, torch.full_like(near[:1], -_STRANGE)]).logsumexp(0)
        log_weight[rows] += (mixture.log_weights[pose] + share).logsumexp(1).numpy()
    return normalise(found.offsets, log_weight)


def _log_of_seen(model: PoseModel, q: FloatArray) -> FloatArray:
    """log of the number of windings of each joint vector that a network sees, up to a constant, (M,)."""
    from scipy.special import ndtr

    arm, unseen = model.arm, model.features.divided_out
    seen = np.zeros(len(q))
    for j in (~arm.is_prismatic & np.isfinite(arm.q_max - arm.q_min)).nonzero()[0]:
        if j not in unseen:
            low, high = arm.q_min[j], arm.q_max[j]
            most = np.ceil((high - low) / _TURN)
            wound = q[:, j, None] + _TURN * np.arange(-most, most + 1)
            seen += np.log((ndtr((high - wound) / _SMEARED) - ndtr((low - wound) / _SMEARED)).sum(1))
    return seen
