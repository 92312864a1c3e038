"""Walks along self-motion curves for compiled code: LANES poses side by side, each one curve after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ik_mdn.solver.kernels.arcs import Integers, distance_to, is_covered, piece
from ik_mdn.solver.kernels.kinematics import TARGET_SIZE, linearise
from ik_mdn.solver.kernels.linear import factor, substitute
from ik_mdn.solver.kernels.vector import (
    LANES,
    Floats,
    lane_numbers,
    load,
    part,
    put,
    root,
    size,
    spread,
    store,
    where_less,
)

FIRST_STEP = 0.05  # arc length of the first step [rad, arm lengths]: its predictor is a straight line
SHORTEST_STEP = 1e-5  # a walk that would need a shorter step ends: there is a corner, or rounding
SETTLED = 2e-4  # a correction shorter than this is the last one: what is left is its square
NODES = 4096  # of all curves of a pose
PATHS = 64  # curves of a pose

A_OLD, A_OLD_TANGENT, A_TANGENT, SHIFT, PREDICT, SIGN = range(6)  # what scalar code tells vector code about a lane
MOVED, COSINE, ERROR = range(3)  # what it is told: |dq|², cosine of the turn from the last node, |e|²
IDLE, START, WALK, BACK = range(4)  # phases of a lane

_RIDGE = 1e-18  # added to the diagonal of J J^T, so that an exactly singular Jacobian can be factored
_START_TRIES = 12
_CORRECTIONS = 4
_TOO_FAR = 3.0  # a first correction this many times the one wanted is a step too long
_NEAR_START = 5e-3  # distance at which a path that comes by its start closes [rad, arm lengths]
_FEWEST = 3  # segments of a path before it may close


def walk_size(n: int, m: int) -> int:
    """How many vectors a walk needs for n joints and m constraints: what `places` hands out."""
    return 6 + 6 * n + 7 * n + TARGET_SIZE + 9 + m * m + 2 * m


@part
def places(n: int) -> Any:
    """Where each part of the workspace begins.

    Args:
        n: Joints.

    Returns:
        The linearisation, then n vectors each: the point, its correction and tangent, the last node and its tangent,
        the one before and its tangent; target, control (6), measures (3), equations.
    """
    q = 6 + 6 * n
    target = q + 7 * n
    return (
        0,
        q,
        q + n,
        q + 2 * n,
        q + 3 * n,
        q + 4 * n,
        q + 5 * n,
        q + 6 * n,
        target,
        target + 12,
        target + 18,
        target + 21,
    )


@part
def correct(
    ws: Floats, base: Floats, chain: Floats, slides: Integers, n_linear: int, kind: int, n: int, m: int
) -> None:
    """Take one Newton step towards the curve and measure it; find the tangent there.

    With H = J J^T: `dq = J^T H^-1 e`, and the tangent is the last node's without its part along the rows of J,
    `t - J^T H^-1 J t`, made a unit vector. Its length before that is the cosine of the angle between the two.

    Args:
        ws: Workspace.
        base, chain: The arm, from `fold_chain`.
        slides: 1 where a joint slides, 0 where it turns, (n,).
        n_linear: Linear rows that count.
        kind: Angular rows that count.
        n, m: Joints and constraints; written out where they are called, they unroll the loops.
    """
    now, q, dq, t, _, t_now, _, _, target, _, measures, work = places(n)
    J, H, y, z = now + 6, work, work + m * m, work + m * m + m
    store(ws, measures + ERROR, linearise(ws, base, chain, slides, n_linear, kind, q, target, now))
    factor(ws, n, m, J, H, y, _RIDGE)
    for i in range(m):
        store(ws, y + i, load(ws, now + i))
        s = load(ws, J + i * n) * load(ws, t_now)
        for k in range(1, n):
            s = s + load(ws, J + i * n + k) * load(ws, t_now + k)
        store(ws, z + i, s)
    substitute(ws, m, H, y)
    substitute(ws, m, H, z)
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
def proceed(ws: Floats, n: int) -> None:
    """Do what control says: make the point the last node, and predict the next by a cubic through the last two.

    Args:
        ws: Workspace.
        n: Joints.
    """
    _, q, _, t, q_now, t_now, q_old, t_old, _, control, _, _ = places(n)
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
def decide_walk(
    ws: Floats,
    lane: int,
    state: Integers,
    numbers: Floats,
    nodes: Floats,
    paths: Integers,
    turns: Integers,
    low: Floats,
    high: Floats,
    matrix: Floats,
) -> bool:
    """Tell a lane what to do after a correction; whether its path has ended.

    Args:
        ws: Workspace.
        lane: Its number; its nodes are those from `lane * NODES` on, its paths those from `lane * PATHS` on.
        state: Of each lane the phase, corrections so far, one past the last node and the last path, the path's first
            node, (LANES, 5).
        numbers: Of each lane the step, the first correction, the longest step, the sense (1 or -1), the length to
            walk, walk on beyond the start (1) or not, the first correction that steps are chosen for, (LANES, 7).
        nodes: Point, tangent, arc length from the path's first node, by node, (LANES · NODES, 2 n + 1).
        paths: First node, one past the last, closed or not, by path, (LANES · PATHS, 3).
        turns: 1 where a joint turns, (n,).
        low, high: Limits that end a walk: those of joints that slide, otherwise infinite, (n,).
        matrix: For use inside, (n, n).
    """
    n = len(turns)
    _, q, _, t, _, _, _, _, _, control, measures, _ = places(n)
    moved = ws[(measures + MOVED) * LANES + lane]
    cosine = ws[(measures + COSINE) * LANES + lane]
    state[lane, 1] += 1
    if state[lane, 0] == START:
        return _start(ws, lane, n, state, numbers, nodes, matrix, moved, cosine)
    h = numbers[lane, 0]
    if state[lane, 1] == 1:
        numbers[lane, 1] = moved
    k = state[lane, 2]
    limit = min(0.2 * h, _TOO_FAR * numbers[lane, 6])
    if not moved < limit * limit or cosine < 0.8 or state[lane, 1] > _CORRECTIONS:
        numbers[lane, 0], state[lane, 1] = 0.4 * h, 0
        if numbers[lane, 0] < SHORTEST_STEP:
            return _end_open(ws, lane, n, state, numbers, nodes, paths)
        before = nodes[k - 1, 2 * n] - nodes[k - 2, 2 * n] if k - 1 > state[lane, 4] else 0.0
        _extrapolate(ws, control, lane, before, numbers[lane, 0], 0.0)
        return False
    if moved > SETTLED * SETTLED:
        _tell(ws, control, lane, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        return False
    chord = turn = 0.0
    outside = False
    for i in range(n):
        value, slope = ws[(q + i) * LANES + lane], ws[(t + i) * LANES + lane]
        chord += (value - nodes[k - 1, i]) ** 2
        turn += (slope - nodes[k - 1, n + i]) ** 2
        nodes[k, i], nodes[k, n + i] = value, slope
        outside |= value < low[i] or value > high[i]
    step = np.sqrt(chord) * (1.0 + turn / 24.0)
    nodes[k, 2 * n] = nodes[k - 1, 2 * n] + step
    state[lane, 1], state[lane, 2] = 0, k + 1
    if numbers[lane, 5] < 0.5 and _passes_start(nodes, state[lane, 4], k, turns, step, matrix):
        state[lane, 2] = _close(nodes, state[lane, 4], k, turns)
        _add_path(lane, state, paths, 1)
        return True
    if outside or k + 1 == (lane + 1) * NODES or nodes[k, 2 * n] >= numbers[lane, 4]:
        return _end_open(ws, lane, n, state, numbers, nodes, paths)
    growth = np.sqrt(np.sqrt(numbers[lane, 6] / (np.sqrt(numbers[lane, 1]) + 1e-12)))
    numbers[lane, 0] = min(h * min(max(growth, 0.5), 1.7), numbers[lane, 2])
    _extrapolate(ws, control, lane, step, numbers[lane, 0], 1.0)
    return False


@piece
def next_seed(
    ws: Floats,
    lane: int,
    state: Integers,
    seeds: Floats,
    first: int,
    last: int,
    nodes: Floats,
    paths: Integers,
    turns: Integers,
    unit: Floats,
    point: Floats,
) -> int:
    """Put the next seed that no path of the pose passes into a lane; its number, or `last` when there is none.

    Args:
        ws: Workspace.
        lane: Its number.
        state, nodes, paths, turns: See `decide_walk`.
        seeds: Joint vectors [rad, m], all poses, (S, n).
        first, last: The pose's seeds that are left.
        unit: Length of the unit of each joint, (n,).
        point: For use inside, (2, n).
    """
    n = len(turns)
    _, q, _, _, _, t_now, _, _, _, control, _, _ = places(n)
    number = first
    while number < last:
        for i in range(n):
            point[0, i] = seeds[number, i] / unit[i]
        if not is_covered(point, nodes, paths, lane * PATHS, state[lane, 3], turns):
            break
        number += 1
    if number >= last or state[lane, 3] == (lane + 1) * PATHS or state[lane, 2] + 2 >= (lane + 1) * NODES:
        return last
    away = size(lane_numbers() - float(lane))
    guess = 1.0 / np.sqrt(n)
    for i in range(n):
        put(ws, q + i, away, point[0, i])
        put(ws, t_now + i, away, guess * (1.0 - 2.0 * (i & 1)))
    _tell(ws, control, lane, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    state[lane, 0], state[lane, 1], state[lane, 4] = START, 0, state[lane, 2]
    return number


@piece
def _start(
    ws: Floats,
    lane: int,
    n: int,
    state: Integers,
    numbers: Floats,
    nodes: Floats,
    matrix: Floats,
    moved: float,
    cosine: float,
) -> bool:
    """Go on correcting a path's first point and tangent, or begin to walk; whether the seed is given up."""
    now, q, _, t, _, _, _, _, _, control, _, _ = places(n)
    if not moved < 1.0 or state[lane, 1] > _START_TRIES:
        return True
    if moved > 1e-16 or state[lane, 1] < 2 or cosine < 0.9:
        _tell(ws, control, lane, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0)
        return False
    sense = numbers[lane, 3] * _orientation(ws, lane, n, now + 6, t, matrix)
    k = state[lane, 2]
    for i in range(n):
        nodes[k, i] = ws[(q + i) * LANES + lane]
        nodes[k, n + i] = sense * ws[(t + i) * LANES + lane]
    nodes[k, 2 * n] = 0.0
    numbers[lane, 0] = min(FIRST_STEP, numbers[lane, 2])
    state[lane, 0], state[lane, 1], state[lane, 2] = WALK, 0, k + 1
    _tell(ws, control, lane, 0.0, 0.0, numbers[lane, 0], 1.0, 1.0, sense)
    return False


@piece
def _segment_length(nodes: Floats, k: int, n: int) -> float:
    """Arc length from node k to the next: by chord c and turn of the tangent δ of a circle, `c (1 + δ² / 24)`."""
    chord = turn = 0.0
    for i in range(n):
        chord += (nodes[k + 1, i] - nodes[k, i]) ** 2
        turn += (nodes[k + 1, n + i] - nodes[k, n + i]) ** 2
    return np.sqrt(chord) * (1.0 + turn / 24.0)


@piece
def _tell(
    ws: Floats, control: int, lane: int, a: float, b: float, c: float, shift: float, predict: float, sign: float
) -> None:
    at = control * LANES + lane
    ws[at + A_OLD * LANES] = a
    ws[at + A_OLD_TANGENT * LANES] = b
    ws[at + A_TANGENT * LANES] = c
    ws[at + SHIFT * LANES] = shift
    ws[at + PREDICT * LANES] = predict
    ws[at + SIGN * LANES] = sign


@piece
def _extrapolate(ws: Floats, control: int, lane: int, before: float, h: float, shift: float) -> None:
    """Coefficients of the cubic with the tangents of the last two nodes, `before` apart, h beyond the last one."""
    if before < 1e-3 * h:
        _tell(ws, control, lane, 0.0, 0.0, h, shift, 1.0, 1.0)
        return
    u = 1.0 + h / before
    a = (2.0 * u - 3.0) * u * u + 1.0
    b = ((u - 2.0) * u + 1.0) * u * before
    c = (u - 1.0) * u * u * before
    _tell(ws, control, lane, a, b, c, shift, 1.0, 1.0)


@piece
def _orientation(ws: Floats, lane: int, n: int, J: int, t: int, matrix: Floats) -> float:
    """Sign of the determinant of the Jacobian with the tangent as its last row."""
    for i in range(n - 1):
        for k in range(n):
            matrix[i, k] = ws[(J + i * n + k) * LANES + lane]
    for k in range(n):
        matrix[n - 1, k] = ws[(t + k) * LANES + lane]
    sign = 1.0
    for j in range(n):
        best = j
        for i in range(j + 1, n):
            if abs(matrix[i, j]) > abs(matrix[best, j]):
                best = i
        if best != j:
            sign = -sign
            for k in range(n):
                matrix[j, k], matrix[best, k] = matrix[best, k], matrix[j, k]
        pivot = matrix[j, j]
        if pivot < 0.0:
            sign = -sign
        if pivot != 0.0:
            for i in range(j + 1, n):
                factor = matrix[i, j] / pivot
                for k in range(j + 1, n):
                    matrix[i, k] -= factor * matrix[j, k]
    return sign


@piece
def _passes_start(nodes: Floats, first: int, k: int, turns: Integers, step: float, point: Floats) -> bool:
    """Whether the path's first node lies between the last two, on the circle; `point` (2, n) is for use inside."""
    n = len(turns)
    if k - first < _FEWEST:
        return False
    square, i = 0.0, 0
    while i < n and square <= 2.0 * step * step:
        d = nodes[first, i] - nodes[k, i]
        if turns[i]:
            d -= 2 * np.pi * np.floor(d / (2 * np.pi) + 0.5)
        point[0, i] = nodes[k, i] + d
        square += d * d
        i += 1
    if square > 2.0 * step * step:
        return False
    same = 0.0
    for i in range(n):
        same += nodes[first, n + i] * nodes[k, n + i]
    return same > 0.7 and distance_to(point, 0, nodes, k - 1) < min(_NEAR_START, 0.1 * step)


@piece
def _close(nodes: Floats, first: int, k: int, turns: Integers) -> int:
    """Put the path's first node, full turns on, in the place of its last, node k; one past the path's last node."""
    n = len(turns)
    for i in range(n):
        d = nodes[first, i] - nodes[k, i]
        if turns[i]:
            d -= 2 * np.pi * np.floor(d / (2 * np.pi) + 0.5)
        nodes[k, i] += d
        nodes[k, n + i] = nodes[first, n + i]
    step = _segment_length(nodes, k - 1, n)
    if step < 0.02 * (nodes[k - 1, 2 * n] - nodes[k - 2, 2 * n]):  # the node before was the start already
        for i in range(2 * n):
            nodes[k - 1, i] = nodes[k, i]
        k -= 1
        step = _segment_length(nodes, k - 1, n)
    nodes[k, 2 * n] = nodes[k - 1, 2 * n] + step
    return k + 1


@piece
def _add_path(lane: int, state: Integers, paths: Integers, closed: int) -> None:
    p = state[lane, 3]
    paths[p, 0], paths[p, 1], paths[p, 2] = state[lane, 4], state[lane, 2], closed
    state[lane, 3] = p + 1


@piece
def _end_open(ws: Floats, lane: int, n: int, state: Integers, numbers: Floats, nodes: Floats, paths: Integers) -> bool:
    """End a path that does not close: go back to its start and the other way, once; then it has ended."""
    first, end = state[lane, 4], state[lane, 2] - 1
    last = state[lane, 0] == BACK or numbers[lane, 5] > 0.5 or end + 1 == (lane + 1) * NODES
    if state[lane, 0] == BACK or not last:
        _reverse(nodes, first, end + 1, n)
    if last:
        _add_path(lane, state, paths, 0)
        return True
    _, _, _, _, q_now, t_now, q_old, t_old, _, control, _, _ = places(n)
    before = max(end - 1, first)
    away = size(lane_numbers() - float(lane))
    for i in range(n):
        put(ws, q_now + i, away, nodes[end, i])
        put(ws, t_now + i, away, nodes[end, n + i])
        put(ws, q_old + i, away, nodes[before, i])
        put(ws, t_old + i, away, nodes[before, n + i])
    numbers[lane, 0] = min(FIRST_STEP, numbers[lane, 2])
    numbers[lane, 4] += nodes[end, 2 * n]
    state[lane, 0], state[lane, 1] = BACK, 0
    _tell(ws, control, lane, 0.0, 0.0, numbers[lane, 0], 0.0, 1.0, 1.0)
    return False


@piece
def _reverse(nodes: Floats, first: int, last: int, n: int) -> None:
    """Turn a path round; arc lengths count from its new first node."""
    i, j = first, last - 1
    while i < j:
        for k in range(2 * n + 1):
            nodes[i, k], nodes[j, k] = nodes[j, k], nodes[i, k]
        i, j = i + 1, j - 1
    total = nodes[first, 2 * n]
    for i in range(first, last):
        for k in range(n, 2 * n):
            nodes[i, k] = -nodes[i, k]
        nodes[i, 2 * n] = total - nodes[i, 2 * n]
