"""Motions from one joint vector to another: time-optimal, within limits of velocity, acceleration and jerk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError, WorldError
from sim.inputs import as_numbers, check_speed

if TYPE_CHECKING:
    from ruckig import Trajectory

TIME_STEP = 1.0 / 240.0  # [s] Bullet's own, and the grid that motions are sampled on
RISE_TIME = 0.4  # [s] from rest to full speed at constant acceleration: URDFs hold no such limit

_DEFAULT_SPEED = np.pi  # [rad/s, or m/s] where the URDF gives no velocity limit
_TOP_SPEED = np.pi  # [rad/s, or m/s] a motor is not asked for more, whatever the URDF allows
_LONGEST = 1800.0  # [s] of a motion; bounds the memory, and the minutes that simulating it takes
_JERK_TIME = 0.1  # [s] from none to full acceleration


@dataclass(frozen=True, eq=False)
class Motion:
    """A motion sampled on the simulation's grid.

    Args:
        q: Joint vectors, shape (N, n), the first is the start and the last the target.
        dq: Their velocities, shape (N, n); zero at both ends.
        dt: Time between samples [s].
    """

    q: FloatArray
    dq: FloatArray
    dt: float = TIME_STEP

    def __post_init__(self) -> None:
        if self.q.shape != self.dq.shape or self.q.ndim != 2 or not len(self.q):
            raise ShapeError(f"a motion needs q and dq of one shape (N, n); got {self.q.shape} and {self.dq.shape}")

    @property
    def duration(self) -> float:
        """How long it takes [s]."""
        return (len(self.q) - 1) * self.dt


def plan_motion(arm: Arm, q_start: FloatArray, q_target: FloatArray, *, speed: float = 1.0) -> Motion:
    """The fastest straight joint-space motion from rest to rest.

    Jerk-limited profiles by Ruckig (Berscheid and Kröger, Jerk-limited real-time trajectory generation with
    arbitrary target states, RSS 2021), phase-synchronised, so that the joints move on a straight line
    from start to target. Velocities stay within the URDF's, and within π rad/s; accelerations reach full
    speed in 0.4 s, jerk builds them up in 0.1 s.

    Args:
        arm: Whose velocity limits count.
        q_start, q_target: Where it starts and ends, shape (n,) [rad, m for prismatic].
        speed: Share of the limits to use, in (0, 1].

    Returns:
        The sampled motion; one sample where start and target are the same.

    Raises:
        ShapeError: Not n finite numbers, speed is out of range, or the motion would take longer than 30 minutes.
        WorldError: No motion was found (a velocity limit of the URDF is unusable).
    """
    start, target = (_check(arm, name, q) for name, q in (("q_start", q_start), ("q_target", q_target)))
    check_speed(speed)
    if np.array_equal(start, target):
        return Motion(q=start[None].copy(), dq=np.zeros((1, arm.n_joints)))
    seconds = np.abs(target - start) / (speed_limits(arm) * speed)
    if seconds.max() > _LONGEST:
        slow = int(seconds.argmax())
        raise ShapeError(
            f"joint {arm.joint_names[slow]!r} would take {seconds[slow]:.3g} s from {start[slow]:.3g} to {target[slow]:.3g}; "
            f"motions last {_LONGEST:g} s at most: give a nearer target, or more speed"
        )
    return _sample(rest_to_rest(start, target, speed_limits(arm) * speed), target)


def rest_to_rest(start: FloatArray, target: FloatArray, speed: FloatArray) -> Trajectory:
    """Ruckig's fastest straight way from rest to rest, jerk-limited, as `plan_motion` describes it.

    Args:
        start, target: Where it starts and ends, shape (n,), any unit.
        speed: Most of each coordinate [unit/s], shape (n,).

    Returns:
        What Ruckig gives: `duration` [s], and `at_time(t)`, whose first two items are place and velocity.

    Raises:
        WorldError: No motion was found (a velocity limit is unusable).
    """
    from ruckig import InputParameter, Result, Ruckig, Synchronization, Trajectory

    request, trajectory = InputParameter(len(start)), Trajectory(len(start))
    request.synchronization = Synchronization.Phase
    request.current_position, request.target_position = start.tolist(), target.tolist()
    request.max_velocity = speed.tolist()
    request.max_acceleration = (speed / RISE_TIME).tolist()
    request.max_jerk = (speed / (RISE_TIME * _JERK_TIME)).tolist()
    result = Ruckig(len(start)).calculate(request, trajectory)
    if result not in (Result.Working, Result.Finished):
        raise WorldError(f"no motion from {start.tolist()} to {target.tolist()} at speeds {speed.tolist()}: {result}")
    return trajectory


def plan_route(arm: Arm, q_start: FloatArray, route: Sequence[FloatArray], *, speed: float = 1.0) -> Motion:
    """The fastest motion along straight joint-space ways, at rest at each of their ends; see `plan_motion`.

    Args:
        arm: Whose velocity limits count.
        q_start: Where it starts, shape (n,) [rad, m for prismatic].
        route: Configurations to pass, each shape (n,); the last is the target.
        speed: Share of the limits to use, in (0, 1].

    Returns:
        The sampled motion.

    Raises:
        ShapeError: The route is empty, or see `plan_motion`.
        WorldError: See `plan_motion`.
    """
    if not len(route):
        raise ShapeError("a route needs at least one configuration to go to; got none")
    starts = [q_start, *route[:-1]]
    parts = [plan_motion(arm, start, end, speed=speed) for start, end in zip(starts, route, strict=True)]
    q = np.concatenate([parts[0].q, *(part.q[1:] for part in parts[1:])])
    return Motion(q=q, dq=np.concatenate([parts[0].dq, *(part.dq[1:] for part in parts[1:])]))


def route_time(arm: Arm, points: Sequence[FloatArray]) -> float:
    """About how long a route takes at full speed, stopping at each point [s]: the slowest joint's time, and a rise time each."""
    steps = np.abs(np.diff(np.asarray(points), axis=0)) / speed_limits(arm)
    return float(steps.max(axis=1).sum() + RISE_TIME * len(steps))


def speed_limits(arm: Arm) -> FloatArray:
    """Velocity limits to plan with, shape (n,): the URDF's, π where it gives none, and never above π."""
    given = np.where(np.isfinite(arm.dq_max), arm.dq_max, _DEFAULT_SPEED)
    return np.asarray(np.minimum(given, _TOP_SPEED), dtype=np.float64)


def _sample(trajectory: Trajectory, target: FloatArray) -> Motion:
    duration = float(trajectory.duration)
    count = int(np.ceil(duration / TIME_STEP))
    states = [trajectory.at_time(min(k * TIME_STEP, duration)) for k in range(count + 1)]
    q, dq = (np.array([state[i] for state in states]) for i in (0, 1))
    q[-1], dq[-1] = target, 0.0
    return Motion(q=q, dq=dq)


def _check(arm: Arm, name: str, q: FloatArray) -> FloatArray:
    values = as_numbers(q, name)
    if values.shape != (arm.n_joints,) or not np.isfinite(values).all():
        raise ShapeError(
            f"{name} must be {arm.n_joints} finite numbers for arm {arm.name!r} ({', '.join(arm.joint_names)}); "
            f"got {values.tolist()}"
        )
    return values
