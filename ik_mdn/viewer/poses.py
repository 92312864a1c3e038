"""Poses as viser has them: a position and a quaternion w x y z; and as a person types them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.arrays import FloatArray
from sim.rotations import quat_xyzw_of, rotation_from_quat


def quat_wxyz(R: FloatArray) -> FloatArray:
    """Unit quaternions w x y z of rotations (..., 3, 3), shape (..., 4)."""
    return np.roll(quat_xyzw_of(R.reshape(-1, 3, 3)), 1, axis=-1).reshape(*R.shape[:-2], 4)


def pose_of(position: Sequence[float], wxyz: Sequence[float]) -> FloatArray:
    """The pose (4, 4) of a position [m] and a quaternion w x y z of about unit length."""
    quat_xyzw = np.roll(np.asarray(wxyz, dtype=np.float64), -1)
    T = np.eye(4)
    T[:3, :3] = rotation_from_quat(quat_xyzw / np.linalg.norm(quat_xyzw))
    T[:3, 3] = position
    return T
