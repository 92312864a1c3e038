"""Roots of a pose: joint vectors that meet its target, told apart, turned into limits, and shown to the lanes."""

from __future__ import annotations

import numpy as np

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.lanes import COST, DISTANCE, LANES, NEAREST, PIVOT, ROOTS
from ik_mdn.solver.kernels.pointers import Doubles, Ints, ahead, bare
from ik_mdn.solver.kernels.space import GROUP, Job, Roots, at_q, copy, get_joints
from sim.arrays import BoolArray, FloatArray, IntArray

_TURN, _TURNS = 2 * np.pi, 0.5 / np.pi  # a turn [rad], and a radian [turns]


@part
def add(job: Job, roots: Roots, p: int, near: Doubles, weight: float, compared: int, ws: Doubles, lane: int) -> bool:
    """Add the root that a lane has converged to, or its weight to one that it is; whether a new one is in limits.

    With the first `compared` roots of the pose, as far as they are shown, the lane is compared already.
    """
    n, first, count = job.n, p * roots.room, roots.count[p]
    _, _, state, measures, _ = at_q(n)
    q, cost = ahead(roots.q, (first + count) * n), ws[(state + COST) * LANES + lane]  # the next free row
    get_joints(job, ws, 0, lane, q)
    if compared > 0 and ws[(measures + DISTANCE) * LANES + lane] < job.merge:
        c = int(ws[(measures + NEAREST) * LANES + lane])
        if is_same(q, ahead(roots.q, (first + c) * n), n, job.turns, job.merge):
            roots.weight[first + c] += weight
            return False
    for c in range(count):
        if c >= compared or not roots.shown[first + c]:
            known = ahead(roots.q, (first + c) * n)
            if is_same(q, known, n, job.turns, job.merge):
                roots.weight[first + c] += weight
                if not roots.shown[first + c] and cost < roots.cost[first + c]:
                    roots.inside[first + c], roots.cost[first + c] = int(turn_inside(job, q, near)), cost
                    copy(q, known, n)
                return False
    inside, shown = turn_inside(job, q, near), ws[(state + PIVOT) * LANES + lane] > job.rule[5] and count < ROOTS
    roots.cost[first + count] = cost
    roots.weight[first + count], roots.inside[first + count], roots.shown[first + count] = (
        weight,
        int(inside),
        int(shown),
    )
    roots.count[p] = count + 1
    if shown:
        show(job, q, count, ws, lane // GROUP * GROUP)
    return inside


@part
def join(job: Job, roots: Roots, p: int) -> None:
    """Make one of roots that came near to each other as more exact ones took their places, where branches meet."""
    for r in range(p * roots.room, p * roots.room + roots.count[p]):
        if not roots.shown[r] and roots.inside[r]:
            for other in range(p * roots.room, r):
                near = not roots.shown[other] and roots.inside[other]
                if near and is_same(
                    ahead(roots.q, r * job.n), ahead(roots.q, other * job.n), job.n, job.turns, job.merge
                ):
                    worse, better = (r, other) if roots.cost[other] <= roots.cost[r] else (other, r)
                    roots.weight[better] += roots.weight[worse]
                    roots.inside[worse] = 0
                    if worse == r:
                        break


@part
def show(job: Job, q: Doubles, c: int, ws: Doubles, lane: int) -> None:
    """Put a root among those that the lanes of a group are compared with."""
    table = at_q(job.n)[4]
    for i in range(job.n):
        value = q[i] * job.per_unit[i]
        if job.turns[i]:
            value -= _TURN * np.rint(value * _TURNS)
        for side in range(GROUP):
            ws[(table + c * job.n + i) * LANES + lane + side] = value


@part
def turn_inside(job: Job, q: Doubles, near: Doubles) -> bool:
    """Bring a joint vector inside the limits by full turns, as near to `near` as they allow; whether it is."""
    inside = True
    for i in range(job.n):
        low, high, value = job.low[i] - job.slack, job.high[i] + job.slack, q[i]
        if job.turns[i]:
            wanted = np.rint((near[i] - value) * _TURNS)
            if not low <= value + _TURN * wanted <= high:
                fewest, most = np.ceil((low - value) / _TURN), np.floor((high - value) / _TURN)
                if fewest <= most:
                    wanted = min(max(wanted, fewest), most)
            if wanted != 0.0:
                value += _TURN * wanted
                q[i] = value
        inside &= low <= value <= high
    if inside:
        for i in range(job.n):
            q[i] = min(max(q[i], job.low[i]), job.high[i])
    return inside


@part
def is_same(a: Doubles, b: Doubles, n: int, turns: Ints, tolerance: float) -> bool:
    """Whether two joint vectors are within a distance of each other, full turns aside."""
    total = 0.0
    for i in range(n):
        d = a[i] - b[i]
        if turns[i]:
            d -= _TURN * np.rint(d * _TURNS)
        total += d * d
        if total > tolerance * tolerance:
            return False
    return True


@kept
def mark_new(
    start: IntArray,
    start_more: IntArray,
    q: FloatArray,
    more: FloatArray,
    turns: IntArray,
    tolerance: float,
    new: BoolArray,
) -> None:
    """Write which of some more rows are another branch than every row of their pose.

    Args:
        start, start_more: Where each pose's rows begin among q and among more, (B + 1,).
        q, more: Joint vectors, (R, n) and (S, n), each pose's distinct.
        turns: 1 where a joint turns, (n,).
        tolerance: Distance on the circle up to which two rows are one branch [rad, m].
        new: Written: (S,).
    """
    n, here, there = len(turns), bare(q), bare(more)
    for p in range(len(start) - 1):
        for r in range(start_more[p], start_more[p + 1]):
            new[r] = True
            for other in range(start[p], start[p + 1]):
                if is_same(ahead(there, r * n), ahead(here, other * n), n, bare(turns), tolerance):
                    new[r] = False
                    break
