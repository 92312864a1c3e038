"""What a solve answers where nothing is ordinary: curves of solutions, near misses, more rows than joints, no time."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from samples import random_arm, sample

from ik_mdn.solver import IKSolver, Status, self_motion
from ik_mdn.solver.approach import closest_approach
from ik_mdn.solver.continua import on_curve
from ik_mdn.solver.engine import NEARLY, Problem
from ik_mdn.solver.windings import MOST_WINDINGS
from sim.arm import Arm, load_arm
from sim.errors import CheckpointError, ShapeError, UnknownNameError
from sim.kinematics import forward_kinematics, jacobian
from sim.task import TASKS, error_norms, load_task, task_error

DOWN = np.diag([1.0, -1.0, -1.0])


def five(tilt: float = 0.0) -> Arm:
    """A turn, three parallel pitches and a roll of the tool; the pitches lean out of the vertical plane by a tilt."""
    offsets = np.tile(np.eye(4), (6, 1, 1))
    side = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z onto y
    lean = np.array([[1.0, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    offsets[0, :3, 3] = 0, 0, 0.25
    offsets[1, :3, :3] = lean @ side
    offsets[2, :3, 3], offsets[3, :3, 3] = (0.05, -0.28, 0), (0.08, 0.34, 0)
    offsets[4, :3, :3], offsets[4, :3, 3] = side, (0.07, 0.1, 0)
    offsets[5, :3, 3] = 0, 0, 0.05
    limits = np.array([3.0, 2.0, 2.5, 2.5, 3.0])
    return Arm(
        "five", "base", "tip", tuple("abcde"), ("revolute",) * 5, offsets, -limits, limits, np.ones(5), np.ones(5)
    )


def test_thorough_mode_ends_on_a_task_whose_jacobian_is_singular_everywhere() -> None:
    arm = five()
    q = sample(arm, 5).numpy()
    J = jacobian(arm, q)
    R = forward_kinematics(arm, q)[:, :3, :3]
    rows = np.concatenate([J[:, :3], (R.swapaxes(1, 2) @ J[:, 3:])[:, :2]], axis=1)
    assert (np.linalg.svd(rows)[1][:, -1] < 1e-12).all()  # the tool's roll moves nothing that counts
    before = time.process_time()
    found = IKSolver(arm).solve(forward_kinematics(arm, q), thorough=True)
    assert time.process_time() - before < 30
    assert found.tally() == {Status.CONTINUUM: 5}
    assert found.solved.all()
    assert found.count.max() < 200


def aimless() -> Arm:
    """Three turns, the last about an axis through the tip: its position leaves that one free everywhere."""
    offsets = np.tile(np.eye(4), (4, 1, 1))
    offsets[0, :3, 3], offsets[2, :3, 3] = (0.3, 0, 0.1), (0.3, 0, 0.1)
    offsets[1, :3] = [[1, 0, 0, 0.3], [0, 0, 1, 0], [0, -1, 0, 0.1]]
    return Arm(
        "aimless",
        "base",
        "tip",
        tuple("abc"),
        ("revolute",) * 3,
        offsets,
        *np.full((4, 3), 2.0) * [[-1], [1], [1], [1]],
    )


@pytest.mark.parametrize("options", [{}, {"thorough": True}, {"restarts": 1}])
def test_an_arm_that_is_singular_everywhere_gets_samples_of_its_curves_and_no_more(options: dict[str, Any]) -> None:
    """Looked at along its valleys, which are its curves, each target had 1,400 of them."""
    arm = aimless()
    q = sample(arm, 40).numpy()
    solver = IKSolver(arm, task="position")
    assert (np.linalg.svd(jacobian(arm, q)[:, :3])[1][:, -1] < 1e-12).all()
    T = forward_kinematics(arm, q)
    found = solver.solve(T, **options)
    assert found.tally() == {Status.CONTINUUM: 40}
    assert found.count.max() < 100
    np.testing.assert_array_equal(solver.solve(T[7], **options)[0].q, found[7].q)


@pytest.mark.parametrize("off", [1e-7, 1e-6])
def test_beside_a_singularity_thorough_mode_ends_at_more_solutions_than_there_can_be_branches(off: float) -> None:
    """A curve misses the target by about the tolerance there: thousands of points would count as branches."""
    solver = IKSolver(load_arm("ur5e"))
    q = np.random.default_rng(0).uniform(-3.0, 3.0, (4, 6))
    q[:, 4] = off
    for found in solver.solve(forward_kinematics(solver.arm, q), thorough=True):
        apart = np.abs(found.q[:, None] - found.q[None]).max(axis=-1) + np.eye(len(found))
        assert apart.min() > 1e-4
        assert found.status is Status.CONTINUUM if len(found) > 16 else found.status is not Status.UNREACHABLE
        assert len(found) < 1000


def test_on_a_curve_thorough_mode_still_finds_the_isolated_branches() -> None:
    arm = load_arm("ur5e")
    q = np.random.default_rng(5).uniform(-2.5, 2.5, (3, 6))
    q[:, 4] = 0.0
    T = forward_kinematics(arm, q)
    for one, target in zip(IKSolver(arm).solve(T, thorough=True), T, strict=True):
        assert one.status is Status.CONTINUUM
        straight = np.abs(np.sin(one.q[:, 4])) < 1e-4
        assert straight.any()
        assert len(one.q) < 64
        near = IKSolver(arm).solve(target, thorough=True, seed=1)[0]
        bent = near.q[np.abs(np.sin(near.q[:, 4])) > 1e-4]
        for other in bent:  # found whatever the random numbers
            assert np.abs(np.sin((one.q - other) / 2)).max(axis=1).min() < 1e-5
        np.testing.assert_allclose(one.weight[straight], 1 / straight.sum(), atol=1e-9)  # a curve takes all


def test_curves_are_told_from_double_roots_and_regular_solutions() -> None:
    arm = load_arm("puma560")
    q = sample(arm, 30, seed=2).numpy()
    curved = q.copy()
    curved[:, 4] = 0.0
    rows = np.concatenate([q, curved])
    problem = Problem(arm, TASKS["pose"], np.ascontiguousarray(forward_kinematics(arm, rows)), None, 1e-8)
    assert on_curve(problem, np.arange(60), rows).tolist() == [False] * 30 + [True] * 30
    planar = load_arm("planar2")
    edge = np.array([[0.3, 0.0], [0.3, np.pi]])  # stretched: a double root; folded onto the base: a circle
    T = np.ascontiguousarray(forward_kinematics(planar, edge))
    assert on_curve(Problem(planar, TASKS["planar_position"], T, None, 1e-8), np.arange(2), edge).tolist() == [
        False,
        True,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.5])
@pytest.mark.parametrize("options", [{}, {"thorough": True}, {"closest": True, "windings": True}])
def test_the_timeout_is_kept(seconds: float, options: dict[str, Any]) -> None:
    """In time of this thread, which does not count what other programs take; the share of the last portion is small."""
    arm = replace(random_arm(7, 3), q_min=np.full(7, -0.2), q_max=np.full(7, 0.2), joint_types=("revolute",) * 7)
    wide = replace(arm, q_min=np.full(7, -3.0), q_max=np.full(7, 3.0))
    T = forward_kinematics(wide, sample(wide, 3000))
    solver = IKSolver(arm)
    solver.solve(T[:20], **options)
    before = time.thread_time()
    found = solver.solve(T, timeout=seconds, **options)
    assert time.thread_time() - before < seconds + 0.15
    assert Status.TIMED_OUT in found.tally()


@pytest.mark.slow
def test_a_target_missed_by_a_hair_is_nearly_met_and_says_by_how_much() -> None:
    arm, exact = five(tilt=1e-5), five()
    rng, near, oracle = np.random.default_rng(2), [], []
    while len(near) < 10:
        T, yaw = np.eye(4), rng.uniform(-3, 3)
        T[:3, :3] = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]) @ DOWN
        angle, radius = rng.uniform(-2, 2), rng.uniform(0.2, 0.42)
        T[:3, 3] = radius * np.cos(angle), radius * np.sin(angle), rng.uniform(0, 0.3)
        if IKSolver(exact).solve(T).solved[0]:
            near.append(T)
            oracle.append(closest_approach(arm, TASKS["position_axis"], T))
    found = IKSolver(arm).solve(np.stack(near))
    assert found.tally() == {Status.NEARLY: 10}
    assert found.solved.all()
    assert not found.exact.any()
    for one, best in zip(found, oracle, strict=True):
        assert 1e-8 < np.hypot(one.err_pos, one.err_rot).max() <= 2 * NEARLY
        assert one.err_rot[0] < 2 * np.hypot(best.err_pos, best.err_rot) + 1e-7


def test_a_target_beyond_the_links_is_not_nearly_met() -> None:
    assert IKSolver(load_arm("planar2")).solve(np.array([2.0 + 1e-5, 0.0]))[0].status is Status.UNREACHABLE


@pytest.mark.parametrize(("name", "task"), [("five", "pose"), ("planar2", "planar_pose")])
def test_more_rows_than_joints_are_solved_exactly_where_some_joint_vector_makes_the_target(
    name: str, task: str
) -> None:
    arm = five() if name == "five" else load_arm(name)
    q = sample(arm, 30).numpy()
    T = np.ascontiguousarray(forward_kinematics(arm, q))
    solver = IKSolver(arm, task=task)
    found = solver.solve(T)
    assert found.solved.all()
    for one, made in zip(found, q, strict=True):
        assert np.abs(np.sin((one.q - made) / 2)).max(axis=1).min() < 1e-6
    np.testing.assert_allclose(forward_kinematics(arm, found.q), T[found.pose_index], atol=2e-8)
    turned = T.copy()
    turned[:, :3, :3] = T[:, :3, :3] @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    if name == "planar2":
        assert not solver.solve(turned).solved.any()
        assert solver.solve(turned[0], closest=True)[0].closest is not None


@pytest.mark.parametrize("task", ["x,y,z,pitch", "x,z", "y", "x,y,axis_x", "z,roll"])
def test_rows_in_other_frames_are_solved_as_their_errors_say(task: str) -> None:
    arm = random_arm(6, 1)
    chosen = load_task(arm, task)
    T = np.ascontiguousarray(forward_kinematics(arm, sample(arm, 40)))
    solver = IKSolver(arm, task=chosen)
    assert solver._engines.compiled is not None
    found = solver.solve(T)
    assert found.solved.all()
    tips = torch.from_numpy(forward_kinematics(arm, found.q))
    errors = torch.stack(error_norms(task_error(chosen, tips, torch.from_numpy(T[found.pose_index]))))
    assert float(errors.max()) <= 1e-8


def test_an_arm_that_reaches_over_backwards_meets_no_pitch() -> None:
    """A turn and three parallel pitches: turned about, its tip has the axis of the pitch the other way round."""
    whole = five()
    each = {name: getattr(whole, name)[:4] for name in ("joint_names", "joint_types", "q_min", "q_max", "dq_max")}
    arm = replace(whole, **each, effort_max=np.ones(4), offsets=whole.offsets[:5])
    q = sample(arm, 200).numpy()
    found = IKSolver(arm).solve(forward_kinematics(arm, q), thorough=True)
    assert found.solved.all()
    assert found.count.max() == 2  # elbow up and down
    assert (found.err_rot < 1e-8).all()
    turned = found.q[:, 0] - q[found.pose_index, 0]
    np.testing.assert_allclose(turned, 0, atol=1e-6)


def test_self_motion_follows_curves_of_rows_in_other_frames() -> None:
    arm = random_arm(5, 2)
    chosen = load_task(arm, "x,y,z,pitch")
    T = forward_kinematics(arm, sample(arm, 3))
    for one, target in zip(self_motion(arm, T, 20, task=chosen), T, strict=True):
        assert len(one) == 20
        again = IKSolver(arm, task=chosen).solve(target.numpy(), q_seed=one.q[7])[0]
        assert np.abs(again.q[0] - one.q[7]).max() < 1e-6


def wide(limit: float) -> Arm:
    arm = load_arm("puma560")
    return replace(arm, q_min=np.full(6, -limit), q_max=np.full(6, limit))


def test_windings_of_wide_limits_are_capped_and_the_nearest(caplog: pytest.LogCaptureFixture) -> None:
    arm = wide(100.0)
    q = sample(load_arm("puma560"), 1).numpy()[0]
    T = forward_kinematics(arm, q)
    with caplog.at_level(logging.WARNING, "ik_mdn"):
        found = IKSolver(arm).solve(T, windings=True, q_seed=q)[0]
    assert "have more windings than the 256 nearest" in caplog.text
    assert len(found) <= 16 * MOST_WINDINGS
    np.testing.assert_allclose(found.weight.sum(), 1.0)
    np.testing.assert_allclose(found.q[0], q, atol=1e-6)
    own = found.q[np.abs(np.sin((found.q - found.q[0]) / 2)).max(axis=1) < 1e-6]
    away = np.rint((own - q) / (2 * np.pi))
    ring = {tuple(step) for step in (np.eye(6, dtype=int)[:, None] * np.array([1, -1])[None, :, None]).reshape(-1, 6)}
    assert ring <= {tuple(step) for step in away.astype(int)}  # all next neighbours are among them
    jump = IKSolver(arm).solve(T, windings=True, q_seed=q, max_jump=6.3)[0]
    assert np.abs(jump.q - q).max() <= 6.3
    few = IKSolver(arm).solve(T, windings=True, q_seed=q, max_solutions=3)[0]
    np.testing.assert_array_equal(few.q, found.q[:3])


def test_of_seven_joints_a_solution_within_max_jump_is_found_where_there_is_one() -> None:
    solver = IKSolver.load("panda")
    arm, rng = solver.arm, np.random.default_rng(0)
    q = 0.8 * sample(arm, 60, seed=4).numpy() + 0.2 * (arm.q_min + arm.q_max) / 2
    near = np.clip(q + rng.uniform(-0.29, 0.29, q.shape), arm.q_min, arm.q_max)
    found = solver.solve(forward_kinematics(arm, q), q_seed=near, max_jump=0.3)
    assert (found.count > 0).mean() > 0.97
    assert np.abs(found.q - near[found.pose_index]).max() <= 0.3


def test_long_chains_with_narrow_limits_are_solved_in_limits() -> None:
    arm = random_arm(12, 5)
    arm = replace(arm, q_min=np.full(12, -0.4), q_max=np.full(12, 0.4), joint_types=("revolute",) * 12)
    found = IKSolver(arm).solve(forward_kinematics(arm, sample(arm, 300)))
    assert found.tally() == {Status.SOLVED: 300}


def test_first_guesses_work_or_say_what_to_write() -> None:
    arm = load_arm("planar2")
    assert IKSolver(arm, "planar2").model is not None
    with pytest.raises(ShapeError, match=r"takes an arm, and got 'xarm6'; write IKSolver.load\('xarm6'\)"):
        IKSolver("xarm6")  # type: ignore[arg-type]
    with pytest.raises((CheckpointError, UnknownNameError)):
        IKSolver(arm, "no such model")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        *(({name: value}, ShapeError) for name in ("seeds", "draws", "restarts") for value in ("3", 1.5, np.nan, None)),
        *(({"max_solutions": value}, ShapeError) for value in ("1", 1.5, np.nan, [1], True)),
        *(({"tolerance": value}, ShapeError) for value in ("1", None, 10**400, 1e300)),
        *(({"timeout": value}, ShapeError) for value in ("1", 10**400, np.nan)),
        *(({name: "no"}, ShapeError) for name in ("refine", "windings", "thorough", "closest")),
        *(({"rank": value}, UnknownNameError) for value in (0, {}, np.array(["weight", "x"]))),
        ({"seed": 1.5}, ShapeError),
        ({"restarts": 60}, ShapeError),
    ],
)
def test_values_of_odd_kinds_are_refused_by_name(options: dict[str, Any], error: type[Exception]) -> None:
    name = next(iter(options))
    with pytest.raises(error, match=name):
        IKSolver(load_arm("planar2")).solve(np.array([1.0, 0.5]), **options)


@pytest.mark.slow
def test_a_forked_child_solves_what_its_parent_did() -> None:
    code = """
import multiprocessing as mp, numpy as np, torch, sim, ik_mdn
torch.set_num_threads(2)
s = ik_mdn.IKSolver.load("xarm6")
T = sim.forward_kinematics(s.arm, s.arm.sample(np.random.default_rng(0), 60))
s.solve(T)
p = mp.get_context("fork").Process(target=lambda: s.solve(T))
p.start(); p.join(60); print("alive" if p.is_alive() else p.exitcode); p.kill()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.strip() == "0"


def test_loading_and_compiling_take_no_time_from_the_first_target() -> None:
    code = (
        "import numpy as np, sim; from ik_mdn import IKSolver; arm = sim.load_arm('ur5e'); T = sim.forward_kinematics("
        "arm, np.full(6, 0.3)); print(IKSolver(arm).solve(T, timeout=0.1)[0].status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.strip() == "solved"
