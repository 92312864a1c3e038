"""Poses as Bullet gives and takes them; matrices everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import WorldError

FloatArray = NDArray[np.float64]


def pose_to_bullet(T: FloatArray) -> tuple[list[float], list[float]]:
    """Position and unit quaternion `quat_xyzw` of a pose (4, 4), as Bullet takes them.

    Raises:
        WorldError: The matrix is not (4, 4) finite numbers.
    """
    if np.shape(T) != (4, 4) or not np.isfinite(T).all():
        raise WorldError(f"a pose must be a (4, 4) matrix of finite numbers; got shape {np.shape(T)}")
    return T[:3, 3].tolist(), _quat_xyzw(T[:3, :3]).tolist()


def pose_from_bullet(client: Any, position: Sequence[float], quat_xyzw: Sequence[float]) -> FloatArray:
    """The pose as a matrix, shape (4, 4).

    Args:
        client: The world's Bullet functions.
        position: Origin [m], 3 numbers.
        quat_xyzw: Orientation, unit quaternion in the order x y z w.
    """
    T = np.eye(4)
    T[:3, 3] = position
    T[:3, :3] = np.reshape(client.getMatrixFromQuaternion(quat_xyzw), (3, 3))
    return T


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


def link_pose(client: Any, body: int, link: int) -> FloatArray:
    """`T_world_link`, shape (4, 4), from the pose of the link's inertial frame.

    Bullet reports link frames too, but computes them in single precision (4e-7 off); its inertial frames are
    double, as are their places in the links.

    Args:
        client: The world's Bullet functions.
        body: Bullet's number of the body.
        link: Bullet's number of the link; -1 is the root.
    """
    if link < 0:
        pose, inertial = client.getBasePositionAndOrientation(body), client.getDynamicsInfo(body, -1)[3:5]
    else:
        state = client.getLinkState(body, link, computeForwardKinematics=1)
        pose, inertial = state[0:2], state[2:4]
    T_world_inertial, T_link_inertial = (pose_from_bullet(client, *each) for each in (pose, inertial))
    T_world_link: FloatArray = T_world_inertial @ np.linalg.inv(T_link_inertial)
    return T_world_link


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
