"""One search: from targets to the distinct solutions in limits, many targets at a time, in rounds of seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.engine import Engine, Found
from ik_mdn.solver.folds import drop_connected, seeds_across_folds
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import Task

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
        tolerance: Largest error of a solution [m], [rad].
        seed: Of the random seeds.
    """

    seeds: int
    draws: int
    restarts: int
    thorough: bool
    first: bool
    deadline: float
    tolerance: float
    seed: int


class Search:
    """One call of `IKSolver.solve`.

    Args:
        engine: Does the work.
        arm, task: What is solved for.
        has_model: Whether the engine can propose.
        T: Targets, (B, 4, 4), on the CPU.
        near: Joint vectors to be near, (B, n), or None.
        effort: How much to do.
    """

    def __init__(
        self,
        engine: Engine,
        arm: Arm,
        task: Task,
        *,
        has_model: bool,
        T: FloatArray,
        near: FloatArray | None,
        effort: Effort,
    ) -> None:
        self.engine, self.arm, self.task, self.has_model = engine, arm, task, has_model
        self.T, self.near, self.effort = T, near, effort
        self.met = np.zeros(len(T), np.bool_)  # targets met, in limits or not
        self.late = np.zeros(len(T), np.bool_)  # targets not finished when the time was over
        self.tried = False  # whether anything was refined
        self._parts: list[Found] = []

    def find(self) -> Found:
        """Solutions in limits; `met` and `late` are then known."""
        effort, pending, self.tried = self.effort, self._within_reach(), True
        if self.has_model:
            if effort.first:
                pending = self._round(pending, _FIRST, partial(self._proposals, most=min(_FIRST, effort.seeds)))
            pending = self._round(pending, effort.seeds + effort.draws, self._proposals)
            if not effort.first:
                self._cross_folds()
        elif self.near is not None and not effort.restarts:
            pending = self._round(pending, 1, self._near_seeds)
        restarts = effort.restarts + 4 * effort.thorough
        for number in range(restarts if len(pending) else 0):
            count = effort.seeds << number
            draws = self._draws(count)
            share = 0.0 if self.has_model else 1 / (2 * count - effort.seeds)  # of all draws so far
            first = number == 0 and not self.has_model and self.near is not None
            pending = self._round(pending, count, partial(self._repeated, draws=draws, share=share, with_near=first))
            pending = pending[self.met[pending] | (2 * (number + 1) < restarts)]
            if not len(pending):
                break
        found = self._found()
        return self._exhaust(found) if effort.thorough and self.task.n_constraints == self.arm.n_joints else found

    def propose(self) -> Found:
        """The model's modes, turned into limits where possible."""
        parts = []
        for poses in self._chunks(np.arange(len(self.T)), self.effort.seeds):
            parts.append(self.engine.measure(poses, self.engine.propose(poses, self.effort.seeds, raw=True)))
        return Found.join([self._nothing(), *parts])

    def _round(self, pending: IntArray, per_target: int, seeds_of: Callable[[IntArray], Any]) -> IntArray:
        """Refine one round of seeds for the pending targets; those that are still without solution come back."""
        left = [pending[:0]]
        for poses in self._chunks(pending, per_target):
            if time.monotonic() > self.effort.deadline:
                self.late[poses] = True
                continue
            found, met = self.engine.settle(poses, seeds_of(poses))
            self.met[poses[met]] = True
            if len(found.pose):
                self._parts.append(found)
            solved = np.zeros(len(poses), np.bool_)
            solved[np.searchsorted(poses, found.pose)] = True
            left.append(poses[~solved])
        return np.concatenate(left)

    def _cross_folds(self) -> None:
        """Look for the branches beside those that were found."""
        for place, found in enumerate(self._parts):
            first = np.ones(len(found.pose), np.bool_)
            first[1:] = found.pose[1:] > found.pose[:-1]
            poses = found.pose[first]
            more, _ = self.engine.settle(poses, self.engine.across(poses, found))
            self._parts[place] = self.engine.add(found, more)

    def _exhaust(self, found: Found) -> Found:
        """Add seeds until no new branch turned up in several rounds: across folds, random, and from the mixture."""
        quiet: IntArray = np.zeros(len(self.T), np.int64)
        count: IntArray = np.bincount(found.pose, minlength=len(self.T))
        pending = self._within_reach()[count[self._within_reach()] > 0]
        for _ in range(_MOST_ROUNDS):
            draws = self._draws(_THOROUGH)
            self._parts = []
            self._round(pending, 4 * _THOROUGH, partial(self._thorough_seeds, draws=draws, found=found))
            found = self.engine.add(found, self._thinned(found, self._found()))
            now = np.bincount(found.pose, minlength=len(self.T))
            quiet = np.where(now > count, 0, quiet + 1)
            pending, count = pending[quiet[pending] < _QUIET], now
            if not len(pending) or time.monotonic() > self.effort.deadline:
                break
        self.late[pending] = True
        return found

    def _thinned(self, found: Found, more: Found) -> Found:
        """Without points on a curve of solutions next to a singularity; only targets with very many are looked at."""
        stays = np.ones(len(more.pose), np.bool_)
        for p in (np.bincount(more.pose, minlength=len(self.T)) > _MOST_BRANCHES).nonzero()[0]:
            rows, known = more.pose == p, found.q[found.pose == p]
            stays[rows] = drop_connected(self.arm, self.task, self.T[p], known, more.q[rows], self.effort.tolerance)
        return more.take(stays)

    def _thorough_seeds(self, poses: IntArray, draws: FloatArray, found: Found) -> Any:
        rows = found.take(np.isin(found.pose, poses))
        across, source = seeds_across_folds(self.arm, self.task, rows.q, thorough=True)
        count = np.bincount(np.searchsorted(poses, rows.pose[source]), minlength=len(poses))
        seeds = [self.engine.repeat(poses, draws, 0.0), self.engine.scatter(poses, count, across)]
        if self.has_model:
            seeds.append(self.engine.draw(poses, _THOROUGH, self._generator))
        return self.engine.join(seeds)

    def _proposals(self, poses: IntArray, most: int | None = None) -> Any:
        seeds = [self.engine.propose(poses, most or self.effort.seeds)]
        if self.effort.draws and most is None:
            seeds.append(self.engine.draw(poses, self.effort.draws, self._generator))
        if self.near is not None:
            seeds.append(self._near_seeds(poses))
        return seeds[0] if len(seeds) == 1 else self.engine.join(seeds)

    def _repeated(self, poses: IntArray, draws: FloatArray, share: float, with_near: bool) -> Any:
        seeds = self.engine.repeat(poses, draws, share)
        return self.engine.join([seeds, self._near_seeds(poses)]) if with_near else seeds

    def _near_seeds(self, poses: IntArray) -> Any:
        assert self.near is not None
        return self.engine.scatter(poses, np.ones(len(poses), np.int64), self.near[poses])

    def _draws(self, count: int) -> FloatArray:
        shape = (count, self.arm.n_joints)
        return self._generator.uniform(self.arm.sample_min, self.arm.sample_max, shape)

    @cached_property
    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(self.effort.seed)

    def _found(self) -> Found:
        return Found.join(self._parts or [self._nothing()])

    def _nothing(self) -> Found:
        empty = np.empty(0)
        return Found(np.empty(0, np.int64), np.empty((0, self.arm.n_joints)), empty, empty, empty)

    def _within_reach(self) -> IntArray:
        """Targets that the sum of the link lengths does not rule out."""
        linear = np.array(self.task.rows[:3], dtype=np.float64)
        axes = np.eye(3) if self.task.R_base_task is None else np.array(self.task.R_base_task)
        away = (self.T[:, :3, 3] - self.arm.offsets[0, :3, 3]) @ axes * linear
        near: NDArray[np.bool_] = (away * away).sum(axis=1) <= (self.arm.farthest + 1e-6) ** 2
        return near.nonzero()[0]

    def _chunks(self, poses: IntArray, seeds: int) -> Iterator[IntArray]:
        """Targets in portions whose seeds fit into memory."""
        step = max(1, _ROWS // seeds)
        return (poses[i : i + step] for i in range(0, len(poses), step))
