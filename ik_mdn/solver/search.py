"""One search: from targets to the distinct solutions in limits, many targets at a time, in rounds of seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch

from ik_mdn.solver.branches import turn_into_limits
from ik_mdn.solver.engine import Engine, Found, Problem, Seeds
from ik_mdn.solver.engine_torch import Rows, measure
from ik_mdn.solver.folds import drop_connected, seeds_across_folds
from sim.arrays import BoolArray, FloatArray, IntArray

_ROWS = 1 << 16  # seeds refined in one go; bounds the memory
_FIRST = 8  # seeds tried first where one solution is enough: as many as are refined side by side
_QUIET = 3  # rounds without a new branch after which a thorough search ends
_THOROUGH = 64  # random seeds in each of its rounds, and as many draws from the mixture
_MOST_ROUNDS = 40  # of a thorough search
_MOST_BRANCHES = 16  # of an arm with as many joints as constraints (Lee and Liang 1988, Manseur and Doty 1989)


@dataclass(frozen=True)
class Effort:
    """How much a search may do.

    Args:
        seeds: Most components refined per target; random seeds in the first round.
        draws: Draws from the mixture per target, besides.
        restarts: Most rounds of random seeds per target.
        thorough: Go on until no new branch turns up.
        first: Stop at a target's first solution.
        deadline: `time.monotonic()` after which nothing more is begun.
        seed: Of the random seeds.
    """

    seeds: int
    draws: int
    restarts: int
    thorough: bool
    first: bool
    deadline: float
    seed: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a search ended.

    Args:
        found: Solutions in limits; what the model proposed where nothing was refined.
        met: Which targets were met, in limits or not, (B,).
        late: Which targets were not finished when the time was over, (B,).
        refined: Whether anything was.
    """

    found: Found
    met: BoolArray
    late: BoolArray
    refined: bool = True


def search(engine: Engine, problem: Problem, effort: Effort) -> Outcome:
    """The distinct solutions in limits of each target, as far as an effort finds them.

    Args:
        engine: Does the work.
        problem: What is solved for.
        effort: How much to do.
    """
    return _Search(engine, problem, effort).run()


def propose(engine: Engine, problem: Problem, most: int) -> Outcome:
    """The model's modes as they are, at most so many of each target, turned into limits where possible."""
    parts, n = [], len(problem.T)
    for poses in _chunks(np.arange(n), most):
        seeds = engine.propose(poses, most, raw=True)
        pose = poses.repeat(seeds.counts)
        near = None if problem.near is None else torch.from_numpy(problem.near[pose])
        q, _ = turn_into_limits(problem.arm, torch.from_numpy(seeds.q), near)
        rows = Rows(torch.from_numpy(pose), q, torch.from_numpy(seeds.weight))
        parts.append(measure(problem.arm, problem.task, torch.from_numpy(problem.T), rows))
    found = Found.join([_nothing(problem), *parts])
    return Outcome(found, np.zeros(n, np.bool_), np.zeros(n, np.bool_), refined=False)


class _Search:
    """The state of `search`."""

    def __init__(self, engine: Engine, problem: Problem, effort: Effort) -> None:
        self.engine, self.problem, self.effort = engine, problem, effort
        self.met, self.late = np.zeros(len(problem.T), np.bool_), np.zeros(len(problem.T), np.bool_)
        self.parts: list[Found] = []  # what each round found, chunk by chunk

    def run(self) -> Outcome:
        """See `search`."""
        pending = _within_reach(self.problem)
        if self.engine.has_model:
            pending = self._refine_proposals(pending)
        elif self.problem.near is not None and not self.effort.restarts:
            pending = self._round(pending, 1, self._near_seeds)
        self._restart(pending)
        found = self._found()
        if self.effort.thorough and self.problem.task.n_constraints == self.problem.arm.n_joints:
            found = self._exhaust(found)
        return Outcome(found, self.met, self.late)

    def _refine_proposals(self, pending: IntArray) -> IntArray:
        """Refine what the model proposes, and look for the branches beside; targets that are left without solution."""
        effort = self.effort
        if effort.first:
            pending = self._round(pending, _FIRST, partial(self._proposals, most=min(_FIRST, effort.seeds)))
        pending = self._round(pending, effort.seeds + effort.draws, self._proposals)
        if not effort.first:
            self._cross_folds()
        return pending

    def _restart(self, pending: IntArray) -> None:
        """Refine random seeds for the pending targets, in rounds each twice as large as before."""
        effort, alone = self.effort, not self.engine.has_model
        restarts = effort.restarts + 4 * effort.thorough
        for number in range(restarts):
            if not len(pending):
                break
            count = effort.seeds << number
            share = 1 / (2 * count - effort.seeds) if alone else 0.0  # of all draws so far
            near = number == 0 and alone and self.problem.near is not None
            seeds_of = partial(self._repeated, q=self._draws(count), share=share, near=near)
            pending = self._round(pending, count, seeds_of)
            pending = pending[self.met[pending] | (2 * (number + 1) < restarts)]

    def _round(self, pending: IntArray, per_target: int, seeds_of: Callable[[IntArray], Seeds]) -> IntArray:
        """Refine one round of seeds for the pending targets; those that are still without solution come back."""
        left = [pending[:0]]
        for poses in _chunks(pending, per_target):
            if time.monotonic() > self.effort.deadline:
                self.late[poses] = True
                continue
            found, met = self.engine.settle(poses, seeds_of(poses))
            self.met[poses[met]] = True
            if len(found.pose):
                self.parts.append(found)
            solved = np.zeros(len(poses), np.bool_)
            solved[np.searchsorted(poses, found.pose)] = True
            left.append(poses[~solved])
        return np.concatenate(left)

    def _cross_folds(self) -> None:
        """Look for the branches beside those that were found."""
        for place, found in enumerate(self.parts):
            first = np.ones(len(found.pose), np.bool_)
            first[1:] = found.pose[1:] > found.pose[:-1]
            poses = found.pose[first]
            more, _ = self.engine.settle(poses, self.engine.across(poses, found))
            self.parts[place] = self._add(found, more)

    def _exhaust(self, found: Found) -> Found:
        """Add seeds until no new branch turned up in several rounds: across folds, random, and from the mixture."""
        quiet: IntArray = np.zeros(len(self.late), np.int64)
        count: IntArray = np.bincount(found.pose, minlength=len(quiet))
        pending = count.nonzero()[0]
        for _ in range(_MOST_ROUNDS):
            self.parts = []
            self._round(pending, 4 * _THOROUGH, partial(self._thorough_seeds, q=self._draws(_THOROUGH), found=found))
            found = self._add(found, self._thinned(found, self._found()))
            now = np.bincount(found.pose, minlength=len(quiet))
            quiet = np.where(now > count, 0, quiet + 1)
            pending, count = pending[quiet[pending] < _QUIET], now
            if not len(pending) or time.monotonic() > self.effort.deadline:
                break
        self.late[pending] = True
        return found

    def _add(self, found: Found, more: Found) -> Found:
        """What was found, and those of some more solutions that are other branches."""
        if not len(more.pose):
            return found
        new = self.engine.is_new(found, more)
        return Found.join([found, more.take(new)]) if new.any() else found

    def _found(self) -> Found:
        return Found.join(self.parts or [_nothing(self.problem)])

    def _thinned(self, found: Found, more: Found) -> Found:
        """Without points on a curve of solutions next to a singularity; only targets with very many are looked at."""
        arm, task, T, _, tolerance = self.problem
        stays = np.ones(len(more.pose), np.bool_)
        for p in (np.bincount(more.pose, minlength=len(T)) > _MOST_BRANCHES).nonzero()[0]:
            rows, known = more.pose == p, found.q[found.pose == p]
            stays[rows] = drop_connected(arm, task, T[p], known, more.q[rows], tolerance)
        return more.take(stays)

    def _proposals(self, poses: IntArray, most: int | None = None) -> Seeds:
        seeds = [self.engine.propose(poses, most or self.effort.seeds)]
        if self.effort.draws and most is None:
            seeds.append(self.engine.draw(poses, self.effort.draws, self.generator))
        if self.problem.near is not None:
            seeds.append(self._near_seeds(poses))
        return Seeds.join(seeds)

    def _repeated(self, poses: IntArray, q: FloatArray, share: float, near: bool) -> Seeds:
        seeds = Seeds.repeated(len(poses), q, share)
        return Seeds.join([seeds, self._near_seeds(poses)]) if near else seeds

    def _near_seeds(self, poses: IntArray) -> Seeds:
        assert self.problem.near is not None
        return Seeds.weightless(np.ones(len(poses), np.int64), self.problem.near[poses])

    def _thorough_seeds(self, poses: IntArray, q: FloatArray, found: Found) -> Seeds:
        rows = found.take(np.isin(found.pose, poses))
        across, source = seeds_across_folds(self.problem.arm, self.problem.task, rows.q, thorough=True)
        count = np.bincount(np.searchsorted(poses, rows.pose[source]), minlength=len(poses))
        seeds = [Seeds.repeated(len(poses), q, 0.0), Seeds.weightless(count, across)]
        if self.engine.has_model:
            seeds.append(self.engine.draw(poses, _THOROUGH, self.generator))
        return Seeds.join(seeds)

    @cached_property
    def generator(self) -> np.random.Generator:
        """Of all random seeds."""
        return np.random.default_rng(self.effort.seed)

    def _draws(self, count: int) -> FloatArray:
        arm = self.problem.arm
        return self.generator.uniform(arm.sample_min, arm.sample_max, (count, arm.n_joints))


def _within_reach(problem: Problem) -> IntArray:
    """Targets that the sum of the link lengths does not rule out."""
    linear = np.array(problem.task.rows[:3], dtype=np.float64)
    R = problem.task.R_base_task
    axes = np.eye(3) if R is None else np.array(R)
    away = (problem.T[:, :3, 3] - problem.arm.offsets[0, :3, 3]) @ axes * linear
    near: BoolArray = (away * away).sum(axis=1) <= (problem.arm.farthest + 1e-6) ** 2
    return near.nonzero()[0]


def _nothing(problem: Problem) -> Found:
    empty = np.empty(0)
    return Found(np.empty(0, np.int64), np.empty((0, problem.arm.n_joints)), empty, empty, empty)


def _chunks(poses: IntArray, seeds: int) -> Iterator[IntArray]:
    """Targets in portions whose seeds fit into memory."""
    step = max(1, _ROWS // seeds)
    return (poses[i : i + step] for i in range(0, len(poses), step))
