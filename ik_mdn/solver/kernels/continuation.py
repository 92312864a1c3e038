"""Prediction and correction along a curve for compiled code, LANES poses side by side.

Allgower and Georg, Numerical Continuation Methods, 1990, ch. 2.
"""

from __future__ import annotations

from typing import NamedTuple

from ik_mdn.solver.kernels.compilation import part, piece
from ik_mdn.solver.kernels.kinematics import TARGET_SIZE, Problem, linearise
from ik_mdn.solver.kernels.linear import factor, gram, substitute
from ik_mdn.solver.kernels.vector import LANES, load, root, spread, store, where_less
from sim.arrays import FloatArray

A_OLD, A_OLD_TANGENT, A_TANGENT, SHIFT, PREDICT, SIGN = range(6)  # what scalar code tells vector code about a lane
MOVED, COSINE = range(2)  # what it is told: |dq|², cosine of the turn from the last node

_RIDGE = 1e-18  # added to the diagonal of J J^T, so that an exactly singular Jacobian can be factored


class Places(NamedTuple):
    """Where each part of the workspace begins: a linearisation, n vectors each from q on, the target, numbers, equations.

    Args:
        now: The linearisation.
        q, dq, t: The point, its correction and tangent.
        q_now, t_now: The last node and its tangent.
        q_old, t_old: The one before and its tangent.
        target: TARGET_SIZE vectors.
        control: What scalar code tells vector code.
        measures: What it is told.
        work: Equations.
    """

    now: int
    q: int
    dq: int
    t: int
    q_now: int
    t_now: int
    q_old: int
    t_old: int
    target: int
    control: int
    measures: int
    work: int


def walk_size(n: int, m: int) -> int:
    """How many vectors a walk needs for n joints and m constraints: what `places` hands out."""
    return 6 + 6 * n + 7 * n + TARGET_SIZE + 8 + m * m + 2 * m


@part
def places(n: int) -> Places:
    """Where each part of the workspace begins, for n joints."""
    q = 6 + 6 * n
    control = q + 7 * n + 12
    return Places(
        0, q, q + n, q + 2 * n, q + 3 * n, q + 4 * n, q + 5 * n, q + 6 * n, q + 7 * n, control, control + 6, control + 8
    )


@part
def correct(ws: FloatArray, problem: Problem, n: int, m: int) -> None:
    """Take one Newton step towards the curve and measure it; find the tangent there.

    With H = J J^T: `dq = J^T H^-1 e`, and the tangent is the last node's without its part along the rows of J,
    `t - J^T H^-1 J t`, made a unit vector. Its length before that is the cosine of the angle between the two.

    Args:
        ws: Workspace.
        problem: The arm and the task.
        n, m: Joints and constraints; written out where they are called, they unroll the loops.
    """
    at = places(n)
    now, q, dq, t, t_now, measures = at.now, at.q, at.dq, at.t, at.t_now, at.measures
    J, H, y, z = now + 6, at.work, at.work + m * m, at.work + m * m + m
    linearise(ws, problem, q, at.target, now)
    gram(ws, m, n, J, n, 1, H)
    factor(ws, m, H, y, _RIDGE, _RIDGE, _RIDGE)
    for i in range(m):
        store(ws, y + i, load(ws, now + i))
        s = load(ws, J + i * n) * load(ws, t_now)
        for k in range(1, n):
            s = s + load(ws, J + i * n + k) * load(ws, t_now + k)
        store(ws, z + i, s)
    substitute(ws, m, H, y, y)
    substitute(ws, m, H, z, z)
    moved, length = spread(0.0), spread(0.0)
    for k in range(n):
        a, b = spread(0.0), load(ws, t_now + k)
        for i in range(m):
            j = load(ws, J + i * n + k)
            a = a + j * load(ws, y + i)
            b = b - j * load(ws, z + i)
        store(ws, dq + k, a)
        store(ws, t + k, b)
        moved, length = moved + a * a, length + b * b
    length = root(length)
    store(ws, measures + MOVED, moved)
    store(ws, measures + COSINE, length)
    shrink = 1.0 / (length + 1e-300)
    for k in range(n):
        store(ws, t + k, load(ws, t + k) * shrink)
        store(ws, q + k, load(ws, q + k) + load(ws, dq + k))


@part
def proceed(ws: FloatArray, n: int) -> None:
    """Do what control says: make the point the last node, and predict the next by a cubic through the last two.

    Args:
        ws: Workspace.
        n: Joints.
    """
    at = places(n)
    q, t, q_now, t_now, q_old, t_old, control = at.q, at.t, at.q_now, at.t_now, at.q_old, at.t_old, at.control
    shift, predict, sign = load(ws, control + SHIFT), load(ws, control + PREDICT), load(ws, control + SIGN)
    a, b, c = load(ws, control + A_OLD), load(ws, control + A_OLD_TANGENT), load(ws, control + A_TANGENT)
    for k in range(n):
        point, last = load(ws, q + k), load(ws, q_now + k)
        before = where_less(0.5, shift, last, load(ws, q_old + k))
        last = where_less(0.5, shift, point, last)
        tangent = load(ws, t_now + k)
        before_tangent = where_less(0.5, shift, tangent, load(ws, t_old + k))
        tangent = where_less(0.5, shift, sign * load(ws, t + k), tangent)
        store(ws, q_old + k, before)
        store(ws, t_old + k, before_tangent)
        store(ws, q_now + k, last)
        store(ws, t_now + k, tangent)
        ahead = last + a * (before - last) + b * before_tangent + c * tangent
        store(ws, q + k, where_less(0.5, predict, ahead, point))


@piece
def tell(
    ws: FloatArray, control: int, lane: int, a: float, b: float, c: float, shift: float, predict: float, sign: float
) -> None:
    """Write what scalar code tells vector code about a lane."""
    at = control * LANES + lane
    ws[at + A_OLD * LANES] = a
    ws[at + A_OLD_TANGENT * LANES] = b
    ws[at + A_TANGENT * LANES] = c
    ws[at + SHIFT * LANES] = shift
    ws[at + PREDICT * LANES] = predict
    ws[at + SIGN * LANES] = sign


@piece
def predict(ws: FloatArray, control: int, lane: int, before: float, h: float, shift: float) -> None:
    """Coefficients of the cubic with the tangents of the last two nodes, `before` apart, h beyond the last one."""
    if before < 1e-3 * h:
        tell(ws, control, lane, 0.0, 0.0, h, shift, 1.0, 1.0)
        return
    u = 1.0 + h / before
    a = (2.0 * u - 3.0) * u * u + 1.0
    b = ((u - 2.0) * u + 1.0) * u * before
    c = (u - 1.0) * u * u * before
    tell(ws, control, lane, a, b, c, shift, 1.0, 1.0)
