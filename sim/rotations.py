"""Rotations and poses in the forms that people and programs write them: matrices, quaternions, roll pitch yaw."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.arrays import Array, FloatArray, library_of
from sim.errors import PoseError, ShapeError, WorldError
from sim.inputs import as_numbers

QUAT_TOLERANCE = 1e-2  # that the length of a quaternion may be off 1: three decimals; it is scaled to length 1

_RIGID = 1e-3  # that R R^T of a pose for Bullet may be off the identity


def pose(xyz: Any, rpy: Any = None, *, quat_xyzw: Any = None, quat_wxyz: Any = None) -> FloatArray:
    """The pose of a position and an orientation, as a matrix.

    Example:
        >>> pose_text(pose((0.3, 0, 0.2), quat_xyzw=(0, 0, 1, 0)))
        'x 0.3, y 0, z 0.2 m, roll 0, pitch 0, yaw 180°'

    Args:
        xyz: Position [m], 3 numbers.
        rpy: Angles about the fixed axes x, then y, then z [rad], as in a URDF's `<origin>`: R = Rz(yaw) Ry(pitch)
            Rx(roll).
        quat_xyzw, quat_wxyz: Quaternion in one of the two orders, of length 1 within `QUAT_TOLERANCE`. At most
            one of the three is given; with none the axes are those of the base.

    Returns:
        Shape (4, 4).

    Raises:
        ShapeError: Not that many finite numbers, or more than one orientation.
        PoseError: A quaternion is not of length 1.
    """
    if sum(each is not None for each in (rpy, quat_xyzw, quat_wxyz)) > 1:
        raise ShapeError("give one of rpy, quat_xyzw and quat_wxyz")
    T = np.eye(4)
    T[:3, 3] = _finite(xyz, 3, "xyz")
    if rpy is not None:
        T[:3, :3] = _rotation_from_rpy(_finite(rpy, 3, "rpy"))
    elif quat_xyzw is not None:
        T[:3, :3] = rotation_from_quat(_unit_length(quat_xyzw, "quat_xyzw"))
    elif quat_wxyz is not None:
        T[:3, :3] = rotation_from_quat(np.roll(_unit_length(quat_wxyz, "quat_wxyz"), -1))
    return T


def pose_text(T: FloatArray) -> str:
    """A pose (4, 4) for people: "x 0.3, y 0, z 0.25 m, roll 180, pitch 0, yaw 90°".

    Raises:
        ShapeError: Not that many numbers.
    """
    T = as_numbers(T, "T")
    if T.shape != (4, 4):
        raise ShapeError(f"a pose has shape (4, 4); got {T.shape}")
    position = ", ".join(f"{name} {round(x, 6) + 0.0:g}" for name, x in zip("xyz", T[:3, 3].tolist(), strict=True))
    angles = zip(("roll", "pitch", "yaw"), np.degrees(rpy_of(T[:3, :3])).tolist(), strict=True)
    return f"{position} m, " + ", ".join(f"{name} {round(angle, 4) + 0.0:g}" for name, angle in angles) + "°"


def rpy_of(R: FloatArray) -> FloatArray:
    """Angles about the fixed axes x, then y, then z [rad], shape (3,), of a rotation (3, 3).

    The yaw is what is left after roll and pitch are taken out, so that the three together are exact at every angle,
    also where pitch is ±π/2 and only the sum or difference of the others is determined.
    """
    roll = np.arctan2(R[2, 1], R[2, 2])
    pitch = np.arctan2(-R[2, 0], np.hypot(R[0, 0], R[1, 0]))
    s, c = np.sin(roll), np.cos(roll)
    return np.array([roll, pitch, np.arctan2(s * R[0, 2] - c * R[0, 1], c * R[1, 1] - s * R[1, 2])])


def rotation_from_quat(quat_xyzw: FloatArray) -> FloatArray:
    """Rotation matrices, shape (..., 3, 3), of unit quaternions in the order x y z w, shape (..., 4)."""
    x, y, z, w = np.moveaxis(quat_xyzw, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quat_xyzw_of(R: Array) -> Array:
    """The unit quaternion with w >= 0 of each rotation matrix.

    4 q qᵀ is linear in R (Shepperd, J. Guidance and Control 1(3), 1978); the column of its largest diagonal
    entry, normalised, is q without cancellation at any angle.

    Args:
        R: Rotation matrices, shape (..., 3, 3), numpy or torch.

    Returns:
        `quat_xyzw`, shape (..., 4).
    """
    xp = library_of(R)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = xp.moveaxis(R.reshape(-1, 3, 3), 0, -1)
    diagonal = xp.stack([1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz])
    x_x, y_y, z_z, w_w = diagonal
    x_y, x_z, y_z = yx + xy, xz + zx, zy + yz
    x_w, y_w, z_w = zy - yz, xz - zx, yx - xy
    best = diagonal.argmax(axis=0)
    columns = ([x_x, x_y, x_z, x_w], [x_y, y_y, y_z, y_w], [x_z, y_z, z_z, z_w], [x_w, y_w, z_w, w_w])
    q = sum(xp.stack(column) * (best == i) for i, column in enumerate(columns))
    q = q / xp.copysign(xp.sqrt((q * q).sum(axis=0)), q[3])
    quat_xyzw: Array = xp.moveaxis(q, 0, -1).reshape(*R.shape[:-2], 4)
    return quat_xyzw


def rotation_vector_of(R: Array) -> Array:
    """The axis times the angle in [0, π] of each rotation matrix (..., 3, 3), shape (..., 3) [rad], numpy or torch.

    Exact also where the rotation is small or a half turn: the angle is 2 atan2(|v|, w) of the unit quaternion (v, w).
    """
    xp = library_of(R)
    quat = quat_xyzw_of(R)
    v, w = quat[..., :3], quat[..., 3:]
    square = xp.sum(v * v, axis=-1, keepdims=True)
    tiny = square < xp.finfo(R.dtype).tiny
    sine = xp.sqrt(xp.where(tiny, 1.0, square))
    vector: Array = v * xp.where(tiny, 2.0, 2 * xp.arctan2(sine, w) / sine)
    return vector


def nearest_rotation(M: FloatArray) -> FloatArray:
    """The rotations (..., 3, 3) nearest to matrices in the Frobenius norm (Kabsch, Acta Cryst. A32, 1976)."""
    U, _, Vt = np.linalg.svd(M)
    U[..., -1] *= np.linalg.det(U @ Vt)[..., None]
    return np.asarray(U @ Vt)


def quat_wxyz_of(R: FloatArray) -> FloatArray:
    """Unit quaternions in the order w x y z, shape (..., 4), of rotations (..., 3, 3), the first number that is not 0 positive."""
    quat_wxyz = np.roll(quat_xyzw_of(R), 1, axis=-1)
    first = np.take_along_axis(quat_wxyz, (np.abs(quat_wxyz) > 1e-12).argmax(axis=-1)[..., None], axis=-1)
    return np.asarray(quat_wxyz * np.sign(first), dtype=np.float64)


def pose_to_bullet(T: FloatArray) -> tuple[list[float], list[float]]:
    """Position and unit quaternion `quat_xyzw` of a pose (4, 4), as Bullet takes them.

    Raises:
        WorldError: The matrix is not (4, 4) finite numbers, or its rotation part is no rotation.
    """
    if np.shape(T) != (4, 4) or not np.isfinite(T).all():
        raise WorldError(f"a pose must be a (4, 4) matrix of finite numbers; got shape {np.shape(T)}")
    R = np.asarray(T)[:3, :3]
    if np.abs(R @ R.T - np.eye(3)).max() > _RIGID or np.linalg.det(R) < 0:
        raise WorldError(f"the rotation part of a pose must be orthonormal, right-handed axes; got {R.tolist()}")
    return T[:3, 3].tolist(), quat_xyzw_of(R).tolist()


def _rotation_from_rpy(rpy: FloatArray) -> FloatArray:
    (sx, sy, sz), (cx, cy, cz) = np.sin(rpy), np.cos(rpy)
    return np.array(
        [
            [cy * cz, sy * (sx * cz) - cx * sz, sy * (cx * cz) + sx * sz],
            [cy * sz, sy * (sx * sz) + cx * cz, sy * (cx * sz) - sx * cz],
            [-sy, cy * sx, cy * cx],
        ]
    )


def _unit_length(value: Any, what: str) -> FloatArray:
    numbers = _finite(value, 4, what)
    length = float(np.linalg.norm(numbers))
    if abs(length - 1.0) > QUAT_TOLERANCE:
        raise PoseError(f"{what} must have length 1; got {numbers.tolist()}, length {length:.4g}")
    return numbers / length


def _finite(value: Any, count: int, what: str) -> FloatArray:
    numbers = as_numbers(value, what)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ShapeError(f"{what} must be {count} finite numbers; got {numbers.tolist()}")
    return numbers
