"""Joint vectors as sensors tell them, against the joint limits."""

from __future__ import annotations

import logging

import numpy as np

from sim.arm.arm import Arm
from sim.arrays import FloatArray

LIMIT_NOISE = 1e-3  # [rad, m] by which a measured joint may be beyond its limit

_log = logging.getLogger(__name__)


def clip_measured(arm: Arm, q: FloatArray) -> FloatArray:
    """Joint vectors with what is a hair beyond a limit put on it; what is farther beyond stays.

    Measured states are not exact, and Bullet's limits are soft: an arm that rests on a limit is 1e-6 rad beyond it.

    Args:
        arm: Whose limits.
        q: Shape (..., n); joints up to 1e-3 [rad, m] beyond a limit are clipped, and named in the log.

    Returns:
        The same shape.
    """
    inside = np.clip(q, arm.q_min, arm.q_max)
    beyond = np.abs(q - inside)
    hair = (beyond > 0) & (beyond <= LIMIT_NOISE)
    for i in np.flatnonzero(hair.reshape(-1, arm.n_joints).any(axis=0)):
        most = float(np.where(hair, beyond, 0.0)[..., i].max())
        _log.info("%s: joint %r is %.1e beyond its limit, and is taken to be on it", arm.name, arm.joint_names[i], most)
    return np.where(hair, inside, q)
