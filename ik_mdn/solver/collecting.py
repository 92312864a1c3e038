"""From what a search found to what solving gives back: order, limits on number and distance, status."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ik_mdn.solver.continua import curved_targets
from ik_mdn.solver.engine import Engine, Found, Problem
from ik_mdn.solver.options import Order, Rank
from ik_mdn.solver.probabilities import Law, count_windings, log_of_windings, solution_weights
from ik_mdn.solver.search import Outcome
from ik_mdn.solver.solutions import STATUSES, SolutionBatch, Status
from ik_mdn.solver.windings import MOST_WINDINGS, wind
from sim.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from ik_mdn.model import Postures


_COLUMNS = ("q", "weight", "proposal_weight", "err_pos", "err_rot")
_WOUND = 2  # solutions wound at a time where the windings are very many; bounds memory and time
_log = logging.getLogger(__name__)


def collect(engine: Engine, problem: Problem, outcome: Outcome, law: Law, order: Order) -> SolutionBatch:
    """Solutions best first, with each target's status.

    Args:
        engine: Measures how well conditioned solutions are.
        problem: What was solved for.
        outcome: What was found.
        law: What their weights are to be.
        order: What is wanted of them.

    Returns:
        The batch; a target without rows has no solution.
    """
    rank, windings, max_jump, max_solutions, _, postures = order
    found, targets = outcome.found, np.arange(len(problem.T) + 1)
    status = np.where(outcome.met, _place(Status.OUT_OF_LIMITS), _place(Status.UNREACHABLE))
    status[found.pose] = _place(Status.TOO_FAR)
    status[outcome.late] = _place(Status.TIMED_OUT)  # a nearer one might have been found
    weight, condition = found.weight, None
    curved: BoolArray = np.zeros(len(problem.T), np.bool_)
    weighed = law is not Law.PROPOSALS
    if rank == "manipulability" or weighed or (outcome.refined and not problem.is_redundant):
        condition = engine.condition(found.q)
    if outcome.refined and not problem.is_redundant and condition is not None:
        curved = outcome.curved | curved_targets(problem, found, condition.singular & ~outcome.curved[found.pose])
        condition.manipulability[condition.singular & curved[found.pose]] = 0.0  # not to be told apart by rounding
    if weighed and condition is not None:
        owns = found.pose.searchsorted(targets)
        weight = solution_weights(problem.arm, owns, found.q, condition.manipulability, postures)
    rows: IntArray = np.arange(len(weight))  # of what was found
    if windings:
        found, weight, rows = _wound(problem, found, weight, max_jump, postures)
    if max_jump is not None:
        assert problem.near is not None
        near = np.abs(found.q - problem.near[found.pose]).max(axis=1, initial=0.0) <= max_jump
        found, weight, rows = found.take(near), weight[near], rows[near]
    key = _key(problem, found, weight, None if condition is None else condition.manipulability[rows], rank)
    kept = _order(found.pose.searchsorted(targets), key, max_solutions)
    found, weight, rows = found.take(kept), weight[kept], rows[kept]
    offsets = found.pose.searchsorted(targets)
    if outcome.refined:
        solved = (offsets[1:] > offsets[:-1]).nonzero()[0]
        first = offsets[solved]
        singular = engine.condition(found.q[first]).singular if condition is None else condition.singular[rows[first]]
        status[solved] = np.where(singular, _place(Status.SINGULAR), _place(Status.SOLVED))
        status[solved[curved[solved]]] = _place(Status.CONTINUUM)
        status[solved[outcome.nearly[solved]]] = _place(Status.NEARLY)
    else:
        status[:] = _place(Status.PROPOSED)
    columns = (found.q, weight, found.weight, found.err_pos, found.err_rot)
    return SolutionBatch(*columns, offsets, status.astype(np.uint8), law)


def replaced(batch: SolutionBatch, poses: IntArray, others: SolutionBatch) -> SolutionBatch:
    """A batch with other solutions of some of its poses.

    Args:
        batch: Of all poses.
        poses: Numbers of some, ascending.
        others: Their solutions.

    Returns:
        A new batch.
    """
    pose = batch.pose_index
    stays = ~np.isin(pose, poses)
    every = np.concatenate([pose[stays], poses[others.pose_index]])
    order, status = every.argsort(kind="stable"), batch.status_index.copy()
    status[poses] = others.status_index
    columns = {name: np.concatenate([getattr(batch, name)[stays], getattr(others, name)])[order] for name in _COLUMNS}
    offsets = every[order].searchsorted(np.arange(len(batch) + 1))
    closest = {int(poses[i]): near for i, near in others.closest.items()}
    return SolutionBatch(**columns, offsets=offsets, status_index=status, law=batch.law, closest=closest)


def joined(parts: Iterator[SolutionBatch]) -> SolutionBatch:
    """One or more batches as one; each is let go before the next one is asked for, so that little is held twice."""
    batch = next(parts)
    law, closest, offsets, status = batch.law, dict(batch.closest), [batch.offsets], [batch.status_index]
    columns = {name: getattr(batch, name) for name in _COLUMNS}
    for number, part in enumerate(parts):
        if number == 0:
            columns = {name: np.array(column) for name, column in columns.items()}  # that own their memory
            del batch
        poses = sum(len(each) for each in status)
        closest |= {poses + i: near for i, near in part.closest.items()}
        offsets.append(part.offsets[1:] + len(columns["q"]))
        status.append(part.status_index)
        for name, column in columns.items():
            more = getattr(part, name)
            column.resize((len(column) + len(more), *column.shape[1:]), refcheck=False)  # in place
            column[len(column) - len(more) :] = more
    return SolutionBatch(
        **columns, offsets=np.concatenate(offsets), status_index=np.concatenate(status), law=law, closest=closest
    )


def _place(status: Status) -> int:
    return STATUSES.index(status)


def _wound(
    problem: Problem, found: Found, weight: FloatArray, max_jump: float | None, postures: Postures | None
) -> tuple[Found, FloatArray, IntArray]:
    """Windings of each solution inside the limits, no further than `max_jump`, their weights, and whose windings they are.

    Where one has more than `MOST_WINDINGS` these are the nearest to `near`, or else to the middle of the limits.
    """
    near = None if problem.near is None else problem.near[found.pose]
    every_winding = count_windings(problem.arm, found.q)
    step = _WOUND if every_winding.max(initial=1) > MOST_WINDINGS else len(found.q)
    parts: list[tuple[IntArray, FloatArray]] = [(np.empty(0, np.int64), found.q[:0])]
    for begin in range(0, len(found.q), max(1, step)):
        part = slice(begin, begin + step)
        if problem.is_late:
            parts.append((np.arange(begin, len(found.q)), found.q[begin:]))
            break
        source, q = wind(problem.arm, found.q[part], None if near is None else near[part], within=max_jump)
        parts.append((source + begin, q))
    rows, wound = (np.concatenate(column) for column in zip(*parts, strict=True))
    count = np.bincount(rows, minlength=len(found.q))
    if max_jump is not None:
        count = every_winding
    elif cut := int((every_winding > count).sum()):
        _log.warning("%d solutions have more windings than the %d nearest ones, which are given", cut, MOST_WINDINGS)
    every, share = found.take(rows), count[rows]
    if postures is not None:
        share = np.exp(log_of_windings(postures, found.q)[rows] - postures.log_prob(wound))
    return every._replace(q=wound, weight=every.weight / count[rows]), weight[rows] / share, rows


def _key(
    problem: Problem, found: Found, weight: FloatArray, manipulability: FloatArray | None, rank: Rank
) -> FloatArray:
    """What to sort by, ascending, (M,)."""
    arm, q = problem.arm, found.q
    if rank == "weight":
        return -weight
    if rank == "distance":
        assert problem.near is not None
        return np.asarray(np.linalg.norm(q - problem.near[found.pose], axis=1))
    if rank == "margin":
        return np.asarray(-np.minimum(q - arm.q_min, arm.q_max - q).min(axis=1, initial=np.inf))
    assert manipulability is not None
    return -manipulability


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
