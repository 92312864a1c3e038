"""The compiled refinement: many seeds at a time in vector registers, on all cores."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ik_mdn.solver.kernels.compilation import kept
from ik_mdn.solver.kernels.jobs import job_of
from ik_mdn.solver.kernels.kinematics import in_frames
from ik_mdn.solver.kernels.lanes import COUNT, ERR_POS, ERR_ROT, LANES
from ik_mdn.solver.kernels.machine import invoke
from ik_mdn.solver.kernels.pointers import ahead, bare
from ik_mdn.solver.kernels.rules import Refined, Rule
from ik_mdn.solver.kernels.space import Job, at_q, get_joints, memory_for, put_seed, put_target
from ik_mdn.solver.kernels.threads import take_number
from ik_mdn.solver.threads import share
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

    rows = refine_rows(arm, task, _as_array(T_base_target), _as_array(q_seed), rule)
    return Refined(*(torch.from_numpy(x) for x in rows))


def refine_rows(
    arm: Arm, task: Task, T_base_target: FloatArray, q_seed: FloatArray, rule: Rule
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """The same for contiguous arrays: what `Refined` holds."""
    given = (rule.tolerance**2, rule.max_iterations, rule.max_step, math.inf, 1.0, math.inf, rule.tolerance**2, 0.0)
    job, count = job_of(arm, task, given), len(q_seed)
    q, err, iterations, queue = np.empty_like(q_seed), np.empty((2, count)), np.empty(count, np.int64), np.zeros(1, int)
    T = np.ascontiguousarray(in_frames(task, T_base_target))
    share(lambda: advance(job, T, q_seed, q, err, iterations, queue), -(-count // _PER_THREAD))
    return q, err[0], err[1], iterations


@lru_cache(maxsize=1)
def load_kernel() -> None:
    """See whether numba and LLVM compile here."""
    works(np.zeros(1))


@kept
def works(numbers: FloatArray) -> float:
    """The first number."""
    return float(numbers[0])


@kept
def advance(
    job: Job,
    targets: FloatArray,
    seeds: FloatArray,
    q_out: FloatArray,
    err: FloatArray,
    iterations: IntArray,
    queue: IntArray,
) -> None:
    """Refine seeds until the queue is empty.

    Args:
        job: The arm and the task.
        targets, seeds: (N, 4, 4) in the frames of the task, and (N, n).
        q_out, err, iterations: Written: what `Refined` holds, (N, n), (2, N), (N,).
        queue: Zero at the start, shared by all threads.
    """
    arm, total = bare(job), len(seeds)
    before, _, state, measures, table = at_q(arm.n)
    memory, first = memory_for(table * LANES)
    ws, owner = ahead(bare(memory), first), np.full(LANES, -1)
    busy, vacant = 0, (1 << LANES) - 1
    while vacant or busy:
        for lane in range(LANES):
            if vacant >> lane & 1:
                number = take_number(queue)
                if number < total:
                    put_target(arm, ahead(bare(targets), 16 * number), ws, lane)
                    put_seed(arm, ahead(bare(seeds), arm.n * number), ws, lane)
                    owner[lane] = number
                    busy |= 1 << lane
        if not busy:
            break
        bits = invoke(arm.iterate, (ws, arm.numbers, arm.rule))
        vacant = (bits | bits >> LANES) & busy
        busy &= ~vacant
        for lane in range(LANES):
            if vacant >> lane & 1:
                number = owner[lane]
                get_joints(arm, ws, before, lane, ahead(bare(q_out), arm.n * number))
                err[0, number] = np.sqrt(ws[(measures + ERR_POS) * LANES + lane]) * arm.length
                err[1, number] = np.sqrt(ws[(measures + ERR_ROT) * LANES + lane])
                iterations[number] = int(ws[(state + COUNT) * LANES + lane])
    memory[0] = 0.0  # so that it is kept until here


def _as_array(values: Tensor) -> FloatArray:
    import torch

    array: FloatArray = values.detach().to(torch.float64).contiguous().numpy()
    return array
