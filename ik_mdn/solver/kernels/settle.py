"""From seeds of a block of poses to the distinct solutions in limits of each, and what these are like.

A pose is refined in GROUP lanes of a vector, two poses side by side; its seeds take these lanes in order. So what becomes
of a pose depends on nothing but itself, whatever else is solved at the same time.
"""

from __future__ import annotations

import numpy as np

from ik_mdn.solver.kernels.compilation import kept, part, piece
from ik_mdn.solver.kernels.lanes import (
    ERR_POS,
    ERR_ROT,
    LANES,
    MANIPULABILITY,
    MARK,
    NEAREST,
    ROOTS,
    SIGMA,
    SINGULAR,
    WAY,
)
from ik_mdn.solver.kernels.machine import invoke
from ik_mdn.solver.kernels.pointers import Doubles, Ints, ahead, bare
from ik_mdn.solver.kernels.roots import add, is_same, join, show
from ik_mdn.solver.kernels.rules import NEAR_FOLD
from ik_mdn.solver.kernels.space import (
    GROUP,
    GROUPS,
    MEASURES,
    Job,
    Roots,
    Space,
    at_q,
    copy,
    get_joints,
    memory_for,
    put_joints,
    put_seed,
    put_target,
)
from ik_mdn.solver.kernels.threads import take_number
from sim.arrays import BoolArray, FloatArray, IntArray

_ALL = (1 << GROUP) - 1
_LOST = 1e-11  # squared residual below which a seed that is given up may have been on its way to a root
_FOLD_SHARE, _FOLD_LEAST = 0.3, 0.02  # no seed across a fold where a root is so near to it [of the way; rad, m]


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
        roots.count[p] = roots.lost[p] = begin[p] = 0
    refine(job, T, poses, near, stride, space.start, space.seeds, space.weight, first, space)
    beside = beside and job.isolated and not first
    look(job, T, poses, beside, space)
    for p in range(poses):
        begin[p] = roots.count[p]
    total = space.start_across[poses] if beside else 0
    if total > 0:
        for r in range(total):
            space.weightless[r] = 0.0
        refine(job, T, poses, near, stride, space.start_across, space.across, space.weightless, False, space)
        look(job, T, poses, False, space)
    for p in range(poses):
        join(job, roots, p)


@piece
def refine(
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
    _, _, state, measures, table = at_q(n)
    owner, before, seed_of = space.order, ahead(space.order, GROUPS), ahead(space.order, 2 * GROUPS)
    known_roots = ahead(ws, table * LANES)
    pose, busy = 0, 0
    for g in range(GROUPS):
        owner[g] = -1
    for p in range(poses):
        upcoming[p] = start[p]
    while True:
        most = 0
        for g in range(GROUPS):
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
                    put_seed(job, ahead(seeds, n * upcoming[p]), ws, lane)
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
        if not converged | known | left:
            continue
        for lane in range(LANES):
            p = owner[lane // GROUP]
            if left >> lane & 1:
                roots.lost[p] += int(ws[(state + MARK) * LANES + lane] < _LOST)
            elif known >> lane & 1:
                root = int(ws[(measures + NEAREST) * LANES + lane])
                roots.weight[p * roots.room + root] += weight[seed_of[lane]]
            elif converged >> lane & 1:
                compared = min(most, before[lane // GROUP])
                in_limits = add(job, roots, p, ahead(near, stride * p), weight[seed_of[lane]], compared, ws, lane)
                if first and in_limits:
                    upcoming[p] = start[p + 1]
                    busy &= ~(_ALL << (lane // GROUP * GROUP))
                    converged &= ~(_ALL << (lane // GROUP * GROUP))


@part
def _aim(job: Job, T: Doubles, roots: Roots, p: int, ws: Doubles, lane: int) -> None:
    """Put a pose's target and its known roots into the lanes of a group, of which `lane` is the first."""
    table = at_q(job.n)[4]
    for side in range(GROUP):
        put_target(job, T, ws, lane + side)
    for c in range(ROOTS):
        if c < roots.count[p] and roots.shown[p * roots.room + c]:
            show(job, ahead(roots.q, (p * roots.room + c) * job.n), c, ws, lane)
        else:
            for side in range(GROUP):
                ws[(table + c * job.n) * LANES + lane + side] = np.nan


@piece
def look(job: Job, T: Doubles, poses: int, beside: bool, space: Space) -> None:
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
            put_joints(job, q, ws, lane)
            put_target(job, ahead(T, 16 * pose[r]), ws, lane)
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
                get_joints(job, ws, 0, lane, q)
                for i in range(n):
                    q[i] = min(max(q[i], job.low[i]), job.high[i])
            if beside and r < once and ws[base + SIGMA * LANES] < NEAR_FOLD:
                q = ahead(space.across, across * n)
                get_joints(job, ws, before, lane, q)
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
            put_joints(given, ahead(bare(q), (begin + lane) * given.n), ws, lane)
        invoke(given.inspect, (ws, given.numbers, given.rule))
        for lane in range(side):
            manipulability[begin + lane] = ws[(measures + MANIPULABILITY) * LANES + lane]
            singular[begin + lane] = ws[(measures + SINGULAR) * LANES + lane] > 0.0
    memory[0] = 0.0  # so that it is kept until here
