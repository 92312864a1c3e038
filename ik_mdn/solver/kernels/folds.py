"""Seeds across folds for compiled code: the same as `ik_mdn.solver.folds.seeds_across_folds`, LANES solutions at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.folds import FARTHEST, NEAR_FOLD, STEP
from ik_mdn.solver.kernels.kinematics import TARGET_SIZE, linearise
from ik_mdn.solver.kernels.linear import factor, substitute
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

_POWER_STEPS = 4  # of inverse iteration: the others die out as (σ₁/σ₂)², squared in each
_TINY = 1e-14  # keeps a singular matrix invertible


def fold_size(n: int) -> int:
    """How many vectors `across` needs for n joints."""
    return 2 * n + TARGET_SIZE + 2 * (6 + 6 * n) + n * n + 4 * n


@part
def _divide(ws: Floats, n: int, H: int, u: int) -> Any:
    """Solve with what `factor` left, and normalise the result in u; its squared length before that comes back."""
    substitute(ws, n, H, u)
    square = spread(0.0)
    for i in range(n):
        square = square + load(ws, u + i) * load(ws, u + i)
    scale = 1.0 / root(square)
    for i in range(n):
        store(ws, u + i, load(ws, u + i) * scale)
    return square


def _define(version: int) -> Any:
    """The function to compile; see `ik_mdn.solver.kernels.vector.stamp`."""

    def across(
        T: Floats,
        pose: NDArray[np.int64],
        q: Floats,
        base: Floats,
        chain: Floats,
        slides: NDArray[np.int64],
        unit: Floats,
        task_code: NDArray[np.int64],
        length: float,
        seeds: Floats,
        near: NDArray[np.bool_],
        queue: NDArray[np.int64],
        ws: Floats,
    ) -> int:
        """Write the seed across the nearest fold, and whether the solution is near one.

        Args:
            T: Targets, (B, 4, 4).
            pose: Which one each solution is for, (R,).
            q: Solutions, (R, n), n constraints.
            base, chain, slides, unit, task_code, length: The arm and the task, see `ik_mdn.solver.kernels.refine`.
            seeds: Written: (R, n).
            near: Written: (R,).
            queue: Zero at the start, shared by all threads.
            ws: Workspace of `fold_size(n)` vectors.

        Returns:
            The version.
        """
        n_linear, angular = task_code
        n = len(slides)
        moved, target = n, 2 * n
        now = target + TARGET_SIZE
        aside = now + 6 + 6 * n
        H = aside + 6 + 6 * n
        u, v, y = H + n * n, H + n * n + n, H + n * n + 2 * n
        while True:
            start = take_number(queue) * LANES
            if start >= len(q):
                break
            for lane in range(LANES):
                away = size(lane_numbers() - float(lane))
                row = min(start + lane, len(q) - 1)
                goal = T[pose[row]]
                for k in range(n):
                    put(ws, k, away, q[row, k] / unit[k])
                for i in range(3):
                    for j in range(3):
                        put(ws, target + 3 * i + j, away, goal[i, j])
                    put(ws, target + 9 + i, away, goal[i, 3] / length)
            linearise(ws, base, chain, slides, n_linear, angular, 0, target, now)
            J = now + 6
            factor(ws, n, n, J, H, y, _TINY)
            for k in range(n):
                store(ws, u + k, 1.0 + 0.1 * k)
            square = spread(1.0)
            for _ in range(_POWER_STEPS):
                square = _divide(ws, n, H, u)
            sigma = root(1.0 / root(square))
            for k in range(n):
                t = spread(0.0)
                for i in range(n):
                    t = t + load(ws, J + i * n + k) * load(ws, u + i)
                store(ws, v + k, t / sigma)
            curvature = spread(0.0)
            for side in range(2):
                for k in range(n):
                    store(ws, moved + k, load(ws, k) + (STEP if side else -STEP) * load(ws, v + k))
                linearise(ws, base, chain, slides, n_linear, angular, moved, target, aside)
                for i in range(n):
                    curvature = curvature - load(ws, aside + i) * load(ws, u + i)
            curvature = curvature / STEP**2
            curvature = where_less(size(curvature), 1e-12, 1e-12, curvature)
            t = -2.0 * sigma / curvature
            t = where_less(t, -FARTHEST, -FARTHEST, where_less(FARTHEST, t, FARTHEST, t))
            store(ws, y, sigma)
            for k in range(n):
                store(ws, moved + k, load(ws, k) + t * load(ws, v + k))
            for lane in range(min(LANES, len(q) - start)):
                near[start + lane] = ws[y * LANES + lane] < NEAR_FOLD
                for k in range(n):
                    seeds[start + lane, k] = ws[(moved + k) * LANES + lane] * unit[k]
        return version

    return kept(across)


across = _define(stamp())
