"""Choosing with obstacles: named reasons, a cost in the open, other branches, ways round, and no contact unreported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sim
from ik_mdn.control.controller import Controller
from ik_mdn.control.decision import COLUMNS, Candidate, CostWeights, ReachStatus
from ik_mdn.solver.solver import IKSolver
from sim.arm.arm import Arm
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics, jacobian
from sim.scenes.scene import Obstacle, Scene, load_scene
from sim.task import default_task
from sim.world.body import ArmBody
from sim.world.world import World


class Given:
    """A solver that answers with the configurations it is given, one list per call, the last one for ever."""

    def __init__(self, arm: Arm, *answers: Any) -> None:
        self.arm, self.task, self.calls = arm, default_task(arm), 0
        self.answers = [np.asarray(q, dtype=float).reshape(-1, arm.n_joints) for q in answers]

    def solve(self, T: Any, /, *, q_seed: Any = None, refine: bool = True) -> list[SimpleNamespace]:
        q = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        return [SimpleNamespace(q=q, weight=np.linspace(1.0, 0.1, len(q)), status="solved")]


@pytest.fixture(scope="module")
def xarm() -> Arm:
    return sim.load_arm("xarm6")


@pytest.fixture(scope="module")
def shelf(xarm: Arm) -> Iterator[ArmBody]:
    with World() as world:
        world.add_scene(load_scene("shelf"), xarm)
        yield world.add_arm(xarm)


def draw(arm: Arm, count: int, seed: int = 0) -> np.ndarray:
    return arm.sample(np.random.default_rng(seed), count)


def in_contact_with(body: ArmBody, other: str) -> np.ndarray:
    """A configuration that touches an obstacle, and not itself."""
    q = draw(body.arm, 3000)
    q = q[body.collides(q) & ~body.self_collides(q)]
    return next(row for row in q if any(b == other for _, b in body.contacts_at(row)))


def test_a_candidate_in_contact_with_an_obstacle_is_rejected_by_name_with_its_numbers(
    xarm: Arm, shelf: ArmBody
) -> None:
    shelf.set_q(np.zeros(6))
    q = in_contact_with(shelf, "shelf.middle board")
    T = forward_kinematics(xarm, q)
    result = Controller(shelf, Given(xarm, [q])).reach(T)
    assert result.status is ReachStatus.BLOCKED
    assert result.time_execute == 0.0
    (candidate,) = result.decision.candidates
    assert candidate.rejected.startswith("collision: ")
    assert "and shelf.middle board" in candidate.rejected
    assert candidate.clearance_world < 0.0
    assert candidate.err_pos < 1e-9
    np.testing.assert_array_equal(shelf.q, np.zeros(6))


def test_the_numbers_of_a_candidate_are_those_measured_one_by_one(xarm: Arm, shelf: ArmBody) -> None:
    shelf.set_q(np.zeros(6))
    q = draw(xarm, 12, seed=3)
    decision = Controller(shelf, Given(xarm, q), refine=False).decide(np.eye(4))
    assert len(decision.candidates) == 12
    for candidate in decision.candidates:
        to_itself, to_others = shelf.clearance(candidate.q, within=0.2)
        assert (candidate.clearance_self, candidate.clearance_world) == (float(to_itself), float(to_others))
        J = jacobian(xarm, candidate.q)
        J[:3] /= xarm.reach
        assert candidate.manipulability == pytest.approx(abs(np.linalg.det(J)), rel=1e-6, abs=1e-12)
        assert candidate.margin == np.minimum(candidate.q - xarm.q_min, xarm.q_max - candidate.q).min()


def measured(**changes: float) -> Candidate:
    plain = {field.name: 1.0 for field in fields(Candidate) if field.name not in ("q", "cost", "rejected")}
    return Candidate(q=np.zeros(1), **{**plain, **changes})


@pytest.mark.parametrize(
    ("term", "key", "better", "worse"),
    [
        ("travel", "travel", 1.0, 2.0),
        ("margin", "margin", 0.2, 0.05),
        ("clearance", "clearance_self", 0.2, 0.01),
        ("clearance", "clearance_world", 0.2, 0.01),
        ("reserve", "reserve", 0.5, 0.02),
        ("manipulability", "manipulability", 0.05, 0.001),
        ("weight", "weight", 0.9, 0.1),
    ],
)
def test_each_term_of_the_cost_prefers_the_better_and_scales_with_its_weight(
    term: str, key: str, better: float, worse: float
) -> None:
    pair = [measured(**{key: value}) for value in (better, worse)]
    none = CostWeights(travel=0.0, margin=0.0, clearance=0.0, reserve=0.0, manipulability=0.0, weight=0.0)
    assert [none.cost(each, 1.0) for each in pair] == [0.0, 0.0]
    once, twice = ([replace(none, **{term: weight}).cost(each, 1.0) for each in pair] for weight in (1.0, 2.0))
    assert once[0] < once[1]
    np.testing.assert_allclose(twice, 2 * np.array(once))


def test_weights_on_clearance_turn_the_choice(xarm: Arm) -> None:
    near, far = np.array([0.45, -0.3, -0.9, 0.0, 0.5, 0.0]), np.array([-0.5, -0.3, -0.9, 0.0, 0.5, 0.0])
    T = np.eye(4)
    T[:3, 3] = [*forward_kinematics(xarm, near)[:2, 3] * 1.2, 0.3]  # 27 mm from the hand
    post = Scene("room", obstacles=(Obstacle("post", "cylinder", (0.03, 1.0), T),))
    with World() as world:
        body = world.add_arm(xarm)
        world.add_scene(post)
        chosen = []
        for weight in (0.0, 100.0):
            body.set_q(np.array([0.0, -0.3, -0.9, 0.0, 0.5, 0.0]))
            weights = CostWeights(clearance=weight, weight=0.0)
            solver = Given(xarm, [near, far])
            controller = Controller(body, solver, refine=False, weights=weights)
            controller.tolerance = replace(controller.tolerance, pos=10.0, rot=10.0, tie=1.0)
            chosen.append(controller.decide(np.eye(4)).chosen)
    np.testing.assert_array_equal(chosen[0].q, near)
    np.testing.assert_array_equal(chosen[1].q, far)


def test_another_branch_is_taken_when_the_way_to_the_nearest_is_not_free(xarm: Arm, shelf: ArmBody) -> None:
    rng = np.random.default_rng(0)
    solver = IKSolver(xarm)
    for _ in range(60):
        start, goal = rng.uniform(xarm.q_min, xarm.q_max, (2, 6))
        if shelf.collides(np.stack([start, goal])).any():
            continue
        shelf.set_q(start)
        decision = Controller(shelf, solver).decide(shelf.tip_pose(goal))
        passed = [each for each in decision.candidates if (each.rejected or "").startswith("straight way: ")]
        if decision.chosen is not None and len(decision.route) == 1 and passed:
            break
    else:
        pytest.fail("no target of 60 that shows it")
    assert passed[0].cost <= decision.chosen.cost
    assert decision.candidates[0] is decision.chosen
    path = np.linspace(start, decision.chosen.q, 2000)
    assert not shelf.collides(path).any()


def test_a_way_round_is_found_driven_and_touches_nothing(xarm: Arm) -> None:
    start, goal = np.array([0.6, -0.3, -0.9, 0.0, 0.5, 0.0]), np.array([-0.6, -0.3, -0.9, 0.0, 0.5, 0.0])
    T = np.eye(4)
    T[:3, 3] = [*forward_kinematics(xarm, (start + goal) / 2)[:2, 3] * 0.9, 0.3]
    with World() as world:
        body = world.add_arm(xarm)
        world.add_scene(Scene("room", obstacles=(Obstacle("post", "cylinder", (0.03, 1.0), T),)))
        body.set_q(start)
        controller = Controller(body, Given(xarm, [goal]))
        target = body.tip_pose(goal)
        decision = controller.decide(target)
        result = controller.reach(target)
        assert len(decision.route) >= 2
        np.testing.assert_array_equal(result.decision.route, decision.route)  # one seed, one route
        assert result.status is ReachStatus.REACHED, result.reason
        assert result.contacts == ()
        np.testing.assert_allclose(body.q, goal, atol=1e-3)


def test_a_contact_on_the_way_is_never_called_reached(xarm: Arm) -> None:
    start, goal = np.array([0.6, -0.3, -0.9, 0.0, 0.5, 0.0]), np.array([-0.6, -0.3, -0.9, 0.0, 0.5, 0.0])
    middle = forward_kinematics(xarm, (start + goal) / 2)
    with World() as world:
        body = world.add_arm(xarm)
        body.set_q(start)
        controller = Controller(body, Given(xarm, [goal]))
        decision = controller.decide(forward_kinematics(xarm, goal))
        T = np.eye(4)
        T[:3, 3] = middle[:3, 3]
        world.add_scene(Scene("late", obstacles=(Obstacle("ball", "sphere", (0.05,), T),)))
        controller._search = lambda _: (decision, 0.0)  # the obstacle came after the decision
        result = controller.reach(forward_kinematics(xarm, goal))
        assert result.status is ReachStatus.TOUCHED
        assert not result.reached
        assert "late.ball" in result.reason
        assert result.contacts
        assert body.q[0] > 0.0  # it stopped there


def test_an_arm_that_starts_in_contact_is_not_moved_and_told_why(xarm: Arm, shelf: ArmBody) -> None:
    start = in_contact_with(shelf, "shelf.middle board")
    shelf.set_q(start)
    result = Controller(shelf, Given(xarm, [np.zeros(6)])).reach(forward_kinematics(xarm, np.zeros(6)))
    assert result.status is ReachStatus.BLOCKED
    assert "the arm starts in collision: " in result.reason
    assert "shelf.middle board" in result.reason
    np.testing.assert_array_equal(shelf.q, start)


def test_solutions_of_later_answers_join_the_candidates(xarm: Arm, shelf: ArmBody) -> None:
    shelf.set_q(np.zeros(6))
    touching = in_contact_with(shelf, "shelf.middle board")
    solver = Given(xarm, [touching], [touching, np.full(6, 0.05) * [1, 1, -1, 1, 1, 1]])
    decision = Controller(shelf, solver).decide(forward_kinematics(xarm, touching))
    assert solver.calls == 2
    assert decision.chosen is not None
    assert len(decision.candidates) == 2


def test_the_table_shows_every_candidate_with_its_reason(xarm: Arm, shelf: ArmBody) -> None:
    shelf.set_q(np.zeros(6))
    free, touching = np.full(6, 0.05) * [1, 1, -1, 1, 1, 1], in_contact_with(shelf, "shelf.top board")
    decision = Controller(shelf, Given(xarm, [touching, free]), refine=False).decide(forward_kinematics(xarm, free))
    assert [len(row) for row in decision.rows()] == [len(COLUMNS)] * 2
    assert not any(re.search(r"\de[-+]\d", cell) for row in decision.rows() for cell in row)  # no "2.72e-13"
    assert len(decision.rows(1)) == 1
    lines = decision.table().splitlines()
    assert lines[0].startswith("candidate")
    assert lines[1].startswith("chosen")
    assert lines[2].startswith("collision: ")
    blocked = Controller(shelf, Given(xarm, [touching]), refine=False).decide(forward_kinematics(xarm, touching))
    assert blocked.table().splitlines()[-1] == blocked.reason


def test_cost_weights_out_of_range_are_told() -> None:
    for key in (field.name for field in fields(CostWeights)):
        with pytest.raises(ShapeError, match=f"cost weight {key} must be a finite number"):
            CostWeights(**{key: -1.0})
        with pytest.raises(ShapeError, match=f"cost weight {key} must be a finite number"):
            CostWeights(**{key: float("nan")})
        if key.endswith("_wanted"):
            with pytest.raises(ShapeError, match="above 0; got 0"):
                CostWeights(**{key: 0.0})
