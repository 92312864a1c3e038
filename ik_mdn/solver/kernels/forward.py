"""The network's forward pass for few poses, compiled: what torch needs to be called costs more than the arithmetic.

The same network as `ik_mdn.model.network.Trunk` with a linear head, in float32.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ik_mdn.solver.kernels.compilation import kept

Singles: TypeAlias = NDArray[np.float32]

_EPSILON = np.float32(1e-5)  # torch's, of layer normalisation

_quick = njit(fastmath={"contract", "reassoc"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)


class Layers(NamedTuple):
    """The network's parameters.

    Args:
        first: Input layer, (n_in + 1, width): weights by input, then the bias.
        inner: Weights of the blocks' layers by input, (2 · blocks, width, width).
        inner_bias: Their biases, (2 · blocks, width).
        norms: Scale and shift of the normalisations, the last one's after the blocks', (blocks + 1, 2, width).
        last: Head, (width + 1, n_out), like `first`.
    """

    first: Singles
    inner: Singles
    inner_bias: Singles
    norms: Singles
    last: Singles


@kept
def forward(x: Singles, layers: Layers, out: Singles) -> None:
    """Write the head's numbers (B, n_out) for each row of the scaled inputs x (B, n_in)."""
    first, inner, inner_bias, norms, last = layers
    width = first.shape[1]
    hidden, scaled, middle = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for b in range(len(x)):
        _affine(x[b], first[:-1], first[-1], hidden)
        for k in range(len(inner) // 2):
            _normalise(hidden, norms[k], scaled)
            _affine(scaled, inner[2 * k], inner_bias[2 * k], middle)
            _silu(middle)
            _affine(middle, inner[2 * k + 1], inner_bias[2 * k + 1], scaled)
            for i in range(width):
                hidden[i] += scaled[i]
        _normalise(hidden, norms[-1], scaled)
        _affine(scaled, last[:-1], last[-1], out[b])


@_quick
def _affine(x: Singles, weight: Singles, bias: Singles, out: Singles) -> None:
    """out = x W + b, four rows of W at a time."""
    for j in range(len(bias)):
        out[j] = bias[j]
    n = len(x) // 4 * 4
    for i in range(0, n, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(len(bias)):
            out[j] += a * weight[i, j] + b * weight[i + 1, j] + c * weight[i + 2, j] + d * weight[i + 3, j]
    for i in range(n, len(x)):
        for j in range(len(bias)):
            out[j] += x[i] * weight[i, j]


@_quick
def _normalise(x: Singles, norm: Singles, out: Singles) -> None:
    """Zero mean, unit variance, then scale and shift."""
    mean = np.float32(0.0)
    for i in range(len(x)):
        mean += x[i]
    mean /= np.float32(len(x))
    square = np.float32(0.0)
    for i in range(len(x)):
        square += (x[i] - mean) * (x[i] - mean)
    scale = np.float32(1.0) / np.sqrt(square / np.float32(len(x)) + _EPSILON)
    for i in range(len(x)):
        out[i] = (x[i] - mean) * scale * norm[0, i] + norm[1, i]


@_quick
def _silu(x: Singles) -> None:
    for i in range(len(x)):
        x[i] = x[i] / (np.float32(1.0) + np.exp(-x[i]))
