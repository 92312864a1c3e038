"""How good joint vectors are against target poses, and how to sum it up; nothing is trimmed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ik_mdn.mixture import nearest_image
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.files import as_json
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

SUCCESS_LEVELS = {"1cm": (1e-2, 1e-1), "1mm": (1e-3, 1e-2), "1e-6": (1e-6, 1e-6)}  # [m], [rad]


class Quantiles(NamedTuple):
    """What a sample is summed up by: median, 95th percentile and maximum; nan where it is empty."""

    median: float
    p95: float
    max: float

    @classmethod
    def of(cls, sample: ArrayLike) -> Quantiles:
        """The quantiles of numbers, (N,); every one counts."""
        values = np.asarray(sample, dtype=np.float64)
        if not len(values):
            return cls(*(float("nan"),) * 3)
        return cls(float(np.median(values)), float(np.percentile(values, 95)), float(values.max()))

    def to_dict(self) -> dict[str, float | None]:
        """Plain JSON types; numbers that do not exist become null."""
        return dict(as_json(self._asdict()))


@dataclass(frozen=True)
class ErrorSummary:
    """Errors of one method over a set of poses; a pose without an answer counts as a failure.

    Args:
        count: Number of poses.
        answered: Share of poses that got an answer at all.
        pos, rot: Of position [m] and rotation [rad], over the poses that got an answer.
        success: Share of all poses within each of `SUCCESS_LEVELS`.
    """

    count: int
    answered: float
    pos: Quantiles
    rot: Quantiles
    success: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; numbers that do not exist become null."""
        return {
            "err_pos_m": self.pos.to_dict(),
            "err_rot_rad": self.rot.to_dict(),
            "success": self.success,
            "answered": self.answered,
        }


def pose_errors(arm: Arm, task: Task, q: Tensor, T_base_target: Tensor) -> tuple[Tensor, Tensor]:
    """Position error [m] and rotation error [rad] of joint vectors, measured by FK.

    Args:
        arm: The arm.
        task: Which part of the pose counts; the rest is not measured.
        q: Joint vectors, shape (..., n).
        T_base_target: Targets, shape (..., 4, 4), broadcastable.

    Returns:
        Two tensors of shape (...); inf where a joint vector is NaN, no answer.
    """
    errors = error_norms(task_error(task, forward_kinematics(arm, q.nan_to_num()), T_base_target))
    missing = ~q.isfinite().all(-1)
    return errors[0].masked_fill(missing, math.inf), errors[1].masked_fill(missing, math.inf)


def summarise_errors(err_pos: FloatArray, err_rot: FloatArray) -> ErrorSummary:
    """Median, p95, max and success of errors, one per pose.

    Args:
        err_pos: (N,) [m]; inf where there is no answer.
        err_rot: (N,) [rad]; inf where there is no answer.

    Returns:
        The summary; its numbers are nan where no pose got an answer.
    """
    given = np.isfinite(err_pos) & np.isfinite(err_rot)
    success = {name: float(np.mean((err_pos <= pos) & (err_rot <= rot))) for name, (pos, rot) in SUCCESS_LEVELS.items()}
    return ErrorSummary(
        count=len(err_pos),
        answered=float(given.mean()),
        pos=Quantiles.of(err_pos[given]),
        rot=Quantiles.of(err_rot[given]),
        success=success,
    )


def joint_distance(q: Tensor, q_other: Tensor, period: Tensor) -> Tensor:
    """Largest difference of a joint between two configurations, for turning joints the short way round.

    Args:
        q, q_other: Shape (..., n), broadcastable [rad or m].
        period: (n,), inf where a joint does not turn.

    Returns:
        Shape (...), [rad or m].
    """
    return nearest_image(q - q_other, period).abs().amax(dim=-1)
