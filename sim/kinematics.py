"""Forward kinematics and the geometric Jacobian: batched, differentiable, one implementation for everybody."""

from __future__ import annotations

from typing import Any, NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.arm import Arm
from sim.errors import ShapeError
from sim.inputs import as_numbers


@overload
def forward_kinematics(arm: Arm, q: Tensor) -> Tensor: ...
@overload
def forward_kinematics(arm: Arm, q: NDArray[np.floating]) -> NDArray[np.float64]: ...
def forward_kinematics(arm: Arm, q: Tensor | NDArray[np.floating]) -> Tensor | NDArray[np.float64]:
    """The tip's pose `T_base_tip` for each joint vector.

    Product of the chain's transforms, `C_0 J(q_1) C_1 ... J(q_n) C_n` (see `sim.Arm`); differentiable in q.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n), any batch shape. Limits are not checked.

    Returns:
        Homogeneous matrices, shape (..., 4, 4): torch in the dtype and on the device of a tensor q,
        float64 numpy for anything else.

    Raises:
        ShapeError: The last axis of q is not n long.
    """
    if not isinstance(q, Tensor):
        return forward_kinematics(arm, torch.from_numpy(as_numbers(q, "q"))).numpy()
    return _homogeneous(_sweep(arm, q), q.shape[:-1])


@overload
def jacobian(arm: Arm, q: Tensor) -> Tensor: ...
@overload
def jacobian(arm: Arm, q: NDArray[np.floating]) -> NDArray[np.float64]: ...
def jacobian(arm: Arm, q: Tensor | NDArray[np.floating]) -> Tensor | NDArray[np.float64]:
    """The geometric Jacobian at the tip, in the base frame.

    Column i is (z_i × (p_tip - p_i), z_i) for a turning joint and (z_i, 0) for a sliding one
    (Siciliano et al., Robotics, 2009, eq. 3.30).

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n).

    Returns:
        Shape (..., 6, n): three linear rows [m/rad or m/m], then three angular rows; torch in, torch out.

    Raises:
        ShapeError: The last axis of q is not n long.
    """
    if not isinstance(q, Tensor):
        return jacobian(arm, torch.from_numpy(as_numbers(q, "q"))).numpy()
    return kinematics(arm, q)[1]


def kinematics(arm: Arm, q: Tensor) -> tuple[Tensor, Tensor]:
    """Pose and Jacobian in one sweep along the chain; see `forward_kinematics` and `jacobian`.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n).

    Returns:
        `T_base_tip` (..., 4, 4) and the geometric Jacobian (..., 6, n).

    Raises:
        ShapeError: The last axis of q is not n long.
    """
    frames: list[_Frame] = []
    tip = _sweep(arm, q, joints=frames)
    columns = []
    for frame, slides in zip(frames, arm.is_prismatic, strict=True):
        if slides:
            columns.append(torch.cat([frame.z, torch.zeros_like(frame.z)]))
        else:
            columns.append(torch.cat([torch.linalg.cross(frame.z, tip.p - frame.p, dim=0), frame.z]))
    J = torch.stack(columns, dim=1)  # (6, n, N)
    return _homogeneous(tip, q.shape[:-1]), J.permute(2, 0, 1).reshape(*q.shape[:-1], 6, arm.n_joints)


def joint_origins(arm: Arm, q: NDArray[np.floating]) -> NDArray[np.float64]:
    """Where each joint and, last, the tip lies in the base frame, to draw the arm.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n).

    Returns:
        Points [m], shape (..., n + 1, 3).
    """
    values, frames = torch.from_numpy(as_numbers(q, "q")), list[_Frame]()
    tip = _sweep(arm, values, joints=frames)
    points = torch.stack([*(frame.p for frame in frames), tip.p], dim=0)  # (n + 1, 3, N)
    return points.permute(2, 0, 1).reshape(*values.shape[:-1], arm.n_joints + 1, 3).numpy()


class _Frame(NamedTuple):
    """Columns of a rotation and an origin, each (3, N): the batch comes last, so that all arithmetic is contiguous."""

    x: Tensor
    y: Tensor
    z: Tensor
    p: Tensor


def _sweep(arm: Arm, q: Tensor, *, joints: list[_Frame] | None = None) -> _Frame:
    """Walk from base to tip; collect each joint's frame before it moves where a list is given."""
    if q.shape[-1:] != (arm.n_joints,):
        raise ShapeError(
            f"q has shape {tuple(q.shape)}; arm {arm.name!r} needs (..., {arm.n_joints}), one value per joint "
            f"({', '.join(arm.joint_names)})",
            shape=tuple(q.shape),
        )
    if q.is_complex():
        raise ShapeError("q holds complex numbers; pass their real part if that is what you mean")
    q = q if q.is_floating_point() else q.to(torch.float64)
    values = q.reshape(-1, arm.n_joints).mT.contiguous()  # (n, N)
    cos, sin = torch.cos(values), torch.sin(values)
    x, y, z, p = (
        torch.tensor(arm.offsets[0, :3], dtype=q.dtype, device=q.device).mT[..., None].expand(4, 3, values.shape[1])
    )
    for i, slides in enumerate(arm.is_prismatic):
        if joints is not None:
            joints.append(_Frame(x, y, z, p))
        if slides:
            p = p + values[i] * z
        else:
            x, y = cos[i] * x + sin[i] * y, cos[i] * y - sin[i] * x
        x, y, z, step = (_combine(weights, x, y, z) for weights in arm.offsets[i + 1, :3].T)
        p = p if step is None else p + step
    return _Frame(x, y, z, p)


def _combine(weights: NDArray[np.float64], x: Tensor, y: Tensor, z: Tensor) -> Any:
    """The weighted sum of three tensors, leaving out zero weights; None where all are zero."""
    total = None
    for weight, part in zip(weights.tolist(), (x, y, z), strict=True):
        if weight == 0.0:
            continue
        if total is not None:
            total = torch.add(total, part, alpha=weight)
            continue
        total = part if weight == 1.0 else weight * part
    return total


def _homogeneous(frame: _Frame, batch: torch.Size) -> Tensor:
    last = torch.zeros(4, 1, frame.p.shape[1], dtype=frame.p.dtype, device=frame.p.device)
    last[3] = 1.0
    T = torch.cat([torch.stack(frame), last], dim=1)  # (4 columns, 4 rows, N)
    return T.permute(2, 1, 0).reshape(*batch, 4, 4)
