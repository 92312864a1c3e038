"""A search: its rounds of seeds, when it gives up, its deadline, and where a thorough one ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import sim
from ik_mdn.solver.engine import Found, Problem, Seeds
from ik_mdn.solver.options import Effort
from ik_mdn.solver.search import search
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.kinematics import forward_kinematics
from sim.task import TASKS

ARM = sim.load_arm("planar2")
PLAIN = Effort(seeds=4, draws=0, restarts=4, thorough=False, first=False, seed=0)


class Script:
    """An engine that answers as it is told: for each target the call to `settle` at which it is solved, and met."""

    has_model, rows = False, 1 << 16

    def __init__(self, solved_at: list[float], met_at: list[float] | None = None) -> None:
        self.solved_at, self.met_at = np.array(solved_at), np.array(met_at or solved_at)
        self.rounds: list[tuple[list[int], Seeds]] = []

    def settle(
        self, poses: IntArray, seeds: Seeds, tolerance: float | None = None, *, beside: bool = False
    ) -> tuple[Found, BoolArray]:
        if tolerance is not None:  # what is tried last, of targets that nothing met
            return Found(poses[:0], np.empty((0, 2)), *np.empty((3, 0))), poses < 0
        self.rounds.append((poses.tolist(), seeds))
        now = len(self.rounds)
        rows = poses[self.solved_at[poses] <= now]
        q, zeros = np.stack([rows, np.full(len(rows), float(now))], axis=1), np.zeros(len(rows))
        return Found(rows, q.reshape(-1, 2), zeros + 1.0, zeros, zeros), self.met_at[poses] <= now

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        return Seeds.weightless(np.full(len(poses), most), np.zeros((most * len(poses), 2)))

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        return self.propose(poses, count)

    def is_new(self, found: Found, more: Found) -> BoolArray:
        return np.zeros(len(more.pose), np.bool_)

    def condition(self, q: FloatArray) -> tuple[BoolArray, FloatArray]:
        raise AssertionError("a search does not ask how well conditioned solutions are")


def problem(count: int, near: bool = False, radius: float = 1.0) -> Problem:
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, 0, 3] = radius
    return Problem(ARM, TASKS["planar_position"], T, np.zeros((count, 2)) if near else None, 1e-8)


def test_rounds_double_and_go_to_targets_without_solution_only() -> None:
    script = Script([1, 2, 3, math.inf], met_at=[1, 1, 1, 1])
    outcome = search(script, problem(4), PLAIN)
    assert [poses for poses, _ in script.rounds] == [[0, 1, 2, 3], [1, 2, 3], [2, 3], [3]]
    assert [seeds.counts.tolist()[0] for _, seeds in script.rounds] == [4, 8, 16, 32]
    assert outcome.found.pose.tolist() == [0, 1, 2]
    assert outcome.met.all()
    assert not outcome.late.any()


def test_every_target_gets_the_same_random_seeds_weighed_by_their_share() -> None:
    script = Script([2, math.inf], met_at=[1, 1])
    search(script, problem(2), PLAIN)
    for number, (poses, seeds) in enumerate(script.rounds):
        first = seeds.q[: seeds.counts[0]]
        for p in range(len(poses)):
            np.testing.assert_array_equal(seeds.q[seeds.start[p] : seeds.start[p + 1]], first)
        np.testing.assert_allclose(seeds.weight, 1 / (4 * (2 ** (number + 1) - 1)))
        assert (first >= ARM.sample_min).all()
        assert (first <= ARM.sample_max).all()


def test_a_target_that_no_seed_meets_is_given_up_after_half_of_the_rounds() -> None:
    script = Script([math.inf, math.inf], met_at=[math.inf, 2])
    outcome = search(script, problem(2), PLAIN._replace(restarts=6))
    assert sum(0 in poses for poses, _ in script.rounds) == 3
    assert sum(1 in poses for poses, _ in script.rounds) == 6
    assert outcome.met.tolist() == [False, True]


def test_a_target_further_than_the_links_reach_costs_nothing() -> None:
    script = Script([1])
    outcome = search(script, problem(1, radius=2.1), PLAIN)
    assert not script.rounds
    assert not outcome.met[0]


def test_behind_the_deadline_nothing_is_begun() -> None:
    script = Script([1])
    outcome = search(script, problem(1)._replace(deadline=-math.inf), PLAIN)
    assert not script.rounds
    assert outcome.late.all()


@pytest.mark.parametrize("restarts", [0, 4])
def test_the_vector_to_be_near_is_a_seed_of_the_first_round(restarts: int) -> None:
    script = Script([math.inf], met_at=[1])
    search(script, problem(1, near=True), PLAIN._replace(restarts=restarts))
    assert len(script.rounds) == max(1, restarts)
    assert not script.rounds[0][1].q[-1].any()
    assert [len(seeds.q) for _, seeds in script.rounds] == ([1] if not restarts else [5, 8, 16, 32])


def test_with_a_model_its_seeds_come_first_and_random_ones_weigh_nothing() -> None:
    script = Script([2, math.inf], met_at=[1, 1])
    script.has_model = True
    search(script, problem(2), PLAIN._replace(draws=3, first=True))
    assert [len(seeds.q) // len(poses) for poses, seeds in script.rounds[:3]] == [4, 7, 4]
    assert not script.rounds[2][1].weight.any()
    assert script.rounds[2][0] == [1]


def test_a_thorough_search_ends_after_three_rounds_without_a_new_branch() -> None:
    script = Script([1, 2])
    outcome = search(script, problem(2), PLAIN._replace(thorough=True))
    assert [poses for poses, _ in script.rounds] == [[0, 1], [1], [0, 1], [0, 1], [0, 1]]
    assert outcome.found.pose.tolist() == [0, 1]
    assert not outcome.late.any()


def test_a_thorough_search_goes_on_while_there_are_new_branches() -> None:
    class Endless(Script):
        def is_new(self, found: Found, more: Found) -> BoolArray:
            return np.full(len(more.pose), len(self.rounds) < 8)

    script = Endless([1])
    outcome = search(script, problem(1), PLAIN._replace(thorough=True))
    assert len(script.rounds) == 7 + 3
    assert len(outcome.found.q) == 7


def test_of_a_redundant_arm_a_thorough_search_only_tries_longer() -> None:
    arm = sim.load_arm("planar3")
    T = forward_kinematics(arm, np.array([[0.1, 0.2, 0.3]]))
    script = Script([math.inf], met_at=[1])
    given: Any = Problem(arm, TASKS["planar_position"], T, None, 1e-8)
    script.settle = (
        lambda poses, seeds, *, beside=False: (  # type: ignore[method-assign]
            script.rounds.append((poses.tolist(), seeds)),
            (Found(poses[:0], np.empty((0, 3)), *np.empty((3, 0))), np.ones(1, np.bool_)),
        )[1]
    )
    search(script, given, PLAIN._replace(thorough=True, restarts=1))
    assert len(script.rounds) == 5 + 1  # the last with joint vectors pulled into limits
