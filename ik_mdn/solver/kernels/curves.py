"""The compiled tracing of self-motion curves: poses in, evenly spread points out, on all cores."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import types

from ik_mdn.solver.kernels.arcs import (
    BEGIN,
    CLOSED,
    END,
    FREE,
    PATH,
    SHARE,
    SLIDES,
    TURNS,
    Integers,
    allot,
    cut,
    joint_between,
    piece,
    spread_over,
    way_out,
)
from ik_mdn.solver.kernels.refine import code_of, describe
from ik_mdn.solver.kernels.vector import (
    LANES,
    Floats,
    aligned,
    kept,
    lane_numbers,
    put,
    share,
    size,
    stamp,
    take_number,
)
from ik_mdn.solver.kernels.walk import IDLE, NODES, PATHS, correct, decide_walk, next_seed, places, proceed, walk_size
from sim.arm import Arm
from sim.task import Task

ARCS = 128  # of a pose; further ones are left out

_PER_THREAD = 16  # poses that are worth a thread

_lock = threading.Lock()


class Walk(NamedTuple):
    """How to walk.

    Args:
        longest: Longest step [rad, arm lengths].
        wanted: First correction that steps are chosen for [rad, arm lengths]; the cubics between nodes are about a
            sixtieth of it off the curve.
    """

    longest: float = 0.5
    wanted: float = 1.5e-3


class Spread(NamedTuple):
    """Points spread over the curves of B poses, before their last refinement.

    Args:
        q: Joint vectors [rad, m], shape (B, S, n).
        arc: Which of the pose's arcs each is on, shape (B, S).
        place: Arc length from the arc's beginning, shape (B, S).
        counts: Samples and arcs of each pose, shape (B, 2); what lies beyond is not written.
        length: Arc length of each arc, shape (B, ARCS).
        closed: 1 where an arc closes, shape (B, ARCS).
    """

    q: Floats
    arc: Integers
    place: Floats
    counts: Integers
    length: Floats
    closed: Integers


def trace(arm: Arm, task: Task, T: Floats, seeds: Floats, first: Integers, samples: int, walk: Walk) -> Spread:
    """Points evenly spread over the self-motion curves that seeds lie on.

    Args:
        arm: The arm, with one joint more than the task has constraints.
        task: The task.
        T: Targets, shape (B, 4, 4).
        seeds: Joint vectors that meet them, pose by pose, shape (R, n) [rad, m].
        first: Pose i owns the seeds `first[i]:first[i + 1]`, shape (B + 1,).
        samples: Most points per pose, S.
        walk: How to walk.

    Returns:
        The points; they meet the targets to about `walk.wanted / 60`.
    """
    count, n = len(T), arm.n_joints
    out = Spread(
        np.empty((count, samples, n)),
        np.empty((count, samples), np.int64),
        np.empty((count, samples)),
        np.zeros((count, 2), np.int64),
        np.empty((count, ARCS)),
        np.empty((count, ARCS), np.int64),
    )
    goal = np.zeros((count, 2))
    goal[:] = 1.0, np.inf
    _run(arm, task, T, seeds, first, goal, out, np.array([walk.longest, walk.wanted, 0.0]))
    return out


def go(arm: Arm, task: Task, T: Floats, q: Floats, distance: Floats, walk: Walk) -> tuple[Floats, Floats]:
    """Points some way along the self-motion curves from given ones, or where these leave the limits.

    Args:
        arm, task, T: See `trace`.
        q: Where to start, in limits, shape (B, n) [rad, m].
        distance: Arc length to go, shape (B,); negative the other way.
        walk: How to walk.

    Returns:
        The points, shape (B, n), before their last refinement, and the arc lengths to them, not negative, shape (B,).
    """
    count = len(q)
    out = Spread(
        q[:, None].copy(),
        np.zeros((count, 1), np.int64),
        np.zeros((count, 1)),
        np.zeros((count, 2), np.int64),
        np.empty((count, ARCS)),
        np.empty((count, ARCS), np.int64),
    )
    goal = np.stack([np.where(distance < 0, -1.0, 1.0), np.abs(distance)], axis=1)
    first = np.arange(count + 1)
    _run(arm, task, T, q, first, goal, out, np.array([walk.longest, walk.wanted, 1.0]))
    return out.q[:, 0], out.place[:, 0]


def _run(
    arm: Arm, task: Task, T: Floats, seeds: Floats, first: Integers, goal: Floats, out: Spread, walk: Floats
) -> None:
    """Have threads take poses from one queue."""
    advance = load_tracer()
    base, chain, slides, unit, length = describe(arm)
    n, m = arm.n_joints, task.n_constraints
    bounded = np.isfinite(arm.q_min) & np.isfinite(arm.q_max)
    kind = np.where(arm.is_prismatic, SLIDES, np.where(bounded, TURNS, FREE))
    limits = np.zeros((2, n))
    limits[0, bounded] = (arm.q_min[bounded] + arm.q_max[bounded]) / 2 / unit[bounded]
    limits[1, bounded] = (arm.q_max[bounded] - arm.q_min[bounded]) / 2 / unit[bounded]
    queue = np.zeros(1, np.int64)
    targets, starts = np.ascontiguousarray(T), np.ascontiguousarray(seeds)
    walk = np.append(walk, length)

    def work() -> None:
        ws = aligned(walk_size(n, m) * LANES)
        nodes, paths = np.empty((LANES * NODES, 2 * n + 1)), np.empty((LANES * PATHS, 3), np.int64)
        arcs, spans = np.empty((ARCS, 2), np.int64), np.empty((ARCS, 3 + n))
        fixed = (base, chain, slides, unit, code_of(task), kind, limits)
        advance(targets, starts, first, goal, *out, *fixed, walk, queue, ws, nodes, paths, arcs, spans)

    share(work, -(-len(T) // _PER_THREAD))


@lru_cache(maxsize=1)
def load_tracer() -> Any:
    """The compiled function, from numba's cache on disk or compiled now."""
    with _lock:
        advance = _define(stamp())
        advance.compile(_SIGNATURE)
        advance.disable_compile()
        return advance


def _array(kind: Any, dimensions: int) -> Any:
    return types.Array(kind, dimensions, "C")


_F, _I = types.float64, types.int64
_SIGNATURE = (
    *(_array(k, d) for k, d in ((_F, 3), (_F, 2), (_I, 1), (_F, 2))),  # T, seeds, first, goal
    *(_array(k, d) for k, d in ((_F, 3), (_I, 2), (_F, 2), (_I, 2), (_F, 2), (_I, 2))),  # Spread
    *(_array(k, d) for k, d in ((_F, 2), (_F, 2), (_I, 1), (_F, 1), (_I, 1), (_I, 1), (_F, 2))),  # base ... limits
    *(_array(k, d) for k, d in ((_F, 1), (_I, 1), (_F, 1), (_F, 2), (_I, 2), (_I, 2), (_F, 2))),  # walk ... spans
)


def _define(version: int) -> Any:
    """The function to compile; see `ik_mdn.solver.kernels.vector.stamp`."""

    def advance(
        T: Floats,
        seeds: Floats,
        first: Integers,
        goal: Floats,
        q_out: Floats,
        arc_out: Integers,
        place_out: Floats,
        count_out: Integers,
        length_out: Floats,
        closed_out: Integers,
        base: Floats,
        chain: Floats,
        slides: Integers,
        unit: Floats,
        task_code: Integers,
        kind: Integers,
        limits: Floats,
        walk: Floats,
        queue: Integers,
        ws: Floats,
        nodes: Floats,
        paths: Integers,
        arcs: Integers,
        spans: Floats,
    ) -> int:
        n, total, samples = len(slides), len(T), q_out.shape[1]
        n_linear, angular = task_code
        m = n_linear + angular
        slide = walk[2] > 0.5
        state, numbers = np.zeros((LANES, 5), np.int64), np.zeros((LANES, 7))
        matrix, point, turns = np.empty((n + 1, n)), np.empty((2, n)), 1 - slides
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        for i in range(n):
            if slides[i]:
                low[i], high[i] = limits[0, i] - limits[1, i], limits[0, i] + limits[1, i]
        owner, seed = np.full(LANES, -1), np.zeros(LANES, np.int64)
        target = places(n)[8]
        ended, left = np.ones(LANES, np.bool_), LANES
        while True:
            for lane in range(LANES):
                while ended[lane] and owner[lane] < total:
                    pose = owner[lane]
                    if pose >= 0:
                        last = first[pose + 1]
                        number = next_seed(ws, lane, state, seeds, seed[lane], last, nodes, paths, turns, unit, point)
                        if number < last:
                            seed[lane], ended[lane] = number + 1, False
                            numbers[lane, 4] = goal[pose, 1]
                            break
                        if slide:
                            _stop(
                                nodes,
                                paths,
                                lane,
                                state,
                                kind,
                                limits,
                                unit,
                                goal[pose, 1],
                                pose,
                                point,
                                q_out,
                                place_out,
                            )
                        else:
                            found = cut(nodes, paths, lane * PATHS, state[lane, 3], kind, limits, point[0], arcs, spans)
                            allot(spans, found, samples)
                            _spread(
                                nodes,
                                paths,
                                kind,
                                unit,
                                arcs,
                                spans,
                                found,
                                q_out[pose],
                                arc_out[pose],
                                place_out[pose],
                                count_out[pose],
                                length_out[pose],
                                closed_out[pose],
                            )
                    pose = take_number(queue)
                    owner[lane] = min(pose, total)
                    if pose >= total:
                        left -= 1
                        state[lane, 0] = IDLE
                        break
                    _aim(ws, lane, T, pose, walk[3], target)
                    seed[lane] = first[pose]
                    state[lane, 2], state[lane, 3] = lane * NODES, lane * PATHS
                    numbers[lane, 3], numbers[lane, 5] = goal[pose, 0], walk[2]
                    numbers[lane, 2], numbers[lane, 6] = walk[0], walk[1]
            if not left:
                break
            if n == 7 and m == 6:  # sizes written out here unroll the loops
                correct(ws, base, chain, slides, n_linear, angular, 7, 6)
            else:
                correct(ws, base, chain, slides, n_linear, angular, n, m)
            for lane in range(LANES):
                if not ended[lane]:
                    ended[lane] = decide_walk(ws, lane, state, numbers, nodes, paths, turns, low, high, matrix)
            proceed(ws, n)
        return version

    return kept(advance)


@piece
def _aim(ws: Floats, lane: int, T: Floats, pose: int, length: float, target: int) -> None:
    """Put a target into a lane, lengths in arm lengths."""
    away = size(lane_numbers() - float(lane))
    for i in range(3):
        for j in range(3):
            put(ws, target + 3 * i + j, away, T[pose, i, j])
        put(ws, target + 9 + i, away, T[pose, i, 3] / length)


@piece
def _spread(
    nodes: Floats,
    paths: Integers,
    kind: Integers,
    unit: Floats,
    arcs: Integers,
    spans: Floats,
    found: int,
    q: Floats,
    arc: Integers,
    place: Floats,
    counted: Integers,
    length: Floats,
    closed: Integers,
) -> None:
    """Write what `Spread` holds of one pose."""
    begin = kept_arcs = 0
    for i in range(found):
        end = begin + int(spans[i, SHARE])
        if end == begin:
            continue
        path = arcs[i, PATH]
        spread_over(nodes, paths[path, 0], paths[path, 1] - 1, spans, i, kind, q, place, begin)
        for j in range(begin, end):
            arc[j] = kept_arcs
            for k in range(len(kind)):
                q[j, k] *= unit[k]
        length[kept_arcs], closed[kept_arcs] = spans[i, END] - spans[i, BEGIN], arcs[i, CLOSED]
        begin, kept_arcs = end, kept_arcs + 1
    counted[0], counted[1] = begin, kept_arcs


@piece
def _stop(
    nodes: Floats,
    paths: Integers,
    lane: int,
    state: Integers,
    kind: Integers,
    limits: Floats,
    unit: Floats,
    wanted: float,
    pose: int,
    point: Floats,
    q: Floats,
    place: Floats,
) -> None:
    """Write where the walk of a pose ends and how far that is."""
    path, n = lane * PATHS, len(unit)
    if state[lane, 3] == path or paths[path, 1] - paths[path, 0] < 2:
        return
    k, last = paths[path, 0], paths[path, 1] - 1
    s = way_out(nodes, k, last, kind, limits, point[0], wanted)
    while k < last - 1 and nodes[k + 1, 2 * n] < s:
        k += 1
    place[pose, 0] = s
    for i in range(n):
        q[pose, 0, i] = joint_between(nodes, k, i, s) * unit[i]
