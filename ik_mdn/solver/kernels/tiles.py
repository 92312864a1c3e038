"""Products of matrices in bfloat16, summed in float32, by the tile registers of newer x86 processors (Intel's AMX).

An eighth of the time and half the memory of float32, for what need not be more exact than three digits: seeds, which are
refined in float64. A row's numbers do not depend on how many rows there are.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import register_jitable
from numpy.typing import NDArray

from ik_mdn.solver.kernels.emission import INT, SINGLE, Vector, Vectors, repeat

ROWS = 16  # rows of a register, at most
INPUTS = 32  # inputs that an instruction takes: sizes are filled up to a multiple
WIDE = 64  # outputs that are summed up at a time

_OUTPUTS = 16  # of a register
_ACROSS = WIDE // _OUTPUTS
_SLOTS = INPUTS // 2  # of 32 bits, with two numbers each
_BYTES = 1024  # of a register
_SUMS, _LEFT, _RIGHT = range(_ACROSS), 4, (5, 6, 7)  # numbers of the registers

_BYTE, _HALF, _WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_SYSCALL, _REQUEST, _TILE_DATA = 158, 0x1023, 18  # arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA of Linux


@lru_cache(maxsize=1)
def has_tiles() -> bool:
    """Whether this processor has the registers, and this process may use them, which Linux wants to be asked for once."""
    if not sys.platform.startswith("linux") or not llvm.get_host_cpu_features().get("amx-bf16", False):
        return False
    return bool(ctypes.CDLL(None).syscall(_SYSCALL, _REQUEST, _TILE_DATA) == 0)


@register_jitable
def slots(n_in: int) -> int:
    """Single-precision numbers that a row of inputs takes, two numbers in each."""
    return (n_in + INPUTS - 1) // INPUTS * _SLOTS


def packed(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (outputs, inputs), the outputs a multiple of 64, as the registers take them; two in each number.

    64 outputs after 64, of each 32 inputs after 32.
    """
    n_out, n_in = weights.shape
    full = np.zeros((n_out, 2 * slots(n_in)), np.float32)
    full[:, :n_in] = weights
    bits = full.view(np.uint32)
    short = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    parts = short.reshape(-1, _ACROSS, _OUTPUTS, full.shape[1] // INPUTS, _SLOTS, 2).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(parts).view(np.float32).ravel()


def emit_narrow(builder: Any, x: Any, out: Any, n_in: Any, size: Any, rows: Any) -> None:
    """Round rows of inputs to bfloat16, to the nearest and ties to even, filled up with zeros to `size` numbers of out."""
    many, wide = ir.VectorType(_WORD, _OUTPUTS), ir.VectorType(_HALF, _OUTPUTS)
    flags = ir.VectorType(ir.IntType(1), _OUTPUTS)
    kind = ir.FunctionType(many, [many.as_pointer(), _WORD, flags, many])
    load = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{_OUTPUTS}i32.p0")
    chunks = builder.udiv(size, INT(_OUTPUTS // 2))

    def all_of(value: int) -> Any:
        return ir.Constant(many, [value] * _OUTPUTS)

    def convert_row(r: Any) -> None:
        row = builder.gep(x, [builder.mul(r, n_in)])
        target = builder.bitcast(builder.gep(out, [builder.mul(r, size)]), wide.as_pointer())

        def convert(k: Any) -> None:
            first = builder.mul(k, INT(_OUTPUTS))
            left = builder.trunc(builder.sub(n_in, first), _WORD)
            counts = builder.insert_element(all_of(0), left, _WORD(0))
            counts = builder.shuffle_vector(counts, counts, all_of(0))
            there = builder.icmp_signed("<", ir.Constant(many, list(range(_OUTPUTS))), counts)
            place = builder.bitcast(builder.gep(row, [first]), many.as_pointer())
            bits = builder.call(load, [place, _WORD(4), there, all_of(0)])
            odd = builder.and_(builder.lshr(bits, all_of(16)), all_of(1))
            rounded = builder.lshr(builder.add(builder.add(bits, all_of(0x7FFF)), odd), all_of(16))
            builder.store(builder.trunc(rounded, wide), builder.gep(target, [k]), align=2)

        repeat(builder, chunks, convert)

    repeat(builder, rows, convert_row)


def emit_multiply(
    builder: Any, x: Any, W: Any, bias: Any, out: Any, size: Any, from_row: Any, to_row: Any, rows: Any
) -> None:
    """64 outputs of up to `ROWS` rows: bias + x W; rows of x and of out are `from_row` and `to_row` numbers apart."""

    def call(name: str, *given: Any) -> None:
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), given)

    def bytes_at(array: Any, numbers: Any) -> Any:
        return builder.bitcast(builder.gep(array, [numbers]), _BYTE.as_pointer())

    call("ldtilecfg", _shapes(builder, rows))
    for c in _SUMS:
        call("tileloadd64", _BYTE(c), bytes_at(bias, INT(c * _OUTPUTS)), INT(0))
    x_apart, W_apart, out_apart = (builder.mul(apart, INT(4)) for apart in (from_row, INT(_OUTPUTS), to_row))

    def add(k: Any) -> None:
        call("tileloadd64", _BYTE(_LEFT), bytes_at(x, builder.mul(k, INT(_SLOTS))), x_apart)
        for c in _SUMS:
            place = builder.mul(builder.add(builder.mul(k, INT(_ACROSS)), INT(c)), INT(_BYTES // 4))
            right = _BYTE(_RIGHT[c % len(_RIGHT)])
            call("tileloadd64", right, bytes_at(W, place), W_apart)
            call("tdpbf16ps", _BYTE(c), _BYTE(_LEFT), right)

    repeat(builder, builder.udiv(size, INT(_SLOTS)), add)
    for c in _SUMS:
        call("tilestored64", _BYTE(c), bytes_at(out, INT(c * _OUTPUTS)), out_apart)
    call("tilerelease")


def emit_multiply_row(
    builder: Any, x: Any, W: Any, bias: Any, out: Any, size: Any, from_row: Any, to_row: Any, rows: Any
) -> None:
    """The same of one row, in vector registers, which for so few are faster; the same numbers bit for bit.

    The order of sums is that of the tiles' instruction, TDPBF16PS: of 32 inputs first those with even numbers, one after
    the other, beside those with odd ones; then these two; then with what was there before.
    """
    o = Vectors(builder, _OUTPUTS, SINGLE)
    sums = [cgutils.alloca_once_value(builder, o.load(bias, c).ir) for c in _SUMS]

    def both(slot: Any) -> tuple[Vector, Vector]:
        bits = builder.bitcast(slot.ir, o.ints)
        halves = (
            builder.shl(bits, ir.Constant(o.ints, [16] * 16)),
            builder.and_(bits, ir.Constant(o.ints, [-65536] * 16)),
        )
        return Vector(o, builder.bitcast(halves[0], o.kind)), Vector(o, builder.bitcast(halves[1], o.kind))

    def add(k: Any) -> None:
        left, right = builder.gep(x, [builder.mul(k, INT(_SLOTS))]), builder.gep(W, [builder.mul(k, INT(_BYTES))])
        parts = [[o.spread(0.0), o.spread(0.0)] for _ in _SUMS]
        for slot in range(_SLOTS):
            numbers = both(o.number(left, slot))
            for c in _SUMS:
                for half, weight in enumerate(both(o.load(right, c * _SLOTS + slot))):
                    parts[c][half] = o.fused(numbers[half], weight, parts[c][half])
        for c, (even, odd) in zip(_SUMS, parts, strict=True):
            builder.store((Vector(o, builder.load(sums[c])) + (even + odd)).ir, sums[c])

    repeat(builder, builder.udiv(size, INT(_SLOTS)), add)
    for c in _SUMS:
        o.store(out, c, Vector(o, builder.load(sums[c])))


def _shapes(builder: Any, rows: Any) -> Any:
    """The registers' shapes, as the processor reads them: bytes of a row from byte 16 on, rows from byte 48 on."""
    shapes = cgutils.alloca_once_value(builder, ir.Constant(ir.ArrayType(_BYTE, 64), [0] * 64))
    first = builder.bitcast(shapes, _BYTE.as_pointer())

    def put(place: int, value: Any) -> None:
        builder.store(value, builder.gep(first, [INT(place)]))

    put(0, _BYTE(1))
    for register in range(8):
        put(16 + 2 * register, _BYTE(4 * _OUTPUTS))
        put(48 + register, _BYTE(_SLOTS) if register in _RIGHT else builder.trunc(rows, _BYTE))
    return first
