"""Forward kinematics, task error and Jacobian of LANES joint vectors at a time, for compiled code.

The same mathematics as `sim.kinematics` and `sim.task`. A linearisation takes `6 + 6 n` vectors of the workspace: the
error e (m), then, from the sixth on, the Jacobian J by rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import part
from ik_mdn.solver.kernels.trigonometry import align, angle, cos_sin, rotation_vector
from ik_mdn.solver.kernels.vector import Vector, get, load, put, size, spread, store, where_less
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import Task

NO_ROTATION, YAW, AXIS, ROTATION = 0, 1, 2, 3  # which angular errors count: none, z, x and y, all
TARGET_SIZE = 12  # the target's rotation by rows, then its origin


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


@part
def put_joints(ws: FloatArray, lane: int, problem: Problem, q: FloatArray, to: int) -> None:
    """Put a joint vector [rad, m] into a lane of n vectors."""
    for k in range(len(q)):
        put(ws, to + k, lane, q[k] / problem.unit[k])


@part
def get_joints(ws: FloatArray, lane: int, problem: Problem, q: int, to: FloatArray) -> None:
    """Write a lane of n vectors to a joint vector [rad, m]."""
    for k in range(len(to)):
        to[k] = get(ws, q + k, lane) * problem.unit[k]


@part
def put_target(ws: FloatArray, lane: int, problem: Problem, T: FloatArray, to: int) -> None:
    """Put a target [m] into a lane of TARGET_SIZE vectors."""
    for i in range(3):
        for j in range(3):
            put(ws, to + 3 * i + j, lane, T[i, j])
        put(ws, to + 9 + i, lane, T[i, 3] / problem.length)


@part
def linearise(ws: FloatArray, problem: Problem, q: int, target: int, out: int) -> Vector:
    """Squared length of the error of the joint vectors at `q`; error and Jacobian go to `out`.

    Linear rows are in the base frame. Angular rows are in the tip frame, for ROTATION in the base frame: turning
    all three rows of e and J together changes neither J^T J nor J^T e.

    Args:
        ws: Workspace.
        problem: The arm and the task.
        q: First of n vectors of joint values [rad, or units of length].
        target: First of TARGET_SIZE vectors.
        out: First of the `6 + 6 n` vectors that are written: e, then J from `out + 6` on.

    Returns:
        |e|² of each lane [rad², units of length²].
    """
    J, n_linear = out + 6, problem.n_linear
    x, y, z, p = _sweep(ws, problem, q, J)
    n = len(problem.slides)
    d0 = load(ws, target + 9) - p[0]
    d1 = load(ws, target + 10) - p[1]
    d2 = load(ws, target + 11) - p[2]
    cost = spread(0.0)
    if n_linear >= 1:
        store(ws, out, d0)
        cost = d0 * d0
    if n_linear >= 2:
        store(ws, out + 1, d1)
        cost = cost + d1 * d1
    if n_linear == 3:
        store(ws, out + 2, d2)
        cost = cost + d2 * d2
    _turn_into_columns(ws, problem.slides, n_linear, p, J)
    if problem.angular == ROTATION:
        cost = cost + _rotation_error(ws, target, x, y, z, out + n_linear)
        if n_linear < 3:
            for i in range(3 * n):  # upwards: no row is overwritten before it is read
                store(ws, J + n_linear * n + i, load(ws, J + 3 * n + i))
    if problem.angular == AXIS:
        cost = cost + _axis_error(ws, n, n_linear, target, x, y, z, out, J)
    if problem.angular == YAW:
        cost = cost + _yaw_error(ws, n, n_linear, target, x, y, z, out, J)
    return cost


@part
def _rotation_error(ws: FloatArray, t: int, x: Any, y: Any, z: Any, out: int) -> Vector:
    """Write the rotation vector from the tip's axes to the target's; its squared length comes back."""
    a, b, c = load(ws, t), load(ws, t + 1), load(ws, t + 2)  # rows of the target's rotation
    r00, r01, r02 = a * x[0] + b * y[0] + c * z[0], a * x[1] + b * y[1] + c * z[1], a * x[2] + b * y[2] + c * z[2]
    a, b, c = load(ws, t + 3), load(ws, t + 4), load(ws, t + 5)
    r10, r11, r12 = a * x[0] + b * y[0] + c * z[0], a * x[1] + b * y[1] + c * z[1], a * x[2] + b * y[2] + c * z[2]
    a, b, c = load(ws, t + 6), load(ws, t + 7), load(ws, t + 8)
    r20, r21, r22 = a * x[0] + b * y[0] + c * z[0], a * x[1] + b * y[1] + c * z[1], a * x[2] + b * y[2] + c * z[2]
    w0, w1, w2 = rotation_vector(r00, r01, r02, r10, r11, r12, r20, r21, r22)
    store(ws, out, w0)
    store(ws, out + 1, w1)
    store(ws, out + 2, w2)
    return w0 * w0 + w1 * w1 + w2 * w2


@part
def _axis_error(ws: FloatArray, n: int, n_linear: int, t: int, x: Any, y: Any, z: Any, out: int, J: int) -> Vector:
    """Write the shortest turn of the tip's z axis onto the target's, and the Jacobian's rows for it in the tip frame."""
    a, b, c = load(ws, t + 2), load(ws, t + 5), load(ws, t + 8)  # the target's z axis
    u, v = x[0] * a + x[1] * b + x[2] * c, y[0] * a + y[1] * b + y[2] * c
    w0, w1 = align(u, v, z[0] * a + z[1] * b + z[2] * c)
    store(ws, out + n_linear, w0)
    store(ws, out + n_linear + 1, w1)
    for i in range(n):
        a, b, c = load(ws, J + 3 * n + i), load(ws, J + 4 * n + i), load(ws, J + 5 * n + i)
        store(ws, J + n_linear * n + i, x[0] * a + x[1] * b + x[2] * c)
        store(ws, J + n_linear * n + n + i, y[0] * a + y[1] * b + y[2] * c)
    return w0 * w0 + w1 * w1


@part
def _yaw_error(ws: FloatArray, n: int, n_linear: int, t: int, x: Any, y: Any, z: Any, out: int, J: int) -> Vector:
    """Write the turn about z from the tip to the target, and the Jacobian's row for it, behind the linear rows."""
    a0, a1, a2 = load(ws, t), load(ws, t + 3), load(ws, t + 6)  # columns x and y of the target
    b0, b1, b2 = load(ws, t + 1), load(ws, t + 4), load(ws, t + 7)
    s = (y[0] * a0 + y[1] * a1 + y[2] * a2) - (x[0] * b0 + x[1] * b1 + x[2] * b2)
    c = (x[0] * a0 + x[1] * a1 + x[2] * a2) + (y[0] * b0 + y[1] * b1 + y[2] * b2)
    yaw = angle(size(s), c)
    yaw = where_less(s, 0.0, 0.0 - yaw, yaw)
    store(ws, out + n_linear, yaw)
    for i in range(n):
        a, b, c = load(ws, J + 3 * n + i), load(ws, J + 4 * n + i), load(ws, J + 5 * n + i)
        store(ws, J + n_linear * n + i, z[0] * a + z[1] * b + z[2] * c)
    return yaw * yaw


@part
def _sweep(ws: FloatArray, problem: Problem, q: int, J: int) -> Any:
    """Axes and origin of the tip; each joint's origin and axis go to rows 0–2 and 3–5 of its Jacobian column.

    Rows of all vectors are independent of each other, and kept apart so that each stays in registers.
    """
    base, chain, slides = problem.base, problem.chain, problem.slides
    n = len(slides)
    x0, x1, x2 = spread(base[0, 0]), spread(base[1, 0]), spread(base[2, 0])
    y0, y1, y2 = spread(base[0, 1]), spread(base[1, 1]), spread(base[2, 1])
    z0, z1, z2 = spread(base[0, 2]), spread(base[1, 2]), spread(base[2, 2])
    p0, p1, p2 = spread(base[0, 3]), spread(base[1, 3]), spread(base[2, 3])
    for i in range(n):
        store(ws, J + i, p0)
        store(ws, J + n + i, p1)
        store(ws, J + 2 * n + i, p2)
        store(ws, J + 3 * n + i, z0)
        store(ws, J + 4 * n + i, z1)
        store(ws, J + 5 * n + i, z2)
        value, angle = load(ws, q + i), spread(chain[i, 0])
        if slides[i]:
            p0, p1, p2 = p0 + value * z0, p1 + value * z1, p2 + value * z2
        else:
            angle = value + chain[i, 0]
        c, s = cos_sin(angle)
        x0, y0, z0, p0 = _move(chain, i, c, s, x0, y0, z0, p0)
        x1, y1, z1, p1 = _move(chain, i, c, s, x1, y1, z1, p1)
        x2, y2, z2, p2 = _move(chain, i, c, s, x2, y2, z2, p2)
    c, s = spread(chain[n, 4]), spread(chain[n, 5])
    x0, y0 = c * x0 + s * y0, c * y0 - s * x0
    x1, y1 = c * x1 + s * y1, c * y1 - s * x1
    x2, y2 = c * x2 + s * y2, c * y2 - s * x2
    return (x0, x1, x2), (y0, y1, y2), (z0, z1, z2), (p0, p1, p2)


@part
def _move(chain: FloatArray, i: int, c: Vector, s: Vector, x: Vector, y: Vector, z: Vector, p: Vector) -> Any:
    """One row of frame i, turned about z, moved, and turned about x: see `fold_chain`."""
    x, y = c * x + s * y, c * y - s * x
    p = p + x * chain[i, 1] + y * chain[i, 2] + z * chain[i, 3]
    return x, y * chain[i, 4] + z * chain[i, 5], z * chain[i, 4] - y * chain[i, 5], p


@part
def _turn_into_columns(ws: FloatArray, slides: IntArray, n_linear: int, p: Any, J: int) -> None:
    """Jacobian columns from each joint's origin and axis: (z × (p_tip - p), z), or (z, 0) where it slides."""
    n = len(slides)
    for i in range(n):
        z0, z1, z2 = load(ws, J + 3 * n + i), load(ws, J + 4 * n + i), load(ws, J + 5 * n + i)
        if slides[i]:
            store(ws, J + 3 * n + i, 0.0)
            store(ws, J + 4 * n + i, 0.0)
            store(ws, J + 5 * n + i, 0.0)
        else:
            d0, d1, d2 = p[0] - load(ws, J + i), p[1] - load(ws, J + n + i), p[2] - load(ws, J + 2 * n + i)
            z0, z1, z2 = z1 * d2 - z2 * d1, z2 * d0 - z0 * d2, z0 * d1 - z1 * d0
        if n_linear >= 1:
            store(ws, J + i, z0)
        if n_linear >= 2:
            store(ws, J + n + i, z1)
        if n_linear == 3:
            store(ws, J + 2 * n + i, z2)
