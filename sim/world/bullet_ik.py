"""Bullet's own inverse kinematics, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.rotations import pose_to_bullet
from sim.world.links import LinkTree


def iterate_ik(
    arm: Arm,
    client: Any,
    tip: tuple[int, int],
    links: LinkTree,
    T_world_tip: FloatArray,
    *,
    iterations: int,
    residual: float,
    rest: FloatArray | None,
) -> FloatArray:
    """Bullet's answer from where the joints are: damped least squares (`calculateInverseKinematics`).

    Args:
        arm: Whose joints are asked for.
        client: The world's Bullet functions.
        tip: Bullet's numbers of the body and of its link at the tip.
        links: The body's links and joints.
        T_world_tip: Target, shape (4, 4).
        iterations: At most so many.
        residual: Distance at which it stops [m].
        rest: For its null-space variant, with limits and ranges: the joint vector to stay near, shape (n,).

    Returns:
        Joint vector, shape (n,): always something, and not always in limits.
    """
    position, quat_xyzw = pose_to_bullet(T_world_tip)
    options = {} if rest is None else _null_space(arm, links, rest)
    answer = client.calculateInverseKinematics(
        *tip, position, quat_xyzw, maxNumIterations=iterations, residualThreshold=residual, **options
    )
    return np.array(answer)[[links.moving.index(links.joint(name)) for name in arm.joint_names]]


def _null_space(arm: Arm, links: LinkTree, rest: FloatArray) -> dict[str, list[float]]:
    moving, joints = links.moving, [links.joint(name) for name in arm.joint_names]
    low, high, at = (dict.fromkeys(moving, value) for value in (-1e-9, 1e-9, 0.0))
    for joint, lower, upper, q in zip(joints, arm.sample_min, arm.sample_max, rest, strict=True):
        low[joint], high[joint], at[joint] = float(lower), float(upper), float(q)
    return {
        "lowerLimits": list(low.values()),
        "upperLimits": list(high.values()),
        "jointRanges": [high[joint] - low[joint] for joint in moving],
        "restPoses": list(at.values()),
    }
