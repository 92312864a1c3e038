"""Following Cartesian paths: exact, within limits, on one branch, and stopped with the right word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch

import sim
from ik_mdn.cli import main
from ik_mdn.paths.following import follow_path, to_motion
from ik_mdn.paths.path import CartesianPath, circle_path, line_path, polyline_path
from ik_mdn.paths.tracked import PathStatus, Tracked
from ik_mdn.paths.tracking import track, track_many
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.solver import IKSolver
from sim.arm.arm import Arm
from sim.arrays import FloatArray
from sim.errors import PoseError, ShapeError, TaskError, WorldError
from sim.files import data_folder
from sim.kinematics import forward_kinematics, jacobian
from sim.scenes.scene import load_scene
from sim.task import Task, error_norms, task_error
from sim.world.body import ArmBody
from sim.world.motion import speed_limits
from sim.world.world import World


@pytest.fixture(scope="module")
def puma() -> IKSolver:
    return IKSolver(sim.load_arm("puma560"))


@pytest.fixture(scope="module")
def planar2() -> IKSolver:
    return IKSolver(sim.load_arm("planar2"))


@pytest.fixture(scope="module")
def xarm() -> Arm:
    return sim.load_arm("xarm6")


@pytest.fixture(scope="module")
def body(xarm: Arm) -> Iterator[ArmBody]:
    with World() as world:
        yield world.add_arm(xarm)


WORKING = np.array([0.2, -0.4, -1.0, 0.3, 1.1, -0.2])  # of xarm6, far from limits and singularities


def turn(rotvec: Any) -> FloatArray:
    return np.asarray(roma.rotvec_to_rotmat(torch.tensor(np.asarray(rotvec, float))).numpy())


def through(arm: Arm, q: FloatArray, way: Any, rotvec: Any, **limits: float) -> CartesianPath:
    """The line that has the tip pose of q in its middle."""
    ends = []
    for sign in (-1.0, 1.0):
        T = forward_kinematics(arm, q)
        T[:3, 3] += sign * np.asarray(way)
        T[:3, :3] = T[:3, :3] @ turn(sign * np.asarray(rotvec))
        ends.append(T)
    return line_path(*ends, **limits)


def random_path(arm: Arm, rng: np.random.Generator) -> CartesianPath:
    T = forward_kinematics(arm, arm.sample(rng))
    flat = (1.0, 1.0, 0.0) if arm.is_planar else (1.0, 1.0, 1.0)
    way = rng.normal(size=3) * flat
    if rng.integers(2):
        end = T.copy()
        end[:3, 3] += 0.2 * arm.reach * way / np.linalg.norm(way)
        return line_path(T, end)
    axis = (0.0, 0.0, 1.0) if arm.is_planar else rng.normal(size=3)
    out = np.cross(axis, way)
    out *= 0.1 * arm.reach / np.linalg.norm(out)
    return circle_path(T[:3, 3] - out, axis, float(np.linalg.norm(out)), T[:3, :3], towards=out)


def largest_step(arm: Arm, tracked: Tracked) -> float:
    """Of a joint between two samples, as a share of what its velocity limit allows."""
    return float((np.abs(np.diff(tracked.q, axis=0)) / (speed_limits(arm) * tracked.dt)).max(initial=0.0))


def check(solver: IKSolver, tracked: Tracked) -> None:
    """What holds for every path, however it ends."""
    arm = solver.arm
    assert largest_step(arm, tracked) <= 1.0
    assert ((tracked.q >= arm.q_min) & (tracked.q <= arm.q_max)).all()
    assert (np.diff(tracked.u) > 0).all()
    assert (np.diff(tracked.u) <= 1 + 1e-9).all()
    poses = torch.from_numpy(forward_kinematics(arm, tracked.q))
    errors = error_norms(task_error(solver.task, poses, torch.from_numpy(tracked.T_base_tip)))
    assert float(torch.cat(errors).max()) <= 1e-8
    passed = sum(status in (PathStatus.OK, PathStatus.HELD) for status in tracked.statuses)
    assert set(tracked.statuses[passed:]) <= {tracked.status}
    assert passed == int(np.floor(tracked.u[-1] + 1e-6)) + 1
    assert tracked.status.followed == (tracked.fraction == 1.0) == (passed == len(tracked.path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["planar2", "planar3", "puma560", "ur5e", "panda"])
def test_random_paths_are_followed_exactly_within_limits_and_end_with_the_right_word(name: str) -> None:
    solver, rng = IKSolver(sim.load_arm(name)), np.random.default_rng(3)
    results = track_many(solver, [random_path(solver.arm, rng) for _ in range(8)])
    for tracked in results:
        check(solver, tracked)
    assert sum(tracked.status.followed for tracked in results) >= 3
    with World() as world:
        body = world.add_arm(solver.arm, meshes=False)
        for tracked in results[:2]:
            there = torch.from_numpy(body.tip_pose(tracked.q[::10]))
            wanted = torch.from_numpy(tracked.T_base_tip[::10])
            assert float(torch.cat(error_norms(task_error(solver.task, there, wanted))).max()) <= 1e-8


def test_a_path_that_no_joint_is_too_slow_for_keeps_its_own_pace(puma: IKSolver) -> None:
    q = np.array([0.3, 0.4, -0.5, 0.2, 0.9, 0.1])
    tracked = track(puma, through(puma.arm, q, (0.05, 0, 0), (0, 0.1, 0)), q_start=None)
    assert tracked.status is PathStatus.OK
    assert set(tracked.statuses) == {PathStatus.OK}
    np.testing.assert_array_equal(tracked.u, np.arange(len(tracked.path)))
    assert tracked.delay == 0


def test_the_branch_is_the_one_of_the_closed_form(planar2: IKSolver) -> None:
    for elbow in (-1.0, 1.0):
        path = line_path(place(1.5, -0.8), place(0.2, 0.9))
        p = path.T_base_tip[:, :2, 3]
        q2 = elbow * np.arccos((p**2).sum(1) / 2 - 1)
        q1 = np.arctan2(p[:, 1], p[:, 0]) - np.arctan2(np.sin(q2), 1 + np.cos(q2))
        tracked = track(planar2, path, q_start=[q1[0], q2[0]])
        assert tracked.status is PathStatus.OK
        np.testing.assert_allclose(tracked.q, np.stack([q1, q2], axis=-1), atol=1e-6)


def place(x: float, y: float) -> FloatArray:
    T = np.eye(4)
    T[:2, 3] = x, y
    return T


def on_every_branch(solver: IKSolver, path: CartesianPath) -> list[Tracked]:
    """The path followed on each branch of its first pose."""
    starts = solver.solve(path.T_base_tip[0])[0].q
    return track_many(solver, [path] * len(starts), q_start=starts)


@pytest.mark.slow
@pytest.mark.parametrize("miss", [1e-2, 1e-4, 1e-6])
def test_beside_a_wrist_singularity_the_arm_is_held_while_the_wrist_turns_round(puma: IKSolver, miss: float) -> None:
    q = np.array([0.3, 0.4, -0.5, 0.2, miss, 0.1])
    path = through(puma.arm, q, (0.05, 0.02, -0.04), (0.1, 0.2, 0.05))
    results = on_every_branch(puma, path)
    close = [one for one in results if np.abs(one.q[:, 4]).min() <= miss]
    assert close, "the branch through the singularity is among them"
    for tracked in results:
        check(puma, tracked)
        assert len(np.unique(np.sign(tracked.q[:, 4]))) == 1, "the other wrist is another branch"
    for tracked in close:
        assert tracked.status in (PathStatus.HELD, PathStatus.OUT_OF_LIMITS)  # the wrist may not have the room to turn
        assert tracked.delay > 0.3
    held = [one for one in close if one.status is PathStatus.HELD]
    assert held
    assert np.ptp(held[0].q[:, 3]) > 2.5  # almost half a turn, as the exact path demands


@pytest.mark.parametrize("miss", [0.0, 1e-10])
def test_straight_through_a_wrist_singularity_it_passes_smoothly(puma: IKSolver, miss: float) -> None:
    q = np.array([0.3, 0.4, -0.5, 0.2, miss, 0.1])
    results = on_every_branch(puma, through(puma.arm, q, (0.05, 0.02, -0.04), (0.1, 0.2, 0.05)))
    passed = [one for one in results if len(np.unique(np.sign(one.q[:, 4]))) > 1]
    assert passed
    for tracked in results:
        check(puma, tracked)
    for tracked in passed:
        assert tracked.status.followed
        assert np.ptp(tracked.q[:, 3]) < 1.0  # the wrist is not turned round
        accelerations = np.abs(np.diff(tracked.q, n=2, axis=0)) / tracked.dt**2
        assert accelerations.max() < 2.1 * (speed_limits(puma.arm) / 0.4).max()


def test_refining_each_sample_from_the_last_would_jump_where_tracking_is_held(puma: IKSolver) -> None:
    q = np.array([0.3, 0.4, -0.5, 0.2, 1e-4, 0.1])
    path = through(puma.arm, q, (0.05, 0.02, -0.04), (0.1, 0.2, 0.05))
    held = next(one for one in on_every_branch(puma, path) if one.status is PathStatus.HELD and one.delay > 0.3)
    way = [torch.from_numpy(held.q[:1])]
    for T in path.T_base_tip[1:]:
        way.append(refine(puma.arm, puma.task, torch.from_numpy(T[None]), way[-1]).q)
    steps = torch.cat(way).diff(dim=0).abs().numpy() / (speed_limits(puma.arm) * path.dt)
    assert steps.max() > 1.0 or np.sign(way[-1][0, 4]) != np.sign(held.q[-1, 4])


def test_where_the_branch_ends_but_others_go_on_it_would_jump_and_says_where_to() -> None:
    solver = IKSolver(sim.load_arm("ur5e"))
    path = random_path(solver.arm, np.random.default_rng(5))
    stopped = [one for one in on_every_branch(solver, path) if one.status is PathStatus.WOULD_JUMP]
    assert stopped
    for tracked in stopped:
        check(solver, tracked)
        assert tracked.q_elsewhere is not None
        following = forward_kinematics(solver.arm, tracked.q_elsewhere)
        np.testing.assert_allclose(following, tracked.path.T_base_tip[int(tracked.u[-1]) + 1], atol=1e-7)
        assert np.abs(tracked.q_elsewhere - tracked.q[-1]).max() > 0.1
        assert np.abs(tracked.q[-1] - tracked.q[-2]).max() < 0.3 * (speed_limits(solver.arm) * tracked.dt).max()


def test_a_line_out_of_the_workspace_is_followed_to_its_edge_and_the_arm_rests_there(planar2: IKSolver) -> None:
    tracked = track(planar2, line_path(place(1.0, 0.3), place(2.4, 0.5)))
    check(planar2, tracked)
    assert tracked.status is PathStatus.UNREACHABLE
    tip = forward_kinematics(planar2.arm, tracked.q[-1])[:2, 3]
    assert 2.0 - 1e-4 < np.linalg.norm(tip) < 2.0
    steps = np.abs(np.diff(tracked.q, axis=0)).max(axis=1)
    assert steps[-1] < 0.5 * steps.max()
    assert 0.5 < tracked.fraction < 0.9


def test_out_of_a_singular_start_the_way_is_found(planar2: IKSolver) -> None:
    tracked = track(planar2, line_path(place(2.0, 0.0), place(1.2, 0.0)), q_start=[0.0, 0.0])
    check(planar2, tracked)
    assert tracked.status is PathStatus.HELD
    assert np.abs(tracked.q[-1, 1]) > 1.5


def test_at_a_joint_limit_it_stops_inside(puma: IKSolver) -> None:
    q = np.array([2.2, 0.4, -0.5, 0.2, 0.9, 0.1])
    T = forward_kinematics(puma.arm, q)
    radius = float(np.linalg.norm(T[:2, 3]))
    round_base = circle_path(
        (0, 0, T[2, 3]), (0, 0, 1), radius, T[:3, :3], towards=T[:3, 3], angle=1.5, tangential=True
    )
    tracked = track(puma, round_base, q_start=q)
    check(puma, tracked)
    assert tracked.status is PathStatus.OUT_OF_LIMITS
    assert puma.arm.q_max[0] - 0.02 < tracked.q[-1, 0] <= puma.arm.q_max[0]
    np.testing.assert_allclose(tracked.q[:, 1:], np.broadcast_to(q[1:], tracked.q[:, 1:].shape), atol=1e-6)


@pytest.mark.parametrize(("angle", "q1"), [(3 * np.pi, 0.5), (-3 * np.pi, -0.5), (3.9 * np.pi, 3.0)])
def test_a_joint_begins_full_turns_back_where_the_path_winds_it_to_a_limit(angle: float, q1: float) -> None:
    arm = sim.load_arm("ur5e")
    q = np.array([q1, -1.2, 1.5, -1.0, 1.1, 0.3])  # limits of ±2π
    T = forward_kinematics(arm, q)
    middle, out = T[:3, 3] * (0, 0, 1), T[:3, 3] * (1, 1, 0)
    limits = {"speed": 1.0, "turn_speed": 1.5}
    path = circle_path(
        middle, (0, 0, 1), np.hypot(*out[:2]), T[:3, :3], towards=out, angle=angle, tangential=True, **limits
    )
    tracked = track(arm, path)
    assert tracked.status.followed
    np.testing.assert_allclose(tracked.q[-1] - tracked.q[0], [angle, 0, 0, 0, 0, 0], atol=1e-7)  # the base alone turns
    asked = track(arm, path, q_start=q)
    assert asked.status is PathStatus.OUT_OF_LIMITS
    assert asked.fraction < 1.0


def test_the_start_is_the_solution_from_which_most_can_be_followed(planar2: IKSolver) -> None:
    path = circle_path((0, 0, 0), (0, 0, 1), 1.2, np.eye(3), towards=(-1, -0.6, 0), angle=3.4)
    each = on_every_branch(planar2, path)
    chosen = track(planar2, path)
    assert chosen.fraction == max(one.fraction for one in each)
    assert min(one.fraction for one in each) < chosen.fraction


def test_too_fast_a_path_is_held_and_every_sample_still_passed(planar2: IKSolver) -> None:
    path = line_path(place(1.5, -0.8), place(0.2, 0.9), speed=20.0)
    tracked = track(planar2, path)
    check(planar2, tracked)
    assert tracked.status is PathStatus.HELD
    assert PathStatus.HELD in tracked.statuses
    assert largest_step(planar2.arm, tracked) > 0.9
    half = track(planar2, path, speed=0.5)
    assert largest_step(planar2.arm, half) <= 0.5
    assert half.delay > tracked.delay


@pytest.mark.slow
def test_many_paths_together_give_what_each_gives_alone(puma: IKSolver) -> None:
    rng = np.random.default_rng(5)
    paths = [random_path(puma.arm, rng) for _ in range(4)]
    for together, path in zip(track_many(puma, paths), paths, strict=True):
        alone = track(puma, path)
        assert (together.status, len(together.q)) == (alone.status, len(alone.q))
        np.testing.assert_allclose(together.q, alone.q, atol=1e-9)


def test_a_path_that_cannot_be_started_is_told_apart_and_holds_no_motion(planar2: IKSolver) -> None:
    path = line_path(place(3.0, 0.0), place(1.0, 0.0))
    tracked = track(planar2, path)
    assert tracked.status is PathStatus.UNREACHABLE
    assert set(tracked.statuses) == {PathStatus.UNREACHABLE}
    assert tracked.q.shape == (0, 2)
    assert (tracked.fraction, tracked.delay, tracked.worst) == (0.0, 0.0, (0.0, 0.0))
    assert track_many(planar2, []) == []


def test_a_path_of_one_pose_is_followed(planar2: IKSolver) -> None:
    tracked = track(planar2, CartesianPath(place(1.0, 0.5)[None]))
    assert (tracked.status, tracked.fraction, len(tracked.q)) == (PathStatus.OK, 1.0, 1)


def test_a_polyline_with_corners_is_followed(planar2: IKSolver) -> None:
    path = polyline_path([place(1.2, 0.0), place(1.2, 0.6), place(0.6, 0.6), place(1.2, 0.0)])
    tracked = track(planar2, path)
    check(planar2, tracked)
    assert tracked.status is PathStatus.OK


@pytest.mark.slow
def test_an_obstacle_on_the_way_stops_the_arm_before_it_and_is_named(xarm: Arm) -> None:
    T = forward_kinematics(xarm, WORKING)
    end = T.copy()
    end[:3, 3] += (0.0, -0.25, 0.0)
    solver, path = IKSolver(xarm), line_path(T, end)
    middle = (T[:3, 3] + 0.75 * (end[:3, 3] - T[:3, 3])).tolist()
    block = {"name": "block", "shape": "box", "size": [0.06, 0.06, 0.3], "position": middle}
    with World() as world:
        body = world.add_arm(xarm)
        assert track(solver, path, q_start=WORKING, body=body).status is PathStatus.OK
        world.add_scene(load_scene({"name": "test", "obstacles": [block]}))
        tracked = track(solver, path, q_start=WORKING, body=body)
        check(solver, tracked)
        assert tracked.status is PathStatus.COLLISION
        assert 0.2 < tracked.fraction < 0.75
        assert any("block" in name for pair in tracked.contacts for name in pair)
        assert not body.collides(tracked.q).any()
        body.set_q(tracked.q[0])
        done = follow_path(body, tracked)
        assert done.drive.contacts == ()
        body.set_q(WORKING)
        world.add_scene(load_scene({"name": "other", "obstacles": [{**block, "position": T[:3, 3].tolist()}]}))
        stuck = track(solver, path, q_start=WORKING, body=body)
        assert (stuck.status, len(stuck.q)) == (PathStatus.COLLISION, 0)
        assert stuck.contacts
        others = track(solver, path, body=body)  # solutions that all collide at the start are no error
        assert others.status is PathStatus.COLLISION


def with_ball(arm: Arm, at: Any) -> World:
    """A world with a ball of 6 mm and the arm in it."""
    ball = {"name": "ball", "shape": "sphere", "radius": 0.003, "position": [*at, 0.0]}
    world = World()
    world.add_scene(load_scene({"name": "room", "unit": "metre", "obstacles": [ball]}), arm)
    return world


@pytest.fixture(scope="module")
def stick() -> IKSolver:
    """Planar2 with a thin second link to collide with."""
    text = (data_folder("arms") / "planar2.urdf").read_text()
    shape = """<collision><origin xyz="0.5 0 0"/><geometry><box size="1 0.02 0.02"/></geometry></collision>"""
    before, after = text.split('<link name="link2">')
    return IKSolver(sim.load_arm(f'{before}<link name="link2">{shape}{after}'))


def test_nothing_is_passed_through_between_samples_far_apart(stick: IKSolver) -> None:
    q = np.array([0.2, 1.0])
    start = forward_kinematics(stick.arm, q)
    end = start.copy()
    end[:2, 3] += (-0.6, 0.4)
    path = line_path(start, end, rate=10, speed=1.0)  # 8 cm from sample to sample
    free = track(stick, path, q_start=q)
    for share in np.linspace(0.2, 0.8, 13):
        at = np.abs(free.u - share * (len(path) - 1)).argmin()
        heading = free.q[at].sum()
        tip = path.pose_at(np.array([share * (len(path) - 1)]))[0, :2, 3]
        with with_ball(stick.arm, tip - 0.03 * np.array([np.cos(heading), np.sin(heading)])) as world:
            tracked = track(stick, path, q_start=q, body=world.add_arm(stick.arm))
        assert tracked.status is PathStatus.COLLISION
        assert tracked.contacts == (("link2", "room.ball"),)


def test_another_start_is_taken_where_the_best_one_collides_between_its_knots(stick: IKSolver) -> None:
    path = circle_path((0, 0, 0), (0, 0, 1), 1.8, np.eye(3), angle=1.2)
    with with_ball(stick.arm, (0.60894, 1.40968)) as world:
        body = world.add_arm(stick.arm)
        each = [track(stick, path, q_start=q, body=body).fraction for q in stick.solve(path.T_base_tip[0])[0].q]
        assert min(each) < 1.0
        assert track(stick, path, body=body).fraction == max(each) == 1.0


def test_a_start_beyond_a_limit_makes_no_room_for_other_paths() -> None:
    arm = sim.load_arm("ur5e")
    turns = [np.linspace(2 * np.pi + 9e-4, 2 * np.pi - 0.3, 60), np.linspace(2 * np.pi - 0.3, 2 * np.pi + 5e-4, 60)]
    q = np.array([[[turn, -1.2, 1.5, -1.0, 1.1, 0.3] for turn in each] for each in turns])
    paths = [CartesianPath(forward_kinematics(arm, each), 0.05) for each in q]
    found = track_many(IKSolver(arm), paths, q_start=q[:, 0])
    assert [each.status.followed for each in found] == [True, False]
    assert found[1].status is PathStatus.OUT_OF_LIMITS
    assert found[1].worst[0] < 1e-8


def test_motors_follow_a_tracked_circle_within_a_tenth_of_a_millimetre(xarm: Arm, body: ArmBody) -> None:
    T = forward_kinematics(xarm, WORKING)
    circle = circle_path(T[:3, 3] - (0.06, 0, 0), (0, 0, 1), 0.06, T[:3, :3])
    tracked = track(xarm, circle, q_start=WORKING, body=body)
    assert tracked.status is PathStatus.OK
    body.set_q(tracked.q[0])
    looks: list[FloatArray] = []
    done = follow_path(body, tracked, watch=lambda: looks.append(body.q), watch_period=0.1)
    assert done.drive.settled
    assert done.drive.contacts == ()
    assert done.off_path < 1e-4
    assert done.err_pos < 1e-4
    assert done.err_rot < 1e-3
    assert done.end_pos < 2e-5
    assert len(looks) == pytest.approx(done.drive.time / 0.1, abs=2)


def test_the_distance_from_the_path_is_along_the_axes_that_the_task_counts(xarm: Arm, body: ArmBody) -> None:
    upright = Task("z and x", (True, True, False, *(False,) * 3), "", R_base_task=((0, 1, 0), (0, 0, 1), (1, 0, 0)))
    tracked = track(xarm, through(xarm, WORKING, (0.02, 0, 0), (0, 0, 0)), q_start=None)
    for axis, off in ((0, 0.0), (1, 0.0), (2, 1e-3)):  # along the path, across it uncounted, across it counted
        asked = tracked.path.T_base_tip.copy()
        asked[:, axis, 3] += 1e-3
        body.set_q(tracked.q[0])
        done = follow_path(body, replace(tracked, path=CartesianPath(asked)), task=upright)
        assert done.off_path == pytest.approx(off, abs=1e-4 if axis else 1.1e-3)
        assert done.off_path <= done.err_pos + 1e-6


def test_the_motion_passes_the_samples_and_starts_and_ends_at_rest(planar2: IKSolver) -> None:
    tracked = track(planar2, line_path(place(1.5, -0.8), place(0.2, 0.9)))
    motion, u = to_motion(tracked)
    np.testing.assert_allclose(motion.q[::12], tracked.q[::5][: len(motion.q[::12])], atol=1e-12)  # every 0.05 s
    np.testing.assert_allclose(motion.q[-1], tracked.q[-1], atol=1e-12)
    assert not motion.dq[[0, -1]].any()
    assert u[-1] == tracked.u[-1]
    between = forward_kinematics(planar2.arm, motion.q)[:, :2, 3] - tracked.path.pose_at(u)[:, :2, 3]
    assert np.abs(between).max() < 1e-4


def test_poses_that_zigzag_from_sample_to_sample_are_all_passed(planar2: IKSolver) -> None:
    poses = np.array([place(1.2 + 0.03 * (k % 2), 0.02 * k) for k in range(20)])
    tracked = track(planar2, CartesianPath(poses, dt=0.05))
    check(planar2, tracked)
    assert tracked.status.followed
    tips = forward_kinematics(planar2.arm, tracked.q)[:, :2, 3]
    assert np.linalg.norm(tips[:, None] - poses[:, :2, 3], axis=-1).min(axis=0).max() < 0.02


def test_an_arm_stands_for_its_solver(planar2: IKSolver) -> None:
    path = line_path(place(1.5, -0.8), place(0.2, 0.9))
    np.testing.assert_allclose(
        np.abs(track(planar2.arm, path).q[:, 1]), np.abs(track(planar2, path).q[:, 1]), atol=1e-6
    )


def test_a_task_of_more_numbers_than_joints_is_refused_with_one_that_fits() -> None:
    arm = sim.load_arm("ur5e", freeze={"wrist_2_joint": 0.7})
    path = through(arm, np.array([0.3, -1.0, 1.2, 0.4, 0.2]), (0.01, 0, 0), (0, 0, 0))
    with pytest.raises(TaskError, match=r"has 5 joints and task 'pose' fixes 6 .* at most 5; use position_axis$"):
        track(IKSolver(arm, task="pose"), path)
    with pytest.raises(TaskError, match=r"has 1 joints and task 'planar_position' fixes 2 .* at most 1$"):
        track(IKSolver(sim.load_arm("planar:1")), line_path(place(1, 0), place(0, 1)))


@pytest.mark.slow
def test_the_sign_of_the_determinant_is_kept_off_singularities(puma: IKSolver) -> None:
    rng = np.random.default_rng(11)
    for tracked in track_many(puma, [random_path(puma.arm, rng) for _ in range(10)]):
        sign = np.sign(np.linalg.det(jacobian(puma.arm, tracked.q)))
        assert len(np.unique(sign)) == 1


def test_what_cannot_be_tracked_is_refused_with_a_reason(planar2: IKSolver, body: ArmBody) -> None:
    path = line_path(place(1.5, -0.8), place(0.2, 0.9))
    with pytest.raises(ShapeError, match=r"share of the velocity limits to use, in \(0, 1\]; got 2"):
        track(planar2, path, speed=2.0)
    with pytest.raises(ShapeError, match=r"q_start must be finite, of shape \(2,\) or \(1, 2\); got \(3,\)"):
        track(planar2, path, q_start=[0.0, 0.0, 0.0])
    with pytest.raises(PoseError, match="q_start is not where path 0 starts"):
        track(planar2, path, q_start=[0.0, 0.5])
    with pytest.raises(
        PoseError, match=r"leads to no joint vector .* stays 1e-05 m and 0 rad away; is that pose in reach"
    ):
        track(planar2, line_path(place(2 + 1e-5, 0), place(1, 0)), q_start=[0.0, 0.0])
    with pytest.raises(ShapeError, match="paths must be Iterable"):
        track_many(planar2, path)  # type: ignore[arg-type]
    found = planar2.solve(path.T_base_tip[0])[0].q[0]
    with pytest.raises(PoseError, match="outside the joint limits"):
        track(planar2, path, q_start=found + 2 * np.pi)
    with pytest.raises(WorldError, match="use one arm"):
        track(planar2, path, body=body)
    with pytest.raises(WorldError, match="there is nothing to follow: the path cannot be started"):
        follow_path(body, track(planar2, line_path(place(3, 0), place(1, 0))))
    solver = IKSolver(body.arm)
    T = forward_kinematics(body.arm, WORKING)
    tracked = track(solver, circle_path(T[:3, 3] - (0.06, 0, 0), (0, 0, 1), 0.06, T[:3, :3]), q_start=WORKING)
    body.set_q(WORKING + 0.1)
    with pytest.raises(WorldError, match=r"is 0\.1 from the start of the path"):
        follow_path(body, tracked)


def test_from_a_state_a_hair_beyond_a_limit_the_path_is_followed_on_the_limit(
    puma: IKSolver, caplog: pytest.LogCaptureFixture
) -> None:
    arm = puma.arm
    q = np.array([0.3, -0.4, 0.6, 0.2, 0.7, 0.1])
    for beyond in (1e-6, 5e-4):
        q[0] = arm.q_max[0] + beyond
        start, end = forward_kinematics(arm, q), forward_kinematics(arm, q - [0.2, 0, 0, 0, 0, 0])
        with caplog.at_level("INFO"):
            tracked = track(puma, line_path(start, end), q_start=q)
        assert tracked.status.followed
        assert ((tracked.q >= arm.q_min) & (tracked.q <= arm.q_max)).all()
        assert tracked.q[0, 0] == arm.q_max[0]
        assert f"joint '{arm.joint_names[0]}' is {beyond:.1e} beyond its limit" in caplog.text
        at, wanted = (torch.from_numpy(T) for T in (forward_kinematics(arm, tracked.q), tracked.T_base_tip))
        err_pos, err_rot = (error.numpy() for error in error_norms(task_error(puma.task, at, wanted)))
        np.testing.assert_allclose(tracked.err_pos, err_pos, atol=1e-12)
        np.testing.assert_allclose(tracked.err_rot, err_rot, atol=1e-9)
        assert tracked.err_pos.max() <= 2 * beyond * arm.reach
    q[0] = arm.q_max[0] + 2e-3
    path = line_path(forward_kinematics(arm, q), forward_kinematics(arm, q - [0.2, 0, 0, 0, 0, 0]))
    with pytest.raises(PoseError, match=rf"joint '{arm.joint_names[0]}' at .*, allowed \[.*\] and 0.001 beyond"):
        track(puma, path, q_start=q)


def test_every_status_has_a_sentence() -> None:
    assert all(status.about and str(status) == status.value for status in PathStatus)


@pytest.mark.slow
def test_the_command_prints_json_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "joints.png"
    start = ["track", "planar2", "--q-start", "0.2", "1.1"]
    assert main([*start, "--line", "0.4", "0.9", "0", "--execute", "--figure", str(figure), "--json", "-"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["status"] == "ok"
    assert values["executed"]["off_path"] < 1e-4
    assert np.shape(values["q"]) == (len(values["u"]), 2)
    assert figure.exists()
    assert main([*start, "--circle", "0.9", "0.9", "0", "--angle", "-1", "--tangential"]) == 0
    assert "planar2: ok after 100.0% of the path" in capsys.readouterr().out
    poses = tmp_path / "poses.json"
    poses.write_text(json.dumps([place(1, 0.5).tolist(), place(0.5, 1).tolist()]))
    film = tmp_path / "path.gif"
    assert main(["track", "planar2", "--waypoints", str(poses), "--speed", "2", "--gif", str(film)]) == 0
    assert film.stat().st_size > 1000
    assert "executed in Bullet" in capsys.readouterr().out


def test_a_path_of_waypoints_starts_from_the_joint_vector_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poses, found = tmp_path / "poses.json", []
    arm = sim.load_arm("planar2")
    elbows = np.array([[0.2, 1.1], [1.3, -1.1]])  # the same place of the tip
    np.testing.assert_allclose(*forward_kinematics(arm, elbows)[:, :2, 3], atol=1e-12)
    start = forward_kinematics(arm, elbows[0])
    end = start.copy()
    end[0, 3] -= 0.1
    poses.write_text(json.dumps([start.tolist(), end.tolist()]))
    for q in elbows:
        options = ["--q-start", *map(str, q), "--waypoints", str(poses), "--no-collisions", "--json", "-"]
        assert main(["track", "planar2", *options]) == 0
        found.append(json.loads(capsys.readouterr().out)["q"][0])
    np.testing.assert_allclose(found, elbows, atol=1e-6)
    assert main(["track", "planar2", "--q-start", "0", "1", "--waypoints", str(poses)]) == 2
    assert "--q-start is not where path 0 starts" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--line", "1", "0", "0"], "give one of --q-start and --pose"),
        (["--q-start", "0", "1"], "give one of --line, --circle and --waypoints; got 0"),
        (["--q-start", "0", "1", "--line", "1", "0"], "--line takes the end X Y Z"),
        (["--q-start", "0", "1", "--circle", "1", "0"], "--circle takes the centre X Y Z"),
        (["--q-start", "0", "1", "--circle", "1", "0", "0", "0", "0", "0"], "has no direction"),
        (["--q-start", "0", "--line", "1", "0", "0"], "--q-start takes 2 numbers"),
        (["--q-start", "0", "--waypoints", "p.json"], "--q-start takes 2 numbers"),
        (["--pose", *"0001000", "--waypoints", "p.json"], "starts at the first of --waypoints; leave --pose out"),
        (["--turn", "0", "0", "1", "--waypoints", "p.json"], "--turn goes with --line; leave it out with --waypoints"),
        (["--q-start", "0", "1", "--angle", "1", "--line", "1", "0", "0"], "--angle goes with --circle"),
        (["--q-start", "0", "1", "--tangential", "--line", "1", "0", "0"], "--tangential goes with --circle"),
        (["--q-start", "0", "1", "--turn", "0", "0", "1", "--circle", "1", "0", "0"], "--turn goes with --line"),
    ],
)
def test_the_command_names_what_is_missing(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["track", "planar2", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
