"""Where to look from and how low to lay the floor, for an arm among obstacles whose targets may lie below its base."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.arm import Arm
from sim.rendering.camera import Camera, camera_for
from sim.scenes import Obstacle, Scene

_DEPTH = 0.8  # reaches of the arm below its base that a floor must leave in sight


def scene_camera(
    arm: Arm, scene: Scene | None, *, width: int = 480, height: int = 360, distance: float = 1.0
) -> Camera:
    """A camera that sees the arm: from the front, or from behind and the side where obstacles stand in front of it.

    Args:
        arm: The arm, its base frame at the world's origin.
        scene: What is around it, or None.
        width, height: Of the picture [pixels].
        distance: Among obstacles, how far away to look from; 1 leaves room around the arm.

    Returns:
        The camera.
    """
    camera = camera_for(arm, width=width, height=height)
    if arm.is_planar or scene is None or not scene.obstacles:
        return camera
    target = arm.offsets[0, :3, 3] + arm.reach * np.array([0.3, 0.0, 0.1])
    x, y, z = target + distance * arm.reach * np.array([-1.2, -2.1, 0.9])
    return replace(camera, eye=(float(x), float(y), float(z)), target=tuple(target.tolist()))


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
