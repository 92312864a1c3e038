"""Suites of reach tasks: reproducible targets for an arm in its world, easy ones and hard ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np

from ik_mdn.reach.constructions import (
    draw_anywhere,
    draw_comfortable,
    draw_near_limits,
    draw_near_singular,
    is_comfortable,
)
from ik_mdn.reach.reachability import draw_unreachable
from sim.arrays import FloatArray
from sim.errors import ShapeError, SuiteError, UnknownNameError, WorldError
from sim.task import Task, load_task
from sim.world import ArmBody, home

_HELD_OUT = 0x7EAC  # mixed into the seed, so that no target is a training or dataset sample
_MAX_DRAWS = 1000  # configurations drawn for a fitting one before giving up
_MAX_SEARCHES = 100  # singularities searched for a free one before giving up
_SHORT = 1.0  # [rad or m] that a joint of an easy task moves at most
_PATH_STEP = 0.05  # [rad or m] between configurations that are checked on a way


@dataclass(frozen=True, eq=False)
class ReachTask:
    """A target, and the configuration it is reached from.

    Args:
        index: Number of the episode; with suite and seed it decides all the rest.
        q_start: Where the arm starts, shape (n,).
        T_base_target: The target, shape (4, 4).
        q_made: A configuration that meets the target, shape (n,): within limits and free of collisions; None for
            a target that nothing meets.
        suite: A key of `SUITES`.
        about: What makes it hard, or proves it out of reach; empty for a plain one.
    """

    index: int
    q_start: FloatArray
    T_base_target: FloatArray
    q_made: FloatArray | None
    suite: str = "uniform"
    about: str = ""

    @property
    def reachable(self) -> bool:
        """Whether a free configuration is known that meets the target; otherwise none does."""
        return self.q_made is not None


class _Draw(NamedTuple):
    """What a suite draws: the start, the goal or (without one) the target itself, and what is special."""

    q_start: FloatArray
    q_made: FloatArray | None
    T_base_target: FloatArray | None = None
    about: str = ""


def make_task(
    body: ArmBody, index: int, *, suite: str = "uniform", seed: int = 0, task: Task | str | None = None
) -> ReachTask:
    """The reach task of one index, the same whatever tasks are made before it.

    Start and goal are drawn as the suite says until they are free of collisions in the body's world; the target is
    the goal's tip pose. Targets of "unreachable" are proven out of reach by `reachability.why_unreachable`; ones that
    joint limits alone forbid are not among them, as there is no proof of that apart from a solver's.

    Args:
        body: The arm in its world, obstacles in place.
        index: Number of the episode, from 0.
        suite: A key of `SUITES`.
        seed: Of the suite, from 0.
        task: Which part of the target will count (for near-singular and unreachable); None: the arm's default.

    Returns:
        The task.

    Raises:
        ShapeError: index or seed is negative.
        UnknownNameError: No suite or task of that name.
        TaskError: The arm cannot do the task.
        SuiteError: The arm or its world has no such targets.
        WorldError: No free configuration in 1,000 draws.
    """
    if min(index, seed) < 0:
        raise ShapeError(f"index and seed count from 0; got index {index}, seed {seed}")
    draw = _draw_of(suite)
    which = [] if suite == "uniform" else [crc32(suite.encode())]
    rng = np.random.default_rng([_HELD_OUT, seed, index, *which])
    drawn = draw(body, load_task(body.arm, task), rng)
    T = body.tip_pose(drawn.q_made) if drawn.T_base_target is None else drawn.T_base_target
    return ReachTask(
        index=index, q_start=drawn.q_start, T_base_target=T, q_made=drawn.q_made, suite=suite, about=drawn.about
    )


def make_tasks(
    body: ArmBody, episodes: int, *, suite: str = "uniform", seed: int = 0, task: Task | str | None = None
) -> Iterator[ReachTask]:
    """The tasks 0 to `episodes` - 1 of a suite; see `make_task`.

    Args:
        body: The arm in its world.
        episodes: How many.
        suite: A key of `SUITES`.
        seed: Of the suite, from 0.
        task: See `make_task`.

    Returns:
        An iterator; each task is made when it is asked for.
    """
    return (make_task(body, index, suite=suite, seed=seed, task=task) for index in range(episodes))


def check_suite(name: str) -> str:
    """The name of a suite, back again.

    Raises:
        UnknownNameError: There is none of that name.
    """
    _draw_of(name)
    return name


def _draw_uniform(body: ArmBody, task: Task, rng: np.random.Generator) -> _Draw:
    """Both ends uniform in the limits."""
    q_start, q_made = (_draw_free(body, rng) for _ in range(2))
    return _Draw(q_start, q_made)


def _draw_easy(body: ArmBody, task: Task, rng: np.random.Generator) -> _Draw:
    """Both ends comfortable, at most 1 rad apart in every joint, and the straight joint path between them free."""
    arm = body.arm
    for _ in range(_MAX_DRAWS):
        q_start = draw_comfortable(arm, rng)
        q_made = q_start + rng.uniform(-_SHORT, _SHORT, arm.n_joints)
        if (
            all(is_comfortable(arm, task, q) for q in (q_start, q_made))
            and not body.collides(_way(q_start, q_made)).any()
        ):
            return _Draw(q_start, q_made)
    raise _nothing(body, "easy", "no short free way away from limits and singularities")


def _draw_near_limits(body: ArmBody, task: Task, rng: np.random.Generator) -> _Draw:
    """One to three joints of the goal within 1 % of their range from a limit."""
    q_start = _draw_free(body, rng)
    for _ in range(_MAX_DRAWS):
        q_made, about = draw_near_limits(body.arm, rng)
        if not body.collides(q_made):
            return _Draw(q_start, q_made, about=about)
    raise _nothing(body, "near-limits", "every configuration drawn next to a limit collides")


def _draw_near_singular(body: ArmBody, task: Task, rng: np.random.Generator) -> _Draw:
    """The goal next to a singularity: wrist, elbow or shoulder."""
    q_start = _draw_free(body, rng)
    for _ in range(_MAX_SEARCHES):
        found = draw_near_singular(body.arm, task, rng)
        if found and not body.collides(found[0]):
            return _Draw(q_start, found[0], about=found[1])
    raise _nothing(body, "near-singular", f"no free configuration is next to a singularity of task {task.name}")


def _draw_behind(body: ArmBody, task: Task, rng: np.random.Generator) -> _Draw:
    """Both ends free, and an obstacle on the straight joint path between them.

    The start can be got to from the arm's home on a free straight way (where home is free): a random configuration
    may be threaded into a pocket between obstacles that no arm could have come to.
    """
    if not body.collisions.names.keys() - {body.number}:
        raise _nothing(body, "behind-obstacle", "there is no obstacle; add a scene (--scene shelf)")
    q_home = home(body.arm)
    from_home = not body.collides(q_home)
    for _ in range(_MAX_DRAWS):
        q_start, q_made = (_draw_free(body, rng) for _ in range(2))
        if from_home and body.collides(_way(q_home, q_start)).any():
            continue
        blocker = _find_blocker(body, _way(q_start, q_made))
        if blocker:
            return _Draw(q_start, q_made, about=f"the straight way goes through {blocker}")
    raise _nothing(body, "behind-obstacle", "no obstacle is in the way of any target that was drawn")


def _draw_unreachable(body: ArmBody, task: Task, rng: np.random.Generator) -> _Draw:
    """A target provably out of reach; the arm should say so and stay."""
    T, reason = draw_unreachable(body.arm, task, rng)
    return _Draw(_draw_free(body, rng), None, T, reason)


SUITES: dict[str, Callable[[ArmBody, Task, np.random.Generator], _Draw]] = {
    "uniform": _draw_uniform,
    "easy": _draw_easy,
    "near-limits": _draw_near_limits,
    "near-singular": _draw_near_singular,
    "behind-obstacle": _draw_behind,
    "unreachable": _draw_unreachable,
}


def _draw_of(suite: str) -> Callable[[ArmBody, Task, np.random.Generator], _Draw]:
    if suite not in SUITES:
        raise UnknownNameError(f"unknown suite {suite!r}; allowed: {', '.join(SUITES)}", name=suite)
    return SUITES[suite]


def _draw_free(body: ArmBody, rng: np.random.Generator) -> FloatArray:
    arm = body.arm
    for _ in range(_MAX_DRAWS):
        q = draw_anywhere(arm, rng)
        if not body.collides(q):
            return q
    raise WorldError(
        f"arm {arm.name!r} collides with itself or an obstacle in {_MAX_DRAWS} of {_MAX_DRAWS} configurations; "
        "look at its collision shapes and the scene, or leave the shapes out with meshes=False (--no-meshes)"
    )


def _way(q_start: FloatArray, q_end: FloatArray) -> FloatArray:
    """Configurations on the straight joint path, shape (m, n), at most 0.05 rad apart."""
    count = int(np.ceil(np.abs(q_end - q_start).max() / _PATH_STEP)) + 1
    return np.linspace(q_start, q_end, count).astype(np.float64)


def _find_blocker(body: ArmBody, way: FloatArray) -> str | None:
    """The first obstacle that a way goes through, or None; the arm itself does not count."""
    own = {body.links.root, *(info.name for info in body.links.infos)}
    for q in way[body.collides(way)]:
        others = [other for _, other in body.contacts_at(q) if other not in own]
        if others:
            return others[0]
    return None


def _nothing(body: ArmBody, suite: str, why: str) -> SuiteError:
    return SuiteError(
        f"suite {suite!r} has no target for arm {body.arm.name!r} here: {why}", suite=suite, arm=body.arm.name
    )
