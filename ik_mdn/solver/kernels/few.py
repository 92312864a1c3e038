"""What comes before and after refinement in two compiled calls: for few targets, calling costs more than computing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ik_mdn.solver.kernels.branches import Bounds, Candidates, compact, settle
from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.encode import Frames, encode
from ik_mdn.solver.kernels.forward import Layers, forward
from ik_mdn.solver.kernels.seeds import Reading, decode
from sim.arrays import FloatArray, IntArray


@kept
def propose_few(T: FloatArray, frames: Frames, layers: Layers, reading: Reading, most: int) -> Any:
    """The model's seeds for few targets.

    Args:
        T: Targets, (B, 4, 4).
        frames, layers, reading: The model's numbers.
        most: Most seeds per target.

    Returns:
        Where each target's rows begin, (B + 1,), seeds (R, n) and weights (R,).
    """
    B, n = len(T), reading.joints
    x, shift, queue = np.empty((B, len(frames.centre)), np.float32), np.empty((B, 2)), np.zeros(1, np.int64)
    encode(T, frames, x, shift, queue)
    raw = np.empty((B, layers.last.shape[1]), np.float32)
    forward(x, layers, raw)
    slots, weights, count = np.empty((B, most, n)), np.empty((B, most)), np.empty(B, np.int64)
    queue[0] = 0
    decode(raw, shift, reading, slots, weights, count, queue)
    start = _ends(count)
    seeds, weight = np.empty((start[B], n)), np.empty(start[B])
    for b in range(B):
        seeds[start[b] : start[b + 1]] = slots[b, : count[b]]
        weight[start[b] : start[b + 1]] = weights[b, : count[b]]
    return start, seeds, weight


@kept
def settle_few(start: IntArray, rows: Candidates, bounds: Bounds) -> Any:
    """What `settle` leaves of the rows of few targets, moved together.

    Args:
        start, rows, bounds: See `settle`.

    Returns:
        Where each target's rows begin, (B + 1,), q (M, n), weight, err_pos and err_rot (M,), and the targets met (B,).
    """
    B, n = len(start) - 1, rows.q.shape[1]
    count, met, queue = np.empty(B, np.int64), np.empty(B, np.bool_), np.zeros(1, np.int64)
    settle(start, rows, bounds, count, met, queue)
    offsets = _ends(count)
    total = offsets[B]
    moved = Candidates(np.empty((total, n)), np.empty(total), np.empty(total), np.empty(total))
    compact(start, count, rows, offsets, moved)
    return offsets, moved.q, moved.weight, moved.err_pos, moved.err_rot, met


@part
def _ends(count: IntArray) -> IntArray:
    """Where each target's rows begin, and the end."""
    start = np.zeros(len(count) + 1, np.int64)
    for b in range(len(count)):
        start[b + 1] = start[b] + count[b]
    return start
