"""Where to look from and how low to lay the floor, for an arm among obstacles whose targets may lie below its base."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.kinematics import joint_origins
from sim.rendering.camera import Camera, camera_around
from sim.scenes import Obstacle, Scene

_FRONT = np.array([1.0, 0.3])  # the direction that a camera without obstacles takes for the front of an arm
_CONFIGURATIONS = 500  # that are drawn to find out where the arm moves
_RARE = 0.05  # share of the places of joints and tip, at each end of each axis, that a picture may leave out
CLOSE = 0.88  # of `camera_for` among obstacles: the arm fills the picture
_DEPTH = 0.8  # reaches of the arm below its base that a floor must leave in sight


def camera_for(
    arm: Arm,
    scene: Scene | None = None,
    *,
    width: int = 480,
    height: int = 360,
    distance: float = 1.0,
    lowest: float = -np.inf,
) -> Camera:
    """A camera that sees where the arm moves: from above for planar arms, else from the front and to the side.

    Where obstacles stand in front of the arm it looks from behind and the side.

    Args:
        arm: The arm, its base frame at the world's origin.
        scene: What is around it, or None.
        width, height: Of the picture [pixels].
        distance: Among obstacles, how far away to look from; 1 leaves room around the arm.
        lowest: Without obstacles, what lies lower need not be seen [m], such as what is below a floor.

    Returns:
        The camera.
    """
    reach, foot = arm.reach, arm.offsets[0, :3, 3]
    if arm.is_planar:
        above, origin = (0.0, 0.0, 3.2 * reach), (0.0, 0.0, 0.0)
        return Camera(above, origin, up=(0.0, 1.0, 0.0), width=width, height=height, shadow=False)
    if scene is None or not scene.obstacles:
        around = camera_around(_usual_places(arm, lowest), facing=_FRONT, width=width, height=height)
        return replace(around, supersample=1, shadow=True)
    target = foot + reach * np.array([0.3, 0.0, 0.1])
    eye = target + distance * reach * np.array([-1.2, -2.1, 0.9])
    return Camera(tuple(eye.tolist()), tuple(target.tolist()), width=width, height=height)


def _usual_places(arm: Arm, lowest: float) -> FloatArray:
    """Where joints and tip are in most configurations, above a height, and the foot, shape (m, 3)."""
    q = arm.sample(np.random.default_rng(0), _CONFIGURATIONS)
    points = joint_origins(arm, q).reshape(-1, 3)
    points[:, 2] = np.maximum(points[:, 2], lowest)
    low, high = np.quantile(points, [_RARE, 1 - _RARE], axis=0)
    usual = points[((points >= low) & (points <= high)).all(axis=1)]
    return np.vstack([arm.offsets[0, :3, 3], np.zeros(3), usual])


def floor_height(arm: Arm, scene: Scene | None, *, depth: float = _DEPTH) -> float:
    """How high a floor may be that hides neither an obstacle nor the arm's targets [m].

    Args:
        arm: The arm, its base frame at the world's origin.
        scene: What is around it, or None.
        depth: How far below the base targets may lie [reaches].

    Returns:
        Just below a planar arm; else the lower of that depth below the base and the lowest obstacle.
    """
    obstacles = () if scene is None else scene.fitted(arm).obstacles
    return min([-0.04 if arm.is_planar else -depth * arm.reach, *map(_lowest, obstacles)])


def _lowest(obstacle: Obstacle) -> float:
    """Height of the lowest corner of an obstacle's box [m]; of a URDF's origin."""
    size, T = obstacle.sizes, obstacle.T_world_obstacle
    half = {
        "box": [edge / 2 for edge in size],
        "sphere": [size[0]] * 3,
        "cylinder": [size[0], size[0], size[-1] / 2],
        "urdf": [0.0] * 3,
    }[obstacle.shape]
    return float(T[2, 3] - np.abs(T[2, :3]) @ np.array(half))
