"""Obstacles in the world: contacts by name, distances as geometry has them, and contacts that stop a motion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sim
from sim.arm.arm import Arm
from sim.errors import SceneError, ShapeError, WorldError
from sim.scenes.scene import Obstacle, Scene, load_scene
from sim.world.body import ArmBody, home
from sim.world.motion import TIME_STEP, plan_route
from sim.world.world import World

ROD = """<robot name="rod">
  <link name="foot"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><geometry><sphere radius="0.3"/></geometry></collision></link>
  <link name="hand"><inertial><origin xyz="1 0 0"/><mass value="1"/>
    <inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="1 0 0"/><geometry><sphere radius="0.1"/></geometry></collision></link>
  <joint name="turn" type="revolute"><parent link="foot"/><child link="hand"/><axis xyz="0 0 1"/>
    <limit lower="-3.1" upper="3.1" velocity="2" effort="100"/></joint>
</robot>"""
_BASE = """<link name="base"/><joint name="stand" type="fixed"><parent link="base"/><child link="foot"/></joint>"""
STANDING_ROD = ROD.replace("</robot>", f"{_BASE}</robot>")
DOOR = """<robot name="cabinet">
  <link name="frame"><collision><geometry><box size="0.1 0.1 2"/></geometry></collision></link>
  <link name="door"><inertial><mass value="5"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="0.5 0 0"/><geometry><box size="0.8 0.1 0.1"/></geometry></collision></link>
  <joint name="hinge" type="revolute"><parent link="frame"/><child link="door"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" velocity="1" effort="1"/></joint>
</robot>"""


@pytest.fixture
def rod(tmp_path: Path) -> Arm:
    """A ball of radius 0.1 m that circles 1 m round the foot, in the plane z = 0."""
    (tmp_path / "rod.urdf").write_text(ROD)
    return sim.load_arm(tmp_path / "rod.urdf")


@pytest.fixture(scope="module")
def shelf() -> Iterator[ArmBody]:
    arm = sim.load_arm("panda")
    with World() as world:
        world.add_scene(load_scene("shelf"), arm)  # before the arm: the order must not matter
        yield world.add_arm(arm)


def place(x: float, y: float, z: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def draw(arm: Arm, count: int, seed: int = 0) -> np.ndarray:
    return arm.sample(np.random.default_rng(seed), count)


@pytest.mark.parametrize(
    ("shape", "sizes", "gap"),
    [
        ("sphere", (0.2,), lambda ball: np.linalg.norm(ball - [1.0, 0.3, 0.0], axis=-1) - 0.3),
        ("box", (0.2, 0.2, 0.2), lambda ball: _box_gap(ball - [1.0, 0.3, 0.0], 0.1) - 0.1),
        ("cylinder", (0.2, 1.0), lambda ball: np.hypot(*(ball - [1.0, 0.3, 0.0])[..., :2].T) - 0.3),
    ],
)
def test_collision_and_clearance_are_those_of_the_shapes(rod: Arm, shape: str, sizes: tuple, gap: object) -> None:
    q = np.linspace(-1.0, 1.5, 200)[:, None]
    ball = np.concatenate([np.cos(q), np.sin(q), np.zeros_like(q)], axis=1)
    expected = gap(ball)
    with World() as world:
        body = world.add_arm(rod)
        (number,) = world.add_scene(Scene("room", obstacles=(Obstacle("thing", shape, sizes, place(1.0, 0.3, 0.0)),)))
        assert number >= 0
        hits = body.collides(q)
        clear = np.abs(expected) > 1e-3
        np.testing.assert_array_equal(hits[clear], expected[clear] < 0)
        np.testing.assert_array_equal(
            body.collides(q, margin=0.05)[np.abs(expected - 0.05) > 1e-3],
            (expected < 0.05)[np.abs(expected - 0.05) > 1e-3],
        )
        to_itself, to_others = body.clearance(q, within=0.15)
        outside = expected > 2e-3
        np.testing.assert_allclose(to_others[outside], np.minimum(expected, 0.15)[outside], atol=2e-3)
        assert (to_others[expected < -2e-3] < 0).all()
        np.testing.assert_array_equal(to_itself, 0.15)  # foot and hand are neighbours
        assert body.contacts_at(q[expected.argmin()]) == (("hand", "room.thing"),)
        assert not body.self_collides(q).any()
        np.testing.assert_array_equal(body.q, home(rod))


def _box_gap(point: np.ndarray, half: float) -> np.ndarray:
    return np.linalg.norm(np.maximum(np.abs(point) - half, 0.0), axis=-1)


@pytest.mark.parametrize("arm_first", [True, False])
def test_what_stands_still_with_the_base_may_touch_obstacles(rod: Arm, arm_first: bool) -> None:
    floor = Scene("room", obstacles=(Obstacle("floor", "box", (4, 4, 0.2), place(0, 0, -0.25)),))
    with World() as world:
        body = world.add_arm(rod) if arm_first else None
        world.add_scene(floor)
        body = body or world.add_arm(rod)
        assert not body.collides(np.zeros(1))
        assert body.clearance(np.zeros(1), within=1.0)[1] == pytest.approx(0.05, abs=2e-3)  # of the hand, not the foot
        world.step()
        assert body.contacts() == set()


def test_the_bases_of_two_arms_may_touch_and_their_hands_may_not() -> None:
    """Each foot is fixed to a base without shape: Bullet itself passes over bases alone."""
    rod = sim.load_arm(STANDING_ROD)
    with World() as world:
        one, other = world.add_arm(rod), world.add_arm(rod, place(0.5, 0, 0))
        apart, meeting = np.full(1, -1.5), np.full(1, np.arccos(0.25))
        other.set_q(apart)
        assert not one.collides(apart)
        world.step()
        assert one.contacts() == other.contacts() == set()
        other.set_q(np.pi - meeting)
        assert one.contacts_at(meeting) == (("hand", "rod.hand"),)


def test_another_arm_just_beside_the_base_is_in_nobodys_way() -> None:
    arm = sim.load_arm("ur5e")
    with World() as world:
        one, other = world.add_arm(arm), world.add_arm(arm, place(0.85, -0.1155, -0.05))
        other.set_q(np.array([np.pi, 0.12, 0.0, 0.0, 0.0, 0.0]))  # its forearm is 1.5 mm from the base link
        q = draw(arm, 20)
        clear = q[one.clearance(q)[1] > 0.02]
        assert len(clear) > 5
        assert not one.collides(clear[~one.self_collides(clear)], margin=0.01).any()


def test_contacts_are_named_by_link_scene_and_obstacle(shelf: ArmBody) -> None:
    q = draw(shelf.arm, 300)
    hits = shelf.collides(q)
    pairs = {pair for row in q[hits] for pair in shelf.contacts_at(row)}
    assert any(b == "shelf.middle board" for _, b in pairs)
    assert any(b.startswith("panda_") for _, b in pairs)
    assert not any(a == "panda_link0" and b.startswith("shelf.") for a, b in pairs)
    for row, hit in zip(q, hits, strict=True):
        assert bool(shelf.contacts_at(row)) == hit
    np.testing.assert_array_equal(shelf.self_collides(q) <= hits, True)


def test_clearance_is_negative_exactly_in_collision_and_its_own_upper_bound_elsewhere(shelf: ArmBody) -> None:
    q = draw(shelf.arm, 150, seed=1)
    near, far = (shelf.clearance(q, within) for within in (0.05, 0.3))
    for a, b in zip(near, far, strict=True):
        np.testing.assert_allclose(a, np.minimum(b, 0.05), atol=1e-6)
    np.testing.assert_array_equal(np.minimum(*far) < 0, shelf.collides(q))
    np.testing.assert_array_equal(far[0] < 0, shelf.self_collides(q))
    one = shelf.clearance(q[0], 0.3)
    assert (one[0].shape, float(one[0]), float(one[1])) == ((), far[0][0], far[1][0])


def test_answers_do_not_depend_on_what_was_asked_before(shelf: ArmBody) -> None:
    path = np.linspace(*draw(shelf.arm, 2, seed=5), 400)
    order = np.random.default_rng(0).permutation(400)
    np.testing.assert_array_equal(shelf.collides(path)[order], shelf.collides(path[order]))
    assert shelf.collides(path.reshape(4, 100, 7)).shape == (4, 100)


def test_a_urdf_is_an_obstacle_whose_joints_stay(rod: Arm, tmp_path: Path) -> None:
    (tmp_path / "door.urdf").write_text(DOOR)
    door = {"name": "door", "shape": "urdf", "file": "door.urdf", "position": [1.0, -0.5, 0.0]}
    (tmp_path / "hall.json").write_text(f'{{"obstacles": [{str(door).replace(chr(39), chr(34))}]}}')
    with World() as world:
        body = world.add_arm(rod)
        (number,) = world.add_scene(load_scene(tmp_path / "hall.json"))
        for _ in range(240):
            world.step()
        assert abs(body.client.getJointState(number, 0)[0]) < 1e-3
        assert body.contacts_at(np.array([-0.5])) == (("hand", "hall.door.door"), ("hand", "hall.door.frame")) or (
            body.contacts_at(np.array([-0.45]))[0][1].startswith("hall.door.")
        )
    (tmp_path / "broken.urdf").write_text("<robot name='broken'><link/></robot>")
    broken = Obstacle("x", "urdf", (1.0,), np.eye(4), path=tmp_path / "broken.urdf")
    post = Obstacle("post", "cylinder", (0.05, 1.0), place(1.0, 0.0, 0.0))
    with World() as world:
        body = world.add_arm(rod)
        with pytest.raises(WorldError, match=r"cannot load obstacle 'hall\.x'"):
            world.add_scene(Scene("hall", obstacles=(post, broken)))
        assert body.client.getNumBodies() == 1  # the post is gone too
        assert body.contacts_at(np.zeros(1)) == ()


def test_a_contact_stops_the_motion_and_is_reported(rod: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    post = Scene("room", obstacles=(Obstacle("post", "cylinder", (0.05, 1.0), place(0.0, 1.0, 0.0)),))
    with World() as world:
        body = world.add_arm(rod)
        world.add_scene(post)
        passed, step = [body.q], body.step
        monkeypatch.setattr(body, "step", lambda: (step(), passed.append(body.q)))
        drive = body.drive(np.array([3.0]), stop_on_contact=True)
        assert len(passed) - 1 == round(drive.time / TIME_STEP)
        assert drive.path_q == pytest.approx(np.abs(np.diff(passed, axis=0)).sum(), abs=1e-12)  # coming to rest, too
        assert drive.stopped
        assert not drive.settled
        assert drive.contacts == (("hand", "room.post"),)
        assert 1.2 < drive.q_end[0] < np.pi / 2  # where the ball meets the post, not beyond
        body.set_q(np.zeros(1))
        free = body.drive(np.array([1.0]), stop_on_contact=True)
        assert (free.stopped, free.contacts, free.settled) == (False, (), True)


def test_a_route_is_driven_through_its_stops(rod: Arm) -> None:
    motion = plan_route(rod, np.zeros(1), [np.array([1.0]), np.array([-0.5])])
    stop = np.flatnonzero((motion.q == 1.0).all(axis=1))
    assert len(stop) == 1
    np.testing.assert_array_equal(motion.dq[[0, stop[0], -1]], 0.0)
    np.testing.assert_array_equal(motion.q[[0, -1], 0], [0.0, -0.5])
    with World() as world:
        drive = world.add_arm(rod).drive(np.array([1.0]), np.array([-0.5]))
    assert drive.settled
    assert drive.path_q == pytest.approx(2.5, abs=0.01)


def test_wrong_use_is_told(rod: Arm) -> None:
    with World() as world:
        body = world.add_arm(rod)
        with pytest.raises(SceneError, match="say of which arm"):
            world.add_scene(load_scene("table"))
        with pytest.raises(ShapeError, match="within is the largest distance"):
            body.clearance(np.zeros(1), within=0.0)
        with pytest.raises(ShapeError, match="one joint vector"):
            body.contacts_at(np.zeros((2, 1)))
        with pytest.raises(ShapeError, match="finite numbers"):
            body.collides(np.zeros(2))
        with pytest.raises(ShapeError, match="at least one configuration"):
            body.drive()


def slides(axes: list[str]) -> str:
    """Boxes of one size, each turned and on a slide that the one before carries."""
    mass = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    box = '<collision><geometry><box size="0.3 0.3 0.3"/></geometry></collision>'
    links = "".join(f'<link name="l{i}">{mass}{box}</link>' for i in range(len(axes) + 1))
    joints = "".join(
        f'<joint name="j{i}" type="prismatic"><parent link="l{i}"/><child link="l{i + 1}"/><origin rpy="0 0 0.3"/>'
        f'<axis xyz="{axis}"/><limit lower="0" upper="0.25" effort="100" velocity="1"/></joint>'
        for i, axis in enumerate(axes)
    )
    return f'<robot name="slides">{links}{joints}</robot>'


@pytest.mark.parametrize(
    ("axes", "touches"),
    [(["0 0 1"] * 3, False), (["0 0 1", "0 0 -1", "0 0 1"], False), (["0 0 1", "1 0 0", "0 0 1"], True)],
)
def test_links_of_a_telescope_lie_one_in_another(axes: list[str], touches: bool) -> None:
    with World() as world:
        body = world.add_arm(sim.load_arm(slides(axes)))
        assert bool(body.contacts_at(np.full(3, 0.1))) == touches
