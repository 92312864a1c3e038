"""Time on a path: no joint faster than it may be, by differences; on time where it can be, at rest where it stops."""

from __future__ import annotations

import numpy as np
import pytest

import sim
from ik_mdn.paths.continuation import Course, Stop
from ik_mdn.paths.path import CartesianPath, line_path
from ik_mdn.paths.timing import schedule, shortest_time
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics
from sim.task import load_task
from sim.world import speed_limits


@pytest.fixture(scope="module")
def arm() -> Arm:
    return sim.load_arm("planar:1,0.7")


def line(speed: float) -> CartesianPath:
    """A line that passes the base at 0.35 m, so near that the joints are fast there."""
    start, end = np.eye(4), np.eye(4)
    start[:2, 3], end[:2, 3] = (1.0, 0.35), (-1.0, 0.35)
    return line_path(start, end, speed=speed)


def along(path: CartesianPath, count: int, until: float = 1.0, stop: Stop = Stop.END) -> Course:
    """The branch with the elbow to the right, by the law of cosines, at so many places on a share of the path."""
    u = np.linspace(0.0, until * (len(path) - 1), count)
    x, y = path.pose_at(u)[:, 0, 3], path.pose_at(u)[:, 1, 3]
    q2 = np.arccos((x * x + y * y - 1.0 - 0.49) / 1.4)
    q1 = np.unwrap(np.arctan2(y, x) - np.arctan2(0.7 * np.sin(q2), 1.0 + 0.7 * np.cos(q2)))
    return Course(u, np.stack([q1, q2], axis=1), stop)


def rates(arm: Arm, q: FloatArray, dt: float) -> FloatArray:
    """Speed of the fastest joint from sample to sample, as a share of its limit."""
    return np.asarray((np.abs(np.diff(q, axis=0)) / dt / speed_limits(arm)).max(axis=-1))


@pytest.mark.parametrize("pace", [0.1, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("speed", [1.0, 0.3])
def test_no_joint_is_faster_than_it_may_be(arm: Arm, pace: float, speed: float) -> None:
    path = line(pace)
    timed = schedule(arm, load_task(arm, "planar_position"), path, along(path, 800), speed=speed)
    assert timed.fault is None
    assert rates(arm, timed.q, path.dt).max() <= speed * (1 + 1e-9)
    assert (np.diff(timed.u) > 0).all()
    assert (timed.u[0], timed.u[-1]) == (0.0, len(path) - 1)
    assert (np.diff(timed.late) > -1e-9).all()
    expected = forward_kinematics(arm, timed.q)[:, :2, 3]
    np.testing.assert_allclose(expected, path.pose_at(timed.u)[:, :2, 3], atol=1e-8)


def test_a_path_that_joints_make_too_long_for_its_rate_is_refused(arm: Arm) -> None:
    start, end = np.eye(4), np.eye(4)
    start[:2, 3], end[:2, 3] = (1.0, 0.35), (-1.0, 0.35)
    path = line_path(start, end, speed=1e6, rate=1e7)  # at its own pace a few samples
    with pytest.raises(ShapeError, match=r"more than 1,000,000 samples at 1e\+07 Hz; lower rate"):
        schedule(arm, load_task(arm, "planar_position"), path, along(path, 800))


def test_what_no_joint_is_too_slow_for_is_passed_at_the_path_s_own_times(arm: Arm) -> None:
    path = line(0.1)
    timed = schedule(arm, load_task(arm, "planar_position"), path, along(path, 400))
    np.testing.assert_array_equal(timed.u, np.arange(len(path)))
    np.testing.assert_array_equal(timed.late, 0.0)


def test_what_a_joint_is_too_slow_for_takes_at_least_that_joint_s_time(arm: Arm) -> None:
    path = line(50.0)
    course = along(path, 800)
    timed = schedule(arm, load_task(arm, "planar_position"), path, course)
    least = (np.abs(np.diff(course.q, axis=0)) / speed_limits(arm)).max(axis=-1).sum()  # [s]
    assert shortest_time(arm, course, path.dt) * path.dt >= least - 1e-9
    assert (len(timed.u) - 1) * path.dt >= least
    assert timed.late[-1] * path.dt == pytest.approx((len(timed.u) - 1) * path.dt - path.duration, abs=path.dt)


def test_a_course_that_stops_short_ends_at_rest(arm: Arm) -> None:
    path = line(1.0)
    task = load_task(arm, "planar_position")
    short = schedule(arm, task, path, along(path, 400, until=0.6, stop=Stop.LOST))
    through = schedule(arm, task, path, along(path, 400, until=0.6))
    ends = [rates(arm, timed.q, path.dt)[-4:-1] for timed in (short, through)]
    assert ends[0].max() < 0.1
    assert ends[1].min() > 0.3


def test_a_schedule_that_leaves_the_limits_names_its_first_fault(arm: Arm) -> None:
    path = line(0.5)
    course = along(path, 400)
    turned = Course(
        course.u, course.q + np.array([np.pi - course.q[200, 0], 0.0]), Stop.END
    )  # joint 1 passes π half way
    flat = CartesianPath(forward_kinematics(arm, turned.q), dt=path.dt)
    timed = schedule(arm, load_task(arm, "planar_position"), flat, Course(np.arange(400.0), turned.q, Stop.END))
    outside = np.flatnonzero((timed.q > arm.q_max + 1e-9).any(axis=-1))
    assert timed.fault == outside[0]
