"""Cartesian paths as data: lines, circles and polylines of the tip, with a time law."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ik_mdn.paths.geometry import Geometry
from sim.arrays import FloatArray
from sim.errors import PoseError, ShapeError, shown
from sim.inputs import as_numbers, check_flags, check_reals
from sim.task import TASKS, as_targets
from sim.world import rest_to_rest

RATE = 100.0  # [Hz] that paths are sampled at
SPEED = 0.25  # [m/s] of the tip: what ISO 10218-1 allows beside people
TURN_SPEED = 1.0  # [rad/s] of the tip's orientation

MOST_SAMPLES = 1_000_000  # of a path
_SMALL = 1e-12  # [m, rad] a length or an angle below this is none
_ANTIPODAL = 1e-6  # [rad] rotations this near to half a turn have no single shortest way


@dataclass(frozen=True, eq=False)
class CartesianPath:
    """Poses that the tip is to pass, one every `dt`.

    Without a geometry the path between two poses is the straight line, turning the shortest way.

    Args:
        T_base_tip: Poses of the tip in the base frame, shape (N, 4, 4).
        dt: Time between two of them [s].
        geometry: Where the path runs between the poses; None: straight from pose to pose.
        progress: Place of each pose in the geometry, ascending from 0 to its number of pieces, shape (N,).

    Raises:
        ShapeError: There is no pose, dt is not positive, or progress does not fit.
        PoseError: A matrix is no pose.
    """

    T_base_tip: FloatArray
    dt: float = 1.0 / RATE
    geometry: Geometry | None = None
    progress: FloatArray | None = None

    def __post_init__(self) -> None:
        T = as_numbers(self.T_base_tip, "T_base_tip")
        if T.ndim != 3 or T.shape[1:] != (4, 4) or not len(T):
            raise ShapeError(f"a path needs poses T_base_tip of shape (N, 4, 4), N > 0; got {T.shape}")
        check_reals(dt=self.dt)
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise ShapeError(f"the time between poses must be positive [s]; got dt={self.dt}")
        object.__setattr__(self, "T_base_tip", as_targets(TASKS["pose"], T))
        if (self.geometry is None) != (self.progress is None):
            raise ShapeError("give geometry and progress, or neither")
        if self.progress is not None and (self.progress.shape != (len(T),) or (np.diff(self.progress) < 0).any()):
            raise ShapeError(f"progress must ascend, one number per pose; got shape {self.progress.shape}")

    def __len__(self) -> int:
        return len(self.T_base_tip)

    @property
    def duration(self) -> float:
        """Time from the first to the last pose [s]."""
        return (len(self) - 1) * self.dt

    @cached_property
    def course(self) -> tuple[Geometry, FloatArray]:
        """Where the path runs, and the place of each sample in it."""
        if self.geometry is not None and self.progress is not None:
            return self.geometry, self.progress
        poses = self.T_base_tip if len(self) > 1 else self.T_base_tip[[0, 0]]
        return Geometry.through(poses), np.arange(len(self), dtype=np.float64)

    def pose_at(self, u: ArrayLike) -> FloatArray:
        """Poses on the path, also between the samples.

        Args:
            u: Place in samples, from 0 to N - 1, any shape.

        Returns:
            `T_base_tip`, shape (..., 4, 4).

        Raises:
            ShapeError: A place is no number.
        """
        places = as_numbers(u, "u")
        if np.isnan(places).any():
            raise ShapeError("u must hold places in samples; got NaN")
        geometry, progress = self.course
        at = np.interp(places, np.arange(len(self)), progress)
        piece = np.minimum(at.astype(np.int64), len(geometry) - 1)
        return geometry.pose_at(piece, at - piece)


def line_path(T_start: ArrayLike, T_end: ArrayLike, **limits: float) -> CartesianPath:
    """The straight line from one pose to another, turning the shortest way about a fixed axis (slerp).

    Example:
        >>> path = line_path(sim.pose((0.3, -0.2, 0.3)), sim.pose((0.3, 0.2, 0.3)), speed=0.1)
        >>> len(path), path.T_base_tip[-1, :3, 3].round(6).tolist()
        (451, [0.3, 0.2, 0.3])

    Args:
        T_start, T_end: Poses of the tip in the base frame, shape (4, 4).
        **limits: `speed` [m/s], `turn_speed` [rad/s] and `rate` [Hz], as for `polyline_path`.

    Returns:
        The path, from rest to rest.

    Raises:
        PoseError, ShapeError: See `polyline_path`.
    """
    return polyline_path([T_start, T_end], **limits)


def polyline_path(waypoints: Sequence[ArrayLike] | FloatArray, **limits: float) -> CartesianPath:
    """Straight lines from waypoint to waypoint; the tip comes to rest at each, so that corners are exact.

    Args:
        waypoints: Poses of the tip in the base frame, W of shape (4, 4), W > 1.
        **limits: `speed`: most of the tip [m/s]; `turn_speed`: most of its orientation [rad/s]; `rate`: samples per
            second [Hz]. Defaults: 0.25, 1.0, 100.

    Returns:
        The path, from rest to rest.

    Raises:
        PoseError: A waypoint is no pose, or two in a row are half a turn apart: no way is shortest.
        ShapeError: Fewer than two waypoints, or a limit is not positive, or so low that the path takes a million samples.
    """
    if not isinstance(waypoints, Iterable):
        raise ShapeError(f"waypoints must be two or more poses of shape (4, 4); got {shown(waypoints)}")
    every = [as_numbers(waypoint, "a waypoint") for waypoint in waypoints]
    T = np.array(every) if len({waypoint.shape for waypoint in every}) == 1 else np.empty(0)
    if T.ndim != 3 or T.shape[1:] != (4, 4) or len(T) < 2:
        raise ShapeError(
            f"waypoints must be two or more poses of shape (4, 4); got {[each.shape for each in every][:5]}"
        )
    T = as_targets(TASKS["pose"], T)
    geometry = Geometry.through(T)
    half = np.flatnonzero(geometry.angle > np.pi - _ANTIPODAL)
    if len(half):
        raise PoseError(
            f"waypoints {half[0]} and {half[0] + 1} are half a turn apart, so that no way is shortest; "
            "put a waypoint between them"
        )
    return _sample(geometry, **limits)


def circle_path(
    centre: ArrayLike,
    axis: ArrayLike,
    radius: float,
    R_base_tip: ArrayLike,
    *,
    towards: ArrayLike | None = None,
    angle: float = 2 * np.pi,
    tangential: bool = False,
    **limits: float,
) -> CartesianPath:
    """A circle or an arc of the tip.

    Args:
        centre: In the base frame [m], shape (3,).
        axis: Which the tip runs round, right-handed, shape (3,), any length.
        radius: [m]
        R_base_tip: Orientation of the tip at the start, shape (3, 3).
        towards: Direction from the centre to the start, shape (3,); its part along the axis is taken off. Default:
            along the base's x axis, or y where the circle's axis is nearer to x.
        angle: How far round [rad]; negative runs the other way.
        tangential: Turn the tip with the circle; False keeps its orientation.
        **limits: `speed`, `turn_speed` and `rate`, as for `polyline_path`.

    Returns:
        The path, from rest to rest.

    Raises:
        ShapeError: The axis has no direction, `towards` lies along it, or radius, angle or a limit is unusable.
        PoseError: R_base_tip is no rotation.
    """
    check_reals(radius=radius, angle=angle)
    check_flags(tangential=tangential)
    radius, angle = float(radius), float(angle)
    middle, around = _vector("centre", centre), _vector("axis", axis)
    if not (np.isfinite(radius) and radius > 0 and np.isfinite(angle) and angle != 0):
        raise ShapeError(f"a circle needs a positive radius [m] and an angle that is not 0; got {radius} and {angle}")
    if not np.linalg.norm(around) > _SMALL:
        raise ShapeError(f"the axis of a circle needs a direction; got {around.tolist()}")
    around = around / np.linalg.norm(around)
    default = np.eye(3)[int(abs(around[0]) > abs(around[1]))]
    out = default if towards is None else _vector("towards", towards)
    out = out - around * (out @ around)
    if not np.linalg.norm(out) > _SMALL:
        raise ShapeError("the start lies on the circle's axis: `towards` must not point along the axis")
    T = np.eye(4)
    R = as_numbers(R_base_tip, "R_base_tip")
    if R.shape != (3, 3):
        raise ShapeError(f"R_base_tip must have shape (3, 3); got {R.shape}")
    T[:3, :3] = R
    T = as_targets(TASKS["pose"], T)
    turn, none = (angle * around)[None], np.zeros((1, 3))
    arm = (radius * out / np.linalg.norm(out))[None]
    roll = turn if tangential else none
    return _sample(Geometry(middle[None], arm, none, turn, roll, none, T[None, :3, :3]), **limits)


def _sample(
    geometry: Geometry, *, speed: float = SPEED, turn_speed: float = TURN_SPEED, rate: float = RATE
) -> CartesianPath:
    """The path sampled in time: every piece from rest to rest, jerk-limited."""
    check_reals(speed=speed, turn_speed=turn_speed, rate=rate)
    if not min(speed, turn_speed, rate) > 0 or not np.isfinite([speed, turn_speed, rate]).all():
        raise ShapeError(f"speed, turn_speed and rate must be positive; got {speed}, {turn_speed} and {rate}")
    hurry = np.maximum(geometry.length / speed, geometry.angle / turn_speed)  # [s] per piece at full speed
    _check_duration(hurry.sum(), rate)
    laws = [
        rest_to_rest(np.zeros(1), np.ones(1), np.array([1.0 / seconds])) if seconds > _SMALL else None
        for seconds in hurry.tolist()
    ]  # of pieces with an extent: from 0 to 1, as joint motions are
    starts = np.cumsum([0.0, *(law.duration if law else 0.0 for law in laws)])
    _check_duration(starts[-1], rate)  # getting up to speed takes time too
    times = np.arange(int(np.ceil(starts[-1] * rate - 1e-9)) + 1) / rate
    progress = np.full(len(times), float(len(geometry)))
    for i, law in enumerate(laws):
        inside = (times >= starts[i]) & (times < starts[i + 1])
        places = [law.at_time(t)[0][0] for t in (times[inside] - starts[i]).tolist()] if law else []
        progress[inside] = i + np.clip(places, 0.0, 1.0)
    progress[-1] = len(geometry)
    piece = np.minimum(progress.astype(np.int64), len(geometry) - 1)
    T = geometry.pose_at(piece, progress - piece)
    return CartesianPath(T, 1.0 / rate, geometry, progress)


def _check_duration(seconds: float, rate: float) -> None:
    if seconds * rate > MOST_SAMPLES:
        raise ShapeError(
            f"the path would take {seconds:.3g} s, more than {MOST_SAMPLES:,} samples at {rate:g} Hz; raise speed and turn_speed, or "
            "lower rate"
        )


def _vector(name: str, value: ArrayLike) -> FloatArray:
    vector = as_numbers(value, name)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise ShapeError(f"{name} must be 3 finite numbers; got {vector.tolist()}")
    return vector
