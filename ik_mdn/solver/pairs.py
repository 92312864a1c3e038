"""Where solutions come in pairs, one that is alone says that another is missing."""

from __future__ import annotations

import numpy as np

from ik_mdn.solver.engine import Engine, Found, Problem, Seeds, chunks
from ik_mdn.solver.folds import drop_connected
from sim.arrays import BoolArray
from sim.jacobians import comes_in_pairs

_FIRST = 64  # random seeds of the first round


def complete_pairs(engine: Engine, problem: Problem, found: Found, looked_at: BoolArray, seed: int) -> Found:
    """What was found, and of targets with an odd number of solutions what random seeds find besides.

    Three rounds at the most, each of twice as many seeds; see `sim.jacobians.comes_in_pairs`. Next to a
    singular solution two may be one: what is connected with a known one is left out.

    Args:
        engine: Does the work.
        problem: What is solved for.
        found: Solutions.
        looked_at: Which targets may lack one, shape (B,).
        seed: Of the random seeds.
    """
    arm = problem.arm
    if not comes_in_pairs(arm, problem.task):
        return found
    draws = arm.sample(np.random.default_rng([seed, _FIRST]), 7 * _FIRST)
    for q in np.split(draws, [_FIRST, 3 * _FIRST]):
        alone = np.bincount(found.pose, minlength=len(looked_at)) % 2 == 1
        for poses in chunks((alone & looked_at).nonzero()[0], len(q), engine.rows):
            if problem.is_late:
                return found
            more, _ = engine.settle(poses, Seeds.repeated(len(poses), q, 0.0), beside=True)
            if len(more.pose):
                more = more.take(engine.is_new(found, more))
                found = Found.join([found, more.take(_stands_alone(problem, found, more))])
    return found


def _stands_alone(problem: Problem, found: Found, more: Found) -> BoolArray:
    """Which of some more solutions are not connected with those of their targets that were found before, (S,)."""
    arm, task, T, _, tolerance, _ = problem
    alone = np.zeros(len(more.pose), np.bool_)
    for p in np.unique(more.pose):
        rows = more.pose == p
        alone[rows] = drop_connected(arm, task, T[p], found.q[found.pose == p], more.q[rows], tolerance)
    return alone
