"""The poses that joint vectors reach, compiled: forward kinematics for many random joint vectors at once.

What `sim.kinematics.forward_kinematics` and `sim.rotations.quat_xyzw_of` give, to rounding, in a fifth of the time. Loops run
over rows that lie side by side, so that the compiler puts them into vector registers; sines and cosines are written out,
so that every processor gives the same bits.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sim.arrays import BoolArray, FloatArray

Floats = TypeVar("Floats", NDArray[np.float32], NDArray[np.float64])

_ROWS = 512  # at a time: all of them stay in the first cache
_PER_QUARTER = 0.6366197723675814  # 2/π
_QUARTER = 1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21  # π/2 in three parts, the first two short


def _compiled(function: Any) -> Any:
    """Compiled at the first call, and kept on disk where there is a folder for it; runs outside Python's lock."""
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)


@_compiled
def reach(offsets: FloatArray, slides: BoolArray, q: Floats, position: Floats, quat_xyzw: Floats) -> None:
    """Write positions [m] and unit quaternions, w >= 0, of the tip.

    Args:
        offsets: Of the arm, shape (n + 1, 4, 4).
        slides: Which joints slide, shape (n,).
        q: Joint vectors [rad, m for prismatic], shape (N, n).
        position: Written: shape (N, 3).
        quat_xyzw: Written: shape (N, 4).
    """
    count, n = q.shape
    frame = np.empty((12, _ROWS))  # columns x, y, z of the rotation, then the origin: three rows each
    values, cos, sin, way = np.empty(_ROWS), np.empty(_ROWS), np.empty(_ROWS), np.empty(_ROWS)
    for start in range(0, count, _ROWS):
        m = min(_ROWS, count - start)
        for row in range(12):
            frame[row] = offsets[0, row % 3, row // 3]
        for i in range(n):
            for k in range(m):
                values[k] = q[start + k, i]
            if slides[i]:
                way[:m], cos[:m], sin[:m] = values[:m], 1.0, 0.0
            else:
                way[:m] = 0.0
                _cos_sin(values[:m], cos, sin)
            for row in range(3):
                _move(frame[row, :m], frame[row + 3], frame[row + 6], frame[row + 9], cos, sin, way, offsets[i + 1])
        for k in range(m):
            for row in range(3):
                position[start + k, row] = frame[9 + row, k]
            _write_quat(frame, k, quat_xyzw[start + k])


@_compiled
def _cos_sin(angle: FloatArray, cos: FloatArray, sin: FloatArray) -> None:
    """Write cosines and sines, each to about 2e-16: reduced to [-π/4, π/4], then the polynomials of fdlibm (Sun, 1993)."""
    for k in range(len(angle)):
        quarters = np.rint(angle[k] * _PER_QUARTER)
        r = ((angle[k] - quarters * _QUARTER[0]) - quarters * _QUARTER[1]) - quarters * _QUARTER[2]
        z = r * r
        s = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
        s = 2.75573137070700676789e-06 + z * s
        s = -1.98412698298579493134e-04 + z * s
        s = 8.33333333332248946124e-03 + z * s
        s = r + r * z * (-1.66666666666666324348e-01 + z * s)
        c = 2.08757232129817482790e-09 + z * -1.13596475577881948265e-11
        c = -2.75573143513906633035e-07 + z * c
        c = 2.48015872894767294178e-05 + z * c
        c = -1.38888888888741095749e-03 + z * c
        c = 1.0 - 0.5 * z + z * z * (4.16666666666666019037e-02 + z * c)
        quadrant = quarters - 4.0 * np.floor(0.25 * quarters)
        odd = np.floor(0.5 * quarters) != 0.5 * quarters
        cosine, sine = s if odd else c, c if odd else s
        cos[k] = -cosine if quadrant == 1.0 or quadrant == 2.0 else cosine
        sin[k] = -sine if quadrant >= 2.0 else sine


@_compiled
def _move(
    x: FloatArray,
    y: FloatArray,
    z: FloatArray,
    p: FloatArray,
    cos: FloatArray,
    sin: FloatArray,
    way: FloatArray,
    C: FloatArray,
) -> None:
    """Turn about z or slide along it, then go on by an offset; of one row of rotation and origin."""
    for k in range(len(x)):
        u, v, w = cos[k] * x[k] + sin[k] * y[k], cos[k] * y[k] - sin[k] * x[k], z[k]
        p[k] = p[k] + way[k] * w + (u * C[0, 3] + v * C[1, 3] + w * C[2, 3])
        x[k] = u * C[0, 0] + v * C[1, 0] + w * C[2, 0]
        y[k] = u * C[0, 1] + v * C[1, 1] + w * C[2, 1]
        z[k] = u * C[0, 2] + v * C[1, 2] + w * C[2, 2]


@_compiled
def _write_quat(frame: FloatArray, k: int, quat: Floats) -> None:
    """The unit quaternion of a frame's rotation; see `sim.rotations.quat_xyzw_of`."""
    xx, yx, zx = frame[0, k], frame[1, k], frame[2, k]
    xy, yy, zy = frame[3, k], frame[4, k], frame[5, k]
    xz, yz, zz = frame[6, k], frame[7, k], frame[8, k]
    x_x, y_y, z_z, w_w = 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz
    if x_x >= y_y and x_x >= z_z and x_x >= w_w:
        x, y, z, w = x_x, yx + xy, xz + zx, zy - yz
    elif y_y >= z_z and y_y >= w_w:
        x, y, z, w = yx + xy, y_y, zy + yz, xz - zx
    elif z_z >= w_w:
        x, y, z, w = xz + zx, zy + yz, z_z, yx - xy
    else:
        x, y, z, w = zy - yz, xz - zx, yx - xy, w_w
    length = np.copysign(np.sqrt(x * x + y * y + z * z + w * w), w)
    quat[0], quat[1], quat[2], quat[3] = x / length, y / length, z / length, w / length
