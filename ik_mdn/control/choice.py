"""The choice among the solutions of one target: the first candidate that the arm can get to, and the way there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ik_mdn.control.candidates import describe_contacts, judge_candidates, rank_candidates, reject
from ik_mdn.control.decision import Candidate, CostWeights, Decision, Tolerance, decide_blocked
from sim.arrays import FloatArray
from sim.task import Task
from sim.world import CHECKS, MARGIN, ArmBody, Route, Ways, find_route

_SAME = 1e-3  # [rad or m] candidates nearer than this in every joint are one
_ALONE = CHECKS // 4  # effort for the best candidate alone, before all of them are looked for a way to
_GOALS = 32  # candidates that a way is looked for at once


class Choice:
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
            return self._decide_blocked(reject([*self._untried, *self._passed], reason))
        chosen = self._go_straight()
        if chosen is not None:
            return self._decide_for(chosen, (chosen.q,))
        route = self._go_around()
        if route:
            chosen = next(each for each in self._passed if np.array_equal(each.q, route[-1]))
            self._passed = [each for each in self._passed if each is not chosen]
            return self._decide_for(replace(chosen, rejected=None), route)
        note = f"; no way round among {self._looked_at} configurations"
        return self._decide_blocked([replace(each, rejected=f"{each.rejected}{note}") for each in self._passed])

    def _go_straight(self) -> Candidate | None:
        """The best candidate that a free straight way leads to; those before it are passed over, with the reason."""
        start = self.body.q
        waiting = rank_candidates(self._untried, self.tolerance)
        while waiting:
            candidate = waiting.pop(0)
            hit = Ways(self.body, np.stack([start, candidate.q])).find_hit(start, candidate.q)
            self._untried = waiting
            if hit is None:
                return candidate
            pairs = self.body.contacts_at(hit)
            what = describe_contacts(self.body, pairs) if pairs else f"nearer than {1e3 * MARGIN:.0f} mm to something"
            self._passed.append(replace(candidate, rejected=f"straight way: {what}"))
        return None

    def _go_around(self) -> Route:
        """A free route to the best candidate, with some effort, or to any of them; empty where none was found."""
        if not self._passed:
            return ()
        rng = np.random.default_rng(self._tries)
        checks = CHECKS * 2 ** (self._tries // 2)  # 1, 1, 2, 2, 4, 4, ... times as many
        self._tries, self._looked_at = self._tries + 1, self._looked_at + checks
        goals = np.array([each.q for each in self._rank_passed()[:_GOALS]])
        alone = find_route(self.body, self.body.q, goals[:1], rng=rng, checks=_ALONE)
        return alone or find_route(self.body, self.body.q, goals, rng=rng, checks=checks)

    def _rank_passed(self) -> list[Candidate]:
        return rank_candidates(self._passed, self.tolerance)

    def _decide_for(self, chosen: Candidate, route: Route) -> Decision:
        others = (*self._untried, *self._rank_passed(), *rank_candidates(self._faulty, self.tolerance))
        return Decision((chosen, *others), chosen=chosen, route=route, reason="")

    def _decide_blocked(self, able: list[Candidate]) -> Decision:
        ranked = (rank_candidates(group, self.tolerance) for group in (able, self._faulty))
        return decide_blocked([each for group in ranked for each in group])
