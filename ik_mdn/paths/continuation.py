"""Following one branch of solutions along a path, certified step by step; many paths side by side."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ik_mdn.paths.geometry import Geometry
from ik_mdn.paths.path import CartesianPath
from ik_mdn.paths.tangents import Place, look, predict, weakest_direction
from ik_mdn.solver import refine
from sim.arm import LIMIT_SLACK, Arm
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

TOLERANCE = 1e-8  # error [m], [rad] up to which a joint vector meets its pose
JOINT_STEP = 0.05  # [rad, m] most that a joint moves from knot to knot

_AGREE = 0.25  # share of a step by which prediction and solution may differ
_FLOOR = 1e-3  # [rad, m] difference that is always allowed: rounding, where a joint turns round
_FINE = 0.05  # share of a step below which the next one is made longer
_LONGEST, _SHORTEST = 16.0, 1e-7  # [samples] steps; the shortest moves the tip less than TOLERANCE
_LEAPS = (2e-2, 5e-3, 1e-3, 2e-4)  # [samples] half lengths of a leap straight through a singularity that are tried
_LEAVES = (0.3, 0.1, 0.03, 0.01)  # [samples] places that are tried as the first behind a singular start
_ASIDE = 2e-4  # [rad, m] distance from a singular start at which the way out of it is looked for
_BETWEEN = np.linspace(0.0, 1.0, 17)[1:-1]  # places on a leap where the tip must be on the path
_STATIONS = 16  # places of a piece of a path that no step goes past: it may bend between them
_LIMIT_STEP = 1.0 / 64  # [samples] as near to a joint limit as it pays to get
_END_MARGIN = 1e-3  # [samples] and to the end of a branch, where joints are fast and refinement slow
_ROUNDS = 20_000  # steps tried per path, a guard only


_Way = tuple[int, int, float, FloatArray]  # row, number of the knot to go from, place to go to, joint vector expected


class Stop(str, Enum):
    """Why a branch was not followed further."""

    END = "end"  # it was followed to the end of the path
    LIMIT = "limit"  # it goes on, with a joint outside its limits
    LOST = "lost"  # it ends: at a fold, at the edge of the workspace, or in a singularity


@dataclass(frozen=True, eq=False)
class Course:
    """One branch along a path.

    Args:
        u: Places on the path [samples], ascending from 0, shape (K,).
        q: Joint vectors there, near each other, shape (K, n).
        stop: Why it ends where it ends.
    """

    u: FloatArray
    q: FloatArray
    stop: Stop

    def until(self, count: int) -> Course:
        """The first knots only."""
        return Course(self.u[:count], self.q[:count], self.stop)


class PathSet:
    """Several paths whose poses are looked up together.

    Args:
        paths: One or more.
    """

    def __init__(self, paths: Sequence[CartesianPath]) -> None:
        courses = [path.course for path in paths]
        pieces = np.array([len(geometry) for geometry, _ in courses])
        self.end = np.array([len(path) - 1 for path in paths], dtype=np.float64)  # [samples]
        self._geometry = Geometry.join([geometry for geometry, _ in courses])
        self._progress = np.concatenate([progress for _, progress in courses])
        self._last, self._piece = pieces - 1, np.cumsum(pieces) - pieces
        self._stations = [_find_stations(path).tolist() for path in paths]
        self._sample = np.cumsum([0, *(len(path) for path in paths[:-1])])

    def next_station(self, path: int, u: float) -> float:
        """The next place [samples] that no step goes past: the ends of pieces and of their sixteenths."""
        stations = self._stations[path]
        return float(stations[min(bisect_right(stations, u), len(stations) - 1)])

    def pose_at(self, path: IntArray, u: FloatArray) -> FloatArray:
        """Poses at the places u [samples] of paths, both of shape (R,): (R, 4, 4)."""
        k = np.minimum(u.astype(np.int64), np.maximum(self.end[path].astype(np.int64) - 1, 0))
        first = self._sample[path] + k
        then = np.minimum(first + 1, len(self._progress) - 1)
        share = u - k
        at = np.where(
            share > 0, (1 - share) * self._progress[first] + share * self._progress[then], self._progress[first]
        )
        piece = np.minimum(at.astype(np.int64), self._last[path])
        return self._geometry.pose_at(piece + self._piece[path], at - piece)


def follow_branches(
    arm: Arm,
    task: Task,
    paths: Sequence[CartesianPath],
    path: IntArray,
    q_start: FloatArray,
    *,
    on_step: Callable[[float], None] | None = None,
) -> list[Course]:
    """Each branch followed along its path as far as it goes, in steps that cannot leave it.

    Numerical continuation (Allgower and Georg, Introduction to Numerical Continuation Methods, 2003, ch. 6): predict
    `q + J^+ dx`, refine, and accept the step only where the prediction and the solution agree, the prediction back from
    the solution agrees as well, and, for as many joints as constraints, det J keeps its sign. Otherwise the step is
    halved. Another branch lies at a distance that does not shrink with the step, or beyond a fold, where the tangent
    points the other way and det J has the other sign. Where a branch ends in steps of 1e-7 samples, a leap is tried: a
    straight joint motion across, short enough to keep the tip on the path to 1e-8 all along. So a path straight
    through a singularity is passed smoothly, and nothing else is leapt over.
    Spare joints (a 7-joint arm) ease away from their limits within the null space of J.

    Args:
        arm: The arm.
        task: Which constraints count.
        paths: The paths.
        path: Which of them each branch follows, shape (R,).
        q_start: Where each branch starts: a solution of the path's first pose in limits, shape (R, n).
        on_step: Called with the share of the branches' paths that is done, for progress.

    Returns:
        A course per branch; its first knot is the start.
    """
    walk = _Walk(arm, task, PathSet(paths), path, q_start)
    for _ in range(_ROUNDS):
        if not len(walk.running):
            break
        walk.step()
        if on_step is not None:
            on_step(walk.share)
        if not len(walk.running):
            walk.leap()
    return walk.courses()


def _find_stations(path: CartesianPath) -> FloatArray:
    """Places [samples] of the ends of pieces and of their sixteenths; of paths given by poses all samples."""
    geometry, progress = path.course
    per_piece = 1 if path.geometry is None else _STATIONS
    levels = np.arange(1, per_piece * len(geometry) + 1) / per_piece
    places = np.interp(levels, progress, np.arange(len(path), dtype=np.float64))
    return np.asarray(np.unique(np.append(places, len(path) - 1.0)), dtype=np.float64)


def is_outside(arm: Arm, q: FloatArray) -> BoolArray:
    """Which joint vectors (R, n) are outside the limits."""
    return np.asarray(((q < arm.q_min - LIMIT_SLACK) | (q > arm.q_max + LIMIT_SLACK)).any(axis=-1))


class _Walk:
    """The state of `follow_branches`: one row per branch."""

    def __init__(self, arm: Arm, task: Task, paths: PathSet, path: IntArray, q_start: FloatArray) -> None:
        self.arm, self.task, self.paths, self.path = arm, task, paths, path
        self.at = look(arm, task, q_start.copy())
        self.u = np.zeros(len(q_start))
        self.h = np.ones(len(q_start))
        self.until = np.array([paths.next_station(i, 0.0) for i in path.tolist()])
        self.running: IntArray = np.flatnonzero(paths.end[path] > 0)
        self.stops = [Stop.END] * len(q_start)
        self.knots = [([0.0], [q]) for q in q_start]  # places and joint vectors of each row
        self.leapt = np.full(len(q_start), -np.inf)  # where each row was last lost

    @property
    def share(self) -> float:
        """How much is done, 0 to 1: of a row that still runs its place on the path, of others all."""
        left = 1.0 - self.u[self.running] / self.paths.end[self.path[self.running]]
        return 1.0 - float(left.sum()) / max(len(self.u), 1)

    def step(self) -> None:
        """One try for every running row: go on, or halve the step, or stop."""
        rows = self.running
        here, path = self.at[rows], self.path[rows]
        u = np.minimum(self.u[rows] + self.h[rows], self.until[rows])
        h = u - self.u[rows]
        T = self.paths.pose_at(path, u)
        ahead = predict(self.arm, self.task, here, T, 1.0)
        size = np.abs(ahead).max(axis=-1)
        q, met = self._refine(T, here.q + ahead * np.minimum(1.0, JOINT_STEP / np.maximum(size, 1e-300))[:, None])
        there = look(self.arm, self.task, q)
        back = predict(self.arm, self.task, there, here.T, -1.0)
        moved = np.abs(q - here.q).max(axis=-1)
        off = np.maximum(np.abs(q - here.q - ahead).max(axis=-1), np.abs(here.q - q - back).max(axis=-1))
        good = met & (off <= _AGREE * size + _FLOOR) & (np.maximum(size, moved) <= JOINT_STEP)
        good &= np.equal(there.sign, here.sign)
        inside: BoolArray = ~is_outside(self.arm, q)
        self._accept(rows[good & inside], u[good & inside], there[good & inside])
        self._choose_steps(rows, h, good & inside, size, off)
        self._stop(rows, h, good, inside)

    def _refine(self, T: FloatArray, q_seed: FloatArray) -> tuple[FloatArray, BoolArray]:
        end = refine(self.arm, self.task, T, q_seed)
        return end.q, np.maximum(end.err_pos, end.err_rot) <= TOLERANCE

    def _accept(self, rows: IntArray, u: FloatArray, there: Place) -> None:
        self.u[rows] = u
        self.at.put(rows, there)
        for i, place, q in zip(rows.tolist(), u.tolist(), there.q, strict=True):
            self.knots[i][0].append(place)
            self.knots[i][1].append(q)
            self.until[i] = self.paths.next_station(int(self.path[i]), place)

    def _choose_steps(
        self, rows: IntArray, h: FloatArray, stands: BoolArray, size: FloatArray, off: FloatArray
    ) -> None:
        longer = np.where(off <= _FINE * size + 0.1 * _FLOOR, 2.0, 1.0)
        room = 0.9 * JOINT_STEP / np.maximum(size, 1e-300)
        factor = np.where(stands, np.minimum(longer, room), np.minimum(0.5, room))
        self.h[rows] = np.clip(h * np.maximum(factor, 0.05), _SHORTEST, _LONGEST)

    def _stop(self, rows: IntArray, h: FloatArray, good: BoolArray, inside: BoolArray) -> None:
        ended = self.u[rows] >= self.paths.end[self.path[rows]]
        limit = good & ~inside & (h <= _LIMIT_STEP)
        lost = ~good & (h <= _SHORTEST * (1 + 1e-6))
        for i in rows[limit]:
            self.stops[i] = Stop.LIMIT
        for i in rows[lost]:
            self.stops[i] = Stop.LOST
        self.running = rows[~(ended | limit | lost)]

    def leap(self) -> None:
        """Put lost rows back on their way that can go straight on through a singularity, or out of one they start in."""
        lost = [i for i, stop in enumerate(self.stops) if stop is Stop.LOST and self.u[i] > self.leapt[i] + _END_MARGIN]
        self.leapt[lost] = self.u[lost]
        for half in _LEAPS:
            self._go_straight([way for i in lost if (way := self._across(i, half)) is not None])
            lost = [i for i in lost if self.stops[i] is Stop.LOST]
        starting = [(i, self._sideways(i)) for i in lost if len(self.knots[i][0]) == 1]
        for end in _LEAVES:
            for side in (_ASIDE, -_ASIDE):
                starting = [(i, sideways) for i, sideways in starting if self.stops[i] is Stop.LOST]
                ways = [(i, 0, end, self.knots[i][1][0] + side * sideways) for i, sideways in starting]
                self._go_straight([way for way in ways if end <= self.paths.end[self.path[way[0]]]])

    def _across(self, i: int, half: float) -> _Way | None:
        """The way from `half` a leap before the place where a row was lost to as far behind it, by extrapolation."""
        places = np.array(self.knots[i][0])
        start = int(np.searchsorted(places, self.u[i] - half, side="right")) - 1
        before = int(np.searchsorted(places, places[max(start, 0)] - half, side="right")) - 1
        end = min(self.u[i] + half, float(self.paths.end[self.path[i]]))
        if before < 0 or end <= self.u[i]:
            return None
        q_before, q_start = self.knots[i][1][before], self.knots[i][1][start]
        ahead = (q_start - q_before) * (end - places[start]) / (places[start] - places[before])
        return i, start, end, q_start + ahead

    def _sideways(self, i: int) -> FloatArray:
        """The joint motion out of a singular start: joints move with the square root of the way, to either side."""
        return weakest_direction(self.arm, self.task, self.knots[i][1][0])

    def _go_straight(self, ways: list[_Way]) -> None:
        """Take those ways on which a straight joint motion keeps the tip on the path all along."""
        if not ways:
            return
        rows = np.array([way[0] for way in ways])
        place = np.array([self.knots[i][0][start] for i, start, _, _ in ways])
        q_start = np.array([self.knots[i][1][start] for i, start, _, _ in ways])
        end, q_seed = np.array([way[2] for way in ways]), np.array([way[3] for way in ways])
        u = place[:, None] + np.append(_BETWEEN, 1.0) * (end - place)[:, None]  # (W, B + 1)
        T = self.paths.pose_at(np.broadcast_to(self.path[rows, None], u.shape), u)
        q_end, met = self._refine(T[:, -1].copy(), q_seed)
        between = q_start[:, None] + _BETWEEN[:, None] * (q_end - q_start)[:, None]
        at = forward_kinematics(self.arm, between)
        off = np.maximum(*error_norms(task_error(self.task, at, T[:, :-1]))).max(axis=-1)
        straight = met & (off <= TOLERANCE) & (np.abs(q_end - q_start).max(axis=-1) <= JOINT_STEP)
        there = look(self.arm, self.task, q_end)
        for w in np.flatnonzero(straight):
            i, start = ways[w][:2]
            if is_outside(self.arm, q_end[w : w + 1])[0]:
                self.stops[i] = Stop.LIMIT
                continue
            del self.knots[i][0][start + 1 :], self.knots[i][1][start + 1 :]
            self.h[i], self.stops[i] = end[w] - place[w], Stop.END
            self.running = np.append(self.running, i)
            self._accept(rows[w : w + 1], end[w : w + 1], there[np.array([w])])

    def courses(self) -> list[Course]:
        """What was followed, row by row."""
        for i in self.running:  # the guard ended them
            self.stops[i] = Stop.LOST
        rows = zip(self.knots, self.stops, strict=True)
        return [_step_back(Course(np.array(u), np.array(q), stop)) for (u, q), stop in rows]


def _step_back(course: Course) -> Course:
    """The course without its last knots where the branch ends."""
    if course.stop is not Stop.LOST:
        return course
    return course.until(max(1, int(np.searchsorted(course.u, course.u[-1] - _END_MARGIN, side="right"))))
