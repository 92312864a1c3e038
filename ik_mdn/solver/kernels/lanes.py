"""What emitted code does for LANES joint vectors side by side: a step of refinement; what a solution is like.

Both work on one workspace of vectors, whose places `Places` names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import cgutils

from ik_mdn.solver.kernels.emission import Vector, Vectors, repeat
from ik_mdn.solver.kernels.formulas import Linear, Shape, dot, factor, gram, linearise, substitute, transposed_times
from ik_mdn.solver.kernels.machine import address_of
from ik_mdn.solver.kernels.rules import (
    CLOSE,
    DAMPING_DROP,
    DAMPING_MAX,
    DAMPING_MIN,
    DAMPING_RISE,
    FARTHEST,
    FLOOR,
    PATIENCE,
    PATIENCE_CLOSE,
    PROGRESS,
    STEP,
    UPHILL,
)

LANES = 8  # two AVX registers or one AVX-512 register: enough independent work to hide the latency of an addition
COST, MU, MARK, IDLE, COUNT, AGO, LONG_AGO, MOVED, PIVOT = range(9)  # a seed's state
STATE = 9
ROOTS = 16  # solutions of a pose that seeds are compared with on their way

_POWER_STEPS = 4  # of inverse iteration: the others die out as (σ₁/σ₂)², squared in each
_TINY = 1e-14  # keeps a singular matrix invertible


class Places(NamedTuple):
    """Where each part of the workspace begins [vectors], for n joints.

    Args:
        q, before: Joint values now and before the last step that stands; n each.
        target: Rotation by rows, then origin; 12.
        state: A seed's; STATE.
        measures: What `inspect` writes: errors (`iterate`: their squares at the last step that stands), manipulability, whether singular, smallest singular value, way across
            the fold; 6. What `near_roots` does: the nearest root and how far it is; 2.
        roots: Solutions known of the lane's pose, within half a turn of 0; ROOTS of n.
        size: Of all.
    """

    q: int
    before: int
    target: int
    state: int
    measures: int
    roots: int
    size: int


def places(n: int) -> Places:
    """See `Places`."""
    return Places(0, n, 2 * n, 2 * n + 12, 2 * n + 12 + STATE, 2 * n + 20 + STATE, 2 * n + 20 + STATE + ROOTS * n)


ERR_POS, ERR_ROT, MANIPULABILITY, SINGULAR, SIGMA, WAY, NEAREST, DISTANCE = range(8)  # of `measures`


class Code(NamedTuple):
    """Addresses of the emitted functions for an arm and a task."""

    iterate: int
    near_roots: int
    inspect: int


def code_for(shape: Shape) -> Code:
    """Compiled, or loaded from the disk."""
    names = {"iterate": _iterate, "near_roots": _near_roots, "inspect": _inspect}
    arguments = {"iterate": "ddd", "near_roots": "ddi", "inspect": "ddd"}

    def address(name: str) -> int:
        return address_of(name, shape, arguments[name], lambda builder, *given: names[name](builder, shape, *given))

    return Code(*(address(name) for name in names))


def _linear(o: Vectors, shape: Shape, q: Any, numbers: Any, target: Any) -> Linear:
    return linearise(o, shape, q, lambda i: o.number(numbers, i), lambda i: o.number(numbers, 12 + i), target)


def _iterate(builder: Any, shape: Shape, ws: Any, numbers: Any, rule: Any) -> Any:
    """Evaluate the joint values, decide whether the step to them stands, and take the next one.

    Levenberg-Marquardt by the rules of `ik_mdn.solver.kernels.rules`; a step that does not stand is taken back, and what
    was before is evaluated anew.

    Args:
        builder: Where instructions go.
        shape: Of the arm and the task.
        ws: Workspace.
        numbers: Base and chain of `kinematics.Problem`, one after the other.
        rule: `settle.Limits` as numbers.

    Returns:
        Bits of the lanes whose seed has converged, shifted by LANES of those that are given up, and by 2 LANES of those
        whose step stands.
    """
    o, at, n = Vectors(builder, LANES), places(shape.n), shape.n
    q = [o.load(ws, at.q + k) for k in range(n)]
    before_q = [o.load(ws, at.before + k) for k in range(n)]
    done2, most, longest_step, stalled2, shrink2, firm, fine2 = (o.number(rule, i) for i in range(7))
    state = [o.load(ws, at.state + i) for i in range(STATE)]
    linear = _linear(o, shape, q, numbers, [o.load(ws, at.target + k) for k in range(12)])
    parts = linear.squares(shape.n_linear)
    cost = parts[0] + parts[1]

    limit = o.where(o.less(state[COST], CLOSE**2), state[MARK] * (UPHILL / PROGRESS**2), state[COST])
    stands = o.less(cost, limit)  # not beside NaN
    mu = state[MU] * o.where(stands, DAMPING_DROP, DAMPING_RISE / DAMPING_DROP)
    mu = o.smaller(o.larger(mu, DAMPING_MIN), DAMPING_MAX)
    now = o.where(stands, cost, state[COST])
    progress = o.less(now, state[MARK])
    idle = o.where(progress, 0.0, state[IDLE] + o.where(stands, 1.0, 0.0))
    count = state[COUNT] + 1.0
    new = {
        COST: o.where(stands, cost, np.inf),
        MU: mu,
        MARK: o.where(progress, now * PROGRESS**2, state[MARK]),
        IDLE: idle,
        COUNT: count,
        AGO: o.where(stands, cost, state[AGO]),
        LONG_AGO: o.where(stands, state[AGO], state[LONG_AGO]),
    }

    dq, pivots = _step(o, shape, linear, mu * cost + FLOOR)
    longest, least = o.spread(0.0), pivots[0]
    for step in dq:
        longest = o.larger(longest, o.size(step))
    for pivot in pivots[1:]:
        least = o.smaller(least, pivot)
    scale = longest_step / o.larger(longest, longest_step)
    scale = o.where(o.less(0.0, least), scale, np.nan)  # rounding made the matrix indefinite: more damping is wanted
    new |= {MOVED: longest * scale, PIVOT: least}
    for place, value in new.items():
        o.store(ws, at.state + place, value)
    for place, square in zip((ERR_POS, ERR_ROT), parts, strict=True):
        o.store(ws, at.measures + place, o.where(stands, square, o.load(ws, at.measures + place)))

    patience = o.where(o.less(cost, CLOSE**2), float(PATIENCE_CLOSE), float(PATIENCE))
    given_up = o.less(patience, idle) | o.less(most - 0.5, count)
    stuck = o.less(stalled2, cost) & o.less(shrink2 * state[LONG_AGO], cost) & o.less(cost, state[LONG_AGO])
    done = o.less(cost, done2) | (given_up & o.less(cost, fine2))
    soon = 100.0 * cost * cost * cost / (state[COST] * state[COST])  # by Newton r becomes r (r / r_before)² or less
    sure = stands & o.less(soon, done2) & o.less(cost, 1e-7) & o.less(firm, least)
    for k in range(n):
        ahead = o.where(stands, q[k] + scale * dq[k], before_q[k])
        o.store(ws, at.q + k, o.where(done, q[k], ahead))
        o.store(ws, at.before + k, o.where(stands, q[k], before_q[k]))
    bits = (o.which(done | sure), o.which(given_up | (stuck & stands)), o.which(stands))
    shifted = [builder.shl(word, word.type(LANES * i)) for i, word in enumerate(bits)]
    return builder.or_(shifted[0], builder.or_(*shifted[1:]))


def _step(o: Vectors, shape: Shape, linear: Linear, damping: Any) -> Any:
    """The damped step, and the pivots of the matrix: (J Jᵀ + λ I) y = e and Jᵀ y, or (Jᵀ J + λ I) dq = Jᵀ e."""
    e, J = linear
    if shape.m <= shape.n:
        factors = factor(gram(J), damping)
        return transposed_times(J, substitute(factors, e)), factors.pivots
    factors = factor(gram(_transposed(J)), damping)
    return substitute(factors, [o.spread(x) for x in transposed_times(J, e)]), factors.pivots


def _transposed(J: Any) -> Any:
    return [list(column) for column in zip(*J, strict=True)]


def _near_roots(builder: Any, shape: Shape, ws: Any, roots: Any, count: Any) -> Any:
    """Bits of the lanes that are much nearer to a root than their last step was long.

    Number and distance (the largest in a joint) of the nearest root go to `measures`.
    """
    o, at, n = Vectors(builder, LANES), places(shape.n), shape.n
    q = [o.load(ws, at.q + k) for k in range(n)]
    q = [x if slides else _within_half_a_turn(o, x) for x, slides in zip(q, shape.slides, strict=True)]
    best, which = (cgutils.alloca_once_value(builder, o.spread(x).ir) for x in (1e9, -1.0))

    def compare(number: Any) -> None:
        row = builder.mul(number, number.type(n))
        distance = None
        for k in range(n):
            away = o.size(q[k] - o.load(roots, builder.add(row, row.type(k))))
            away = away if shape.slides[k] else o.smaller(2 * np.pi - away, away)
            distance = away if distance is None else o.larger(away, distance)  # stays NaN beside no root
        known = Vector(o, builder.load(best))
        nearer = o.less(distance, known)
        builder.store(o.where(nearer, distance, known).ir, best)
        place = o.spread(builder.sitofp(number, o.scalar))
        builder.store(o.where(nearer, place, Vector(o, builder.load(which))).ir, which)

    repeat(builder, count, compare)
    distance = Vector(o, builder.load(best))
    o.store(ws, at.measures + NEAREST, Vector(o, builder.load(which)))
    o.store(ws, at.measures + DISTANCE, distance)
    return o.which(o.less(distance, 0.3) & o.less(distance, 0.3 * o.load(ws, at.state + MOVED)))


def _within_half_a_turn(o: Vectors, x: Any) -> Any:
    return x - o.round(x * (0.5 / np.pi)) * (2 * np.pi)


def _inspect(builder: Any, shape: Shape, ws: Any, numbers: Any, rule: Any) -> None:
    """Write errors, manipulability and whether singular to `measures`, and the joint values after a Newton step to `q`.

    Of arms with as many joints as constraints also the seed across the nearest fold, to `before`.
    """
    o, at, n, m = Vectors(builder, LANES), places(shape.n), shape.n, shape.m
    q, target = [o.load(ws, at.q + k) for k in range(n)], [o.load(ws, at.target + k) for k in range(12)]
    linear = _linear(o, shape, q, numbers, target)
    _, J = linear
    for place, square in zip((ERR_POS, ERR_ROT), linear.squares(shape.n_linear), strict=True):
        o.store(ws, at.measures + place, o.root(o.spread(square)))
    newton, _ = _step(o, shape, linear, o.spread(FLOOR))
    for k in range(n):
        o.store(ws, at.q + k, q[k] + newton[k])
    least = o.number(rule, 7)
    H = gram(J if m <= n else _transposed(J))
    H = [[o.spread(x) for x in row] for row in H]
    determinant, inertia = o.spread(1.0), o.spread(1e300)
    for pivot in factor(H, 0.0).pivots:
        determinant = determinant * pivot
    for pivot in factor(H, 0.0 - least * least).pivots:  # all positive where σ² - least² > 0 of every singular value σ
        inertia = o.where(o.less(0.0, inertia) & o.less(0.0, pivot), pivot, -1.0)
    o.store(ws, at.measures + MANIPULABILITY, o.root(o.larger(determinant, 0.0)))
    o.store(ws, at.measures + SINGULAR, o.where(o.less(0.0, inertia), 0.0, 1.0))
    if m == n:
        _look_across(o, shape, ws, numbers, target, q, J, H)


def _look_across(o: Vectors, shape: Shape, ws: Any, numbers: Any, target: Any, q: Any, J: Any, H: Any) -> None:
    """Write the seed across the nearest fold: as `ik_mdn.solver.folds.seeds_across_folds`, by inverse iteration."""
    at, n = places(shape.n), shape.n
    factors, u, square = factor(H, _TINY, o), [o.spread(1.0 + 0.1 * k) for k in range(n)], o.spread(1.0)
    for _ in range(_POWER_STEPS):
        u = substitute(factors, u)
        square = dot(u, u)
        scale = 1.0 / o.root(square)
        u = [x * scale for x in u]
    sigma = o.root(1.0 / o.root(square))
    v = [x / sigma for x in transposed_times(J, u)]
    curvature = o.spread(0.0)
    for side in (-STEP, STEP):
        aside = _linear(o, shape, [x + side * y for x, y in zip(q, v, strict=True)], numbers, target)
        curvature = curvature - dot(aside.e, u)
    curvature = curvature / STEP**2
    curvature = o.where(o.less(o.size(curvature), 1e-12), 1e-12, curvature)
    way = o.smaller(o.larger(-2.0 * sigma / curvature, -FARTHEST), FARTHEST)
    o.store(ws, at.measures + SIGMA, sigma)
    o.store(ws, at.measures + WAY, o.size(way))
    for k in range(n):
        o.store(ws, at.before + k, q[k] + way * v[k])
