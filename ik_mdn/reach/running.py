"""Running reach tasks: each from its start, in a world that keeps nothing of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from enum import Enum
from typing import Any

import numpy as np

from ik_mdn.control import Candidate, Controller, ReachResult, ReachStatus
from ik_mdn.reach.suites import ReachTask, make_task
from sim.world import World

_STAYED = 1e-12  # [rad or m] change of a joint that is rounding


def run_suite(
    controller: Controller,
    world: World,
    indices: Iterable[int],
    *,
    suite: str = "uniform",
    seed: int = 0,
) -> Iterator[tuple[ReachTask, ReachResult]]:
    """The episodes of a suite, one after the other, each as if it were the only one.

    Before a task is made and again before the arm starts, the world is put back as it was at the call, so that
    nothing of one episode (a cached contact, a finger that gave way) is left in the next: the numbers do not
    depend on which other episodes ran.

    Args:
        controller: Of an arm in `world`.
        world: Where it is, obstacles in place; nothing may be added or removed meanwhile.
        indices: Which episodes, in the order to run them.
        suite: A key of `SUITES`.
        seed: Of the suite.

    Returns:
        An iterator of tasks and results; nothing runs before the next item is asked for.

    Raises:
        ShapeError, UnknownNameError, SuiteError, WorldError: See `suites.make_task`.
    """
    restore = world.snapshot()
    for index in indices:
        restore()
        task = make_task(controller.body, index, suite=suite, seed=seed, task=controller.solver.task)
        yield task, run_episode(controller, task, restore=restore)


def run_episode(
    controller: Controller,
    task: ReachTask,
    *,
    restore: Callable[[], None] | None = None,
    watch: Callable[[], None] | None = None,
    watch_period: float = 0.1,
) -> ReachResult:
    """Put the arm at a task's start and let it reach.

    Args:
        controller: Of the arm that the task was made for.
        task: See `make_task`.
        restore: What `World.snapshot` gave, to be called first.
        watch, watch_period: As for `Controller.reach`.

    Returns:
        What became of it.
    """
    if restore is not None:
        restore()
    controller.body.set_q(task.q_start)
    return controller.reach(task.T_base_target, watch=watch, watch_period=watch_period)


def describe_episode(task: ReachTask, result: ReachResult, *, most: int | None = None) -> dict[str, Any]:
    """An episode as JSON types: the task, the result, and the candidates of the decision.

    Args:
        task: What was asked.
        result: What became of it.
        most: Keep only so many candidates, the best ones; None: all.

    Returns:
        Names to values, SI units; what is infinite (the margin of a candidate without limits) is None. All but
        `time_solve` and `time_decide` are the same in every run.
    """
    candidates = result.decision.candidates
    return {
        "episode": task.index,
        "suite": task.suite,
        "about": task.about,
        "reachable": task.reachable,
        **_outcome(result, reachable=task.reachable, q_start=task.q_start),
        "n_candidates": len(candidates),
        "q_start": task.q_start.tolist(),
        "q_made": None if task.q_made is None else task.q_made.tolist(),
        "q_end": result.q_end.tolist(),
        "T_base_target": task.T_base_target.tolist(),
        "route": [q.tolist() for q in result.decision.route],
        "candidates": [describe_candidate(candidate) for candidate in candidates[:most]],
    }


def describe_candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate as JSON types: every field of it, None for what is infinite."""
    return {field.name: _plain(getattr(candidate, field.name)) for field in fields(candidate)}


def _outcome(result: ReachResult, *, reachable: bool, q_start: Any = None) -> dict[str, Any]:
    """What a result says of success, error, way and time."""
    moved = result.time_execute > 0 or (q_start is not None and np.abs(result.q_end - q_start).max() > _STAYED)
    kept_off = not result.contacts and not result.contacts_end
    success = result.reached and kept_off if reachable else result.status is ReachStatus.UNREACHABLE and not moved
    names = ("reason", "err_pos", "err_rot", "path_q", "path_tip", "time_execute", "time_solve", "time_decide")
    return {
        "status": result.status.value,
        "success": bool(success),
        "moved": bool(moved),
        **{name: getattr(result, name) for name in names},
        "contacts": [list(pair) for pair in result.contacts],
        "contacts_end": [list(pair) for pair in result.contacts_end],
    }


def _plain(value: Any) -> Any:
    """A field of a candidate as JSON knows it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
