"""How well conditioned joint vectors are, for compiled code."""

from __future__ import annotations

from typing import Any

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.kinematics import TARGET_SIZE, Problem, linearise, put_joints
from ik_mdn.solver.kernels.linear import gram
from ik_mdn.solver.kernels.threads import take_number
from ik_mdn.solver.kernels.vector import LANES, get, load, root, spread, store, where_less
from sim.arrays import BoolArray, FloatArray, IntArray


def condition_size(n: int) -> int:
    """How many vectors `condition` needs for n joints."""
    return n + TARGET_SIZE + 6 + 6 * n + 36 + 6


@kept
def condition(
    problem: Problem,
    q: FloatArray,
    least: float,
    singular: BoolArray,
    manipulability: FloatArray,
    queue: IntArray,
    ws: FloatArray,
) -> None:
    """Write, for each joint vector, whether it is singular and its manipulability; LANES at a time.

    Args:
        problem: The arm and the task.
        q: Joint vectors, (R, n) [rad, m].
        least: Smallest singular value of the task Jacobian (lengths in arm lengths) that is not singular.
        singular: Written: (R,).
        manipulability: Written: sqrt(det J Jᵀ), or sqrt(det Jᵀ J) where there are more constraints than joints, (R,).
        queue: Zero at the start, shared by all threads.
        ws: Workspace of `condition_size(n)` vectors.
    """
    n, m = q.shape[1], problem.n_linear + problem.angular
    target, out = n, n + TARGET_SIZE
    J, H = out + 6, out + 6 + 6 * n
    y = H + 36
    for k in range(TARGET_SIZE):
        store(ws, target + k, 1.0 if k in (0, 4, 8) else 0.0)
    while True:
        start = take_number(queue) * LANES
        if start >= len(q):
            break
        for lane in range(LANES):
            put_joints(ws, lane, problem, q[min(start + lane, len(q) - 1)], 0)
        linearise(ws, problem, 0, target, out)
        determinant, _ = _pivots(ws, m, n, J, H, y, 0.0)
        _, smallest = _pivots(ws, m, n, J, H, y, least * least)  # σ² - least² > 0 of every singular value σ
        store(ws, H, root(where_less(0.0, determinant, determinant, 0.0)))
        store(ws, H + 1, smallest)
        for lane in range(min(LANES, len(q) - start)):
            manipulability[start + lane] = get(ws, H, lane)
            singular[start + lane] = not get(ws, H + 1, lane) > 0.0


@part
def _pivots(ws: FloatArray, m: int, n: int, J: int, H: int, y: int, shift: float) -> Any:
    """Product of the pivots of J Jᵀ (Jᵀ J where m > n) - shift I (L D Lᵀ), and the smallest; -1 once one is not positive."""
    if m > n:
        gram(ws, n, m, J, 1, n, H)
    else:
        gram(ws, m, n, J, n, 1, H)
    m = min(m, n)
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
