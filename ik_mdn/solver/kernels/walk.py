"""Walks along self-motion curves for compiled code: LANES poses side by side, each one curve after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import part, piece
from ik_mdn.solver.kernels.continuation import COSINE, MOVED, places_for, predict, tell
from ik_mdn.solver.kernels.lanes import LANES
from ik_mdn.solver.kernels.paths import SLIDES, Joints, Paths, close, is_covered, passes_start, reverse
from ik_mdn.solver.kernels.pointers import Doubles
from sim.arrays import FloatArray

FIRST_STEP = 0.05  # arc length of the first step [rad, arm lengths]: its predictor is a straight line
SHORTEST_STEP = 1e-5  # a walk that would need a shorter step ends: there is a corner, or rounding
SETTLED = 2e-4  # a correction shorter than this is the last one: what is left is its square

IDLE, START, WALK, BACK = range(4)  # phases of a lane

WALKER = np.dtype(
    [
        ("phase", np.int64),
        ("pose", np.int64),
        ("seed", np.int64),  # the next one
        ("corrections", np.int64),  # so far
        ("node", np.int64),  # one past the last
        ("path", np.int64),  # one past the last
        ("first", np.int64),  # node of the path
        ("step", np.float64),
        ("moved", np.float64),  # squared length of the first correction
        ("sense", np.float64),  # 1, or -1
        ("goal", np.float64),  # arc length at which to stop
    ]
)

_START_TRIES = 12
_places = part(places_for)
_CORRECTIONS = 4
_TOO_FAR = 3.0  # a first correction this many times the one wanted is a step too long


class Walk(NamedTuple):
    """How to walk.

    Args:
        longest: Longest step [rad, arm lengths].
        wanted: First correction that steps are chosen for [rad, arm lengths]; the cubics between nodes are about a
            sixtieth of it off the curve.
        onwards: Whether a walk goes one way only, and on beyond its start.
    """

    longest: float = 0.5
    wanted: float = 1.5e-3
    onwards: bool = False


@part
def at_curve(n: int) -> Any:
    """Where each part of the workspace begins, for n joints of which one is to spare: see `continuation.Places`."""
    return _places(n, n - 1)


@piece
def decide_walk(ws: Doubles, lane: int, one: Any, walk: Walk, paths: Paths, joints: Joints, matrix: FloatArray) -> bool:
    """Tell a lane what to do after a correction; whether its path has ended.

    Args:
        ws: Workspace.
        lane: Its number.
        one: Its state, of type `WALKER`.
        walk: How to walk.
        paths: Those of its pose.
        joints: The joints.
        matrix: For use inside, (n, n).
    """
    at = at_curve(len(joints.kind))
    moved, cosine = ws[(at.measures + MOVED) * LANES + lane], ws[(at.measures + COSINE) * LANES + lane]
    one.corrections += 1
    if one.phase == START:
        return _start(ws, lane, one, walk, paths, joints, matrix, moved, cosine)
    if one.corrections == 1:
        one.moved = moved
    limit = min(0.2 * one.step, _TOO_FAR * walk.wanted)
    if not moved < limit * limit or cosine < 0.8 or one.corrections > _CORRECTIONS:
        return _step_back(ws, lane, one, walk, paths)
    if moved > SETTLED * SETTLED:
        tell(ws, at.control, lane, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        return False
    return _add_node(ws, lane, one, walk, paths, joints, matrix)


@piece
def next_seed(
    ws: Doubles, lane: int, one: Any, seeds: FloatArray, last: int, paths: Paths, joints: Joints, point: FloatArray
) -> bool:
    """Put the pose's next seed that no path passes into a lane; whether there is one.

    Args:
        ws: Workspace.
        lane: Its number.
        one: Its state, of type `WALKER`.
        seeds: Joint vectors, all poses, (S, n) [rad, arm lengths].
        last: One past the pose's last seed.
        paths: Those of the pose.
        joints: The joints.
        point: For use inside, (2, n).
    """
    n = len(joints.kind)
    while one.seed < last:
        for i in range(n):
            point[0, i] = seeds[one.seed, i]
        if not is_covered(point, paths, one.path, joints):
            break
        one.seed += 1
    if one.seed >= last or one.path == len(paths.ends) or one.node + 2 >= len(paths.nodes):
        return False
    at, guess = at_curve(n), 1.0 / np.sqrt(n)
    for i in range(n):
        ws[(at.q + i) * LANES + lane] = point[0, i]
        ws[(at.t_now + i) * LANES + lane] = guess * (1.0 - 2.0 * (i & 1))
    tell(ws, at.control, lane, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    one.phase, one.corrections, one.first = START, 0, one.node
    one.seed += 1
    return True


@piece
def _start(
    ws: Doubles,
    lane: int,
    one: Any,
    walk: Walk,
    paths: Paths,
    joints: Joints,
    matrix: FloatArray,
    moved: float,
    cosine: float,
) -> bool:
    """Go on correcting a path's first point and tangent, or begin to walk; whether the seed is given up."""
    nodes, n = paths.nodes, len(joints.kind)
    at = at_curve(n)
    if not moved < 1.0 or one.corrections > _START_TRIES:
        return True
    if moved > 1e-16 or one.corrections < 2 or cosine < 0.9:
        tell(ws, at.control, lane, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0)
        return False
    for i in range(n):
        matrix[0, i] = ws[(at.q + i) * LANES + lane]
    if is_covered(matrix, paths, one.path, joints):  # next to a fold the seed itself may lie too far from its curve
        return True
    sense = one.sense * _orientation(ws, lane, n, at.J, at.t, matrix)
    for i in range(n):
        nodes[one.node, i] = ws[(at.q + i) * LANES + lane]
        nodes[one.node, n + i] = sense * ws[(at.t + i) * LANES + lane]
    nodes[one.node, 2 * n] = 0.0
    one.step = min(FIRST_STEP, walk.longest)
    one.phase, one.corrections, one.node = WALK, 0, one.node + 1
    tell(ws, at.control, lane, 0.0, 0.0, one.step, 1.0, 1.0, sense)
    return False


@piece
def _step_back(ws: Doubles, lane: int, one: Any, walk: Walk, paths: Paths) -> bool:
    """Try a shorter step from the last node, or end the path; whether it has ended."""
    one.step, one.corrections = 0.4 * one.step, 0
    if one.step < SHORTEST_STEP:
        return _end_open(ws, lane, one, walk, paths)
    nodes, n, k = paths.nodes, paths.nodes.shape[1] // 2, one.node
    before = nodes[k - 1, 2 * n] - nodes[k - 2, 2 * n] if k - 1 > one.first else 0.0
    predict(ws, at_curve(n).control, lane, before, one.step, 0.0)
    return False


@piece
def _add_node(ws: Doubles, lane: int, one: Any, walk: Walk, paths: Paths, joints: Joints, matrix: FloatArray) -> bool:
    """Make the point a node and step on from it, or end the path there; whether it has ended."""
    nodes, n, k = paths.nodes, len(joints.kind), one.node
    at = at_curve(n)
    chord = turn = 0.0
    outside = False
    for i in range(n):
        value, slope = ws[(at.q + i) * LANES + lane], ws[(at.t + i) * LANES + lane]
        chord += (value - nodes[k - 1, i]) ** 2
        turn += (slope - nodes[k - 1, n + i]) ** 2
        nodes[k, i], nodes[k, n + i] = value, slope
        if joints.kind[i] == SLIDES:
            low, high = joints.middle[i] - joints.half[i], joints.middle[i] + joints.half[i]
            outside |= value < low or value > high
    step = np.sqrt(chord) * (1.0 + turn / 24.0)
    nodes[k, 2 * n] = nodes[k - 1, 2 * n] + step
    one.corrections, one.node = 0, k + 1
    if not walk.onwards and passes_start(nodes, one.first, k, joints, step, matrix):
        one.node = close(nodes, one.first, k, joints)
        _add_path(one, paths, 1)
        return True
    if outside or k + 1 == len(nodes) or nodes[k, 2 * n] >= one.goal:
        return _end_open(ws, lane, one, walk, paths)
    growth = np.sqrt(np.sqrt(walk.wanted / (np.sqrt(one.moved) + 1e-12)))
    one.step = min(one.step * min(max(growth, 0.5), 1.7), walk.longest)
    predict(ws, at.control, lane, step, one.step, 1.0)
    return False


@piece
def _end_open(ws: Doubles, lane: int, one: Any, walk: Walk, paths: Paths) -> bool:
    """End a path that does not close: go back to its start and the other way, once; then it has ended."""
    nodes, first, end = paths.nodes, one.first, one.node - 1
    last = one.phase == BACK or walk.onwards or end + 1 == len(nodes)
    if one.phase == BACK or not last:
        reverse(nodes, first, end + 1)
    if last:
        _add_path(one, paths, 0)
        return True
    n, before = nodes.shape[1] // 2, max(end - 1, first)
    at = at_curve(n)
    for i in range(n):
        ws[(at.q_now + i) * LANES + lane] = nodes[end, i]
        ws[(at.t_now + i) * LANES + lane] = nodes[end, n + i]
        ws[(at.q_old + i) * LANES + lane] = nodes[before, i]
        ws[(at.t_old + i) * LANES + lane] = nodes[before, n + i]
    one.step = min(FIRST_STEP, walk.longest)
    one.goal += nodes[end, 2 * n]
    one.phase, one.corrections = BACK, 0
    tell(ws, at.control, lane, 0.0, 0.0, one.step, 0.0, 1.0, 1.0)
    return False


@piece
def _add_path(one: Any, paths: Paths, closed: int) -> None:
    path = paths.ends[one.path]
    path[0], path[1], path[2] = one.first, one.node, closed
    one.path += 1


@piece
def _orientation(ws: Doubles, lane: int, n: int, J: int, t: int, matrix: FloatArray) -> float:
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
