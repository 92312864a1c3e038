"""The way a branch goes on from a joint vector: its factored Jacobian, and the step towards a pose nearby."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.kinematics import kinematics
from sim.task import Task, task_error, task_jacobian

Rows = NDArray[np.int64] | NDArray[np.bool_]

_TINY = 1e-13  # pivot of the Jacobian that is as good as none
_EASE, _EASE_GAIN = 0.6, 2.0  # a spare joint keeps away from its limit from this share of its range on, and how fast


@dataclass
class Place:
    """Where branches stand: joint vectors, the tip's poses there, and what the Jacobian says."""

    q: FloatArray  # (R, n)
    T: FloatArray  # (R, 4, 4)
    Q: FloatArray  # (R, n, m) orthonormal basis of the rows of J
    L: FloatArray  # (R, m, m) J = L Q^T
    sign: FloatArray  # (R,) of det J; 0 for spare joints

    def __getitem__(self, rows: Rows) -> Place:
        return Place(self.q[rows], self.T[rows], self.Q[rows], self.L[rows], self.sign[rows])

    def put(self, rows: Rows, other: Place) -> None:
        """Replace some rows."""
        for name in ("q", "T", "Q", "L", "sign"):
            getattr(self, name)[rows] = getattr(other, name)


def look(arm: Arm, task: Task, q: FloatArray) -> Place:
    """Pose and factored Jacobian at joint vectors (R, n)."""
    T, J_full = kinematics(arm, q)
    J = task_jacobian(task, J_full, T)
    Q, U = np.linalg.qr(J.swapaxes(-1, -2))  # J = U^T Q^T
    square = J.shape[-1] == J.shape[-2]
    sign = np.sign(np.linalg.det(J)) if square else np.zeros(len(q))
    i = np.arange(U.shape[-1])
    U[:, i, i] = np.where(np.abs(U[:, i, i]) < _TINY, _TINY, U[:, i, i])
    return Place(q.copy(), T, Q, U.swapaxes(-1, -2), sign)


def weakest_direction(arm: Arm, task: Task, q: FloatArray) -> FloatArray:
    """The unit joint motion (n,) that moves the tip least at q (n,): along which branches part where it is singular."""
    T, J = kinematics(arm, q)
    return np.asarray(np.linalg.svd(task_jacobian(task, J, T))[2][task.n_constraints - 1])


def predict(arm: Arm, task: Task, place: Place, T_target: FloatArray, direction: float) -> FloatArray:
    """The step (R, n) towards poses nearby; spare joints ease away from their limits forwards, or the way back."""
    keep = [i for i, on in enumerate(task.rows) if on]
    y = np.linalg.solve(place.L, task_error(task, place.T, T_target)[:, keep, None])
    step = (place.Q @ y)[..., 0]
    if arm.n_joints == task.n_constraints:
        return np.asarray(step)
    middle, half = (arm.sample_max + arm.sample_min) / 2, (arm.sample_max - arm.sample_min) / 2
    share = np.where(arm.is_limited, (place.q - middle) / half, 0.0)
    pull = -np.sign(share) * np.clip((np.abs(share) - _EASE) / (1 - _EASE), 0.0, None) * _EASE_GAIN
    pull = pull - (place.Q @ (place.Q.swapaxes(-1, -2) @ pull[..., None]))[..., 0]
    return np.asarray(step + direction * np.abs(step).max(axis=-1, keepdims=True) * pull)
