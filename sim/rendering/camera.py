"""Where a picture is taken from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arm import Arm
from sim.errors import ShapeError


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world frame.

    Args:
        eye: Where it is [m].
        target: The point it looks at [m].
        up: Which way is up in the picture; not along the line of sight.
        fov: Vertical opening angle [degrees].
        width, height: Of the picture [pixels].
        supersample: Pictures are rendered this many times larger and averaged down: smoother edges, slower.
        shadow: Draw shadows.

    Raises:
        ShapeError: A size is not positive, or eye, target and up do not span a view.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    fov: float = 40.0
    width: int = 480
    height: int = 360
    supersample: int = 1
    shadow: bool = True

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.supersample) < 1 or not 0 < self.fov < 180:
            raise ShapeError(
                f"a picture needs positive sizes and an opening angle in (0, 180) degrees; got {self.width}x{self.height}, "
                f"supersample {self.supersample}, fov {self.fov}"
            )
        sight = np.subtract(self.target, self.eye)
        if not np.linalg.norm(np.cross(sight, self.up)) > 1e-9 * np.linalg.norm(sight):
            raise ShapeError(f"the camera at {self.eye} cannot look at {self.target} with {self.up} upwards")


def camera_for(arm: Arm, *, width: int = 480, height: int = 360, supersample: int = 1) -> Camera:
    """A camera that sees the arm's reach: from above for planar arms, else from the front and to the side.

    Args:
        arm: The arm, its base frame at the world's origin.
        width, height: Of the picture [pixels].
        supersample: See `Camera`.

    Returns:
        The camera.
    """
    reach = arm.reach
    if arm.is_planar:
        return Camera(
            eye=(0.0, 0.0, 3.2 * reach),
            target=(0.0, 0.0, 0.0),
            up=(0.0, 1.0, 0.0),
            width=width,
            height=height,
            supersample=supersample,
            shadow=False,
        )
    x, y, z = arm.offsets[0, :3, 3]
    return Camera(
        eye=(x + 1.45 * reach, y - 1.45 * reach, z + 0.75 * reach),
        target=(x, y, z + 0.1 * reach),
        width=width,
        height=height,
        supersample=supersample,
    )
