"""How well conditioned joint vectors are, for compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.kinematics import TARGET_SIZE, linearise
from ik_mdn.solver.kernels.linear import gram
from ik_mdn.solver.kernels.vector import (
    LANES,
    Floats,
    kept,
    lane_numbers,
    load,
    part,
    put,
    root,
    size,
    spread,
    stamp,
    store,
    take_number,
    where_less,
)


def condition_size(n: int) -> int:
    """How many vectors `condition` needs for n joints."""
    return n + TARGET_SIZE + 6 + 6 * n + 36 + 6


@part
def _pivots(ws: Floats, m: int, n: int, J: int, H: int, y: int, shift: float) -> Any:
    """Product and smallest of the pivots of J Jᵀ - shift I (L D Lᵀ); the smallest is -1 once one is not positive."""
    gram(ws, n, m, J, H)
    product, smallest = spread(1.0), spread(1e300)
    for j in range(m):
        pivot = load(ws, H + j * m + j) - shift
        for k in range(j):
            u = load(ws, H + j * m + k)
            v = u * load(ws, H + k * m + k)
            store(ws, y + k, v)
            pivot = pivot - u * v
        product = product * pivot
        pivot = where_less(0.0, smallest, where_less(0.0, pivot, pivot, -1.0), -1.0)
        smallest = where_less(pivot, smallest, pivot, smallest)
        store(ws, H + j * m + j, where_less(0.0, pivot, 1.0 / pivot, 0.0))
        for i in range(j + 1, m):
            t = load(ws, H + i * m + j)
            for k in range(j):
                t = t - load(ws, H + i * m + k) * load(ws, y + k)
            store(ws, H + i * m + j, t)
    return product, smallest


def _define(version: int) -> Any:
    """The function to compile; see `ik_mdn.solver.kernels.vector.stamp`."""

    def condition(
        q: Floats,
        base: Floats,
        chain: Floats,
        slides: NDArray[np.int64],
        unit: Floats,
        task_code: NDArray[np.int64],
        least: float,
        singular: NDArray[np.bool_],
        manipulability: Floats,
        queue: NDArray[np.int64],
        ws: Floats,
    ) -> int:
        """Write, for each joint vector, whether it is singular and its manipulability; LANES at a time.

        Args:
            q: Joint vectors, (R, n) [rad, m].
            base, chain, slides, unit, task_code: The arm and the task, see `ik_mdn.solver.kernels.refine`.
            least: Smallest singular value of the task Jacobian (lengths in arm lengths) that is not singular.
            singular: Written: (R,).
            manipulability: Written: sqrt(det J Jᵀ), (R,).
            queue: Zero at the start, shared by all threads.
            ws: Workspace of `condition_size(n)` vectors.

        Returns:
            The version.
        """
        n_linear, angular = task_code
        m, n = n_linear + angular, len(slides)
        target, out = n, n + TARGET_SIZE
        J, H = out + 6, out + 6 + 6 * n
        y = H + 36
        while True:
            start = take_number(queue) * LANES
            if start >= len(q):
                break
            for lane in range(LANES):
                away = size(lane_numbers() - float(lane))
                row = min(start + lane, len(q) - 1)
                for k in range(n):
                    put(ws, k, away, q[row, k] / unit[k])
            for k in range(TARGET_SIZE):
                store(ws, target + k, 1.0 if k in (0, 4, 8) else 0.0)
            linearise(ws, base, chain, slides, n_linear, angular, 0, target, out)
            determinant, _ = _pivots(ws, m, n, J, H, y, 0.0)
            _, smallest = _pivots(ws, m, n, J, H, y, least * least)
            store(ws, H, root(where_less(0.0, determinant, determinant, 0.0)))
            store(ws, H + 1, smallest)
            for lane in range(min(LANES, len(q) - start)):
                manipulability[start + lane] = ws[H * LANES + lane]
                singular[start + lane] = not ws[(H + 1) * LANES + lane] > 0.0
        return version

    return kept(condition)


condition = _define(stamp())
