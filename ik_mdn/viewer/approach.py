"""The nearest approach to a target out of reach while it is dragged: a few steps, where `solver/approach.py` takes its time."""

from __future__ import annotations

import numpy as np

from ik_mdn.viewer.answer import Placed
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, kinematics
from sim.task import Task, error_norms, task_error, task_jacobian

STEPS = 12
_MAX_STEP = 0.4  # [rad, m] of a joint per step


def place(arm: Arm, task: Task, T_base_target: FloatArray, q: FloatArray) -> Placed:
    """A configuration with what it misses the target by.

    Args:
        arm, task: Whose target it is.
        T_base_target: Shape (4, 4).
        q: Shape (n,).
    """
    tip = forward_kinematics(arm, q)
    err_pos, err_rot = error_norms(task_error(task, tip, T_base_target))
    return Placed(np.asarray(q), tip[:3, 3], float(err_pos), float(err_rot))


def approach(arm: Arm, task: Task, T_base_target: FloatArray, q_start: FloatArray, *, steps: int = STEPS) -> Placed:
    """The nearest configuration in limits that a few damped steps from each start lead to.

    `dq = Jᵀ (J Jᵀ + λ I)⁻¹ e` over the joints that are not held at a limit, with λ lowered after a step that helps and
    raised after one that does not; lengths in arm's reaches. A local minimum of a few steps: fit for showing,
    where `IKSolver.solve(closest=True)` searches longer.

    Args:
        arm, task: Whose target it is.
        T_base_target: Shape (4, 4).
        q_start: Where to start, shape (s, n); put into limits.
        steps: How many.

    Returns:
        The nearest of all.
    """
    keep = list(task.constraints)
    scale = np.array([1 / arm.reach] * 3 + [1.0] * 3)[keep]
    q = np.clip(q_start, arm.q_min, arm.q_max)
    damping: FloatArray = np.full((len(q), 1, 1), 1e-2)
    tip, J = kinematics(arm, q)
    error = scale * task_error(task, tip, T_base_target)[..., keep]
    for _ in range(steps):
        slope = scale[:, None] * task_jacobian(task, J, tip)
        pull = (slope.swapaxes(1, 2) @ error[..., None])[..., 0]
        held = ((q <= arm.q_min) & (pull < 0)) | ((q >= arm.q_max) & (pull > 0))
        slope = slope * ~held[:, None]
        square = slope @ slope.swapaxes(1, 2) + damping * np.eye(len(keep))
        step = (slope.swapaxes(1, 2) @ np.linalg.solve(square, error[..., None]))[..., 0]
        q_next = np.clip(q + step.clip(-_MAX_STEP, _MAX_STEP), arm.q_min, arm.q_max)
        tip_next, J_next = kinematics(arm, q_next)
        error_next = scale * task_error(task, tip_next, T_base_target)[..., keep]
        better = np.linalg.norm(error_next, axis=-1) < np.linalg.norm(error, axis=-1)
        q, error = np.where(better[:, None], q_next, q), np.where(better[:, None], error_next, error)
        tip, J = (np.where(better[:, None, None], new, old) for new, old in ((tip_next, tip), (J_next, J)))
        damping = np.where(better[:, None, None], damping / 4, damping * 8).clip(1e-7, 1e3)
    return place(arm, task, T_base_target, q[np.linalg.norm(error, axis=-1).argmin()])
