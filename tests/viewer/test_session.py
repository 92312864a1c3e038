"""What a session shows of a target, without a browser: solutions, branches, misses, words."""

from __future__ import annotations

import numpy as np
import pytest

from ik_mdn.solver import Status
from ik_mdn.viewer.answer import Answer
from ik_mdn.viewer.approach import approach
from ik_mdn.viewer.branches import PATIENCE, BranchTracker
from ik_mdn.viewer.session import MOST, Session
from ik_mdn.viewer.spread import ALIKE, Spread
from sim.arm import load_arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics
from sim.world import World, home


@pytest.fixture(scope="module")
def ur5e() -> Session:
    return Session.load(load_arm("ur5e"))


@pytest.fixture(scope="module")
def panda() -> Session:
    return Session.load(load_arm("panda"))


def moved(T: FloatArray, *step: float) -> FloatArray:
    T = T.copy()
    T[:3, 3] += step
    return T


def test_every_solution_shown_meets_the_target_as_bullet_measures_it(ur5e: Session) -> None:
    T = ur5e.start_target()
    answer = ur5e.answer(T)
    assert answer.status is Status.SOLVED
    assert len(answer) == 8 == answer.found
    with World() as world:
        tips = world.add_arm(ur5e.arm).tip_pose(answer.q)
    np.testing.assert_allclose(tips, np.broadcast_to(T, tips.shape), atol=1e-6)


def test_probabilities_fall_from_row_to_row_and_are_the_solvers(ur5e: Session) -> None:
    T = ur5e.start_target()
    answer, found = ur5e.answer(T), ur5e.solver.solve(T, q_seed=ur5e.q_now, rank="weight")[0]
    assert (np.diff(answer.weight) <= 0).all()
    np.testing.assert_array_equal(answer.weight, found.weight)


@pytest.mark.parametrize("name", ["ur5e", "panda"])
def test_a_branch_keeps_its_number_and_moves_little_while_the_target_moves(
    name: str, request: pytest.FixtureRequest
) -> None:
    session = request.getfixturevalue(name)
    T, last, kept, seen = session.start_target(), {}, 0, 0
    for i in range(25):
        answer = session.answer(moved(T, 0.004 * i, 0.003 * i, 0.0))
        now = {int(b): q for b, q in zip(answer.branch, answer.q, strict=True)}
        for branch in now.keys() & last.keys():
            turn = np.abs(np.angle(np.exp(1j * (now[branch] - last[branch])))).max()
            assert turn < 0.5
        kept, seen, last = kept + len(now.keys() & last.keys()), seen + len(last), now
    assert kept >= 0.9 * seen


def test_the_tracker_follows_branches_that_swap_rows_and_windings() -> None:
    tracker = BranchTracker(np.array([2 * np.pi, np.inf]))
    first = tracker.follow(np.array([[0.0, 0.0], [2.0, 0.0]]))
    again = tracker.follow(np.array([[2.1, 0.0], [0.1 - 2 * np.pi, 0.0]]))
    assert again.tolist() == first[::-1].tolist()
    assert tracker.follow(np.array([[0.1, 2 * np.pi]])).tolist() not in ([first[0]], [first[1]])  # it slides: no turn


def test_a_branch_that_vanishes_for_a_while_comes_back_with_its_number() -> None:
    tracker = BranchTracker(np.full(2, np.inf))
    tracker.follow(np.array([[0.0, 0.0], [5.0, 5.0]]))
    for _ in range(PATIENCE):
        tracker.follow(np.array([[0.0, 0.0]]))
    assert tracker.follow(np.array([[5.0, 5.0], [0.0, 0.0]])).tolist() == [1, 0]
    for _ in range(PATIENCE + 1):
        tracker.follow(np.array([[0.0, 0.0]]))
    assert tracker.follow(np.array([[0.0, 0.0], [9.0, 9.0]])).tolist() == [0, 1]


def test_a_redundant_arm_shows_a_few_solutions_apart_that_stand_for_all(panda: Session) -> None:
    answer = panda.answer(panda.start_target())
    assert answer.redundant
    assert 2 <= len(answer) <= MOST
    assert answer.weight.sum() == pytest.approx(1.0)
    gap = np.angle(np.exp(1j * (answer.q[:, None] - answer.q)))
    distance = np.linalg.norm(gap, axis=-1) + 10 * np.eye(len(answer))
    assert distance.min() > ALIKE
    tips = forward_kinematics(panda.arm, answer.q)
    np.testing.assert_allclose(tips, np.broadcast_to(answer.T_base_target, tips.shape), atol=1e-6)
    assert (answer.q >= panda.arm.q_min).all()
    assert (answer.q <= panda.arm.q_max).all()


def test_a_spread_of_nothing_is_nothing(panda: Session) -> None:
    q, weight = Spread(panda.arm, panda.task).follow(np.eye(4), np.zeros((0, 7)), np.zeros(0))
    assert q.shape == (0, 7)
    assert weight.shape == (0,)


def test_out_of_reach_is_said_and_the_nearest_approach_given() -> None:
    session = Session.load(load_arm("planar2"))
    T = np.eye(4)
    T[:2, 3] = 3.0, 0.0  # two links of 1 m
    answer = session.answer(T)
    details = session.details(answer)
    assert len(answer) == 0
    assert "nreachable" in answer.sentence
    assert details.nearest is not None
    assert details.nearest.err_pos == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(details.nearest.p_base_tip, [2.0, 0.0, 0.0], atol=0.05)


def test_the_approach_keeps_to_the_limits(ur5e: Session) -> None:
    arm = load_arm("panda")
    T = forward_kinematics(arm, home(arm))
    placed = approach(arm, Session.load(arm).task, moved(T, 1.5, 0.0, 0.0), home(arm)[None])
    assert (placed.q >= arm.q_min).all()
    assert (placed.q <= arm.q_max).all()
    start = forward_kinematics(arm, home(arm))[0, 3]
    assert placed.err_pos < T[0, 3] + 1.5 - start


def test_solutions_behind_the_largest_jump_are_too_far(ur5e: Session) -> None:
    session = Session(ur5e.arm, ur5e.solver)
    session.max_jump = 0.01
    answer = session.answer(session.start_target())
    assert answer.status is Status.TOO_FAR
    assert "Too far" in answer.sentence
    assert "1°" in answer.sentence
    nearest = session.details(answer).nearest
    assert nearest is not None
    assert nearest.err_pos < 1e-6
    every = session.solver.solve(answer.T_base_target)[0].q
    least = np.abs(every - session.q_now).max(axis=1).min()
    assert np.abs(nearest.q - session.q_now).max() == pytest.approx(least)


def test_raw_means_are_asked_for_where_they_are_wanted(ur5e: Session) -> None:
    answer = ur5e.answer(ur5e.start_target())
    assert ur5e.details(answer, raw=False).raw is None
    assert ur5e.details(answer).raw is not None


def test_the_regressor_misses_by_what_kinematics_says(ur5e: Session) -> None:
    answer = ur5e.answer(ur5e.start_target())
    mse = ur5e.details(answer).mse
    assert mse is not None
    tip = forward_kinematics(ur5e.arm, mse.q)[:3, 3]
    assert mse.err_pos == pytest.approx(float(np.linalg.norm(tip - answer.T_base_target[:3, 3])))


def test_margins_and_manipulabilities_are_measured_for_every_row(ur5e: Session) -> None:
    answer = ur5e.answer(ur5e.start_target())
    details = ur5e.details(answer)
    arm = ur5e.arm
    np.testing.assert_allclose(details.margin, np.minimum(answer.q - arm.q_min, arm.q_max - answer.q).min(axis=1))
    assert (details.manipulability > 0).all()
    assert details.err_pos.max() < 1e-6


def test_without_a_model_there_are_solutions_and_neither_raw_means_nor_a_regressor_of_another_task() -> None:
    session = Session.load(load_arm("ur5e"), model="none", task="position")
    answer = session.answer(session.start_target())
    details = session.details(answer)
    assert len(answer) > 0
    assert (details.raw, details.mse) == (None, None)


@pytest.mark.parametrize(
    ("status", "word"),
    [(Status.OUT_OF_LIMITS, "Out of limits"), (Status.SINGULAR, "Singular"), (Status.TIMED_OUT, "time")],
)
def test_every_status_is_said_in_words(status: Status, word: str) -> None:
    nothing = np.zeros((0, 2))
    answer = Answer(np.eye(4), status, nothing, np.zeros(0, np.int64), np.zeros(0), redundant=False, found=0)
    assert word in answer.sentence


def test_samples_of_a_curve_are_never_called_no_solution() -> None:
    q = np.zeros((2, 2))
    for status in (Status.CONTINUUM, Status.NEARLY):
        answer = Answer(np.eye(4), status, q, np.arange(2), np.full(2, 0.5), redundant=False, found=2)
        assert "No solution" not in answer.sentence


@pytest.mark.parametrize("name", ["planar2", "planar3", "puma560", "xarm6", "iiwa"])
def test_the_first_target_is_in_reach(name: str) -> None:
    session = Session.load(load_arm(name))
    assert len(session.answer(session.start_target())) > 0
