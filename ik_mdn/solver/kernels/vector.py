"""Vectors of LANES float64 numbers for compiled code: one LLVM value each, so that vectorising is no matter of luck.

A workspace is a flat array of vectors: vector i is at `i * LANES`. Functions marked `intrinsic` are for compiled code
alone, which calls them without `typing`: numba fills that in.
"""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from ik_mdn.solver.kernels.compilation import part
from sim.arrays import FloatArray

Vector: TypeAlias = Any  # what compiled code holds LANES numbers in; Python never sees one

LANES = 8  # two AVX registers or one AVX-512 register: enough independent work to hide the latency of an addition

_DOUBLE, _INT = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_BITS = ir.IntType(LANES)
_FLAGS = ("contract",)  # a product and a sum may become one fused operation; NaN and infinity keep their meaning


def workspace(vectors: int) -> FloatArray:
    """Zeros for that many vectors; the first begins where a cache line does."""
    raw = np.zeros(vectors * LANES + 8)
    first = -(raw.ctypes.data // 8) % 8
    return raw[first : first + vectors * LANES]


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
def _lane_numbers(typing: Any) -> Any:
    """The vector 0, 1, 2, ..., LANES - 1."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_VECTOR, [float(i) for i in range(LANES)])

    return VECTOR(), generate


@part
def put(ws: FloatArray, index: int, lane: int, value: float) -> None:
    """Write one lane of a vector.

    By a load and a store of all lanes: after a store of one lane the next load of all would have to wait for it.

    Args:
        ws: Workspace.
        index: Number of the vector.
        lane: Which of its numbers.
        value: What to write.
    """
    away = size(_lane_numbers() - float(lane))
    store(ws, index, where_less(away, 0.5, value, load(ws, index)))


@part
def get(ws: FloatArray, index: int, lane: int) -> float:
    """One lane of a vector.

    Args:
        ws: Workspace.
        index: Number of the vector.
        lane: Which of its numbers.
    """
    return ws[index * LANES + lane]
