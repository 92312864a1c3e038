"""One damped step of LANES seeds, and the decision whether it stands, for compiled code: by the rules of `ik_mdn.solver.kernels.rules`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ik_mdn.solver.kernels.compilation import part
from ik_mdn.solver.kernels.kinematics import TARGET_SIZE
from ik_mdn.solver.kernels.linear import factor, gram, substitute
from ik_mdn.solver.kernels.rules import (
    CLOSE,
    DAMPING,
    DAMPING_DROP,
    DAMPING_MAX,
    DAMPING_MIN,
    DAMPING_RISE,
    FLOOR,
    PATIENCE,
    PATIENCE_CLOSE,
    PROGRESS,
    UPHILL,
)
from ik_mdn.solver.kernels.vector import LANES, Vector, load, put, size, spread, store, where_less, which_less
from sim.arrays import FloatArray

COST, MU, MARK, IDLE, COUNT = range(5)  # a seed's state: |e|², μ, cost to fall below, iterations since, iterations

_ALL = (1 << LANES) - 1
_HUGE = 1e100  # stands for the cost of a seed that has just come, which is infinite
_LATE, _SOON = float(PATIENCE_CLOSE), float(PATIENCE)


def workspace_size(n: int) -> int:
    """How many vectors the compiled refinement needs for n joints: what `layout` hands out."""
    return 2 * (6 + 6 * n) + 2 * n + TARGET_SIZE + 5 + n * n + n + 6


@part
def layout(n: int) -> Any:
    """Where each part of the workspace begins: two linearisations, two joint vectors, target, state, equations."""
    block = 6 + 6 * n
    q = 2 * block
    target = q + 2 * n
    state = target + TARGET_SIZE
    return 0, block, q, q + n, target, state, state + 5


@part
def begin(ws: FloatArray, lane: int, now: int, state: int) -> None:
    """Put a new seed's state into a lane: its first step is zero, and stands whatever it costs.

    Args:
        ws: Workspace.
        lane: Which one.
        now: The linearisation before the step; its error is set to zero.
        state: Where the state is.
    """
    for k in range(6):
        put(ws, now + k, lane, 0.0)
    put(ws, state + COST, lane, np.inf)
    put(ws, state + MU, lane, DAMPING / DAMPING_DROP)
    put(ws, state + MARK, lane, np.inf)
    put(ws, state + IDLE, lane, 0.0)
    put(ws, state + COUNT, lane, -1.0)


@part
def step(ws: FloatArray, n: int, m: int, now: int, q: int, q_next: int, state: int, work: int, max_step: float) -> None:
    """Write the damped step's joint vectors to `q_next`, shortened where a joint would move further than allowed.

    Solves (J J^T + λ I) y = e and takes J^T y where m <= n, otherwise (J^T J + λ I) dq = J^T e; λ = μ |e|².

    Args:
        ws: Workspace.
        n, m: Joints and constraints.
        now: The linearisation at `q`: e, and J from `now + 6` on.
        q, q_next: The joint vectors before the step, and where those after it go.
        state: Where the state is.
        work: First of the vectors that the equations may overwrite.
        max_step: Largest change of a joint [rad, or arm lengths for prismatic joints].
    """
    J = now + 6
    H = work
    y = H + n * n
    dq = y + 6
    cost = load(ws, state + COST)
    damping = load(ws, state + MU) * where_less(cost, _HUGE, cost, _HUGE) + FLOOR
    if m <= n:
        gram(ws, m, n, J, n, 1, H)
        factor(ws, m, H, y, damping, 0.0, np.nan)  # NaN where rounding made the matrix indefinite
        substitute(ws, m, H, now, y)
        for k in range(n):
            t = load(ws, J + k) * load(ws, y)
            for i in range(1, m):
                t = t + load(ws, J + i * n + k) * load(ws, y + i)
            store(ws, dq + k, t)
    else:
        gram(ws, n, m, J, 1, n, H)
        for i in range(n):
            t = load(ws, J + i) * load(ws, now)
            for k in range(1, m):
                t = t + load(ws, J + k * n + i) * load(ws, now + k)
            store(ws, dq + i, t)
        factor(ws, n, H, y, damping, 0.0, np.nan)
        substitute(ws, n, H, dq, dq)
    longest = spread(max_step)
    for k in range(n):
        t = size(load(ws, dq + k))
        longest = where_less(longest, t, t, longest)
    scale = max_step / longest
    for k in range(n):
        store(ws, q_next + k, load(ws, q + k) + scale * load(ws, dq + k))


@part
def decide(
    ws: FloatArray, size: int, n: int, now: int, new: int, q: int, q_next: int, state: int, after: Vector
) -> None:
    """Keep what is new where the step stands, and what was before elsewhere; bring the state up to date.

    Args:
        ws: Workspace.
        size: Vectors in a linearisation that count, `6 + m n`.
        n: Joints.
        now, new: The linearisations before and after the step; `new` gets the one to go on from.
        q, q_next: The joint vectors before and after; `q_next` gets those to go on from.
        state: Where the state is.
        after: Squared length of the error after the step.
    """
    before, mark = load(ws, state + COST), load(ws, state + MARK)
    limit = where_less(before, CLOSE**2, (UPHILL / PROGRESS**2) * mark, before)
    mu = load(ws, state + MU)
    mu = mu * where_less(after, limit, DAMPING_DROP, DAMPING_RISE)  # NaN is not less: a failed step only damps more
    mu = where_less(mu, DAMPING_MIN, DAMPING_MIN, mu)
    store(ws, state + MU, where_less(DAMPING_MAX, mu, DAMPING_MAX, mu))
    cost = where_less(after, limit, after, before)
    store(ws, state + COST, cost)
    store(ws, state + IDLE, where_less(cost, mark, 0.0, load(ws, state + IDLE) + 1.0))
    store(ws, state + MARK, where_less(cost, mark, cost * PROGRESS**2, mark))
    store(ws, state + COUNT, load(ws, state + COUNT) + 1.0)
    if which_less(after, limit) != _ALL:
        for k in range(size):
            store(ws, new + k, where_less(after, limit, load(ws, new + k), load(ws, now + k)))
        for k in range(n):
            store(ws, q_next + k, where_less(after, limit, load(ws, q_next + k), load(ws, q + k)))


@part
def finished(ws: FloatArray, state: int, tolerance: float, max_iterations: float) -> int:
    """Bits of the lanes whose seed has converged or is given up.

    Args:
        ws: Workspace.
        state: Where the state is.
        tolerance: Residual below which a seed has converged [rad, arm lengths].
        max_iterations: Iterations after which it is given up.
    """
    cost = load(ws, state + COST)
    patience = where_less(cost, CLOSE**2, _LATE, _SOON)
    stuck: int = which_less(patience, load(ws, state + IDLE))
    late: int = which_less(max_iterations - 0.5, load(ws, state + COUNT))
    done: int = which_less(cost, tolerance * tolerance)
    return stuck | late | done
