"""From what a search found to what solving gives back: order, limits on number and distance, status."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ik_mdn.solver.branches import wind
from ik_mdn.solver.engine import Engine, Found
from ik_mdn.solver.search import Search
from ik_mdn.solver.solutions import STATUSES, SolutionBatch, Status
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray

Rank: TypeAlias = Literal["weight", "distance", "margin", "manipulability"]
RANKS = ("weight", "distance", "margin", "manipulability")


def collect(
    engine: Engine,
    arm: Arm,
    search: Search,
    found: Found,
    rank: Rank,
    *,
    max_jump: float | None = None,
    max_solutions: int | None = None,
) -> SolutionBatch:
    """Solutions best first, with each target's status.

    Args:
        engine: Sorts, and measures how well conditioned solutions are.
        arm: The arm.
        search: Has come to its end.
        found: What it found, sorted by target; raw proposals where it never tried to meet a target.
        rank: What solutions are ordered by.
        max_jump: Leave out what is further from the search's `near` in a joint [rad, m].
        max_solutions: Keep only so many of the best per target.

    Returns:
        The batch; a target without rows has no solution.
    """
    targets = np.arange(len(search.T) + 1)
    any_found = np.zeros(len(search.T), np.bool_)
    any_found[found.pose] = True
    if max_jump is not None:
        assert search.near is not None
        found = found.take(np.abs(found.q - search.near[found.pose]).max(axis=1, initial=0.0) <= max_jump)
    offsets = found.pose.searchsorted(targets)
    order = engine.sort(offsets, _key(engine, arm, search, found, rank))
    if max_solutions is not None:
        order = order[np.arange(len(order)) - offsets[found.pose] < max_solutions]
    found = found.take(order)
    offsets = found.pose.searchsorted(targets)
    status = _status(engine, search, found, offsets, any_found)
    return SolutionBatch(found.q, found.weight, found.err_pos, found.err_rot, offsets, status)


def wound(arm: Arm, found: Found) -> Found:
    """Every winding of each solution inside the limits; they share its weight."""
    source, q = wind(arm, torch.from_numpy(found.q))
    rows = source.numpy()
    count = np.bincount(rows, minlength=len(found.q))
    every = found.take(rows)
    return every._replace(q=q.numpy(), weight=every.weight / count[rows])


def _key(engine: Engine, arm: Arm, search: Search, found: Found, rank: Rank) -> FloatArray:
    """What to sort by, ascending, (M,)."""
    if rank == "weight":
        return -found.weight
    if rank == "distance":
        assert search.near is not None
        return np.asarray(np.linalg.norm(found.q - search.near[found.pose], axis=1))
    if rank == "margin":
        return np.asarray(-np.minimum(found.q - arm.q_min, arm.q_max - found.q).min(axis=1, initial=np.inf))
    return -engine.condition(found.q)[1]


def _status(
    engine: Engine, search: Search, found: Found, offsets: IntArray, any_found: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Place of each target's status in `STATUSES`, (B,)."""
    if not search.tried:
        return np.full(len(search.T), STATUSES.index(Status.PROPOSED), np.uint8)
    status = np.where(search.met, STATUSES.index(Status.OUT_OF_LIMITS), STATUSES.index(Status.UNREACHABLE))
    status[search.late] = STATUSES.index(Status.TIMED_OUT)
    status[any_found] = STATUSES.index(Status.TOO_FAR)
    solved = (offsets[1:] > offsets[:-1]).nonzero()[0]
    singular, _ = engine.condition(found.q[offsets[solved]])
    status[solved] = np.where(singular, STATUSES.index(Status.SINGULAR), STATUSES.index(Status.SOLVED))
    return status.astype(np.uint8)
