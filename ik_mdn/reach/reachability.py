"""Targets that an arm provably cannot reach, by arguments about distances that no solver takes part in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import SuiteError
from sim.kinematics import forward_kinematics
from sim.task import Task

_FAR = (1.02, 1.5)  # distances drawn beyond the sum of the links, as a share of it
_NEAR = (0.0, 0.95)  # distances drawn inside a hole, as a share of its radius
_INSIDE = 0.98  # share of the reach within which the tip of a turned-away target lies
_DRAWS = 1000  # orientations tried for one that turns the last joint out of reach
_CLEAR = 1e-6  # share of a bound by which it must be passed to count: rounding


@dataclass(frozen=True)
class Ring:
    """Distances from the first joint's origin at which a point of the arm can be, at most.

    Args:
        point: What the point is called.
        inner, outer: Least and largest distance [m].
    """

    point: str
    inner: float
    outer: float

    def excludes(self, distance: float) -> str | None:
        """Why the point cannot be at a distance [m]; None where nothing speaks against it."""
        if distance > self.outer * (1 + _CLEAR):
            return (
                f"{self.point} would be {distance:.3f} m from the first joint, the links add up to {self.outer:.3f} m"
            )
        if distance < self.inner * (1 - _CLEAR):
            return f"{self.point} would be {distance:.3f} m from the first joint, the longest link keeps it {self.inner:.3f} m away"
        return None


def why_unreachable(arm: Arm, task: Task, T_base_target: FloatArray) -> str | None:
    """The reason why no configuration meets a target, within limits or beyond; None where this argument finds none.

    Where the task leaves part of the position open, it never does: the tip may be elsewhere than at the target.

    The origins of consecutive joints are a fixed distance apart (a sliding joint: between two distances), so by the
    triangle inequality the tip is at most the sum of them from the first joint, and at least the longest one minus
    the others. Where the whole rotation counts, the target also fixes the origin of the last joint, which turns about
    itself, and the same holds for that.

    Args:
        arm: The arm.
        task: Which part of the target counts.
        T_base_target: Shape (4, 4).

    Returns:
        One line, or None: the target may be reachable or not.
    """
    if not _fixes_position(arm, task):
        return None
    for ring, distance in zip(_rings(arm, task), _distances(arm, T_base_target), strict=False):
        reason = ring.excludes(distance)
        if reason:
            return reason
    return None


def draw_unreachable(arm: Arm, task: Task, rng: np.random.Generator) -> tuple[FloatArray, str]:
    """A target that `why_unreachable` proves out of reach.

    One of these, by chance, among those that the arm has: further than the links add up to; within that distance, but
    turned so that the last joint is not; inside the hole that a long link leaves around the first joint.

    Args:
        arm: The arm.
        task: Which part of the target counts.
        rng: Where randomness comes from.

    Returns:
        `T_base_target`, shape (4, 4), and the reason.

    Raises:
        SuiteError: The arm's reach is unbounded, or the task leaves part of the position open, so nothing can be proven.
    """
    if not _fixes_position(arm, task):
        raise SuiteError(
            f"task {task.name} leaves part of the position of arm {arm.name!r} open, so no target is provably out of "
            f"reach; choose another suite than unreachable, or a task with {'x and y' if arm.is_planar else 'x, y and z'}"
        )
    tip, *last = _rings(arm, task)
    if not np.isfinite(tip.outer):
        raise SuiteError(f"arm {arm.name!r} slides without limits; nothing is provably out of its reach")
    kinds = ["beyond"]
    kinds += ["hole"] if tip.inner > 0 else []
    kinds += ["turned"] if last and tip.outer > last[0].outer else []
    kinds += ["turned hole"] if last and last[0].inner > 0 else []
    kind = kinds[rng.integers(len(kinds))]
    T: FloatArray | None = None
    if kind.startswith("turned"):
        T = _turn_away(arm, last[0], tip, rng, hole=kind.endswith("hole"))
    elif kind == "hole":
        T = _place(arm, _draw_pose(arm, rng), tip.inner * rng.uniform(*_NEAR))
    if T is None:
        T = _place(arm, _draw_pose(arm, rng), tip.outer * rng.uniform(*_FAR))
    reason = why_unreachable(arm, task, T)
    assert reason is not None
    return T, reason


def _fixes_position(arm: Arm, task: Task) -> bool:
    """Whether the target says where the tip is: in space, or for a planar arm in its plane."""
    return all(task.rows[:3]) or (arm.is_planar and all(task.rows[:2]) and task.R_base_task is None)


def _rings(arm: Arm, task: Task) -> list[Ring]:
    """Where the tip can be, and the last joint's origin where the task fixes it and it is not the first joint's."""
    spans = [_span(arm, i) for i in range(arm.n_joints)]
    rings = [_ring("the tip", spans)]
    fixed = task.name in ("pose", "planar_pose") and not arm.is_prismatic[-1]
    return [*rings, _ring("the last joint", spans[:-1])] if fixed and arm.n_joints > 1 else rings


def _distances(arm: Arm, T_base_target: FloatArray) -> tuple[float, float]:
    """Of the tip and of the last joint's origin from the first joint's origin, at a target [m]."""
    first = arm.offsets[0, :3, 3]
    last = (T_base_target @ np.linalg.inv(arm.offsets[-1]))[:3, 3]
    flat = np.array([1.0, 1.0, 0.0]) if arm.is_planar else np.ones(3)
    return (
        float(np.linalg.norm((T_base_target[:3, 3] - first) * flat)),
        float(np.linalg.norm((last - first) * flat)),
    )


def _span(arm: Arm, joint: int) -> tuple[float, float]:
    """Least and largest distance from a joint's origin to the next one (after the last: to the tip) [m]."""
    x, y, z = arm.offsets[joint + 1, :3, 3]
    across = 0.0 if arm.is_planar and not arm.is_prismatic[joint] else z
    if not arm.is_prismatic[joint]:
        length = float(np.linalg.norm([x, y, across]))
        return length, length
    low, high = z + arm.q_min[joint], z + arm.q_max[joint]
    nearest = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    return float(np.hypot(np.hypot(x, y), nearest)), float(np.hypot(np.hypot(x, y), max(abs(low), abs(high))))


def _ring(point: str, spans: list[tuple[float, float]]) -> Ring:
    outer = sum(high for _, high in spans)
    inner = max(low - (outer - high) for low, high in spans)
    return Ring(point, inner=max(0.0, inner), outer=outer)


def _draw_pose(arm: Arm, rng: np.random.Generator) -> FloatArray:
    """The tip's pose at a uniform configuration: in the plane for a planar arm."""
    return forward_kinematics(arm, arm.sample(rng))


def _place(arm: Arm, T_base_tip: FloatArray, distance: float) -> FloatArray:
    """The pose moved along the ray from the first joint until its origin is at a distance [m] from that joint."""
    first = arm.offsets[0, :3, 3]
    T, ray = T_base_tip.copy(), T_base_tip[:3, 3] - first
    if arm.is_planar:
        ray[2] = 0.0
    length = float(np.linalg.norm(ray))
    ray = ray / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    T[:3, 3] = first + distance * ray
    if arm.is_planar:
        T[2, 3] = T_base_tip[2, 3]
    return T


def _turn_away(arm: Arm, last: Ring, tip: Ring, rng: np.random.Generator, *, hole: bool) -> FloatArray | None:
    """A pose whose tip is within reach and whose last joint is not; None where no orientation did."""
    for _ in range(_DRAWS):
        to_last = np.linalg.inv(arm.offsets[-1])
        distance = last.inner * rng.uniform(*_NEAR) if hole else last.outer * rng.uniform(*_FAR)
        at_last = _place(arm, _draw_pose(arm, rng) @ to_last, distance)
        T: FloatArray = at_last @ arm.offsets[-1]
        if tip.inner <= _distances(arm, T)[0] <= _INSIDE * tip.outer:
            return T
    return None
