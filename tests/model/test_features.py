"""Features: invariant under the arm's symmetries, complete otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sim
from ik_mdn.model.features import PoseFeatures

ARMS = list(sim.builtin_arms())


def _random_q(arm: sim.Arm, count: int, seed: int = 0) -> torch.Tensor:
    unit = torch.rand(count, arm.n_joints, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(arm.sample_min) + unit * torch.tensor(arm.sample_max - arm.sample_min)


def _wrapped(angle: torch.Tensor) -> torch.Tensor:
    return torch.atan2(torch.sin(angle), torch.cos(angle))


@pytest.mark.parametrize("name", ARMS)
def test_turning_the_first_joint_changes_neither_features_nor_reduced_joints(name: str) -> None:
    arm = sim.load_arm(name)
    features = PoseFeatures(arm, sim.default_task(arm))
    q = _random_q(arm, 500)
    turned = q.clone()
    turned[:, 0] += 1.3
    one, other = (features.encode(sim.forward_kinematics(arm, x)) for x in (q, turned))
    torch.testing.assert_close(one.features, other.features, rtol=0, atol=1e-5)
    assert _wrapped((q - one.shift) - (turned - other.shift)).abs().max() < 1e-9


@pytest.mark.parametrize("name", [name for name in ARMS if name != "planar2"])
def test_rolling_the_last_joint_changes_neither_features_nor_reduced_joints(name: str) -> None:
    arm = sim.load_arm(name)
    features = PoseFeatures(arm, sim.default_task(arm))
    assert features.removes_roll
    q = _random_q(arm, 500)
    rolled = q.clone()
    rolled[:, -1] -= 2.1
    one, other = (features.encode(sim.forward_kinematics(arm, x)) for x in (q, rolled))
    torch.testing.assert_close(one.features, other.features, rtol=0, atol=1e-5)
    assert _wrapped((q - one.shift) - (rolled - other.shift)).abs().max() < 1e-9


def test_equal_features_and_shift_mean_an_equal_pose() -> None:
    """Nothing but the symmetries is lost: other joints moving always changes the features."""
    arm = sim.load_arm("xarm6")
    features = PoseFeatures(arm, sim.default_task(arm))
    q = _random_q(arm, 300)
    for joint in range(1, 5):
        moved = q.clone()
        moved[:, joint] += 0.05
        one, other = (features.encode(sim.forward_kinematics(arm, x)) for x in (q, moved))
        changed = (one.features - other.features).norm(dim=1)
        assert (changed > 1e-4).double().mean() > 0.95


@pytest.mark.parametrize("up", [-1.0, 1.0])
def test_features_and_shifts_are_continuous_where_the_tool_points_straight_down_or_up(up: float) -> None:
    """Straight down is the pose of every table top, straight up that of a table's below a hanging arm."""
    arm = sim.load_arm("xarm6")
    features = PoseFeatures(arm, sim.default_task(arm))
    T = torch.eye(4, dtype=torch.float64).repeat(200, 1, 1)
    T[:, :3, :3] = torch.diag(torch.tensor([1.0, up, up], dtype=torch.float64))
    T[:, :3, 3] = torch.tensor([0.4, 0.1, 0.2], dtype=torch.float64)
    tilt = torch.linspace(0, 2 * np.pi, 200, dtype=torch.float64)
    small = 1e-4
    skew = torch.zeros(200, 3, 3, dtype=torch.float64)
    skew[:, 0, 2], skew[:, 2, 0] = small * tilt.cos(), -small * tilt.cos()
    skew[:, 1, 2], skew[:, 2, 1] = small * tilt.sin(), -small * tilt.sin()
    T[:, :3, :3] = torch.linalg.matrix_exp(skew) @ T[:, :3, :3]
    encoded = features.encode(T)
    assert (encoded.features - encoded.features[0]).abs().max() < 1e-2
    assert _wrapped(encoded.shift - encoded.shift[0]).abs().max() < 1e-2


def test_a_tip_on_the_base_axis_gives_finite_features() -> None:
    arm = sim.load_arm("xarm6")
    features = PoseFeatures(arm, sim.default_task(arm))
    T = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    T[:, 2, 3] = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    T[1, :3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    encoded = features.encode(T)
    assert encoded.features.isfinite().all()
    assert encoded.shift.isfinite().all()


def test_on_the_base_axis_the_azimuth_is_not_what_rounding_makes_of_it() -> None:
    arm = sim.load_arm("ur5e")
    features = PoseFeatures(arm, sim.load_task(arm, "position_axis"))
    T = np.tile(np.linalg.inv(features.frames[0]), (3, 1, 1))
    T[:, :3, 3] += np.array([[0.0, 0.0, 0.4], [1e-16, -1e-17, 0.4], [-1e-17, 1e-16, 0.4]])
    encoded = features.encode(T)
    assert (encoded.shift == 0).all()
    np.testing.assert_allclose(encoded.features, encoded.features[:1].repeat(3, 0), atol=1e-6)


@pytest.mark.parametrize(("charts", "jumps"), [(1, False), (2, True)])
def test_one_chart_of_the_azimuth_has_no_jump_beside_the_base_axis(charts: int, jumps: bool) -> None:
    """Poses on a line past the base axis at a twentieth of the reach: inputs move as far as poses do, or at most a quarter turn."""
    arm = sim.load_arm("ur5e")
    features = PoseFeatures(arm, sim.default_task(arm), charts=charts)
    T = sim.forward_kinematics(arm, np.tile([0.3, -1.2, 1.5, -0.4, 1.1, 0.2], (4001, 1)))
    X = features.frames[0] @ T @ features.frames[1]
    X[:, :2, 3] = arm.reach * np.column_stack([np.linspace(-0.2, 0.2, 4001), np.full(4001, 0.05)])
    T = np.linalg.inv(features.frames[0]) @ X @ np.linalg.inv(features.frames[1])
    steps = np.abs(np.diff(features.encode(T).shift[:, 0]))
    steps = np.minimum(steps, 2 * np.pi - steps)
    assert (steps.max() > 0.1) == jumps


def test_without_symmetries_nothing_is_shifted() -> None:
    arm = sim.load_arm("xarm6")
    features = PoseFeatures(arm, sim.default_task(arm), use_symmetries=False)
    encoded = features.encode(sim.forward_kinematics(arm, _random_q(arm, 50)))
    assert (encoded.shift == 0).all()
    assert encoded.features.shape == (50, features.size)


@pytest.mark.parametrize("task", ["position", "position_axis"])
def test_position_tasks_ignore_what_does_not_count(task: str) -> None:
    arm = sim.load_arm("xarm6")
    features = PoseFeatures(arm, sim.TASKS[task])
    T = sim.forward_kinematics(arm, _random_q(arm, 50))
    rolled = T.clone()
    c, s = np.cos(0.7), np.sin(0.7)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
    rolled[:, :3, :3] = T[:, :3, :3] @ turn
    torch.testing.assert_close(features.encode(T).features, features.encode(rolled).features, rtol=0, atol=1e-5)
