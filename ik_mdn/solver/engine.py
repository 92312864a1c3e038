"""What a search works with: the problem, seeds, what was found; and the work done for it, compiled or in torch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import BoolArray, FloatArray, IntArray, is_tensor, library_of
from sim.task import Task, counted_position

MERGE = 1e-4  # distance on the circle [rad, m] below which two solutions are one: where branches meet,
# the error grows with the square of this distance, so it is the square root of the solver's tolerance
SINGULAR = 1e-4  # smallest singular value of the task Jacobian (lengths in arm lengths) that counts as singular
NEARLY = 1e-4  # error [m], [rad] up to which a target that no joint vector meets is nearly met: what arms repeat to
MIN_WEIGHT = 3e-4  # seeds that weigh less are not refined

ROWS = 1 << 16  # seeds that a processor refines in one go; bounds the memory

_PORTION, _PORTION_TIME = 64, 0.01  # rows refined at first, and time that a portion is to take [s], under a deadline
_OVERSHOOT = 1e-4  # refinement goes on to this share of the tolerance, so that both halves of a double root merge
_FINEST = 1e-13  # [rad, arm lengths] what rounding lets refinement reach


class NoPoseError(Exception):
    """A target is no pose; found in compiled code, which cannot say why."""


class Problem(NamedTuple):
    """What is solved for."""

    arm: Arm
    task: Task
    T: FloatArray  # (B, 4, 4) targets, contiguous
    near: FloatArray | None  # (B, n) joint vectors to be near
    tolerance: float  # largest error of a solution [m], [rad]
    deadline: float = math.inf  # `time.monotonic()` after which nothing more is begun

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return self.deadline < math.inf and time.monotonic() > self.deadline

    def of(self, poses: IntArray | slice) -> Problem:
        """The same for some of the targets, by number."""
        return self._replace(T=self.T[poses], near=None if self.near is None else self.near[poses])

    def parts(self, most: int) -> Iterator[Problem]:
        """The same for some targets after others, one or more times; for all at once where there is a deadline."""
        step = most if self.deadline == math.inf else max(1, len(self.T))
        return (self.of(slice(i, i + step)) for i in range(0, max(1, len(self.T)), step))

    @property
    def is_redundant(self) -> bool:
        """Whether the arm has a joint to spare, so that solutions form curves."""
        return self.arm.n_joints > self.task.n_constraints


class Seeds(NamedTuple):
    """Joint vectors to refine for some targets, target after target; tensors where an engine keeps them on a GPU."""

    start: IntArray  # (P + 1,) where each target's rows begin
    q: Any  # (R, n)
    weight: Any  # (R,)

    @property
    def counts(self) -> IntArray:
        """Seeds of each target, (P,)."""
        return self.start[1:] - self.start[:-1]

    @staticmethod
    def repeated(count: int, q: FloatArray, weight: float) -> Seeds:
        """The same seeds (S, n) for each of `count` targets."""
        return Seeds(np.arange(count + 1) * len(q), np.tile(q, (count, 1)), np.full(count * len(q), weight))

    @staticmethod
    def weightless(counts: IntArray, q: FloatArray) -> Seeds:
        """Seeds (R, n), so many of each target, (P,)."""
        return Seeds(starts(counts), np.ascontiguousarray(q), np.zeros(len(q)))

    @staticmethod
    def join(parts: list[Seeds]) -> Seeds:
        """Seeds of the same targets as one."""
        if len(parts) == 1:
            return parts[0]
        order = np.concatenate([np.arange(len(part.counts)).repeat(part.counts) for part in parts]).argsort(
            kind="stable"
        )
        q, weight = (_concatenated([part[column] for part in parts])[order] for column in (1, 2))
        return Seeds(np.sum([part.start for part in parts], axis=0), q, weight)


class Found(NamedTuple):
    """Joint vectors of some targets, target after target."""

    pose: IntArray  # (M,) which target, ascending
    q: FloatArray  # (M, n)
    weight: FloatArray  # (M,)
    err_pos: FloatArray  # (M,) [m]
    err_rot: FloatArray  # (M,) [rad]

    def take(self, rows: NDArray[Any]) -> Found:
        """Some of the rows, by number or mask."""
        return Found(*(column[rows] for column in self))

    @staticmethod
    def none(n_joints: int) -> Found:
        """No joint vector of any target."""
        empty = np.empty(0)
        return Found(np.empty(0, np.int64), np.empty((0, n_joints)), empty, empty, empty)

    @staticmethod
    def join(parts: list[Found]) -> Found:
        """All rows of the parts (one or more), sorted by target; within a target part after part."""
        if len(parts) == 1:
            return parts[0]
        joined = Found(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        return joined.take(joined.pose.argsort(kind="stable"))


class Condition(NamedTuple):
    """How well conditioned joint vectors are."""

    singular: BoolArray  # (R,) whether the smallest singular value is below `SINGULAR`
    manipulability: FloatArray  # (R,)


class Engine(Protocol):
    """The work of a search; `poses` (P,) are the numbers of some targets, ascending."""

    has_model: bool
    rows: int  # seeds that it refines in one go; bounds the memory

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        """Seeds from the model: the heaviest `most` per target, component means alone where `raw`."""

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        """Seeds drawn from the model's mixture."""

    def settle(
        self, poses: IntArray, seeds: Seeds, tolerance: float | None = None, *, beside: bool = False
    ) -> tuple[Found, BoolArray]:
        """Distinct solutions in limits that the seeds lead to, and which of the targets were met, in limits or not.

        Seeds that are not refined when the time is over lead nowhere. `tolerance`: None for the problem's. `beside`:
        also those that lie across the folds beside them; see `ik_mdn.solver.folds`.
        """

    def is_new(self, found: Found, more: Found) -> BoolArray:
        """Which of some more solutions, distinct among themselves, are other branches than those found."""

    def condition(self, q: FloatArray) -> Condition:
        """Whether each joint vector (R, n) is singular, and its manipulability (R,)."""


def within_reach(problem: Problem, slack: float = 1e-6) -> IntArray:
    """Targets that the sum of the link lengths does not rule out."""
    away = counted_position(problem.task, problem.T[:, :3, 3] - problem.arm.offsets[0, :3, 3])
    near: BoolArray = (away * away).sum(axis=1) <= (problem.arm.farthest + slack) ** 2
    return near.nonzero()[0]


def chunks(poses: IntArray, seeds: int, rows: int) -> Iterator[IntArray]:
    """Targets in portions that have no more than so many rows of seeds."""
    step = max(1, rows // seeds)
    return (poses[i : i + step] for i in range(0, len(poses), step))


def portions(count: int, problem: Problem) -> Iterator[slice]:
    """Rows 0 to `count`, all at once, or where there is a deadline so few at a time that it is not overrun by much."""
    if problem.deadline == math.inf:
        yield slice(count)
        return
    begin, size = 0, _PORTION
    while begin < count and not problem.is_late:
        before = time.monotonic()
        yield slice(begin, begin + size)
        begin += size
        size = max(_PORTION, min(2 * size, int(size * _PORTION_TIME / max(time.monotonic() - before, 1e-6))))


def _concatenated(columns: list[Any]) -> Any:
    """Arrays as one; where one is a tensor, on its device."""
    tensor = next(filter(is_tensor, columns), None)
    if tensor is None:
        return np.concatenate(columns)
    torch = library_of(tensor)
    return torch.cat([torch.as_tensor(column, device=tensor.device) for column in columns])


def starts(counts: IntArray) -> IntArray:
    """Where each of some groups begins, and where the last one ends, (P + 1,)."""
    start = np.zeros(len(counts) + 1, np.int64)
    counts.cumsum(out=start[1:])
    return start


def fine_tolerance(tolerance: float) -> float:
    """Residual that refinement goes on to, for solutions of a tolerance."""
    return max(_OVERSHOOT * tolerance, _FINEST)


def merge_distance(tolerance: float) -> float:
    """Distance on the circle [rad, m] below which two solutions of a tolerance are one."""
    return float(max(MERGE, tolerance**0.5))
