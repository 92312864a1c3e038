"""Seeds across folds for compiled code: as `ik_mdn.solver.folds.seeds_across_folds`, LANES solutions at a time."""

from __future__ import annotations

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.kinematics import TARGET_SIZE, Problem, get_joints, linearise, put_joints, put_target
from ik_mdn.solver.kernels.linear import factor, gram, substitute
from ik_mdn.solver.kernels.rules import FARTHEST, NEAR_FOLD, STEP
from ik_mdn.solver.kernels.threads import take_number
from ik_mdn.solver.kernels.vector import LANES, Vector, get, load, root, size, spread, store, where_less
from sim.arrays import BoolArray, FloatArray, IntArray

_POWER_STEPS = 4  # of inverse iteration: the others die out as (σ₁/σ₂)², squared in each
_TINY = 1e-14  # keeps a singular matrix invertible


def fold_size(n: int) -> int:
    """How many vectors `across` needs for n joints."""
    return 2 * n + TARGET_SIZE + 2 * (6 + 6 * n) + n * n + 3 * n


@kept
def across(
    problem: Problem,
    T: FloatArray,
    pose: IntArray,
    q: FloatArray,
    seeds: FloatArray,
    near: BoolArray,
    queue: IntArray,
    ws: FloatArray,
) -> None:
    """Write the seed across the nearest fold, and whether the solution is near one.

    Args:
        problem: The arm and the task, as many constraints as joints.
        T: Targets, (B, 4, 4).
        pose: Which one each solution is for, (R,).
        q: Solutions, (R, n).
        seeds: Written: (R, n).
        near: Written: (R,).
        queue: Zero at the start, shared by all threads.
        ws: Workspace of `fold_size(n)` vectors.
    """
    n = len(problem.slides)
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
            row = min(start + lane, len(q) - 1)
            put_joints(ws, lane, problem, q[row], 0)
            put_target(ws, lane, problem, T[pose[row]], target)
        linearise(ws, problem, 0, target, now)
        J = now + 6
        gram(ws, n, n, J, n, 1, H)
        factor(ws, n, H, y, _TINY, _TINY, _TINY)
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
            linearise(ws, problem, moved, target, aside)
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
            near[start + lane] = get(ws, y, lane) < NEAR_FOLD
            get_joints(ws, lane, problem, moved, seeds[start + lane])


@part
def _divide(ws: FloatArray, n: int, H: int, u: int) -> Vector:
    """Solve with what `factor` left, and normalise the result in u; its squared length before that comes back."""
    substitute(ws, n, H, u, u)
    square = spread(0.0)
    for i in range(n):
        square = square + load(ws, u + i) * load(ws, u + i)
    scale = 1.0 / root(square)
    for i in range(n):
        store(ws, u + i, load(ws, u + i) * scale)
    return square
