"""Network inputs for compiled code: the same as `ik_mdn.model.features.PoseFeatures`, one pose after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ik_mdn.model import ON_AXIS
from ik_mdn.solver.kernels.compilation import part, piece
from ik_mdn.solver.kernels.pointers import Doubles, Singles, ahead
from sim.arrays import FloatArray
from sim.task import FARTHEST


class Frames(NamedTuple):
    """How inputs are made of targets.

    Args:
        to_first, from_last: Transforms before and behind the target, (4, 4).
        azimuth, roll: Whether the azimuth and the roll are divided out.
        rotates, rolls: Whether a rotation counts, and whether the roll does.
        n_orientation: How many numbers describe the orientation: 0, 3 or 6.
        octaves: How many octaves of waves there are.
        reach: Of the arm [m].
        charts: Of the azimuth.
        near_axis: Radius below which a pose is near the base axis, of two charts [reaches].
        centre, spread: Scaling of the inputs, (size,).
    """

    to_first: FloatArray
    from_last: FloatArray
    azimuth: bool
    roll: bool
    rotates: bool
    rolls: bool
    n_orientation: int
    octaves: int
    reach: float
    charts: int
    near_axis: float
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]


@piece
def encode(T: Doubles, count: int, frames: Frames, size: int, x: Singles, shift: Doubles, place: Doubles) -> None:
    """Write scaled network inputs and what was divided out of them.

    Args:
        T: Targets, (count, 4, 4).
        count: Of them.
        frames: How inputs are made of them.
        size: Length of a network input.
        x: Written: (count, size).
        shift: Written: azimuth and roll, (count, 2) [rad].
        place: 9 numbers for use inside.
    """
    coordinates = 3 + frames.n_orientation
    for b in range(count):
        X = _transform(frames.to_first, ahead(T, 16 * b), frames.from_last)
        near_axis = _divide_out(X, frames, place, ahead(shift, 2 * b))
        row = ahead(x, size * b)
        for i in range(coordinates):
            row[i] = place[i]
            sine, cosine = np.sin(np.pi * place[i]), np.cos(np.pi * place[i])
            for k in range(frames.octaves):
                row[coordinates * (1 + 2 * k) + i] = sine
                row[coordinates * (2 + 2 * k) + i] = cosine
                sine, cosine = 2 * sine * cosine, cosine * cosine - sine * sine
        row[size - frames.charts] = 1.0 if near_axis else -1.0
        row[size - 1] = 1.0 if frames.rolls and X[2][2] < 0 else -1.0
        for i in range(size):
            row[i] = (row[i] - frames.centre[i]) / frames.spread[i]


@part
def is_pose(T: Doubles, tolerance: float) -> bool:
    """Whether a matrix (4, 4) is a pose: its position near enough, its rotation a rotation to within the tolerance."""
    off = 0.0
    for i in range(3):
        for j in range(i, 3):
            t = T[i] * T[j] + T[4 + i] * T[4 + j] + T[8 + i] * T[8 + j]
            off = max(off, abs(t - (1.0 if i == j else 0.0)))
        off = max(off, abs(T[12 + i]))
    x, y, z = T[4] * T[9] - T[8] * T[5], T[8] * T[1] - T[0] * T[9], T[0] * T[5] - T[4] * T[1]
    off = max(off, abs(x * T[2] + y * T[6] + z * T[10] - 1.0), abs(T[15] - 1.0))
    return off <= tolerance and max(abs(T[3]), abs(T[7]), abs(T[11])) <= FARTHEST


@part
def _transform(A: Doubles, T: Doubles, B: Doubles) -> Any:
    """Rows of A T B, without the last."""
    return _row(A, T, B, 0), _row(A, T, B, 4), _row(A, T, B, 8)


@part
def _row(A: Doubles, T: Doubles, B: Doubles, i: int) -> Any:
    a, b, c = A[i], A[i + 1], A[i + 2]
    x, y, z = a * T[0] + b * T[4] + c * T[8], a * T[1] + b * T[5] + c * T[9], a * T[2] + b * T[6] + c * T[10]
    p = a * T[3] + b * T[7] + c * T[11] + A[i + 3]
    return (
        x * B[0] + y * B[4] + z * B[8],
        x * B[1] + y * B[5] + z * B[9],
        x * B[2] + y * B[6] + z * B[10],
        x * B[3] + y * B[7] + z * B[11] + p,
    )


@part
def _divide_out(X: Any, frames: Frames, place: Doubles, shift: Doubles) -> bool:
    """Turn X back by its azimuth and roll; write its origin, and the axes z and x of its rotation, to `place`."""
    (x0, y0, z0, px), (x1, y1, z1, py), (x2, y2, z2, pz) = X
    px, py = px / frames.reach, py / frames.reach
    phi = psi = 0.0
    near_axis = False
    if frames.azimuth:
        radius = np.sqrt(px * px + py * py)
        if frames.charts == 2 and frames.rotates and radius < frames.near_axis:
            near_axis = np.sqrt(z0 * z0 + z1 * z1) > radius
        phi = np.arctan2(z1, z0) if near_axis else np.arctan2(py, px) if radius >= ON_AXIS else 0.0
    c, s = np.cos(phi), np.sin(phi)
    px, py, x0, x1 = c * px + s * py, c * py - s * px, c * x0 + s * x1, c * x1 - s * x0
    y0, y1, z0, z1 = c * y0 + s * y1, c * y1 - s * y0, c * z0 + s * z1, c * z1 - s * z0
    if frames.roll:
        psi = np.arctan2(x1 + y0, y1 - x0) if frames.rolls and z2 < 0 else np.arctan2(x1 - y0, x0 + y1)
        c, s = np.cos(psi), np.sin(psi)
        x0, x1, x2 = c * x0 + s * y0, c * x1 + s * y1, c * x2 + s * y2
    for i, value in enumerate((px, py, pz / frames.reach, z0, z1, z2, x0, x1, x2)):
        place[i] = value
    shift[0], shift[1] = phi, psi
    return near_axis
