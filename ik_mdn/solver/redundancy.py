"""Self-motion: every way a redundant arm can hold its tip where it is, sampled along curves in joint space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.engine import Problem, starts
from ik_mdn.solver.kernels.rules import TOLERANCE
from ik_mdn.solver.options import check_seeds
from ik_mdn.solver.probabilities import Law, normalise, solution_weights
from ik_mdn.solver.refinement import compiled_kernel, refine
from ik_mdn.solver.self_motions import SelfMotionBatch
from ik_mdn.solver.threads import at_most, share
from ik_mdn.solver.windings import turn_into_limits
from sim.arm import LIMIT_SLACK, Arm
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.errors import ShapeError, TaskError
from sim.inputs import check_counts, check_kinds, check_sizes
from sim.jacobians import moves_on_curves, task_rank, task_singular_values
from sim.task import Task, as_targets, load_task

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.model import Postures
    from ik_mdn.solver.solver import IKSolver

SEEDS = 128  # per pose; on panda 99.2 % of the length of all curves is found, with 32 seeds 95.8 %
RESTARTS = 4  # rounds of random seeds for poses that have no solution yet, each twice as many as before

_MOST = 1_000_000  # samples of one curve
_POSES = 64  # found in one go by one thread, where there are more; bounds the memory
_SEED_TOLERANCE = 1e-6  # residual at which a seed is near enough to a curve for walking to begin
_SEED_ITERATIONS = 40
_SAMPLE_SHARE = 1e-2  # samples are refined to this share of the tolerance


def self_motion(
    solver: IKSolver | Arm,
    T_base_tip: Tensor | NDArray[np.floating],
    count: int = 100,
    *,
    task: Task | str | None = None,
    seeds: int = SEEDS,
    restarts: int = RESTARTS,
    tolerance: float = 1e-8,
    seed: int = 0,
) -> SelfMotionBatch:
    """Diverse exact joint vectors for each pose, evenly spread over its whole self-motion in limits.

    Random seeds are refined; from each that lies in limits and on no curve met before, the
    curve is followed through the null space of the task Jacobian (predictor and corrector: Allgower and Georg,
    Numerical Continuation Methods, 1990, ch. 2), regardless of limits, until it closes. So one seed on a closed curve
    is enough to find all of it. Then limits cut the curves, samples are shared out so that the widest spacing is
    least, and refined. Each sample stands in the middle of an equal piece of its curve: no point of a curve is
    further than half a spacing from a sample.

    Example:
        >>> found = self_motion(sim.load_arm("panda"), sim.pose((0.4, 0.1, 0.4), rpy=(np.pi, 0, 0)), count=20)[0]
        >>> found.q.shape, len(found.length)  # on so many curves
        ((20, 7), 3)

    Args:
        solver: An `IKSolver`, or an arm, for which random seeds serve.
        T_base_tip: Poses, shape (4, 4) or (B, 4, 4); points where the task has no rotation, see `sim.task.as_targets`.
        count: Samples per pose. Every curve gets one, the longest first.
        task: For an arm: task or its name; None for the arm's default.
        seeds: Seeds per pose; more of them miss fewer curves. (A model's seeds miss more: they lie together where the
            density is high, however short the other curves are.)
        restarts: Most further rounds of random seeds for poses without a sample, each twice as many as before.
        tolerance: Largest error [m] and [rad] of a sample.
        seed: Of the random seeds.

    Returns:
        The samples of each pose (length 1 for a single one); fewer than `count` only where there is none, or where
        more than one degree of freedom is redundant and the seeds led to fewer. There, and where a task is singular at
        every configuration (`sim.jacobians.task_rank`), samples are far from each other and on no curves.

    Raises:
        TaskError: The arm has no joint to spare for the task, or numba cannot run.
        ShapeError, PoseError: The poses or a number make no sense.
    """
    arm, chosen, model_solver = resolve(solver, task)
    check_counts(1, count=count, seeds=seeds)
    check_counts(0, restarts=restarts, seed=seed)
    if count > _MOST:
        raise ShapeError(f"count is {count}; {_MOST:,} samples of a curve are the most")
    check_seeds(seeds, restarts)
    check_sizes(tolerance=tolerance)
    T = as_targets(chosen, T_base_tip).reshape(-1, 4, 4)
    postures = None if model_solver is None else model_solver.postures
    job = _Job(arm, chosen, postures, count, seeds, restarts, tolerance, seed)
    find = _trace if moves_on_curves(arm, chosen) else _scatter
    with at_most(None if isinstance(solver, Arm) else solver.threads):
        return _join(_each(lambda piece: find(job, piece), np.array_split(T, -(-len(T) // _POSES) or 1)))


def _each(find: Callable[[FloatArray], SelfMotionBatch], pieces: list[FloatArray]) -> list[SelfMotionBatch]:
    """What is found for each piece, in order: a piece per thread at a time, or all threads for a single one."""
    if len(pieces) == 1:
        return [find(pieces[0])]
    found: dict[int, SelfMotionBatch] = {}
    queue = enumerate(pieces)  # threads take turns at `next`

    def work() -> None:
        with at_most(1):
            for number, piece in queue:
                found[number] = find(piece)

    share(work, len(pieces))
    return [found[number] for number in range(len(pieces))]


def resolve(solver: IKSolver | Arm, task: Task | str | None) -> tuple[Arm, Task, IKSolver | None]:
    """The arm, the task, and the solver where it has a model for that task.

    Args:
        solver: An `IKSolver`, or an arm.
        task: Task or its name; None for the solver's, or the arm's default.

    Raises:
        TaskError: The arm has no joint to spare for the task, or numba cannot run.
    """
    if not isinstance(solver, Arm):
        from ik_mdn.solver.solver import IKSolver

        check_kinds(Arm, IKSolver, solver=solver)
    arm = solver if isinstance(solver, Arm) else solver.arm
    chosen = load_task(arm, task if task is not None or isinstance(solver, Arm) else solver.task)
    if arm.n_joints <= (fixed := task_rank(arm, chosen)):
        raise TaskError(
            f"arm {arm.name!r} has {arm.n_joints} joints and task {chosen.name!r} fixes {fixed} numbers: "
            "no joint is to spare; choose a task that fixes less, or use IKSolver.solve, which samples what curves there are"
        )
    if compiled_kernel() is None:
        raise TaskError("self-motion needs numba, and numba cannot run here")
    has_model = not isinstance(solver, Arm) and solver.has_model and solver.task == chosen
    return arm, chosen, solver if has_model and not isinstance(solver, Arm) else None


class _Points(NamedTuple):
    """Joint vectors near samples, pose by pose."""

    pose: IntArray  # (M,)
    q: FloatArray  # (M, n)
    curve: IntArray  # (M,)
    position: FloatArray  # (M,)


class _Job(NamedTuple):
    arm: Arm
    task: Task
    postures: Postures | None  # the model's p(q), where it is not uniform
    samples: int
    seeds: int
    restarts: int
    tolerance: float
    seed: int


def _trace(job: _Job, T: FloatArray) -> SelfMotionBatch:
    """Samples in order along curves."""
    from ik_mdn.solver.kernels.curves import Walk, trace

    seeds, first = _find(job, T)
    traced = trace(job.arm, job.task, T, seeds, first, job.samples, Walk())
    samples, curves = traced.counts[:, 0], traced.counts[:, 1]
    used = np.arange(job.samples) < samples[:, None]
    shown = np.arange(traced.length.shape[1]) < curves[:, None]
    points = _Points(np.repeat(np.arange(len(T)), samples), traced.q[used], traced.arc[used], traced.place[used])
    return _polished(job, T, points, traced.length[shown], traced.closed[shown].astype(bool), curves)


def _scatter(job: _Job, T: FloatArray) -> SelfMotionBatch:
    """Samples far apart from each other: of many refined seeds always the one furthest from those taken before."""
    seeds, first = _find(job._replace(seeds=max(job.seeds, 4 * job.samples)), T)
    turns = ~job.arm.is_prismatic
    places = np.concatenate([np.cos(seeds[:, turns]), np.sin(seeds[:, turns]), seeds[:, ~turns]], axis=1)
    taken = [begin + _furthest(places[begin:end], job.samples) for begin, end in pairwise(first)]
    rows = np.concatenate([np.zeros(0, np.int64), *taken])
    pose = np.repeat(np.arange(len(T)), [len(x) for x in taken])
    points = _Points(pose, seeds[rows], np.full(len(rows), -1), np.full(len(rows), np.nan))
    return _polished(job, T, points, np.zeros(0), np.zeros(0, np.bool_), np.zeros(len(T), np.int64))


def _furthest(places: FloatArray, count: int) -> IntArray:
    """Rows (at most `count`) of points (m, c), each the furthest from those before it."""
    if len(places) <= count:
        return np.arange(len(places))
    rows = [0]
    distance = np.full(len(places), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.square(places - places[rows[-1]]).sum(1))
        rows.append(int(distance.argmax()))
    return np.array(rows)


def _find(job: _Job, T: FloatArray) -> tuple[FloatArray, IntArray]:
    """Refined seeds in limits, pose by pose, (R, n), and where those of each pose begin, (B + 1,)."""
    rng = np.random.default_rng(job.seed)
    pending: IntArray = np.arange(len(T))
    poses: list[IntArray] = [pending[:0]]
    rows: list[FloatArray] = [np.empty((0, job.arm.n_joints))]
    for number in range(job.restarts + 1):
        draws = job.arm.sample(rng, job.seeds << max(0, number - 1))
        pose = pending.repeat(len(draws))
        found = _refine_seeds(job, T[pose], np.tile(draws, (len(pending), 1)))
        poses.append(pose[found[1]])
        rows.append(found[0])
        pending = pending[~np.isin(pending, poses[-1])]
        if not len(pending):
            break
    pose, q = np.concatenate(poses), np.concatenate(rows)
    order = pose.argsort(kind="stable")
    return q[order], pose[order].searchsorted(np.arange(len(T) + 1))


def _refine_seeds(job: _Job, T: FloatArray, q: FloatArray) -> tuple[FloatArray, IntArray]:
    """Refined joint vectors in limits, and which rows they come from."""
    refined = refine(job.arm, job.task, T, q, tolerance=_SEED_TOLERANCE, max_iterations=_SEED_ITERATIONS)
    near = np.maximum(refined.err_pos, refined.err_rot) <= 10 * _SEED_TOLERANCE * max(1.0, job.arm.reach)
    rows = near.nonzero()[0]
    turned, inside = turn_into_limits(job.arm, refined.q[rows])
    return turned[inside], rows[inside]


def _polished(
    job: _Job, T: FloatArray, points: _Points, length: FloatArray, closed: BoolArray, curves: IntArray
) -> SelfMotionBatch:
    """Points made exact, without those that are not or are outside the limits; `curves` (B,) of each pose."""
    tolerance, (pose, q, curve, position) = max(_SAMPLE_SHARE * job.tolerance, TOLERANCE), points
    refined = refine(job.arm, job.task, T[pose], q, tolerance=tolerance)
    exact, err_pos, err_rot = refined.q, refined.err_pos, refined.err_rot
    limited = np.clip(exact, job.arm.q_min, job.arm.q_max)
    keep = (np.abs(limited - exact) <= LIMIT_SLACK).all(1) & (np.maximum(err_pos, err_rot) <= job.tolerance)
    q, pose, curve = limited[keep], pose[keep], curve[keep]
    offsets, curve_offsets = starts(np.bincount(pose, minlength=len(T))), starts(curves)
    return SelfMotionBatch(
        q,
        _weights(job, offsets, q, curve_offsets[pose] + curve, length),
        curve,
        position[keep],
        err_pos[keep],
        err_rot[keep],
        length,
        closed,
        offsets,
        curve_offsets,
        Law.of(0, job.postures),
    )


def _weights(job: _Job, offsets: IntArray, q: FloatArray, curve: IntArray, length: FloatArray) -> FloatArray:
    """The probability of the piece of curve that each sample stands for; `curve` (M,) counts those of all poses."""
    from ik_mdn.solver.engine_numba import CompiledEngine

    if (rank := task_rank(job.arm, job.task)) < job.task.n_constraints:
        manipulability = task_singular_values(job.arm, job.task, q)[:, :rank].prod(axis=1)
    else:
        problem = Problem(job.arm, job.task, np.empty((0, 4, 4)), None, job.tolerance)
        manipulability = CompiledEngine(problem, None).condition(q).manipulability
    weight = solution_weights(job.arm, offsets, q, manipulability, job.postures)
    if not len(length):
        return weight
    spacing = (length / np.bincount(curve, minlength=len(length)).clip(min=1))[curve]
    return normalise(offsets, np.log(np.maximum(weight * spacing, 1e-300)))


def _join(parts: list[SelfMotionBatch]) -> SelfMotionBatch:
    """Parts one after the other."""
    arrays = fields(SelfMotionBatch)[:-1]
    *rows, offsets, curve_offsets = ([getattr(part, field.name) for part in parts] for field in arrays)
    ends = (starts(np.concatenate([np.diff(each) for each in column])) for column in (offsets, curve_offsets))
    return replace(SelfMotionBatch(*(np.concatenate(column) for column in rows), *ends), law=parts[0].law)
