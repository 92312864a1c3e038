"""Where the work on a block of poses is kept, and the way into and out of the lanes of vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import part
from ik_mdn.solver.kernels.lanes import (
    AGO,
    COST,
    COUNT,
    ERR_POS,
    ERR_ROT,
    IDLE,
    LANES,
    LONG_AGO,
    MARK,
    MU,
    ROOTS,
    STATE,
)
from ik_mdn.solver.kernels.pointers import Doubles, Ints, ahead, as_ints
from ik_mdn.solver.kernels.rules import DAMPING, DAMPING_DROP
from sim.arrays import FloatArray, IntArray

GROUP = 4  # lanes that work on one pose
GROUPS = LANES // GROUP
MEASURES = 4  # numbers about a root: what `lanes` names from ERR_POS on


class Job(NamedTuple):
    """An arm, a task and what solutions have to be like.

    Args:
        n: Joints.
        numbers: Base and chain, see `lanes`.
        unit: A joint's unit, 1 where it turns, the arm's length where it slides, (n,).
        per_unit: 1 / unit, (n,).
        length: The unit of length: the arm's reach [m].
        per_length: 1 / length.
        turns: 1 where a joint turns, (n,).
        low, high: Least and greatest joint values, (n,) [rad, m].
        rule: Numbers that the emitted code goes by: squared residual at which a seed is done; most iterations; longest
            step; squared residual above which a seed is given up that shrinks by less than the next number (squared) in
            two iterations; least pivot of a Jacobian that Newton steps can be trusted with; squared residual at which
            a seed that is given up is done nevertheless; smallest singular value that is not singular.
        iterate, near_roots, inspect: Addresses of emitted functions.
        isolated: Whether the task has as many constraints as the arm has joints.
        countable: Whether it has at least as many, so that roots are points.
        paired: Whether solutions come in pairs, so that an odd number of them says that one is missing.
        tolerance: Largest error of a solution [m, rad].
        exact: Error [arm lengths, rad] above which a root is polished.
        merge: Distance on the circle below which two rows are one branch [rad, m].
        slack: How far outside a limit a row may be that is then put on it [rad, m].
    """

    n: int
    numbers: FloatArray
    unit: FloatArray
    per_unit: FloatArray
    length: float
    per_length: float
    turns: IntArray
    low: FloatArray
    high: FloatArray
    rule: FloatArray
    iterate: int
    near_roots: int
    inspect: int
    isolated: bool
    countable: bool
    paired: bool
    tolerance: float
    exact: float
    merge: float
    slack: float


class Roots(NamedTuple):
    """What the seeds of some poses lead to; pose p owns the rows from `p * room` on.

    Args:
        room: Most roots of a pose.
        q: (poses · room, n) [rad, m].
        weight: (poses · room,).
        inside: 1 where in limits, (poses · room,).
        shown: 1 where seeds on their way are compared with it, (poses · room,): not where branches meet, for there a
            step past a root may be long, and nothing is to be learned from being near to it.
        cost: Squared residual with which it was met, (poses · room,).
        measures: Errors [m, rad], manipulability, 1 where singular, (poses · room, MEASURES), of those in limits.
        count: Roots of each pose, (poses,).
        lost: How many of its seeds were given up near the target, (poses,).
    """

    room: int
    q: Doubles
    weight: Doubles
    inside: Ints
    shown: Ints
    cost: Doubles
    measures: Doubles
    count: Ints
    lost: Ints


class Space(NamedTuple):
    """Room for the work on a block of poses.

    Args:
        roots: What is found.
        start, seeds, weight: Seeds: those of pose p are the rows `start[p]:start[p + 1]`.
        start_across, across, weightless: The same of seeds across folds.
        upcoming, begin: Next seed, and first root to measure, of each pose.
        pose, row: Pose and row of the roots that are measured.
        polished, polished_row: Roots after a further step, and their rows.
        order, key: Of the solutions of a pose.
        ws: Workspace of vectors.
    """

    roots: Roots
    start: Ints
    seeds: Doubles
    weight: Doubles
    start_across: Ints
    across: Doubles
    weightless: Doubles
    upcoming: Ints
    begin: Ints
    pose: Ints
    row: Ints
    polished: Doubles
    order: Ints
    key: Doubles
    ws: Doubles


@part
def space_in(memory: Doubles, poses: int, most: int, n: int) -> Any:
    """Room for so many poses and seeds of each, in memory whose first number lies where a cache line begins.

    Returns:
        The space, and how much of the memory it takes.
    """
    room, seeds, (_, _, _, _, table) = 2 * most + 1, poses * most, at_q(n)
    rows, ws = poses * room, (table + ROOTS * n) * LANES
    q = ahead(memory, ws)
    weight = ahead(q, rows * n)
    inside = ahead(weight, rows)
    shown = ahead(inside, rows)
    cost = ahead(shown, rows)
    measures = ahead(cost, rows)
    count = ahead(measures, rows * MEASURES)
    lost = ahead(count, poses)
    start = ahead(lost, poses)
    start_across = ahead(start, poses + 1)
    upcoming = ahead(start_across, poses + 1)
    begin = ahead(upcoming, poses)
    seed_q = ahead(begin, poses)
    seed_weight = ahead(seed_q, seeds * n)
    across = ahead(seed_weight, seeds)
    weightless = ahead(across, (seeds + 1) * n)
    pose = ahead(weightless, seeds)
    row = ahead(pose, 2 * rows)
    polished = ahead(row, 2 * rows)
    order = ahead(polished, rows * n)
    key = ahead(order, room + 2 * GROUPS + LANES)  # refinement keeps what its lanes are at in `order`
    roots = Roots(room, q, weight, as_ints(inside), as_ints(shown), cost, measures, as_ints(count), as_ints(lost))
    space = Space(
        roots,
        as_ints(start),
        seed_q,
        seed_weight,
        as_ints(start_across),
        across,
        weightless,
        as_ints(upcoming),
        as_ints(begin),
        as_ints(pose),
        as_ints(row),
        polished,
        as_ints(order),
        key,
        memory,
    )
    return space, ws + rows * (2 * n + 8 + MEASURES) + 6 * poses + 2 + seeds * (
        2 * n + 2
    ) + n + 2 * room + 2 * GROUPS + LANES


@part
def memory_for(numbers: int) -> Any:
    """Memory for so many numbers, and the place in it where a cache line begins."""
    memory = np.empty(numbers + 8)
    return memory, -(memory.ctypes.data // 8) % 8


@part
def at_q(n: int) -> Any:
    """First vectors of the joint values before the step, target, state, measures and roots: see `lanes.places`."""
    return n, 2 * n, 2 * n + 12, 2 * n + 12 + STATE, 2 * n + 20 + STATE


@part
def copy(source: Doubles, target: Doubles, count: int) -> None:
    """Write some numbers to another place."""
    for i in range(count):
        target[i] = source[i]


@part
def put_target(job: Job, T: Doubles, ws: Doubles, lane: int) -> None:
    target = at_q(job.n)[1]
    for i in range(3):
        for j in range(3):
            ws[(target + 3 * i + j) * LANES + lane] = T[4 * i + j]
        ws[(target + 9 + i) * LANES + lane] = T[4 * i + 3] * job.per_length


@part
def put_joints(job: Job, q: Doubles, ws: Doubles, lane: int) -> None:
    for i in range(job.n):
        ws[i * LANES + lane] = q[i] * job.per_unit[i]


@part
def get_joints(job: Job, ws: Doubles, at: int, lane: int, q: Doubles) -> None:
    for i in range(job.n):
        q[i] = ws[(at + i) * LANES + lane] * job.unit[i]


@part
def put_seed(job: Job, q: Doubles, ws: Doubles, lane: int) -> None:
    """Put a seed into a lane: its first evaluation stands whatever it costs."""
    before, _, state, measures, _ = at_q(job.n)
    put_joints(job, q, ws, lane)
    put_joints(job, q, ahead(ws, before * LANES), lane)
    base = state * LANES + lane
    ws[base + COST * LANES] = np.inf
    ws[base + MU * LANES] = DAMPING / DAMPING_DROP
    ws[base + MARK * LANES] = np.inf
    ws[base + IDLE * LANES] = 0.0
    ws[base + COUNT * LANES] = -1.0
    ws[base + AGO * LANES] = np.inf
    ws[base + LONG_AGO * LANES] = np.inf
    ws[(measures + ERR_POS) * LANES + lane] = ws[(measures + ERR_ROT) * LANES + lane] = np.inf
