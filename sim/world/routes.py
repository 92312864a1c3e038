"""Routes of joint vectors that touch nothing: straight, or found by growing two trees towards each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.arm import NEAR_SLIDE, Arm
from sim.arrays import FloatArray, IntArray
from sim.errors import ShapeError
from sim.world.body import ArmBody
from sim.world.motion import route_time

Route = tuple[FloatArray, ...]

MARGIN = 0.01  # [m] to keep from other bodies on the way
CHECKS = 4000  # configurations to look at in one search

_STEP = 0.02  # [m] that no point of the arm moves between two configurations looked at
_EXTENSION = 0.2  # of a tree, in one step [reaches]
_SLOPE = 0.05  # by which the margin may grow with the way from an end that is nearer than it [m/m]
_SHARE = 0.9  # of the clearance at an end that is kept right beside it
_TOOL = 0.1  # size of what is at the tip [reaches]
_LOCAL, _LOCAL_STD = 0.3, 0.5  # share of the samples drawn around points that were reached, and how wide [rad or m]
_SHORTCUTS = 60  # tries to cut a corner


@dataclass
class Ways:
    """Which ways are free for one arm, its start, and its goals; counts what it looked at.

    Between two configurations looked at no point of the arm moves more than 2 cm; in each of them the arm must
    not touch itself, and keep 1 cm from other bodies. So nothing is passed through unseen. Near a start or goal
    that is nearer than 1 cm to something, the distance asked for grows from 0.9 of its clearance.

    Args:
        body: The arm in a world.
        ends: Start and goals, shape (m, n), free of collision.
        checks: Configurations that may be looked at.
    """

    body: ArmBody
    ends: FloatArray
    checks: int = CHECKS
    levers: FloatArray = field(init=False)
    looked_at: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.levers = levers(self.body.arm)
        self._clearances = np.atleast_1d(self.body.clearance(self.ends, within=2 * MARGIN)[1])

    @property
    def spent(self) -> bool:
        """Whether as many configurations were looked at as may be."""
        return self.looked_at >= self.checks

    def rows(self, q_start: FloatArray, q_end: FloatArray, most: int | None = None) -> FloatArray:
        """The straight way in steps of at most 2 cm, shape (N, n), its end in it, its start not; at most so many steps."""
        way = q_end - q_start
        count = max(1, int(np.ceil(self.levers @ np.abs(way) / _STEP)))
        steps = count if most is None else min(count, most)
        rows = q_start + np.arange(1, steps + 1)[:, None] * (way / count)
        if steps == count:
            rows[-1] = q_end
        return np.asarray(rows, dtype=np.float64)

    def first_hit(self, rows: FloatArray) -> int:
        """The place of the first row that is not free, or their number; the arm is left there, see `ArmBody.kept`."""
        margins = self._margins(rows).tolist()
        looked = self.body.collisions.at
        hit = next((i for i, margin in enumerate(margins) if looked(rows[i], margin)), len(rows))
        self.looked_at += min(hit + 1, len(rows))
        return hit

    def find_hit(self, q_start: FloatArray, q_end: FloatArray) -> FloatArray | None:
        """A configuration on the straight way that is not free, shape (n,); None: all of it is."""
        rows = self.rows(q_start, q_end)
        rows = rows[_spread(len(rows))]
        with self.body.kept():
            hit = self.first_hit(rows)
        return rows[hit] if hit < len(rows) else None

    def _margins(self, rows: FloatArray) -> FloatArray:
        near = self._clearances < MARGIN / _SHARE
        if not near.any():
            return np.full(len(rows), MARGIN)
        way = (self.levers * np.abs(rows[:, None] - self.ends[near])).sum(axis=-1)  # (N, ends)
        needed = (_SHARE * self._clearances[near] + _SLOPE * way).min(axis=-1)
        return np.asarray(np.clip(needed, 0.0, MARGIN), dtype=np.float64)


def find_route(
    body: ArmBody, q_start: FloatArray, goals: FloatArray, *, rng: np.random.Generator, checks: int = CHECKS
) -> Route:
    """A collision-free route to one of several goals, round what is in the way.

    Two trees of configurations grow towards each other, one from the start, one from all goals (RRT-Connect:
    Kuffner and LaValle, RRT-Connect: an efficient approach to single-query path planning, ICRA 2000, with the
    distances of joint space in metres that the arm moves). Then corners are cut while that saves time.

    Args:
        body: The arm in a world; it stays where it is.
        q_start: Where the route starts, shape (n,), free of collision.
        goals: Where it may end, shape (m, n), each free of collision.
        rng: Of the samples: one state gives one route.
        checks: Most configurations to look at in the search, then as many again to shorten the route.

    Returns:
        The configurations to pass on straight ways, the last is one of the goals; empty: none was found.

    Raises:
        ShapeError: Start or goals do not fit the arm, or there is no goal.
    """
    n = body.arm.n_joints
    start, ends = np.asarray(q_start, dtype=np.float64), np.asarray(goals, dtype=np.float64)
    if start.shape != (n,) or ends.shape[1:] != (n,) or not len(ends) or checks < 1:
        raise ShapeError(
            f"a route needs a start ({n},), goals (m, {n}) with m at least 1, and at least 1 check; "
            f"got {start.shape}, {ends.shape} and {checks}"
        )
    ways = Ways(body, np.concatenate([start[None], ends]), checks)
    with body.kept():
        points = _grow(ways, start, ends, rng)
    if points is None:
        return ()
    ways.checks = ways.looked_at + checks
    return tuple(_cut_corners(ways, points, rng)[1:])


def fill_in(arm: Arm, q: FloatArray) -> tuple[FloatArray, IntArray]:
    """Joint vectors and those between them on straight ways, no point of the arm moving more than 2 cm from one to the next.

    Args:
        arm: The arm.
        q: Joint vectors, shape (N, n), N > 0.

    Returns:
        Joint vectors (M, n), the first that of q, and which of q each leads to, (M,), ascending.
    """
    ways = np.diff(q, axis=0)
    steps = np.maximum(1, np.ceil(np.abs(ways) @ levers(arm) / _STEP).astype(np.int64))
    leads_to = np.arange(1, len(q)).repeat(steps)
    done = np.arange(1, len(leads_to) + 1) - (np.cumsum(steps) - steps).repeat(steps)
    left = 1.0 - done / steps.repeat(steps)
    rows = q[leads_to] - left[:, None] * ways[leads_to - 1]
    return np.concatenate([q[:1], rows]), np.concatenate([[0], leads_to])


def levers(arm: Arm) -> FloatArray:
    """How far a point of the arm moves at most per unit of each joint, shape (n,) [m/rad; 1 for prismatic]."""
    lengths = np.linalg.norm(arm.offsets[1:, :3, 3], axis=1)
    slides = np.where(arm.is_prismatic, np.maximum(np.abs(arm.sample_min), np.abs(arm.sample_max)), 0.0)
    beyond = np.cumsum((lengths + np.append(slides[1:], 0.0))[::-1])[::-1] + _TOOL * arm.reach
    return np.asarray(np.where(arm.is_prismatic, 1.0, beyond), dtype=np.float64)


class _Tree:
    """Configurations, each with the one it was reached from; roots have none."""

    def __init__(self, roots: FloatArray, scale: FloatArray) -> None:
        self.points, self.parents, self.scale = list(roots), [-1] * len(roots), scale
        self._scaled = roots * scale

    def nearest(self, q: FloatArray) -> int:
        return int(((self._scaled[: len(self.points)] - q * self.scale) ** 2).sum(axis=1).argmin())

    def add(self, q: FloatArray, parent: int) -> int:
        if len(self.points) == len(self._scaled):
            self._scaled = np.concatenate([self._scaled, np.empty_like(self._scaled)])
        self._scaled[len(self.points)] = q * self.scale
        self.points.append(q)
        self.parents.append(parent)
        return len(self.points) - 1

    def trace(self, place: int) -> list[FloatArray]:
        """From a point to its root."""
        found = []
        while place >= 0:
            found.append(self.points[place])
            place = self.parents[place]
        return found


def _grow(ways: Ways, start: FloatArray, goals: FloatArray, rng: np.random.Generator) -> list[FloatArray] | None:
    """The points of a free route, or None where the checks ran out."""
    arm = ways.body.arm
    low, high = _bounds(arm, np.concatenate([start[None], goals]))
    here, there = _Tree(start[None], ways.levers), _Tree(goals, ways.levers)
    step, forward = max(1, round(_EXTENSION * arm.reach / _STEP)), True
    while not ways.spent:
        place, _ = _extend(ways, here, _sample(here, low, high, rng), step)
        if place is not None:
            end, met = _extend(ways, there, here.points[place], step, connect=True)
            if met and end is not None:
                first, second = (
                    (here.trace(place), there.trace(end)) if forward else (there.trace(end), here.trace(place))
                )
                return [*first[::-1], *second[1:]]
        here, there, forward = there, here, not forward
    return None


def _sample(tree: _Tree, low: FloatArray, high: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A configuration to grow towards: mostly anywhere, else near a point of the tree, which finds the way out of corners."""
    if rng.uniform() > _LOCAL:
        return rng.uniform(low, high)
    near = tree.points[rng.integers(len(tree.points))]
    return np.asarray(np.clip(near + _LOCAL_STD * rng.standard_normal(len(near)), low, high))


def _extend(ways: Ways, tree: _Tree, q: FloatArray, step: int, *, connect: bool = False) -> tuple[int | None, bool]:
    """Grow a tree straight towards q, by one step of so many rows, or as far as the way is free.

    Returns:
        The place of the last point that was added (None: the way was blocked at once), and whether it is q.
    """
    near = tree.nearest(q)
    rows = ways.rows(tree.points[near], q, None if connect else step)
    hit = ways.first_hit(rows)
    place = None
    for end in [*range(step - 1, hit - 1, step), hit - 1] if hit else []:
        place = tree.add(rows[end], near if place is None else place)
    return place, hit == len(rows) and np.array_equal(rows[-1], q)


def _cut_corners(ways: Ways, points: list[FloatArray], rng: np.random.Generator) -> list[FloatArray]:
    """Replace parts of a route by straight ones while that saves time: whole corners first, then parts of them."""
    arm = ways.body.arm
    points = _drop_points(ways, points)
    for _ in range(_SHORTCUTS):
        if len(points) < 3 or ways.spent:
            break
        i, j = sorted(rng.choice(len(points) - 1, 2, replace=False))
        a, b = (points[k] + rng.uniform() * (points[k + 1] - points[k]) for k in (i, j))
        shorter = [*points[: i + 1], a, b, *points[j + 1 :]]
        if route_time(arm, shorter) < route_time(arm, points) and ways.find_hit(a, b) is None:
            points = _drop_points(ways, shorter)
    return points


def _drop_points(ways: Ways, points: list[FloatArray]) -> list[FloatArray]:
    """The route without the points that it need not pass, from each the farthest that can be seen."""
    kept = [points[0]]
    at = 0
    while at < len(points) - 1:
        later = range(len(points) - 1, at + 1, -1)
        seen = (k for k in later if not ways.spent and ways.find_hit(points[at], points[k]) is None)
        at = next(seen, at + 1)
        kept.append(points[at])
    return kept


def _bounds(arm: Arm, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where to sample: within the limits, and half a turn beyond the ends: more turns bring nothing new.

    Slides without limits that mean something are sampled near the ends.
    """
    room = np.where(arm.is_prismatic, np.where(arm.is_limited, np.inf, NEAR_SLIDE), np.pi)
    low, high = np.maximum(arm.q_min, ends.min(axis=0) - room), np.minimum(arm.q_max, ends.max(axis=0) + room)
    return low, high


def _spread(count: int) -> NDArray[np.intp]:
    """The numbers below count, in an order that spreads over all of them early: every eighth, then the others."""
    numbers = np.arange(count)
    return np.concatenate([numbers[::8], numbers[numbers % 8 != 0]])
