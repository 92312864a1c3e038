"""Goals as vectors: they hold what the task counts of a pose, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import sim
from sim.environment.goals import GoalSpace, goal_space
from sim.errors import ShapeError
from sim.rotations import quat_wxyz_of
from sim.task import TASKS, error_norms, load_task, task_error

CASES = [
    ("planar2", "planar_position"),
    ("planar3", "planar_pose"),
    ("ur5e", "position"),
    ("xarm6", "position_axis"),
    ("panda", "pose"),
]


PITCHES = """<robot name="pitches"><link name="l0"/><link name="l1"/><link name="l2"/><link name="l3"/><link name="l4"/>
<link name="tip"/>{}<joint name="t" type="fixed"><parent link="l4"/><child link="tip"/><origin xyz="0.1 0 0"/></joint></robot>"""
FRAMED = [("x,y,z,pitch", 7), ("x,z", 3), ("x,y,z,axis_x", 7), ("y,roll", 7), ("z,yaw", 7)]


def pitches() -> sim.Arm:
    """A turn and three pitches."""
    joints = "".join(
        f'<joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="{xyz}"/>'
        f'<axis xyz="{axis}"/><limit lower="-2.6" upper="2.6" effort="9" velocity="2"/></joint>'
        for i, (axis, xyz) in enumerate([("0 0 1", "0 0 0.1"), *[("0 1 0", "0.2 0 0")] * 3])
    )
    return sim.load_arm(PITCHES.format(joints))


@pytest.mark.parametrize(("task", "size"), FRAMED)
def test_goals_of_tasks_of_any_rows_have_the_errors_of_the_task(task: str, size: int) -> None:
    arm = pitches()
    chosen = load_task(arm, task)
    goals, T = goal_space(arm, chosen), poses(arm)
    assert goals.encode(T).shape == (50, len(goals.names)) == (50, size)
    errors = goals.errors(goals.encode(T[:-1]), goals.encode(T[1:]))
    oracle = error_norms(task_error(chosen, torch.from_numpy(T[:-1]), torch.from_numpy(T[1:])))
    for mine, theirs in zip(errors, oracle, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-7)
    again = goals.decode(goals.encode(T[0]))
    assert float(task_error(chosen, torch.from_numpy(again), torch.from_numpy(T[0])).norm()) < 1e-7


@pytest.mark.parametrize("control", ["joints", "tip"])
def test_an_arm_of_four_joints_has_an_environment(control: str) -> None:
    import warnings

    from gymnasium.utils.env_checker import check_env

    from sim.environment import ReachEnv

    env = ReachEnv(pitches(), control=control)
    assert env.task.name == "x,y,z,pitch"
    assert env.control.names[-1] == ("j3" if control == "joints" else "task_turn_z")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env, skip_render_check=True)
    env.close()


def poses(arm: sim.Arm, count: int = 50) -> np.ndarray:
    q = arm.sample(np.random.default_rng(0), count)
    return sim.forward_kinematics(arm, q)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_errors_are_those_of_the_task(name: str, task: str) -> None:
    arm = sim.load_arm(name)
    goals, T = goal_space(arm, TASKS[task]), poses(arm)
    err_pos, err_rot = goals.errors(goals.encode(T[:-1]), goals.encode(T[1:]))
    oracle = error_norms(task_error(TASKS[task], torch.from_numpy(T[:-1]), torch.from_numpy(T[1:])))
    np.testing.assert_allclose(err_pos, oracle[0].numpy(), atol=1e-12)
    np.testing.assert_allclose(err_rot, oracle[1].numpy(), atol=1e-7)
    assert goals.encode(T).shape == (50, len(goals.names)) == (50, goals.size)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_goal_read_back_is_a_pose_with_that_goal(name: str, task: str) -> None:
    arm = sim.load_arm(name)
    goals = goal_space(arm, TASKS[task])
    for T in poses(arm, 20):
        again = goals.decode(goals.encode(T))
        error = task_error(TASKS[task], torch.from_numpy(again), torch.from_numpy(T))
        assert float(error.norm()) < 1e-7
        np.testing.assert_allclose(again[:3, :3] @ again[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(again[:3, :3]) == pytest.approx(1.0)


angles = st.one_of(st.sampled_from([0.0, np.pi, np.pi / 2, 1e-9, np.pi - 1e-9]), st.floats(0, np.pi))
directions = st.tuples(*[st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1, 1))] * 3)


@st.composite
def pairs_of_poses(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Two poses, and the angle between them."""
    poses, axis = [], np.array(draw(directions.filter(lambda v: np.linalg.norm(v) > 1e-3)))
    angle = draw(angles)
    between = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    first = Rotation.from_euler("xyz", draw(st.tuples(angles, angles, angles)))
    for turned in (first, first * between):
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = turned.as_matrix(), draw(st.tuples(*[st.floats(-3, 3)] * 3))
        poses.append(T)
    return poses[0], poses[1], angle


@given(pairs_of_poses())
def test_goals_are_as_far_apart_as_their_poses(pair: tuple[np.ndarray, np.ndarray, float]) -> None:
    goals, (T, other, angle) = GoalSpace(TASKS["pose"], np.eye(4)), pair
    err_pos, err_rot = goals.errors(goals.encode(T), goals.encode(other))
    assert abs(err_pos - np.linalg.norm(T[:3, 3] - other[:3, 3])) < 1e-12
    assert abs(err_rot - angle) < 1e-9
    np.testing.assert_allclose(goals.decode(goals.encode(T)), T, atol=1e-9)


def test_half_turns_and_tiny_turns_are_measured_right() -> None:
    goals = GoalSpace(TASKS["pose"], np.eye(4))
    turned = np.tile(np.eye(4), (3, 1, 1))
    for T, angle in zip(turned, (np.pi, 1e-9, np.pi - 1e-9), strict=True):
        T[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    _, err_rot = goals.errors(goals.encode(turned), goals.encode(np.eye(4)))
    np.testing.assert_allclose(err_rot, [np.pi, 1e-9, np.pi - 1e-9], atol=1e-10, rtol=1e-6)


def test_a_quaternion_and_its_negative_are_one_goal() -> None:
    goals = GoalSpace(TASKS["pose"], np.eye(4))
    quat_wxyz = np.array([0.5, -0.5, 0.5, 0.5])
    one, other = np.array([0, 0, 0, *quat_wxyz]), np.array([0, 0, 0, *-quat_wxyz])
    assert goals.errors(one, other)[1] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(goals.decode(one), goals.decode(other), atol=1e-12)
    np.testing.assert_allclose(quat_wxyz_of(goals.decode(other)[:3, :3]), quat_wxyz, atol=1e-12)


def test_wrong_goals_are_told() -> None:
    goals = GoalSpace(TASKS["pose"], np.eye(4))
    with pytest.raises(ShapeError, match=r"7 finite numbers \(x, y, z, quat_w"):
        goals.decode(np.zeros(6))
    with pytest.raises(ShapeError, match="must have length 1"):
        goals.decode(np.zeros(7))
    with pytest.raises(ShapeError, match="T_rest must be a pose"):
        GoalSpace(TASKS["pose"], np.eye(3))
