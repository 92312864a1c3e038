"""Network inputs for compiled code: the same as `ik_mdn.model.features.PoseFeatures`, one pose after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.threads import take_number
from sim.arrays import FloatArray, IntArray

BLOCK = 64  # poses that a thread takes at a time


class Frames(NamedTuple):
    """How inputs are made of targets.

    Args:
        to_first, from_last: Transforms before and behind the target, (4, 4).
        azimuth, roll: Whether the azimuth and the roll are divided out.
        rotates, rolls: Whether a rotation counts, and whether the roll does.
        n_orientation: How many numbers describe the orientation: 0, 3 or 6.
        octaves: How many octaves of waves there are.
        reach: Of the arm [m].
        near_axis: Radius below which a pose is near the base axis [reaches].
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
    near_axis: float
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]


@kept
def encode(T: FloatArray, frames: Frames, x: NDArray[np.float32], shift: FloatArray, queue: IntArray) -> None:
    """Write scaled network inputs and what was divided out of them, until the queue of blocks is empty.

    Args:
        T: Targets, (B, 4, 4).
        frames: How inputs are made of them.
        x: Written: (B, size).
        shift: Written: azimuth and roll, (B, 2) [rad].
        queue: Zero at the start, shared by all threads.
    """
    count = 3 + frames.n_orientation
    X, R, place = np.empty((4, 4)), np.empty((3, 3)), np.empty(9)
    while True:
        start = take_number(queue) * BLOCK
        if start >= len(T):
            break
        for b in range(start, min(start + BLOCK, len(T))):
            _transform(frames.to_first, T[b], frames.from_last, X)
            near_axis = _divide_out(X, frames, R, place, shift[b])
            for i in range(3):
                place[3 + i] = R[i, 2]
                place[6 + i] = R[i, 0]
            for i in range(count):
                x[b, i] = place[i]
                sine, cosine = np.sin(np.pi * place[i]), np.cos(np.pi * place[i])
                for k in range(frames.octaves):
                    x[b, count * (1 + 2 * k) + i] = sine
                    x[b, count * (2 + 2 * k) + i] = cosine
                    sine, cosine = 2 * sine * cosine, cosine * cosine - sine * sine
            x[b, -2] = 1.0 if near_axis else -1.0
            x[b, -1] = 1.0 if frames.rolls and X[2, 2] < 0 else -1.0
            for i in range(x.shape[1]):
                x[b, i] = (x[b, i] - frames.centre[i]) / frames.spread[i]


@kept
def are_poses(T: FloatArray, tolerance: float) -> bool:
    """Whether every matrix (B, 4, 4) is a pose: finite, its rotation a rotation to within the tolerance."""
    for b in range(len(T)):
        R, off = T[b], 0.0
        for i in range(3):
            for j in range(i, 3):
                t = R[0, i] * R[0, j] + R[1, i] * R[1, j] + R[2, i] * R[2, j]
                off = max(off, abs(t - (1.0 if i == j else 0.0)))
            off = max(off, abs(R[3, i]))
        x = R[1, 0] * R[2, 1] - R[2, 0] * R[1, 1]
        y = R[2, 0] * R[0, 1] - R[0, 0] * R[2, 1]
        z = R[0, 0] * R[1, 1] - R[1, 0] * R[0, 1]
        off = max(off, abs(x * R[0, 2] + y * R[1, 2] + z * R[2, 2] - 1.0), abs(R[3, 3] - 1.0))
        if not off <= tolerance or not abs(R[0, 3]) + abs(R[1, 3]) + abs(R[2, 3]) < np.inf:
            return False
    return True


@part
def _transform(A: FloatArray, T: FloatArray, B: FloatArray, X: FloatArray) -> None:
    """X = A T B, without the last row."""
    for i in range(3):
        x = A[i, 0] * T[0, 0] + A[i, 1] * T[1, 0] + A[i, 2] * T[2, 0]
        y = A[i, 0] * T[0, 1] + A[i, 1] * T[1, 1] + A[i, 2] * T[2, 1]
        z = A[i, 0] * T[0, 2] + A[i, 1] * T[1, 2] + A[i, 2] * T[2, 2]
        for j in range(4):
            X[i, j] = x * B[0, j] + y * B[1, j] + z * B[2, j]
        X[i, 3] += A[i, 0] * T[0, 3] + A[i, 1] * T[1, 3] + A[i, 2] * T[2, 3] + A[i, 3]


@part
def _divide_out(X: FloatArray, frames: Frames, R: FloatArray, place: FloatArray, shift: FloatArray) -> bool:
    """Turn X back by its azimuth and roll, into R and the first three of `place`; whether it is near the base axis."""
    px, py = X[0, 3] / frames.reach, X[1, 3] / frames.reach
    place[2] = X[2, 3] / frames.reach
    phi = psi = 0.0
    near_axis = False
    if frames.azimuth:
        radius = np.sqrt(px * px + py * py)
        if frames.rotates and radius < frames.near_axis:
            near_axis = np.sqrt(X[0, 2] ** 2 + X[1, 2] ** 2) > radius
        phi = np.arctan2(X[1, 2], X[0, 2]) if near_axis else np.arctan2(py, px)
    c, s = np.cos(phi), np.sin(phi)
    place[0], place[1] = c * px + s * py, c * py - s * px
    for j in range(3):
        R[0, j], R[1, j], R[2, j] = c * X[0, j] + s * X[1, j], c * X[1, j] - s * X[0, j], X[2, j]
    if frames.roll:
        if frames.rolls and R[2, 2] < 0:
            psi = np.arctan2(R[1, 0] + R[0, 1], R[1, 1] - R[0, 0])
        else:
            psi = np.arctan2(R[1, 0] - R[0, 1], R[0, 0] + R[1, 1])
        c, s = np.cos(psi), np.sin(psi)
        for i in range(3):
            R[i, 0], R[i, 1] = c * R[i, 0] + s * R[i, 1], c * R[i, 1] - s * R[i, 0]
    shift[0], shift[1] = phi, psi
    return near_axis
