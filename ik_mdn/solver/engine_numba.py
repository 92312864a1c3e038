"""A search's work in compiled code, for float64 on the CPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.engine import (
    ROWS,
    SINGULAR,
    Condition,
    Found,
    NoPoseError,
    Problem,
    Seeds,
    fine_tolerance,
    merge_distance,
    starts,
)
from ik_mdn.solver.kernels import answering as kernel
from ik_mdn.solver.kernels.answers import Answers, gather, no_answers
from ik_mdn.solver.kernels.jobs import job_of
from ik_mdn.solver.kernels.kinematics import in_frames
from ik_mdn.solver.kernels.pointers import packed
from ik_mdn.solver.kernels.proposing import propose_some
from ik_mdn.solver.kernels.roots import mark_new
from ik_mdn.solver.kernels.rules import FIRM, MAX_ITERATIONS, MAX_STEP, SHRINK, STALLED
from ik_mdn.solver.kernels.settle import measure
from ik_mdn.solver.kernels.space import Job
from ik_mdn.solver.options import RANKS, Effort, Rank
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.proposers import CompiledModel, no_model
from ik_mdn.solver.search import first_draws
from ik_mdn.solver.solutions import STATUSES, SolutionBatch, Status
from ik_mdn.solver.threads import share
from ik_mdn.solver.windings import middle
from sim.arm import Arm
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.task import ROTATION_TOLERANCE, Task

_CHUNK, _CHUNK_IN_TIME = 8192, 512  # targets solved in one go; bounds the memory
_CALLS = 64  # sets of options that a solver remembers


def job_for(arm: Arm, task: Task, tolerance: float) -> Job:
    """What is solved for, as the compiled code takes it."""
    fine, square = fine_tolerance(tolerance), task.n_constraints == arm.n_joints
    stalled = STALLED if square else math.inf  # on the way to a curve of solutions a pause is no end
    rule = (fine**2, MAX_ITERATIONS, MAX_STEP, stalled**2, SHRINK**2, FIRM, tolerance**2, SINGULAR)
    return job_of(arm, task, rule, tolerance=float(tolerance), exact=fine, merge=merge_distance(tolerance))


class CompiledEngine:
    """See `ik_mdn.solver.engine.Engine`.

    Args:
        problem: What is solved for.
        model: A mixture, or None.
    """

    def __init__(self, problem: Problem, model: CompiledModel | None) -> None:
        self.problem, self.model, self.has_model, self.rows = problem, model, model is not None, ROWS
        self.T = in_frames(problem.task, problem.T)
        self.near = middle(problem.arm)[None] if problem.near is None else problem.near

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        assert self.model is not None
        proposer, P = (self.model.exact if raw else self.model).proposer, len(poses)
        start, q, weight = (
            np.zeros(P + 1, np.int64),
            np.empty((P * most, self.problem.arm.n_joints)),
            np.empty(P * most),
        )
        propose_some(self.problem.T[poses], proposer, most, start, q, weight)
        return Seeds(start, q[: start[-1]], weight[: start[-1]])

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        assert self.model is not None
        import torch

        from ik_mdn.solver.engine_torch import draw

        return draw(self.model.network, torch.from_numpy(self.problem.T[poses]), count, generator)

    def settle(
        self, poses: IntArray, seeds: Seeds, tolerance: float | None = None, *, beside: bool = False
    ) -> tuple[Found, NDArray[np.bool_]]:
        arm, task = self.problem.arm, self.problem.task
        most = int(seeds.counts.max(initial=0))
        job, step = job_for(arm, task, float(tolerance or self.problem.tolerance)), _block_size(most)
        answers = _blocks(len(poses), step, 2 * most, arm.n_joints)
        met, queue = np.zeros(len(poses), np.bool_), np.zeros(1, np.int64)
        given = (poses, self.T, self.near, seeds.start, seeds.q, seeds.weight, most, beside, job, answers, met, queue)
        share(lambda: kernel.settle_some(*given), -(-len(poses) // step))
        rows = no_answers(int(answers.counts.sum()), arm.n_joints, 0)
        gather(step, answers, rows)
        return Found(poses.repeat(answers.counts[1:]), rows.q, *rows.values[1:]), met

    def is_new(self, found: Found, more: Found) -> BoolArray:
        first = (rows.pose.searchsorted(np.arange(len(self.T) + 1)) for rows in (found, more))
        new = np.empty(len(more.pose), np.bool_)
        turns = (~self.problem.arm.is_prismatic).astype(np.int64)
        mark_new(*first, found.q, more.q, turns, merge_distance(self.problem.tolerance), new)
        return new

    def condition(self, q: FloatArray) -> Condition:
        job, queue = job_for(self.problem.arm, self.problem.task, self.problem.tolerance), np.zeros(1, np.int64)
        singular, manipulability = np.empty(len(q), np.bool_), np.empty(len(q))
        share(lambda: measure(job, q, singular, manipulability, queue), -(-len(q) // 4096))
        return Condition(singular, manipulability)


class OneCall:
    """Solves targets in one compiled call, as far as the first round of seeds is enough.

    Args:
        arm: The arm.
        task: The task.
        model: A mixture, or None: the seeds are random.
    """

    def __init__(self, arm: Arm, task: Task, model: CompiledModel | None) -> None:
        self.arm, self.task, self.model = arm, task, model
        self._middle = middle(arm)[None]
        some = np.eye(4)[None]
        self._is_framed = in_frames(task, some) is not some
        self._calls: dict[Any, _Call] = {}
        self._memory: list[FloatArray] = []  # of calls that have ended, for the next one

    def answer(
        self, problem: Problem, effort: Effort, rank: Rank, most: int | None
    ) -> tuple[SolutionBatch, IntArray | None]:
        """Solutions of all targets, and the numbers of those that are left open, None where there are none.

        Open is a target without solution, one with a singular solution (which may lie on a curve), and one that was not
        begun when the time was over.

        Args:
            problem: What is solved for, of this arm and task.
            effort: How much to do, but for restarts.
            rank: What solutions are ordered by.
            most: Most solutions of a target; None: all.

        Raises:
            NoPoseError: A target is none.
        """
        T, near, B = problem.T, problem.near, len(problem.T)
        call = self._call(problem.tolerance, near is not None, effort, rank, most)
        turned, near = in_frames(self.task, T) if self._is_framed else T, self._middle if near is None else near
        if 0 < B <= call.step and not problem.is_late:
            answers = no_answers(B * call.rows, call.n, B)
            q, values, counts, became = answers
            memory = self._borrowed(call)
            worst = kernel.answer(T, turned, near, call.words, memory, *answers, np.zeros(1, np.int64))
            self._memory.append(memory)
            offsets = counts if B == 1 else counts.cumsum()
            total = offsets[-1]
            q, values = q[:total], values[:, :total]
        else:
            q, values, offsets, became = self._in_chunks(problem, turned, near, call)
            worst = became.max(initial=kernel.SOLVED)
        if worst == kernel.NO_POSE:
            raise NoPoseError
        batch = SolutionBatch.unchecked(q, values, offsets, _STATUS[became], call.law)
        return batch, (became == kernel.OPEN).nonzero()[0] if worst == kernel.OPEN else None

    def _borrowed(self, call: _Call) -> FloatArray:
        """Memory of a call that has ended, where there is some that is large enough."""
        try:
            memory = self._memory.pop()  # so that no other thread has it
        except IndexError:
            return call.memory()
        return memory if len(memory) >= call.size else call.memory()

    def _in_chunks(self, problem: Problem, turned: FloatArray, near: FloatArray, call: _Call) -> Any:
        """Joint vectors, values, offsets and what became of the targets, solved some at a time, by several threads."""
        B, n = len(turned), near.shape[1]
        became, counts = np.full(B, kernel.OPEN), np.zeros(B, np.int64)
        parts = [no_answers(0, n, 0)]
        chunk = _CHUNK if problem.deadline == math.inf else _CHUNK_IN_TIME
        for begin in range(0, B, chunk):
            if problem.is_late:
                break
            rows = slice(begin, min(begin + chunk, B))
            here = near[rows] if call.has_near else near
            given, queue = (problem.T[rows], turned[rows], here, call.words), np.zeros(1, np.int64)
            answers = _blocks(rows.stop - begin, call.step, call.rows, call.n)

            def work(given: Any = given, answers: Any = answers, queue: IntArray = queue) -> None:
                kernel.answer(*given, call.memory(), *answers, queue)

            share(work, -(-len(answers.became) // call.step))
            parts.append(no_answers(int(answers.counts.sum()), n, 0))
            gather(call.step, answers, parts[-1])
            became[rows], counts[rows] = answers.became, answers.counts[1:]
        columns = [[part.q for part in parts], [part.values for part in parts]]
        parts.clear()  # each half is let go as soon as it is joined, which bounds the memory
        q, values = np.concatenate(columns.pop(0)), np.concatenate(columns.pop(0), axis=1)
        return q, values, starts(counts), became

    def _call(self, tolerance: float, has_near: bool, effort: Effort, rank: Rank, most: int | None) -> _Call:
        """What the compiled call is given besides targets, kept for the next one."""
        key = (tolerance, has_near, effort.seeds, effort.first, effort.seed, rank, most)
        if key not in self._calls:
            if len(self._calls) > _CALLS:
                self._calls.clear()
            job, count = job_for(self.arm, self.task, tolerance), effort.seeds + has_near
            kept = 2 * count if most is None else min(most, 2 * count)
            model = self.model
            with_model, exact = model is not None, job.isolated and not effort.first
            place = RANKS.index(rank)
            wish = kernel.Wish(effort.seeds, effort.first, place, kept, exact, has_near, with_model, ROTATION_TOLERANCE)
            draws = first_draws(self.arm, effort.seed, 0 if with_model else effort.seeds)
            proposer = no_model() if model is None else model.quick if effort.first else model.proposer
            self._calls[key] = _Call(kernel.Given(proposer, job, wish, draws, len(draws)), count)
        return self._calls[key]


class _Call:
    """What the compiled call is given besides targets, with all that its words point to."""

    def __init__(self, given: kernel.Given, most: int) -> None:
        self.given, self.words, self.step = given, packed(given), _block_size(most)
        self.size = kernel.memory_of_call(self.words, self.step)
        self.rows, self.n, self.has_near = given.wish.most, given.job.n, given.wish.has_near
        self.law = Law.EXACT if given.wish.exact else Law.PROPOSALS

    def memory(self) -> FloatArray:
        """Memory for one thread."""
        return np.empty(self.size)


_STATUS = np.array([STATUSES.index(s) for s in (Status.SOLVED, Status.SINGULAR, *[Status.UNREACHABLE] * 2)], np.uint8)
_block_size = kernel.block_size.py_func


def _blocks(poses: int, step: int, rows: int, n: int) -> Answers:
    """Room for so many solutions of each target, block by block."""
    return no_answers(-(-poses // step) * min(step, poses) * rows, n, poses)
