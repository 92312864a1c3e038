"""Cartesian paths: they run where they should, at no more than the speeds they may, and bad input is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import roma
import torch
from numpy.typing import NDArray

from ik_mdn.paths.path import CartesianPath, circle_path, line_path, polyline_path
from sim.errors import PoseError, ShapeError

RNG = np.random.default_rng(7)


def rotation(rotvec: Any) -> NDArray[np.float64]:
    return np.asarray(roma.rotvec_to_rotmat(torch.tensor(np.asarray(rotvec, float))).numpy())


def pose(position: Any, rotvec: Any = (0, 0, 0)) -> NDArray[np.float64]:
    T = np.eye(4)
    T[:3, 3], T[:3, :3] = position, rotation(rotvec)
    return T


def angle_between(R_a: Any, R_b: Any) -> NDArray[np.float64]:
    R = torch.from_numpy(np.swapaxes(R_a, -1, -2) @ R_b)
    return np.asarray(roma.rotmat_to_rotvec(R).norm(dim=-1).numpy())


def random_pose() -> NDArray[np.float64]:
    return pose(RNG.normal(size=3), RNG.normal(size=3))


def test_a_line_is_straight_and_turns_the_shortest_way_in_step_with_the_position() -> None:
    for _ in range(5):
        T_a, T_b = random_pose(), random_pose()
        T = line_path(T_a, T_b).T_base_tip
        way = T_b[:3, 3] - T_a[:3, 3]
        share = (T[:, :3, 3] - T_a[:3, 3]) @ way / (way @ way)
        np.testing.assert_allclose(T[:, :3, 3], T_a[:3, 3] + share[:, None] * way, atol=1e-12)
        total = angle_between(T_a[:3, :3], T_b[:3, :3])
        np.testing.assert_allclose(angle_between(T_a[None, :3, :3], T[:, :3, :3]), share * total, atol=1e-7)
        np.testing.assert_allclose(angle_between(T[:, :3, :3], T_b[None, :3, :3]), (1 - share) * total, atol=1e-7)
        np.testing.assert_allclose(T[[0, -1]], [T_a, T_b], atol=1e-12)


@pytest.mark.parametrize(("speed", "turn_speed"), [(0.25, 1.0), (10.0, 0.3), (0.05, 10.0)])
def test_no_path_is_faster_than_it_may_be_and_all_start_and_end_at_rest(speed: float, turn_speed: float) -> None:
    T_a, T_b = pose((0.3, 0, 0.2)), pose((0.5, 0.3, 0.1), (0.3, -0.8, 0.4))
    limits = {"speed": speed, "turn_speed": turn_speed}
    circle = circle_path((0.4, 0, 0.3), (1, 2, 3), 0.1, np.eye(3), tangential=True, **limits)
    for path in (line_path(T_a, T_b, **limits), polyline_path([T_a, T_b, T_a], **limits), circle):
        v = np.linalg.norm(np.diff(path.T_base_tip[:, :3, 3], axis=0), axis=1) / path.dt
        w = angle_between(path.T_base_tip[:-1, :3, :3], path.T_base_tip[1:, :3, :3]) / path.dt
        assert v.max() <= speed * (1 + 1e-9)
        assert w.max() <= turn_speed * (1 + 1e-6)
        assert max(v.max() / speed, w.max() / turn_speed) > 0.3
        assert max(v[0], v[-1]) < 0.01 * speed
        a = np.abs(np.diff(v)) / path.dt
        assert a.max() <= 1.05 * speed / 0.4  # full speed takes 0.4 s at constant acceleration


def test_the_samples_are_one_period_apart_at_any_rate() -> None:
    for rate in (50.0, 100.0, 240.0):
        path = line_path(pose((0, 0, 0)), pose((0.3, 0, 0)), rate=rate)
        assert path.dt == 1 / rate
        assert path.duration == pytest.approx(line_path(pose((0, 0, 0)), pose((0.3, 0, 0))).duration, abs=1 / 50)


@pytest.mark.parametrize("tangential", [False, True])
def test_a_circle_keeps_its_radius_its_plane_and_its_orientation(tangential: bool) -> None:
    centre, axis, R = np.array([0.4, -0.1, 0.3]), np.array([1.0, -2.0, 0.5]), rotation((0.2, 0.9, -0.4))
    path = circle_path(centre, axis, 0.12, R, tangential=tangential)
    u = np.linspace(0, len(path) - 1, 4001)  # between the samples too
    T, z = path.pose_at(u), axis / np.linalg.norm(axis)
    arm = T[:, :3, 3] - centre
    np.testing.assert_allclose(np.linalg.norm(arm, axis=1), 0.12, atol=1e-12)
    np.testing.assert_allclose(arm @ z, 0, atol=1e-12)
    np.testing.assert_allclose(T[0, :3, 3], T[-1, :3, 3], atol=1e-12)
    if tangential:
        in_tip = np.einsum("kji,kj->ki", T[:, :3, :3], arm)  # the centre stays where it is for the tip
        np.testing.assert_allclose(in_tip, np.broadcast_to(in_tip[0], in_tip.shape), atol=1e-12)
    else:
        np.testing.assert_allclose(T[:, :3, :3], np.broadcast_to(R, (len(T), 3, 3)), atol=1e-12)
    assert np.cross(arm[0], arm[40]) @ z > 0  # right-handed


def test_an_arc_starts_towards_and_runs_the_other_way_for_a_negative_angle() -> None:
    path = circle_path((0, 0, 0), (0, 0, 1), 2.0, np.eye(3), towards=(0, 5, 3), angle=-np.pi / 2)
    np.testing.assert_allclose(path.T_base_tip[0, :3, 3], (0, 2, 0), atol=1e-12)
    np.testing.assert_allclose(path.T_base_tip[-1, :3, 3], (2, 0, 0), atol=1e-12)


def test_a_polyline_rests_at_its_corners_and_never_leaves_its_lines() -> None:
    corners = [pose((0, 0, 0)), pose((0.2, 0, 0)), pose((0.2, 0.2, 0), (0, 0, 1)), pose((0.2, 0.2, 0), (0, 0, 1))]
    path = polyline_path(corners)
    p = path.pose_at(np.linspace(0, len(path) - 1, 5000))[:, :3, 3]
    on_first = (np.abs(p[:, 1]) < 1e-12) & (p[:, 0] <= 0.2 + 1e-12)
    on_second = (np.abs(p[:, 0] - 0.2) < 1e-12) & (p[:, 1] <= 0.2 + 1e-12)
    assert (on_first | on_second).all()
    v = np.linalg.norm(np.diff(path.T_base_tip[:, :3, 3], axis=0), axis=1) / path.dt
    corner = int(np.argmax(path.T_base_tip[:, 1, 3] > 1e-9))
    assert v[corner - 1] < 0.01
    np.testing.assert_allclose(path.T_base_tip[-1], corners[-1], atol=1e-12)


def test_places_between_given_poses_lie_on_the_straight_way_between_them() -> None:
    T = np.array([random_pose() for _ in range(4)])
    path = CartesianPath(T, dt=0.1)
    np.testing.assert_allclose(path.pose_at(np.arange(4)), T, atol=1e-12)
    middle = path.pose_at(1.5)
    np.testing.assert_allclose(middle[:3, 3], (T[1, :3, 3] + T[2, :3, 3]) / 2, atol=1e-12)
    halves = angle_between(T[1, :3, :3], middle[:3, :3]), angle_between(middle[:3, :3], T[2, :3, :3])
    np.testing.assert_allclose(halves[0], halves[1], atol=1e-7)
    assert len(path) == 4
    assert path.duration == pytest.approx(0.3)


def test_a_path_without_extent_is_one_pose() -> None:
    path = line_path(pose((1, 2, 3)), pose((1, 2, 3)))
    assert len(path) == 1
    np.testing.assert_allclose(path.T_base_tip[0], pose((1, 2, 3)), atol=1e-15)
    np.testing.assert_allclose(CartesianPath(pose((1, 2, 3))[None]).pose_at(0.0), pose((1, 2, 3)), atol=1e-15)


def test_rotations_typed_with_four_decimals_become_exact() -> None:
    A = pose((0.3, 0.1, 0.4), (0.3, 0.4, 0.5)).round(4)
    B = pose((0.4, 0.1, 0.4), (0.3, 0.4, 0.5)).round(4)
    for path in (CartesianPath(A[None]), line_path(A, B), circle_path((0, 0, 0), (0, 0, 1), 0.1, A[:3, :3])):
        R = np.concatenate([path.T_base_tip, path.pose_at(np.linspace(0, len(path) - 1, 20))])[:, :3, :3]
        np.testing.assert_allclose(R.swapaxes(1, 2) @ R, np.broadcast_to(np.eye(3), R.shape), atol=1e-12)


def test_what_makes_no_path_is_refused_with_a_reason() -> None:
    A, B = pose((0, 0, 0)), pose((1, 0, 0))
    with pytest.raises(ShapeError, match=r"poses T_base_tip of shape \(N, 4, 4\), N > 0; got \(0, 4, 4\)"):
        CartesianPath(np.zeros((0, 4, 4)))
    with pytest.raises(ShapeError, match="time between poses must be positive"):
        CartesianPath(A[None], dt=0.0)
    with pytest.raises(PoseError, match="no rotation"):
        CartesianPath(2 * A[None])
    with pytest.raises(ShapeError, match="geometry and progress, or neither"):
        CartesianPath(A[None], progress=np.zeros(1))
    line = line_path(A, B)
    with pytest.raises(ShapeError, match="progress must ascend"):
        CartesianPath(np.array([A, B]), geometry=line.geometry, progress=np.array([1.0, 0.0]))
    with pytest.raises(ShapeError, match="two or more poses"):
        polyline_path([A])
    with pytest.raises(PoseError, match="waypoints 0 and 1 are half a turn apart"):
        line_path(A, pose((0, 0, 0), (np.pi, 0, 0)))
    with pytest.raises(ShapeError, match="speed, turn_speed and rate must be positive"):
        line_path(A, B, speed=0.0)
    there_and_back = [np.eye(4) if i % 2 else pose((0.1, 0, 0), (0, 0, 0)) for i in range(1000)]
    with pytest.raises(ShapeError, match=r"more than 1,000,000 samples at 2000 Hz"):  # at full speed 799,200
        polyline_path(there_and_back, rate=2000.0)
    with pytest.raises(ShapeError, match=r"more than 1,000,000 samples at .* Hz; raise speed"):
        line_path(A, B, speed=1e-6)
    with pytest.raises(ShapeError, match="positive radius"):
        circle_path((0, 0, 0), (0, 0, 1), 0.0, np.eye(3))
    with pytest.raises(ShapeError, match="axis of a circle needs a direction"):
        circle_path((0, 0, 0), (0, 0, 0), 1.0, np.eye(3))
    with pytest.raises(ShapeError, match="must not point along the axis"):
        circle_path((0, 0, 0), (0, 0, 1), 1.0, np.eye(3), towards=(0, 0, 2))
    with pytest.raises(ShapeError, match=r"R_base_tip must have shape \(3, 3\)"):
        circle_path((0, 0, 0), (0, 0, 1), 1.0, np.eye(4))
    with pytest.raises(ShapeError, match="centre must be 3 finite numbers"):
        circle_path((0, 0), (0, 0, 1), 1.0, np.eye(3))
