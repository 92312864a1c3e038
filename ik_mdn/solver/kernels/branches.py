"""From refined seeds to distinct solutions in limits, for compiled code; and their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.vector import Floats, kept, part, take_number

BLOCK = 64  # poses that a thread takes at a time
_TURN = 2 * np.pi


@kept
def settle(
    start: NDArray[np.int64],
    q: Floats,
    weight: Floats,
    err_pos: Floats,
    err_rot: Floats,
    limits: Floats,
    turns: NDArray[np.bool_],
    near: Floats,
    numbers: Floats,
    count: NDArray[np.int64],
    met: NDArray[np.bool_],
    queue: NDArray[np.int64],
) -> None:
    """Gather each pose's distinct solutions in limits at the front of its rows, until the queue of blocks is empty.

    A row that misses the target by more than the tolerance is dropped; the others are turned into limits (see
    `ik_mdn.solver.branches.turn_into_limits`) and merged where they are the same branch (see `first_of_branch` there): the
    most exact one stays, with the weight of all.

    Args:
        start: Pose p owns the rows `start[p]:start[p + 1]`, (B + 1,).
        q, weight, err_pos, err_rot: The rows, (R, n) and (R,); overwritten.
        limits: Lowest and highest joint values, (2, n) [rad, m].
        turns: Which joints turn, (n,).
        near: Where to be near when several turns are inside, (1, n) or (B, n).
        numbers: Tolerance [m, rad], distance on the circle below which two rows are one branch [rad, m], and how far
            outside a limit a row may be that is then put on it.
        count: Written: distinct solutions in limits of each pose, (B,).
        met: Written: whether a row met the target, in limits or not, (B,).
        queue: Zero at the start, shared by all threads.
    """
    tolerance, merge, slack = numbers
    poses = len(start) - 1
    while True:
        first = take_number(queue) * BLOCK
        if first >= poses:
            break
        for p in range(first, min(first + BLOCK, poses)):
            able, hit = start[p], False
            here = p if len(near) > 1 else 0
            for r in range(start[p], start[p + 1]):
                if max(err_pos[r], err_rot[r]) <= tolerance:
                    hit = True
                    if _turn_inside(q, r, limits, turns, near, here, slack):
                        _move_row(q, weight, err_pos, err_rot, r, able)
                        able += 1
            count[p] = _merge(q, weight, err_pos, err_rot, start[p], able, turns, merge)
            met[p] = hit


@part
def _move_row(q: Floats, weight: Floats, err_pos: Floats, err_rot: Floats, source: int, target: int) -> None:
    if target < source:
        for i in range(q.shape[1]):
            q[target, i] = q[source, i]
        weight[target], err_pos[target], err_rot[target] = weight[source], err_pos[source], err_rot[source]


@part
def _merge(
    q: Floats,
    weight: Floats,
    err_pos: Floats,
    err_rot: Floats,
    first: int,
    end: int,
    turns: NDArray[np.bool_],
    tolerance: float,
) -> int:
    """Keep the most exact row of each branch, with the weight of all, at the front; how many there are.

    Rows join the branch of a more exact one that they are near to, and so on in chains.
    """
    total = end - first
    if total < 2:
        return total
    order, leader = np.empty(total, np.int64), np.empty(total, np.int64)
    for r in range(total):
        error, place = max(err_pos[first + r], err_rot[first + r]), r
        while place > 0:
            before = first + order[place - 1]
            if max(err_pos[before], err_rot[before]) <= error:
                break
            order[place] = order[place - 1]
            place -= 1
        order[place] = r
    for i in range(total):
        r = order[i]
        leader[r] = r
        for j in range(i):
            if _is_same(q, first + r, q, first + order[j], turns, tolerance):
                leader[r] = leader[order[j]]
                weight[first + leader[r]] += weight[first + r]
                break
    left = 0
    for r in range(total):
        if leader[r] == r:
            _move_row(q, weight, err_pos, err_rot, first + r, first + left)
            left += 1
    return left


@part
def _turn_inside(
    q: Floats, r: int, limits: Floats, turns: NDArray[np.bool_], near: Floats, here: int, slack: float
) -> bool:
    """Bring row r inside the limits by full turns, as near to row `here` of `near` as they allow; whether it is."""
    inside, n = True, q.shape[1]
    for i in range(n):
        low, high, value = limits[0, i], limits[1, i], q[r, i]
        if turns[i]:
            fewest, most = np.ceil((low - slack - value) / _TURN), np.floor((high + slack - value) / _TURN)
            wanted = np.rint((near[here, i] - value) / _TURN)
            if fewest <= most:
                wanted = min(max(wanted, fewest), most)
            if wanted != 0.0:
                value += _TURN * wanted
                q[r, i] = value
        if not (low - slack <= value <= high + slack):
            inside = False
    if inside:
        for i in range(n):
            q[r, i] = min(max(q[r, i], limits[0, i]), limits[1, i])
    return inside


@part
def _is_same(a: Floats, r: int, b: Floats, s: int, turns: NDArray[np.bool_], tolerance: float) -> bool:
    """Whether row r of a and row s of b are within a distance of each other, full turns aside."""
    total = 0.0
    for i in range(a.shape[1]):
        d = a[r, i] - b[s, i]
        if turns[i]:
            d -= _TURN * np.rint(d / _TURN)
        total += d * d
        if total > tolerance * tolerance:
            return False
    return True


@kept
def mark_new(
    start: NDArray[np.int64],
    start_more: NDArray[np.int64],
    q: Floats,
    more: Floats,
    turns: NDArray[np.bool_],
    tolerance: float,
    new: NDArray[np.bool_],
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
                if _is_same(more, r, q, other, turns, tolerance):
                    new[r] = False
                    break


@kept
def compact(
    start: NDArray[np.int64], count: NDArray[np.int64], source: Floats, target: Floats, offsets: NDArray[np.int64]
) -> None:
    """Copy the first `count[p]` rows of each pose, one pose after the other.

    Args:
        start: Where each pose's rows begin in the source, (B,) or longer.
        count: How many of them to copy, (B,).
        source: (R, c).
        target: Written: (sum of count, c).
        offsets: Where each pose's rows go, (B + 1,).
    """
    for p in range(len(count)):
        for k in range(count[p]):
            for i in range(source.shape[1]):
                target[offsets[p] + k, i] = source[start[p] + k, i]


@kept
def sort_rows(offsets: NDArray[np.int64], key: Floats, order: NDArray[np.int64]) -> None:
    """Write the rows of each pose in ascending order of a key; equal ones stay in order (insertion sort).

    Args:
        offsets: Pose p owns the rows `offsets[p]:offsets[p + 1]`, (B + 1,).
        key: (R,).
        order: Written: row numbers, (R,).
    """
    for p in range(len(offsets) - 1):
        first = offsets[p]
        for r in range(first, offsets[p + 1]):
            place = r
            while place > first and key[order[place - 1]] > key[r]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = r
