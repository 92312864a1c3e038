"""Where two branches are near each other, one leads to the other: seeds across the fold between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.rules import FARTHEST, NEAR_FOLD, STEP
from sim.arm import Arm
from sim.arrays import Array, FloatArray, constants, library_of
from sim.jacobians import scaled_task_error, scaled_task_jacobian
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

_NEIGHBOURS = 4  # nearest solutions that another one may be connected with
_EVERYWHERE = (0.01, 0.03, 0.1, 0.3, 1.0)  # distances that a thorough search tries, to either side


def seeds_across_folds(arm: Arm, task: Task, q: Array, *, thorough: bool = False) -> tuple[Array, Any]:
    """Seeds on the other side of the fold that each near-singular solution lies beside.

    Two branches that are about to meet lie along the direction v in which the tip hardly moves, the right singular
    vector of the smallest singular value σ. With J v = σ u the error along q + t v is t σ u + t² H(v, v) / 2 to second
    order, so the other root is near t = -2 σ / uᵀH(v, v). H(v, v) is taken by central differences.

    Args:
        arm: The arm.
        task: Which rows of the Jacobian count.
        q: Solutions, shape (R, n) [rad, m], numpy or torch.
        thorough: Also several fixed distances to both sides.

    Returns:
        Seeds (S, n), and which solution each comes from, (S,), ascending; none where no solution is near a fold, or
        the arm is redundant for the task.
    """
    if not len(q) or task.n_constraints != arm.n_joints:
        return q[:0], library_of(q).where(q[:0, 0] > 0)[0]
    xp, unit = library_of(q), constants(arm.joint_units, like=q)
    T, J = scaled_task_jacobian(arm, task, q)
    left, sigma, right = xp.linalg.svd(J)
    u, v, weak = left[:, :, -1], right[:, -1], sigma[:, -1] < NEAR_FOLD

    def error(step: float) -> Any:
        return scaled_task_error(arm, task, forward_kinematics(arm, q + step * v * unit), T)

    curvature = -((error(STEP) + error(-STEP)) * u).sum(axis=1) / STEP**2
    steps = xp.clip(-2 * sigma[:, -1] / xp.where(curvature == 0, 1e-12, curvature), -FARTHEST, FARTHEST)[:, None]
    if thorough:
        fixed = constants([*_EVERYWHERE, *(-step for step in _EVERYWHERE)], like=q)
        steps = xp.concatenate([steps, xp.broadcast_to(fixed, (len(q), len(fixed)))], axis=1)
    seeds = q[:, None] + steps[..., None] * (v * unit)[:, None]
    source = xp.where(xp.broadcast_to(weak[:, None], steps.shape))[0]
    return seeds[weak].reshape(-1, arm.n_joints), source


def drop_connected(
    arm: Arm, task: Task, T_base_target: FloatArray, q: FloatArray, more: FloatArray, tolerance: float
) -> NDArray[np.bool_]:
    """Which of some more solutions of one target stand on their own.

    Close to a singularity a whole curve of joint vectors meets the target within the tolerance. Two of them are one
    solution where the joint vector half way between them nearly meets it too (within ten times the tolerance).

    Args:
        arm, task: What was solved.
        T_base_target: The target, shape (4, 4).
        q: Solutions known, shape (R, n).
        more: Solutions to judge, in this order, shape (S, n).
        tolerance: Largest error of a solution [m], [rad].

    Returns:
        Shape (S,); one that is connected with a known solution or an earlier one of these is False.
    """
    alone, known = np.zeros(len(more), np.bool_), list(q)
    for i, row in enumerate(more):
        away = arm.nearest_image(np.reshape(known, (-1, arm.n_joints)) - row)
        nearest = np.abs(away).max(axis=1).argsort()[:_NEIGHBOURS]
        tips = forward_kinematics(arm, row + away[nearest] / 2)
        errors = np.maximum(*error_norms(task_error(task, tips, T_base_target)))
        alone[i] = not (errors <= 10 * tolerance).any()
        if alone[i]:
            known.append(row)
    return alone
