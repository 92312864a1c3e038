"""What an action means: numbers in [-1, 1] turned into displacements of the joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import UnknownNameError
from sim.inputs import check_speed
from sim.jacobians import scaled_task_jacobian, task_units
from sim.task import Task
from sim.world import TIME_STEP, speed_limits

SUBSTEPS = 10  # of the physics per action
STEP_TIME = SUBSTEPS * TIME_STEP  # [s] that an action lasts
CONTROLS = ("joints", "tip")

_TIP_SPEED = 1.0  # [arm lengths per second] of the tip at full action
_TIP_TURN = np.pi  # [rad/s] the same for its rotation
_DAMPING = 0.02  # of the tip's displacement, in arm lengths and radians: bounds the joints near singularities


class Control(Protocol):
    """The meaning of actions."""

    @property
    def names(self) -> tuple[str, ...]:
        """What each number of an action moves."""

    @property
    def scale(self) -> FloatArray:
        """What 1 means, per number [rad or m per action]."""

    def displace(self, q: FloatArray, action: FloatArray) -> FloatArray:
        """Where the joints go from q, shape (n,) [rad, m for prismatic], within limits.

        Args:
            q: Where they are, shape (n,).
            action: Numbers in [-1, 1].
        """


@dataclass(frozen=True, eq=False)
class JointControl:
    """Each number moves one joint; 1 is the most that its speed limit allows in one action.

    Args:
        arm: Whose joints.
        speed: Share of the velocity limits, in (0, 1].
    """

    arm: Arm
    speed: float = 1.0

    def __post_init__(self) -> None:
        check_speed(self.speed)

    @property
    def names(self) -> tuple[str, ...]:
        """The joints, from base to tip."""
        return self.arm.joint_names

    @property
    def scale(self) -> FloatArray:
        """Largest displacement of each joint, shape (n,) [rad, m for prismatic]."""
        return speed_limits(self.arm) * self.speed * STEP_TIME

    def displace(self, q: FloatArray, action: FloatArray) -> FloatArray:
        """See `Control.displace`; action has shape (n,)."""
        return np.clip(q + self.scale * action, self.arm.q_min, self.arm.q_max)


@dataclass(frozen=True, eq=False)
class TipControl:
    """The numbers move the tip: along x, y, z of the base frame, then about the axes of the tip's own frame.

    Only what the task counts has a number. The joints follow by damped least squares,
    `dq = J^T (J J^T + λ² I)^-1 dx` without units (see `sim.jacobians`; Wampler, Manipulator inverse kinematic solutions
    based on vector formulations and damped least-squares methods, IEEE T-SMC 16(1), 1986), and slow down together
    where one would pass its speed limit.

    Args:
        arm: Whose tip.
        task: Which displacements there are.
        speed: Share of the limits (velocities of the joints; one reach and π rad per second of the tip), in (0, 1].
    """

    arm: Arm
    task: Task
    speed: float = 1.0

    @property
    def joints(self) -> JointControl:
        """The limits of the joints."""
        return JointControl(self.arm, self.speed)

    @property
    def names(self) -> tuple[str, ...]:
        """Displacements x, y, z in the base frame, turns about x, y, z of the tip frame: those that count.

        In frames of the task's own they begin with "task_".
        """
        every = ("x", "y", "z", "turn_x", "turn_y", "turn_z")
        own = [self.task.R_base_task is not None] * 3 + [self.task.R_tip_task is not None] * 3
        rows = zip(every, self.task.rows, own, strict=True)
        return tuple(f"task_{name}" if framed else name for name, on, framed in rows if on)

    @property
    def scale(self) -> FloatArray:
        """What 1 means, per number [m or rad]."""
        speeds = np.array([_TIP_SPEED] * 3 + [_TIP_TURN] * 3)[list(self.task.rows)]
        return speeds * task_units(self.arm, self.task) * self.speed * STEP_TIME

    def displace(self, q: FloatArray, action: FloatArray) -> FloatArray:
        """See `Control.displace`; action has one number per constraint of the task."""
        J = scaled_task_jacobian(self.arm, self.task, np.asarray(q, np.float64))[1]
        step = self.scale * action / task_units(self.arm, self.task)
        dq = J.T @ np.linalg.solve(J @ J.T + _DAMPING**2 * np.eye(len(J)), step) * self.arm.joint_units
        excess = float(np.abs(dq / self.joints.scale).max())
        return np.asarray(np.clip(q + dq / max(1.0, excess), self.arm.q_min, self.arm.q_max))


def load_control(arm: Arm, task: Task, name: str, *, speed: float = 1.0) -> JointControl | TipControl:
    """The control by name.

    Args:
        arm: The arm.
        task: What its goals count.
        name: "joints" or "tip".
        speed: Share of the velocity limits to use, in (0, 1].

    Returns:
        The control.

    Raises:
        UnknownNameError: Another name.
        ShapeError: speed is out of range.
    """
    if name not in CONTROLS:
        raise UnknownNameError(f"unknown control {name!r}; allowed: {', '.join(CONTROLS)}", name=name)
    joints = JointControl(arm, speed)
    return joints if name == "joints" else TipControl(arm, task, speed)
