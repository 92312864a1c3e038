"""Cosines, sines and angles of vectors, for compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ik_mdn.solver.kernels.compilation import part
from ik_mdn.solver.kernels.vector import LANES, VECTOR, Vector, root, size, where_less

_MAGIC = 6755399441055744.0  # 1.5 · 2^52: adding it leaves a number's nearest integer in the lowest bits
_QUARTER, _QUARTER_LOW = 1.5707963267948966, 6.123233995736766e-17  # π/2 in two parts
_INTS = ir.VectorType(ir.IntType(64), LANES)
_TINY = 1e-150  # a sine whose square is nothing, so that its arc is the sine itself


@part
def cos_sin(x: Any) -> Any:
    """Cosine and sine of a vector [rad], each to about 2e-16.

    Reduced to [-π/4, π/4], then the polynomials of fdlibm (Sun Microsystems, 1993, k_cos.c and k_sin.c).
    """
    quarters = x * 0.6366197723675814 + _MAGIC
    count = quarters - _MAGIC
    r = (x - count * _QUARTER) - count * _QUARTER_LOW
    z = r * r
    s = z * 1.58969099521155010221e-10 + -2.50507602534068634195e-08
    s = z * s + 2.75573137070700676789e-06
    s = z * s + -1.98412698298579493134e-04
    s = z * s + 8.33333333332248946124e-03
    s = z * s + -1.66666666666666324348e-01
    s = (r * z) * s + r
    c = z * -1.13596475577881948265e-11 + 2.08757232129817482790e-09
    c = z * c + -2.75573143513906633035e-07
    c = z * c + 2.48015872894767294178e-05
    c = z * c + -1.38888888888741095749e-03
    c = z * c + 4.16666666666666019037e-02
    c = z * c + -0.5
    c = z * c + 1.0
    cos = _negate_half(quarters, _swap_odd(quarters, c, s), 1)
    sin = _negate_half(quarters, _swap_odd(quarters, s, c), 0)
    return cos, sin


@part
def rotation_vector(
    r00: Vector, r01: Vector, r02: Vector, r10: Vector, r11: Vector, r12: Vector, r20: Vector, r21: Vector, r22: Vector
) -> Any:
    """Rotation vector of a rotation matrix, exact up to half a turn.

    By way of the quaternion whose largest component is computed without cancellation (Shepperd, Quaternion from
    Rotation Matrix, J. Guidance and Control 1(3), 1978).
    """
    a, b, c = r21 - r12, r02 - r20, r10 - r01
    d, e, f = r21 + r12, r02 + r20, r10 + r01
    w, x, y, z = 1.0 + r00 + r11 + r22, 1.0 + r00 - r11 - r22, 1.0 - r00 + r11 - r22, 1.0 - r00 - r11 + r22
    best, chosen = _larger(w, (w, a, b, c), x, (a, x, f, e))
    best, chosen = _larger(best, chosen, y, (b, f, y, d))
    _, (w, x, y, z) = _larger(best, chosen, z, (c, e, d, z))
    norm = 1.0 / root(w * w + x * x + y * y + z * z)
    scale = 2.0 * norm * _arc(1.0 - size(w) * norm)
    scale = where_less(w, 0.0, 0.0 - scale, scale)
    return x * scale, y * scale, z * scale


@part
def _larger(best: Vector, q: Any, other: Vector, q_other: Any) -> Any:
    """Of two quaternions, each beside its largest component times four of its norms, the one where that is larger."""
    w, x, y, z = q
    a, b, c, d = q_other
    return where_less(best, other, other, best), (
        where_less(best, other, a, w),
        where_less(best, other, b, x),
        where_less(best, other, c, y),
        where_less(best, other, d, z),
    )


@part
def align(x: Vector, y: Vector, z: Vector) -> Any:
    """Components x and y of the shortest turn of (0, 0, 1) onto a unit vector; about x for (0, 0, -1)."""
    sine = root(x * x + y * y)
    scale = where_less(sine, _TINY, 1.0, angle(sine, z) / (sine + _TINY))
    half_turn = where_less(sine, _TINY, where_less(z, 0.0, np.pi, 0.0), 0.0)
    return half_turn - y * scale, x * scale


@part
def angle(s: Vector, c: Vector) -> Any:
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


def _constant(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


@intrinsic
def _swap_odd(typing: Any, quarters: Any, even: Any, odd: Any) -> Any:
    """`odd` where the integer in the lowest bits of `quarters` is odd, otherwise `even`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sign = builder.shl(builder.bitcast(args[0], _INTS), _constant(63))
        return builder.select(builder.icmp_signed("<", sign, _constant(0)), args[2], args[1])

    return VECTOR(VECTOR, VECTOR, VECTOR), generate


@intrinsic
def _negate_half(typing: Any, quarters: Any, value: Any, ahead: Any) -> Any:
    """The value, negated where the integer in the lowest bits of `quarters` plus `ahead` has bit 1 set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        turns = builder.bitcast(args[0], _INTS)
        if ahead.literal_value:
            turns = builder.add(turns, _constant(ahead.literal_value))
        sign = builder.shl(builder.and_(turns, _constant(2)), _constant(62))
        return builder.bitcast(builder.xor(builder.bitcast(args[1], _INTS), sign), args[1].type)

    if not isinstance(ahead, types.IntegerLiteral):
        return None
    return VECTOR(VECTOR, VECTOR, ahead), generate
