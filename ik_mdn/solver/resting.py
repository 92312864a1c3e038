"""Where an arm rests on a limit: measured states a hair beyond it, and targets taken from them."""

from __future__ import annotations

import logging

import numpy as np

from ik_mdn.solver.engine import NEARLY, Found, Problem, fine_tolerance
from ik_mdn.solver.refinement import refine
from sim.arm import LIMIT_SLACK, clip_measured
from sim.arrays import FloatArray, IntArray
from sim.kinematics import forward_kinematics
from sim.task import error_norms, task_error

_log = logging.getLogger(__name__)


def on_limits(problem: Problem, poses: IntArray) -> Found:
    """The joint vectors next to `near` that meet their targets but for joints a hair beyond a limit, these put on it.

    Given are those that then miss by up to `NEARLY`. Of the first other one that is beyond limits the log names the joint.

    Args:
        problem: What is solved for, with `near`.
        poses: Numbers of targets that nothing in limits meets, ascending.
    """
    arm, task, T, near, tolerance, _ = problem
    assert near is not None
    T = T[poses]
    ends = refine(arm, task, T, near[poses], tolerance=fine_tolerance(tolerance))
    exact = near[poses] + arm.nearest_image(ends.q - near[poses])
    met = np.maximum(ends.err_pos, ends.err_rot) <= tolerance
    q = np.clip(exact, arm.q_min, arm.q_max)
    err_pos, err_rot = error_norms(task_error(task, forward_kinematics(arm, q), T))
    hair = met & (np.maximum(err_pos, err_rot) <= max(tolerance, NEARLY + LIMIT_SLACK))
    q[hair] = clip_measured(arm, exact[hair])
    hair &= ((arm.q_min <= q) & (q <= arm.q_max)).all(axis=1)
    _name_joint(problem, exact[met & ~hair])
    return Found(poses, q, np.zeros(len(q)), err_pos, err_rot).take(hair)


def _name_joint(problem: Problem, q: FloatArray) -> None:
    """Say of the first joint vector which joint is farthest beyond its limits."""
    arm = problem.arm
    beyond = np.maximum(arm.q_min - q, q - arm.q_max)[:1]
    for i in beyond.argmax(axis=1):
        _log.info(
            "%s: next to q_seed joint %r would be %.1e beyond its limit", arm.name, arm.joint_names[i], beyond[0, i]
        )
