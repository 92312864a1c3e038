"""One search: from targets to the distinct solutions in limits, many targets at a time, in rounds of seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ik_mdn.solver.boxes import pull_inside
from ik_mdn.solver.continua import curved_targets, on_curve
from ik_mdn.solver.engine import NEARLY, Engine, Found, Problem, Seeds, chunks, within_reach
from ik_mdn.solver.folds import drop_connected, seeds_across_folds
from ik_mdn.solver.options import Effort
from ik_mdn.solver.pairs import complete_pairs
from ik_mdn.solver.resting import on_limits
from ik_mdn.solver.valleys import EXACT, look_along
from ik_mdn.solver.windings import turn_into_limits
from sim.arm import Arm
from sim.arrays import BoolArray, FloatArray, IntArray

_ROWS_IN_TIME = 1 << 12  # seeds refined in one go where there is a deadline
_COLLECTING = 2e-6  # [s] per row found: its condition, weight and order
_VALLEY = 8  # times as many seeds along valleys as there are at first, about
_LAST = 32  # random seeds of what is tried last: pulled into limits, or accepted a little off the target
_FIRST = 8  # seeds tried first where one solution is enough: as many as are refined side by side
_QUIET = 3  # rounds without a new branch after which a thorough search ends
_THOROUGH = 64  # random seeds in each of its rounds, and as many draws from the mixture
_MOST_ROUNDS = 40  # of a thorough search
_MOST_BRANCHES = 16  # of an arm with as many joints as constraints (Lee and Liang 1988, Manseur and Doty 1989)


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a search ended.

    Args:
        found: Solutions in limits; what the model proposed where nothing was refined.
        met: Which targets were met, in limits or not, (B,).
        late: Which targets were not finished when the time was over, (B,).
        nearly: Which targets were not met in limits, but nearly: what was found of them is off by up to `engine.NEARLY`, (B,).
        curved: Which targets the search found to be met along a curve, (B,).
        refined: Whether anything was.
    """

    found: Found
    met: BoolArray
    late: BoolArray
    nearly: BoolArray
    curved: BoolArray
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
    import torch

    from ik_mdn.solver.engine_torch import Rows, measure

    parts, n = [], len(problem.T)
    for poses in chunks(np.arange(n), most, engine.rows):
        seeds = engine.propose(poses, most, raw=True)
        pose = poses.repeat(seeds.counts)
        near = None if problem.near is None else torch.from_numpy(problem.near[pose])
        q, _ = turn_into_limits(problem.arm, torch.as_tensor(seeds.q, device="cpu"), near)
        rows = Rows(torch.from_numpy(pose), q, torch.as_tensor(seeds.weight, device="cpu"))
        parts.append(measure(problem.arm, problem.task, torch.from_numpy(problem.T), rows))
    found, none = Found.join([Found.none(problem.arm.n_joints), *parts]), np.zeros(n, np.bool_)
    return Outcome(found, none, none, none, none, refined=False)


class _Search:
    """The state of `search`."""

    def __init__(self, engine: Engine, problem: Problem, effort: Effort) -> None:
        self.engine, self.problem, self.effort = engine, problem, effort
        self.met, self.late, self.curved = np.zeros((3, len(problem.T)), np.bool_)
        self.rows = engine.rows if problem.deadline == math.inf else _ROWS_IN_TIME
        self.parts: list[Found] = []  # what each round found, chunk by chunk

    def run(self) -> Outcome:
        """See `search`."""
        pending = within_reach(self.problem)
        if self.engine.has_model:
            pending = self._refine_proposals(pending)
        elif self.problem.near is not None and not self.effort.restarts:
            pending = self._round(pending, 1, self._near_seeds)
        self._restart(pending)
        if self.problem.is_redundant:
            self._pull_into_limits()
            self._pull_near()
        elif self.effort.lost:
            self._look_along_valleys()
            if self.effort.restarts and self.engine.has_model:
                looked_at = ~(self.curved | self.late)
                self.parts = [complete_pairs(self.engine, self.problem, self._found(), looked_at, self.effort.seed)]
        found = self._found()
        if self.effort.thorough and not self.problem.is_redundant:
            found = self._exhaust(found)
        nearly = np.zeros(len(self.met), np.bool_)
        for more in (self._near_misses(found), self._on_limits(found)):
            if len(more.pose):
                nearly[more.pose[np.maximum(more.err_pos, more.err_rot) > self.problem.tolerance]] = True
                found = Found.join([found, more])
        return Outcome(found, self.met, self.late, nearly, self.curved)

    def _refine_proposals(self, pending: IntArray) -> IntArray:
        """Refine what the model proposes, and look for the branches beside; targets that are left without solution."""
        effort = self.effort
        if effort.first:
            pending = self._round(pending, _FIRST, partial(self._proposals, most=min(_FIRST, effort.seeds)))
        return self._round(
            pending, effort.seeds + effort.draws + effort.spread, self._proposals, beside=not effort.first
        )

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

    def _round(
        self, pending: IntArray, per_target: int, seeds_of: Callable[[IntArray], Seeds], *, beside: bool = False
    ) -> IntArray:
        """Refine one round of seeds for the pending targets; those that are still without solution come back.

        With `beside` also look for the branches across the folds beside those that are found.
        """
        left = [pending[:0]]
        for poses in chunks(pending, per_target, self.rows):
            if self._is_late():
                self.late[poses] = True
                continue
            found, met = self.engine.settle(poses, seeds_of(poses), beside=beside)
            self.met[poses[met]] = True
            if len(found.pose):
                self.parts.append(found)
            solved = np.zeros(len(poses), np.bool_)
            solved[np.searchsorted(poses, found.pose)] = True
            left.append(poses[~solved])
            self.late[left[-1]] |= self._is_late()
        return np.concatenate(left)

    def _exhaust(self, found: Found) -> Found:
        """Add seeds until no new branch turned up in several rounds: across folds, random, and from the mixture.

        Or until a target has more solutions than there can be isolated ones.
        """
        quiet: IntArray = np.zeros(len(self.late), np.int64)
        count: IntArray = np.bincount(found.pose, minlength=len(quiet))
        pending = count.nonzero()[0]
        self.curved[found.pose[on_curve(self.problem, found.pose, found.q)]] = True
        for _ in range(_MOST_ROUNDS):
            self.parts = []
            self._round(pending, 4 * _THOROUGH, partial(self._thorough_seeds, q=self._draws(_THOROUGH), found=found))
            more = self._thinned(found, self._found())
            found = found if self._is_late() else self._add(found, more)
            now = np.bincount(found.pose, minlength=len(quiet))
            quiet = np.where(now > count, 0, quiet + 1)
            self.curved |= now > _MOST_BRANCHES  # a curve of them meets the target within the tolerance
            pending, count = pending[(quiet[pending] < _QUIET) & (now[pending] <= _MOST_BRANCHES)], now
            if not len(pending) or self._is_late():
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
        return Found.join(self.parts or [Found.none(self.problem.arm.n_joints)])

    def _thinned(self, found: Found, more: Found) -> Found:
        """Without points on a curve of solutions next to a singularity; only targets with very many are looked at."""
        arm, task, T, _, tolerance, _ = self.problem
        more = self._without_curves(found, more)
        stays = np.ones(len(more.pose), np.bool_)
        for p in (np.bincount(more.pose, minlength=len(T)) > _MOST_BRANCHES).nonzero()[0]:
            rows, known = more.pose == p, found.q[found.pose == p]
            if self._is_late():
                break
            stays[rows] = drop_connected(arm, task, T[p], known, more.q[rows], tolerance)
        return more.take(stays)

    def _without_curves(self, found: Found, more: Found) -> Found:
        """Without further points on a curve of solutions, of targets of which such points were found before."""
        rows = on_curve(self.problem, more.pose, more.q)
        stays = ~(rows & self.curved[more.pose])
        self.curved[more.pose[rows]] = True
        return more.take(stays)

    def _is_late(self) -> bool:
        """Whether the time is over, but for what collecting the rows that were found will take."""
        if self.problem.deadline == math.inf:
            return False
        rows = sum(len(part.pose) for part in self.parts)
        return time.monotonic() > self.problem.deadline - _COLLECTING * rows

    def _look_along_valleys(self) -> None:
        """Look for roots very near to singular configurations, where they are not known to lie on a curve."""
        found, most = self._found(), self.effort.seeds
        exactly = self.problem._replace(tolerance=EXACT * self.problem.tolerance)  # a valley meets targets within more
        self.curved |= curved_targets(exactly, found, self.engine.condition(found.q).singular)
        draws = first_draws(self.problem.arm, self.effort.seed, most)
        for poses in chunks((~self.late & ~self.curved).nonzero()[0], _VALLEY * most, self.rows):
            if self._is_late():
                break
            seeds = self._proposals(poses, most) if self.engine.has_model else Seeds.repeated(len(poses), draws, 0.0)
            found = look_along(self.engine, self.problem, poses, seeds, found)
        self.parts = [found]

    def _pull_into_limits(self) -> None:
        """Of a redundant arm: move joint vectors that meet their target outside the limits along curves into them."""
        poses = (self.met & ~self.late & ~self._is_found(self._found())).nonzero()[0]
        draws = self._last_draws()
        for some in chunks(poses, len(draws), self.rows):
            if self._is_late():
                break
            pose = some.repeat(len(draws))
            q = pull_inside(self.problem, pose, np.tile(draws, (len(some), 1)), *self._limits)
            found, _ = self.engine.settle(some, Seeds.weightless(np.full(len(some), len(draws)), q))
            self.parts.append(found)

    def _pull_near(self) -> None:
        """Of a redundant arm: where all that was found is too far from `near`, move along curves towards it."""
        near, jump = self.problem.near, self.effort.max_jump
        if near is None or jump is None:
            return
        found = self._found()
        rows = found.take(~np.isin(found.pose, found.pose[self._is_close(found)]))
        low, high = (np.clip(near + side, *self._limits) for side in (-jump, jump))
        for part in range(0, len(rows.pose), self.rows):
            if self._is_late():
                self.late[rows.pose[part:]] = True
                break
            pose = rows.pose[part : part + self.rows]
            q = pull_inside(self.problem, pose, rows.q[part : part + self.rows], low[pose], high[pose])
            some, count = np.unique(pose, return_counts=True)
            more, _ = self.engine.settle(some, Seeds.weightless(count, q))
            found = self._add(found, more)
        self.parts = [found]

    def _near_misses(self, found: Found) -> Found:
        """Of targets that nothing met: joint vectors in limits that miss them by no more than arms repeat to."""
        parts, left = [Found.none(self.problem.arm.n_joints)], ~(self.met | self.late)
        if not left.any() or self.problem.tolerance >= NEARLY:
            return parts[0]
        poses, draws = within_reach(self.problem, slack=0.0), self._last_draws()
        for some in chunks(poses[(left & ~self._is_found(found))[poses]], len(draws), self.rows):
            if self._is_late():
                break
            parts.append(self.engine.settle(some, Seeds.repeated(len(some), draws, 0.0), NEARLY)[0])
        return Found.join(parts)

    def _on_limits(self, found: Found) -> Found:
        """Where nothing else near enough was found: what is next to `near` but for joints a hair beyond a limit."""
        if self.problem.near is None:
            return Found.none(self.problem.arm.n_joints)
        left = self.met & ~self.late & ~self._is_found(found.take(self._is_close(found)))
        rest = on_limits(self.problem, left.nonzero()[0])
        return rest.take(self._is_close(rest))

    def _is_close(self, found: Found) -> BoolArray:
        """Which rows are no further from `near` than is asked for, (M,)."""
        near, jump = self.problem.near, self.effort.max_jump
        if near is None or jump is None:
            return np.ones(len(found.pose), np.bool_)
        return np.asarray(np.abs(found.q - near[found.pose]).max(axis=1, initial=0.0) <= jump)

    def _is_found(self, found: Found) -> BoolArray:
        """Which targets have solutions, (B,)."""
        return np.asarray(np.isin(np.arange(len(self.met)), found.pose))

    @property
    def _limits(self) -> tuple[FloatArray, FloatArray]:
        return self.problem.arm.q_min, self.problem.arm.q_max

    def _last_draws(self) -> FloatArray:
        """Random joint vectors of their own generator: what is tried last changes nothing for other targets."""
        return self.problem.arm.sample(np.random.default_rng([self.effort.seed, _LAST]), _LAST)

    def _proposals(self, poses: IntArray, most: int | None = None) -> Seeds:
        seeds = [self.engine.propose(poses, most or self.effort.seeds)]
        if self.effort.draws and most is None:
            seeds.append(self.engine.draw(poses, self.effort.draws, self.generator))
        if self.effort.spread and most is None:
            seeds.append(
                Seeds.repeated(len(poses), first_draws(self.problem.arm, self.effort.seed, self.effort.spread), 0)
            )
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
        return self.problem.arm.sample(self.generator, count)


def first_draws(arm: Arm, seed: int, count: int) -> FloatArray:
    """The random seeds (count, n) of a search's first round."""
    return arm.sample(np.random.default_rng(seed), count)
