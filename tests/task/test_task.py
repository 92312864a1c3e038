"""Tasks: targets that are accepted, errors that close the gap, rows of the Jacobian that belong to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

import sim
from sim.errors import PoseError, ShapeError, TaskError, UnknownNameError
from sim.task import TASKS, Task, as_targets, default_task, error_norms, load_task, task_error, task_jacobian

PI = np.pi
SPATIAL = ("position", "position_axis", "pose")


def turn(axis: Tensor, angle: Tensor | float) -> Tensor:
    """Rodrigues: rotations (..., 3, 3) about unit axes (..., 3) by angles (...)."""
    angle = torch.as_tensor(angle, dtype=torch.float64)[..., None, None]
    x, y, z = axis.unbind(-1)
    o = torch.zeros_like(x)
    K = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=torch.float64) + torch.sin(angle) * K + (1 - torch.cos(angle)) * (K @ K)


def draw_axes(count: int, seed: int = 0) -> Tensor:
    axes = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return axes / axes.norm(dim=-1, keepdim=True)


def draw_poses(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    T = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    T[:, :3, :3] = turn(draw_axes(count, seed), PI * torch.rand(count, generator=generator, dtype=torch.float64))
    T[:, :3, 3] = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return T


def pose(R: Tensor) -> Tensor:
    T = torch.eye(4, dtype=torch.float64).repeat(*R.shape[:-2], 1, 1)
    T[..., :3, :3] = R
    return T


def apply_step(T: Tensor, step: Tensor) -> Tensor:
    """T moved by the linear part in the base frame and turned by the angular part in the tip frame."""
    moved = T.clone()
    angle = step[..., 3:].norm(dim=-1)
    axis = step[..., 3:] / angle.clamp_min(1e-300)[..., None]
    moved[..., :3, :3] = T[..., :3, :3] @ turn(axis, angle)
    moved[..., :3, 3] += step[..., :3]
    return moved


def arm_of(task: str) -> sim.Arm:
    return sim.load_arm("planar3" if task.startswith("planar") else "xarm6")


def sample(arm: sim.Arm, count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(arm.sample(np.random.default_rng(seed), count))


# which task


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("planar:1", "planar_position"),
        ("planar2", "planar_position"),
        ("planar3", "planar_pose"),
        ("ur5e", "pose"),
        ("panda", "pose"),
    ],
)
def test_the_default_task_fits_the_arm(name: str, task: str) -> None:
    assert default_task(sim.load_arm(name)).name == task


@pytest.mark.parametrize(("tip", "task"), [("link3", "position"), ("link5", "position_axis"), ("link6", "pose")])
def test_the_default_task_of_spatial_arms_follows_the_number_of_joints(tip: str, task: str) -> None:
    assert default_task(sim.load_arm("xarm6", tip=tip)).name == task


def test_constraints_and_point_sizes_count_the_rows() -> None:
    assert {name: task.n_constraints for name, task in TASKS.items()} == {
        "planar_position": 2,
        "planar_pose": 3,
        "position": 3,
        "position_axis": 5,
        "pose": 6,
    }
    assert {name: task.point_size for name, task in TASKS.items()} == {
        "planar_position": 2,
        "planar_pose": 0,
        "position": 3,
        "position_axis": 0,
        "pose": 0,
    }


def test_a_task_is_found_by_name_by_itself_or_by_default() -> None:
    arm = sim.load_arm("ur5e")
    assert load_task(arm, "position") is TASKS["position"]
    assert load_task(arm, TASKS["pose"]) is TASKS["pose"]
    assert load_task(arm, None) is TASKS["pose"]


@pytest.mark.parametrize(
    ("arm", "task", "error", "message"),
    [
        ("ur5e", "posiion", UnknownNameError, "unknown task 'posiion'; allowed: planar_position, .*pose"),
        ("ur5e", "planar_pose", TaskError, "'ur5e' leaves the x-y plane of 'base_link'"),
        ("planar3", "pose", TaskError, "'planar3' is planar; use task planar_position or planar_pose"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(arm: str, task: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_task(sim.load_arm(arm), task)


def test_a_planar_arm_with_a_tilted_tip_has_no_heading(tmp_path: Path) -> None:
    xml = (sim.load_arm("planar3").urdf_path or Path()).read_text(encoding="utf-8")
    path = tmp_path / "tilted.urdf"
    path.write_text(
        xml.replace('<origin xyz="0.5 0 0"/>\n  </joint>', '<origin xyz="0.5 0 0" rpy="0 1 0"/>\n  </joint>')
    )
    arm = sim.load_arm(path)
    assert arm.is_planar
    assert default_task(arm).name == "planar_position"
    with pytest.raises(TaskError, match=r"z axis of tip 'tool0' .* no heading; use task planar_position"):
        load_task(arm, "planar_pose")


# targets


@pytest.mark.parametrize("batch", [(), (1,), (3, 2), (0,)])
def test_poses_of_any_batch_shape_come_back_as_float64(batch: tuple[int, ...]) -> None:
    T = torch.eye(4, dtype=torch.float32).repeat(*batch, 1, 1)
    for given in (T, T.numpy()):
        targets = as_targets(TASKS["pose"], given)
        assert targets.dtype == np.float64
        assert targets.shape == (*batch, 4, 4)


@pytest.mark.filterwarnings("error")
def test_read_only_and_reversed_arrays_and_lists_are_taken() -> None:
    eyes = np.broadcast_to(np.eye(4), (3, 4, 4))
    assert as_targets(TASKS["pose"], eyes).shape == (3, 4, 4)
    assert as_targets(TASKS["pose"], eyes[::-1]).shape == (3, 4, 4)
    assert as_targets(TASKS["pose"], eyes.tolist()).shape == (3, 4, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "point", "position"),
    [
        ("planar_position", [1.0, 2.0], [1.0, 2.0, 0.0]),
        ("planar_position", [1.0, 2.0, 0.0], [1.0, 2.0, 0.0]),
        ("position", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    ],
)
@pytest.mark.parametrize("batch", [(), (2, 3), (0,)])
def test_position_tasks_take_points(
    task: str, point: list[float], position: list[float], batch: tuple[int, ...]
) -> None:
    T = as_targets(TASKS[task], np.broadcast_to(point, (*batch, len(point))))
    assert T.shape == (*batch, 4, 4)
    assert (T[..., :3, 3] == position).all()
    assert (T[..., :3, :3] == np.eye(3)).all()


@pytest.mark.parametrize(
    ("task", "shape"),
    [
        ("pose", (3,)),
        ("pose", (3, 4)),
        ("pose", ()),
        ("pose", (4,)),
        ("position", (2,)),
        ("position", (3, 3, 4)),
        ("planar_pose", (3,)),
        ("planar_position", (4,)),
    ],
)
def test_wrong_shapes_are_refused(task: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=rf"target has shape .*; task '{task}' takes poses \(\.\.\., 4, 4\)"):
        as_targets(TASKS[task], np.zeros(shape))


@pytest.mark.parametrize("target", ["origin", [[1.0], [1.0, 2.0]], None])
def test_what_is_no_array_of_numbers_is_refused(target: Any) -> None:
    with pytest.raises((ShapeError, PoseError), match="target"):
        as_targets(TASKS["pose"], target)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 3), (3, 3)])
def test_numbers_that_are_not_finite_are_refused_and_counted(value: float, place: tuple[int, int]) -> None:
    T = np.broadcast_to(np.eye(4), (5, 4, 4)).copy()
    T[3][place] = value
    with pytest.raises(PoseError, match="1 of 5 targets hold NaN or infinity"):
        as_targets(TASKS["pose"], T)
    with pytest.raises(PoseError, match="1 of 1 targets hold NaN"):
        as_targets(TASKS["position"], np.array([0.0, value, 0.0]))


def mirrored() -> Tensor:
    return torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0], dtype=torch.float64))


def transposed() -> Tensor:
    T = draw_poses(1)[0]
    return T.mT


def scaled() -> Tensor:
    return torch.diag(torch.tensor([1.001, 1.001, 1.001, 1.0], dtype=torch.float64))


def sheared() -> Tensor:
    T = torch.eye(4, dtype=torch.float64)
    T[0, 1] = 2e-3
    return T


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (mirrored, "no rotation: .* off by 2"),
        (scaled, "is no rotation"),
        (sheared, r"is no rotation: .*orthonormal, right-handed axes"),
        (lambda: torch.zeros(4, 4), "is no rotation"),
        (transposed, "last row of a pose must be 0 0 0 1; is the matrix transposed"),
        (lambda: 2 * torch.eye(4), "is no rotation"),
    ],
)
@pytest.mark.parametrize("task", ["pose", "position"])
def test_matrices_that_are_no_poses_are_refused(make: Any, message: str, task: str) -> None:
    batch = torch.stack([torch.eye(4, dtype=torch.float64), make().to(torch.float64)])
    with pytest.raises(PoseError, match=message):
        as_targets(TASKS[task], batch)


def test_poses_rounded_to_float32_are_accepted() -> None:
    T = draw_poses(1000)
    targets = as_targets(TASKS["pose"], T.float())
    assert targets.shape == (1000, 4, 4)
    assert np.abs(targets - T.numpy()).max() < 1e-5


@pytest.mark.parametrize("decimals", [4, 5])
def test_typed_rotations_become_the_nearest_ones(decimals: int, caplog: pytest.LogCaptureFixture) -> None:
    typed = draw_poses(1000).numpy().round(decimals)
    with caplog.at_level("INFO", "sim.task.targets"):
        R = as_targets(TASKS["pose"], typed)[:, :3, :3]
    assert "taken as the nearest rotation" in caplog.text
    made = (typed[:, :3, :3] != R).any(axis=(1, 2))
    U, _, V = np.linalg.svd(typed[made, :3, :3])
    np.testing.assert_allclose(R[made], U @ V, atol=1e-14)  # the polar factor
    assert made.sum() > 100
    assert np.abs(R.swapaxes(1, 2) @ R - np.eye(3)).max() < 1e-5


def test_rotations_that_are_exact_enough_stay_bit_for_bit() -> None:
    T = draw_poses(100)
    assert (as_targets(TASKS["pose"], T) == T.numpy()).all()
    T[50, :3, :3] = T[50, :3, :3].round(decimals=4)
    stays = (as_targets(TASKS["pose"], T) == T.numpy()).all(axis=(1, 2))
    assert stays.tolist() == [True] * 50 + [False] + [True] * 49


def test_a_refused_rotation_is_answered_with_the_nearest() -> None:
    T = torch.eye(4, dtype=torch.float64)
    T[0, 1] = 0.01
    with pytest.raises(PoseError, match=r"nearest rotation is \[\[0\.9999\d*, 0\.00\d+, 0\.0\], \[-0\.00"):
        as_targets(TASKS["pose"], T)


def test_targets_of_every_kind_are_the_same_target() -> None:
    from scipy.spatial import transform

    T = draw_poses(1)[0]
    frozen = T.numpy().copy()
    frozen.setflags(write=False)
    kinds = (
        frozen,
        T.tolist(),
        T.clone().requires_grad_(),
        *(
            [transform.RigidTransform.from_matrix(T.numpy())] if hasattr(transform, "RigidTransform") else []
        ),  # scipy 1.16
        T.numpy()[::-1][::-1],
    )
    for target in kinds:
        np.testing.assert_allclose(as_targets(TASKS["pose"], target), T.numpy(), atol=1e-14, rtol=0)
    half = as_targets(TASKS["pose"], T.half())
    assert np.abs(half - T.numpy()).max() < 2e-3
    point = np.array([1, 2, 3], dtype=np.float16)
    assert as_targets(TASKS["position"], point)[:3, 3].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "target",
    [
        np.eye(4) + 1j,
        torch.eye(4) + 1j,
        np.eye(4, dtype=object),
        np.eye(4).astype(str),
        np.ma.masked_array(np.eye(4), mask=True),
    ],
    ids=["complex", "complex tensor", "object", "text", "masked"],
)
def test_targets_of_no_single_meaning_are_refused(target: Any) -> None:
    with pytest.raises(ShapeError, match=r"target (holds|is a masked)"):
        as_targets(TASKS["pose"], target)


def test_seven_numbers_are_answered_with_the_builder_of_poses() -> None:
    with pytest.raises(ShapeError, match=r"make a pose with sim\.pose\(xyz, rpy= or quat_xyzw= or quat_wxyz=\)"):
        as_targets(TASKS["pose"], [0.3, 0, 0.2, 0, 0, 0, 1])


# errors


@pytest.mark.parametrize("task", TASKS)
def test_the_error_of_a_pose_to_itself_is_zero(task: str) -> None:
    arm = arm_of(task)
    T = sim.forward_kinematics(arm, sample(arm, 100))
    assert task_error(TASKS[task], T, T).abs().max() < 1e-15


@pytest.mark.parametrize("task", TASKS)
def test_rows_that_do_not_count_are_zero(task: str) -> None:
    error = task_error(TASKS[task], draw_poses(50), draw_poses(50, seed=1))
    off = ~torch.tensor(TASKS[task].rows)
    assert (error[:, off] == 0).all()
    if not task.startswith("planar_pose"):
        assert (error[:, ~off] != 0).all()


def test_taking_the_step_of_the_full_pose_closes_the_gap_whole() -> None:
    T_tip, T_target = draw_poses(500), draw_poses(500, seed=1)
    step = task_error(TASKS["pose"], T_tip, T_target)
    torch.testing.assert_close(apply_step(T_tip, step), T_target, atol=1e-10, rtol=0)


def test_taking_the_step_of_position_and_axis_closes_the_gap_up_to_roll() -> None:
    T_tip, T_target = draw_poses(500), draw_poses(500, seed=1)
    moved = apply_step(T_tip, task_error(TASKS["position_axis"], T_tip, T_target))
    torch.testing.assert_close(moved[:, :3, 2:], T_target[:, :3, 2:], atol=1e-12, rtol=0)


def test_taking_the_step_of_the_planar_pose_closes_the_gap_whole() -> None:
    arm = sim.load_arm("planar3")
    T_tip, T_target = (sim.forward_kinematics(arm, sample(arm, 500, seed)) for seed in (0, 1))
    moved = apply_step(T_tip, task_error(TASKS["planar_pose"], T_tip, T_target))
    torch.testing.assert_close(moved, T_target, atol=1e-12, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-4, 0.5, 2.0, 3.0, PI - 1e-4, PI - 1e-8, PI - 1e-12, PI])
def test_the_angular_error_is_the_geodesic_angle_from_zero_to_half_a_turn(angle: float) -> None:
    axes = torch.cat([draw_axes(200), torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
    start = draw_poses(len(axes), seed=4)
    target = start @ pose(turn(axes, angle))
    target[:, :3, 3] = start[:, :3, 3]
    err_pos, err_rot = error_norms(task_error(TASKS["pose"], start, target))
    assert err_pos.max() == 0
    # 16 digits of the matrices limit the angle: to about 1e-15 plainly, and to 1e-8 where only its cosine sees it
    torch.testing.assert_close(err_rot, torch.full_like(err_rot, angle), atol=1e-7 if angle > 3.14 else 1e-14, rtol=0)


def test_exact_half_turns_about_every_axis_give_pi() -> None:
    for signs in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1]):
        target = torch.diag(torch.tensor([*signs, 1.0], dtype=torch.float64))
        step = task_error(TASKS["pose"], torch.eye(4, dtype=torch.float64), target)
        assert abs(float(step[3:].norm()) - PI) < 1e-15
        torch.testing.assert_close(apply_step(torch.eye(4, dtype=torch.float64), step), target, atol=1e-15, rtol=0)


def test_roll_about_the_tool_axis_does_not_count_for_position_and_axis() -> None:
    T = draw_poses(200)
    rolled = T @ pose(
        turn(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), torch.linspace(-PI, PI, 200, dtype=torch.float64))
    )
    assert task_error(TASKS["position_axis"], T, rolled).abs().max() < 1e-14
    T_far = draw_poses(200, seed=1)
    before, after = (task_error(TASKS["position_axis"], T_far, target) for target in (T, rolled))
    torch.testing.assert_close(before, after, atol=1e-12, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-200, 1e-12, 0.3, PI / 2, 3.0, PI - 1e-9, PI])
def test_the_error_of_an_axis_is_the_angle_between_the_axes(angle: float) -> None:
    for azimuth in np.linspace(0, 2 * PI, 9):
        axis = torch.tensor([np.cos(azimuth), np.sin(azimuth), 0.0], dtype=torch.float64)
        step = task_error(TASKS["position_axis"], torch.eye(4, dtype=torch.float64), pose(turn(axis, angle)))
        assert np.hypot(float(step[3]), float(step[4])) == pytest.approx(
            angle, rel=1e-15, abs=1e-15 if angle > 0.1 else 0
        )


def test_exactly_opposite_axes_are_half_a_turn_apart_and_the_step_turns_them_over() -> None:
    T_tip = draw_poses(20)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    step = task_error(TASKS["position_axis"], torch.eye(4, dtype=torch.float64), flip)
    assert torch.isfinite(step).all()
    assert float(step[3:].norm()) == PI
    moved = apply_step(T_tip, task_error(TASKS["position_axis"], T_tip, T_tip @ flip))
    torch.testing.assert_close(moved[:, :3, 2], -T_tip[:, :3, 2], atol=1e-12, rtol=0)


@pytest.mark.parametrize("difference", [0.0, 0.4, -3.0, PI, 3.5, 2 * PI, -7.0])
def test_the_heading_error_is_the_shorter_way_round(difference: float) -> None:
    z = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    step = task_error(TASKS["planar_pose"], pose(turn(z, 1.0)), pose(turn(z, 1.0 + difference)))
    expected = np.arctan2(np.sin(difference), np.cos(difference))
    assert abs(abs(float(step[5])) - abs(expected)) < 1e-14
    assert float(step[5]) * expected >= 0 or abs(difference) == PI


def test_positions_alone_ignore_rotations() -> None:
    T, target = draw_poses(50), draw_poses(50, seed=1)
    err_pos, err_rot = error_norms(task_error(TASKS["position"], T, target))
    torch.testing.assert_close(err_pos, (T - target)[:, :3, 3].norm(dim=-1))
    assert (err_rot == 0).all()
    height = torch.eye(4, dtype=torch.float64)
    height[2, 3] = 5.0
    assert (task_error(TASKS["planar_position"], T[0], T[0] + height - torch.eye(4, dtype=torch.float64)) == 0).all()


def test_errors_broadcast_and_keep_the_dtype() -> None:
    T = draw_poses(6).reshape(3, 2, 4, 4).float()
    error = task_error(TASKS["pose"], T, torch.eye(4))
    assert error.shape == (3, 2, 6)
    assert error.dtype == torch.float32
    assert task_error(TASKS["pose"], draw_poses(1)[:0], torch.eye(4, dtype=torch.float64)).shape == (0, 6)


# Jacobian


@pytest.mark.parametrize("task", TASKS)
def test_the_task_jacobian_is_minus_the_slope_of_the_error_near_the_target(task: str) -> None:
    arm, chosen = arm_of(task), TASKS[task]
    rows = torch.tensor(chosen.rows)
    q = sample(arm, 40)
    offset = 1e-5 * torch.randn(q.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    T_target = sim.forward_kinematics(arm, q + offset)
    J = task_jacobian(chosen, sim.jacobian(arm, q), sim.forward_kinematics(arm, q))
    assert J.shape == (40, chosen.n_constraints, arm.n_joints)
    step = 1e-6
    for i in range(arm.n_joints):
        dq = step * torch.eye(arm.n_joints, dtype=torch.float64)[i]
        plus, minus = (task_error(chosen, sim.forward_kinematics(arm, x), T_target) for x in (q + dq, q - dq))
        slope = ((plus - minus) / (2 * step))[:, rows]
        torch.testing.assert_close(slope, -J[..., i], atol=5e-5, rtol=0)  # the error itself is about 1e-5


@pytest.mark.parametrize("task", SPATIAL)
def test_one_newton_step_squares_the_error(task: str) -> None:
    arm, chosen = sim.load_arm("xarm6"), TASKS[task]
    q = sample(arm, 200)
    T_target = sim.forward_kinematics(arm, q + 1e-4)
    T = sim.forward_kinematics(arm, q)
    error = task_error(chosen, T, T_target)[:, torch.tensor(chosen.rows)]
    J = task_jacobian(chosen, sim.jacobian(arm, q), T)
    good = torch.linalg.svdvals(J)[:, -1] > 0.05  # away from singularities
    dq = (torch.linalg.pinv(J) @ error[..., None])[..., 0]
    left = task_error(chosen, sim.forward_kinematics(arm, q + dq), T_target)
    assert good.sum() > 50
    assert left[good].abs().max() < 1e-6


def test_a_task_of_its_own_rows_can_be_given() -> None:
    height = Task("height", (False, False, True, False, False, False), "z of the tip")
    arm = sim.load_arm("xarm6")
    q = sample(arm, 3)
    T = sim.forward_kinematics(arm, q)
    assert load_task(arm, height) is height
    assert task_jacobian(height, sim.jacobian(arm, q), T).shape == (3, 1, 6)


def test_a_task_of_ones_own_measures_the_rows_it_names() -> None:
    """Behaviour follows the rows, not the name."""
    own, builtin = Task("mine", (True,) * 6, "all of it"), TASKS["pose"]
    arm = sim.load_arm("ur5e")
    q = torch.rand(2, 20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    here, there = sim.forward_kinematics(arm, q)
    assert torch.equal(task_error(own, here, there), task_error(builtin, here, there))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("axis", "row"), [("x", 3), ("y", 4), ("z", 5)])
def test_one_angular_row_is_the_twist_about_its_axis_and_two_the_direction_of_the_third(
    axis: str, row: int, turned: bool
) -> None:
    frame = tuple(map(tuple, Rotation.from_euler("xyz", [0.3, -0.5, 1.1]).as_matrix().tolist())) if turned else None
    S = np.eye(3) if frame is None else np.array(frame)
    single: Any = tuple(i == row for i in range(6))
    both: Any = tuple(i > 2 and i != row for i in range(6))
    about, across = (Task(axis, rows, "", R_tip_task=frame) for rows in (single, both))
    T, twist = torch.eye(4).double(), torch.eye(4).double()
    twist[:3, :3] = torch.from_numpy(S @ Rotation.from_euler(axis, 0.4).as_matrix() @ S.T)
    assert float(task_error(about, T, twist)[3:].norm()) == pytest.approx(0.4)
    assert float(task_error(across, T, twist).norm()) == pytest.approx(0.0, abs=1e-12)


def test_a_target_whose_axis_points_the_other_way_is_half_a_turn_away() -> None:
    """No turn about the axis mends that, and the one that is nearest is rounding."""
    pitch = load_task(sim.load_arm("ur5e"), "x,y,z,pitch")
    across = np.linspace(0, 6, 50)
    T = torch.eye(4).double().repeat(50, 1, 1)
    half_turns = np.pi * np.stack([np.cos(across), np.zeros(50), np.sin(across)], axis=1)
    T[:, :3, :3] = torch.from_numpy(Rotation.from_rotvec(half_turns).as_matrix())  # each off by rounding
    assert task_error(pitch, torch.eye(4).double(), T)[:, 3:].norm(dim=1).tolist() == pytest.approx([torch.pi] * 50)


@pytest.mark.parametrize("rows", [(True,) * 5, (False,) * 6, (1, 0, 0, 0, 0, 0)])
def test_rows_that_are_no_six_truth_values_are_refused(rows: Any) -> None:
    with pytest.raises(TaskError, match="give six of True and False"):
        Task("odd", rows, "")
