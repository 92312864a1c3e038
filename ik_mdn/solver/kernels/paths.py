"""Paths of nodes along self-motion curves, for compiled code.

A node is a row of 2 n + 1 numbers: a point of the curve, the unit tangent there, the arc length from the path's first
node. Between two nodes the curve is the cubic with their tangents.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import piece
from sim.arrays import FloatArray, IntArray

NEAR = 5e-3  # distance below which a point is on a curve [rad, arm lengths]; cubics are up to 1.5e-3 off it
SLIDES, TURNS, FREE = 0, 1, 2  # kinds of joints: by a length; within limits; without

_TURN = 2 * np.pi
_NEAR_START = 5e-3  # distance at which a path that comes by its start closes [rad, arm lengths]
_FEWEST = 3  # segments of a path before it may close


class Joints(NamedTuple):
    """How joints move.

    Args:
        kind: SLIDES, TURNS or FREE, (n,).
        middle, half: Middle and half width of the limits [rad, arm lengths], (n,); of no meaning where FREE.
    """

    kind: IntArray
    middle: FloatArray
    half: FloatArray


class Paths(NamedTuple):
    """What has been walked for a target.

    Args:
        nodes: By path, (N, 2 n + 1); see the module.
        ends: Of each path the first node, one past the last, and 1 where it is closed, (P, 3).
    """

    nodes: FloatArray
    ends: IntArray


@piece
def joint_between(nodes: FloatArray, k: int, i: int, s: float) -> float:
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
def is_covered(point: FloatArray, paths: Paths, count: int, joints: Joints) -> bool:
    """Whether a point lies on one of the paths, on the circle.

    Args:
        point: Joint vector [rad, arm lengths] in its first row; the second is for use inside, (2, n).
        paths: The paths;
        count: so many of them.
        joints: The joints.
    """
    nodes, n = paths.nodes, len(joints.kind)
    for p in range(count):
        for k in range(paths.ends[p, 0], paths.ends[p, 1] - 1):
            limit = nodes[k + 1, 2 * n] - nodes[k, 2 * n]
            limit *= limit
            distance, i = 0.0, 0
            while i < n and distance <= limit:
                d = point[0, i] - nodes[k, i]
                if joints.kind[i] != SLIDES:
                    d -= _TURN * np.floor(d / _TURN + 0.5)
                point[1, i] = nodes[k, i] + d
                distance += d * d
                i += 1
            if distance <= limit and distance_to(point, 1, nodes, k) < NEAR:
                return True
    return False


@piece
def distance_to(point: FloatArray, row: int, nodes: FloatArray, k: int) -> float:
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
def passes_start(nodes: FloatArray, first: int, k: int, joints: Joints, step: float, point: FloatArray) -> bool:
    """Whether a path's first node lies between its last two, on the circle.

    Args:
        nodes: See the module.
        first, k: The path's first node and its last one so far.
        joints: The joints.
        step: Arc length between the last two.
        point: For use inside, (1, n) or more.
    """
    n = len(joints.kind)
    if k - first < _FEWEST:
        return False
    square, i = 0.0, 0
    while i < n and square <= 2.0 * step * step:
        d = _ahead(nodes, first, k, i, joints)
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
def close(nodes: FloatArray, first: int, k: int, joints: Joints) -> int:
    """Put a path's first node, full turns on, in the place of its last, node k; one past the path's last node."""
    n = len(joints.kind)
    for i in range(n):
        nodes[k, i] += _ahead(nodes, first, k, i, joints)
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
def reverse(nodes: FloatArray, first: int, last: int) -> None:
    """Turn a path round; arc lengths count from its new first node."""
    n = nodes.shape[1] // 2
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


@piece
def _ahead(nodes: FloatArray, first: int, k: int, i: int, joints: Joints) -> float:
    """How far joint i is from node k to the path's first node, on the circle."""
    d = nodes[first, i] - nodes[k, i]
    if joints.kind[i] != SLIDES:
        d -= _TURN * np.floor(d / _TURN + 0.5)
    return d


@piece
def _segment_length(nodes: FloatArray, k: int, n: int) -> float:
    """Arc length from node k to the next: by chord c and turn of the tangent δ of a circle, `c (1 + δ² / 24)`."""
    chord = turn = 0.0
    for i in range(n):
        chord += (nodes[k + 1, i] - nodes[k, i]) ** 2
        turn += (nodes[k + 1, n + i] - nodes[k, n + i]) ** 2
    return np.sqrt(chord) * (1.0 + turn / 24.0)
