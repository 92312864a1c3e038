"""Which part of the tip's pose counts, and how far a pose is from a target under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Array, FloatArray, constants, library_of
from sim.errors import TaskError
from sim.rotations import rotation_vector_of

Rows = tuple[tuple[float, ...], ...]

NO_TWIST = 1e-7  # length of (sine, cosine) below which the turn about an axis is rounding: that axis is turned over
ANGULAR_ROWS = ((False,) * 3, (False, False, True), (True, True, False), (True,) * 3)


@dataclass(frozen=True)
class Task:
    """A choice among the six constraints of a pose.

    One angular row alone is the twist about its axis, two are the direction of the third axis. Which axes these are
    is free: frames turned against the base's and the tip's can be given. Rows about other axes than z (a pitch) become
    those about z of a turned frame of the tip.

    Example:
        >>> Task("height and tool", (False, False, True, True, True, False), "z, and where the tool points").n_constraints
        3

    Args:
        name: What the command line calls it.
        rows: Which errors count: linear x, y, z in the base frame, angular x, y, z in the tip frame.
        about: One line for people.
        R_base_task: Axes of the linear rows seen from the base, the rows of a rotation matrix; None: the base's own.
        R_tip_task: Axes of the angular rows seen from the tip; None: the tip's own.

    Raises:
        TaskError: A row is no truth value, there are not six, or a frame is no rotation.
    """

    name: str
    rows: tuple[bool, bool, bool, bool, bool, bool]
    about: str
    R_base_task: Rows | None = None
    R_tip_task: Rows | None = None

    def __post_init__(self) -> None:
        for R in (np.array(frame) for frame in (self.R_base_task, self.R_tip_task) if frame is not None):
            if R.shape != (3, 3) or np.abs(R @ R.T - np.eye(3)).max() > 1e-9 or np.linalg.det(R) < 0:
                raise TaskError(f"task {self.name!r}: {R.tolist()} is no rotation; give three rows of three numbers")
        if len(self.rows) != 6 or not all(isinstance(on, bool | np.bool_) for on in self.rows) or not any(self.rows):
            raise TaskError(
                f"task {self.name!r} has the rows {self.rows}; give six of True and False, one of them True"
            )
        if self.rows[3:] not in ANGULAR_ROWS:
            self._turn_rows_to_z()

    def _turn_rows_to_z(self) -> None:
        """Count the same angular rows in a frame of the tip whose z axis is the single one, or the one left out."""
        angular = self.rows[3:]
        k = angular.index(sum(angular) == 1)
        R = np.eye(3)[:, [(k + 1) % 3, (k + 2) % 3, k]]
        R = R if self.R_tip_task is None else np.array(self.R_tip_task) @ R
        object.__setattr__(self, "rows", (*self.rows[:3], *ANGULAR_ROWS[sum(angular)]))
        object.__setattr__(self, "R_tip_task", tuple(map(tuple, R.tolist())))

    @property
    def constraints(self) -> tuple[int, ...]:
        """Which of the six errors count, ascending."""
        return tuple(i for i, on in enumerate(self.rows) if on)

    @property
    def n_constraints(self) -> int:
        """How many numbers the target fixes."""
        return sum(self.rows)

    @property
    def point_size(self) -> int:
        """Length of the point that may stand for the target: 2 or 3, or 0 where a rotation is needed too."""
        if any(self.rows[3:]):
            return 0
        return 2 if self.rows[:3] == (True, True, False) and self.R_base_task is None else 3


TASKS = {
    task.name: task
    for task in (
        Task("planar_position", (True, True, False, False, False, False), "x and y of the tip"),
        Task("planar_pose", (True, True, False, False, False, True), "x, y and heading of the tip"),
        Task("position", (True, True, True, False, False, False), "position of the tip"),
        Task(
            "position_axis",
            (True, True, True, True, True, False),
            "position and tool (z) axis; roll about it is free",
        ),
        Task("pose", (True, True, True, True, True, True), "position and orientation"),
    )
}


def counted_position(task: Task, p_base: FloatArray) -> FloatArray:
    """Points along the axes of the linear rows, 0 where a row does not count, so that distances are those that count.

    Args:
        task: Whose rows.
        p_base: Points in the base frame, shape (..., 3) [m].

    Returns:
        Shape (..., 3) [m].
    """
    R = np.eye(3) if task.R_base_task is None else np.array(task.R_base_task)
    return np.asarray(p_base @ R * np.array(task.rows[:3], dtype=np.float64))


def task_error(task: Task, T_base_tip: Array, T_base_target: Array) -> Array:
    """The step that would take the tip to the target, in the constraints of a task.

    Linear rows are p_target - p_tip in the base frame; angular rows the rotation vector of
    R_tip^T R_target in the tip frame, for `position_axis` the shortest one that aligns the z axes, for one row the
    turn about its axis: half a turn where the target has that axis the other way round, which no turn about it mends.

    Args:
        task: Which rows count; the others are zero.
        T_base_tip: Where the tip is, shape (..., 4, 4), numpy or torch.
        T_base_target: Where it should be, broadcastable with it.

    Returns:
        Shape (..., 6), [m] and [rad].
    """
    xp = library_of(T_base_tip)
    T_base_tip, T_base_target = _in_frames(task, T_base_tip), _in_frames(task, T_base_target)
    linear = T_base_target[..., :3, 3] - T_base_tip[..., :3, 3]
    angular = xp.zeros_like(linear)
    if any(task.rows[3:]):
        R = xp.swapaxes(T_base_tip[..., :3, :3], -2, -1) @ T_base_target[..., :3, :3]
        if all(task.rows[3:]):
            angular = rotation_vector_of(R)
        elif not task.rows[5]:
            angular = _align_z(R[..., :, 2])
        else:
            sine, cosine = R[..., 1, 0] - R[..., 0, 1], R[..., 0, 0] + R[..., 1, 1]
            yaw = xp.arctan2(sine, cosine)
            yaw = xp.where(xp.hypot(sine, cosine) < NO_TWIST, xp.full_like(yaw, np.pi), yaw)
            angular = xp.stack([xp.zeros_like(yaw), xp.zeros_like(yaw), yaw], axis=-1)
    error: Array = xp.concatenate([linear, angular], axis=-1) * constants(task.rows, like=linear)
    return error


def error_norms(error: Array) -> tuple[Array, Array]:
    """Length of the linear part [m] and angle of the angular part [rad] of errors (..., 6)."""
    norm = library_of(error).linalg.norm
    return norm(error[..., :3], axis=-1), norm(error[..., 3:], axis=-1)


def task_jacobian(task: Task, jacobian: Array, T_base_tip: Array) -> Array:
    """The Jacobian of the rows that count: linear in the base frame, angular in the tip frame.

    Args:
        task: The task, m constraints.
        jacobian: Geometric Jacobian in the base frame, shape (..., 6, n), numpy or torch.
        T_base_tip: The pose it was taken at, shape (..., 4, 4).

    Returns:
        Shape (..., m, n).
    """
    keep, xp = list(task.constraints), library_of(jacobian)
    linear, angular = jacobian[..., :3, :], jacobian[..., 3:, :]
    if task.R_base_task is not None:
        R_task_base = constants(np.transpose(task.R_base_task), like=jacobian)
        linear, angular = R_task_base @ linear, R_task_base @ angular
    if max(keep) >= 3:
        angular = xp.swapaxes(_in_frames(task, T_base_tip)[..., :3, :3], -2, -1) @ angular
    rows: Array = xp.concatenate([linear, angular], axis=-2)[..., keep, :]
    return rows


def _in_frames(task: Task, T_base_tip: Array) -> Array:
    """Poses of the tip's frame of the task, seen from its frame at the base."""
    if task.R_base_task is None and task.R_tip_task is None:
        return T_base_tip
    before, behind = (_homogeneous(R) for R in (task.R_base_task, task.R_tip_task))
    return constants(before.T, like=T_base_tip) @ T_base_tip @ constants(behind, like=T_base_tip)


def _homogeneous(R: Rows | None) -> FloatArray:
    T = np.eye(4)
    T[:3, :3] = T[:3, :3] if R is None else R
    return T


def _align_z(z_target: Array) -> Array:
    """Rotation vector (..., 3) of the shortest turn of (0, 0, 1) onto a unit vector (..., 3)."""
    xp = library_of(z_target)
    x, y, z = xp.moveaxis(z_target, -1, 0)
    length = xp.hypot(x, y)
    angle = xp.arctan2(length, z)
    tiny = length < xp.finfo(x.dtype).tiny
    scale = angle / xp.where(tiny, xp.ones_like(length), length)
    # towards -z every horizontal axis is shortest: take x, so that the angle is not lost
    wx = xp.where(tiny, xp.where(z < 0, angle, -y), -y * scale)
    wy = xp.where(tiny, x, x * scale)
    vector: Array = xp.stack([wx, wy, xp.zeros_like(wx)], axis=-1)
    return vector
