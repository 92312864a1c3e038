"""Arms and tasks as emitted code takes them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import Task


class Problem(NamedTuple):
    """An arm and a task as compiled code takes them, lengths in units of `length`.

    Args:
        base, chain: The arm's transforms, see `fold_chain`.
        slides: 1 where a joint slides, 0 where it turns, (n,).
        unit: A joint's unit, 1 where it turns, `length` where it slides, (n,).
        n_linear: Linear rows that count, the first ones of x, y and z.
        angular: Angular rows that count: NO_ROTATION, YAW, AXIS or ROTATION.
        length: The unit of length: the arm's reach [m].
    """

    base: FloatArray
    chain: FloatArray
    slides: IntArray
    unit: FloatArray
    n_linear: int
    angular: int
    length: float


@lru_cache(maxsize=64)
def describe(arm: Arm, task: Task) -> Problem:
    """An arm and a task for compiled code, the task's frames divided out: see `in_frames`."""
    length = float(arm.reach) if arm.reach > 0 else 1.0
    before, behind = _frames(task)
    offsets = arm.offsets.copy()
    if before is not None:
        offsets[0] = before @ offsets[0]
    if behind is not None:
        offsets[-1] = offsets[-1] @ behind
    base, chain = fold_chain(replace(arm, offsets=offsets), length)
    slides, unit = arm.is_prismatic.astype(np.int64), np.where(arm.is_prismatic, length, 1.0)
    return Problem(base, chain, slides, unit, sum(task.rows[:3]), sum(task.rows[3:]), length)


def in_frames(task: Task, T: FloatArray) -> FloatArray:
    """Targets (B, 4, 4) in the frames that the compiled code's rows are in.

    A task of any rows in any frames is one of the first linear rows and of none, z, x and y, or all angular ones, on
    an arm whose first and last offset are turned, with targets turned likewise.
    """
    before, behind = _frames(task)
    T = T if before is None else before @ T
    return T if behind is None else T @ behind


@lru_cache(maxsize=64)
def _frames(task: Task) -> tuple[FloatArray | None, FloatArray | None]:
    """What a task turns poses by in front, so that the linear rows that count come first, and behind; None: nothing."""
    before, behind = (None if R is None else _pose_of(np.array(R)) for R in (task.R_base_task, task.R_tip_task))
    before = None if before is None else np.ascontiguousarray(before.T)
    linear = task.rows[:3]
    shift = next(i for i in range(3) if linear[i:] + linear[:i] == tuple(sorted(linear, reverse=True)))
    if shift:
        order = _pose_of(np.roll(np.eye(3), -shift, axis=0))
        before = order if before is None else order @ before
    return before, behind


def _pose_of(R: FloatArray) -> FloatArray:
    T = np.eye(4)
    T[:3, :3] = R
    return T


def fold_chain(arm: Arm, length: float) -> tuple[FloatArray, FloatArray]:
    """The arm's fixed transforms in the form that costs least: a turn about z, a move, a turn about x.

    Each offset is `C_i = Rz(a_i) Trans(t_i) Rx(d_i) Rz(e_i)`, its rotation by Euler angles z-x-z. `Rz(e_i)` passes
    over into the next joint, whose axis is z, whether it turns or slides.

    Args:
        arm: The arm.
        length: What counts as one unit of length [m].

    Returns:
        `C_0` without its last row, (3, 4), and the chain (n + 1, 6): for each joint `e_{i-1} + a_i` [rad], `t_i`,
        cos and sin of `d_i`; at the end cos and sin of `e_n` in the last two columns.
    """
    chain, carried = np.zeros((arm.n_joints + 1, 6)), 0.0
    for row, offset in zip(chain, arm.offsets[1:], strict=False):
        R = offset[:3, :3]
        a = np.arctan2(R[0, 2], -R[1, 2]) if np.hypot(R[0, 2], R[1, 2]) > 0 else 0.0
        back = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
        R = back @ R
        row[:] = carried + a, *(back @ offset[:3, 3] / length), R[2, 2], -R[1, 2]
        carried = np.arctan2(-R[0, 1], R[0, 0])
    chain[-1, 4:] = np.cos(carried), np.sin(carried)
    base = arm.offsets[0, :3].copy()
    base[:, 3] /= length
    return base, chain
