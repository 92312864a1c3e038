"""Where solutions are not countable: curves of joint vectors that all meet one target."""

from __future__ import annotations

import numpy as np

from ik_mdn.solver.engine import SINGULAR, Found, Problem, fine_tolerance, portions
from ik_mdn.solver.refinement import refine
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.jacobians import scaled_task_jacobian

_STEP = 0.05  # [rad, arm lengths] from a solution along the direction in which the tip stands still
_STAYS = 0.25  # share of a step that refinement must leave of it
_LOOKED_AT = 4  # singular solutions of a target


def on_curve(problem: Problem, pose: IntArray, q: FloatArray) -> BoolArray:
    """Which solutions lie on a curve of solutions, of a task with as many constraints as joints or more.

    There the task Jacobian is singular, and the error stays zero along the curve to every order. So one and two steps
    along a null direction, to both sides, are refined: on a curve they end apart from each other and from the
    solution; where finitely many roots meet refinement leads back to these.

    Args:
        problem: What was solved for.
        pose: Which target each solution is for, shape (R,).
        q: Solutions [rad, m], shape (R, n).

    Returns:
        Shape (R,); False for what was not looked at when the time was over.
    """
    result = np.zeros(len(q), np.bool_)
    for part in portions(len(q), problem):
        result[part] = _on_curve(problem, pose[part], q[part])
    return result


def curved_targets(problem: Problem, found: Found, singular: BoolArray) -> BoolArray:
    """Of which targets a solution lies on a curve of solutions; only a few singular ones of each are looked at.

    Args:
        problem: What was solved for.
        found: Solutions.
        singular: Which of them are singular, (M,).

    Returns:
        Shape (B,).
    """
    curved: BoolArray = np.zeros(len(problem.T), np.bool_)
    rows = singular.nonzero()[0]
    if not len(rows):
        return curved
    pose = found.pose[rows]
    some = np.arange(len(rows)) - pose.searchsorted(pose) < _LOOKED_AT
    curved[pose[some][on_curve(problem, pose[some], found.q[rows[some]])]] = True
    return curved


def _on_curve(problem: Problem, pose: IntArray, q: FloatArray) -> BoolArray:
    """See `on_curve`."""
    arm, task = problem.arm, problem.task
    result = np.zeros(len(q), np.bool_)
    _, sigma, right = np.linalg.svd(scaled_task_jacobian(arm, task, q)[1])
    row, direction = (sigma < SINGULAR).nonzero()
    if not len(row):
        return result
    v = right[row, direction] * arm.joint_units
    steps = np.array([-2, -1, 1, 2])[:, None, None] * (_STEP / 2) * v  # (4, S, n)
    T, seeds = problem.T[np.tile(pose[row], 4)], (q[row] + steps).reshape(-1, arm.n_joints)
    ends = refine(arm, task, T, seeds, tolerance=fine_tolerance(problem.tolerance))
    error = np.maximum(ends.err_pos, ends.err_rot).reshape(4, -1)
    way = arm.nearest_image(ends.q.reshape(4, -1, arm.n_joints) - q[row]) / arm.joint_units
    along = (way * v / arm.joint_units).sum(axis=-1) / (_STEP / 2)  # -2, -1, 1, 2 on a straight line
    gaps = np.diff(np.insert(along, 2, 0.0, axis=0), axis=0)
    curved = (error <= problem.tolerance).all(axis=0) & (gaps >= _STAYS).all(axis=0)
    result[row[curved]] = True
    return result
