"""Where an episode of the reach environment starts and what its target is: drawn at random, or given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sim.arrays import FloatArray
from sim.environment.goals import GoalSpace
from sim.errors import ShapeError, WorldError
from sim.inputs import as_numbers
from sim.task import as_targets
from sim.world import ArmBody, home

STARTS = ("random", "home")

_MARGIN = 0.01  # [m] that starts and goals keep from obstacles
_MAX_DRAWS = 1000  # configurations drawn for a free one before giving up


class Episodes:
    """Draws and checks starts and targets for an arm in its world.

    Args:
        body: The arm, among its obstacles.
        goals: Writes targets as goals.
        start: "random", or "home" for always the same.
        is_reached: Whether goals (..., g) are within tolerance of each other.
    """

    def __init__(
        self, body: ArmBody, goals: GoalSpace, start: str, is_reached: Callable[[FloatArray, FloatArray], Any]
    ) -> None:
        assert start in STARTS, start
        self.body, self.goals, self.start, self.is_reached = body, goals, start, is_reached

    def draw_start(self, rng: np.random.Generator) -> FloatArray:
        """A joint vector to start from, shape (n,), free of collision; the home one where that is asked for.

        Raises:
            WorldError: No draw is free.
            ShapeError: The home configuration is not.
        """
        return self._draw_free(rng) if self.start == "random" else self.check_start(home(self.body.arm))

    def draw_target(self, q_start: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The tip pose of a free configuration, shape (4, 4), that is not reached at the start already.

        Args:
            q_start: Where the arm starts, shape (n,).
            rng: Random numbers.

        Raises:
            WorldError: No draw is free, or all are too near.
        """
        start = self.goals.encode(self.body.tip_pose(q_start))
        for _ in range(_MAX_DRAWS):
            T = self.body.tip_pose(self._draw_free(rng))
            if not self.is_reached(start, self.goals.encode(T)):
                return T
        raise WorldError(
            f"{_MAX_DRAWS} of {_MAX_DRAWS} targets drawn are within tolerance of the start; "
            "make tolerance_pos or tolerance_rot smaller"
        )

    def check_start(self, q_start: Any) -> FloatArray:
        """A given start as an array, shape (n,).

        Raises:
            ShapeError: It is not n numbers within limits, or the arm collides there.
        """
        arm, q = self.body.arm, as_numbers(q_start, "q_start")
        if q.shape != arm.q_min.shape or not bool(np.all((q >= arm.q_min) & (q <= arm.q_max))):
            raise ShapeError(
                f"q_start must be {arm.n_joints} numbers within the limits of {', '.join(arm.joint_names)}, "
                f"{arm.q_min.round(3).tolist()} to {arm.q_max.round(3).tolist()}; got {q.tolist()}"
            )
        pairs = self.body.contacts_at(q)
        if pairs:
            names = ", ".join(f"{a} and {b}" for a, b in pairs)
            raise ShapeError(f"the arm collides at the start ({names}); start from a free configuration")
        return q

    def check_target(self, T_base_target: Any, farthest: float) -> FloatArray:
        """A given target as a pose, shape (4, 4).

        Args:
            T_base_target: Shape (4, 4), or a point where the task counts no rotation.
            farthest: Largest number of a position that the goal space holds [m].

        Raises:
            ShapeError, PoseError: It is no pose, more than one, or farther away than that.
        """
        T = as_targets(self.goals.task, T_base_target)
        if T.shape != (4, 4):
            raise ShapeError(f"T_base_target must be one pose (4, 4); got shape {T.shape}")
        if np.abs(T[: self.goals.n_position, 3]).max() > farthest:
            raise ShapeError(
                f"T_base_target is at {T[:3, 3].tolist()}, beyond what arm {self.body.arm.name!r} could reach by far; "
                f"allowed: up to {farthest:.3g} m along each axis"
            )
        return T

    def _draw_free(self, rng: np.random.Generator) -> FloatArray:
        arm = self.body.arm
        for _ in range(_MAX_DRAWS):
            q = arm.sample(rng)
            if not self.body.collides(q, margin=_MARGIN):
                return q
        raise WorldError(
            f"arm {arm.name!r} collides in {_MAX_DRAWS} of {_MAX_DRAWS} configurations; look at its collision "
            "shapes and the scene, or leave the shapes out with meshes=False"
        )
