"""Branches of a planar two-link arm, known in closed form, followed along paths: never left, and stopped where they end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sim
from ik_mdn.paths.continuation import JOINT_STEP, Course, PathSet, Stop, follow_branches, is_outside
from ik_mdn.paths.path import CartesianPath, circle_path, line_path
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.task import load_task

LONG, SHORT = 1.0, 0.7
LEAST_RATE = 1e-3  # samples that a branch is cut short of its end


@pytest.fixture(scope="module")
def arm() -> Arm:
    return sim.load_arm(f"planar:{LONG:g},{SHORT:g}")


def both_elbows(point: FloatArray, near: FloatArray) -> FloatArray:
    """The two joint vectors (2, 2) that reach a point, elbow to the right first, turned to be within π of `near`."""
    x, y = point[:2]
    bend = np.arccos(np.clip((x * x + y * y - LONG**2 - SHORT**2) / (2 * LONG * SHORT), -1.0, 1.0))
    q2 = np.array([bend, -bend])
    q1 = np.arctan2(y, x) - np.arctan2(SHORT * np.sin(q2), LONG + SHORT * np.cos(q2))
    return np.stack([near[0] + (q1 - near[0] + np.pi) % (2 * np.pi) - np.pi, q2], axis=1)


def place(x: float, y: float) -> FloatArray:
    T = np.eye(4)
    T[:2, 3] = x, y
    return T


def follow(arm: Arm, path: CartesianPath, elbow: int) -> Course:
    start = both_elbows(path.T_base_tip[0, :3, 3], np.zeros(2))[elbow]
    return follow_branches(arm, load_task(arm, "planar_position"), [path], np.zeros(1, int), start[None])[0]


@pytest.mark.parametrize("elbow", [0, 1])
@pytest.mark.parametrize(
    "path",
    [
        line_path(place(1.2, 0.3), place(-0.2, 0.9)),
        line_path(place(0.31, 0.2), place(0.2, 0.31)),  # past the inner edge of the workspace at 0.3 m
        circle_path((0.9, 0.2, 0.0), (0, 0, 1), 0.4, np.eye(3)),
    ],
)
def test_every_knot_is_the_closed_form_of_the_branch_that_it_started_on(
    arm: Arm, path: CartesianPath, elbow: int
) -> None:
    course = follow(arm, path, elbow)
    assert course.stop is Stop.END
    assert course.u[-1] == len(path) - 1
    assert (np.diff(course.u) > 0).all()
    assert np.abs(np.diff(course.q, axis=0)).max() <= JOINT_STEP
    for u, q in zip(course.u, course.q, strict=True):
        np.testing.assert_allclose(q, both_elbows(path.pose_at(u)[:3, 3], q)[elbow], atol=1e-6)


@pytest.mark.slow
def test_out_of_the_workspace_a_branch_is_lost_at_its_edge(arm: Arm) -> None:
    path = line_path(place(1.0, 0.2), place(2.2, 0.2))
    samples = np.arange(0.0, len(path) - 1, 1e-4)
    edge = samples[np.linalg.norm(path.pose_at(samples)[:, :2, 3], axis=-1) <= LONG + SHORT].max()
    for elbow in (0, 1):
        course = follow(arm, path, elbow)
        assert course.stop is Stop.LOST
        assert edge - 10 * LEAST_RATE <= course.u[-1] <= edge


def test_at_a_joint_limit_a_branch_stops_with_the_word_and_inside(arm: Arm) -> None:
    path = line_path(place(-1.2, 0.8), place(-1.2, -0.8))  # the first joint turns on past π
    course = follow(arm, path, 1)
    turned = np.unwrap([both_elbows(path.pose_at(u)[:3, 3], np.array([3.0, 0.0]))[1, 0] for u in range(len(path))])
    crossing = np.interp(np.pi, turned, np.arange(len(path)))
    assert course.stop is Stop.LIMIT
    assert not is_outside(arm, course.q).any()
    assert crossing - 0.1 <= course.u[-1] <= crossing + 1e-3


def test_straight_through_a_singularity_the_elbow_turns_over_and_is_not_lost(arm: Arm) -> None:
    """Through the base of two equal links the elbow passes π: beyond it, the branch of the other sign goes on."""
    endless = np.full(2, np.inf)
    equal = replace(sim.load_arm("planar:1,1"), q_min=-endless, q_max=endless)
    path = line_path(place(0.8, 0.0), place(-0.8, 0.0))
    start = np.array([-np.arccos(0.4), 2 * np.arccos(0.4)])
    course = follow_branches(equal, load_task(equal, "planar_position"), [path], np.zeros(1, int), start[None])[0]
    assert course.stop is Stop.END
    assert course.q[-1, 1] == pytest.approx(2 * np.pi - start[1], abs=1e-6)
    np.testing.assert_allclose(
        sim.forward_kinematics(equal, course.q)[:, :2, 3], path.pose_at(course.u)[:, :2, 3], atol=1e-6
    )


def test_paths_side_by_side_are_where_each_is_alone_and_are_followed_alike(arm: Arm) -> None:
    paths = [line_path(place(1.2, 0.3), place(-0.2, 0.9)), circle_path((0.9, 0.2, 0.0), (0, 0, 1), 0.4, np.eye(3))]
    rng = np.random.default_rng(0)
    which = rng.integers(2, size=50)
    u = rng.uniform(0.0, np.array([len(path) - 1 for path in paths])[which])
    alone = np.array([paths[i].pose_at(place) for i, place in zip(which, u, strict=True)])
    np.testing.assert_allclose(PathSet(paths).pose_at(which, u), alone, atol=1e-12)
    starts = np.array([both_elbows(path.T_base_tip[0, :3, 3], np.zeros(2))[0] for path in paths])
    together = follow_branches(arm, load_task(arm, "planar_position"), paths, np.arange(2), starts)
    for path, course in zip(paths, together, strict=True):
        np.testing.assert_array_equal(course.q, follow(arm, path, 0).q)
