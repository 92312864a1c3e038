"""From seeds of a block of poses to the distinct solutions in limits of each, and what these are like.

A pose is refined in GROUP lanes of a vector, two poses side by side; its seeds take these lanes in order. So what becomes
of a pose depends on nothing but itself, whatever else is solved at the same time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import kept, part, piece
from ik_mdn.solver.kernels.lanes import (
    AGO,
    COST,
    COUNT,
    DISTANCE,
    ERR_POS,
    ERR_ROT,
    IDLE,
    LANES,
    LONG_AGO,
    MANIPULABILITY,
    MARK,
    MU,
    NEAREST,
    PIVOT,
    ROOTS,
    SIGMA,
    SINGULAR,
    STATE,
    WAY,
)
from ik_mdn.solver.kernels.machine import invoke
from ik_mdn.solver.kernels.pointers import Doubles, Ints, ahead, as_ints, bare
from ik_mdn.solver.kernels.rules import DAMPING, DAMPING_DROP, NEAR_FOLD
from ik_mdn.solver.kernels.threads import take_number
from sim.arrays import BoolArray, FloatArray, IntArray

GROUP = 4  # lanes that work on one pose
MEASURES = 4  # numbers about a root: what `lanes` names from ERR_POS on

_GROUPS = LANES // GROUP
_ALL = (1 << GROUP) - 1
_TURN, _TURNS = 2 * np.pi, 0.5 / np.pi  # a turn [rad], and a radian [turns]
_FOLD_SHARE, _FOLD_LEAST = 0.3, 0.02  # no seed across a fold where a root is so near to it [of the way; rad, m]


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
    """

    room: int
    q: Doubles
    weight: Doubles
    inside: Ints
    shown: Ints
    cost: Doubles
    measures: Doubles
    count: Ints


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
    start = ahead(count, poses)
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
    key = ahead(order, room + 2 * _GROUPS + LANES)  # refinement keeps what its lanes are at in `order`
    roots = Roots(room, q, weight, as_ints(inside), as_ints(shown), cost, measures, as_ints(count))
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
    return space, ws + rows * (2 * n + 8 + MEASURES) + 5 * poses + 2 + seeds * (
        2 * n + 2
    ) + n + 2 * room + 2 * _GROUPS + LANES


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


@piece
def settle(
    job: Job, T: Doubles, poses: int, near: Doubles, stride: int, first: bool, beside: bool, space: Space
) -> None:
    """Find the roots that the seeds of some poses lead to, and if wanted those across the folds beside them.

    Args:
        job: What is solved for.
        T: Targets, (poses, 4, 4).
        poses: How many.
        near: Where to be near when several turns are inside the limits: row p is `stride` numbers times p further on.
        stride: n, or 0 where all are the same.
        first: Whether to stop at a pose's first root in limits.
        beside: Whether to look across folds.
        space: Its seeds are taken; its roots are written.
    """
    roots, begin, total = space.roots, space.begin, 0
    for p in range(poses):
        roots.count[p] = begin[p] = 0
    _refine(job, T, poses, near, stride, space.start, space.seeds, space.weight, first, space)
    beside = beside and job.isolated and not first
    _look(job, T, poses, beside, space)
    for p in range(poses):
        begin[p] = roots.count[p]
    total = space.start_across[poses] if beside else 0
    if total > 0:
        for r in range(total):
            space.weightless[r] = 0.0
        _refine(job, T, poses, near, stride, space.start_across, space.across, space.weightless, False, space)
        _look(job, T, poses, False, space)
    for p in range(poses):
        _join(job, roots, p)


@part
def _join(job: Job, roots: Roots, p: int) -> None:
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


@piece
def _refine(
    job: Job,
    T: Doubles,
    poses: int,
    near: Doubles,
    stride: int,
    start: Ints,
    seeds: Doubles,
    weight: Doubles,
    first: bool,
    space: Space,
) -> None:
    """Refine seeds and add the roots that they lead to; see `settle`.

    A seed is done when it has converged, is given up, or has come much nearer to a known root than its last step was
    long: it would end there.
    """
    n, ws, roots, upcoming = job.n, space.ws, space.roots, space.upcoming
    _, _, _, measures, table = at_q(n)
    owner, before, seed_of = space.order, ahead(space.order, _GROUPS), ahead(space.order, 2 * _GROUPS)
    known_roots = ahead(ws, table * LANES)
    pose, busy = 0, 0
    for g in range(_GROUPS):
        owner[g] = -1
    for p in range(poses):
        upcoming[p] = start[p]
    while True:
        most = 0
        for g in range(_GROUPS):
            p, lanes = owner[g], _ALL << (g * GROUP)
            if not busy & lanes and (p < 0 or upcoming[p] >= start[p + 1]):
                while pose < poses and start[pose] >= start[pose + 1]:
                    pose += 1
                p = pose if pose < poses else -1
                pose += 1
                owner[g] = p
                if p >= 0:
                    _aim(job, ahead(T, 16 * p), roots, p, ws, g * GROUP)
            if p < 0:
                continue
            before[g] = roots.count[p]
            most = max(most, before[g])
            for lane in range(g * GROUP, g * GROUP + GROUP):
                if not busy >> lane & 1 and upcoming[p] < start[p + 1]:
                    seed_of[lane] = upcoming[p]
                    _begin(job, ahead(seeds, n * upcoming[p]), ws, lane)
                    upcoming[p] += 1
                    busy |= 1 << lane
        if not busy:
            break
        bits = invoke(job.iterate, (ws, job.numbers, job.rule))
        converged = bits & busy
        left = bits >> LANES & busy & ~converged
        known, most = 0, min(most, ROOTS) if job.isolated else 0
        if most > 0:
            known = invoke(job.near_roots, (ws, known_roots, most))
            known &= bits >> 2 * LANES & busy & ~converged & ~left
        busy &= ~(converged | left | known)
        if not converged | known:
            continue
        for lane in range(LANES):
            p = owner[lane // GROUP]
            if known >> lane & 1:
                root = int(ws[(measures + NEAREST) * LANES + lane])
                roots.weight[p * roots.room + root] += weight[seed_of[lane]]
            elif converged >> lane & 1:
                compared = min(most, before[lane // GROUP])
                in_limits = _add(job, roots, p, ahead(near, stride * p), weight[seed_of[lane]], compared, ws, lane)
                if first and in_limits:
                    upcoming[p] = start[p + 1]
                    busy &= ~(_ALL << (lane // GROUP * GROUP))
                    converged &= ~(_ALL << (lane // GROUP * GROUP))


@part
def _aim(job: Job, T: Doubles, roots: Roots, p: int, ws: Doubles, lane: int) -> None:
    """Put a pose's target and its known roots into the lanes of a group, of which `lane` is the first."""
    table = at_q(job.n)[4]
    for side in range(GROUP):
        _put_target(job, T, ws, lane + side)
    for c in range(ROOTS):
        if c < roots.count[p] and roots.shown[p * roots.room + c]:
            _show(job, ahead(roots.q, (p * roots.room + c) * job.n), c, ws, lane)
        else:
            for side in range(GROUP):
                ws[(table + c * job.n) * LANES + lane + side] = np.nan


@part
def _put_target(job: Job, T: Doubles, ws: Doubles, lane: int) -> None:
    target = at_q(job.n)[1]
    for i in range(3):
        for j in range(3):
            ws[(target + 3 * i + j) * LANES + lane] = T[4 * i + j]
        ws[(target + 9 + i) * LANES + lane] = T[4 * i + 3] * job.per_length


@part
def _show(job: Job, q: Doubles, c: int, ws: Doubles, lane: int) -> None:
    """Put a root among those that the lanes of a group are compared with."""
    table = at_q(job.n)[4]
    for i in range(job.n):
        value = q[i] * job.per_unit[i]
        if job.turns[i]:
            value -= _TURN * np.rint(value * _TURNS)
        for side in range(GROUP):
            ws[(table + c * job.n + i) * LANES + lane + side] = value


@part
def _put_joints(job: Job, q: Doubles, ws: Doubles, lane: int) -> None:
    for i in range(job.n):
        ws[i * LANES + lane] = q[i] * job.per_unit[i]


@part
def _get_joints(job: Job, ws: Doubles, at: int, lane: int, q: Doubles) -> None:
    for i in range(job.n):
        q[i] = ws[(at + i) * LANES + lane] * job.unit[i]


@part
def _begin(job: Job, q: Doubles, ws: Doubles, lane: int) -> None:
    """Put a seed into a lane: its first evaluation stands whatever it costs."""
    before, _, state, _, _ = at_q(job.n)
    _put_joints(job, q, ws, lane)
    _put_joints(job, q, ahead(ws, before * LANES), lane)
    base = state * LANES + lane
    ws[base + COST * LANES] = np.inf
    ws[base + MU * LANES] = DAMPING / DAMPING_DROP
    ws[base + MARK * LANES] = np.inf
    ws[base + IDLE * LANES] = 0.0
    ws[base + COUNT * LANES] = -1.0
    ws[base + AGO * LANES] = np.inf
    ws[base + LONG_AGO * LANES] = np.inf


@part
def _add(job: Job, roots: Roots, p: int, near: Doubles, weight: float, compared: int, ws: Doubles, lane: int) -> bool:
    """Add the root that a lane has converged to, or its weight to one that it is; whether a new one is in limits.

    With the first `compared` roots of the pose, as far as they are shown, the lane is compared already.
    """
    n, first, count = job.n, p * roots.room, roots.count[p]
    _, _, state, measures, _ = at_q(n)
    q, cost = ahead(roots.q, (first + count) * n), ws[(state + COST) * LANES + lane]  # the next free row
    _get_joints(job, ws, 0, lane, q)
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
                    roots.inside[first + c], roots.cost[first + c] = int(_turn_inside(job, q, near)), cost
                    copy(q, known, n)
                return False
    inside, shown = _turn_inside(job, q, near), ws[(state + PIVOT) * LANES + lane] > job.rule[5] and count < ROOTS
    roots.cost[first + count] = cost
    roots.weight[first + count], roots.inside[first + count], roots.shown[first + count] = (
        weight,
        int(inside),
        int(shown),
    )
    roots.count[p] = count + 1
    if shown:
        _show(job, q, count, ws, lane // GROUP * GROUP)
    return inside


@part
def _turn_inside(job: Job, q: Doubles, near: Doubles) -> bool:
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


@piece
def _look(job: Job, T: Doubles, poses: int, beside: bool, space: Space) -> None:
    """Measure the roots in limits of each pose from number `begin[p]` on, and make those exact that are not.

    Where `beside` is wanted, seeds across the folds that roots lie beside are written.
    """
    n, ws, roots, pose, row = job.n, space.ws, space.roots, space.pose, space.row
    once = 0
    for p in range(poses):
        for c in range(space.begin[p], roots.count[p]):
            if roots.inside[p * roots.room + c]:
                pose[once], row[once] = p, p * roots.room + c
                once += 1
    done, rows, across, last = 0, once, 0, 0
    before, _, _, measures, _ = at_q(n)
    space.start_across[0] = 0
    while done < rows:
        side = min(LANES, rows - done)
        for lane in range(side):
            r = done + lane
            q = ahead(roots.q, row[r] * n) if r < once else ahead(space.polished, (r - once) * n)
            _put_joints(job, q, ws, lane)
            _put_target(job, ahead(T, 16 * pose[r]), ws, lane)
        invoke(job.inspect, (ws, job.numbers, job.rule))
        for lane in range(side):
            r = done + lane
            p, place, base = pose[r], row[r], measures * LANES + lane
            known = ahead(roots.measures, MEASURES * place)
            linear, angular = ws[base + ERR_POS * LANES], ws[base + ERR_ROT * LANES]
            if r < once or max(linear * job.length, angular) < max(known[0], known[1]):
                known[0], known[1] = linear * job.length, angular
                known[2], known[3] = ws[base + MANIPULABILITY * LANES], ws[base + SINGULAR * LANES]
                if r >= once:
                    copy(ahead(space.polished, (r - once) * n), ahead(roots.q, place * n), n)
            if r < once and max(linear, angular) > job.exact:
                q = ahead(space.polished, (rows - once) * n)
                pose[rows], row[rows] = p, place
                rows += 1
                _get_joints(job, ws, 0, lane, q)
                for i in range(n):
                    q[i] = min(max(q[i], job.low[i]), job.high[i])
            if beside and r < once and ws[base + SIGMA * LANES] < NEAR_FOLD:
                q = ahead(space.across, across * n)
                _get_joints(job, ws, before, lane, q)
                if not _is_near_another(job, roots, p, place, q, _FOLD_SHARE * ws[base + WAY * LANES] + _FOLD_LEAST):
                    while last < p:
                        last += 1
                        space.start_across[last] = across
                    across += 1
        done += side
    while last < poses:
        last += 1
        space.start_across[last] = across


@part
def _is_near_another(job: Job, roots: Roots, p: int, place: int, q: Doubles, radius: float) -> bool:
    """Whether another root of a pose than the one at `place` is within a distance."""
    for other in range(p * roots.room, p * roots.room + roots.count[p]):
        if other != place and is_same(q, ahead(roots.q, other * job.n), job.n, job.turns, radius):
            return True
    return False


@kept
def measure(job: Job, q: FloatArray, singular: BoolArray, manipulability: FloatArray, queue: IntArray) -> None:
    """Write, for each joint vector, whether it is singular and its manipulability, until the queue is empty.

    Args:
        job: The arm and the task.
        q: Joint vectors, (R, n) [rad, m].
        singular: Written: (R,).
        manipulability: Written: sqrt(det J Jᵀ), or sqrt(det Jᵀ J) where there are more constraints than joints, (R,).
        queue: Zero at the start, shared by all threads.
    """
    given = bare(job)
    _, target, _, measures, table = at_q(given.n)
    memory, first = memory_for((table + 1) * LANES)
    ws = ahead(bare(memory), first)
    for i in range(12 * LANES):
        ws[target * LANES + i] = 0.0
    for i in range(LANES):
        ws[target * LANES + i] = ws[(target + 4) * LANES + i] = ws[(target + 8) * LANES + i] = 1.0
    while True:
        begin = take_number(queue) * LANES
        if begin >= len(q):
            break
        side = min(LANES, len(q) - begin)
        for lane in range(side):
            _put_joints(given, ahead(bare(q), (begin + lane) * given.n), ws, lane)
        invoke(given.inspect, (ws, given.numbers, given.rule))
        for lane in range(side):
            manipulability[begin + lane] = ws[(measures + MANIPULABILITY) * LANES + lane]
            singular[begin + lane] = ws[(measures + SINGULAR) * LANES + lane] > 0.0
    memory[0] = 0.0  # so that it is kept until here


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
