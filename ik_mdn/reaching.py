"""Reach tasks: reproducible targets for an arm, running them, and the figures that sum them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.controller import Controller, ReachResult
from sim.body import ArmBody
from sim.errors import ShapeError, WorldError

FloatArray = NDArray[np.float64]

_HELD_OUT = 0x7EAC  # mixed into the seed, so that no target is a training or dataset sample
_MAX_DRAWS = 1000  # configurations drawn for one free one before giving up


@dataclass(frozen=True, eq=False)
class ReachTask:
    """A target, and the configuration it is reached from.

    Args:
        index: Number of the episode; with the seed it decides all the rest.
        q_start: Where the arm starts, shape (n,).
        T_base_target: The target, shape (4, 4).
        q_made: A configuration that meets the target, shape (n,): it is within limits and free of self-collision.
    """

    index: int
    q_start: FloatArray
    T_base_target: FloatArray
    q_made: FloatArray


@dataclass(frozen=True)
class ReachSummary:
    """Figures of a suite; errors and execution times are over all episodes that moved, nothing is trimmed.

    Args:
        episodes, reached: How many, and how many of them ended within tolerance.
        touched: Episodes in which links touched on the way.
        err_pos, err_rot: Median, 95th percentile and maximum at the end [m], [rad].
        time_solve: The same of the solver's time, over all episodes [s].
        time_execute: The same of the simulated time of motion [s].
        statuses: How often each status came up.
        failures: How often each reason came up, for the episodes that were not reached.
    """

    episodes: int
    reached: int
    touched: int
    err_pos: dict[str, float | None]
    err_rot: dict[str, float | None]
    time_solve: dict[str, float | None]
    time_execute: dict[str, float | None]
    statuses: dict[str, int]
    failures: dict[str, int]


def make_task(body: ArmBody, index: int, *, seed: int = 0) -> ReachTask:
    """The reach task of one index, the same whatever tasks are made before it.

    Start and goal are drawn uniformly in the limits until they are free of self-collision; the target is
    the goal's tip pose.

    Args:
        body: The arm in a world.
        index: Number of the episode, from 0.
        seed: Of the suite, from 0.

    Returns:
        The task.

    Raises:
        ShapeError: index or seed is negative.
        WorldError: No free configuration in 1,000 draws.
    """
    if min(index, seed) < 0:
        raise ShapeError(f"index and seed count from 0; got index {index}, seed {seed}")
    rng = np.random.default_rng([_HELD_OUT, seed, index])
    q_start, q_made = (_draw_free(body, rng) for _ in range(2))
    return ReachTask(index=index, q_start=q_start, T_base_target=body.tip_pose(q_made), q_made=q_made)


def make_tasks(body: ArmBody, episodes: int, *, seed: int = 0) -> Iterator[ReachTask]:
    """The tasks 0 to `episodes` - 1 of a suite; see `make_task`.

    Args:
        body: The arm in a world.
        episodes: How many.
        seed: Of the suite, from 0.

    Returns:
        An iterator; each task is made when it is asked for.
    """
    return (make_task(body, index, seed=seed) for index in range(episodes))


def run_reach(controller: Controller, tasks: Iterable[ReachTask]) -> Iterator[tuple[ReachTask, ReachResult]]:
    """Each task with its result, one after the other: the arm is put at the start, then reaches.

    Args:
        controller: Of the arm that the tasks were made for.
        tasks: See `make_tasks`.

    Returns:
        An iterator; nothing runs before the next item is asked for.
    """
    for task in tasks:
        controller.body.set_q(task.q_start)
        yield task, controller.reach(task.T_base_target)


def summarise(results: Iterable[ReachResult]) -> ReachSummary:
    """The figures of a suite; see `ReachSummary`. Without episodes, counts are 0 and figures None."""
    results = list(results)
    moved = [result for result in results if result.time_execute > 0]
    return ReachSummary(
        episodes=len(results),
        reached=sum(result.reached for result in results),
        touched=sum(bool(result.contacts) for result in results),
        err_pos=_spread([result.err_pos for result in moved]),
        err_rot=_spread([result.err_rot for result in moved]),
        time_solve=_spread([result.time_solve for result in results]),
        time_execute=_spread([result.time_execute for result in moved]),
        statuses=dict(Counter(result.status.value for result in results).most_common()),
        failures=dict(Counter(result.reason for result in results if not result.reached).most_common()),
    )


def describe_episode(task: ReachTask, result: ReachResult) -> dict[str, Any]:
    """An episode as JSON types: the task, the result, and every candidate of the decision.

    Args:
        task: What was asked.
        result: What became of it.

    Returns:
        Names to values, SI units; the margin of a candidate without limits is None.
    """
    names = ("err_pos", "err_rot", "time_solve", "time_decide", "time_execute", "reason")
    return {
        "episode": task.index,
        "status": result.status.value,
        **{name: getattr(result, name) for name in names},
        "contacts": [list(pair) for pair in result.contacts],
        "q_start": task.q_start.tolist(),
        "q_made": task.q_made.tolist(),
        "q_end": result.q_end.tolist(),
        "T_base_target": task.T_base_target.tolist(),
        "route": [q.tolist() for q in result.decision.route],
        "candidates": [
            {
                "q": candidate.q.tolist(),
                "err_pos": candidate.err_pos,
                "err_rot": candidate.err_rot,
                "travel": candidate.travel,
                "margin": candidate.margin if np.isfinite(candidate.margin) else None,
                "weight": candidate.weight,
                "cost": candidate.cost,
                "rejected": candidate.rejected,
            }
            for candidate in result.decision.candidates
        ],
    }


def _draw_free(body: ArmBody, rng: np.random.Generator) -> FloatArray:
    arm = body.arm
    for _ in range(_MAX_DRAWS):
        q = rng.uniform(arm.sample_min, arm.sample_max)
        if not body.self_collides(q):
            return q
    raise WorldError(
        f"arm {arm.name!r} collides with itself in {_MAX_DRAWS} of {_MAX_DRAWS} configurations; "
        "look at its collision shapes, or leave them out with meshes=False (--no-meshes)"
    )


def _spread(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"median": None, "p95": None, "max": None}
    return {
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": float(np.max(values)),
    }
