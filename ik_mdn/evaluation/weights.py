"""How good stated probabilities of solutions are: the log score of the solution that made the pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ik_mdn.evaluation.metrics import joint_distance
from sim.arrays import FloatArray

if TYPE_CHECKING:
    from ik_mdn.solver import SolutionBatch
    from sim.arm import Arm

_EVEN = 0.01  # share of the proposals' probability that is spread evenly: what no proposal led to is not impossible
_SAME = 1e-3  # [rad, m]: a solution this near to the generating configuration in every joint is it


@dataclass(frozen=True)
class WeightScores:
    """Mean of -log p(the solution that made the pose | pose) [nats], lower is better; over the poses where it was found.

    Args:
        exact: Under `Solutions.weight`, the exact law: the least that any statement can have in the mean.
        network: Under `Solutions.proposal_weight`, 1 % of it spread evenly: what the model believes.
        uniform: Under the same probability for every solution.
        poses: How many poses count.
    """

    exact: float
    network: float
    uniform: float
    poses: int


def score_weights(arm: Arm, found: SolutionBatch, q: FloatArray) -> WeightScores:
    """The log scores of a batch's weights (Good, Rational decisions, J. R. Stat. Soc. B 14(1), 1952).

    Args:
        arm: The arm, with as many joints as the task has constraints.
        found: Solutions of the poses of q; where windings have no rows of their own, a solution stands for all its own.
        q: Joint vectors that made the poses [rad, m], shape (B, n).

    Returns:
        The scores; nan where no pose counts.
    """
    logs, period = [], torch.tensor(arm.period)
    for made_by, solutions in zip(q, found, strict=True):
        distance = joint_distance(torch.from_numpy(solutions.q), torch.from_numpy(made_by), period).numpy()
        if len(distance) and distance.min() <= _SAME:
            row, count = int(distance.argmin()), len(distance)
            share = solutions.proposal_weight[row] / max(float(solutions.proposal_weight.sum()), 1e-300)
            logs.append((solutions.weight[row], (1 - _EVEN) * share + _EVEN / count, 1 / count))
    exact, network, uniform = -np.log(np.array(logs)).mean(axis=0) if logs else [float("nan")] * 3
    return WeightScores(float(exact), float(network), float(uniform), len(logs))
