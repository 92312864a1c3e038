"""Goals as vectors: poses written as the numbers that a task counts, and how far two of them are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics
from sim.rotations import quat_wxyz_of, rotation_from_quat
from sim.task import Task, error_norms, task_error

_POINT = ("x", "y", "z")
_TURN = {  # what stands for the rotation, by how many angular rows of the task count
    0: (),
    1: ("heading_x", "heading_y"),  # of the tip's x axis, in the plane
    2: ("axis_x", "axis_y", "axis_z"),  # of the tip's z axis
    3: ("quat_w", "quat_x", "quat_y", "quat_z"),  # its first non-zero number is positive
}


@dataclass(frozen=True, eq=False)
class GoalSpace:
    """Writes poses `T_base_tip` of one arm as goal vectors of one task, and reads them back.

    A goal is the position [m] that counts, followed by what counts of the rotation: nothing, the direction of the
    tip's x axis in the plane, the direction of its z axis, or a unit quaternion `quat_wxyz`.

    Args:
        task: Which part of a pose counts.
        T_rest: A pose of the arm's tip, shape (4, 4); gives what the task leaves open when a goal is read back.

    Raises:
        ShapeError: T_rest is not (4, 4).
    """

    task: Task
    T_rest: FloatArray

    def __post_init__(self) -> None:
        if np.shape(self.T_rest) != (4, 4):
            raise ShapeError(f"T_rest must be a pose of shape (4, 4); got shape {np.shape(self.T_rest)}")

    @property
    def names(self) -> tuple[str, ...]:
        """What each number of a goal is, in order."""
        return (*_POINT[: self.n_position], *_TURN[sum(self.task.rows[3:])])

    @property
    def n_position(self) -> int:
        """How many numbers of a goal, from its start, are the position: 2 or 3."""
        return sum(self.task.rows[:3])

    @property
    def size(self) -> int:
        """Length of a goal."""
        return len(self.names)

    def encode(self, T_base_tip: FloatArray) -> FloatArray:
        """The goal vectors of poses.

        Args:
            T_base_tip: Shape (..., 4, 4).

        Returns:
            Shape (..., size).
        """
        T = np.asarray(T_base_tip, dtype=np.float64)
        position = T[..., : self.n_position, 3]
        count = sum(self.task.rows[3:])
        if count == 0:
            return position.copy()
        turn = {1: T[..., :2, 0], 2: T[..., :3, 2]}.get(count)
        return np.concatenate([position, quat_wxyz_of(T[..., :3, :3]) if turn is None else turn], axis=-1)

    def decode(self, goal: NDArray[np.floating]) -> FloatArray:
        """A pose that has this goal; what the task leaves open is taken from `T_rest`, or arbitrary (roll).

        Args:
            goal: Shape (size,).

        Returns:
            `T_base_tip`, shape (4, 4).

        Raises:
            ShapeError: Another shape, or numbers that are no goal (a direction or quaternion of length 0).
        """
        values = self._checked(goal)
        T = np.array(self.T_rest, dtype=np.float64)
        T[: self.n_position, 3], turn = values[: self.n_position], values[self.n_position :]
        if not len(turn):
            return T
        length = float(np.linalg.norm(turn))
        if length < 0.5:
            raise ShapeError(f"the rotation part of a goal ({', '.join(self.names)}) must have length 1; got {length}")
        T[:3, :3] = self._rotation(turn / length)
        return T

    def errors(self, achieved: NDArray[np.floating], desired: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """How far goals are from each other.

        Angles by `2 atan2(|a - b|, |a + b|)` of unit vectors, good at every angle (Kahan, How futile are mindless
        assessments of roundoff, 2006, §12); between quaternions, of which q and -q are one rotation, twice that.

        Args:
            achieved, desired: Shape (..., size), broadcastable.

        Returns:
            Position error [m] and rotation error [rad] (0 where the task counts none), each of shape (...).
        """
        a, b = (np.asarray(goal, dtype=np.float64) for goal in (achieved, desired))
        n = self.n_position
        err_pos = np.linalg.norm(a[..., :n] - b[..., :n], axis=-1)
        a, b = a[..., n:], b[..., n:]
        near, far = (np.linalg.norm(each, axis=-1) for each in (a - b, a + b))
        if sum(self.task.rows[3:]) < 3:
            return err_pos, 2.0 * np.arctan2(near, far)  # (0, 0) without a rotation: 0
        return err_pos, 4.0 * np.arctan2(np.minimum(near, far), np.maximum(near, far))

    def _rotation(self, turn: FloatArray) -> FloatArray:
        if len(turn) == 4:
            return rotation_from_quat(np.roll(turn, -1))
        R = np.empty((3, 3))
        if len(turn) == 2:
            R[:, 0], R[:, 2] = (*turn, 0.0), (0.0, 0.0, np.sign(self.T_rest[2, 2]))
        else:
            R[:, 2] = turn
            aside = np.eye(3)[np.abs(turn).argmin()]  # any direction across the axis
            R[:, 0] = np.cross(aside, turn) / np.linalg.norm(np.cross(aside, turn))
        R[:, 1] = np.cross(R[:, 2], R[:, 0])
        return R

    def _checked(self, goal: NDArray[np.floating]) -> FloatArray:
        values = np.asarray(goal, dtype=np.float64)
        if values.shape != (self.size,) or not np.isfinite(values).all():
            raise ShapeError(
                f"a goal of task {self.task.name!r} is {self.size} finite numbers ({', '.join(self.names)}); "
                f"got shape {values.shape}"
            )
        return values


class WholeGoals(GoalSpace):
    """Goals of any task: all of the position [m], and the unit quaternion `quat_wxyz` where a rotation counts.

    What the task leaves open is in them too, and plays no part in `errors`, which are those of the task in its frames.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """What each number of a goal is, in order."""
        return (*_POINT, *_TURN[3 if any(self.task.rows[3:]) else 0])

    @property
    def n_position(self) -> int:
        """How many numbers of a goal, from its start, are the position: 3."""
        return 3

    def encode(self, T_base_tip: FloatArray) -> FloatArray:
        """The goal vectors (..., size) of poses (..., 4, 4)."""
        T = np.asarray(T_base_tip, dtype=np.float64)
        parts = [T[..., :3, 3], quat_wxyz_of(T[..., :3, :3])]
        return np.concatenate(parts[: 1 + any(self.task.rows[3:])], axis=-1)

    def errors(self, achieved: NDArray[np.floating], desired: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """How far goals (..., size) are from each other [m], [rad], each (...); see `sim.task.task_error`."""
        both = np.broadcast_arrays(self._poses(achieved), self._poses(desired))
        a, b = (torch.from_numpy(T.copy()) for T in both)
        err_pos, err_rot = error_norms(task_error(self.task, a, b))
        return err_pos.numpy(), err_rot.numpy()

    def _poses(self, goal: NDArray[np.floating]) -> FloatArray:
        values = np.asarray(goal, dtype=np.float64)
        T = np.broadcast_to(self.T_rest, (*values.shape[:-1], 4, 4)).copy()
        T[..., :3, 3] = values[..., :3]
        if self.size > 3:
            T[..., :3, :3] = rotation_from_quat(np.roll(values[..., 3:], -1, axis=-1))
        return T


def goal_space(arm: Arm, task: Task) -> GoalSpace:
    """The goal space of an arm and a task: `GoalSpace` for tasks of `sim.TASKS` and the like, `WholeGoals` for others.

    Args:
        arm: The arm.
        task: One that it can do (see `sim.load_task`).

    Returns:
        Goals in the arm's base frame.
    """
    ordered = sorted(task.rows[:3], reverse=True) == list(task.rows[:3]) and sum(task.rows[:3]) >= 2
    heading = sum(task.rows[3:]) != 1 or _stays_upright(arm)
    plain = ordered and heading and task.R_base_task is None and task.R_tip_task is None
    space = GoalSpace if plain else WholeGoals
    return space(task, forward_kinematics(arm, (arm.sample_min + arm.sample_max) / 2))


def _stays_upright(arm: Arm) -> bool:
    """Whether the tip's z axis is up or down everywhere, so that its turn about it is the heading of its x axis."""
    q = arm.sample(np.random.default_rng(0), 8)
    return bool((np.abs(forward_kinematics(arm, q)[:, 2, 2]) > 1.0 - 1e-6).all())
