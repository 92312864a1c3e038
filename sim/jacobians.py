"""A task's error and Jacobian without units: angles in radians, lengths in lengths of the arm."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sim.arm import Arm
from sim.arrays import Array, FloatArray, constants, library_of
from sim.kinematics import kinematics
from sim.task import ROUNDING, Task, task_error, task_jacobian

_WHOLE_TURN = 2 * np.pi - 1e-6


def task_units(arm: Arm, task: Task) -> FloatArray:
    """What 1 stands for in each constraint of a task, shape (m,): `arm.length` [m] or 1 [rad]."""
    return np.array([arm.length] * 3 + [1.0] * 3)[list(task.rows)]


def scaled_task_error(arm: Arm, task: Task, T_base_tip: Array, T_base_target: Array) -> Array:
    """The error in the constraints that count, without units; see `sim.task.task_error`.

    Args:
        arm: Whose length is the unit.
        task: The task, m constraints.
        T_base_tip: Where the tip is, shape (..., 4, 4), numpy or torch.
        T_base_target: Where it should be, broadcastable with it.

    Returns:
        Shape (..., m) [arm lengths, rad].
    """
    error = task_error(task, T_base_tip, T_base_target)[..., list(task.constraints)]
    return error * constants(1 / task_units(arm, task), like=error)


def scaled_task_jacobian(arm: Arm, task: Task, q: Array) -> tuple[Array, Array]:
    """The tip's pose and the task's Jacobian without units; see `sim.task.task_jacobian`.

    Lengths are measured in arm lengths, in the rows of the tip's position and in the columns of sliding joints alike
    (a characteristic length: Angeles and López-Cajún, Kinematic isotropy and the conditioning index of serial robotic
    manipulators, IJRR 11(6), 1992). So nothing changes when the whole arm is made larger.

    Args:
        arm: The arm.
        task: The task, m constraints.
        q: Joint vectors [rad, m for prismatic], shape (..., n), numpy (float64) or torch.

    Returns:
        `T_base_tip` (..., 4, 4) [m] and J (..., m, n) [arm lengths or rad, per arm length or rad].
    """
    T, J = kinematics(arm, q)
    return T, task_jacobian(task, J, T) * constants((1 / task_units(arm, task))[:, None] * arm.joint_units, like=J)


def task_singular_values(arm: Arm, task: Task, q: Array) -> Array:
    """Singular values of `scaled_task_jacobian`, shape (..., min(m, n)), descending; the last is 0 in a singularity.

    Its inverse says how far the joints must go, at least, for a small motion of the tip in the worst direction
    (Siciliano et al., Robotics, 2009, section 3.9).

    Args:
        arm: The arm.
        task: Which rows count.
        q: Joint vectors, shape (..., n).
    """
    J: Any = scaled_task_jacobian(arm, task, q)[1]
    xp: Any = library_of(J)
    values: Any = np.linalg.svd(J, compute_uv=False) if xp is np else xp.linalg.svdvals(J)
    return values  # type: ignore[no-any-return]


def manipulability(arm: Arm, task: Task, q: Array) -> Array:
    """`sqrt(det(J Jᵀ))` of `scaled_task_jacobian`, shape (...) (Yoshikawa, Manipulability of Robotic Mechanisms, IJRR 4(2), 1985).

    `sqrt(det(Jᵀ J))` where the task fixes more numbers than the arm has joints.

    Args:
        arm: The arm.
        task: Which rows count.
        q: Joint vectors, shape (..., n).
    """
    product: Array = library_of(q).prod(task_singular_values(arm, task, q), axis=-1)  # without squaring small numbers
    return product


@lru_cache(maxsize=64)
def task_rank(arm: Arm, task: Task) -> int:
    """How many of a task's numbers the joints can change independently of each other: its Jacobian's rank almost everywhere.

    Less than the number of constraints where the task is singular at every configuration, as one of a tool's axis is that
    the last joint turns about: it has a joint to spare though it has as many constraints as the arm has joints.

    Args:
        arm: The arm.
        task: Which rows count.
    """
    q = arm.sample(np.random.default_rng(0), 16)
    return int((task_singular_values(arm, task, q) > ROUNDING).sum(axis=-1).max())


def moves_on_curves(arm: Arm, task: Task) -> bool:
    """Whether the joint vectors that meet a target form curves: one joint to spare, and constraints that are independent.

    Args:
        arm: The arm.
        task: Which rows count.
    """
    return arm.n_joints == task.n_constraints + 1 == task_rank(arm, task) + 1


def comes_in_pairs(arm: Arm, task: Task) -> bool:
    """Whether every target away from singularities has an even number of solutions, full turns counted once.

    So it is where all joints turn all the way round, there are as many of them as constraints, and a position counts: the
    joint vectors are a torus, which has no boundary, and poses go to infinity, so that the degree of the forward
    kinematics is 0 and solutions with det J > 0 are as many as those with det J < 0 (Milnor, Topology from the
    Differentiable Viewpoint, 1965, section 5).

    Args:
        arm: The arm.
        task: Which rows count.
    """
    whole = not arm.is_prismatic.any() and bool((arm.q_max - arm.q_min >= _WHOLE_TURN).all())
    return whole and arm.n_joints == task.n_constraints and any(task.rows[:3])
