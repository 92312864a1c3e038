"""The choice among the solutions of one target: the first candidate that the arm can get to, and the way there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ik_mdn.control.candidates import describe_contacts, judge_candidates, rank_candidates
from ik_mdn.control.decision import Candidate, CostWeights, Decision, Tolerance, decide_blocked
from sim.arrays import FloatArray
from sim.task import Task
from sim.world import CHECKS, MARGIN, ArmBody, Route, Ways, find_route

_SAME = 1e-3  # [rad or m] candidates nearer than this in every joint are one
_ALONE = CHECKS // 4  # effort for the best candidate alone, before all of them are looked for a way to
_GOALS = 32  # candidates that a way is looked for at once


class Chooser:
    """The candidates of one target as they come in, from where the arm stands.

    Args:
        body: The arm in a world.
        task: Which part of the target counts.
        T_base_target: The target, shape (4, 4).
        tolerance: Which candidates tie.
        weights: The cost that ranks those that tie.
    """

    def __init__(
        self, body: ArmBody, task: Task, T_base_target: FloatArray, tolerance: Tolerance, weights: CostWeights
    ) -> None:
        self.body, self.task, self.T_base_target = body, task, T_base_target
        self.tolerance, self.weights = tolerance, weights
        self._untried: list[Candidate] = []  # nothing is known against them
        self._passed: list[Candidate] = []  # the straight way there is not free
        self._faulty: list[Candidate] = []  # the arm cannot be there
        self._tries, self._looked_at = 0, 0  # searches for a way round, and configurations looked at in them

    def add(self, q: FloatArray, weight: FloatArray) -> None:
        """Take in solutions, shape (m, n), with their weights (m,); those that are known already are left out."""
        known = np.array([each.q for each in (*self._untried, *self._passed, *self._faulty)]).reshape(-1, q.shape[1])
        fresh = np.array([not (np.abs(known - row).max(axis=1) < _SAME).any() for row in q], dtype=bool)
        judged = judge_candidates(
            self.body, self.task, self.T_base_target, q[fresh], weight[fresh], weights=self.weights
        )
        self._untried += [candidate for candidate in judged if candidate.rejected is None]
        self._faulty += [candidate for candidate in judged if candidate.rejected is not None]

    def decide(self) -> Decision:
        """The best candidate with a free straight way; else one with a free way round; else none, with the reasons.

        Every call looks further: for ways to candidates that came in since, and for other ways round.
        """
        start = self.body.contacts_at(self.body.q)
        if start:
            reason = f"the arm starts in {describe_contacts(self.body, start)}"
            blocked = [replace(each, rejected=reason) for each in (*self._untried, *self._passed)]
            return decide_blocked([*self._rank(blocked), *self._rank(self._faulty)])
        chosen, route = self._go_straight()
        if chosen is None:
            chosen, route = self._go_around()
        if chosen is not None:
            others = (*self._untried, *self._rank(self._passed), *self._rank(self._faulty))
            return Decision((chosen, *others), chosen=chosen, route=route, reason="")
        note = f"; no way round among {self._looked_at} configurations"
        blocked = [replace(each, rejected=f"{each.rejected}{note}") for each in self._passed]
        return decide_blocked([*self._rank(blocked), *self._rank(self._faulty)])

    def _go_straight(self) -> tuple[Candidate | None, Route]:
        """The best candidate that a free straight way leads to; those before it are passed over, with the reason."""
        start = self.body.q
        self._untried = self._rank(self._untried)
        while self._untried:
            candidate = self._untried.pop(0)
            hit = Ways(self.body, np.stack([start, candidate.q])).find_hit(start, candidate.q)
            if hit is None:
                return candidate, (candidate.q,)
            pairs = self.body.contacts_at(hit)
            what = describe_contacts(self.body, pairs) if pairs else f"nearer than {1e3 * MARGIN:.0f} mm to something"
            self._passed.append(replace(candidate, rejected=f"straight way: {what}"))
        return None, ()

    def _go_around(self) -> tuple[Candidate | None, Route]:
        """A candidate passed over with a free route to it: the best, with some effort, or any; None: none was found."""
        if not self._passed:
            return None, ()
        rng = np.random.default_rng(self._tries)
        checks = CHECKS * 2 ** (self._tries // 2)  # 1, 1, 2, 2, 4, 4, ... times as many
        self._tries, self._looked_at = self._tries + 1, self._looked_at + checks
        goals = np.array([each.q for each in self._rank(self._passed)[:_GOALS]])
        route = find_route(self.body, self.body.q, goals[:1], rng=rng, checks=_ALONE)
        route = route or find_route(self.body, self.body.q, goals, rng=rng, checks=checks)
        if not route:
            return None, ()
        place = next(i for i, each in enumerate(self._passed) if np.array_equal(each.q, route[-1]))
        return replace(self._passed.pop(place), rejected=None), route

    def _rank(self, candidates: list[Candidate]) -> list[Candidate]:
        return rank_candidates(candidates, self.tolerance)
