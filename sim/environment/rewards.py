"""The reward of the reach environment, a function of goals, so that it can be computed again for other goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.environment.goals import GoalSpace
from sim.errors import ShapeError, UnknownNameError
from sim.inputs import check_reals

REWARDS = ("sparse", "dense")


@dataclass(frozen=True, eq=False)
class Reward:
    """Sparse: 0 within both tolerances of the target, else -1. Dense: -(err_pos / reach + err_rot / π).

    Args:
        goals: Measures how far goals are apart.
        kind: "sparse" or "dense".
        reach: Of the arm [m].
        tolerance_pos: Distance at which a target is reached [m].
        tolerance_rot: Angle at which it is [rad].
        contact_penalty: Taken off where something touched.

    Raises:
        UnknownNameError: Another kind.
        ShapeError: A tolerance is not positive or the penalty is negative.
    """

    goals: GoalSpace
    kind: str
    reach: float
    tolerance_pos: float
    tolerance_rot: float
    contact_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in REWARDS:
            raise UnknownNameError(f"unknown reward {self.kind!r}; allowed: {', '.join(REWARDS)}", name=self.kind)
        check_reals(
            tolerance_pos=self.tolerance_pos, tolerance_rot=self.tolerance_rot, contact_penalty=self.contact_penalty
        )
        if not (self.tolerance_pos > 0 and self.tolerance_rot > 0 and self.contact_penalty >= 0):
            raise ShapeError(
                "tolerance_pos [m] and tolerance_rot [rad] must be positive, contact_penalty at least 0; "
                f"got {self.tolerance_pos}, {self.tolerance_rot} and {self.contact_penalty}"
            )

    def is_reached(self, achieved: NDArray[np.floating], desired: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether goals (..., g) are within both tolerances of each other, shape (...)."""
        err_pos, err_rot = self.goals.errors(achieved, desired)
        return np.asarray((err_pos <= self.tolerance_pos) & (err_rot <= self.tolerance_rot))

    def of(
        self,
        achieved: NDArray[np.floating],
        desired: NDArray[np.floating],
        info: Mapping[str, Any] | Sequence[Mapping[str, Any]] | NDArray[Any] | None = None,
    ) -> NDArray[np.float64]:
        """The reward of goals.

        Args:
            achieved, desired: Shape (..., g), broadcastable.
            info: Of the step, or one for each goal; only `collision` is read, and without it nothing touched.

        Returns:
            Shape (...).
        """
        if self.kind == "sparse":
            reward = np.where(self.is_reached(achieved, desired), 0.0, -1.0)
        else:
            err_pos, err_rot = self.goals.errors(achieved, desired)
            reward = -(err_pos / self.reach + err_rot / np.pi)
        if not self.contact_penalty or info is None:
            return np.asarray(reward)
        infos = [info] if isinstance(info, Mapping) else list(info)
        touched = np.array([bool(each.get("collision", False)) for each in infos])
        shape = () if isinstance(info, Mapping) else np.shape(reward)
        return np.asarray(reward - self.contact_penalty * touched.reshape(shape))
