"""Solutions of redundant arms inside a box of joint space: in limits, or near a joint vector."""

from __future__ import annotations

import numpy as np

from ik_mdn.solver.engine import Problem, fine_tolerance
from ik_mdn.solver.refinement import refine
from sim.arrays import FloatArray, IntArray

_ROUNDS = 30
_MARGIN = 1e-3  # share of the box that is left free inside its faces, so that refinement need not end on them


def pull_inside(problem: Problem, pose: IntArray, q: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Joint vectors moved along what the target leaves free until they lie in a box, as far as that leads there.

    Alternating projections: each is refined, put onto the box where it leaves it, refined again, and so on (Bauschke
    and Borwein, On projection algorithms for solving convex feasibility problems, SIAM Review 38(3), 1996).

    Args:
        problem: What is solved for.
        pose: Which target each is for, shape (R,).
        q: Where to start [rad, m], shape (R, n).
        low, high: The box, shape (n,) or (R, n); infinite where it is open.

    Returns:
        Seeds, shape (R, n), in the box, for a last refinement; nothing says that they meet the target.
    """
    arm = problem.arm
    low, high = np.broadcast_to(low, q.shape), np.broadcast_to(high, q.shape)
    with np.errstate(invalid="ignore"):  # an open box: ∞ - ∞
        margin = np.where(np.isfinite(high - low), _MARGIN * (high - low), 0.0)
        low, high = low + margin, high - margin
        middle = np.where(np.isfinite(low + high), (low + high) / 2, np.clip(0.0, low, high))
    q = _clipped(problem, q, middle, low, high)
    active = np.arange(len(q))
    for _ in range(_ROUNDS):
        if not len(active) or problem.is_late:
            break
        T, tolerance = problem.T[pose[active]], fine_tolerance(problem.tolerance)
        ends = refine(arm, problem.task, T, q[active], tolerance=tolerance)
        moved = _clipped(problem, ends.q, middle[active], low[active], high[active])
        away = np.abs(moved - q[active]).max(axis=1)
        q[active] = moved
        active = active[away > 1e-6]  # it stands still: inside, or at the point of the box that is nearest
    return q


def _clipped(problem: Problem, q: FloatArray, middle: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Put onto the box, after the full turns that bring each joint nearest to its middle."""
    return np.asarray(np.clip(middle + problem.arm.nearest_image(q - middle), low, high))
