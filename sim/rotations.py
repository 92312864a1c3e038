"""Rotations and poses in the forms that people and programs write them: matrices, quaternions, roll pitch yaw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.arrays import FloatArray
from sim.errors import WorldError


def pose_to_bullet(T: FloatArray) -> tuple[list[float], list[float]]:
    """Position and unit quaternion `quat_xyzw` of a pose (4, 4), as Bullet takes them.

    Raises:
        WorldError: The matrix is not (4, 4) finite numbers.
    """
    if np.shape(T) != (4, 4) or not np.isfinite(T).all():
        raise WorldError(f"a pose must be a (4, 4) matrix of finite numbers; got shape {np.shape(T)}")
    return T[:3, 3].tolist(), _quat_xyzw(T[:3, :3]).tolist()


def pose_from_rpy(position: Sequence[float], rpy: Sequence[float]) -> FloatArray:
    """The pose of a URDF `<origin xyz rpy>`, shape (4, 4): turned about the fixed axes x, then y, then z.

    Args:
        position: Origin [m], 3 numbers.
        rpy: Angles about x, y, z [rad].
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(rpy), np.sin(rpy)
    T = np.eye(4)
    T[:3, :3] = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    T[:3, 3] = position
    return T


def rotation_from_quat(quat_xyzw: FloatArray) -> FloatArray:
    """The rotation matrix, shape (3, 3), of a unit quaternion in the order x y z w, shape (4,)."""
    x, y, z, w = quat_xyzw
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _quat_xyzw(R: FloatArray) -> FloatArray:
    """Unit quaternion of a rotation: the eigenvector of the largest eigenvalue of a symmetric matrix made of R.

    Good at every angle (Bar-Itzhack, New method for extracting the quaternion from a rotation matrix, 2000).
    """
    K = np.empty((4, 4))
    K[:3, :3] = R + R.T - np.trace(R) * np.eye(3)
    K[3, :3] = K[:3, 3] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]
    K[3, 3] = np.trace(R)
    quat_xyzw: FloatArray = np.linalg.eigh(K)[1][:, -1]
    return quat_xyzw


def unit_quaternions(R: FloatArray) -> FloatArray:
    """The unit quaternion with w >= 0 of each rotation matrix.

    4 q qᵀ is linear in R (Shepperd, J. Guidance and Control 1(3), 1978); the column of its largest diagonal
    entry, normalised, is q without cancellation at any angle.

    Args:
        R: Rotation matrices, shape (N, 3, 3).

    Returns:
        `quat_xyzw`, shape (N, 4).
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = R.transpose(1, 2, 0)
    diagonal = np.stack([1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz])
    x_x, y_y, z_z, w_w = diagonal
    x_y, x_z, y_z = yx + xy, xz + zx, zy + yz
    x_w, y_w, z_w = zy - yz, xz - zx, yx - xy
    best = diagonal.argmax(axis=0)
    columns = ([x_x, x_y, x_z, x_w], [x_y, y_y, y_z, y_w], [x_z, y_z, z_z, z_w], [x_w, y_w, z_w, w_w])
    q = np.stack([np.choose(best, column) for column in columns])
    q /= np.copysign(np.sqrt((q * q).sum(axis=0)), q[3])
    return np.asarray(q.T)


def quat_wxyz_of(R: FloatArray) -> FloatArray:
    """Unit quaternions of rotations, in the order w x y z, the first number that is not 0 positive.

    Args:
        R: Rotation matrices, shape (..., 3, 3).

    Returns:
        Shape (..., 4).
    """
    import roma
    import torch

    quat_xyzw = roma.rotmat_to_unitquat(torch.tensor(np.asarray(R, dtype=np.float64))).numpy()
    quat_wxyz = np.roll(quat_xyzw, 1, axis=-1)
    first = np.take_along_axis(quat_wxyz, (np.abs(quat_wxyz) > 1e-12).argmax(axis=-1)[..., None], axis=-1)
    return np.asarray(quat_wxyz * np.sign(first), dtype=np.float64)


def rotation_of_quat_wxyz(quat_wxyz: FloatArray) -> FloatArray:
    w, v = quat_wxyz[0], quat_wxyz[1:]
    skew = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    return np.asarray(np.eye(3) + 2.0 * w * skew + 2.0 * skew @ skew, dtype=np.float64)
