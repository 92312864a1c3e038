"""Very near to a singular configuration: seeds along the valleys in which refinement loses its way."""

from __future__ import annotations

import numpy as np

from ik_mdn.solver.engine import Engine, Found, Problem, Seeds, fine_tolerance
from ik_mdn.solver.refinement import refine
from sim.arrays import IntArray
from sim.jacobians import scaled_task_jacobian

EXACT = 1e-3  # share of the tolerance up to which an error is that of a root
_MOST = 12  # seeds of a target that are lost and looked after
_NEAR = 0.01  # error [m], [rad] below which a refined seed is in a valley, if
_WEAK = 3e-3  # the smallest singular value there is no larger
_FAR = 4.6  # how far along it seeds go [rad, arm lengths]: π in each of two joints that turn against each other
_COUNT = 24  # how many
_SHIFTS = (0.25, 0.75)


def look_along(engine: Engine, problem: Problem, poses: IntArray, seeds: Seeds, found: Found) -> Found:
    """What was found, and what lies along the valleys of singular solutions and of seeds that are given up near targets.

    At a distance δ from a singular configuration (a wrist bent by so little) a curve of joint vectors meets the target up
    to an error of the order of δ, and roots lie on it that a linear model does not see from afar. From seeds no further
    apart along the curve than some tenths of a radian refinement finds them.

    Args:
        engine: Refines.
        problem: What is solved for.
        poses: Numbers of some targets, (P,).
        seeds: Theirs.
        found: Solutions of all targets.
    """
    astray = lost(problem, poses, seeds)
    for shift in _SHIFTS:
        known = found.take(np.isin(found.pose, poses))
        roots = Seeds.weightless(np.bincount(poses.searchsorted(known.pose), minlength=len(poses)), known.q)
        more, _ = engine.settle(poses, along_valleys(problem, Seeds.join([astray, roots]), shift))
        more = more.take(np.maximum(more.err_pos, more.err_rot) <= EXACT * problem.tolerance)
        more = more.take(engine.is_new(found, more)) if len(more.pose) else more
        if not len(more.pose):
            break
        found = Found.join([found, more])
        richer = np.isin(poses, more.pose)  # where there was something there may be more
        rows = richer.repeat(astray.counts)
        poses, astray = poses[richer], Seeds.weightless(astray.counts[richer], astray.q[rows])
    return found


def lost(problem: Problem, poses: IntArray, seeds: Seeds) -> Seeds:
    """Where seeds of some targets are given up very near to them: at most a dozen of each.

    Args:
        problem: What is solved for.
        poses: Numbers of the targets, (P,).
        seeds: Theirs.
    """
    pose = poses.repeat(seeds.counts)
    ends = refine(problem.arm, problem.task, problem.T[pose], seeds.q, tolerance=fine_tolerance(problem.tolerance))
    error = np.maximum(ends.err_pos, ends.err_rot)
    rows = ((error < _NEAR) & (error > EXACT * problem.tolerance)).nonzero()[0]
    place = np.searchsorted(poses, pose[rows])
    few = np.arange(len(rows)) - place.searchsorted(place) < _MOST
    return Seeds.weightless(np.bincount(place[few], minlength=len(poses)), ends.q[rows[few]])


def along_valleys(problem: Problem, ends: Seeds, shift: float) -> Seeds:
    """Seeds spread over the valleys that joint vectors lie in.

    Args:
        problem: What is solved for.
        ends: Joint vectors near some targets.
        shift: Where between two seeds of another shift these are, 0 to 1.

    Returns:
        Seeds of the same targets; none where no joint vector lies in a valley.
    """
    arm = problem.arm
    _, sigma, right = np.linalg.svd(scaled_task_jacobian(arm, problem.task, ends.q)[1])
    rows = (sigma[:, -1] < _WEAK).nonzero()[0]
    steps = _FAR * (2 * (np.arange(_COUNT) + shift) / _COUNT - 1)
    along = ends.q[rows][:, None] + steps[:, None] * (right[rows, -1] * arm.joint_units)[:, None]  # (R, S, n)
    counts = np.bincount(np.arange(len(ends.counts)).repeat(ends.counts)[rows], minlength=len(ends.counts)) * _COUNT
    return Seeds.weightless(counts, along.reshape(-1, arm.n_joints))
