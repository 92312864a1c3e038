"""From what a search found to what solving gives back: order, limits on number and distance, status."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import torch

from ik_mdn.solver.branches import wind
from ik_mdn.solver.engine import Condition, Engine, Found, Problem
from ik_mdn.solver.probabilities import Law, solution_weights
from ik_mdn.solver.search import Outcome
from ik_mdn.solver.solutions import STATUSES, SolutionBatch, Status
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray

Rank: TypeAlias = Literal["weight", "distance", "margin", "manipulability"]
RANKS = ("weight", "distance", "margin", "manipulability")


def collect(
    engine: Engine,
    problem: Problem,
    outcome: Outcome,
    rank: Rank,
    law: Law,
    *,
    windings: bool = False,
    max_jump: float | None = None,
    max_solutions: int | None = None,
) -> SolutionBatch:
    """Solutions best first, with each target's status.

    Args:
        engine: Measures how well conditioned solutions are.
        problem: What was solved for.
        outcome: What was found.
        rank: What solutions are ordered by.
        law: What their weights are to be.
        windings: Whether to add the other windings of each solution inside the limits.
        max_jump: Leave out what is further from the problem's `near` in a joint [rad, m].
        max_solutions: Keep only so many of the best per target.

    Returns:
        The batch; a target without rows has no solution.
    """
    found, targets = outcome.found, np.arange(len(problem.T) + 1)
    status = np.where(outcome.met, STATUSES.index(Status.OUT_OF_LIMITS), STATUSES.index(Status.UNREACHABLE))
    status[outcome.late] = STATUSES.index(Status.TIMED_OUT)
    status[found.pose] = STATUSES.index(Status.TOO_FAR)
    if windings:
        found = _wound(problem.arm, found)
    offsets, weight, condition = found.pose.searchsorted(targets), found.weight, None
    if law is Law.EXACT or rank == "manipulability":
        condition = engine.condition(found.q)
    if law is Law.EXACT and condition is not None:
        weight = solution_weights(problem.arm, offsets, found.q, condition.manipulability, windings=windings)
    rows: IntArray = np.arange(len(weight))
    if max_jump is not None:
        assert problem.near is not None
        rows = rows[np.abs(found.q - problem.near[found.pose]).max(axis=1, initial=0.0) <= max_jump]
        offsets = found.pose[rows].searchsorted(targets)
    rows = rows[_order(offsets, _key(problem, found, weight, condition, rank)[rows], max_solutions)]
    found, weight = found.take(rows), weight[rows]
    if max_solutions is not None:
        offsets = found.pose.searchsorted(targets)
    if outcome.refined:
        solved = (offsets[1:] > offsets[:-1]).nonzero()[0]
        first = offsets[solved]
        singular = engine.condition(found.q[first]).singular if condition is None else condition.singular[rows[first]]
        status[solved] = np.where(singular, STATUSES.index(Status.SINGULAR), STATUSES.index(Status.SOLVED))
    else:
        status[:] = STATUSES.index(Status.PROPOSED)
    kept = (found.q, weight, found.weight, found.err_pos, found.err_rot)
    return SolutionBatch(*kept, offsets, status.astype(np.uint8), law)


def _wound(arm: Arm, found: Found) -> Found:
    """Every winding of each solution inside the limits; they share its weight."""
    source, q = wind(arm, torch.from_numpy(found.q))
    rows = source.numpy()
    count = np.bincount(rows, minlength=len(found.q))
    every = found.take(rows)
    return every._replace(q=q.numpy(), weight=every.weight / count[rows])


def _key(problem: Problem, found: Found, weight: FloatArray, condition: Condition | None, rank: Rank) -> FloatArray:
    """What to sort by, ascending, (M,)."""
    arm, q = problem.arm, found.q
    if rank == "weight":
        return -weight
    if rank == "distance":
        assert problem.near is not None
        return np.asarray(np.linalg.norm(q - problem.near[found.pose], axis=1))
    if rank == "margin":
        return np.asarray(-np.minimum(q - arm.q_min, arm.q_max - q).min(axis=1, initial=np.inf))
    assert condition is not None
    return -condition.manipulability


def _order(offsets: IntArray, key: FloatArray, most: int | None) -> IntArray:
    """Row numbers by a key, ascending within each target, which owns `offsets[p]:offsets[p + 1]`; at most so many."""
    if len(offsets) == 2:
        return key.argsort(kind="stable")[:most]
    count = np.diff(offsets)[:, None]
    place = np.arange(count.max(initial=0))
    table = np.full((len(count), len(place)), np.inf)  # sorting short rows side by side is quicker than one long sort
    table[place < count] = key
    order: IntArray = offsets[:-1, None] + table.argsort(axis=1, kind="stable")
    return order[place < (count if most is None else count.clip(max=most))]
