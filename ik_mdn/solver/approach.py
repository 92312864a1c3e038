"""`solve(closest=True)`: the joint vector in limits that comes nearest to a target out of reach."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np

from ik_mdn.solver.engine import Problem
from ik_mdn.solver.solutions import Closest, SolutionBatch
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.jacobians import scaled_task_error, scaled_task_jacobian
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

_DRAWS = 1024  # random joint vectors, the nearest of which are started from
_STARTS = 6


def with_closest(problem: Problem, batch: SolutionBatch, *, seed: int) -> SolutionBatch:
    """The batch, with the closest approach of every target that has no solution, as long as there is time.

    Args:
        problem: What was solved.
        batch: What was found.
        seed: Of the random starts.

    Returns:
        The same solutions.
    """
    missing = (batch.count == 0).nonzero()[0].tolist()
    arm, task, T, deadline = problem.arm, problem.task, problem.T, problem.deadline
    near = {i: closest_approach(arm, task, T[i], seed=seed, deadline=deadline) for i in missing if not problem.is_late}
    return replace(batch, closest=near)


def closest_approach(
    arm: Arm, task: Task, T_base_target: FloatArray, *, seed: int = 0, deadline: float = math.inf
) -> Closest:
    """The joint vector in limits whose tip is nearest to a target.

    Nearest in the squared length of the error, angles in [rad] and lengths in arm lengths, by SciPy's trust-region
    least squares within bounds (Branch, Coleman and Li, SIAM J. Sci. Comput. 21(1), 1999) from the nearest of many
    random joint vectors. A local minimum among several starts: nothing proves that there is none nearer.

    Args:
        arm: The arm.
        task: Which part of the target counts.
        T_base_target: Shape (4, 4).
        seed: Of the random starts.
        deadline: `time.monotonic()` at which the nearest found by then is given.

    Returns:
        The nearest that was found.
    """
    from scipy.optimize import least_squares

    target, unit = np.asarray(T_base_target, np.float64), arm.joint_units
    bounds = (arm.q_min / unit, arm.q_max / unit)

    def error(x: FloatArray) -> FloatArray:
        return scaled_task_error(arm, task, forward_kinematics(arm, x * unit), target)

    draws = np.random.default_rng(seed).uniform(arm.sample_min, arm.sample_max, (_DRAWS, arm.n_joints)) / unit
    costs = np.square(error(draws)).sum(axis=1)
    order = costs.argsort()[:_STARTS]
    best = _Best(draws[order[0]], float(costs[order[0]]))

    def watched(x: FloatArray) -> FloatArray:
        e = error(x)
        best.see(x, float(e @ e))
        if time.monotonic() > deadline:
            raise _TimeIsOver
        return e

    def slope(x: FloatArray) -> FloatArray:
        # not exact for large angles, but Jᵀe is: a rotation vector is an eigenvector of the logarithm's derivative
        return -scaled_task_jacobian(arm, task, x * unit)[1]

    with suppress(_TimeIsOver):
        for i in order:
            least_squares(watched, draws[i], slope, bounds, xtol=1e-10, ftol=1e-12)
    q = np.clip(best.x * unit, arm.q_min, arm.q_max)
    err_pos, err_rot = error_norms(task_error(task, forward_kinematics(arm, q), target))
    return Closest(q, float(err_pos), float(err_rot))


class _TimeIsOver(Exception):
    """Ends a minimisation."""


class _Best:
    """The point of least cost that was seen."""

    def __init__(self, x: FloatArray, cost: float) -> None:
        self.x, self.cost = x, cost

    def see(self, x: FloatArray, cost: float) -> None:
        """Keep it, if it is better."""
        if cost < self.cost:
            self.x, self.cost = x.copy(), cost
