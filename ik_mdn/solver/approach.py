"""How near an arm comes to a target that it cannot reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

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
    """The batch, with the closest approach of every target that has no solution.

    Args:
        problem: What was solved.
        batch: What was found.
        seed: Of the random starts.

    Returns:
        The same solutions.
    """
    missing = (batch.count == 0).nonzero()[0].tolist()
    arm, task, T = problem.arm, problem.task, problem.T
    return replace(batch, closest={i: closest_approach(arm, task, T[i], seed=seed) for i in missing})


def closest_approach(arm: Arm, task: Task, T_base_target: FloatArray, *, seed: int = 0) -> Closest:
    """The joint vector in limits whose tip is nearest to a target.

    Nearest in the squared length of the error, angles in [rad] and lengths in arm lengths, by SciPy's trust-region
    least squares within bounds (Branch, Coleman and Li, SIAM J. Sci. Comput. 21(1), 1999) from the nearest of many
    random joint vectors. A local minimum among several starts: nothing proves that there is none nearer.

    Args:
        arm: The arm.
        task: Which part of the target counts.
        T_base_target: Shape (4, 4).
        seed: Of the random starts.

    Returns:
        The nearest that was found.
    """
    from scipy.optimize import least_squares

    target = torch.from_numpy(np.array(T_base_target, dtype=np.float64))
    unit = arm.joint_units

    def error(x: FloatArray) -> FloatArray:
        return scaled_task_error(arm, task, forward_kinematics(arm, torch.from_numpy(x * unit)), target).numpy()

    def slope(x: FloatArray) -> FloatArray:
        # not exact for large angles, but Jᵀe is: a rotation vector is an eigenvector of the logarithm's derivative
        return -scaled_task_jacobian(arm, task, torch.from_numpy(x * unit))[1].numpy()

    draws = np.random.default_rng(seed).uniform(arm.sample_min, arm.sample_max, (_DRAWS, arm.n_joints)) / unit
    nearest = np.square(error(draws)).sum(axis=1).argsort()[:_STARTS]
    bounds = (arm.q_min / unit, arm.q_max / unit)
    ends = [least_squares(error, draws[i], jac=slope, bounds=bounds, xtol=1e-10, ftol=1e-12) for i in nearest]
    q = np.clip(min(ends, key=lambda end: end.cost).x * unit, arm.q_min, arm.q_max)
    tip = forward_kinematics(arm, torch.from_numpy(q))
    err_pos, err_rot = error_norms(task_error(task, tip, target))
    return Closest(np.asarray(q), float(err_pos), float(err_rot))
