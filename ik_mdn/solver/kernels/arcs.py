"""Paths cut by joint limits into arcs, and points spread over the arcs, for compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import piece
from ik_mdn.solver.kernels.paths import FREE, TURNS, Joints, Paths, joint_between
from sim.arrays import FloatArray

ARC = np.dtype(  # an arc: its path, 1 where it is closed, from and to [arc length of its path], samples on it
    [("path", np.int64), ("closed", np.int64), ("begin", np.float64), ("end", np.float64), ("samples", np.int64)]
)

_TURN = 2 * np.pi
_SLACK = 1e-9  # what counts as inside a limit [rad, arm lengths]
_SLICE = 0.025  # arc length at which to look where a limit may be crossed: shorter arcs may go unnoticed
_HALVINGS = 12
_ALL = -1  # joints
_SHORTEST = 1e-6  # an arc shorter than this is rounding [rad, arm lengths]


class Arcs(NamedTuple):
    """Pieces of paths inside the limits.

    Args:
        rows: Of type `ARC`, (A,).
        turns: What is added to each joint along the arc, (A, n) [rad].
    """

    rows: Any
    turns: FloatArray


@piece
def cut(paths: Paths, count: int, joints: Joints, turn: FloatArray, arcs: Arcs) -> int:
    """Cut paths where joints leave their limits; how many arcs there are.

    A joint keeps its full turns along an arc, which begins with those nearest the middle of the limits. Where the
    limit of a joint with room for more than a turn ends an arc, the next one goes on with other turns.

    Args:
        paths: The paths;
        count: so many of them.
        joints: The joints.
        turn: For use inside, (n,).
        arcs: Written, all but the samples.

    Returns:
        Number of arcs, longer than rounding and no more than there is room for.
    """
    nodes, n, total = paths.nodes, len(turn), 0
    for i in range(n):
        turn[i] = 0.0
    for p in range(count):
        first, last, begun = paths.ends[p, 0], paths.ends[p, 1] - 1, total
        s = nodes[first, 2 * n]
        inside = _is_inside(nodes, first, s, joints, turn, False, _ALL)
        if inside:
            total = _begin(arcs, total, p, s, turn)
        for k in range(first, last):
            total, inside = _cut_segment(nodes, k, p, joints, turn, inside, arcs, total)
        if inside:
            total = _end(arcs, total, nodes[last, 2 * n])
        if paths.ends[p, 2]:
            total = _join_ends(arcs, begun, total, nodes, first, last, joints)
    return total


@piece
def _cut_segment(
    nodes: FloatArray, k: int, path: int, joints: Joints, turn: FloatArray, inside: bool, arcs: Arcs, total: int
) -> tuple[int, bool]:
    """Begin and end arcs between two nodes; how many arcs there are then, and whether the second node is inside."""
    doubtful, n = _doubtful(nodes, k, joints, turn, inside), len(turn)
    if not doubtful:
        return total, inside
    s = nodes[k, 2 * n]
    slices = int((nodes[k + 1, 2 * n] - s) / _SLICE) + 1
    step = (nodes[k + 1, 2 * n] - s) / slices
    for j in range(slices):
        high = nodes[k + 1, 2 * n] if j == slices - 1 else s + step
        while _is_inside(nodes, k, high, joints, turn, inside, doubtful) != inside:
            before, after = _crossing(nodes, k, s, high, joints, turn, inside, doubtful)
            if inside:
                total = _end(arcs, total, before)
            s = after
            inside = _is_inside(nodes, k, after, joints, turn, False, _ALL)
            if inside:
                total = _begin(arcs, total, path, after, turn)
                doubtful = _ALL
        s = high
    return total, inside


@piece
def allot(rows: Any, samples: int) -> None:
    """Write how many samples each arc gets so that the widest spacing is least.

    Every arc gets one, the longest first where there are not enough; each further one goes where the spacing is widest.

    Args:
        rows: The arcs, of type `ARC`.
        samples: How many to share out.
    """
    total = 0.0
    for arc in rows:
        total += arc.end - arc.begin
    left = samples
    for arc in rows:
        arc.samples = max(int(np.floor((arc.end - arc.begin) / total * max(samples - len(rows), 0))), 1)
        left -= arc.samples
    while left > 0:
        widest, best = 0, 0.0
        for i in range(len(rows)):
            spacing = (rows[i].end - rows[i].begin) / rows[i].samples
            if spacing > best:
                widest, best = i, spacing
        rows[widest].samples += 1
        left -= 1
    while left < 0:
        shortest, least = 0, np.inf
        for i in range(len(rows)):
            if rows[i].samples and rows[i].end - rows[i].begin < least:
                shortest, least = i, rows[i].end - rows[i].begin
        rows[shortest].samples -= 1
        left += 1


@piece
def spread_over(paths: Paths, arc: Any, turn: FloatArray, joints: Joints, q: FloatArray, place: FloatArray) -> None:
    """Write points evenly spread over an arc: each stands for an equal piece, in whose middle it is.

    Args:
        paths: The paths.
        arc: The arc, of type `ARC`.
        turn: What is added to each joint, (n,).
        joints: The joints.
        q: Written: as many joint vectors [rad, arm lengths] as the arc has samples, (S, n).
        place: Written: arc length from the arc's beginning, (S,).
    """
    nodes, n = paths.nodes, len(turn)
    first, last = paths.ends[arc.path, 0], paths.ends[arc.path, 1] - 1
    length, before, k = arc.end - arc.begin, True, first
    for j in range(len(q)):
        place[j] = (j + 0.5) * length / len(q)
        s = arc.begin + place[j]
        if s < 0.0:  # the end of a closed path is this arc's beginning
            s += nodes[last, 2 * n]
        elif before:
            before, k = False, first
        while k < last - 1 and nodes[k + 1, 2 * n] < s:
            k += 1
        for i in range(n):
            value = joint_between(nodes, k, i, s) + turn[i]
            if before:
                value += nodes[first, i] - nodes[last, i]
            if joints.kind[i] == FREE:
                value -= _TURN * np.floor(value / _TURN + 0.5)
            q[j, i] = value


@piece
def way_out(nodes: FloatArray, first: int, last: int, joints: Joints, turn: FloatArray, wanted: float) -> float:
    """Arc length up to where a path leaves the limits, or the wanted one where that is less.

    Args:
        nodes: See `ik_mdn.solver.kernels.paths`.
        first, last: The path's first and last node; the first is inside, with the turns that it has.
        joints, turn: See `cut`.
        wanted: Arc length from the first node.
    """
    n = len(turn)
    for i in range(n):
        turn[i] = 0.0
    for k in range(first, last):
        doubtful = _doubtful(nodes, k, joints, turn, True)
        if not doubtful:
            continue
        s = nodes[k, 2 * n]
        slices = int((nodes[k + 1, 2 * n] - s) / _SLICE) + 1
        step = (nodes[k + 1, 2 * n] - s) / slices
        for j in range(slices):
            high = nodes[k + 1, 2 * n] if j == slices - 1 else s + step
            if not _is_inside(nodes, k, high, joints, turn, True, doubtful):
                return min(_crossing(nodes, k, s, high, joints, turn, True, doubtful)[0], wanted)
            s = high
    return min(nodes[last, 2 * n], wanted)


@piece
def _is_inside(
    nodes: FloatArray, k: int, s: float, joints: Joints, turn: FloatArray, keep: bool, doubtful: int
) -> bool:
    """Whether the doubtful joints of a point between two nodes are within limits, with the turns that are given.

    Unless these are to be kept; then `turn` is written: the full turns that bring each nearest the middle.
    """
    inside = True
    for i in range(len(turn)):
        if joints.kind[i] == FREE or not doubtful >> i & 1:
            continue
        away = joint_between(nodes, k, i, s) - joints.middle[i]
        if joints.kind[i] == TURNS:
            if not keep:
                turn[i] = -_TURN * np.floor(away / _TURN + 0.5)
            away += turn[i]
        inside &= abs(away) <= joints.half[i] + _SLACK
    return inside


@piece
def _doubtful(nodes: FloatArray, k: int, joints: Joints, turn: FloatArray, inside: bool) -> int:
    """Bits of the joints that may be outside their limits between two nodes; 0 where no limit is crossed for sure.

    A cubic lies in the hull of its Bernstein coefficients.
    """
    n = len(turn)
    h = (nodes[k + 1, 2 * n] - nodes[k, 2 * n]) / 3.0
    doubtful = 0
    for i in range(n):
        if joints.kind[i] == FREE:
            continue
        half, gap = joints.half[i], np.inf
        c0, shift = nodes[k, i] - joints.middle[i], 0.0
        if joints.kind[i] == TURNS:
            gap = _TURN - half
            shift = turn[i] if inside else -_TURN * np.floor(c0 / _TURN + 0.5)
        c0 += shift
        c1, c3 = c0 + h * nodes[k, n + i], nodes[k + 1, i] - joints.middle[i] + shift
        c2 = c3 - h * nodes[k + 1, n + i]
        least, most = min(min(c0, c1), min(c2, c3)), max(max(c0, c1), max(c2, c3))
        if most > half or least < -half:
            doubtful |= 1 << i
        if not inside and (
            (least > half + _SLACK and most < gap - _SLACK) or (most < -half - _SLACK and least > _SLACK - gap)
        ):
            return 0
    return doubtful if inside else doubtful | 1 << n


@piece
def _crossing(
    nodes: FloatArray, k: int, low: float, high: float, joints: Joints, turn: FloatArray, inside: bool, doubtful: int
) -> tuple[float, float]:
    """Arc lengths just before and just after the place where a segment crosses the limits."""
    for _ in range(_HALVINGS):
        s = 0.5 * (low + high)
        if _is_inside(nodes, k, s, joints, turn, inside, doubtful) == inside:
            low = s
        else:
            high = s
    return low, high


@piece
def _begin(arcs: Arcs, total: int, path: int, s: float, turn: FloatArray) -> int:
    if total == len(arcs.rows):
        total -= 1
    arc = arcs.rows[total]
    arc.path, arc.closed, arc.begin = path, 0, s
    for i in range(len(turn)):
        arcs.turns[total, i] = turn[i]
    return total + 1


@piece
def _end(arcs: Arcs, total: int, s: float) -> int:
    arc = arcs.rows[total - 1]
    arc.end = s
    return total if s - arc.begin > _SHORTEST else total - 1


@piece
def _join_ends(arcs: Arcs, begun: int, total: int, nodes: FloatArray, first: int, last: int, joints: Joints) -> int:
    """Make one arc of the first and the last of a closed path where they meet at its start; how many there are."""
    n = len(joints.kind)
    length = nodes[last, 2 * n]
    if total == begun or arcs.rows[begun].begin > 0.0 or arcs.rows[total - 1].end < length:
        return total
    if total == begun + 1:
        arcs.rows[begun].closed = 1
        return total
    for i in range(n):
        turned = nodes[last, i] + arcs.turns[total - 1, i] - nodes[first, i] - arcs.turns[begun, i]
        if joints.kind[i] == TURNS and abs(turned) > 1.0:
            return total
    arcs.rows[begun].begin = arcs.rows[total - 1].begin - length
    return total - 1
