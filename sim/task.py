"""Which part of the tip's pose counts, and how far a pose is from a target under it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor

from sim.arm import Arm
from sim.errors import PoseError, ShapeError, TaskError, UnknownNameError
from sim.inputs import as_numbers

ROTATION_TOLERANCE = 1e-5  # entries of R^T R - 1 and det R - 1 that a float32 pose still meets
ROUNDED = 1e-3  # the same for a rotation written with four decimals: taken as the nearest one

_log = logging.getLogger(__name__)
_ANGULAR_ROWS = ((False,) * 3, (False, False, True), (True, True, False), (True,) * 3)


@dataclass(frozen=True)
class Task:
    """A choice among the six constraints of a pose.

    Args:
        name: What the command line calls it.
        rows: Which errors count: linear x, y, z in the base frame, angular x, y, z in the tip frame.
        about: One line for people.
    """

    name: str
    rows: tuple[bool, bool, bool, bool, bool, bool]
    about: str

    def __post_init__(self) -> None:
        if self.rows[3:] not in _ANGULAR_ROWS:
            raise TaskError(
                f"task {self.name!r} counts the angular rows {self.rows[3:]}; allowed: none, z (heading), "
                "x and y (tool axis), or all three"
            )

    @property
    def constraints(self) -> tuple[int, ...]:
        """Which of the six errors count, ascending."""
        return tuple(i for i, on in enumerate(self.rows) if on)

    @property
    def n_constraints(self) -> int:
        """How many numbers the target fixes."""
        return sum(self.rows)

    @property
    def point_size(self) -> int:
        """Length of the point that may stand for the target: 2 or 3, or 0 where a rotation is needed too."""
        return 0 if any(self.rows[3:]) else sum(self.rows[:3])


TASKS = {
    task.name: task
    for task in (
        Task("planar_position", (True, True, False, False, False, False), "x and y of the tip"),
        Task("planar_pose", (True, True, False, False, False, True), "x, y and heading of the tip"),
        Task("position", (True, True, True, False, False, False), "position of the tip"),
        Task(
            "position_axis",
            (True, True, True, True, True, False),
            "position and tool (z) axis; roll about it is free",
        ),
        Task("pose", (True, True, True, True, True, True), "position and orientation"),
    )
}


def default_task(arm: Arm) -> Task:
    """The largest task that an arm with this many joints can meet in general.

    Args:
        arm: The arm.

    Returns:
        Planar arms: planar_position with up to two joints (or a tip tilted out of the plane), planar_pose with more.
        Others: position up to four joints, position_axis with five, pose from six.
    """
    if arm.is_planar:
        return TASKS["planar_pose" if arm.n_joints > 2 and _tip_is_upright(arm) else "planar_position"]
    return TASKS["position" if arm.n_joints < 5 else "position_axis" if arm.n_joints == 5 else "pose"]


def load_task(arm: Arm, name: str | Task | None) -> Task:
    """The task by name, checked against the arm; None means `default_task`.

    Args:
        arm: The arm that is to do it.
        name: A key of `sim.TASKS`, a `Task`, or None.

    Returns:
        The task.

    Raises:
        UnknownNameError: No task of that name.
        TaskError: A planar task for an arm that leaves the plane, or one with more constraints than joints.
    """
    if name is None:
        return default_task(arm)
    task = name if isinstance(name, Task) else TASKS.get(name)
    if task is None:
        raise UnknownNameError(f"unknown task {name!r}; allowed: {', '.join(TASKS)}", name=name)
    planar = task.name.startswith("planar")
    if planar and not arm.is_planar:
        raise TaskError(f"arm {arm.name!r} leaves the x-y plane of {arm.base!r}; task {task.name!r} needs a planar arm")
    if arm.is_planar and not planar:
        raise TaskError(f"arm {arm.name!r} is planar; use task planar_position or planar_pose instead of {task.name!r}")
    if task.name == "planar_pose" and not _tip_is_upright(arm):
        raise TaskError(
            f"the z axis of tip {arm.tip!r} of arm {arm.name!r} is not perpendicular to the plane, so it has no "
            "heading; use task planar_position or another tip"
        )
    if task.n_constraints > arm.n_joints:
        raise TaskError(
            f"task {task.name!r} fixes {task.n_constraints} numbers, arm {arm.name!r} has {arm.n_joints} joints"
        )
    return task


def as_targets(task: Task, target: Any) -> Tensor:
    """Targets as checked float64 matrices.

    Args:
        task: The task; where no rotation counts, points are taken too.
        target: `T_base_tip`, shape (..., 4, 4), or points [m], shape (..., 2) or (..., 3): an array or nested lists
            of real numbers, a tensor, or a `scipy.spatial.transform.RigidTransform`. A rotation typed with four
            decimals, off by up to `ROUNDED`, becomes the nearest one, and a log line says so.

    Returns:
        Shape (..., 4, 4), float64, without gradient; a point gets the identity rotation and zeros for what it lacks.

    Raises:
        ShapeError: The shape is neither, or the numbers are complex, masked, text or objects.
        PoseError: A number is not finite, the rotation part is no rotation, or the last row is not 0 0 0 1.
    """
    T = _as_tensor(target)
    size = task.point_size
    if T.shape[-2:] != (4, 4):
        if not size or T.ndim == 0 or T.shape[-1] not in (size, 3):
            or_points = f" or points (..., {size})" if size else ""
            raise ShapeError(
                f"target has shape {tuple(T.shape)}; task {task.name!r} takes poses (..., 4, 4){or_points}; "
                "make a pose with sim.pose(xyz, rpy= or quat_xyzw= or quat_wxyz=)",
                shape=tuple(T.shape),
            )
        points = T
        T = torch.eye(4, dtype=torch.float64, device=points.device).repeat(*points.shape[:-1], 1, 1)
        T[..., : points.shape[-1], 3] = points
    return _check_poses(T)


def task_error(task: Task, T_base_tip: Tensor, T_base_target: Tensor) -> Tensor:
    """The step that would take the tip to the target, in the constraints of a task.

    Linear rows are p_target - p_tip in the base frame; angular rows the rotation vector of
    R_tip^T R_target in the tip frame, for `position_axis` the shortest one that aligns the z axes.

    Args:
        task: Which rows count; the others are zero.
        T_base_tip: Where the tip is, shape (..., 4, 4).
        T_base_target: Where it should be, broadcastable with it.

    Returns:
        Shape (..., 6), [m] and [rad].
    """
    linear = T_base_target[..., :3, 3] - T_base_tip[..., :3, 3]
    if not any(task.rows[3:]):
        return torch.cat([linear, torch.zeros_like(linear)], dim=-1) * _mask(task, linear.dtype, linear.device)
    R = T_base_tip[..., :3, :3].mT @ T_base_target[..., :3, :3]
    if all(task.rows[3:]):
        angular = roma.rotmat_to_rotvec(R)
    elif not task.rows[5]:
        angular = _align_z(R[..., :, 2])
    else:
        yaw = torch.atan2(R[..., 1, 0] - R[..., 0, 1], R[..., 0, 0] + R[..., 1, 1])
        angular = torch.stack([torch.zeros_like(yaw), torch.zeros_like(yaw), yaw], dim=-1)
    return torch.cat([linear, angular], dim=-1) * _mask(task, linear.dtype, linear.device)


def error_norms(error: Tensor) -> tuple[Tensor, Tensor]:
    """Length of the linear part [m] and angle of the angular part [rad] of errors (..., 6)."""
    return error[..., :3].norm(dim=-1), error[..., 3:].norm(dim=-1)


def task_jacobian(task: Task, jacobian: Tensor, T_base_tip: Tensor) -> Tensor:
    """The Jacobian of the rows that count: linear in the base frame, angular in the tip frame.

    Args:
        task: The task, m constraints.
        jacobian: Geometric Jacobian in the base frame, shape (..., 6, n).
        T_base_tip: The pose it was taken at, shape (..., 4, 4).

    Returns:
        Shape (..., m, n).
    """
    keep = list(task.constraints)
    if max(keep) < 3:
        return jacobian[..., keep, :]
    angular = T_base_tip[..., :3, :3].mT @ jacobian[..., 3:, :]
    return torch.cat([jacobian[..., :3, :], angular], dim=-2)[..., keep, :]


def _tip_is_upright(arm: Arm) -> bool:
    """Whether a planar arm's tip has its z axis along the base's (joints about z do not change that)."""
    R = np.eye(3)
    for offset in arm.offsets:
        R = R @ offset[:3, :3]
    return bool(abs(abs(R[2, 2]) - 1.0) < 1e-9)


@lru_cache(maxsize=64)
def _mask(task: Task, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(task.rows, dtype=dtype, device=device)


def _align_z(z_target: Tensor) -> Tensor:
    """Rotation vector (..., 3) of the shortest turn of (0, 0, 1) onto a unit vector (..., 3)."""
    x, y, z = z_target.unbind(-1)
    length = torch.hypot(x, y)
    angle = torch.atan2(length, z)
    tiny = length < torch.finfo(x.dtype).tiny
    scale = angle / torch.where(tiny, torch.ones_like(length), length)
    # towards -z every horizontal axis is shortest: take x, so that the angle is not lost
    wx = torch.where(tiny, torch.where(z < 0, angle, -y), -y * scale)
    wy = torch.where(tiny, x, x * scale)
    return torch.stack([wx, wy, torch.zeros_like(wx)], dim=-1)


def _as_tensor(target: Any) -> Tensor:
    if isinstance(target, Tensor) and not target.is_complex():
        return target.detach().to(torch.float64)
    if hasattr(target, "as_matrix"):  # scipy's RigidTransform and Rotation
        target = target.as_matrix()
    return torch.from_numpy(as_numbers(target, "target"))


def _check_poses(T: Tensor) -> Tensor:
    """Poses whose rotation parts are exact enough, or made so; see `as_targets`."""
    if not bool(torch.isfinite(T).all()):
        bad = int((~torch.isfinite(T)).any(dim=-1).any(dim=-1).sum())
        raise PoseError(
            f"{bad} of {max(T[..., 0, 0].numel(), 1)} targets hold NaN or infinity; a pose needs finite numbers"
        )
    R = T[..., :3, :3]
    off = (R.mT @ R - torch.eye(3, dtype=T.dtype, device=T.device)).abs().amax(dim=(-2, -1))
    off = torch.maximum(off, (torch.linalg.det(R) - 1.0).abs())
    rounded = off > ROTATION_TOLERANCE
    if bool(rounded.any()):
        T = T.clone()
        T[..., :3, :3][rounded] = _nearest_rotations(R[rounded], float(off.max()))
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=T.dtype, device=T.device)
    if not torch.allclose(T[..., 3, :], last):
        raise PoseError("the last row of a pose must be 0 0 0 1; is the matrix transposed?")
    return T


def _nearest_rotations(R: Tensor, off: float) -> Tensor:
    """The rotations nearest to matrices (N, 3, 3) that are off by up to `off`.

    Raises:
        PoseError: They are off by more than `ROUNDED`.
    """
    nearest: Tensor = roma.special_procrustes(R)
    if off > ROUNDED:
        worst = int((R - nearest).abs().amax(dim=(-2, -1)).argmax())
        raise PoseError(
            f"the rotation part of a target is no rotation: R^T R or det R is off by {off:.2g} (allowed {ROUNDED:g}); "
            f"give orthonormal, right-handed axes; the nearest rotation is {nearest[worst].cpu().numpy().round(9).tolist()}",
            off=off,
        )
    _log.info("%d rotations were off by up to %.1e, as rounded ones are; taken as the nearest rotation", len(R), off)
    return nearest
