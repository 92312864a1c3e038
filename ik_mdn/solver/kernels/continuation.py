"""Prediction and correction along a curve in emitted code, LANES poses side by side.

Allgower and Georg, Numerical Continuation Methods, 1990, ch. 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ik_mdn.solver.kernels.compilation import piece
from ik_mdn.solver.kernels.emission import Vectors
from ik_mdn.solver.kernels.formulas import Shape, dot, factor, gram, linearise, substitute, transposed_times
from ik_mdn.solver.kernels.lanes import LANES
from ik_mdn.solver.kernels.machine import address_of
from ik_mdn.solver.kernels.pointers import Doubles

A_OLD, A_OLD_TANGENT, A_TANGENT, SHIFT, PREDICT, SIGN = range(6)  # what scalar code tells emitted code about a lane
MOVED, COSINE = range(2)  # what it is told: |dq|², cosine of the turn from the last node

_RIDGE = 1e-18  # least pivot of J Jᵀ, so that an exactly singular Jacobian can be factored


class Places(NamedTuple):
    """Where each part of the workspace begins [vectors], for n joints and m constraints.

    Args:
        q, t: The point and its tangent; n each.
        target: Rotation by rows, then origin; 12.
        q_now, t_now: The last node and its tangent.
        q_old, t_old: The one before and its tangent.
        control: What scalar code tells emitted code; 6.
        measures: What it is told; 2.
        J: The Jacobian at the point before the last correction, by rows; m n.
        size: Of all.
    """

    q: int
    t: int
    target: int
    q_now: int
    t_now: int
    q_old: int
    t_old: int
    control: int
    measures: int
    J: int
    size: int


def places_for(n: int, m: int) -> Places:
    """See `Places`."""
    nodes = 2 * n + 12
    control = nodes + 4 * n
    return Places(
        0,
        n,
        2 * n,
        nodes,
        nodes + n,
        nodes + 2 * n,
        nodes + 3 * n,
        control,
        control + 6,
        control + 8,
        control + 8 + m * n,
    )


class Steps(NamedTuple):
    """Addresses of the emitted functions for an arm and a task."""

    correct: int
    proceed: int


def steps_for(shape: Shape) -> Steps:
    """Compiled, or loaded from the disk."""
    return Steps(
        address_of("correct", shape, "dd", lambda builder, *given: _correct(Vectors(builder, LANES), shape, *given)),
        address_of("proceed", shape, "d", lambda builder, *given: _proceed(Vectors(builder, LANES), shape, *given)),
    )


def _correct(o: Any, shape: Shape, ws: Any, numbers: Any) -> None:
    """Take one Newton step towards the curve and measure it; find the tangent there.

    With H = J Jᵀ: dq = Jᵀ H⁻¹ e, and the tangent is the last node's without its part along the rows of J,
    t - Jᵀ H⁻¹ J t, made a unit vector. Its length before that is the cosine of the angle between the two.

    Args:
        o: Makes vectors.
        shape: Of the arm and the task.
        ws: Workspace.
        numbers: Base and chain of `kinematics.Problem`, one after the other.
    """
    at, n = places_for(shape.n, shape.m), shape.n
    q, t_now, target = (
        [o.load(ws, first + k) for k in range(c)] for first, c in ((at.q, n), (at.t_now, n), (at.target, 12))
    )
    e, J = linearise(o, shape, q, lambda i: o.number(numbers, i), lambda i: o.number(numbers, 12 + i), target)
    factors = factor(gram(J), _RIDGE, o)
    dq = transposed_times(J, substitute(factors, e))
    along = transposed_times(J, substitute(factors, [dot(row, t_now) for row in J]))
    t = [x - y for x, y in zip(t_now, along, strict=True)]
    length = o.root(dot(t, t))
    shrink = 1.0 / (length + 1e-300)
    o.store(ws, at.measures + MOVED, dot(dq, dq))
    o.store(ws, at.measures + COSINE, length)
    for k in range(n):
        o.store(ws, at.t + k, t[k] * shrink)
        o.store(ws, at.q + k, q[k] + dq[k])
    for i, row in enumerate(J):
        for k in range(n):
            o.store(ws, at.J + i * n + k, row[k])


def _proceed(o: Any, shape: Shape, ws: Any) -> None:
    """Do what control says: make the point the last node, and predict the next by a cubic through the last two."""
    at = places_for(shape.n, shape.m)
    a, b, c, shift, predict, sign = (o.load(ws, at.control + i) for i in range(6))
    shifts, predicts = o.less(0.5, shift), o.less(0.5, predict)
    for k in range(shape.n):
        point, last, tangent = o.load(ws, at.q + k), o.load(ws, at.q_now + k), o.load(ws, at.t_now + k)
        before = o.where(shifts, last, o.load(ws, at.q_old + k))
        before_tangent = o.where(shifts, tangent, o.load(ws, at.t_old + k))
        last = o.where(shifts, point, last)
        tangent = o.where(shifts, sign * o.load(ws, at.t + k), tangent)
        for place, value in ((at.q_old, before), (at.t_old, before_tangent), (at.q_now, last), (at.t_now, tangent)):
            o.store(ws, place + k, value)
        ahead = last + a * (before - last) + b * before_tangent + c * tangent
        o.store(ws, at.q + k, o.where(predicts, ahead, point))


@piece
def tell(
    ws: Doubles, control: int, lane: int, a: float, b: float, c: float, shift: float, predict: float, sign: float
) -> None:
    """Write what scalar code tells emitted code about a lane."""
    at = control * LANES + lane
    ws[at + A_OLD * LANES] = a
    ws[at + A_OLD_TANGENT * LANES] = b
    ws[at + A_TANGENT * LANES] = c
    ws[at + SHIFT * LANES] = shift
    ws[at + PREDICT * LANES] = predict
    ws[at + SIGN * LANES] = sign


@piece
def predict(ws: Doubles, control: int, lane: int, before: float, h: float, shift: float) -> None:
    """Coefficients of the cubic with the tangents of the last two nodes, `before` apart, h beyond the last one."""
    if before < 1e-3 * h:
        tell(ws, control, lane, 0.0, 0.0, h, shift, 1.0, 1.0)
        return
    u = 1.0 + h / before
    a = (2.0 * u - 3.0) * u * u + 1.0
    b = ((u - 2.0) * u + 1.0) * u * before
    c = (u - 1.0) * u * u * before
    tell(ws, control, lane, a, b, c, shift, 1.0, 1.0)
