"""Modes of a density matched with the true solutions: recall and precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ik_mdn.evaluation.metrics import joint_distance

NEAR = 0.2  # a mode within this of a solution in every joint [rad, m] stands for it
LEAST_MASS = 0.01  # a mode counts when the components that ascend to it weigh this much together
_SAME = 1e-3  # [rad, m] a refined solution this near to a true one is the same


@dataclass(frozen=True)
class ModeScores:
    """Modes of the density against the solutions that refinement of many random restarts finds.

    Args:
        poses: How many poses were compared.
        solutions: Mean number of true solutions per pose, in limits, full turns counted once.
        modes: Mean number of modes per pose that carry at least `LEAST_MASS`.
        recall: Share of the true solutions with a mode within `NEAR` in every joint.
        precision: Share of the modes with a true solution within `NEAR` in every joint.
        mass: Mean probability that the counted modes near a solution carry.
        refined_recall: Share of the true solutions found by refining the components alone.

    Two solutions may share a mode (where branches meet, they lie nearer to each other than `NEAR`). Recall and
    precision of retrieved sets: van Rijsbergen, Information Retrieval, 1979, chapter 7.
    """

    poses: int
    solutions: float
    modes: float
    recall: float
    precision: float
    mass: float
    refined_recall: float


def mode_scores(
    modes: list[Tensor], masses: list[Tensor], solutions: list[Tensor], refined: list[Tensor], period: Tensor
) -> ModeScores:
    """Recall and precision of modes, pose by pose.

    Args:
        modes: Modes of each pose, (M, n) [rad, m].
        masses: Probability of each mode, (M,).
        solutions: True solutions of each pose, (m, n).
        refined: Solutions that the components lead to, (r, n).
        period: (n,), inf where a joint does not turn.

    Returns:
        The scores; an arm without any solution or mode scores 0.
    """
    hits = [within(s, m, period, NEAR) for s, m in zip(solutions, modes, strict=True)]  # solutions with a mode
    right = [within(m, s, period, NEAR) for s, m in zip(solutions, modes, strict=True)]  # modes with a solution
    again = [within(s, r, period, _SAME) for s, r in zip(solutions, refined, strict=True)]
    mass = [float(w[ok].sum()) for w, ok in zip(masses, right, strict=True)]
    return ModeScores(
        poses=len(modes),
        solutions=float(np.mean([len(s) for s in solutions])),
        modes=float(np.mean([len(m) for m in modes])),
        recall=_share(hits),
        precision=_share(right),
        mass=float(np.mean(mass)),
        refined_recall=_share(again),
    )


def within(one: Tensor, other: Tensor, period: Tensor, tolerance: float) -> Tensor:
    """Which rows of one, (M, n), have a row of the other within a tolerance in every joint, (M,).

    Args:
        one, other: Joint vectors, (M, n) and (N, n) [rad, m].
        period: (n,), inf where a joint slides.
        tolerance: [rad, m].
    """
    if not len(one) or not len(other):
        return torch.zeros(len(one), dtype=torch.bool)
    return joint_distance(one[:, None].double(), other[None].double(), period).amin(1) <= tolerance


def _share(hits: list[Tensor]) -> float:
    joined = torch.cat(hits).double()
    return float(joined.mean()) if len(joined) else 0.0
