"""Curves of nodes cut by joint limits into arcs, and points spread over the arcs, for compiled code.

A node is a row of 2 n + 1 numbers: a point of the curve, the unit tangent there, the arc length from the path's first
node. Between two nodes the curve is the cubic with their tangents.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ik_mdn.solver.kernels.vector import Floats

Integers = NDArray[np.int64]

NEAR = 1e-3  # distance below which a point is on a curve [rad, arm lengths]
PATH, CLOSED = 0, 1  # columns of an arc's integers: its path; closed or not
BEGIN, END, SHARE = 0, 1, 2  # columns of an arc's numbers: from and to [arc length of its path], samples; then turns

piece = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")

SLIDES, TURNS, FREE = 0, 1, 2  # kinds of joints: by a length; within limits; without

_TURN = 2 * np.pi
_SLACK = 1e-9  # what counts as inside a limit [rad, arm lengths]
_SLICE = 0.025  # arc length at which to look where a limit may be crossed: shorter arcs may go unnoticed
_HALVINGS = 12
_ALL = -1  # joints
_SHORTEST = 1e-6  # an arc shorter than this is rounding [rad, arm lengths]


@piece
def joint_between(nodes: Floats, k: int, i: int, s: float) -> float:
    """A joint on the cubic from a node to the next.

    Args:
        nodes: See the module.
        k: The node.
        i: The joint.
        s: Arc length on the path, between theirs.
    """
    n = nodes.shape[1] // 2
    h = nodes[k + 1, 2 * n] - nodes[k, 2 * n]
    u = (s - nodes[k, 2 * n]) / h
    v = 1.0 - u
    a = (1.0 + 2.0 * u) * nodes[k, i] + u * h * nodes[k, n + i]
    b = (1.0 + 2.0 * v) * nodes[k + 1, i] - v * h * nodes[k + 1, n + i]
    return v * v * a + u * u * b


@piece
def is_covered(point: Floats, nodes: Floats, paths: Integers, begin: int, end: int, turns: Integers) -> bool:
    """Whether a point lies on one of the paths, on the circle.

    Args:
        point: Joint vector [rad, arm lengths] in its first row; the second is for use inside, (2, n).
        nodes: See the module.
        paths: First node, one past the last, closed or not, by path, (P, 3).
        begin, end: The paths that count, up to `end`.
        turns: 1 where a joint turns, (n,).
    """
    n = len(turns)
    for p in range(begin, end):
        for k in range(paths[p, 0], paths[p, 1] - 1):
            limit = nodes[k + 1, 2 * n] - nodes[k, 2 * n]
            limit *= limit
            distance, i = 0.0, 0
            while i < n and distance <= limit:
                d = point[0, i] - nodes[k, i]
                if turns[i]:
                    d -= _TURN * np.floor(d / _TURN + 0.5)
                point[1, i] = nodes[k, i] + d
                distance += d * d
                i += 1
            if distance <= limit and distance_to(point, 1, nodes, k) < NEAR:
                return True
    return False


@piece
def distance_to(point: Floats, row: int, nodes: Floats, k: int) -> float:
    """Distance from the cubic from a node to the next, by Newton steps for the foot, kept between the nodes.

    Args:
        point: Joint vectors [rad, arm lengths] in rows.
        row: Which one counts.
        nodes: See the module.
        k: The node.
    """
    n = nodes.shape[1] // 2
    start = nodes[k, 2 * n]
    h = nodes[k + 1, 2 * n] - start
    s = 0.0
    for i in range(n):
        s += (point[row, i] - nodes[k, i]) * nodes[k, n + i]
    square = 0.0
    for _ in range(4):
        s = min(max(s, 0.0), h)
        square = along = speed = 0.0
        u = s / h
        for i in range(n):
            d = point[row, i] - joint_between(nodes, k, i, start + s)
            slope = 6.0 * u * (1.0 - u) * (nodes[k + 1, i] - nodes[k, i]) / h
            slope += (1.0 - u) * (1.0 - 3.0 * u) * nodes[k, n + i] + u * (3.0 * u - 2.0) * nodes[k + 1, n + i]
            square += d * d
            along += d * slope
            speed += slope * slope
        s += along / speed
    return np.sqrt(square)


@piece
def cut(
    nodes: Floats,
    paths: Integers,
    first_path: int,
    last_path: int,
    kind: Integers,
    limits: Floats,
    turn: Floats,
    arcs: Integers,
    spans: Floats,
) -> int:
    """Cut the paths where joints leave their limits; how many arcs there are.

    A joint keeps its full turns along an arc, which begins with those nearest the middle of the limits. Where the
    limit of a joint with room for more than a turn ends an arc, the next one goes on with other turns.

    Args:
        nodes, paths: See `is_covered`.
        first_path, last_path: The paths that count, up to `last_path`.
        kind: SLIDES, TURNS or FREE of each joint, (n,).
        limits: Middle and half width of the limits [rad, arm lengths], (2, n).
        turn: For use inside, (n,).
        arcs: Written: PATH and CLOSED, (A, 2).
        spans: Written: BEGIN, END, a place for SHARE, then what is added to each joint, (A, 3 + n).

    Returns:
        Number of arcs, longer than rounding and no more than there is room for.
    """
    n, total = len(kind), 0
    for i in range(n):
        turn[i] = 0.0
    for p in range(first_path, last_path):
        first, last, begun = paths[p, 0], paths[p, 1] - 1, total
        s = nodes[first, 2 * n]
        inside = _is_inside(nodes, first, s, kind, limits, turn, False, _ALL)
        if inside:
            total = _begin(arcs, spans, total, p, s, turn)
        for k in range(first, last):
            doubtful = _doubtful(nodes, k, kind, limits, turn, inside)
            if not doubtful:
                continue
            s = nodes[k, 2 * n]
            slices = int((nodes[k + 1, 2 * n] - s) / _SLICE) + 1
            step = (nodes[k + 1, 2 * n] - s) / slices
            for j in range(slices):
                high = nodes[k + 1, 2 * n] if j == slices - 1 else s + step
                while _is_inside(nodes, k, high, kind, limits, turn, inside, doubtful) != inside:
                    before, after = _crossing(nodes, k, s, high, kind, limits, turn, inside, doubtful)
                    if inside:
                        total = _end(spans, total, before)
                    s = after
                    inside = _is_inside(nodes, k, after, kind, limits, turn, False, _ALL)
                    if inside:
                        total = _begin(arcs, spans, total, p, after, turn)
                        doubtful = _ALL
                s = high
        if inside:
            total = _end(spans, total, nodes[last, 2 * n])
        if paths[p, 2]:
            total = _join_ends(arcs, spans, begun, total, nodes, first, last, kind)
    return total


@piece
def allot(spans: Floats, arcs: int, samples: int) -> None:
    """Write how many samples each arc gets so that the widest spacing is least.

    Every arc gets one, the longest first where there are not enough; each further one goes where the spacing is widest.

    Args:
        spans: See `cut`.
        arcs: How many there are.
        samples: How many to share out.
    """
    total = 0.0
    for i in range(arcs):
        total += spans[i, END] - spans[i, BEGIN]
    left = samples
    for i in range(arcs):
        ideal = np.floor((spans[i, END] - spans[i, BEGIN]) / total * max(samples - arcs, 0))
        spans[i, SHARE] = max(ideal, 1.0)
        left -= int(spans[i, SHARE])
    while left > 0:
        widest, best = 0, 0.0
        for i in range(arcs):
            spacing = (spans[i, END] - spans[i, BEGIN]) / spans[i, SHARE]
            if spacing > best:
                widest, best = i, spacing
        spans[widest, SHARE] += 1.0
        left -= 1
    while left < 0:
        shortest = 0
        for i in range(arcs):
            if spans[i, SHARE] > 0.0 and (
                spans[shortest, SHARE] == 0.0
                or spans[i, END] - spans[i, BEGIN] < spans[shortest, END] - spans[shortest, BEGIN]
            ):
                shortest = i
        spans[shortest, SHARE] -= 1.0
        left += 1


@piece
def spread_over(
    nodes: Floats, first: int, last: int, spans: Floats, arc: int, kind: Integers, q: Floats, place: Floats, begin: int
) -> None:
    """Write points evenly spread over an arc: each stands for an equal piece, in whose middle it is.

    Args:
        nodes: See the module.
        first, last: The first and last node of the arc's path.
        spans: See `cut`.
        arc: Its row.
        kind: See `cut`.
        q: Written: joint vectors [rad, arm lengths], (S, n).
        place: Written: arc length from the arc's beginning, (S,).
        begin: The first row to write.
    """
    n, samples = len(kind), int(spans[arc, SHARE])
    length, before, k = spans[arc, END] - spans[arc, BEGIN], True, first
    for j in range(begin, begin + samples):
        place[j] = (j - begin + 0.5) * length / samples
        s = spans[arc, BEGIN] + place[j]
        if s < 0.0:  # the end of a closed path is this arc's beginning
            s += nodes[last, 2 * n]
        elif before:
            before, k = False, first
        while k < last - 1 and nodes[k + 1, 2 * n] < s:
            k += 1
        for i in range(n):
            value = joint_between(nodes, k, i, s) + spans[arc, 3 + i]
            if before:
                value += nodes[first, i] - nodes[last, i]
            if kind[i] == FREE:
                value -= _TURN * np.floor(value / _TURN + 0.5)
            q[j, i] = value


@piece
def way_out(nodes: Floats, first: int, last: int, kind: Integers, limits: Floats, turn: Floats, wanted: float) -> float:
    """Arc length up to where a path leaves the limits, or the wanted one where that is less.

    Args:
        nodes: See the module.
        first, last: The path's first and last node; the first is inside, with the turns that it has.
        kind, limits, turn: See `cut`.
        wanted: Arc length from the first node.
    """
    n = len(kind)
    for i in range(n):
        turn[i] = 0.0
    for k in range(first, last):
        doubtful = _doubtful(nodes, k, kind, limits, turn, True)
        if not doubtful:
            continue
        s = nodes[k, 2 * n]
        slices = int((nodes[k + 1, 2 * n] - s) / _SLICE) + 1
        step = (nodes[k + 1, 2 * n] - s) / slices
        for j in range(slices):
            high = nodes[k + 1, 2 * n] if j == slices - 1 else s + step
            if not _is_inside(nodes, k, high, kind, limits, turn, True, doubtful):
                return min(_crossing(nodes, k, s, high, kind, limits, turn, True, doubtful)[0], wanted)
            s = high
    return min(nodes[last, 2 * n], wanted)


@piece
def _is_inside(
    nodes: Floats, k: int, s: float, kind: Integers, limits: Floats, turn: Floats, keep: bool, doubtful: int
) -> bool:
    """Whether the doubtful joints of a point between two nodes are within limits, with the turns that are given.

    Unless these are to be kept; then `turn` is written: the full turns that bring each nearest the middle.
    """
    inside = True
    for i in range(len(kind)):
        if kind[i] == FREE or not doubtful >> i & 1:
            continue
        away = joint_between(nodes, k, i, s) - limits[0, i]
        if kind[i] == TURNS:
            if not keep:
                turn[i] = -_TURN * np.floor(away / _TURN + 0.5)
            away += turn[i]
        inside &= abs(away) <= limits[1, i] + _SLACK
    return inside


@piece
def _doubtful(nodes: Floats, k: int, kind: Integers, limits: Floats, turn: Floats, inside: bool) -> int:
    """Bits of the joints that may be outside their limits between two nodes; 0 where no limit is crossed for sure.

    A cubic lies in the hull of its Bernstein coefficients.
    """
    n = len(kind)
    h = (nodes[k + 1, 2 * n] - nodes[k, 2 * n]) / 3.0
    doubtful = 0
    for i in range(n):
        if kind[i] == FREE:
            continue
        half, gap = limits[1, i], np.inf
        c0, shift = nodes[k, i] - limits[0, i], 0.0
        if kind[i] == TURNS:
            gap = _TURN - half
            shift = turn[i] if inside else -_TURN * np.floor(c0 / _TURN + 0.5)
        c0 += shift
        c1, c3 = c0 + h * nodes[k, n + i], nodes[k + 1, i] - limits[0, i] + shift
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
    nodes: Floats,
    k: int,
    low: float,
    high: float,
    kind: Integers,
    limits: Floats,
    turn: Floats,
    inside: bool,
    doubtful: int,
) -> tuple[float, float]:
    """Arc lengths just before and just after the place where a segment crosses the limits."""
    for _ in range(_HALVINGS):
        s = 0.5 * (low + high)
        if _is_inside(nodes, k, s, kind, limits, turn, inside, doubtful) == inside:
            low = s
        else:
            high = s
    return low, high


@piece
def _begin(arcs: Integers, spans: Floats, total: int, path: int, s: float, turn: Floats) -> int:
    if total == len(arcs):
        total -= 1
    arcs[total, PATH], arcs[total, CLOSED] = path, 0
    spans[total, BEGIN] = s
    for i in range(len(turn)):
        spans[total, 3 + i] = turn[i]
    return total + 1


@piece
def _end(spans: Floats, total: int, s: float) -> int:
    spans[total - 1, END] = s
    return total if s - spans[total - 1, BEGIN] > _SHORTEST else total - 1


@piece
def _join_ends(
    arcs: Integers, spans: Floats, begun: int, total: int, nodes: Floats, first: int, last: int, kind: Integers
) -> int:
    """Make one arc of the first and the last of a closed path where they meet at its start; how many there are."""
    n = len(kind)
    end = nodes[last, 2 * n]
    if total == begun or spans[begun, BEGIN] > 0.0 or spans[total - 1, END] < end:
        return total
    if total == begun + 1:
        arcs[begun, CLOSED] = 1
        return total
    for i in range(n):
        turned = nodes[last, i] + spans[total - 1, 3 + i] - nodes[first, i] - spans[begun, 3 + i]
        if kind[i] == TURNS and abs(turned) > 1.0:
            return total
    spans[begun, BEGIN] = spans[total - 1, BEGIN] - end
    return total - 1
