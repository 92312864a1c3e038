"""Routes: free where others look too, the same under a seed, and honest when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from samples import random_arm, sliding_arm

import sim
from sim.arm.arm import Arm
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics, joint_origins
from sim.scenes.scene import Obstacle, Scene, load_scene
from sim.world.body import ArmBody
from sim.world.motion import route_time
from sim.world.routes import Ways, _bounds, find_route, levers
from sim.world.world import World

TWO_LINKS = """<robot name="two_links">
  <link name="foot"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="arm"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="hand"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="0.5 0 0"/><geometry><sphere radius="0.05"/></geometry></collision></link>
  <joint name="first" type="revolute"><parent link="foot"/><child link="arm"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="2" effort="50"/></joint>
  <joint name="second" type="revolute"><parent link="arm"/><child link="hand"/><origin xyz="0.5 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="2" effort="50"/></joint>
</robot>"""

RAIL = """<link name="rail"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="slide" type="prismatic"><parent link="rail"/><child link="foot"/><axis xyz="1 0 0"/>
    <limit lower="LOW" upper="HIGH" velocity="2" effort="50"/></joint>
</robot>"""


def on_rail(low: float, high: float) -> Arm:
    """The same arm on a slide along x."""
    return sim.load_arm(TWO_LINKS.replace("</robot>", RAIL.replace("LOW", str(low)).replace("HIGH", str(high))))


@pytest.fixture
def arm(tmp_path: Path) -> Arm:
    """Two links of 0.5 m with a ball of radius 0.05 m at the tip: nothing else of it can touch."""
    (tmp_path / "two_links.urdf").write_text(TWO_LINKS)
    return sim.load_arm(tmp_path / "two_links.urdf")


@pytest.fixture(scope="module")
def shelf() -> Iterator[ArmBody]:
    arm = sim.load_arm("xarm6")
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(load_scene("shelf"), arm)
        yield body


def wall() -> Scene:
    T = np.eye(4)
    T[0, 3] = 0.8
    return Scene("room", obstacles=(Obstacle("wall", "box", (0.6, 0.1, 1.0), T),))


def ball_of(arm: Arm, q: np.ndarray) -> np.ndarray:
    elbow, heading = q[..., 0], q.sum(axis=-1)
    return 0.5 * np.stack([np.cos(elbow) + np.cos(heading), np.sin(elbow) + np.sin(heading)], axis=-1)


def dense(points: list[np.ndarray], count: int = 2000) -> np.ndarray:
    return np.concatenate([np.linspace(a, b, count) for a, b in pairwise(points)])


def test_a_route_leads_round_a_wall_that_the_straight_way_goes_through(arm: Arm) -> None:
    start, goal = np.array([0.4, 0.1]), np.array([-0.4, -0.1])
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(wall())
        before = body.q
        hit = Ways(body, np.stack([start, goal])).find_hit(start, goal)
        assert hit is not None
        assert Ways(body, np.stack([start, start + 0.05])).find_hit(start, start + 0.05) is None
        route = find_route(body, start, goal[None], rng=np.random.default_rng(0))
        again = find_route(body, start, goal[None], rng=np.random.default_rng(0))
        np.testing.assert_array_equal(body.q, before)
    assert len(route) >= 2
    np.testing.assert_array_equal(route[-1], goal)
    np.testing.assert_array_equal(route, again)
    ball = ball_of(arm, dense([start, *route]))
    gap = np.maximum(np.abs(ball - [0.8, 0.0]) - [0.3, 0.05], 0.0)
    assert np.linalg.norm(gap, axis=1).min() > 0.05 + 0.009  # by geometry, between the configurations looked at too


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(-np.inf, np.inf, (38, 43)), (-0.5, 60.0, (-0.5, 60)), (39.5, np.inf, (39.5, 43))]
)
def test_slides_are_sampled_within_limits_that_mean_something_or_near_the_ends(
    low: float, high: float, expected: tuple[float, float]
) -> None:
    ends = np.array([[40.0, 0.4, 0.1], [41.0, -0.4, -0.1]])
    np.testing.assert_allclose(np.array(_bounds(on_rail(low, high), ends))[:, 0], expected)


def ring() -> Scene:
    """Twelve boards on a circle of radius 0.5 m about the base: no way leads through."""
    boards = [
        sim.pose((0.5 * np.cos(angle), 0.5 * np.sin(angle), 0.0), rpy=(0, 0, angle))
        for angle in np.arange(12) * np.pi / 6
    ]
    return Scene(
        "ring", obstacles=tuple(Obstacle(f"part {k}", "box", (0.1, 0.3, 0.2), T) for k, T in enumerate(boards))
    )


INSIDE, OUTSIDE = np.array([0.0, 2.9]), np.array([0.0, 0.0])  # of the ring


def test_no_route_is_found_where_there_is_none_within_the_effort(arm: Arm) -> None:
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(ring())
        assert not body.collides(np.stack([INSIDE, OUTSIDE])).any()
        assert find_route(body, INSIDE, OUTSIDE[None], rng=np.random.default_rng(0), checks=1500) == ()


def test_with_several_goals_one_that_can_be_got_to_is_taken(arm: Arm) -> None:
    goals = np.stack([INSIDE, np.array([1.5, 0.2])])
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(ring())
        for order in (goals, goals[::-1]):
            route = find_route(body, OUTSIDE, order, rng=np.random.default_rng(0))
            np.testing.assert_array_equal(route[-1], goals[1])


@pytest.mark.slow
def test_routes_out_of_and_into_a_shelf_are_free_when_looked_at_ten_times_as_closely(shelf: ArmBody) -> None:
    arm = shelf.arm
    draws = arm.sample(np.random.default_rng(4), 400)
    draws = draws[~shelf.collides(draws)]
    tips = forward_kinematics(arm, draws)[:, :3, 3] / arm.reach
    inside = draws[(tips[:, 0] > 0.6) & (np.abs(tips[:, 1]) < 0.4)]
    upper, lower = (inside[tips_z] for tips_z in _levels(arm, inside))
    found = []
    for k, (start, goal) in enumerate(zip(upper[:4], lower[:4], strict=False)):
        route = find_route(shelf, start, goal[None], rng=np.random.default_rng(k), checks=8000)
        if route:
            found.append(len(route))
            way = [start, *route]
            assert not shelf.collides(dense(way, 600)).any()
            assert route_time(arm, way) > 0
            inside_limits = (np.array(way) >= arm.q_min).all() and (np.array(way) <= arm.q_max).all()
            assert inside_limits
    assert len(found) >= 2
    assert max(found) >= 2


def _levels(arm: Arm, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = forward_kinematics(arm, q)[:, 2, 3] / arm.reach
    return z > 0.5, z < 0.45


@pytest.mark.parametrize(
    "arm",
    [*map(sim.load_arm, ("xarm6", "panda", "planar3")), sliding_arm(), random_arm(6, 1, sliding=(1, 3))],
    ids=lambda arm: arm.name,
)
def test_no_point_of_the_chain_moves_farther_than_its_levers_say(arm: Arm) -> None:
    rng = np.random.default_rng(0)
    q = arm.sample(rng, 200)
    moved = np.clip(q + 0.2 * rng.standard_normal(q.shape), arm.q_min, arm.q_max)
    farthest = np.linalg.norm(joint_origins(arm, moved) - joint_origins(arm, q), axis=-1).max(axis=1)
    assert (farthest <= np.abs(moved - q) @ levers(arm)).all()
    one = np.eye(arm.n_joints) * 0.01  # and of each joint alone
    for i, step in enumerate(one):
        way = np.linalg.norm(joint_origins(arm, q + step) - joint_origins(arm, q), axis=-1).max(axis=1)
        assert way.max() <= 0.01 * levers(arm)[i] + 1e-12


def test_wrong_use_is_told(shelf: ArmBody) -> None:
    rng = np.random.default_rng(0)
    for start, goals, checks in ((5, (1, 6), 1), (6, (0, 6), 1), (6, (6,), 1), (6, (1, 6), 0)):
        with pytest.raises(ShapeError, match=r"a route needs a start \(6,\), goals"):
            find_route(shelf, np.zeros(start), np.zeros(goals), rng=rng, checks=checks)
