"""Where a picture is taken from, and where points fall in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import FloatArray
from sim.errors import ShapeError

_TURN = np.radians(62.0)  # from the target's azimuth to the camera's: the arm is seen from the side, a little in front
_RISE = np.radians(20.0)  # of the camera above what it looks at
_ROOM = 1.05  # what is to be seen, times this
_FOV = 30.0  # [degrees]


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


def camera_around(
    points: FloatArray, *, facing: FloatArray, margin: float = 0.0, width: int = 480, height: int = 360
) -> Camera:
    """A camera that sees all points as large as it can.

    It looks at the middle of the box around them, from a little above, and from the side that `facing` tells.

    Args:
        points: What is to be seen [m], shape (m, 3).
        facing: A horizontal direction of interest, such as that of the target from the base, shape (2,).
        margin: What is to be seen around each point [m].
        width, height: Of the picture [pixels].

    Returns:
        The camera, without shadows, rendering at twice the picture's size.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (low + high) / 2
    azimuth = np.arctan2(facing[1], facing[0]) - _TURN
    outward = np.array([np.cos(azimuth) * np.cos(_RISE), np.sin(azimuth) * np.cos(_RISE), np.sin(_RISE)])
    eye, target = _triple(centre + outward), _triple(centre)
    camera = Camera(eye, target, fov=_FOV, width=width, height=height, supersample=2, shadow=False)
    right, up, _ = _axes(camera)
    offsets = points - centre
    across, along = (np.abs(offsets @ right) + margin) * height / width, np.abs(offsets @ up) + margin
    half = np.tan(np.radians(_FOV) / 2)
    distance = float((_ROOM * np.maximum(across, along) / half + offsets @ outward).max())
    return replace(camera, eye=_triple(centre + distance * outward))


def project(camera: Camera, points: FloatArray) -> FloatArray:
    """Where points of the world fall in a camera's picture.

    Args:
        camera: The camera.
        points: In front of it [m], shape (..., 3).

    Returns:
        Pixels from the left and from the top, shape (..., 2).
    """
    right, up, forward = _axes(camera)
    offsets = np.asarray(points) - np.array(camera.eye)
    scale = camera.height / 2 / np.tan(np.radians(camera.fov) / 2) / (offsets @ forward)
    middle = np.array([camera.width - 1, camera.height - 1]) / 2
    return np.asarray(middle + np.stack([offsets @ right * scale, -(offsets @ up) * scale], axis=-1))


def _axes(camera: Camera) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors to the right, upwards and forward, as the camera sees them."""
    forward = np.subtract(camera.target, camera.eye)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, camera.up)
    right = right / np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def _triple(vector: FloatArray) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z
