"""Vectors of LANES float64 numbers for compiled code: one LLVM value each, so that vectorising is no matter of luck.

Functions marked `intrinsic` are for compiled code alone, which calls them without `typing`: numba fills that in.
"""

from __future__ import annotations

import hashlib
import logging
import operator
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, event
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

part = njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # of a function that Python calls

Floats: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = Any  # what compiled code holds LANES numbers in; Python never sees one

LANES = 8  # two AVX registers or one AVX-512 register: enough independent work to hide the latency of an addition

_DOUBLE, _INT = ir.DoubleType(), ir.IntType(64)
_VECTOR, _INTS = ir.VectorType(_DOUBLE, LANES), ir.VectorType(_INT, LANES)
_BITS = ir.IntType(LANES)
_FLAGS = ("contract",)  # a product and a sum may become one fused operation; NaN and infinity keep their meaning


def kept(function: Any) -> Any:
    """The function, compiled when it is called and kept on disk where numba finds a folder that it can write to."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError as error:
        _log.warning("compiled code cannot be kept for the next time: %s", error)
        return njit(nogil=True)(function)


@lru_cache(maxsize=1)
def stamp() -> int:
    """A number that changes with the compiled modules' sources.

    Numba keeps code by the file that a function is in and does not notice when a function that it calls changes
    in another file; it does look at the variables that a function takes from the one around it, such as this.
    """
    folder = Path(__file__).parent
    sources = [path.read_bytes() for path in sorted([*folder.glob("*.py"), folder.parent / "folds.py"])]
    return int.from_bytes(hashlib.sha256(b"".join(sources)).digest()[:6], "little")


def share(work: Callable[[], None], blocks: int) -> None:
    """Run the same work in several threads, which take blocks from one queue; return when all are done.

    Args:
        work: Releases the interpreter's lock while it runs.
        blocks: How many blocks there are; no more threads than these, or than torch uses.
    """
    helpers = min(torch.get_num_threads(), blocks) - 1
    threads = [threading.Thread(target=work) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()


def aligned(size: int) -> Floats:
    """Zeros (size,) that begin where a cache line does."""
    raw = np.zeros(size + 8)
    first = -(raw.ctypes.data // 8) % 8
    return raw[first : first + size]


class Announcement(event.Listener):
    """Says once that code of this package is being compiled; loading it from the cache is no such event."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: Any) -> None:
        function = getattr(event.data.get("dispatcher"), "py_func", None)
        if not self._said and str(getattr(function, "__module__", "")).startswith("ik_mdn."):
            self._said = True
            _log.warning("compiling, once: about 20 s for solving, 30 s for self-motion")

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", Announcement())


class VectorType(types.Type):
    """Numba's name for a vector."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector{LANES}")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _widen(builder: Any, value: Any) -> Any:
    """A number in every lane; a vector as it is."""
    if value.type == _VECTOR:
        return value
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _constant(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


def _is_operand(*kinds: Any) -> bool:
    return any(k == VECTOR for k in kinds) and all(k == VECTOR or isinstance(k, types.Float) for k in kinds)


def _add_operator(function: Any, instruction: str) -> None:
    """Teach numba an operator between vectors, or a vector and a number."""

    @intrinsic
    def emit(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*(_widen(builder, x) for x in args), flags=_FLAGS)

        return VECTOR(a, b), generate

    @overload(function, strict=False, jit_options={"forceinline": True})
    def operate(a: Any, b: Any) -> Any:
        return (lambda a, b: emit(a, b)) if _is_operand(a, b) else None


for _function, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _add_operator(getattr(operator, _function), _instruction)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Address of vector number `index` of a contiguous float64 array."""
    data = context.make_array(kind)(context, builder, array).data
    first = builder.mul(index, ir.Constant(_INT, LANES))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Vector number `index` of an array.

    Args:
        typing: Numba's.
        array: Contiguous, float64, one-dimensional; bounds are not checked.
        index: The vector's first number is at `index * LANES`.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *args)
        return builder.load(pointer, align=8)

    return VECTOR(array, types.int64), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write vector number `index` of an array.

    Args:
        typing: Numba's.
        array: Contiguous, float64, one-dimensional; bounds are not checked.
        index: The vector's first number goes to `index * LANES`.
        value: A vector, or a number for every lane.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *args[:2])
        builder.store(_widen(builder, args[2]), pointer, align=8)
        return context.get_dummy_value()

    return types.none(array, types.int64, value), generate


@intrinsic
def spread(typing: Any, value: Any) -> Any:
    """A vector with one number in every lane.

    Args:
        typing: Numba's.
        value: A float64 number.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _widen(builder, args[0])

    return VECTOR(types.float64), generate


@intrinsic
def lane_numbers(typing: Any) -> Any:
    """The vector 0, 1, 2, ..., LANES - 1."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_VECTOR, [float(i) for i in range(LANES)])

    return VECTOR(), generate


@intrinsic
def where_less(typing: Any, a: Any, b: Any, then: Any, other: Any) -> Any:
    """Lane by lane `then` where a < b, otherwise (also where a or b is NaN) `other`.

    Args:
        typing: Numba's.
        a, b: What is compared: vectors, or numbers for every lane.
        then, other: What is chosen from: vectors, or numbers for every lane.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, then, other = (_widen(builder, x) for x in args)
        return builder.select(builder.fcmp_ordered("<", a, b), then, other)

    return VECTOR(a, b, then, other), generate


@intrinsic
def which_less(typing: Any, a: Any, b: Any) -> Any:
    """An integer whose bit i says whether a < b in lane i; 0 beside NaN.

    Args:
        typing: Numba's.
        a, b: Vectors, or numbers for every lane.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        less = builder.fcmp_ordered("<", *(_widen(builder, x) for x in args))
        return builder.zext(builder.bitcast(less, _BITS), _INT)

    return types.int64(a, b), generate


def _call(name: str) -> Any:
    @intrinsic
    def emit(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(_VECTOR, [_VECTOR])
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f64"), args)

        return VECTOR(VECTOR), generate

    return emit


root = _call("llvm.sqrt")
size = _call("llvm.fabs")


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
        return builder.bitcast(builder.xor(builder.bitcast(args[1], _INTS), sign), _VECTOR)

    if not isinstance(ahead, types.IntegerLiteral):
        return None
    return VECTOR(VECTOR, VECTOR, ahead), generate


@intrinsic
def take_number(typing: Any, counter: Any) -> Any:
    """The next number of a counter that threads share, 0 first; no number is given twice.

    Args:
        typing: Numba's.
        counter: int64 array of length 1, zero at the start; counted up atomically.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(_INT, 1), "monotonic")

    return types.int64(counter), generate


@part
def put(array: Floats, index: int, away: Vector, value: float) -> None:
    """Write one lane of a vector.

    By a load and a store of all lanes: after a store of one lane the next load of all would have to wait for it.

    Args:
        array: Contiguous, float64, one-dimensional.
        index: Number of the vector.
        away: Distance of each lane from the one to write, whose own is 0.
        value: What to write.
    """
    store(array, index, where_less(away, 0.5, value, load(array, index)))


_MAGIC = 6755399441055744.0  # 1.5 · 2^52: adding it leaves a number's nearest integer in the lowest bits
_QUARTER, _QUARTER_LOW = 1.5707963267948966, 6.123233995736766e-17  # π/2 in two parts


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
