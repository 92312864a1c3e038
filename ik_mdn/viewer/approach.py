"""How near an arm gets to a target it cannot reach, fast enough to follow a mouse."""

from __future__ import annotations

import numpy as np
import torch

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
    tip = forward_kinematics(arm, torch.from_numpy(np.asarray(q, dtype=np.float64)))
    err_pos, err_rot = error_norms(task_error(task, tip, torch.from_numpy(T_base_target)))
    return Placed(np.asarray(q), tip[:3, 3].numpy(), float(err_pos), float(err_rot))


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
    scale = torch.tensor([1 / arm.reach if i < 3 else 1.0 for i, on in enumerate(task.rows) if on])
    keep = [i for i, on in enumerate(task.rows) if on]
    low, high = torch.from_numpy(np.array(arm.q_min)), torch.from_numpy(np.array(arm.q_max))
    target = torch.from_numpy(T_base_target)
    q = torch.from_numpy(np.asarray(q_start, dtype=np.float64)).clamp(low, high)
    damping = torch.full((len(q), 1, 1), 1e-2, dtype=torch.float64)
    tip, J = kinematics(arm, q)
    error = scale * task_error(task, tip, target)[..., keep]
    for _ in range(steps):
        slope = scale[:, None] * task_jacobian(task, J, tip)
        pull = (slope.mT @ error[..., None])[..., 0]
        held = ((q <= low) & (pull < 0)) | ((q >= high) & (pull > 0))
        slope = slope * ~held[:, None]
        square = slope @ slope.mT + damping * torch.eye(len(keep), dtype=torch.float64)
        step = (slope.mT @ torch.linalg.solve(square, error[..., None]))[..., 0].clamp(-_MAX_STEP, _MAX_STEP)
        q_next = (q + step).clamp(low, high)
        tip_next, J_next = kinematics(arm, q_next)
        error_next = scale * task_error(task, tip_next, target)[..., keep]
        better = error_next.norm(dim=-1) < error.norm(dim=-1)
        q, error = torch.where(better[:, None], q_next, q), torch.where(better[:, None], error_next, error)
        tip, J = (torch.where(better[:, None, None], new, old) for new, old in ((tip_next, tip), (J_next, J)))
        damping = torch.where(better[:, None, None], damping / 4, damping * 8).clamp(1e-7, 1e3)
    return place(arm, task, T_base_target, q[error.norm(dim=-1).argmin()].numpy())
