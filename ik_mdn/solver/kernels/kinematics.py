"""Forward kinematics, task error and Jacobian of LANES joint vectors at a time, for compiled code.

The same mathematics as `sim.kinematics` and `sim.task`. Everything lies in one workspace of vectors, addressed by
number. A linearisation takes `6 + 6 n` of them: the error e (m), then, from the sixth on, the Jacobian J by rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ik_mdn.solver.kernels.vector import Floats, Vector, cos_sin, load, part, root, size, spread, store, where_less
from sim.arm import Arm

NO_ROTATION, YAW, AXIS, ROTATION = 0, 1, 2, 3  # which angular errors count: none, z, x and y, all
TARGET_SIZE = 12  # the target's rotation by rows, then its origin

_TINY = 1e-150  # a sine whose square is nothing, so that its arc is the sine itself


def fold_chain(arm: Arm, length: float) -> tuple[Floats, Floats]:
    """The arm's fixed transforms in the form that costs least: a turn about z, a move, a turn about x.

    Each offset is `C_i = Rz(a_i) Trans(t_i) Rx(d_i) Rz(e_i)`, its rotation by Euler angles z-x-z. `Rz(e_i)` passes
    over into the next joint, whose axis is z, whether it turns or slides.

    Args:
        arm: The arm.
        length: What counts as one unit of length [m].

    Returns:
        `C_0` without its last row, (3, 4), and the chain (n + 1, 6): for each joint `e_{i-1} + a_i` [rad], `t_i`,
        cos and sin of `d_i`; at the end cos and sin of `e_n` in the last two columns.
    """
    chain, carried = np.zeros((arm.n_joints + 1, 6)), 0.0
    for row, offset in zip(chain, arm.offsets[1:], strict=False):
        R = offset[:3, :3]
        a = np.arctan2(R[0, 2], -R[1, 2]) if np.hypot(R[0, 2], R[1, 2]) > 0 else 0.0
        back = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
        R = back @ R
        row[:] = carried + a, *(back @ offset[:3, 3] / length), R[2, 2], -R[1, 2]
        carried = np.arctan2(-R[0, 1], R[0, 0])
    chain[-1, 4:] = np.cos(carried), np.sin(carried)
    base = arm.offsets[0, :3].copy()
    base[:, 3] /= length
    return base, chain


@part
def linearise(
    ws: Floats, base: Floats, chain: Floats, slides: Any, n_linear: int, kind: int, q: int, target: int, out: int
) -> Any:
    """Squared length of the error of the joint vectors at `q`; error and Jacobian go to `out`.

    Linear rows are in the base frame. Angular rows are in the tip frame, for ROTATION in the base frame: turning
    all three rows of e and J together changes neither J^T J nor J^T e.

    Args:
        ws: Workspace, flat; vector i begins at `i * LANES`.
        base, chain: The arm, from `fold_chain`.
        slides: 1 where a joint slides, 0 where it turns, (n,).
        n_linear: Linear rows that count: 2 (x and y) or 3.
        kind: Angular rows that count: NO_ROTATION, YAW, AXIS or ROTATION.
        q: First of n vectors of joint values [rad, or units of length].
        target: First of TARGET_SIZE vectors.
        out: First of the `6 + 6 n` vectors that are written: e, then J from `out + 6` on.

    Returns:
        |e|² of each lane [rad², units of length²].
    """
    n = len(slides)
    J = out + 6
    x0, x1, x2, y0, y1, y2, z0, z1, z2, p0, p1, p2 = _sweep(ws, base, chain, slides, q, J)
    d0 = load(ws, target + 9) - p0
    d1 = load(ws, target + 10) - p1
    d2 = load(ws, target + 11) - p2
    store(ws, out, d0)
    store(ws, out + 1, d1)
    cost = d0 * d0 + d1 * d1
    if n_linear == 3:
        store(ws, out + 2, d2)
        cost = cost + d2 * d2
    _turn_into_columns(ws, slides, n_linear, p0, p1, p2, J)
    t = target
    if kind == ROTATION:
        a, b, c = load(ws, t), load(ws, t + 1), load(ws, t + 2)  # rows of the target's rotation
        r00, r01, r02 = a * x0 + b * y0 + c * z0, a * x1 + b * y1 + c * z1, a * x2 + b * y2 + c * z2
        a, b, c = load(ws, t + 3), load(ws, t + 4), load(ws, t + 5)
        r10, r11, r12 = a * x0 + b * y0 + c * z0, a * x1 + b * y1 + c * z1, a * x2 + b * y2 + c * z2
        a, b, c = load(ws, t + 6), load(ws, t + 7), load(ws, t + 8)
        r20, r21, r22 = a * x0 + b * y0 + c * z0, a * x1 + b * y1 + c * z1, a * x2 + b * y2 + c * z2
        w0, w1, w2 = _rotation_vector(r00, r01, r02, r10, r11, r12, r20, r21, r22)
        store(ws, out + 3, w0)
        store(ws, out + 4, w1)
        store(ws, out + 5, w2)
        cost = cost + (w0 * w0 + w1 * w1 + w2 * w2)
    if kind == AXIS:
        a, b, c = load(ws, t + 2), load(ws, t + 5), load(ws, t + 8)  # the target's z axis
        u, v = x0 * a + x1 * b + x2 * c, y0 * a + y1 * b + y2 * c
        w0, w1 = _align(u, v, z0 * a + z1 * b + z2 * c)
        store(ws, out + 3, w0)
        store(ws, out + 4, w1)
        cost = cost + (w0 * w0 + w1 * w1)
        for i in range(n):
            a, b, c = load(ws, J + 3 * n + i), load(ws, J + 4 * n + i), load(ws, J + 5 * n + i)
            store(ws, J + 3 * n + i, x0 * a + x1 * b + x2 * c)
            store(ws, J + 4 * n + i, y0 * a + y1 * b + y2 * c)
    if kind == YAW:
        a0, a1, a2 = load(ws, t), load(ws, t + 3), load(ws, t + 6)  # columns x and y of the target
        b0, b1, b2 = load(ws, t + 1), load(ws, t + 4), load(ws, t + 7)
        s = (y0 * a0 + y1 * a1 + y2 * a2) - (x0 * b0 + x1 * b1 + x2 * b2)
        c = (x0 * a0 + x1 * a1 + x2 * a2) + (y0 * b0 + y1 * b1 + y2 * b2)
        yaw = _angle(size(s), c)
        yaw = where_less(s, 0.0, 0.0 - yaw, yaw)
        store(ws, out + n_linear, yaw)
        cost = cost + yaw * yaw
        for i in range(n):
            a, b, c = load(ws, J + 3 * n + i), load(ws, J + 4 * n + i), load(ws, J + 5 * n + i)
            store(ws, J + n_linear * n + i, z0 * a + z1 * b + z2 * c)
    return cost


@part
def _sweep(ws: Floats, base: Floats, chain: Floats, slides: Any, q: int, J: int) -> Any:
    """Axes and origin of the tip; each joint's origin and axis go to rows 0–2 and 3–5 of its Jacobian column.

    Rows of all vectors are independent of each other, and kept apart so that each stays in registers.
    """
    n = len(slides)
    x0, x1, x2 = spread(base[0, 0]), spread(base[1, 0]), spread(base[2, 0])
    y0, y1, y2 = spread(base[0, 1]), spread(base[1, 1]), spread(base[2, 1])
    z0, z1, z2 = spread(base[0, 2]), spread(base[1, 2]), spread(base[2, 2])
    p0, p1, p2 = spread(base[0, 3]), spread(base[1, 3]), spread(base[2, 3])
    for i in range(n):
        store(ws, J + i, p0)
        store(ws, J + n + i, p1)
        store(ws, J + 2 * n + i, p2)
        store(ws, J + 3 * n + i, z0)
        store(ws, J + 4 * n + i, z1)
        store(ws, J + 5 * n + i, z2)
        value, angle = load(ws, q + i), spread(chain[i, 0])
        if slides[i]:
            p0, p1, p2 = p0 + value * z0, p1 + value * z1, p2 + value * z2
        else:
            angle = value + chain[i, 0]
        c, s = cos_sin(angle)
        x0, y0, z0, p0 = _move(chain, i, c, s, x0, y0, z0, p0)
        x1, y1, z1, p1 = _move(chain, i, c, s, x1, y1, z1, p1)
        x2, y2, z2, p2 = _move(chain, i, c, s, x2, y2, z2, p2)
    c, s = spread(chain[n, 4]), spread(chain[n, 5])
    x0, y0 = c * x0 + s * y0, c * y0 - s * x0
    x1, y1 = c * x1 + s * y1, c * y1 - s * x1
    x2, y2 = c * x2 + s * y2, c * y2 - s * x2
    return x0, x1, x2, y0, y1, y2, z0, z1, z2, p0, p1, p2


@part
def _move(chain: Floats, i: int, c: Vector, s: Vector, x: Vector, y: Vector, z: Vector, p: Vector) -> Any:
    """One row of frame i, turned about z, moved, and turned about x: see `fold_chain`."""
    x, y = c * x + s * y, c * y - s * x
    p = p + x * chain[i, 1] + y * chain[i, 2] + z * chain[i, 3]
    return x, y * chain[i, 4] + z * chain[i, 5], z * chain[i, 4] - y * chain[i, 5], p


@part
def _turn_into_columns(ws: Floats, slides: Any, n_linear: int, p0: Vector, p1: Vector, p2: Vector, J: int) -> None:
    """Jacobian columns from each joint's origin and axis: (z × (p_tip - p), z), or (z, 0) where it slides."""
    n = len(slides)
    for i in range(n):
        z0, z1, z2 = load(ws, J + 3 * n + i), load(ws, J + 4 * n + i), load(ws, J + 5 * n + i)
        if slides[i]:
            store(ws, J + 3 * n + i, 0.0)
            store(ws, J + 4 * n + i, 0.0)
            store(ws, J + 5 * n + i, 0.0)
        else:
            d0, d1, d2 = p0 - load(ws, J + i), p1 - load(ws, J + n + i), p2 - load(ws, J + 2 * n + i)
            z0, z1, z2 = z1 * d2 - z2 * d1, z2 * d0 - z0 * d2, z0 * d1 - z1 * d0
        store(ws, J + i, z0)
        store(ws, J + n + i, z1)
        if n_linear == 3:
            store(ws, J + 2 * n + i, z2)


@part
def _rotation_vector(
    r00: Vector, r01: Vector, r02: Vector, r10: Vector, r11: Vector, r12: Vector, r20: Vector, r21: Vector, r22: Vector
) -> Any:
    """Rotation vector of a rotation matrix, exact up to half a turn.

    By way of the quaternion whose largest component is computed without cancellation (Shepperd, Quaternion from
    Rotation Matrix, J. Guidance and Control 1(3), 1978).
    """
    a, b, c = r21 - r12, r02 - r20, r10 - r01
    d, e, f = r21 + r12, r02 + r20, r10 + r01
    w, x, y, z = 1.0 + r00 + r11 + r22, a, b, c
    best = w
    most = 1.0 + r00 - r11 - r22
    w, x, y, z = (
        where_less(best, most, a, w),
        where_less(best, most, most, x),
        where_less(best, most, f, y),
        where_less(best, most, e, z),
    )
    best = where_less(best, most, most, best)
    most = 1.0 - r00 + r11 - r22
    w, x, y, z = (
        where_less(best, most, b, w),
        where_less(best, most, f, x),
        where_less(best, most, most, y),
        where_less(best, most, d, z),
    )
    best = where_less(best, most, most, best)
    most = 1.0 - r00 - r11 + r22
    w, x, y, z = (
        where_less(best, most, c, w),
        where_less(best, most, e, x),
        where_less(best, most, d, y),
        where_less(best, most, most, z),
    )
    norm = 1.0 / root(w * w + x * x + y * y + z * z)
    scale = 2.0 * norm * _arc(1.0 - size(w) * norm)
    scale = where_less(w, 0.0, 0.0 - scale, scale)
    return x * scale, y * scale, z * scale


@part
def _align(x: Vector, y: Vector, z: Vector) -> Any:
    """Components x and y of the shortest turn of (0, 0, 1) onto a unit vector; about x for (0, 0, -1)."""
    sine = root(x * x + y * y)
    scale = where_less(sine, _TINY, 1.0, _angle(sine, z) / (sine + _TINY))
    half_turn = where_less(sine, _TINY, where_less(z, 0.0, np.pi, 0.0), 0.0)
    return half_turn - y * scale, x * scale


@part
def _angle(s: Vector, c: Vector) -> Any:
    """`atan2(s, c)` for s ≥ 0, by way of the half angle."""
    norm = 1.0 / root(s * s + c * c)
    large = root(0.5 + 0.5 * norm * size(c))  # cosine or sine of the half angle, whichever is larger
    small = 0.5 * norm * s / large
    cos, sin = where_less(c, 0.0, small, large), where_less(c, 0.0, large, small)
    return 2.0 * _arc(1.0 - cos) * sin


@part
def _arc(u: Vector) -> Any:
    """`arccos(w) / sqrt(1 - w²)` at w = 1 - u for u in [0, 1], to 3e-17 of itself.

    The polynomial of degree 20 through the 21 Chebyshev nodes of [0, 1]; even and odd powers apart for speed.
    """
    v = u * u
    even = v * 0.00012117305831116537 + 0.004114940516850556
    odd = v * -0.001025639660813829 + -0.01025927464062151
    even = v * even + 0.01773831596916336
    odd = v * odd + -0.022454256450108755
    even = v * even + 0.02153400343586953
    odd = v * odd + -0.01586170544127971
    even = v * even + 0.009195329684833449
    odd = v * odd + -0.003976427223224787
    even = v * even + 0.0017011133906985544
    odd = v * odd + 0.00016421047913476515
    even = v * even + 0.001251083869870826
    odd = v * odd + 0.0024737607111697374
    even = v * even + 0.00532944828305169
    odd = v * odd + 0.011543895604776996
    even = v * even + 0.025396831596651948
    odd = v * odd + 0.05714285694042784
    even = v * even + 0.13333333333682526
    odd = v * odd + 0.33333333333330945
    even = v * even + 1.0
    return u * odd + even
