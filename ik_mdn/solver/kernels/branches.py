"""From refined seeds to distinct solutions in limits, for compiled code; and their order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.threads import take_number
from sim.arrays import BoolArray, FloatArray, IntArray

BLOCK = 64  # poses that a thread takes at a time
_TURN = 2 * np.pi


class Candidates(NamedTuple):
    """Refined seeds of some targets, or what is left of them, target after target.

    Args:
        q: Joint vectors [rad, m], (R, n).
        weight: (R,).
        err_pos, err_rot: Distance [m] and angle [rad] of the tip from the target, (R,).
    """

    q: FloatArray
    weight: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray


class Bounds(NamedTuple):
    """Where solutions have to lie.

    Args:
        low, high: Least and greatest joint values, (n,) [rad, m].
        turns: Which joints turn, (n,).
        near: Where to be near when several turns are inside, (1, n) or (B, n).
        tolerance: Largest error of a solution [m, rad].
        merge: Distance on the circle below which two rows are one branch [rad, m].
        slack: How far outside a limit a row may be that is then put on it [rad, m].
    """

    low: FloatArray
    high: FloatArray
    turns: BoolArray
    near: FloatArray
    tolerance: float
    merge: float
    slack: float


@kept
def settle(start: IntArray, rows: Candidates, bounds: Bounds, count: IntArray, met: BoolArray, queue: IntArray) -> None:
    """Gather each pose's distinct solutions in limits at the front of its rows, until the queue of blocks is empty.

    A row that misses the target by more than the tolerance is dropped; the others are turned into limits (see
    `ik_mdn.solver.branches.turn_into_limits`) and merged where they are the same branch (see `first_of_branch` there): the
    most exact one stays, with the weight of all.

    Args:
        start: Pose p owns the rows `start[p]:start[p + 1]`, (B + 1,).
        rows: The rows; overwritten.
        bounds: Where solutions have to lie.
        count: Written: distinct solutions in limits of each pose, (B,).
        met: Written: whether a row met the target, in limits or not, (B,).
        queue: Zero at the start, shared by all threads.
    """
    poses = len(start) - 1
    while True:
        first = take_number(queue) * BLOCK
        if first >= poses:
            break
        for p in range(first, min(first + BLOCK, poses)):
            able, met[p] = start[p], False
            here = p if len(bounds.near) > 1 else 0
            for r in range(start[p], start[p + 1]):
                if max(rows.err_pos[r], rows.err_rot[r]) <= bounds.tolerance:
                    met[p] = True
                    if _turn_inside(rows.q, r, bounds, here):
                        _copy_row(rows, r, rows, able)
                        able += 1
            count[p] = _merge(rows, start[p], able, bounds)


@part
def _copy_row(rows: Candidates, source: int, others: Candidates, target: int) -> None:
    for i in range(rows.q.shape[1]):
        others.q[target, i] = rows.q[source, i]
    others.weight[target] = rows.weight[source]
    others.err_pos[target], others.err_rot[target] = rows.err_pos[source], rows.err_rot[source]


@part
def _merge(rows: Candidates, first: int, end: int, bounds: Bounds) -> int:
    """Keep the most exact row of each branch, with the weight of all, at the front; how many there are.

    Rows join the branch of a more exact one that they are near to, and so on in chains.
    """
    total = end - first
    if total < 2:
        return total
    error, order, leader = np.empty(total), np.empty(total, np.int64), np.empty(total, np.int64)
    for r in range(total):
        error[r] = max(rows.err_pos[first + r], rows.err_rot[first + r])
        _insert(order, error, r, 0)
    for i in range(total):
        r = order[i]
        leader[r] = r
        for j in range(i):
            if _is_same(rows.q[first + r], rows.q[first + order[j]], bounds.turns, bounds.merge):
                leader[r] = leader[order[j]]
                rows.weight[first + leader[r]] += rows.weight[first + r]
                break
    left = 0
    for r in range(total):
        if leader[r] == r:
            _copy_row(rows, first + r, rows, first + left)
            left += 1
    return left


@part
def _insert(order: IntArray, key: FloatArray, r: int, first: int) -> None:
    """Put row r among the rows that are in order from `first` on, behind those whose key is not greater."""
    place = r
    while place > first and key[order[place - 1]] > key[r]:
        order[place] = order[place - 1]
        place -= 1
    order[place] = r


@part
def _turn_inside(q: FloatArray, r: int, bounds: Bounds, here: int) -> bool:
    """Bring row r inside the limits by full turns, as near to row `here` of `near` as they allow; whether it is."""
    inside, slack = True, bounds.slack
    for i in range(q.shape[1]):
        low, high, value = bounds.low[i], bounds.high[i], q[r, i]
        if bounds.turns[i]:
            fewest, most = np.ceil((low - slack - value) / _TURN), np.floor((high + slack - value) / _TURN)
            wanted = np.rint((bounds.near[here, i] - value) / _TURN)
            if fewest <= most:
                wanted = min(max(wanted, fewest), most)
            if wanted != 0.0:
                value += _TURN * wanted
                q[r, i] = value
        if not (low - slack <= value <= high + slack):
            inside = False
    if inside:
        for i in range(q.shape[1]):
            q[r, i] = min(max(q[r, i], bounds.low[i]), bounds.high[i])
    return inside


@part
def _is_same(a: FloatArray, b: FloatArray, turns: BoolArray, tolerance: float) -> bool:
    """Whether two joint vectors are within a distance of each other, full turns aside."""
    total = 0.0
    for i in range(len(a)):
        d = a[i] - b[i]
        if turns[i]:
            d -= _TURN * np.rint(d / _TURN)
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
    turns: BoolArray,
    tolerance: float,
    new: BoolArray,
) -> None:
    """Write which of some more rows are another branch than every row of their pose.

    Args:
        start, start_more: Where each pose's rows begin among q and among more, (B + 1,).
        q, more: Joint vectors, (R, n) and (S, n), each pose's distinct.
        turns: Which joints turn, (n,).
        tolerance: Distance on the circle up to which two rows are one branch [rad, m].
        new: Written: (S,).
    """
    for p in range(len(start) - 1):
        for r in range(start_more[p], start_more[p + 1]):
            new[r] = True
            for other in range(start[p], start[p + 1]):
                if _is_same(more[r], q[other], turns, tolerance):
                    new[r] = False
                    break


@kept
def compact(start: IntArray, count: IntArray, rows: Candidates, offsets: IntArray, moved: Candidates) -> None:
    """Copy the first `count[p]` rows of each pose, one pose after the other.

    Args:
        start: Where each pose's rows begin, (B,) or longer.
        count: How many of them to copy, (B,).
        rows: The rows.
        offsets: Where each pose's rows go, (B + 1,).
        moved: Written: as many rows as there are to copy.
    """
    for p in range(len(count)):
        for k in range(count[p]):
            _copy_row(rows, start[p] + k, moved, offsets[p] + k)
