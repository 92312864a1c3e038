"""The compiled refinement: many seeds at a time in vector registers, on all cores."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.kinematics import (
    NO_ROTATION,
    Problem,
    describe,
    get_joints,
    in_frames,
    linearise,
    put_joints,
    put_target,
)
from ik_mdn.solver.kernels.rules import Refined, Rule
from ik_mdn.solver.kernels.step import COST, COUNT, begin, decide, finished, layout, step, workspace_size
from ik_mdn.solver.kernels.threads import share, take_number
from ik_mdn.solver.kernels.vector import LANES, get, workspace
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import Task

if TYPE_CHECKING:
    from torch import Tensor

_PER_THREAD = 512  # seeds that are worth a thread: it takes about 0.1 ms to start one


def refine_numba(arm: Arm, task: Task, T_base_target: Tensor, q_seed: Tensor, rule: Rule) -> Refined[Tensor]:
    """Each seed moved to the nearest joint vector that meets its target; see `ik_mdn.solver.refinement.refine`.

    As many threads as torch uses (`torch.get_num_threads`) take seeds from one queue; each keeps LANES of them side
    by side and replaces one as soon as it is finished. A seed's course depends on nothing but itself, so the result
    is the same bit for bit whatever the number of threads.

    Args:
        arm: The arm.
        task: Which constraints count.
        T_base_target: Targets, shape (N, 4, 4), float64, on the CPU.
        q_seed: Where to start, shape (N, n), float64, on the CPU.
        rule: When a seed is done, or given up.

    Returns:
        The end of each seed, converged or not, in the given order; N = 0 gives empty tensors.
    """
    import torch  # a door for tensors; nothing inside needs it

    pose = np.arange(len(q_seed))
    rows = refine_rows(arm, task, _as_array(T_base_target), pose, _as_array(q_seed), rule)
    return Refined(*(torch.from_numpy(x) for x in rows))


def refine_rows(
    arm: Arm, task: Task, T_base_target: FloatArray, pose: IntArray, q_seed: FloatArray, rule: Rule
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """The same for seeds of which many share a target.

    Args:
        arm, task, rule: As for `refine_numba`.
        T_base_target: Targets, shape (B, 4, 4), contiguous.
        pose: Which target each seed is for, shape (N,).
        q_seed: Where to start, shape (N, n), contiguous.

    Returns:
        What `Refined` holds, as arrays.
    """
    return _refine(describe(arm, task), in_frames(task, T_base_target), pose, q_seed, rule)


@lru_cache(maxsize=1)
def load_kernel() -> None:
    """Compile the refinement, or load it from the disk, ahead of the first seed."""
    joint = np.zeros(1)
    problem = Problem(np.eye(3, 4), np.zeros((2, 6)), np.zeros(1, np.int64), joint, 3, NO_ROTATION, 1.0)
    _refine(problem, np.empty((0, 4, 4)), np.empty(0, np.int64), np.empty((0, 1)), Rule())


def _refine(
    problem: Problem, T: FloatArray, pose: IntArray, q_seed: FloatArray, rule: Rule
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    count, n = q_seed.shape
    q, err = np.empty((count, n)), np.empty((2, count))
    iterations, queue = np.empty(count, np.int64), np.zeros(1, np.int64)
    limits = np.array([rule.tolerance, rule.max_iterations, rule.max_step])

    def work() -> None:
        advance(problem, T, pose, q_seed, limits, q, err, iterations, queue, workspace(workspace_size(n)))

    share(work, -(-count // _PER_THREAD))
    return q, err[0], err[1], iterations


@kept
def advance(
    problem: Problem,
    targets: FloatArray,
    pose: IntArray,
    seeds: FloatArray,
    limits: FloatArray,
    q_out: FloatArray,
    err: FloatArray,
    iterations: IntArray,
    queue: IntArray,
    ws: FloatArray,
) -> None:
    """Refine seeds until the queue is empty; see `refine_rows`.

    Args:
        problem: The arm and the task.
        targets, pose, seeds: See `refine_rows`.
        limits: What `Rule` holds.
        q_out, err, iterations: Written: what `Refined` holds, (N, n), (2, N), (N,).
        queue: Zero at the start, shared by all threads.
        ws: Workspace of `workspace_size(n)` vectors.
    """
    n, total = len(problem.slides), len(seeds)
    m = problem.n_linear + problem.angular
    tolerance, max_iterations, max_step = limits
    now, new, q, q_next, target, state, equations = layout(n)
    owner = np.full(LANES, -1)
    vacant, busy = (1 << LANES) - 1, 0
    while vacant or busy:
        for lane in range(LANES):
            if vacant >> lane & 1:
                number = take_number(queue)
                if number < total:
                    put_joints(ws, lane, problem, seeds[number], q)
                    put_target(ws, lane, problem, targets[pose[number]], target)
                    begin(ws, lane, now, state)
                    owner[lane] = number
                    busy |= 1 << lane
        if not busy:
            break
        if n == 6 and m == 6:  # sizes written out here unroll the loops: half the time
            step(ws, 6, 6, now, q, q_next, state, equations, max_step)
        elif n == 7 and m == 6:
            step(ws, 7, 6, now, q, q_next, state, equations, max_step)
        else:
            step(ws, n, m, now, q, q_next, state, equations, max_step)
        cost = linearise(ws, problem, q_next, target, new)
        decide(ws, 6 + m * n, n, now, new, q, q_next, state, cost)
        now, new, q, q_next = new, now, q_next, q
        vacant = finished(ws, state, tolerance, max_iterations) & busy
        busy &= ~vacant
        for lane in range(LANES):
            if vacant >> lane & 1:
                number = owner[lane]
                get_joints(ws, lane, problem, q, q_out[number])
                err[0, number], err[1, number] = _errors(ws, lane, problem, now, state)
                iterations[number] = int(get(ws, state + COUNT, lane))


@part
def _errors(ws: FloatArray, lane: int, problem: Problem, e: int, state: int) -> tuple[float, float]:
    """Linear [m] and angular error of a lane; infinite where it never had a finite one."""
    if not get(ws, state + COST, lane) < np.inf:
        return np.inf, np.inf
    linear = angular = 0.0
    for k in range(problem.n_linear):
        linear += get(ws, e + k, lane) ** 2
    for k in range(problem.n_linear, problem.n_linear + problem.angular):
        angular += get(ws, e + k, lane) ** 2
    return np.sqrt(linear) * problem.length, np.sqrt(angular)


def _as_array(values: Tensor) -> FloatArray:
    import torch

    array: FloatArray = values.detach().to(torch.float64).contiguous().numpy()
    return array
