"""What a caller may ask of a solve: nearness, order, thoroughness, time, and the closest approach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ik_mdn.solver.approach import closest_approach
from ik_mdn.solver.solutions import Status
from ik_mdn.solver.solver import IKSolver
from sim.arm import load_arm
from sim.errors import PoseError, ShapeError, UnknownNameError
from sim.kinematics import forward_kinematics
from sim.task import load_task

TURN = 2 * np.pi


def poses(name: str, count: int, seed: int = 0) -> tuple[IKSolver, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    arm = load_arm(name)
    q = arm.sample(np.random.default_rng(seed), count)
    return IKSolver.load(name), q, np.ascontiguousarray(forward_kinematics(arm, q))


def test_thorough_mode_finds_every_branch_of_a_puma() -> None:
    """Eight for the arm and wrist of a PUMA: every one of its closed form, without limits."""
    arm = load_arm("puma560")
    q = np.random.default_rng(3).uniform(-3, 3, (20, 6))
    free = IKSolver(_without_limits(arm))
    found = free.solve(forward_kinematics(arm, q), thorough=True)
    assert set(found.count.tolist()) <= {2, 4, 6, 8}  # shoulder and elbow come in pairs, and so do wrists
    for one, made in zip(found, q, strict=True):
        assert (np.abs((one.q - made + np.pi) % TURN - np.pi).max(axis=1) < 1e-6).any()
        assert max(one.err_pos.max(), one.err_rot.max()) <= 1e-8


def _without_limits(arm: Any) -> Any:
    from dataclasses import replace

    n = arm.n_joints
    return replace(arm, q_min=np.full(n, -np.inf), q_max=np.full(n, np.inf), joint_types=("continuous",) * n)


def test_thorough_mode_finds_all_that_a_plain_solve_finds() -> None:
    solver, _, T = poses("xarm6", 40)
    plain, thorough = solver.solve(T), solver.solve(T, thorough=True)
    assert (thorough.count >= plain.count).all()
    for few, many in zip(plain, thorough, strict=True):
        for q in few.q:
            assert np.abs(many.q - q).max(axis=1).min() < 1e-5


@pytest.mark.slow
def test_next_to_a_wrist_singularity_thorough_mode_does_not_count_a_curve() -> None:
    arm = load_arm("ur5e")
    q = np.random.default_rng(5).uniform(-2.5, 2.5, (3, 6))
    q[:, 4] = 1e-6
    found = IKSolver(arm).solve(forward_kinematics(arm, q), thorough=True)
    assert (found.count >= 2).all()
    assert (found.count < 500).all()  # without looking at connections, thousands
    assert max(found.err_pos.max(), found.err_rot.max()) <= 1e-8


def test_nothing_further_than_max_jump_is_given() -> None:
    solver, q, T = poses("xarm6", 50)
    near = q + 0.01
    found = solver.solve(T, q_seed=near, max_jump=0.05)
    assert (found.count == 1).mean() > 0.95
    assert np.abs(found.q - near[found.pose_index]).max() <= 0.05
    far = solver.solve(T[:5], q_seed=near[:5] + 0.5, max_jump=1e-3)
    assert far.count.tolist() == [0] * 5
    assert [one.status for one in far] == [Status.TOO_FAR] * 5
    far = solver.solve(T[:1], q_seed=near[:1] + 0.5, max_jump=1e-3, closest=True)[0]
    assert far.status is Status.TOO_FAR
    assert far.closest is None


def test_the_most_probable_one_within_max_jump_is_looked_for_beyond_the_first_that_is_found() -> None:
    solver, rng = IKSolver.load("ur5e"), np.random.default_rng(0)
    q = solver.arm.sample(rng, 1500)
    near = np.clip(q + rng.uniform(-1.5, 1.5, q.shape), solver.arm.q_min, solver.arm.q_max)
    q, near = (each[[24, 418, 1088, 1128]] for each in (q, near))  # where what is found first is too far
    T = forward_kinematics(solver.arm, q)
    one, every = (solver.solve(T, q_seed=near, max_jump=1.5, rank="weight", max_solutions=most) for most in (1, None))
    np.testing.assert_array_equal(one.best, every.best)


def test_solutions_are_ordered_as_asked() -> None:
    solver, _, T = poses("xarm6", 30)
    arm = solver.arm
    margin = solver.solve(T, rank="margin")
    for one in margin:
        values = np.minimum(one.q - arm.q_min, arm.q_max - one.q).min(axis=1)
        assert (np.diff(values) <= 0).all()
    by_determinant = solver.solve(T, rank="manipulability")
    from sim.kinematics import jacobian

    for one in by_determinant:
        values = np.abs(np.linalg.det(jacobian(arm, one.q)))
        assert (np.diff(values) <= 1e-9).all()
    near = np.zeros(6)
    for one in solver.solve(T, q_seed=near, rank="weight"):
        assert (np.diff(one.weight) <= 0).all()


def test_one_solution_is_one_of_all() -> None:
    solver, _, T = poses("ur5e", 60)
    one, every = solver.solve(T, max_solutions=1), solver.solve(T)
    assert (one.count == 1).all()
    for first, all_of_them in zip(one, every, strict=True):
        assert np.abs(all_of_them.q - first.q).max(axis=1).min() < 1e-6


def test_draws_from_the_mixture_add_seeds() -> None:
    solver, _, T = poses("xarm6", 60)
    assert (
        solver.solve(T, seeds=1, draws=64, restarts=0).count.sum()
        > 1.5 * solver.solve(T, seeds=1, restarts=0).count.sum()
    )


def test_when_the_time_is_over_nothing_new_is_begun() -> None:
    solver, _, T = poses("xarm6", 5)
    found = solver.solve(T, timeout=1e-9)
    assert [one.status for one in found] == [Status.TIMED_OUT] * 5
    with pytest.raises(PoseError, match="finite"):
        solver.solve(np.full((2, 4, 4), np.nan), timeout=1e-9)
    assert solver.solve(T, timeout=60.0).solved.all()


def test_no_bound_is_no_bound_whichever_inf_says_so() -> None:
    solver, _, T = poses("planar2", 1)
    for inf in (float("inf"), np.inf, np.float64("inf")):
        assert solver.solve(T, timeout=inf, max_jump=inf, q_seed=np.zeros(2)).solved.all()


def test_a_regressor_adds_its_one_answer_where_a_mixture_would_be_drawn_from() -> None:
    solver = IKSolver.load("planar2-mse")
    for options in ({"thorough": True}, {"draws": 4}):
        assert solver.solve([1.2, 0.5], **options).solved.all()  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [2.5, 4.0])
def test_the_closest_approach_to_a_point_out_of_reach_is_the_stretched_arm(radius: float) -> None:
    solver = IKSolver(load_arm("planar2"))
    found = solver.solve(np.array([0.0, radius]), closest=True)[0]
    assert found.status is Status.UNREACHABLE
    assert found.closest is not None
    np.testing.assert_allclose(found.closest.err_pos, radius - 2.0, atol=1e-6)
    np.testing.assert_allclose(found.closest.q, [np.pi / 2, 0.0], atol=1e-3)


@pytest.mark.slow
def test_the_closest_approach_is_in_limits_and_better_than_random_ones() -> None:
    arm = load_arm("panda")
    task, rng = load_task(arm, None), np.random.default_rng(0)
    T = np.eye(4)
    T[:3, 3] = [0.9, 0.6, 0.9]
    closest = closest_approach(arm, task, T)
    assert (closest.q >= arm.q_min).all()
    assert (closest.q <= arm.q_max).all()
    q = arm.sample(rng, 20_000)
    tips = forward_kinematics(arm, q)
    cosine = (np.trace(tips[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    cost = np.square(np.linalg.norm(tips[:, :3, 3] - T[:3, 3], axis=1) / arm.reach) + np.square(
        np.arccos(cosine.clip(-1, 1))
    )
    assert (closest.err_pos / arm.reach) ** 2 + closest.err_rot**2 < cost.min()


def test_targets_with_solutions_have_no_closest_approach() -> None:
    solver, _, T = poses("ur5e", 3)
    assert solver.solve(T, closest=True)[0].closest is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_jump": 0.1}, "give q_seed"),
        ({"rank": "distance"}, "give q_seed"),
        ({"timeout": 0.0}, "timeout must be positive"),
        ({"max_jump": -1.0, "q_seed": np.zeros(6)}, "max_jump must be positive"),
        ({"max_jump": np.full(6, 0.1), "q_seed": np.zeros(6)}, "max_jump must be positive"),
        ({"draws": -1}, "draws >= 0"),
        ({"tolerance": 1e-14}, "rounding alone costs more, give at least 1e-12"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    solver, _, T = poses("xarm6", 1)
    with pytest.raises(ShapeError, match=message):
        solver.solve(T, **options)


@pytest.mark.parametrize("closest", [False, True])
def test_a_target_so_far_away_that_squares_overflow_is_refused(closest: bool) -> None:
    solver, _, T = poses("xarm6", 3)
    T[1, 0, 3] = 1e160
    for targets in (T, torch.from_numpy(T)):
        with pytest.raises(PoseError, match=r"a target lies at 1e\+160 m; positions are in metres, up to 1e\+09"):
            solver.solve(targets, closest=closest)
    T[1, 0, 3] = 1e9
    assert solver.solve(T, closest=closest).solved.tolist() == [True, False, True]


def test_an_unknown_rank_is_refused() -> None:
    solver, _, T = poses("xarm6", 1)
    with pytest.raises(UnknownNameError, match="unknown rank 'speed'; allowed: weight, distance, margin"):
        solver.solve(T, rank="speed")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fine", "wrong"),
    [
        ({"refine": True}, {"refine": 1}),
        ({"max_solutions": 1}, {"max_solutions": True}),
        ({"seeds": 8}, {"seeds": 8.0}),
    ],
)
def test_what_equals_an_option_that_was_taken_before_is_still_refused(fine: Any, wrong: Any) -> None:
    solver, _, T = poses("xarm6", 1)
    solver.solve(T, **fine)
    with pytest.raises(ShapeError, match=next(iter(wrong))):
        solver.solve(T, **wrong)
