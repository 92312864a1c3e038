"""How good stated probabilities of solutions are: the log score of the solution that made the pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ik_mdn.evaluation.metrics import joint_distance
from sim.arrays import FloatArray

if TYPE_CHECKING:
    from ik_mdn.solver import IKSolver, SolutionBatch
    from sim.arm import Arm

_EVEN = 0.01  # share of the proposals' probability that is spread evenly: what no proposal led to is not impossible
_SAME = 1e-3  # [rad, m]: a solution this near to the generating configuration in every joint is it


@dataclass(frozen=True)
class WeightScores:
    """Mean of -log p(the solution that made the pose | pose) [nats], lower is better; over the poses where it was found.

    Args:
        exact: Under `Solutions.weight`, the exact law: the least that any statement can have in the mean.
        network: Under what the model by itself believes (`ik_mdn.solver.network_weights`), 1 % of it spread evenly.
        uniform: Under the same probability for every solution.
        excess: By how much the network's is expected to be above the exact law's if that is true, KL(exact ‖ network): the
            same as their difference in the mean, with much less noise, since it does not hang on which solution made the pose.
        excess_error: Its standard error.
        poses: How many poses count.
    """

    exact: float
    network: float
    uniform: float
    excess: float
    excess_error: float
    poses: int


def measure_weights(solver: IKSolver, q: Tensor, T_base_tip: Tensor) -> WeightScores:
    """The log scores of a solver's weights and of its network's own, every winding counted.

    Where p(q) was learned a solution stands for all its windings: a density on the circle cannot tell them apart.

    Args:
        solver: With a mixture, of an arm with as many joints as the task has constraints.
        q: Joint vectors [rad, m], shape (B, n).
        T_base_tip: The poses that they made, shape (B, 4, 4).
    """
    from ik_mdn.solver import network_weights

    assert solver.model is not None
    found = solver.solve(T_base_tip, windings=solver.postures is None)
    return score_weights(solver.arm, found, q.numpy(), network_weights(solver.model, T_base_tip.numpy(), found))


def score_weights(arm: Arm, found: SolutionBatch, q: FloatArray, believed: FloatArray) -> WeightScores:
    """The log scores of a batch's weights (Good, Rational decisions, J. R. Stat. Soc. B 14(1), 1952).

    Args:
        arm: The arm, with as many joints as the task has constraints.
        found: Solutions of the poses of q; where windings have no rows of their own, a solution stands for all its own.
        q: Joint vectors that made the poses [rad, m], shape (B, n).
        believed: What the network gives each row of the batch, summing to 1 over each pose, (M,).

    Returns:
        The scores; nan where no pose counts.
    """
    logs, excess, period = [], [], torch.tensor(arm.period)
    for made_by, solutions, share in zip(q, found, np.split(believed, found.offsets[1:-1]), strict=True):
        distance = joint_distance(torch.from_numpy(solutions.q), torch.from_numpy(made_by), period).numpy()
        if len(distance) and distance.min() <= _SAME:
            row, true = int(distance.argmin()), np.maximum(solutions.weight, 1e-300)
            network = (1 - _EVEN) * share + _EVEN / len(share)
            logs.append((true[row], network[row], 1 / len(share)))
            excess.append((true * np.log(true / network)).sum())
    if not logs:
        nan = float("nan")
        return WeightScores(nan, nan, nan, nan, nan, 0)
    exact, network, uniform = (-np.log(np.array(logs)).mean(axis=0)).tolist()
    error = float(np.std(excess)) / len(excess) ** 0.5
    return WeightScores(exact, network, uniform, float(np.mean(excess)), error, len(logs))
