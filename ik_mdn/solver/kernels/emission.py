"""Straight-line vector code written as plain Python: operators emit LLVM instructions, all sizes are known.

A function of `Vectors` and values is a formula: emitted, it works on one LLVM value per vector; with a stand-in for
`Vectors` and arrays it can be tried in numpy. Loops over joints or rows are Python's and are gone in the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils

DOUBLE, SINGLE = ir.DoubleType(), ir.FloatType()
INT = ir.IntType(64)

Value: TypeAlias = Any  # a vector: of this module where code is emitted, an array where a formula is tried

_FLAGS = ("contract",)  # a product and a sum may become one fused operation; NaN and infinity keep their meaning
_LANE = ir.IntType(32)


class Vector:
    """A vector with Python's arithmetic; numbers are spread over all lanes."""

    __slots__ = ("ir", "of")

    def __init__(self, of: Vectors, value: Any) -> None:
        self.of, self.ir = of, value

    def _do(self, instruction: str, a: Any, b: Any) -> Vector:
        left, right = self.of.spread(a).ir, self.of.spread(b).ir
        return Vector(self.of, getattr(self.of.builder, instruction)(left, right, flags=_FLAGS))

    def __add__(self, other: Any) -> Vector:
        return self._do("fadd", self, other)

    def __radd__(self, other: Any) -> Vector:
        return self._do("fadd", other, self)

    def __sub__(self, other: Any) -> Vector:
        return self._do("fsub", self, other)

    def __rsub__(self, other: Any) -> Vector:
        return self._do("fsub", other, self)

    def __mul__(self, other: Any) -> Vector:
        return self._do("fmul", self, other)

    def __rmul__(self, other: Any) -> Vector:
        return self._do("fmul", other, self)

    def __truediv__(self, other: Any) -> Vector:
        return self._do("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> Vector:
        return self._do("fdiv", other, self)

    def __neg__(self) -> Vector:
        return 0.0 - self


class Mask:
    """Which lanes something holds in."""

    __slots__ = ("ir", "of")

    def __init__(self, of: Vectors, value: Any) -> None:
        self.of, self.ir = of, value

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.of, self.of.builder.and_(self.ir, other.ir))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.of, self.of.builder.or_(self.ir, other.ir))

    def __invert__(self) -> Mask:
        return Mask(self.of, self.of.builder.not_(self.ir))


class Vectors:
    """Vectors of one size in one function.

    Args:
        builder: Where instructions go.
        lanes: Numbers in a vector.
        scalar: DOUBLE or SINGLE.
    """

    def __init__(self, builder: Any, lanes: int, scalar: Any = DOUBLE) -> None:
        self.builder, self.lanes, self.scalar = builder, lanes, scalar
        self.kind = ir.VectorType(scalar, lanes)
        self.bits = 64 if scalar is DOUBLE else 32
        self.ints = ir.VectorType(ir.IntType(self.bits), lanes)

    def spread(self, value: Any) -> Vector:
        """A number, or a scalar of the code, in every lane; a vector as it is."""
        if isinstance(value, Vector):
            return value
        if isinstance(value, int | float):
            return Vector(self, ir.Constant(self.kind, [float(value)] * self.lanes))
        empty = ir.Constant(self.kind, ir.Undefined)
        single = self.builder.insert_element(empty, value, ir.Constant(_LANE, 0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(single, empty, zeros))

    def load(self, array: Any, place: Any) -> Vector:
        """Vector number `place` behind an array's first number."""
        return Vector(self, self.builder.load(self._address(array, place), align=self.bits // 8))

    def store(self, array: Any, place: Any, value: Any) -> None:
        """Write vector number `place` behind an array's first number."""
        self.builder.store(self.spread(value).ir, self._address(array, place), align=self.bits // 8)

    def number(self, array: Any, place: Any) -> Vector:
        """Number `place` of an array, in every lane."""
        return self.spread(self.builder.load(self.builder.gep(array, [_as_int(place)])))

    def root(self, x: Value) -> Vector:
        """Square root."""
        return self._call("llvm.sqrt", x)

    def fused(self, a: Value, b: Value, c: Value) -> Vector:
        """a b + c, rounded once."""
        return self._call("llvm.fma", a, b, c)

    def size(self, x: Value) -> Vector:
        """Absolute value."""
        return self._call("llvm.fabs", x)

    def round(self, x: Value) -> Vector:
        """The nearest whole number."""
        return self._call("llvm.rint", x)

    def less(self, a: Value, b: Value) -> Mask:
        """Where a < b; nowhere beside NaN."""
        return Mask(self, self.builder.fcmp_ordered("<", self.spread(a).ir, self.spread(b).ir))

    def where(self, mask: Mask, then: Value, other: Value) -> Vector:
        """`then` where the mask holds, `other` elsewhere."""
        return Vector(self, self.builder.select(mask.ir, self.spread(then).ir, self.spread(other).ir))

    def larger(self, a: Value, b: Value) -> Vector:
        """The larger of two; b beside NaN in a."""
        return self.where(self.less(b, a), a, b)

    def smaller(self, a: Value, b: Value) -> Vector:
        """The smaller of two; b beside NaN in a."""
        return self.where(self.less(a, b), a, b)

    def which(self, mask: Mask) -> Any:
        """An integer whose bit i says whether the mask holds in lane i."""
        return self.builder.zext(self.builder.bitcast(mask.ir, ir.IntType(self.lanes)), INT)

    def sum(self, x: Vector) -> Any:
        """Sum of the lanes, in an order that is always the same."""
        return self._reduce("fadd", [self.scalar, self.kind], [ir.Constant(self.scalar, -0.0), x.ir], ("reassoc",))

    def largest(self, x: Vector) -> Any:
        """Largest of the lanes, none of which is NaN."""
        return self._reduce("fmax", [self.kind], [x.ir], ("nnan",))

    def cos_sin(self, x: Value) -> tuple[Vector, Vector]:
        """Cosine and sine of double vectors [rad], each to about 2e-16.

        Reduced to [-π/4, π/4], then the polynomials of fdlibm (Sun Microsystems, 1993, k_cos.c and k_sin.c).
        """
        quarters = x * 0.6366197723675814 + _MAGIC
        count = quarters - _MAGIC
        r = (x - count * 1.5707963267948966) - count * 6.123233995736766e-17  # π/2 in two parts
        z = r * r
        s = (r * z) * polynomial(z, _SINE) + r
        c = polynomial(z, _COSINE)
        b, turns = self.builder, self.builder.bitcast(quarters.ir, self.ints)
        odd = Mask(self, b.icmp_signed("<", b.shl(turns, self._ints(63)), self._ints(0)))
        cos, sin = self.where(odd, s, c), self.where(odd, c, s)
        return self._negated(cos, b.add(turns, self._ints(1))), self._negated(sin, turns)

    def exp(self, x: Value) -> Vector:
        """e to the x of single vectors, to about 1e-7 of itself, for x from -80 to 80 and as there beyond.

        After Cephes (Moshier, 1989, expf.c).
        """
        x = self.larger(self.smaller(x, 80.0), -80.0)
        power = self.round(x * 1.4426950408889634)
        r = (x - power * 0.693359375) + power * 2.12194440e-4  # ln 2 in two parts
        value = polynomial(r, _EXPONENTIAL) * (r * r) + r + 1.0
        b = self.builder
        scale = b.shl(b.add(b.fptosi(power.ir, self.ints), self._ints(127)), self._ints(23))
        return value * Vector(self, b.bitcast(scale, self.kind))

    def direction(self, y: Value, x: Value) -> Vector:
        """The angle of (x, y) to the positive x axis, -π to π, to about 3e-7; 0 where both are 0.

        After Cephes (Moshier, 1989, atanf.c).
        """
        along, across = self.size(x), self.size(y)
        slope = self.smaller(along, across) / self.larger(self.larger(along, across), 1e-30)
        is_steep = self.less(0.41421356, slope)  # tan(π/8)
        slope = self.where(is_steep, (slope - 1.0) / (slope + 1.0), slope)
        square = slope * slope
        angle = polynomial(square, _ARCTANGENT) * square * slope + slope + self.where(is_steep, 0.25 * np.pi, 0.0)
        angle = self.where(self.less(along, across), 0.5 * np.pi - angle, angle)
        angle = self.where(self.less(x, 0.0), np.pi - angle, angle)
        return self.where(self.less(y, 0.0), -angle, angle)

    def _negated(self, x: Vector, turns: Any) -> Vector:
        """The value, negated where bit 1 of an integer is set."""
        b = self.builder
        sign = b.shl(b.and_(turns, self._ints(2)), self._ints(62))
        return Vector(self, b.bitcast(b.xor(b.bitcast(x.ir, self.ints), sign), self.kind))

    def _ints(self, value: int) -> Any:
        return ir.Constant(self.ints, [value] * self.lanes)

    def _address(self, array: Any, place: Any) -> Any:
        first = self.builder.mul(_as_int(place), ir.Constant(INT, self.lanes))
        return self.builder.bitcast(self.builder.gep(array, [first]), self.kind.as_pointer())

    def _call(self, name: str, *given: Value) -> Vector:
        kind = ir.FunctionType(self.kind, [self.kind] * len(given))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"{name}.v{self.lanes}f{self.bits}")
        return Vector(self, self.builder.call(function, [self.spread(x).ir for x in given]))

    def _reduce(self, name: str, kinds: list[Any], values: list[Any], flags: tuple[str, ...]) -> Any:
        kind, full = ir.FunctionType(self.scalar, kinds), f"llvm.vector.reduce.{name}.v{self.lanes}f{self.bits}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, full), values, fastmath=flags
        )


def polynomial(x: Value, coefficients: tuple[float, ...]) -> Value:
    """A polynomial by Horner's rule, the highest power's coefficient first."""
    value = x * coefficients[0] + coefficients[1]
    for c in coefficients[2:]:
        value = value * x + c
    return value


def total(terms: list[Value]) -> Value:
    """The sum of some vectors, from the first one on; of none it is 0."""
    if not terms:
        return 0.0
    value = terms[0]
    for term in terms[1:]:
        value = value + term
    return value


def repeat(builder: Any, count: Any, body: Callable[[Any], None]) -> None:
    """Emit a loop: the body with the numbers 0, 1, ..., count - 1."""
    with cgutils.for_range(builder, _as_int(count)) as loop:
        body(loop.index)


def _as_int(value: Any) -> Any:
    return ir.Constant(INT, value) if isinstance(value, int) else value


_MAGIC = 6755399441055744.0  # 1.5 · 2^52: adding it leaves a number's nearest integer in the lowest bits
_SINE = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
)
_COSINE = (
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
    -0.5,
    1.0,
)
_ARCTANGENT = (
    8.05374449538e-2,
    -1.38776856032e-1,
    1.99777106478e-1,
    -3.33329491539e-1,
)
_EXPONENTIAL = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
