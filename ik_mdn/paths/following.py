"""A tracked path executed by the motors under gravity, and how far the tip was from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ik_mdn.paths.tracked import Tracked
from sim.arrays import FloatArray
from sim.errors import WorldError
from sim.task import Task, counted_position, default_task, error_norms, task_error
from sim.world import TIME_STEP, ArmBody, Drive, Motion, follow

_START_TOLERANCE = 1e-2  # [rad, m] from which on the arm is not where the path starts


@dataclass(frozen=True, eq=False)
class Followed:
    """What was measured while a path was followed.

    Args:
        drive: The joints: where they ended, whether at rest, and what touched on the way.
        err_pos, err_rot: Largest distance of the tip from where it should have been at that moment [m], [rad].
        off_path: Largest distance of the tip from the nearest point of the path [m].
        end_pos, end_rot: Distance from the last pose that was asked for, at rest [m], [rad].
        T_base_tip: Where the tip was, at the start and after each step of 1/240 s, shape (K, 4, 4).
    """

    drive: Drive
    err_pos: float
    err_rot: float
    off_path: float
    end_pos: float
    end_rot: float
    T_base_tip: FloatArray


def follow_path(
    body: ArmBody,
    tracked: Tracked,
    *,
    task: Task | None = None,
    watch: Callable[[], None] | None = None,
    watch_period: float = 0.1,
) -> Followed:
    """Move along a tracked path with the motors, as far as it was tracked.

    Args:
        body: The arm in a world, at the start of the path (`body.drive(tracked.q[0])` brings it there).
        tracked: What to follow.
        task: Which part of the poses counts for the errors; None: the arm's default.
        watch: Called while the arm moves (to take pictures), at the start and at the end too.
        watch_period: Simulated time between two calls [s].

    Returns:
        What was measured.

    Raises:
        WorldError: The path was not tracked at all, or the arm is not where it starts.
    """
    if not len(tracked.q):
        raise WorldError(f"there is nothing to follow: the path cannot be started ({tracked.status.about})")
    away = np.abs(body.q - tracked.q[0])
    if away.max() > _START_TOLERANCE:
        raise WorldError(
            f"joint {body.arm.joint_names[int(away.argmax())]} is {away.max():.3g} from the start of the path; move the "
            "arm there first with body.drive(tracked.q[0])"
        )
    motion, u = to_motion(tracked)
    poses: list[FloatArray] = []
    every = max(1, round(watch_period / TIME_STEP))

    def look() -> None:
        if watch is not None and len(poses) % every == 0:
            watch()
        poses.append(body.tip_pose())

    drive = follow(body, motion, watch=look, watch_period=TIME_STEP)
    if watch is not None:
        watch()
    return _measure(task or default_task(body.arm), tracked, drive, np.array(poses), u)


def to_motion(tracked: Tracked) -> tuple[Motion, FloatArray]:
    """The tracked joint vectors on the simulation's grid, by cubic Hermite interpolation, and the place on the path.

    Args:
        tracked: M joint vectors, M > 0.

    Returns:
        The motion, K samples 1/240 s apart, and the place on the path at each [samples], shape (K,).
    """
    from scipy.interpolate import CubicHermiteSpline

    times = np.arange(len(tracked.q)) * tracked.dt
    at = np.minimum(np.arange(int(np.ceil(times[-1] / TIME_STEP - 1e-9)) + 1) * TIME_STEP, times[-1])
    if len(times) < 2:
        return Motion(q=tracked.q.copy(), dq=np.zeros_like(tracked.q)), tracked.u.copy()
    slope = np.gradient(tracked.q, tracked.dt, axis=0)
    slope[0] = slope[-1] = 0.0
    curve = CubicHermiteSpline(times, tracked.q, slope)
    dq = curve(at, 1)
    dq[-1] = 0.0
    return Motion(q=curve(at), dq=dq), np.interp(at, times, tracked.u)


def _measure(task: Task, tracked: Tracked, drive: Drive, poses: FloatArray, u: FloatArray) -> Followed:
    wanted = tracked.path.pose_at(u[np.minimum(np.arange(len(poses)), len(u) - 1)])
    err_pos, err_rot = error_norms(task_error(task, poses, wanted))
    return Followed(
        drive=drive,
        err_pos=float(err_pos.max()),
        err_rot=float(err_rot.max()),
        off_path=_distance(*(counted_position(task, T[:, :3, 3]) for T in (poses, wanted))),
        end_pos=float(err_pos[-1]),
        end_rot=float(err_rot[-1]),
        T_base_tip=poses,
    )


def _distance(points: FloatArray, line: FloatArray, *, block: int = 512) -> float:
    """Largest distance of points (P, 3) from the polyline through points (K, 3) [m]."""
    start, along = line[:-1], np.diff(line, axis=0)
    length = np.maximum((along * along).sum(-1), 1e-300)
    worst = 0.0
    for i in range(0, len(points), block):
        away = points[i : i + block, None] - start  # (P, K, 3)
        share = np.clip((away * along).sum(-1) / length, 0.0, 1.0)
        nearest = np.linalg.norm(away - share[..., None] * along, axis=-1).min(axis=1)
        worst = max(worst, float(nearest.max()))
    return worst
