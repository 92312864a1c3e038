"""Bullet's own inverse kinematics, to compare with."""

from __future__ import annotations

import numpy as np

from sim.arrays import FloatArray
from sim.rotations import pose_to_bullet
from sim.world.body import ArmBody


def solve_with_bullet(
    body: ArmBody,
    T_base_tip: FloatArray,
    q_start: FloatArray | None = None,
    *,
    iterations: int = 100,
    residual: float = 1e-7,
    null_space: bool = False,
) -> FloatArray:
    """Bullet's own answer: damped least squares from a start (`calculateInverseKinematics`).

    Args:
        body: The arm in a world; it stays where it is.
        T_base_tip: Target, shape (4, 4).
        q_start: Where it starts, shape (n,); None: where the arm is.
        iterations: At most so many.
        residual: Distance at which it stops [m].
        null_space: Give it limits, ranges and the start as rest pose (its null-space variant).

    Returns:
        Joint vector, shape (n,): always something, also for a target out of reach, and not always in limits.
    """
    start = body.q if q_start is None else body.vector("q_start", q_start)
    position, quat_xyzw = pose_to_bullet(body.T_world_base @ np.asarray(T_base_tip, dtype=np.float64))
    options = _null_space(body, start) if null_space else {}
    with body.kept():
        body.collisions.put(start)
        answer = body.client.calculateInverseKinematics(
            body.number,
            body.tip,
            position,
            quat_xyzw,
            maxNumIterations=iterations,
            residualThreshold=residual,
            **options,
        )
    return np.array(answer)[[body.links.moving.index(joint) for joint in body.joints]]


def _null_space(body: ArmBody, rest: FloatArray) -> dict[str, list[float]]:
    low, high, at = (dict.fromkeys(body.links.moving, value) for value in (-1e-9, 1e-9, 0.0))
    for joint, lower, upper, q in zip(body.joints, body.arm.sample_min, body.arm.sample_max, rest, strict=True):
        low[joint], high[joint], at[joint] = float(lower), float(upper), float(q)
    return {
        "lowerLimits": list(low.values()),
        "upperLimits": list(high.values()),
        "jointRanges": [high[joint] - low[joint] for joint in body.links.moving],
        "restPoses": list(at.values()),
    }
