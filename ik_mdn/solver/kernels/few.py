"""What comes before and after refinement in two compiled calls: for few targets, calling costs more than computing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.branches import compact, settle
from ik_mdn.solver.kernels.encode import encode
from ik_mdn.solver.kernels.forward import forward
from ik_mdn.solver.kernels.seeds import decode
from ik_mdn.solver.kernels.vector import Floats, kept, stamp


def _define(version: int) -> tuple[Any, Any]:
    """The functions to compile; see `ik_mdn.solver.kernels.vector.stamp`."""

    def propose_few(T: Floats, frames: Any, layers: Any, reading: Any, most: int) -> Any:
        """The model's seeds for few targets.

        Args:
            T: Targets, (B, 4, 4).
            frames: What `encode` takes between targets and inputs.
            layers: What `forward` takes between its input and its output.
            reading: What `decode` takes between shift and `most`.
            most: Most seeds per target.

        Returns:
            The version; where each target's rows begin (B + 1,), its number (R,), seeds (R, n) and weights (R,).
        """
        B, n = len(T), reading[0][1]
        x, shift, queue = np.empty((B, len(frames[4])), np.float32), np.empty((B, 2)), np.zeros(1, np.int64)
        encode(T, frames[0], frames[1], frames[2], frames[3], frames[4], frames[5], x, shift, queue)
        raw = np.empty((B, layers[4].shape[1]), np.float32)
        forward(x, layers[0], layers[1], layers[2], layers[3], layers[4], raw)
        slots, weights, count = np.empty((B, most, n)), np.empty((B, most)), np.empty(B, np.int64)
        queue[0] = 0
        decode(raw, shift, reading[0], reading[1], most, slots, weights, count, queue)
        start = np.zeros(B + 1, np.int64)
        for b in range(B):
            start[b + 1] = start[b] + count[b]
        total = start[B]
        pose, seeds, weight = np.empty(total, np.int64), np.empty((total, n)), np.empty(total)
        for b in range(B):
            pose[start[b] : start[b + 1]] = b
            seeds[start[b] : start[b + 1]] = slots[b, : count[b]]
            weight[start[b] : start[b + 1]] = weights[b, : count[b]]
        return version, start, pose, seeds, weight

    def settle_few(
        start: NDArray[np.int64],
        q: Floats,
        weight: Floats,
        err_pos: Floats,
        err_rot: Floats,
        limits: Floats,
        turns: NDArray[np.bool_],
        near: Floats,
        numbers: Floats,
    ) -> Any:
        """What `settle` leaves of the rows, moved together.

        Args:
            start, q, weight, err_pos, err_rot, limits, turns, near, numbers: See `settle`.

        Returns:
            The version; where each target's rows begin (B + 1,), q (M, n), weight, err_pos and err_rot (M,), and the targets met (B,).
        """
        B, n = len(start) - 1, q.shape[1]
        count, met, queue = np.empty(B, np.int64), np.empty(B, np.bool_), np.zeros(1, np.int64)
        settle(start, q, weight, err_pos, err_rot, limits, turns, near, numbers, count, met, queue)
        offsets = np.zeros(B + 1, np.int64)
        for b in range(B):
            offsets[b + 1] = offsets[b] + count[b]
        total = offsets[B]
        rows, scalars = np.empty((total, n)), np.empty((3, total))
        compact(start, count, q, rows, offsets)
        for b in range(B):
            for k in range(count[b]):
                to, row = offsets[b] + k, start[b] + k
                scalars[0, to], scalars[1, to], scalars[2, to] = weight[row], err_pos[row], err_rot[row]
        return version, offsets, rows, scalars[0], scalars[1], scalars[2], met

    return kept(propose_few), kept(settle_few)


propose_few, settle_few = _define(stamp())
