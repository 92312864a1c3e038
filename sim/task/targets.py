"""Targets in every form that has one meaning, as checked matrices."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from sim.arrays import FloatArray
from sim.errors import PoseError, ShapeError
from sim.inputs import as_numbers
from sim.rotations import nearest_rotation
from sim.task.task import Task

FARTHEST = 1e9  # [m] of a position; what is further is no target, and its square may be no number
ROTATION_TOLERANCE = 1e-5  # entries of R^T R - 1 and det R - 1 that a float32 pose still meets
ROUNDED = 1e-3  # the same for a rotation written with four decimals: taken as the nearest one

_log = logging.getLogger(__name__)


def as_targets(task: Task, target: Any) -> FloatArray:
    """Targets as checked float64 matrices.

    Args:
        task: The task; where no rotation counts, points are taken too.
        target: `T_base_tip`, shape (..., 4, 4), or points [m], shape (..., 2) or (..., 3): an array or nested lists
            of real numbers, a tensor, or a `scipy.spatial.transform.RigidTransform`. A rotation typed with four
            decimals, off by up to `ROUNDED`, becomes the nearest one, and a log line says so.

    Returns:
        Shape (..., 4, 4), a copy; a point gets the identity rotation and zeros for what it lacks.

    Raises:
        ShapeError: The shape is neither, or the numbers are complex, masked, text or objects.
        PoseError: A number is not finite, a position further than `FARTHEST`, the rotation part is no rotation, or the last row is not 0 0 0 1.
    """
    T = as_numbers(target.as_matrix() if hasattr(target, "as_matrix") else target, "target")
    size = task.point_size
    if T.shape[-2:] != (4, 4):
        if not size or T.ndim == 0 or T.shape[-1] not in (size, 3):
            or_points = f" or points (..., {size})" if size else ""
            raise ShapeError(
                f"target has shape {T.shape}; task {task.name!r} takes poses (..., 4, 4){or_points}; "
                "make a pose with sim.pose(xyz, rpy= or quat_xyzw= or quat_wxyz=)",
                shape=T.shape,
            )
        points = T
        T = np.tile(np.eye(4), (*points.shape[:-1], 1, 1))
        T[..., : points.shape[-1], 3] = points
    return _check_poses(T)


def as_batch(task: Task, target: Any) -> FloatArray:
    """One target or a batch of them as checked matrices (B, 4, 4), the caller's own; see `as_targets`.

    Raises:
        ShapeError, PoseError: As there, or there are more dimensions.
    """
    T = as_targets(task, target)
    if T.ndim > 3:
        raise ShapeError(f"targets have shape {T.shape}; give one (4, 4) or a batch (B, 4, 4) of them")
    return np.array(T.reshape(-1, 4, 4), order="C")


def _check_poses(T: FloatArray) -> FloatArray:
    """Poses whose rotation parts are exact enough, or made so; see `as_targets`."""
    finite = np.isfinite(T).all(axis=(-2, -1))
    if not finite.all():
        raise PoseError(f"{(~finite).sum()} of {finite.size} targets hold NaN or infinity; a pose needs finite numbers")
    away = np.abs(T[..., :3, 3]).max(axis=-1)
    if (away > FARTHEST).any():
        raise PoseError(
            f"a target lies at {away.max():.3g} m; positions are in metres, up to {FARTHEST:g} on each axis"
        )
    R = T[..., :3, :3]
    off = np.abs(R.swapaxes(-2, -1) @ R - np.eye(3)).max(axis=(-2, -1))
    off = np.maximum(off, np.abs(np.linalg.det(R) - 1.0))
    rounded = off > ROTATION_TOLERANCE
    if rounded.any():
        R[rounded] = _nearest_rotations(R[rounded], float(off.max()))
    if not np.allclose(T[..., 3, :], [0.0, 0.0, 0.0, 1.0]):
        raise PoseError("the last row of a pose must be 0 0 0 1; is the matrix transposed?")
    return T


def _nearest_rotations(R: FloatArray, off: float) -> FloatArray:
    """The rotations nearest to matrices (N, 3, 3) that are off by up to `off`.

    Raises:
        PoseError: They are off by more than `ROUNDED`.
    """
    nearest = nearest_rotation(R)
    if off > ROUNDED:
        worst = int(np.abs(R - nearest).max(axis=(-2, -1)).argmax())
        raise PoseError(
            f"the rotation part of a target is no rotation: R^T R or det R is off by {off:.2g} (allowed {ROUNDED:g}); "
            f"give orthonormal, right-handed axes; the nearest rotation is {nearest[worst].round(9).tolist()}",
            off=off,
        )
    _log.info("%d rotations were off by up to %.1e, as rounded ones are; taken as the nearest rotation", len(R), off)
    return nearest
