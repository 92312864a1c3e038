"""`solve(closest=True)`: the joint vector in limits that comes nearest to a target out of reach."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from ik_mdn.solver.engine import Problem
from ik_mdn.solver.solutions import STATUSES, Closest, SolutionBatch, Status
from sim.arm import Arm
from sim.arrays import BoolArray, FloatArray
from sim.jacobians import scaled_task_error, scaled_task_jacobian
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

_DRAWS = 1024  # random joint vectors, the nearest of which are started from
_STARTS = 12  # with 6, one target in 20 ended in a local minimum that is more than a hundredth worse
_ITERATIONS = 60  # at most, all starts side by side; most end after 10 to 20
_SHARES = 0.25 ** np.arange(4)  # of a step that are looked at at once
_LONGEST = 1.0  # step of a joint [rad, arm lengths]
_FLAT = 1e-6  # curvature below which a direction counts as having this one
_SPACING = 1e-5  # of the difference quotients of the slope [rad, arm lengths]
_DONE = 1e-12  # change of the cost, and step [rad, arm lengths], below which a start is done


def with_closest(problem: Problem, batch: SolutionBatch, *, seed: int) -> SolutionBatch:
    """The batch, with the closest approach of every target without solutions, near or far, as long as there is time.

    Args:
        problem: What was solved.
        batch: What was found.
        seed: Of the random starts.

    Returns:
        The same solutions.
    """
    missing = ((batch.count == 0) & (batch.status_index != STATUSES.index(Status.TOO_FAR))).nonzero()[0].tolist()
    arm, task, T, deadline = problem.arm, problem.task, problem.T, problem.deadline
    near = {i: closest_approach(arm, task, T[i], seed=seed, deadline=deadline) for i in missing if not problem.is_late}
    return replace(batch, closest=near)


def closest_approach(
    arm: Arm, task: Task, T_base_target: FloatArray, *, seed: int = 0, deadline: float = math.inf
) -> Closest:
    """The joint vector in limits whose tip is nearest to a target.

    Nearest in the squared length of the error, angles in [rad] and lengths in arm lengths, by projected Newton steps
    (Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM J. Control Optim. 20(2),
    1982) from the nearest of many random joint vectors, side by side. A local minimum among several starts: nothing
    proves that there is none nearer.

    Args:
        arm: The arm.
        task: Which part of the target counts.
        T_base_target: Shape (4, 4).
        seed: Of the random starts.
        deadline: `time.monotonic()` at which the nearest found by then is given.

    Returns:
        The nearest that was found.
    """
    slopes = _Landscape(arm, task, T_base_target)
    x = arm.sample(np.random.default_rng(seed), _DRAWS) / arm.joint_units
    x = x[slopes.cost_and_slope(x)[0].argsort()[:_STARTS]]
    cost, slope, curvature = slopes.look(x)
    share: FloatArray = np.ones(len(x))
    busy = np.arange(len(x))
    for _ in range(_ITERATIONS):
        if not len(busy) or time.monotonic() > deadline:
            break
        step = slopes.steps(x[busy], slope[busy], curvature[busy])
        tried = slopes.clip(x[busy, None] + step[:, None] * (share[busy, None] * _SHARES)[..., None])
        looked = slopes.look(tried)
        best = np.arange(len(busy)), looked[0].argmin(axis=1)
        gain, way = cost[busy] - looked[0][best], np.abs(tried[best] - x[busy]).max(axis=1)
        better = gain > 0.0
        share[busy] *= np.where(better, 4.0 * _SHARES[best[1]], _SHARES[-1] / 4.0)
        share = share.clip(max=1.0)
        x[busy[better]] = tried[best][better]
        for kept, found in zip((cost, slope, curvature), looked, strict=True):
            kept[busy[better]] = found[best][better]
        busy = busy[np.where(better, (gain > _DONE * cost[busy]) | (way > _DONE), share[busy] > _DONE)]
    return slopes.closest(x[cost.argmin()])


class _Landscape:
    """The squared error of a target over joint vectors without units, x = q / `arm.joint_units`."""

    def __init__(self, arm: Arm, task: Task, T_base_target: FloatArray) -> None:
        self.arm, self.task, self.unit = arm, task, arm.joint_units
        self.target = np.asarray(T_base_target, dtype=np.float64)
        self.low, self.high = arm.q_min / self.unit, arm.q_max / self.unit

    def clip(self, x: FloatArray) -> FloatArray:
        """Joint vectors (..., n), each joint on the nearest limit where it is outside."""
        return np.asarray(np.clip(x, self.low, self.high))

    def cost_and_slope(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The squared error at x (..., n), shape (...), and its gradient, shape (..., n)."""
        tip, J = scaled_task_jacobian(self.arm, self.task, x * self.unit)
        error = scaled_task_error(self.arm, self.task, tip, self.target)
        # J is not exact for large angles, but Jᵀe is: a rotation vector is an eigenvector of the logarithm's derivative
        slope = -2.0 * (error[..., None, :] @ J)[..., 0, :]
        return np.square(error).sum(-1), slope

    def look(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cost and slope at x (..., n), and the second derivatives (..., n, n), by difference quotients of the slope."""
        n = x.shape[-1]
        around = np.concatenate([np.zeros((1, n)), _SPACING * np.eye(n)])
        cost, slope = self.cost_and_slope(x[..., None, :] + around)
        quotient = (slope[..., 1:, :] - slope[..., :1, :]) / _SPACING
        return cost[..., 0], slope[..., 0, :], (quotient + quotient.swapaxes(-1, -2)) / 2.0

    def steps(self, x: FloatArray, slope: FloatArray, curvature: FloatArray) -> FloatArray:
        """Downward steps from x, shape (k, n): Newton's in the joints that can move, none where a limit is in the way."""
        stuck: BoolArray = ((x <= self.low) & (slope > 0.0)) | ((x >= self.high) & (slope < 0.0))
        free = ~stuck
        value, vector = np.linalg.eigh(np.where(free[:, :, None] & free[:, None, :], curvature, np.eye(x.shape[1])))
        along = (vector.swapaxes(1, 2) @ np.where(free, slope, 0.0)[..., None])[..., 0]
        step = -(vector @ (along / np.maximum(np.abs(value), _FLAT))[..., None])[..., 0]  # down across saddles too
        length = np.abs(step).max(axis=1, keepdims=True, initial=0.0)
        return np.asarray(np.where(free, step, 0.0) * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-300)))

    def closest(self, x: FloatArray) -> Closest:
        """A joint vector x (n,) with its errors."""
        q = np.clip(x * self.unit, self.arm.q_min, self.arm.q_max)
        tip = forward_kinematics(self.arm, q)
        err_pos, err_rot = error_norms(task_error(self.task, tip, self.target))
        return Closest(np.asarray(q), float(err_pos), float(err_rot))
