"""When an arm is where on its path: as planned, or held back so that no joint moves faster than it may."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ik_mdn.paths.continuation import TOLERANCE, Course, Stop, is_outside
from ik_mdn.paths.path import MOST_SAMPLES, CartesianPath
from ik_mdn.solver import refine
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.task import Task
from sim.world import RISE_TIME, speed_limits

_MARGIN = 0.999  # share of the velocity limits that is planned with; the rest is for what lies between knots
_GRID = 1.0  # [ticks] least distance of the knots that accelerations are taken from
_ON_TIME = 1e-9  # [samples] delay that is none
_PASSES = 50  # of stretching what is still too fast, a guard only


@dataclass(frozen=True, eq=False)
class Schedule:
    """A branch sampled in time.

    Args:
        u: Place on the path at each tick [samples], ascending, shape (M,).
        q: Joint vectors there, shape (M, n).
        err_pos, err_rot: How far they are off the path by forward kinematics [m], [rad], shape (M,).
        late: Delay against the path's own time law at each of its samples that was passed [ticks].
        fault: Number of the first joint vector that leaves the limits, or the course that was followed, by what lies
            between its knots; None where all is well.
    """

    u: FloatArray
    q: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    late: FloatArray
    fault: int | None


def schedule(arm: Arm, task: Task, path: CartesianPath, course: Course, *, speed: float = 1.0) -> Schedule:
    """The branch passed at the path's own pace where the joints can keep it, slower where they cannot.

    Time is the path's own (u = t / dt) while every joint stays below its velocity limit. Where one would not, all wait
    for it. Around these stretches, and before the end of a course that stops short, the pace changes so that no joint
    accelerates faster than from rest to its limit in 0.4 s by the change of pace, and as much again by the bend of the
    path in joint space (the two constraints of Bobrow, Dubowsky and Gibson, Time-optimal control of robotic
    manipulators along specified paths, IJRR 4(3), 1985, each on its own, by a pass backwards and one forwards).

    Args:
        arm: The arm.
        task: Which constraints count.
        path: The path.
        course: The branch that was followed along it.
        speed: Share of the velocity limits to use, in (0, 1].

    Returns:
        Samples `path.dt` apart (only the last may follow sooner), each refined on the path.

    Raises:
        ShapeError: They would be more than a million.
    """
    most = speed_limits(arm) * speed * path.dt  # per tick
    t = _plan(course, most * _MARGIN, path.dt)
    for _ in range(_PASSES):
        if t[-1] > MOST_SAMPLES:
            raise ShapeError(
                f"no joint faster than it may be, the path takes {t[-1] * path.dt:.3g} s, more than {MOST_SAMPLES:,} samples at "
                f"{1 / path.dt:g} Hz; lower rate"
            )
        ticks = np.minimum(np.arange(int(np.ceil(t[-1] - _ON_TIME)) + 1), t[-1])
        u = _at(ticks, t, course.u)
        seeds = np.stack([np.interp(ticks, t, joint) for joint in course.q.T], axis=-1)
        end = refine(arm, task, path.pose_at(u), seeds)
        q = end.q
        ratio = (np.abs(np.diff(q, axis=0)) / most).max(axis=-1, initial=0.0)
        if (ratio <= 1.0).all():
            break
        t = _stretch(t, ticks, ratio)
    err_pos, err_rot = end.err_pos, end.err_rot
    off_course = np.abs(q - seeds).max(axis=-1) > 0.5 * np.abs(np.diff(course.q, axis=0)).max(initial=0.0) + 1e-3
    faulty = off_course | is_outside(arm, q) | (np.maximum(err_pos, err_rot) > TOLERANCE)
    faulty[1:] |= ratio > 1.0
    fault = int(faulty.argmax()) if faulty.any() else None
    passed = np.arange(int(np.floor(course.u[-1] + _ON_TIME)) + 1)
    late = np.interp(passed, course.u, t) - passed
    within = np.where(is_outside(arm, q)[:, None], q, np.clip(q, arm.q_min, arm.q_max))  # rounding at a limit
    return Schedule(u, within, err_pos, err_rot, late, fault)


def shortest_time(arm: Arm, course: Course, dt: float, *, speed: float = 1.0) -> float:
    """Time that the joints need for a course at least, the path's own pace included [ticks]."""
    return float(_least(course, speed_limits(arm) * speed * dt).sum())


def _least(course: Course, most: FloatArray) -> FloatArray:
    """Least time from knot to knot [ticks]."""
    return np.asarray(
        np.maximum(np.diff(course.u), (np.abs(np.diff(course.q, axis=0)) / most).max(axis=-1, initial=0.0))
    )


def _plan(course: Course, most: FloatArray, dt: float) -> FloatArray:
    """Time at each knot [ticks], shape (K,)."""
    tau = np.concatenate([[0.0], np.cumsum(_least(course, most))])
    grid = _thin(tau)
    if len(grid) < 2:
        return tau
    x = _pace(tau[grid], course.q[grid], most * dt / RISE_TIME, rest=course.stop is not Stop.END)
    xs = np.interp(tau, tau[grid], x)  # squared pace, linear over tau where the acceleration is constant
    pace = np.maximum(np.sqrt(xs[:-1]) + np.sqrt(xs[1:]), 1e-6)
    t = np.concatenate([[0.0], np.cumsum(2.0 * np.diff(tau) / pace)])
    late = np.maximum.accumulate(t - course.u)
    return np.asarray(course.u + np.where(late < _ON_TIME, 0.0, late))


def _pace(tau: FloatArray, q: FloatArray, most: FloatArray, *, rest: bool) -> FloatArray:
    """Squared pace d tau / dt at each knot, at most 1; 0 at the end where the arm is to stop there."""
    step = np.diff(tau)
    velocity = np.diff(q, axis=0) / step[:, None]
    bend = np.diff(velocity, axis=0) / (0.5 * (step[1:] + step[:-1]))[:, None]
    x = np.ones(len(tau))
    x[1:-1] = np.minimum(1.0, (most / np.maximum(np.abs(bend), 1e-300)).min(axis=-1))
    x[-1] = 0.0 if rest else 1.0
    gain = 2.0 * step * (most / np.maximum(np.abs(velocity), 1e-300)).min(axis=-1)
    for i in range(len(step) - 1, -1, -1):
        x[i] = min(x[i], x[i + 1] + gain[i])
    for i in range(len(step)):
        x[i + 1] = min(x[i + 1], x[i] + gain[i])
    return x


def _thin(tau: FloatArray) -> NDArray[np.int64]:
    """Numbers of knots at least `_GRID` apart, the first and the last among them."""
    kept = [0]
    for i, value in enumerate(tau.tolist()):
        if value - tau[kept[-1]] >= _GRID:
            kept.append(i)
    if kept[-1] != len(tau) - 1:
        kept[-1 if len(kept) > 1 else len(kept) :] = [len(tau) - 1]
    return np.array(kept if tau[-1] > 0 else [0])


def _at(ticks: FloatArray, t: FloatArray, u: FloatArray) -> FloatArray:
    """Place on the path at each tick; samples that are passed on time exactly."""
    place = np.interp(ticks, t, u)
    return np.where(np.abs(place - place.round()) < _ON_TIME, np.minimum(place.round(), u[-1]), place)


def _stretch(t: FloatArray, ticks: FloatArray, ratio: FloatArray) -> FloatArray:
    """Times [ticks] with the stretches between knots made longer that a tick overlaps which is too fast."""
    factor = np.ones(len(t) - 1)
    for i in np.flatnonzero(ratio > 1.0):
        over = (t[1:] > ticks[i]) & (t[:-1] < ticks[i + 1])
        factor[over] = np.maximum(factor[over], 1.001 * ratio[i])
    return np.concatenate([[0.0], np.cumsum(np.diff(t) * factor)])
