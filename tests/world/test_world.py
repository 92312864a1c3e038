"""The physics world: Bullet as an independent oracle, silent, restored, by name."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sim
from ik_mdn import Controller, IKSolver
from sim.arm.arm import Arm
from sim.errors import PoseError, ShapeError, WorldError
from sim.kinematics import forward_kinematics
from sim.rendering.camera import Camera
from sim.rendering.scenery import camera_for
from sim.world.body import ArmBody, home
from sim.world.bullet_ik import solve_with_bullet
from sim.world.client import _OPEN
from sim.world.motion import Motion, plan_motion, speed_limits
from sim.world.world import World

TWO_BALLS = """<robot name="two_balls">
  <link name="world"/>
  <link name="foot"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="1 0 0"/><geometry><sphere radius="0.2"/></geometry></collision></link>
  <link name="arm"><inertial><origin xyz="0.3 0.1 0"/><mass value="1"/>
    <inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="hand"><inertial><mass value="1"/><inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="0.5 0 0"/><geometry><sphere radius="0.2"/></geometry></collision></link>
  <joint name="stand" type="fixed"><parent link="world"/><child link="foot"/><origin xyz="0.3 0.2 0.1" rpy="0 0 0.4"/></joint>
  <joint name="second" type="revolute"><parent link="arm"/><child link="hand"/><origin xyz="0.5 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="2" effort="50"/></joint>
  <joint name="first" type="revolute"><parent link="foot"/><child link="arm"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="2" effort="50"/></joint>
</robot>"""


@pytest.fixture
def two_balls(tmp_path: Path) -> Arm:
    """An arm that collides with itself exactly when two balls of radius 0.2 m overlap; base is not the root."""
    file = tmp_path / "two_balls.urdf"
    file.write_text(TWO_BALLS)
    return sim.load_arm(file, base="foot", tip="hand")


def draw(arm: Arm, count: int, seed: int = 0) -> np.ndarray:
    return arm.sample(np.random.default_rng(seed), count)


def move_and_fail(body: ArmBody) -> None:
    with body.kept():
        body.client.resetJointState(body.number, body.joints[0], 0.123)
        raise RuntimeError("stop")


@pytest.mark.parametrize("name", sim.builtin_arms())
def test_forward_kinematics_agrees_with_bullet(name: str) -> None:
    arm = sim.load_arm(name)
    q = draw(arm, 1000)
    q[0], q[1] = arm.sample_min, arm.sample_max
    with World() as world:
        measured = world.add_arm(arm, meshes=False).tip_pose(q)
    expected = forward_kinematics(arm, q)
    # |R_a - R_b| is sqrt(2) times the angle between them where that is small; arccos of the trace would lose it
    assert np.abs(measured[:, :3, 3] - expected[:, :3, 3]).max() < 1e-9
    assert np.linalg.norm(measured[:, :3, :3] - expected[:, :3, :3], axis=(1, 2)).max() < 1e-9


def test_poses_do_not_depend_on_where_the_arm_stands(two_balls: Arm) -> None:
    T = np.eye(4)
    T[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    T[:3, 3] = 1.0, -2.0, 0.5
    q = draw(two_balls, 20)
    with World() as world:
        body = world.add_arm(two_balls, T_world_base=T)
        np.testing.assert_allclose(body.T_world_base, T, atol=1e-12)
        np.testing.assert_allclose(body.tip_pose(q), forward_kinematics(two_balls, q), atol=1e-12)
        np.testing.assert_allclose(body.tip_pose(q.reshape(4, 5, 2))[1, 2], body.tip_pose(q[7]), atol=0)


def test_joints_are_found_by_name_not_by_order(two_balls: Arm) -> None:
    assert two_balls.joint_names == ("first", "second")  # the file has them the other way round
    with World() as world:
        body = world.add_arm(two_balls)
        body.set_q(np.array([0.5, -0.25]))
        np.testing.assert_array_equal(body.q, [0.5, -0.25])
        np.testing.assert_allclose(body.tip_pose(), forward_kinematics(two_balls, body.q), atol=1e-12)


def test_self_collision_is_the_overlap_of_the_shapes(two_balls: Arm) -> None:
    q = draw(two_balls, 500)
    elbow = 0.5 * np.stack([np.cos(q[:, 0]), np.sin(q[:, 0])], axis=1)
    heading = q.sum(axis=1)
    ball = elbow + 0.5 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    gap = np.linalg.norm(ball - [1.0, 0.0], axis=1) - 0.4
    with World() as world:
        body = world.add_arm(two_balls)
        before = body.q
        found = body.self_collides(q)
        clear = np.abs(gap) > 1e-3  # Bullet keeps contacts to about a tenth of that
        np.testing.assert_array_equal(found[clear], gap[clear] < 0)
        assert body.contacts_at(np.zeros(2)) == (("foot", "hand"),)
        np.testing.assert_array_equal(body.q, before)
    assert 10 < found.sum() < 490


def test_planar_arms_never_collide_and_neighbours_do_not_count() -> None:
    for name in ("planar3", "panda"):
        arm = sim.load_arm(name)
        with World() as world:
            share = world.add_arm(arm).self_collides(draw(arm, 200)).mean()
        assert share == 0.0 if arm.is_planar else 0.0 < share < 0.5


@pytest.mark.parametrize("name", ["planar2", "xarm6", "iiwa"])
def test_a_drive_under_gravity_ends_at_rest_at_the_target(name: str) -> None:
    arm = sim.load_arm(name)
    rng = np.random.default_rng(3)
    with World() as world:
        body = world.add_arm(arm, meshes=False)
        for _ in range(3):
            target = 0.9 * arm.sample(rng)
            drive = body.drive(target)
            assert drive.settled
            assert drive.err_q.max() < 1e-4
            assert drive.err_track < 5e-3
            assert drive.contacts == ()
            np.testing.assert_array_equal(drive.q_end, body.q)
        for _ in range(240):
            world.step()
        assert np.abs(body.q - target).max() < 1e-4  # and stays there


def test_two_worlds_do_not_touch_each_other() -> None:
    arm = sim.load_arm("planar2")
    with World() as first, World() as second:
        a, b = first.add_arm(arm), second.add_arm(arm)
        a.drive(np.array([1.0, -1.0]))
        np.testing.assert_array_equal(b.q, [0.0, 0.0])
        second.close()
        assert a.drive(np.array([0.0, 0.5])).settled


def test_measuring_moves_nothing_even_on_an_error() -> None:
    arm = sim.load_arm("panda")
    with World() as world:
        body = world.add_arm(arm, meshes=False)
        start = 0.4 * arm.q_min + 0.6 * arm.q_max
        body.set_q(start)
        body.tip_pose(draw(arm, 5))
        body.self_collides(draw(arm, 5))
        solve_with_bullet(body, body.tip_pose(), draw(arm, 1)[0])
        with pytest.raises(RuntimeError, match="stop"):
            move_and_fail(body)
        np.testing.assert_array_equal(body.q, start)


def test_an_error_while_driving_leaves_the_arm_held() -> None:
    arm = sim.load_arm("iiwa")
    calls = []

    def watch() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with World() as world:
        body = world.add_arm(arm, meshes=False)
        with pytest.raises(KeyboardInterrupt):
            body.drive(np.full(7, 1.0), watch=watch)
        for _ in range(240):
            world.step()
        rest = body.q
        for _ in range(240):
            world.step()
        assert 0.0 < rest[0] < 1.0
        assert np.abs(body.q - rest).max() < 1e-4


@pytest.mark.parametrize("null_space", [False, True])
def test_bullets_own_ik_meets_a_target_near_its_start(null_space: bool) -> None:
    arm = sim.load_arm("panda")
    with World() as world:
        body = world.add_arm(arm, meshes=False)
        q = 0.45 * arm.q_min + 0.55 * arm.q_max
        T = forward_kinematics(arm, q)
        answer = solve_with_bullet(body, T, q + 0.05, iterations=500, residual=1e-9, null_space=null_space)
        assert answer.shape == (7,)
        assert np.linalg.norm(forward_kinematics(arm, answer)[:3, 3] - T[:3, 3]) < 1e-3


def test_a_motion_is_straight_within_limits_and_starts_and_ends_at_rest() -> None:
    arm = sim.load_arm("panda")
    start, end = draw(arm, 2)
    motion = plan_motion(arm, start, end, speed=0.8)
    share = (motion.q - start) / (end - start)
    np.testing.assert_allclose(share, np.broadcast_to(share[:, :1], share.shape), atol=1e-6)
    assert (np.abs(motion.dq) <= 0.8 * speed_limits(arm) + 1e-9).all()
    np.testing.assert_array_equal(motion.q[[0, -1]], [start, end])
    np.testing.assert_allclose(motion.dq[[0, -1]], 0.0, atol=1e-12)
    assert len(plan_motion(arm, end, end).q) == 1


@pytest.mark.slow
def test_bullet_prints_nothing_and_python_still_can(tmp_path: Path) -> None:
    code = (
        "print('before'); import sim, sys\n"
        "with sim.World() as world: world.add_arm(sim.load_arm('xarm6'))\n"
        "print('after'); sys.stderr.write('error channel')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "error channel"


def test_pictures_show_the_arm_and_the_markers() -> None:
    arm = sim.load_arm("planar3")
    camera = camera_for(arm, width=120, height=90)
    with World() as world:
        empty = world.render(camera)
        body = world.add_arm(arm)
        with_arm = world.render(camera)
        marker = world.add_marker(np.eye(4), size=0.5)
        marker.recolour((0.0, 1.0, 0.0))
        with_marker = world.render(camera)
        marker.remove()
        marker.remove()
        np.testing.assert_array_equal(world.render(camera), with_arm)
        world.add_ground(height=-0.1)
        body.drive(np.array([0.1, 0.1, 0.1]))
    assert empty.shape == (90, 120, 3)
    assert empty.dtype == np.uint8
    assert (empty != with_arm).any(axis=-1).sum() > 20
    assert (with_arm != with_marker).any(axis=-1).sum() > 20


def test_meshes_are_found_by_package_name_in_the_folders_above(tmp_path: Path) -> None:
    package = tmp_path / "my_robot"
    (package / "urdf").mkdir(parents=True)
    (package / "meshes").mkdir()
    (package / "meshes" / "cube.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    mesh = '<collision><geometry><mesh filename="package://my_robot/meshes/cube.obj"/></geometry></collision>'
    file = package / "urdf" / "robot.urdf"
    file.write_text(TWO_BALLS.replace('<link name="world"/>', f'<link name="world">{mesh}</link>'))
    arm = sim.load_arm(file, base="foot", tip="hand")
    with World() as world:
        world.add_arm(arm)
    (package / "meshes" / "cube.obj").unlink()
    with World() as world:
        with pytest.raises(WorldError, match=r"1 mesh files not found.*cube\.obj.*meshes=False"):
            world.add_arm(arm)
        world.add_arm(arm, meshes=False)


def test_wrong_use_is_told(two_balls: Arm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    restored = Arm.from_dict(two_balls.to_dict())
    with World() as world:
        with pytest.raises(WorldError, match=r"no URDF.*checkpoint.*load_arm"):
            world.add_arm(restored)
        with pytest.raises(ShapeError, match="T_world_base"):
            world.add_arm(two_balls, T_world_base=np.eye(3))
        with pytest.raises(PoseError, match=r"T_world: .* NaN"):
            world.add_marker(np.full((4, 4), np.nan))
        body = world.add_arm(two_balls)
        with pytest.raises(ShapeError, match="finite numbers"):
            body.set_q(np.array([0.0, np.nan]))
        with pytest.raises(ShapeError, match="one joint vector"):
            body.drive(np.zeros((1, 2)))
        with pytest.raises(ShapeError, match="speed"):
            body.drive(np.zeros(2), speed=2.0)
        with pytest.raises(WorldError, match=r"no joint 'elbow'.*first"):
            body.links.joint("elbow")
        with pytest.raises(WorldError, match=r"no link 'elbow'.*foot"):
            body.links.link("elbow")
    world.close()
    with pytest.raises(WorldError, match="closed"):
        world.step()
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(WorldError, match="no display"):
        World(gui=True)
    with pytest.raises(ShapeError, match="2 finite numbers"):
        plan_motion(two_balls, np.zeros(3), np.zeros(2))
    with pytest.raises(ShapeError, match="one shape"):
        Motion(q=np.zeros((2, 2)), dq=np.zeros((3, 2)))
    with pytest.raises(ShapeError, match="positive sizes"):
        Camera(eye=(1, 0, 0), target=(0, 0, 0), width=0)
    with pytest.raises(ShapeError, match="cannot look"):
        Camera(eye=(0, 0, 1), target=(0, 0, 0))


@pytest.mark.parametrize("step", ["world.load_links", "body.ArmBody._place", "body.ArmBody._check_kinematics"])
def test_an_arm_that_cannot_be_added_leaves_nothing_behind(
    two_balls: Arm, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WorldError("refused")

    with World() as world:
        with pytest.raises(ShapeError, match="T_world_base"):
            world.add_arm(two_balls, np.eye(3))
        with monkeypatch.context() as patched:
            patched.setattr(f"sim.world.{step}", refuse)
            with pytest.raises(WorldError, match="refused"):
                world.add_arm(two_balls)
        body = world.add_arm(two_balls)
        assert body.client.getNumBodies() == 1
        assert not body.collides(np.array([2.0, 0.0]))


def test_home_lies_in_the_limits() -> None:
    for name in sim.builtin_arms():
        arm = sim.load_arm(name)
        assert ((home(arm) >= arm.q_min) & (home(arm) <= arm.q_max)).all()


@pytest.mark.slow
def test_forgotten_worlds_are_closed_and_too_many_open_ones_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # what earlier tests forgot
    monkeypatch.setattr("sim.world.client._MOST_WORLDS", len(_OPEN) + 3)
    before = len(_OPEN)
    for _ in range(8):
        World().add_arm(sim.load_arm("planar2"))  # a circle of references: the collector has to find it
    gc.collect()
    assert len(_OPEN) == before
    body = World().add_arm(sim.load_arm("planar2"))
    gc.collect()
    body.drive(np.full(2, 0.1))  # whoever holds the arm holds its world
    kept = [World(), World()]
    with pytest.raises(WorldError, match=f"{before + 3} worlds are open.*close those"):
        World()
    kept.pop().close()
    World().close()


def test_what_bullet_refuses_is_told_by_name() -> None:
    with World() as world:
        body = world.add_arm(sim.load_arm("planar2"))
        with pytest.raises(WorldError, match="Bullet's getLinkState failed"):
            body.client.getLinkState(99, 99)


def test_worlds_and_bodies_say_what_they_are() -> None:
    with World() as world:
        assert repr(world) == "World(no arm; 0 obstacles; open)"
        body = world.add_arm(sim.load_arm("planar2"))
        world.add_scene(sim.load_scene("table"), body.arm)
        assert repr(body) == "ArmBody(arm 'planar2', 2 joints)"
        assert re.fullmatch(r"World\(planar2; [1-9] obstacles; open\)", repr(world))
        controller = Controller(body, IKSolver(body.arm))
        assert repr(controller).startswith("Controller(ArmBody(arm 'planar2', 2 joints), IKSolver(arm 'planar2'")
    assert repr(world).endswith("closed)")


def test_an_obstacle_with_joints_stands_within_their_limits_and_stays_there(tmp_path: Path) -> None:
    mass = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    (tmp_path / "door.urdf").write_text(
        f"""<robot name="door"><link name="frame">{mass}</link><link name="leaf">{mass}</link>
<joint name="hinge" type="revolute"><parent link="frame"/><child link="leaf"/><axis xyz="0 0 1"/>
<limit lower="0.5" upper="1.5" effort="1" velocity="1"/></joint></robot>"""
    )
    door = {"name": "door", "shape": "urdf", "file": str(tmp_path / "door.urdf"), "position": [0, 0, 0]}
    with World() as world:
        body = world.add_arm(sim.load_arm("planar2"))
        (number,) = world.add_scene(sim.load_scene({"name": "room", "obstacles": [door]}))
        for _ in range(2):
            assert body.client.getJointState(number, 0)[0] == pytest.approx(0.5, abs=1e-6)
            for _ in range(50):
                world.step()
