"""Poses as Bullet gives and takes them; matrices everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.arrays import FloatArray


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
