"""Rotations: every form gives back the rotation that it was made from, at every angle; scipy is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import sim
from sim.arrays import FloatArray
from sim.errors import PoseError, ShapeError, WorldError
from sim.rotations import (
    nearest_rotation,
    pose_to_bullet,
    quat_wxyz_of,
    quat_xyzw_of,
    rotation_from_quat,
    rotation_vector_of,
    rpy_of,
)

PI = float(np.pi)
SPECIAL = [0.0, PI / 2, PI, -PI / 2, -PI, 1e-9, PI - 1e-9, PI / 2 - 1e-9, PI / 2 + 1e-12, 1e-300]

angles = st.one_of(st.sampled_from(SPECIAL), st.floats(-PI, PI))
directions = st.tuples(*[st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1, 1))] * 3).filter(
    lambda v: np.linalg.norm(v) > 1e-3
)


@st.composite
def rotations(draw: Any) -> FloatArray:
    """About any axis by any angle, half turns among them."""
    axis = np.array(draw(directions))
    return np.asarray(Rotation.from_rotvec(draw(angles) * axis / np.linalg.norm(axis)).as_matrix())


@given(directions, angles)
@example((0.0, 0.0, 1.0), PI)
@example((1.0, 0.0, 0.0), 1e-160)
def test_a_rotation_vector_turns_by_what_it_was_made_from(direction: tuple[float, ...], angle: float) -> None:
    made = angle * np.array(direction) / np.linalg.norm(direction)
    R = Rotation.from_rotvec(made).as_matrix()
    vector = rotation_vector_of(R)
    assert np.linalg.norm(vector) <= PI + 1e-15
    np.testing.assert_allclose(Rotation.from_rotvec(vector).as_matrix(), R, atol=1e-9)
    if abs(angle) < 3:
        np.testing.assert_allclose(vector, made, atol=1e-14)


def test_a_rotation_vector_is_the_same_in_torch_and_has_a_slope_at_no_rotation() -> None:
    torch = pytest.importorskip("torch")
    R = Rotation.random(100, random_state=0).as_matrix()
    np.testing.assert_allclose(rotation_vector_of(torch.from_numpy(R)).numpy(), rotation_vector_of(R), atol=1e-14)
    none = torch.eye(3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(rotation_vector_of(none)[2], none)
    assert slope.isfinite().all()


@given(rotations(), st.lists(st.floats(-0.1, 0.1), min_size=9, max_size=9))
def test_the_nearest_rotation_is_scipys(R: FloatArray, noise: list[float]) -> None:
    M = R + np.reshape(noise, (3, 3))
    np.testing.assert_allclose(nearest_rotation(M[None])[0], Rotation.from_matrix(M).as_matrix(), atol=1e-12)


@given(rotations())
def test_a_quaternion_gives_back_its_rotation(R: FloatArray) -> None:
    quat_xyzw = quat_xyzw_of(R)
    assert quat_xyzw[3] >= 0
    assert abs(np.linalg.norm(quat_xyzw) - 1) < 1e-15
    np.testing.assert_allclose(rotation_from_quat(quat_xyzw), R, atol=1e-9)
    np.testing.assert_allclose(Rotation.from_quat(quat_xyzw).as_matrix(), R, atol=1e-9)
    quat_wxyz = quat_wxyz_of(R)
    np.testing.assert_allclose(rotation_from_quat(np.roll(quat_wxyz, -1)), R, atol=1e-9)
    assert quat_wxyz[np.abs(quat_wxyz) > 1e-12][0] > 0


@given(rotations())
@example(Rotation.from_euler("xyz", [0.3, PI / 2, 0.4]).as_matrix())
@example(Rotation.from_euler("xyz", [0.3, -PI / 2 + 1e-9, 0.4]).as_matrix())
def test_roll_pitch_yaw_give_back_their_rotation(R: FloatArray) -> None:
    np.testing.assert_allclose(sim.pose((0, 0, 0), rpy_of(R))[:3, :3], R, atol=1e-9)


@given(angles, angles, angles)
def test_roll_pitch_yaw_turn_about_the_fixed_axes_in_this_order(roll: float, pitch: float, yaw: float) -> None:
    expected = Rotation.from_euler("xyz", [roll, pitch, yaw]).as_matrix()
    np.testing.assert_allclose(sim.pose((0, 0, 0), (roll, pitch, yaw))[:3, :3], expected, atol=1e-12)


def test_many_rotations_at_once_are_those_one_by_one() -> None:
    R = Rotation.random(24, rng=np.random.default_rng(0)).as_matrix().reshape(2, 3, 4, 3, 3)
    quat_xyzw = quat_xyzw_of(R)
    assert quat_xyzw.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(quat_xyzw[1, 2, 3], quat_xyzw_of(R[1, 2, 3]))
    np.testing.assert_array_equal(rotation_from_quat(quat_xyzw)[1, 2, 3], rotation_from_quat(quat_xyzw[1, 2, 3]))


def test_a_pose_is_the_same_in_every_form() -> None:
    turned = Rotation.from_euler("xyz", [0.1, 0.2, 0.3])
    x, y, z, w = turned.as_quat()
    expected = np.eye(4)
    expected[:3, :3], expected[:3, 3] = turned.as_matrix(), (1, 2, 3)
    for T in (
        sim.pose((1, 2, 3), (0.1, 0.2, 0.3)),
        sim.pose([1, 2, 3], quat_xyzw=(x, y, z, w)),
        sim.pose(np.array([1, 2, 3]), quat_wxyz=(w, x, y, z)),
        sim.pose((1, 2, 3), quat_xyzw=np.round([x, y, z, w], 12) * 1.001),
    ):
        np.testing.assert_allclose(T, expected, atol=1e-11)
    np.testing.assert_array_equal(sim.pose((1, 2, 3))[:3, :3], np.eye(3))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"xyz": (1, 2)}, ShapeError, r"xyz must be 3 finite numbers; got \[1.0, 2.0\]"),
        ({"xyz": (1, 2, np.nan)}, ShapeError, "xyz must be 3 finite"),
        ({"xyz": (1, 2, 3), "rpy": (0, 0, 0), "quat_xyzw": (0, 0, 0, 1)}, ShapeError, "give one of rpy"),
        ({"xyz": (1, 2, 3), "quat_wxyz": (1, 0, 0)}, ShapeError, "quat_wxyz must be 4 finite"),
        ({"xyz": (1, 2, 3), "quat_xyzw": (0, 0, 0, 1.02)}, PoseError, "quat_xyzw must have length 1; .* 1.02"),
    ],
)
def test_what_is_no_pose_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sim.pose(**options)


def test_a_pose_reads_as_metres_and_degrees() -> None:
    text = sim.pose_text(sim.pose((0.3, -1e-9, 0.25), (PI, 0, PI / 2)))
    assert text == "x 0.3, y 0, z 0.25 m, roll 180, pitch 0, yaw 90°"


@pytest.mark.parametrize("T", [2 * np.eye(4), np.zeros((4, 4)), np.diag([1.0, 1, -1, 1])])
def test_bullet_is_given_rotations_only(T: FloatArray) -> None:
    with pytest.raises(WorldError, match="must be orthonormal, right-handed"):
        pose_to_bullet(T)
