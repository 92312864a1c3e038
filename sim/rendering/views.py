"""Cameras that fit what is to be seen, and where points fall in their pictures."""

from __future__ import annotations

import numpy as np

from sim.arrays import FloatArray
from sim.rendering.camera import Camera

_TURN = np.radians(62.0)  # from the target's azimuth to the camera's: the arm is seen from the side, a little in front
_RISE = np.radians(20.0)  # of the camera above what it looks at
_ROOM = 1.05  # what is to be seen, times this


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
    fov = 30.0
    camera = Camera(
        eye=_triple(centre + outward),
        target=_triple(centre),
        fov=fov,
        width=width,
        height=height,
        supersample=2,
        shadow=False,
    )
    right, up, _ = _axes(camera)
    offsets = points - centre
    across, along = (np.abs(offsets @ right) + margin) * height / width, np.abs(offsets @ up) + margin
    half = np.tan(np.radians(fov) / 2)
    distance = float((_ROOM * np.maximum(across, along) / half + offsets @ outward).max())
    return Camera(**{**camera.__dict__, "eye": _triple(centre + distance * outward)})


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
