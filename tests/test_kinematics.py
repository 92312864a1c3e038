"""FK and Jacobian against oracles that share no code with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yourdfpy
from samples import MIXED

import sim
from sim.arm import catalogue
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.kinematics import kinematics

PI = np.pi

# standard Denavit-Hartenberg rows (d [m], a [m], alpha [rad]), see data/arms/README.md
DH = {
    "ur5e": [
        (0.1625, 0.0, PI / 2),
        (0.0, -0.425, 0.0),
        (0.0, -0.3922, 0.0),
        (0.1333, 0.0, PI / 2),
        (0.0997, 0.0, -PI / 2),
        (0.0996, 0.0, 0.0),
    ],
    "puma560": [
        (26.45 * 0.0254, 0.0, PI / 2),
        (0.0, 0.4318, 0.0),
        (0.15005, 0.0203, -PI / 2),
        (0.4318, 0.0, PI / 2),
        (0.0, 0.0, -PI / 2),
        (0.0, 0.0, 0.0),
    ],
}


def multiply_dh(name: str, q: FloatArray) -> FloatArray:
    """A1(q1) ... A6(q6) with A = Rz(q) Tz(d) Tx(a) Rx(alpha), written out (Spong et al., eq. 3.10)."""
    T = np.eye(4)
    for (d, a, alpha), angle in zip(DH[name], q, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
        A = [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0, sa, ca, d], [0, 0, 0, 1]]
        T = T @ np.array(A)
    return T


def turn(axis: str, angle: float) -> FloatArray:
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    T = np.eye(4)
    T[i, i] = T[j, j] = np.cos(angle)
    T[j, i], T[i, j] = np.sin(angle), -np.sin(angle)
    return T


def move(x: float, y: float, z: float) -> FloatArray:
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def sample(arm: sim.Arm, count: int, seed: int = 0) -> FloatArray:
    return arm.sample(np.random.default_rng(seed), count)


def difference_jacobian(arm: sim.Arm, q: FloatArray, step: float = 1e-6) -> FloatArray:
    """Central differences of FK: the linear rows directly, the angular ones from the skew part of dR R^T."""
    ends = q[:, None, None] + step * np.array([1, -1])[:, None] * np.eye(arm.n_joints)[:, None]  # (N, n, 2, n)
    T = sim.forward_kinematics(arm, ends)
    slope = (T[:, :, 0] - T[:, :, 1]) / (2 * step)  # (N, n, 4, 4)
    R = sim.forward_kinematics(arm, q)[:, None, :3, :3]
    W = slope[..., :3, :3] @ np.swapaxes(R, -1, -2)
    W = (W - np.swapaxes(W, -1, -2)) / 2
    angular = np.stack([W[..., 2, 1], W[..., 0, 2], W[..., 1, 0]], axis=-1)
    return np.swapaxes(np.concatenate([slope[..., :3, 3], angular], axis=-1), -1, -2)


@pytest.fixture
def mixed_path(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.urdf"
    path.write_text(MIXED, encoding="utf-8")
    return path


# forward kinematics


@pytest.mark.parametrize("lengths", [[1.0, 1.0], [1.0, 0.8, 0.5], [0.3], [0.5, 0.1, 0.7, 0.2, 0.4]])
def test_planar_fk_is_the_sum_of_the_links(lengths: list[float]) -> None:
    arm = sim.planar_arm(lengths)
    q = sample(arm, 500)
    heading = np.cumsum(q, axis=-1)
    T = sim.forward_kinematics(arm, q)
    np.testing.assert_allclose(T[:, 0, 3], (np.cos(heading) * lengths).sum(-1), atol=1e-14)
    np.testing.assert_allclose(T[:, 1, 3], (np.sin(heading) * lengths).sum(-1), atol=1e-14)
    np.testing.assert_array_equal(T[:, 2, 3], 0.0)
    np.testing.assert_allclose(T[:, 0, 0], np.cos(heading[:, -1]), atol=1e-14)
    np.testing.assert_allclose(T[:, 1, 0], np.sin(heading[:, -1]), atol=1e-14)


def test_fk_of_the_puma560_is_its_denavit_hartenberg_table() -> None:
    arm = sim.load_arm("puma560")
    for q in np.vstack([sample(arm, 200), np.zeros(6), arm.q_min, arm.q_max]):
        np.testing.assert_allclose(sim.forward_kinematics(arm, q), multiply_dh("puma560", q), atol=1e-14)


def test_fk_of_the_ur5e_from_its_own_base_is_its_denavit_hartenberg_table() -> None:
    arm = sim.load_arm("ur5e", base="base")
    for q in np.vstack([sample(arm, 200), np.zeros(6), arm.q_min, arm.q_max]):
        np.testing.assert_allclose(sim.forward_kinematics(arm, q), multiply_dh("ur5e", q), atol=1e-14)


def test_fk_of_the_ur5e_from_base_link_is_turned_by_half_a_turn() -> None:
    arm = sim.load_arm("ur5e")
    for q in sample(arm, 50):
        expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ multiply_dh("ur5e", q)
        np.testing.assert_allclose(sim.forward_kinematics(arm, q), expected, atol=1e-14)


def test_fk_of_known_puma560_configurations() -> None:
    arm = sim.load_arm("puma560")
    stretched_up = sim.forward_kinematics(arm, np.array([0, PI / 2, -PI / 2, 0, 0, 0]))
    np.testing.assert_allclose(stretched_up[:3, 3], [0.0203, -0.15005, 0.67183 + 0.4318 + 0.4318], atol=1e-14)
    stretched_out = sim.forward_kinematics(arm, np.array([0, 0, -PI / 2, 0, 0, 0]))
    np.testing.assert_allclose(stretched_out[:3, 3], [0.8636, -0.15005, 0.67183 - 0.0203], atol=1e-14)
    np.testing.assert_allclose(stretched_out[:3, 2], [1, 0, 0], atol=1e-14)


@pytest.mark.parametrize("name", [*catalogue.names(), "mixed"])
def test_fk_agrees_with_yourdfpy(name: str, mixed_path: Path) -> None:
    arm = sim.load_arm(mixed_path if name == "mixed" else name)
    robot = yourdfpy.URDF.load(str(arm.urdf_path), load_meshes=False, build_scene_graph=True)
    for q in sample(arm, 20):
        robot.update_cfg(dict(zip(arm.joint_names, q, strict=True)))
        expected = robot.get_transform(arm.tip, arm.base)
        np.testing.assert_allclose(sim.forward_kinematics(arm, q), expected, atol=1e-9)  # its cosines of π/2 round


def test_fk_of_the_mixed_arm_is_the_product_of_its_joints(mixed_path: Path) -> None:
    arm = sim.load_arm(mixed_path)
    for q in sample(arm, 20):
        slide = move(*(q[1] * np.array([0.6, 0, 0.8])))
        T = move(0.1, 0, 0.3) @ turn("x", 0.2) @ turn("y", -q[0])
        T = T @ move(0, 0.2, 0) @ turn("z", -0.4) @ turn("y", 0.5) @ move(0, 0, 0.1) @ slide
        T = T @ turn("x", 1.0) @ turn("z", q[2]) @ move(0.05, 0, 0.02) @ turn("y", 1.2)
        np.testing.assert_allclose(sim.forward_kinematics(arm, q), T, atol=1e-15)


def test_the_length_of_an_axis_does_not_matter(mixed_path: Path, tmp_path: Path) -> None:
    arm = sim.load_arm(mixed_path)
    path = tmp_path / "long.urdf"
    path.write_text(MIXED.replace('axis xyz="0.6 0 0.8"', 'axis xyz="30 0 40"'), encoding="utf-8")
    q = sample(arm, 10)
    np.testing.assert_allclose(
        sim.forward_kinematics(sim.load_arm(path), q), sim.forward_kinematics(arm, q), atol=1e-15
    )


def test_a_slide_moves_along_its_axis_and_turns_nothing(mixed_path: Path) -> None:
    arm = sim.load_arm(mixed_path)
    q = sample(arm, 20)
    far = q + np.array([0, 0.25, 0])
    T, T_far = sim.forward_kinematics(arm, q), sim.forward_kinematics(arm, far)
    np.testing.assert_allclose(T_far[:, :3, :3], T[:, :3, :3], atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(T_far[:, :3, 3] - T[:, :3, 3], axis=-1), 0.25, atol=1e-14)


@pytest.mark.parametrize("name", catalogue.names())
def test_fk_returns_rigid_transforms_even_far_outside_the_limits(name: str) -> None:
    arm = sim.load_arm(name)
    T = sim.forward_kinematics(arm, 100 * sample(arm, 200))
    R = T[:, :3, :3]
    np.testing.assert_allclose(np.swapaxes(R, -1, -2) @ R, np.broadcast_to(np.eye(3), R.shape), atol=1e-13)
    np.testing.assert_allclose(np.linalg.det(R), 1.0, atol=1e-13)
    np.testing.assert_array_equal(T[:, 3], np.broadcast_to([0, 0, 0, 1], (200, 4)))


def test_a_full_turn_of_a_joint_changes_nothing() -> None:
    arm = sim.load_arm("xarm6")
    q = sample(arm, 50)
    for i in range(6):
        turned = q + 2 * PI * np.eye(6)[i]
        np.testing.assert_allclose(sim.forward_kinematics(arm, turned), sim.forward_kinematics(arm, q), atol=1e-14)


# Jacobian


@pytest.mark.parametrize("name", [*catalogue.names(), "mixed", "planar:0.3"])
def test_the_jacobian_agrees_with_central_differences(name: str, mixed_path: Path) -> None:
    arm = sim.load_arm(mixed_path if name == "mixed" else name)
    q = np.vstack([sample(arm, 100), np.zeros(arm.n_joints)])  # zero is singular for most arms
    # differences of step 1e-6: truncation about 1e-12, rounding 1e-16 / 1e-6
    np.testing.assert_allclose(sim.jacobian(arm, q), difference_jacobian(arm, q), atol=2e-9)


def test_the_jacobian_of_a_slide_is_its_axis_without_rotation(mixed_path: Path) -> None:
    J = sim.jacobian(sim.load_arm(mixed_path), np.array([0.3, 0.1, 2.0]))
    np.testing.assert_allclose(np.linalg.norm(J[:3, 1]), 1.0, atol=1e-15)
    np.testing.assert_array_equal(J[3:, 1], 0.0)


def test_autograd_through_fk_agrees_with_the_jacobian(mixed_path: Path) -> None:
    for source in ("xarm6", mixed_path):
        arm = sim.load_arm(source)
        q = torch.from_numpy(sample(arm, 1)[0])
        dT = torch.autograd.functional.jacobian(lambda x, arm=arm: sim.forward_kinematics(arm, x), q)  # (4, 4, n)
        J = sim.jacobian(arm, q)
        torch.testing.assert_close(dT[:3, 3], J[:3], atol=1e-13, rtol=0)
        R = sim.forward_kinematics(arm, q)[:3, :3]
        W = torch.einsum("ijk,lj->kil", dT[:3, :3], R)  # dR/dq_k R^T, skew
        torch.testing.assert_close(torch.stack([W[:, 2, 1], W[:, 0, 2], W[:, 1, 0]]), J[3:], atol=1e-13, rtol=0)


def test_fk_passes_gradcheck_in_batches() -> None:
    arm = sim.load_arm("planar3")
    q = torch.from_numpy(sample(arm, 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sim.forward_kinematics(arm, x), q)
    assert torch.autograd.gradcheck(lambda x: sim.jacobian(arm, x), q)


# shapes and types


@pytest.mark.parametrize("batch", [(), (1,), (3, 2), (0,), (2, 0, 3)])
@pytest.mark.parametrize("name", ["planar2", "ur5e", "panda"])
def test_batches_keep_their_shape_and_equal_a_loop(name: str, batch: tuple[int, ...]) -> None:
    arm = sim.load_arm(name)
    q = np.random.default_rng(3).uniform(-1, 1, (*batch, arm.n_joints))
    T, J = sim.forward_kinematics(arm, q), sim.jacobian(arm, q)
    assert T.shape == (*batch, 4, 4)
    assert J.shape == (*batch, 6, arm.n_joints)
    for index in np.ndindex(*batch):
        np.testing.assert_allclose(T[index], sim.forward_kinematics(arm, q[index]), atol=1e-15)
        np.testing.assert_allclose(J[index], sim.jacobian(arm, q[index]), atol=1e-15)


def test_both_at_once_equal_one_after_the_other() -> None:
    arm = sim.load_arm("iiwa")
    q = torch.from_numpy(sample(arm, 7))
    T, J = kinematics(arm, q)
    assert torch.equal(T, sim.forward_kinematics(arm, q))
    assert torch.equal(J, sim.jacobian(arm, q))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_numpy_in_is_float64_numpy_out(kind: type) -> None:
    arm = sim.load_arm("planar2")
    q = np.array([[1, -2]], dtype=kind)
    for result in (sim.forward_kinematics(arm, q), sim.jacobian(arm, q)):
        assert isinstance(result, np.ndarray)
        assert result.dtype == np.float64
    np.testing.assert_allclose(
        sim.forward_kinematics(arm, q)[0, :2, 3], [np.cos(1) * 2, np.sin(1) - np.sin(1)], atol=1e-15
    )


@pytest.mark.filterwarnings("error")
def test_lists_views_and_read_only_arrays_are_taken() -> None:
    arm = sim.load_arm("planar2")
    expected = sim.forward_kinematics(arm, np.array([0.3, 0.2]))
    np.testing.assert_array_equal(sim.forward_kinematics(arm, [0.3, 0.2]), expected)  # type: ignore[call-overload]
    np.testing.assert_array_equal(sim.forward_kinematics(arm, np.array([0.2, 0.3])[::-1]), expected)
    assert sim.forward_kinematics(arm, arm.q_min).shape == (4, 4)


@pytest.mark.parametrize("name", ["ur5e", "iiwa", "planar3"])
def test_numpy_and_torch_agree_to_rounding(name: str) -> None:
    arm = sim.load_arm(name)
    q = sample(arm, 300)
    for function in (sim.forward_kinematics, sim.jacobian):
        np.testing.assert_allclose(function(arm, q), function(arm, torch.from_numpy(q)).numpy(), atol=2e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_torch_in_keeps_dtype_and_device(dtype: torch.dtype) -> None:
    arm = sim.load_arm("ur5e")
    q = torch.zeros(2, 6, dtype=dtype)
    for result in (sim.forward_kinematics(arm, q), sim.jacobian(arm, q)):
        assert result.dtype == dtype
        assert result.device == q.device
    meta = torch.zeros(2, 6, device="meta", dtype=dtype)
    assert sim.forward_kinematics(arm, meta).device.type == "meta"
    assert sim.jacobian(arm, meta).device.type == "meta"


def test_whole_numbers_in_torch_are_taken_as_float64() -> None:
    arm = sim.load_arm("ur5e")
    T = sim.forward_kinematics(arm, torch.ones(6, dtype=torch.int64))
    assert T.dtype == torch.float64
    torch.testing.assert_close(T, sim.forward_kinematics(arm, torch.ones(6, dtype=torch.float64)))


def test_float32_is_close_to_float64() -> None:
    arm = sim.load_arm("panda")
    q = torch.from_numpy(sample(arm, 100))
    T32, T64 = sim.forward_kinematics(arm, q.float()), sim.forward_kinematics(arm, q)
    torch.testing.assert_close(T32.double(), T64, atol=2e-6, rtol=0)


@pytest.mark.parametrize("shape", [(), (5,), (7,), (6, 1), (2, 3, 5)])
def test_a_wrong_number_of_joints_is_refused_with_their_names(shape: tuple[int, ...]) -> None:
    arm = sim.load_arm("ur5e")
    for function in (sim.forward_kinematics, sim.jacobian):
        with pytest.raises(ShapeError, match=r"arm 'ur5e' needs \(\.\.\., 6\).*shoulder_pan_joint"):
            function(arm, np.zeros(shape))
        with pytest.raises(ShapeError, match="q has shape"):
            function(arm, torch.zeros(shape))


@pytest.mark.parametrize("q", [["a", "b"], [[0.0, 1.0], [0.0]], {"joint1": 0.0}])
def test_what_is_no_array_of_numbers_is_refused(q: object) -> None:
    with pytest.raises(ShapeError, match=r"q (is no array of numbers|holds (text|objects))"):
        sim.forward_kinematics(sim.load_arm("planar2"), q)  # type: ignore[call-overload]
