"""Target suites: reproducible, and as hard (or as impossible) as they claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sim
from ik_mdn.reach.constructions import dexterity, draw_near_limits, draw_near_singular, is_comfortable
from ik_mdn.reach.reachability import draw_unreachable, why_unreachable
from ik_mdn.reach.suites import SUITES, ReachTask, check_suite, make_task, make_tasks
from sim.arm.arm import Arm
from sim.errors import ShapeError, SuiteError, UnknownNameError, WorldError
from sim.kinematics import forward_kinematics
from sim.scenes.scene import load_scene
from sim.task import TASKS, default_task, load_task
from sim.world.body import ArmBody, home
from sim.world.world import World

ARMS = ("planar2", "planar3", "planar:1,0.3", "puma560", "ur5e", "xarm6", "panda", "iiwa")
SLIDER = """<robot name="slider"><link name="a"/><link name="b"/><link name="c"/>
<joint name="turn" type="continuous"><parent link="a"/><child link="b"/><axis xyz="0 0 1"/></joint>
<joint name="slide" type="prismatic"><parent link="b"/><child link="c"/><origin xyz="0.2 0 0.1"/><axis xyz="1 0 0"/>
<limit lower="0.3" upper="0.5" effort="1" velocity="1"/></joint></robot>"""
TURNER = """<robot name="turner"><link name="a"/><link name="b"/>
<joint name="turn" type="continuous"><parent link="a"/><child link="b"/><origin xyz="1 0 0"/><axis xyz="0 0 1"/></joint>
</robot>"""


@pytest.fixture(scope="module")
def shelf() -> Iterator[ArmBody]:
    arm = sim.load_arm("xarm6")
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(load_scene("shelf"), arm)
        yield body


def tasks_of(body: ArmBody, suite: str, count: int = 12) -> list[ReachTask]:
    return list(make_tasks(body, count, suite=suite))


def from_urdf(tmp_path: Path, text: str) -> Arm:
    path = tmp_path / "arm.urdf"
    path.write_text(text)
    return sim.load_arm(path)


@pytest.mark.parametrize("suite", SUITES)
def test_a_task_depends_on_suite_seed_and_index_alone(shelf: ArmBody, suite: str) -> None:
    series = list(make_tasks(shelf, 3, suite=suite, seed=4))
    shelf.set_q(np.full(6, -0.2))
    alone = make_task(shelf, 2, suite=suite, seed=4)
    np.testing.assert_array_equal(alone.T_base_target, series[2].T_base_target)
    np.testing.assert_array_equal(alone.q_start, series[2].q_start)
    assert alone.about == series[2].about
    others = [make_task(shelf, 2, suite=suite, seed=5), series[1]]
    assert all(not np.array_equal(other.T_base_target, alone.T_base_target) for other in others)


@pytest.mark.parametrize("suite", [name for name in SUITES if name != "unreachable"])
def test_targets_are_made_from_free_configurations_within_limits(shelf: ArmBody, suite: str) -> None:
    for task in tasks_of(shelf, suite, 6):
        assert task.reachable
        assert task.q_made is not None
        assert not shelf.collides(np.stack([task.q_start, task.q_made])).any()
        assert ((task.q_made >= shelf.arm.q_min) & (task.q_made <= shelf.arm.q_max)).all()
        np.testing.assert_allclose(forward_kinematics(shelf.arm, task.q_made), task.T_base_target, atol=1e-9)


def test_the_default_suite_is_the_plain_stream_of_uniform_free_configurations(shelf: ArmBody) -> None:
    rng = np.random.default_rng([0x7EAC, 3, 7])
    drawn = []
    while len(drawn) < 2:
        q = rng.uniform(shelf.arm.q_min, shelf.arm.q_max)
        if not shelf.collides(q):
            drawn.append(q)
    task = make_task(shelf, 7, seed=3)
    np.testing.assert_array_equal([task.q_start, task.q_made], drawn)


def test_easy_targets_are_near_by_a_free_straight_way_and_far_from_limits(shelf: ArmBody) -> None:
    arm, kind = shelf.arm, default_task(shelf.arm)
    for task in tasks_of(shelf, "easy", 6):
        assert task.q_made is not None
        assert np.abs(task.q_made - task.q_start).max() <= 1.0
        assert not shelf.collides(np.linspace(task.q_start, task.q_made, 100)).any()
        for q in (task.q_start, task.q_made):
            assert np.minimum(q - arm.q_min, arm.q_max - q).min() >= 0.15 * (arm.q_max - arm.q_min).min() - 1e-12
            assert is_comfortable(arm, kind, q)


def test_targets_near_limits_have_a_joint_next_to_one(shelf: ArmBody) -> None:
    arm, seen = shelf.arm, set()
    for task in tasks_of(shelf, "near-limits", 20):
        gap = np.minimum(task.q_made - arm.q_min, arm.q_max - task.q_made) / (arm.q_max - arm.q_min)
        named = {i for i, name in enumerate(arm.joint_names) if f"{name} " in task.about}
        assert named
        assert (gap[list(named)] <= 0.01 + 1e-12).all()
        seen |= named
    assert {1, 2, 4} <= seen  # the joints that have no other winding


def test_targets_near_singularities_lose_a_direction_of_motion_to_several_joints(shelf: ArmBody) -> None:
    tasks, h = tasks_of(shelf, "near-singular", 20), 1e-6
    for task in tasks:
        assert task.q_made is not None
        steps = h * np.eye(6)
        ahead, behind = (forward_kinematics(shelf.arm, task.q_made + sign * steps) for sign in (1, -1))
        linear = (ahead - behind)[:, :3, 3] / (2 * h * shelf.arm.reach)
        turn = np.einsum("iab,icb->iac", (ahead - behind)[:, :3, :3], ahead[:, :3, :3]) / (2 * h)
        angular = np.stack([turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0]], axis=1)
        assert np.linalg.svd(np.hstack([linear, angular]).T, compute_uv=False)[-1] <= 1.01e-2
    assert len({task.about.split()[0] for task in tasks}) >= 3  # shoulder, elbow, wrist


def test_dexterity_of_two_links_follows_from_their_area() -> None:
    arm, q = sim.load_arm("planar:1,0.6"), np.random.default_rng(0).uniform(-3, 3, (50, 2))
    rows = np.stack(
        [
            [-np.sin(q[:, 0]) - 0.6 * np.sin(q.sum(1)), -0.6 * np.sin(q.sum(1))],
            [np.cos(q[:, 0]) + 0.6 * np.cos(q.sum(1)), 0.6 * np.cos(q.sum(1))],
        ]
    )
    singular = np.linalg.svd(np.moveaxis(rows, -1, 0) / 1.6, compute_uv=False)
    np.testing.assert_allclose(dexterity(arm, default_task(arm), q), singular[:, -1], atol=1e-12)
    np.testing.assert_allclose(singular.prod(axis=1), np.abs(0.6 * np.sin(q[:, 1])) / 1.6**2, atol=1e-12)


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_meets_its_singularities(name: str) -> None:
    arm, rng = sim.load_arm(name), np.random.default_rng(1)
    kind = default_task(arm)
    found = [draw for draw in (draw_near_singular(arm, kind, rng) for _ in range(10)) if draw]
    assert len(found) >= 8
    assert max(dexterity(arm, kind, q) for q, _ in found) <= 1e-2


def test_behind_an_obstacle_the_straight_way_goes_through_it(shelf: ArmBody) -> None:
    for task in tasks_of(shelf, "behind-obstacle", 6):
        assert task.q_made is not None
        assert not shelf.collides(np.linspace(home(shelf.arm), task.q_start, 100)).any()  # it can have come there
        touched = {
            other
            for q in np.linspace(task.q_start, task.q_made, 200)
            for _, other in shelf.contacts_at(q)
            if other.startswith("shelf.")
        }
        assert task.about.removeprefix("the straight way goes through ") in touched


@pytest.mark.parametrize("name", ARMS)
def test_no_reachable_target_is_called_unreachable(name: str) -> None:
    arm = sim.load_arm(name)
    kind = default_task(arm)
    q = np.random.default_rng(0).uniform(-np.pi, np.pi, (300, arm.n_joints))
    q[:20] = 0.0  # stretched out: the edge of the workspace itself
    assert [T for T in forward_kinematics(arm, q) if why_unreachable(arm, kind, T)] == []


@pytest.mark.parametrize(
    ("name", "rows"), [("xarm6", "x,y"), ("xarm6", "rotation"), ("xarm6", "x,y,yaw"), ("planar3", "x")]
)
def test_nothing_is_called_unreachable_by_a_task_that_leaves_part_of_the_position_open(name: str, rows: str) -> None:
    arm = sim.load_arm(name)
    kind, T = load_task(arm, rows), forward_kinematics(arm, np.full(arm.n_joints, 0.3))
    T[~np.array([*kind.rows[:3], True]), 3] += 3 * arm.reach  # of what does not count
    assert why_unreachable(arm, kind, T) is None
    needed = "x and y" if arm.is_planar else "x, y and z"
    with pytest.raises(SuiteError, match=rf"part of the position of arm '{name}' open.*a task with {needed}"):
        draw_unreachable(arm, kind, np.random.default_rng(0))


def test_a_planar_arm_is_fixed_by_a_position_in_its_plane_alone() -> None:
    arm = sim.load_arm("planar3")
    T = sim.pose((2 * arm.reach, 0.0, 0.0))
    flat = load_task(arm, "planar_position")
    upright = replace(flat, R_base_task=((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
    assert why_unreachable(arm, flat, T) is not None
    assert why_unreachable(arm, upright, T) is None


def test_no_reachable_target_of_a_sliding_arm_is_called_unreachable(tmp_path: Path) -> None:
    arm, rng = from_urdf(tmp_path, SLIDER), np.random.default_rng(0)
    kind = load_task(arm, "planar_position")
    reached = forward_kinematics(arm, arm.sample(rng, 300))
    assert [T for T in reached if why_unreachable(arm, kind, T)] == []
    distances = {np.hypot(*draw_unreachable(arm, kind, rng)[0][:2, 3]).round(6) for _ in range(40)}
    least, most = 0.5, 0.7
    assert all(distance < least or distance > most for distance in distances)
    assert {distance < least for distance in distances} == {True, False}


@pytest.mark.parametrize("name", ARMS)
def test_unreachable_targets_are_so_by_closed_form_or_by_many_samples(name: str) -> None:
    arm, rng = sim.load_arm(name), np.random.default_rng(0)
    kind = default_task(arm)
    drawn = [draw_unreachable(arm, kind, rng) for _ in range(30)]
    T = np.stack([pose for pose, _ in drawn])
    lengths = np.linalg.norm(arm.offsets[1:, :3, 3], axis=1)
    if arm.is_planar:  # of two links: between their difference and their sum; the last link is fixed by the heading
        p = T[:, :2, 3] - (arm.n_joints == 3) * lengths[-1] * T[:, :2, 0]
        distance = np.linalg.norm(p, axis=1)
        outside = (distance > lengths[0] + lengths[1]) | (distance < abs(lengths[0] - lengths[1]))
        too_far = np.linalg.norm(T[:, :2, 3], axis=1) > lengths.sum()
        assert (outside | too_far).all()
        return
    many = forward_kinematics(arm, rng.uniform(-np.pi, np.pi, (20_000, arm.n_joints)))
    farthest = np.linalg.norm(many[:, :3, 3] - arm.offsets[0, :3, 3], axis=1).max()
    last = np.linalg.norm((many @ np.linalg.inv(arm.offsets[-1]))[:, :3, 3] - arm.offsets[0, :3, 3], axis=1).max()
    for pose in T:
        tip = np.linalg.norm(pose[:3, 3] - arm.offsets[0, :3, 3])
        joint = np.linalg.norm((pose @ np.linalg.inv(arm.offsets[-1]))[:3, 3] - arm.offsets[0, :3, 3])
        assert tip > farthest or joint > last


def test_unreachable_targets_come_in_every_kind_that_an_arm_has() -> None:
    rng = np.random.default_rng(0)
    arm = sim.load_arm("planar3")  # links of 1, 0.8 and 0.5 m: the last joint keeps 0.2 m away from the first
    reasons = [draw_unreachable(arm, default_task(arm), rng)[1] for _ in range(60)]
    assert any(reason.startswith("the tip") and "add up" in reason for reason in reasons)
    assert any(reason.startswith("the last joint") and "add up" in reason for reason in reasons)
    assert any(reason.startswith("the last joint") and "keeps it" in reason for reason in reasons)


def test_an_unreachable_task_has_no_configuration_and_says_why(shelf: ArmBody) -> None:
    for task in tasks_of(shelf, "unreachable", 5):
        assert not task.reachable
        assert "the links add up to" in task.about
        assert not shelf.collides(task.q_start)


def test_wrong_use_is_told(shelf: ArmBody) -> None:
    with pytest.raises(ShapeError, match="count from 0; got index -1"):
        make_task(shelf, -1)
    with pytest.raises(ShapeError, match="seed -2"):
        make_task(shelf, 0, seed=-2)
    with pytest.raises(UnknownNameError, match="unknown suite 'hard'; allowed: uniform, easy, near-limits"):
        make_task(shelf, 0, suite="hard")
    with pytest.raises(UnknownNameError, match="unknown suite"):
        check_suite("Easy")
    assert check_suite("easy") == "easy"


def test_a_suite_that_an_arm_or_world_cannot_have_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SuiteError, match="no joint of arm 'arm' has limits"):
        draw_near_limits(from_urdf(tmp_path, TURNER), rng)
    with World() as world, pytest.raises(SuiteError, match="there is no obstacle; add a scene"):
        make_task(world.add_arm(sim.load_arm("planar2")), 0, suite="behind-obstacle")
    endless = sim.load_arm("planar2").to_dict() | {"joint_types": ["revolute", "prismatic"]}
    endless["q_max"] = [3.0, None]
    arm = Arm.from_dict(endless)
    with pytest.raises(SuiteError, match="slides without limits"):
        draw_unreachable(arm, TASKS["position"], rng)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "why"),
    [
        ("easy", "no short free way"),
        ("near-limits", "every configuration drawn next to a limit collides"),
        ("near-singular", "no free configuration is next to a singularity of task planar_position"),
        ("behind-obstacle", "no obstacle is in the way"),
    ],
)
def test_a_world_in_which_nothing_fits_is_told_after_many_draws(suite: str, why: str) -> None:
    arm = sim.load_arm("planar2")
    crowded = SimpleNamespace(
        arm=arm,
        number=0,
        collides=lambda q: np.full(np.shape(q)[:-1], suite != "behind-obstacle" and next(calls) > 0),
        contacts_at=lambda q: (),
        links=SimpleNamespace(root="base", infos=()),
        collisions=SimpleNamespace(names={0: "arm", 1: "scene.box"}),
    )
    calls = iter(range(suite == "easy", 10**6))  # the first configuration, the start of the others, is free
    with pytest.raises(SuiteError, match=f"suite {suite!r} has no target for arm 'planar2' here: {why}"):
        make_task(crowded, 0, suite=suite)  # type: ignore[arg-type]
    crowded.collides = lambda q: np.full(np.shape(q)[:-1], True)
    with pytest.raises(WorldError, match="1000 of 1000 configurations"):
        make_task(crowded, 0)  # type: ignore[arg-type]
