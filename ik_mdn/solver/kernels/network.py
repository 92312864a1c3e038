"""The network's forward pass, for one pose or many: register tiles of rows by outputs.

The same network as `ik_mdn.model.network.Trunk` with a linear head. A row's numbers do not depend on how many rows there
are: every output is summed up in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numpy.typing import NDArray

from ik_mdn.solver.kernels import tiles
from ik_mdn.solver.kernels.compilation import piece
from ik_mdn.solver.kernels.emission import INT, SINGLE, Vector, Vectors, repeat
from ik_mdn.solver.kernels.machine import address_of, invoke
from ik_mdn.solver.kernels.pointers import Singles, ahead
from ik_mdn.solver.kernels.tiles import WIDE, slots

if TYPE_CHECKING:
    from ik_mdn.model import ModelConfig

ROWS = 6  # rows that a tile computes

_LANES = 16
_ACROSS = WIDE // _LANES  # all widths are filled up to a multiple of WIDE
_EPSILON = 1e-5  # torch's, of layer normalisation
_NEVER = -1e4  # logit of a component that fills up


class Layers(NamedTuple):
    """A network's parameters, filled up with zeros.

    Args:
        weights: Of all layers, one after the other; of each, WIDE outputs after WIDE outputs, by inputs.
        biases: Of all layers.
        norms: Of each normalisation, the last one's after the blocks': scale, shift, and 1 for what is not filling.
        n_in, width, n_out: Sizes; the last two are multiples of WIDE.
        blocks: Residual blocks.
        true_width: Of the width what is not filling.
        rows: That a tile computes.
        halves: 1 where two bfloat16 share a number, of the weights and of what they are multiplied with.
        tile, row, normalise, activate, add, narrow: Addresses of emitted functions.
    """

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]
    norms: NDArray[np.float32]
    n_in: int
    width: int
    n_out: int
    blocks: int
    true_width: int
    rows: int
    halves: int
    tile: int
    row: int
    normalise: int
    activate: int
    add: int
    narrow: int


def layers_of(
    named: Mapping[str, NDArray[np.float32]], config: ModelConfig, order: NDArray[np.int64], *, halves: bool = False
) -> Layers:
    """A network's parameters.

    Args:
        named: Its weights by their names, with a linear head.
        config: Of it.
        order: Which number of the head each output is, -1 for one that stands for no component.
        halves: Multiply in bfloat16 where the processor has registers for it, in float32 elsewhere.
    """
    halves = halves and tiles.has_tiles()
    true_width, n_in = config.width, len(named["centre"])
    blocks = [f"trunk.blocks.{i}" for i in range(config.blocks)]
    width = _filled(true_width)
    weights, biases = list[Any](), list[Any]()
    for place, layer in enumerate(["trunk.input", *(f"{block}.{place}" for block in blocks for place in (1, 3))]):
        _add(weights, biases, named[f"{layer}.weight"], named[f"{layer}.bias"], width if place else n_in, halves)
    known = order >= 0
    last = np.where(known[:, None], named["head.out.weight"][order], 0.0)
    _add(weights, biases, last, np.where(known, named["head.out.bias"][order], _NEVER), width, halves)
    norms = [*(f"{block}.0" for block in blocks), "trunk.norm"]
    rows = [(named[f"{norm}.weight"], named[f"{norm}.bias"], np.ones(true_width)) for norm in norms]
    scales = np.zeros((len(rows), 3, width), np.float32)
    scales[:, :, :true_width] = rows
    return Layers(
        _aligned(np.concatenate(weights)),
        _aligned(np.concatenate(biases)),
        _aligned(scales.ravel()),
        n_in,
        width,
        _filled(len(order)),
        len(blocks),
        true_width,
        tiles.ROWS if halves else ROWS,
        int(halves),
        *_code(halves),
    )


def _add(weights: list[Any], biases: list[Any], W: Any, b: Any, n_in: int, halves: bool) -> None:
    """Put a layer's weights (outputs, inputs) and bias behind those of the layers before."""
    full = np.zeros((_filled(len(W)), n_in), np.float32)
    full[: len(W), : W.shape[1]] = W
    weights.append(tiles.packed(full) if halves else full.reshape(-1, WIDE, n_in).transpose(0, 2, 1).ravel())
    biases.append(np.concatenate([b, np.zeros(len(full) - len(b))]).astype(np.float32))


def _filled(size: int) -> int:
    return -(-size // WIDE) * WIDE


def _aligned(values: Any) -> NDArray[np.float32]:
    """A copy that begins where a cache line does."""
    raw = np.zeros(len(values) + _LANES, np.float32)
    first = -(raw.ctypes.data // 4) % _LANES
    raw[first : first + len(values)] = values
    return raw[first : first + len(values)]


@lru_cache(maxsize=2)
def _code(halves: bool) -> tuple[int, ...]:
    if halves:
        tile = address_of("multiply", (), "ffffiiii", tiles.emit_multiply)
        row = address_of("multiply_row", (), "ffffiiii", tiles.emit_multiply_row)
    else:
        tile = address_of("tile", (ROWS,), "ffffiiii", partial(_tile, ROWS))
        row = address_of("row", (1,), "ffffiiii", partial(_tile, 1))
    return (
        tile,
        row,
        address_of("normalise", (), "fffii", _normalise),
        address_of("activate", (), "fi", _activate),
        address_of("add", (), "ffi", _add_row),
        address_of("narrow", (), "ffiii", tiles.emit_narrow) if halves else 0,
    )


def _tile(
    rows: int, builder: Any, x: Any, W: Any, bias: Any, out: Any, n_in: Any, from_row: Any, to_row: Any, _: Any
) -> None:
    """WIDE outputs of some rows: bias + x W; rows of x and of out are `from_row` and `to_row` numbers apart."""
    o = Vectors(builder, _LANES, SINGLE)
    sums = [[cgutils.alloca_once_value(builder, o.load(bias, j).ir) for j in range(_ACROSS)] for _ in range(rows)]
    begins = [builder.gep(x, [builder.mul(from_row, ir.Constant(INT, r))]) for r in range(rows)]

    def multiply(k: Any) -> None:
        row = builder.gep(W, [builder.mul(k, ir.Constant(INT, WIDE))])
        weights = [o.load(row, j) for j in range(_ACROSS)]
        for r in range(rows):
            value = o.number(begins[r], k)
            for j in range(_ACROSS):
                builder.store((Vector(o, builder.load(sums[r][j])) + value * weights[j]).ir, sums[r][j])

    repeat(builder, n_in, multiply)
    for r in range(rows):
        row = builder.gep(out, [builder.mul(to_row, ir.Constant(INT, r))])
        for j in range(_ACROSS):
            o.store(row, j, Vector(o, builder.load(sums[r][j])))


def _normalise(builder: Any, x: Any, norm: Any, out: Any, width: Any, true_width: Any) -> None:
    """Zero mean, unit variance, then scale and shift."""
    o = Vectors(builder, _LANES, SINGLE)
    count, share = builder.udiv(width, ir.Constant(INT, _LANES)), o.spread(builder.sitofp(true_width, SINGLE))
    scale, shift, true = (builder.gep(norm, [builder.mul(width, ir.Constant(INT, i))]) for i in range(3))

    def mean_of(term: Any) -> Any:
        kept = cgutils.alloca_once_value(builder, o.spread(0.0).ir)
        repeat(builder, count, lambda j: builder.store((Vector(o, builder.load(kept)) + term(j)).ir, kept))
        return o.spread(o.sum(Vector(o, builder.load(kept)))) / share

    mean = mean_of(lambda j: o.load(x, j))

    def away(j: Any) -> Vector:
        return (o.load(x, j) - mean) * o.load(true, j)

    factor = 1.0 / o.root(mean_of(lambda j: away(j) * away(j)) + _EPSILON)
    repeat(builder, count, lambda j: o.store(out, j, away(j) * factor * o.load(scale, j) + o.load(shift, j)))


def _activate(builder: Any, x: Any, width: Any) -> None:
    """x / (1 + e^-x)."""
    o = Vectors(builder, _LANES, SINGLE)

    def activate(j: Any) -> None:
        value = o.load(x, j)
        o.store(x, j, value / (1.0 + o.exp(0.0 - value)))

    repeat(builder, builder.udiv(width, ir.Constant(INT, _LANES)), activate)


def _add_row(builder: Any, x: Any, y: Any, width: Any) -> None:
    """x + y into x."""
    o = Vectors(builder, _LANES, SINGLE)
    count = builder.udiv(width, ir.Constant(INT, _LANES))
    repeat(builder, count, lambda j: o.store(x, j, o.load(x, j) + o.load(y, j)))


@piece
def forward(x: Singles, count: int, layers: Layers, out: Singles, scratch: Singles) -> None:
    """Write the outputs of some rows of scaled inputs.

    Args:
        x: Rows of `n_in`.
        count: Rows.
        layers: The network.
        out: Written: rows of `n_out`.
        scratch: Four times as many rows of `width`.
    """
    width, size = layers.width, count * layers.width
    hidden, scaled, middle, narrow = scratch, ahead(scratch, size), ahead(scratch, 2 * size), ahead(scratch, 3 * size)
    place, row = _affine(x, count, layers, layers.n_in, width, 0, 0, hidden, narrow)
    for k in range(layers.blocks):
        _normalise_rows(hidden, count, layers, k, scaled)
        place, row = _affine(scaled, count, layers, width, width, place, row, middle, narrow)
        invoke(layers.activate, (middle, size))
        place, row = _affine(middle, count, layers, width, width, place, row, scaled, narrow)
        invoke(layers.add, (hidden, scaled, size))
    _normalise_rows(hidden, count, layers, layers.blocks, scaled)
    _affine(scaled, count, layers, width, layers.n_out, place, row, out, narrow)


@piece
def _normalise_rows(x: Singles, count: int, layers: Layers, k: int, out: Singles) -> None:
    """The k-th normalisation of all rows."""
    width, norm = layers.width, ahead(layers.norms, 3 * k * layers.width)
    for b in range(count):
        row = (ahead(x, b * width), norm, ahead(out, b * width), width, layers.true_width)
        invoke(layers.normalise, row)


@piece
def _affine(
    x: Singles,
    count: int,
    layers: Layers,
    n_in: int,
    n_out: int,
    place: int,
    row: int,
    out: Singles,
    narrow: Singles,
) -> tuple[int, int]:
    """One layer of all rows; where the next one's weights and biases are."""
    left, size = x, n_in
    if layers.halves > 0:
        left, size = narrow, slots(n_in)
        invoke(layers.narrow, (x, narrow, n_in, size, count))
    for j in range(0, n_out, WIDE):
        W, bias, b = ahead(layers.weights, place + j * size), ahead(layers.biases, row + j), 0
        while b < count:
            rows = min(layers.rows, count - b)
            if rows < layers.rows and layers.halves == 0:
                rows = 1
            given = (ahead(left, b * size), W, bias, ahead(out, b * n_out + j), size, size, n_out, rows)
            invoke(layers.row if rows == 1 else layers.tile, given)
            b += rows
    return place + size * n_out, row + n_out
