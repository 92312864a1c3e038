"""The compiled tracing of self-motion curves: poses in, evenly spread points out, on all cores."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.arcs import ARC, Arcs, allot, cut, spread_over, way_out
from ik_mdn.solver.kernels.compilation import kept, piece
from ik_mdn.solver.kernels.continuation import Steps, steps_for
from ik_mdn.solver.kernels.jobs import job_of, shape_of
from ik_mdn.solver.kernels.kinematics import in_frames
from ik_mdn.solver.kernels.lanes import LANES
from ik_mdn.solver.kernels.machine import invoke
from ik_mdn.solver.kernels.paths import FREE, SLIDES, TURNS, Joints, Paths, joint_between
from ik_mdn.solver.kernels.pointers import ahead, bare
from ik_mdn.solver.kernels.space import Job, put_target
from ik_mdn.solver.kernels.threads import take_number
from ik_mdn.solver.kernels.walk import IDLE, WALKER, Walk, at_curve, decide_walk, next_seed
from ik_mdn.solver.threads import share
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import Task

__all__ = ["Spread", "Walk", "go", "trace"]

NODES = 4096  # of all curves of a pose
PATHS = 64  # curves of a pose
ARCS = 128  # of a pose; further ones are left out

_FAR = 1000  # turns that a walk is let go from a joint's only limit; points of whole curves are given within one
_FAR_SLIDE = 1000.0  # arm lengths that a slide is let go from its only limit
_PER_THREAD = 16  # poses that are worth a thread


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

    q: FloatArray
    arc: IntArray
    place: FloatArray
    counts: IntArray
    length: FloatArray
    closed: IntArray


def trace(arm: Arm, task: Task, T: FloatArray, seeds: FloatArray, first: IntArray, samples: int, walk: Walk) -> Spread:
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
    goal = np.tile([1.0, np.inf], (len(T), 1))
    return _run(arm, task, T, seeds, first, goal, samples, walk)


def go(
    arm: Arm, task: Task, T: FloatArray, q: FloatArray, distance: FloatArray, walk: Walk
) -> tuple[FloatArray, FloatArray]:
    """Points some way along the self-motion curves from given ones, or where these leave the limits.

    Args:
        arm, task, T: See `trace`.
        q: Where to start, in limits, shape (B, n) [rad, m].
        distance: Arc length to go, shape (B,); negative the other way.
        walk: How to walk.

    Returns:
        The points, shape (B, n), before their last refinement, and the arc lengths to them, not negative, shape (B,).
    """
    goal = np.stack([np.where(distance < 0, -1.0, 1.0), np.abs(distance)], axis=1)
    out = _run(arm, task, T, q, np.arange(len(q) + 1), goal, 1, walk._replace(onwards=True))
    return out.q[:, 0], out.place[:, 0]


def _run(
    arm: Arm,
    task: Task,
    T: FloatArray,
    seeds: FloatArray,
    first: IntArray,
    goal: FloatArray,
    samples: int,
    walk: Walk,
) -> Spread:
    """Have threads take poses from one queue."""
    job, steps, count = job_of(arm, task, ()), steps_for(shape_of(arm, task)), len(T)
    joints = _joints_of(arm, _FAR if walk.onwards else 1)
    targets, starts = np.ascontiguousarray(in_frames(task, T)), np.ascontiguousarray(seeds / arm.joint_units)
    out = Spread(
        np.repeat(seeds[first[:-1], None], samples, axis=1)
        if walk.onwards
        else np.empty((count, samples, arm.n_joints)),
        np.empty((count, samples), np.int64),
        np.zeros((count, samples)),
        np.zeros((count, 2), np.int64),
        np.empty((count, ARCS)),
        np.empty((count, ARCS), np.int64),
    )
    queue = np.zeros(1, np.int64)

    given = (job, steps, joints, walk, targets, starts, first, goal, out, queue)
    share(lambda: advance(*given), -(-count // _PER_THREAD))
    return out


def _joints_of(arm: Arm, turns: int) -> Joints:
    """How an arm's joints move, lengths in arm lengths; turning ones with a single limit so many turns from it."""
    unit, low, high = arm.joint_units, arm.q_min, arm.q_max
    room = np.where(arm.is_prismatic, _FAR_SLIDE * unit, 2 * np.pi * turns)
    low, high = np.where(np.isfinite(low), low, high - room), np.where(np.isfinite(high), high, low + room)
    bounded = np.isfinite(low) & np.isfinite(high)
    kind = np.where(arm.is_prismatic, SLIDES, np.where(bounded, TURNS, FREE))
    middle, half = np.zeros(arm.n_joints), np.full(arm.n_joints, np.inf)
    middle[bounded] = (low[bounded] + high[bounded]) / 2 / unit[bounded]
    half[bounded] = (high[bounded] - low[bounded]) / 2 / unit[bounded]
    return Joints(kind, middle, half)


@kept
def advance(
    job: Job,
    steps: Steps,
    joints: Joints,
    walk: Walk,
    T: FloatArray,
    seeds: FloatArray,
    first: IntArray,
    goal: FloatArray,
    out: Spread,
    queue: IntArray,
) -> None:
    """Walk, pose by pose, until the queue is empty.

    Args:
        job: The arm and the task.
        steps: Emitted for them.
        joints: How the joints move.
        walk: How to walk.
        T, first: See `trace`.
        seeds: See `trace`, but in [rad, arm lengths].
        goal: Of each pose the sense, 1 or -1, and the arc length at which to stop, (B, 2).
        out: Written: points spread over all curves; where `walk.onwards`, the end of the pose's one walk.
        queue: Zero at the start, shared by all threads.
    """
    arm, n, total = bare(job), job.n, len(T)
    memory = np.zeros(at_curve(n).size * LANES)
    ws = bare(memory)
    nodes, ends = np.empty((LANES, NODES, 2 * n + 1)), np.empty((LANES, PATHS, 3), np.int64)
    arcs = Arcs(np.empty(ARCS, ARC), np.empty((ARCS, n)))
    walkers, matrix, point = np.zeros(LANES, WALKER), np.empty((n + 1, n)), np.empty((2, n))
    for lane in range(LANES):
        walkers[lane].pose = -1
    while True:
        busy = False
        for lane in range(LANES):
            one, paths = walkers[lane], Paths(nodes[lane], ends[lane])
            while one.phase == IDLE and one.pose < total:
                if one.pose >= 0:
                    if next_seed(ws, lane, one, seeds, first[one.pose + 1], paths, joints, point):
                        one.goal = goal[one.pose, 1]
                        break
                    if walk.onwards:
                        _stop(one, paths, joints, job.unit, point[0], goal[one.pose, 1], out)
                    else:
                        _spread(one, paths, joints, job.unit, point[0], arcs, out)
                one.pose = min(take_number(queue), total)
                if one.pose < total:
                    put_target(arm, ahead(bare(T), 16 * one.pose), ws, lane)
                    one.seed, one.sense, one.node, one.path = first[one.pose], goal[one.pose, 0], 0, 0
            busy |= one.phase != IDLE
        if not busy:
            break
        invoke(steps.correct, (ws, arm.numbers))
        for lane in range(LANES):
            one, paths = walkers[lane], Paths(nodes[lane], ends[lane])
            if one.phase != IDLE and decide_walk(ws, lane, one, walk, paths, joints, matrix):
                one.phase = IDLE
        invoke(steps.proceed, (ws,))
    memory[0] = 0.0  # so that it is kept until here


@piece
def _spread(
    one: Any, paths: Paths, joints: Joints, unit: FloatArray, turn: FloatArray, arcs: Arcs, out: Spread
) -> None:
    """Write what `Spread` holds of a pose whose curves have been walked."""
    pose, begin, arc = one.pose, 0, 0
    found = cut(paths, one.path, joints, turn, arcs)
    if found:
        allot(arcs.rows[:found], out.q.shape[1])
    for i in range(found):
        row = arcs.rows[i]
        end = begin + row.samples
        if end == begin:
            continue
        q = out.q[pose, begin:end]
        spread_over(paths, row, arcs.turns[i], joints, q, out.place[pose, begin:end])
        for j in range(row.samples):
            for k in range(len(unit)):
                q[j, k] *= unit[k]
        out.arc[pose, begin:end] = arc
        out.length[pose, arc], out.closed[pose, arc] = row.end - row.begin, row.closed
        begin, arc = end, arc + 1
    out.counts[pose, 0], out.counts[pose, 1] = begin, arc


@piece
def _stop(
    one: Any, paths: Paths, joints: Joints, unit: FloatArray, turn: FloatArray, wanted: float, out: Spread
) -> None:
    """Write where the walk of a pose ends and how far that is."""
    if not one.path or paths.ends[0, 1] - paths.ends[0, 0] < 2:
        return
    nodes, n = paths.nodes, len(unit)
    k, last = paths.ends[0, 0], paths.ends[0, 1] - 1
    s = way_out(nodes, k, last, joints, turn, wanted)
    while k < last - 1 and nodes[k + 1, 2 * n] < s:
        k += 1
    out.place[one.pose, 0] = s
    for i in range(n):
        out.q[one.pose, 0, i] = joint_between(nodes, k, i, s) * unit[i]
