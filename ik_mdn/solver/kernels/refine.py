"""The compiled refinement: many seeds at a time in vector registers, on all cores."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import types
from numpy.typing import NDArray
from torch import Tensor

from ik_mdn.solver.kernels.kinematics import AXIS, NO_ROTATION, ROTATION, YAW, fold_chain, linearise
from ik_mdn.solver.kernels.rules import Refined, Rule
from ik_mdn.solver.kernels.step import COST, COUNT, begin, decide, finished, layout, step, workspace_size
from ik_mdn.solver.kernels.vector import (
    LANES,
    Floats,
    Vector,
    aligned,
    kept,
    lane_numbers,
    part,
    put,
    share,
    size,
    stamp,
    take_number,
)
from sim.arm import Arm
from sim.task import TASKS, Task

_PER_THREAD = 512  # seeds that are worth a thread: it takes about 0.1 ms to start one
_ANGULAR = {"planar_position": NO_ROTATION, "planar_pose": YAW, "position": NO_ROTATION}
_ANGULAR |= {"position_axis": AXIS, "pose": ROTATION}

_lock = threading.Lock()


def has_task(task: Task) -> bool:
    """Whether the compiled refinement knows a task: those of `sim.TASKS`."""
    return task == TASKS.get(task.name)


def refine_numba(arm: Arm, task: Task, T_base_target: Tensor, q_seed: Tensor, rule: Rule) -> Refined:
    """Each seed moved to the nearest joint vector that meets its target; see `ik_mdn.solver.refinement.refine`.

    As many threads as torch uses (`torch.get_num_threads`) take seeds from one queue; each keeps LANES of them side
    by side and replaces one as soon as it is finished. A seed's course depends on nothing but itself, so the result
    is the same bit for bit whatever the number of threads.

    Args:
        arm: The arm.
        task: Which constraints count; one that `has_task`.
        T_base_target: Targets, shape (N, 4, 4), float64, on the CPU.
        q_seed: Where to start, shape (N, n), float64, on the CPU.
        rule: When a seed is done, or given up.

    Returns:
        The end of each seed, converged or not, in the given order; N = 0 gives empty tensors.
    """
    pose = np.arange(len(q_seed))
    rows = refine_rows(arm, task, _as_array(T_base_target), pose, _as_array(q_seed), rule)
    return Refined(*(torch.from_numpy(x) for x in rows))


def refine_rows(
    arm: Arm, task: Task, T_base_target: Floats, pose: NDArray[np.int64], q_seed: Floats, rule: Rule
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """The same for seeds of which many share a target.

    Args:
        arm, task, rule: As for `refine_numba`.
        T_base_target: Targets, shape (B, 4, 4), contiguous.
        pose: Which target each seed is for, shape (N,).
        q_seed: Where to start, shape (N, n), contiguous.

    Returns:
        What `Refined` holds, as arrays.
    """
    advance = load_kernel()
    count, n = q_seed.shape
    base, chain, slides, unit, length = describe(arm)
    q, err = np.empty((count, n)), np.empty((2, count))
    iterations, queue = np.empty(count, np.int64), np.zeros(1, np.int64)
    limits = np.array([rule.tolerance, rule.max_iterations, rule.max_step, length])
    task_code = code_of(task)

    def work() -> None:
        ws = aligned(workspace_size(n) * LANES)
        advance(
            T_base_target, pose, q_seed, q, err, iterations, base, chain, slides, unit, task_code, limits, queue, ws
        )

    share(work, -(-count // _PER_THREAD))
    return q, err[0], err[1], iterations


@lru_cache(maxsize=64)
def describe(arm: Arm) -> tuple[Floats, Floats, NDArray[np.int64], Floats, float]:
    """What the compiled code knows of an arm: `fold_chain`, which joints slide, units of the joints, unit of length."""
    length = arm.reach if arm.reach > 0 else 1.0
    return *fold_chain(arm, length), arm.is_prismatic.astype(np.int64), np.where(arm.is_prismatic, length, 1.0), length


@lru_cache(maxsize=8)
def code_of(task: Task) -> NDArray[np.int64]:
    """What the compiled code knows of a task: how many linear rows count, and which angular ones."""
    return np.array([sum(task.rows[:3]), _ANGULAR[task.name]], dtype=np.int64)


@lru_cache(maxsize=1)
def load_kernel() -> Any:
    """The compiled function, from numba's cache on disk or compiled now.

    The cache lies beside this module, or in numba's folder for the user where that cannot be written
    (`NUMBA_CACHE_DIR` puts it elsewhere).
    """
    with _lock:
        advance = _define(stamp())
        advance.compile(_SIGNATURE)
        advance.disable_compile()
        return advance


def _array(kind: Any, dimensions: int) -> Any:
    return types.Array(kind, dimensions, "C")


_SIGNATURE = (
    _array(types.float64, 3),  # targets
    _array(types.int64, 1),  # pose
    *(_array(types.float64, 2) for _ in range(3)),  # seeds, q, err
    _array(types.int64, 1),  # iterations
    _array(types.float64, 2),  # base
    _array(types.float64, 2),  # chain
    _array(types.int64, 1),  # slides
    _array(types.float64, 1),  # unit
    _array(types.int64, 1),  # task_code
    _array(types.float64, 1),  # limits
    _array(types.int64, 1),  # queue
    _array(types.float64, 1),  # ws
)


def _define(version: int) -> Any:
    """The function to compile; see `stamp`."""

    def advance(
        targets: Floats,
        pose: NDArray[np.int64],
        seeds: Floats,
        q_out: Floats,
        err: Floats,
        iterations: NDArray[np.int64],
        base: Floats,
        chain: Floats,
        slides: NDArray[np.int64],
        unit: Floats,
        task_code: NDArray[np.int64],
        limits: Floats,
        queue: NDArray[np.int64],
        ws: Floats,
    ) -> int:
        n, total = len(slides), len(seeds)
        n_linear, angular = task_code
        m = n_linear + angular
        tolerance, max_iterations, max_step, length = limits
        now, new, q, q_next, target, state, equations = layout(n)
        owner = np.full(LANES, -1)
        vacant, busy = (1 << LANES) - 1, 0
        while vacant or busy:
            for lane in range(LANES):
                if vacant >> lane & 1:
                    number = take_number(queue)
                    if number < total:
                        away = size(lane_numbers() - float(lane))
                        _fill(ws, away, targets[pose[number]], seeds[number], unit, length, q, target)
                        begin(ws, away, now, state)
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
            cost = linearise(ws, base, chain, slides, n_linear, angular, q_next, target, new)
            decide(ws, 6 + m * n, n, now, new, q, q_next, state, cost)
            now, new, q, q_next = new, now, q_next, q
            vacant = finished(ws, state, tolerance, max_iterations) & busy
            busy &= ~vacant
            for lane in range(LANES):
                if vacant >> lane & 1:
                    number = owner[lane]
                    _read_joints(ws, lane, q, unit, q_out[number])
                    err[0, number], err[1, number] = _errors(ws, lane, n_linear, m, now, state)
                    err[0, number] *= length
                    iterations[number] = int(ws[(state + COUNT) * LANES + lane])
        return version

    return kept(advance)


@part
def _fill(ws: Floats, away: Vector, T: Floats, seed: Floats, unit: Floats, length: float, q: int, target: int) -> None:
    """Put a seed and its target into a lane, lengths in arm lengths."""
    for k in range(len(unit)):
        put(ws, q + k, away, seed[k] / unit[k])
    for i in range(3):
        for j in range(3):
            put(ws, target + 3 * i + j, away, T[i, j])
        put(ws, target + 9 + i, away, T[i, 3] / length)


@part
def _read_joints(ws: Floats, lane: int, q: int, unit: Floats, out: Floats) -> None:
    for k in range(len(unit)):
        out[k] = ws[(q + k) * LANES + lane] * unit[k]


@part
def _errors(ws: Floats, lane: int, n_linear: int, m: int, e: int, state: int) -> tuple[float, float]:
    """Linear [arm lengths] and angular error of a lane; infinite where it never had a finite one."""
    linear = angular = 0.0
    for k in range(n_linear):
        linear += ws[(e + k) * LANES + lane] ** 2
    for k in range(n_linear, m):
        angular += ws[(e + k) * LANES + lane] ** 2
    if not ws[(state + COST) * LANES + lane] < np.inf:
        return np.inf, np.inf
    return np.sqrt(linear), np.sqrt(angular)


def _as_array(values: Tensor) -> Floats:
    array: Floats = values.detach().to(torch.float64).contiguous().numpy()
    return array
