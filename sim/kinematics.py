"""Forward kinematics and the geometric Jacobian: batched, differentiable, one implementation for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import Array, FloatArray, constants, is_tensor, library_of
from sim.errors import ShapeError
from sim.inputs import as_numbers, check_kinds

if TYPE_CHECKING:
    from torch import Tensor


@overload
def forward_kinematics(arm: Arm, q: Tensor) -> Tensor: ...
@overload
def forward_kinematics(arm: Arm, q: NDArray[np.floating]) -> FloatArray: ...
def forward_kinematics(arm: Arm, q: Tensor | NDArray[np.floating]) -> Tensor | FloatArray:
    """The tip's pose `T_base_tip` for each joint vector.

    Product of the chain's transforms, `C_0 J(q_1) C_1 ... J(q_n) C_n` (see `sim.Arm`); differentiable in q.

    Example:
        >>> forward_kinematics(sim.load_arm("planar2"), [0.0, np.pi / 2])[:2, 3].round(3).tolist()
        [1.0, 1.0]
        >>> forward_kinematics(sim.load_arm("ur5e"), np.zeros((100, 6))).shape
        (100, 4, 4)

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n), any batch shape. Limits are not checked.

    Returns:
        Homogeneous matrices, shape (..., 4, 4): torch in the dtype and on the device of a tensor q,
        float64 numpy for anything else.

    Raises:
        ShapeError: The last axis of q is not n long.
    """
    check_kinds(Arm, arm=arm)
    values: Any = q if is_tensor(q) else as_numbers(q, "q")
    T: Tensor | FloatArray = _homogeneous(_sweep(arm, values), values.shape[:-1])
    return T


@overload
def jacobian(arm: Arm, q: Tensor) -> Tensor: ...
@overload
def jacobian(arm: Arm, q: NDArray[np.floating]) -> FloatArray: ...
def jacobian(arm: Arm, q: Tensor | NDArray[np.floating]) -> Tensor | FloatArray:
    """The geometric Jacobian at the tip, in the base frame.

    Column i is (z_i × (p_tip - p_i), z_i) for a turning joint and (z_i, 0) for a sliding one
    (Siciliano et al., Robotics, 2009, eq. 3.30).

    Example:
        >>> jacobian(sim.load_arm("planar2"), [0.0, np.pi / 2])[:2].round(3).tolist()
        [[-1.0, -1.0], [1.0, 0.0]]

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n).

    Returns:
        Shape (..., 6, n): three linear rows [m/rad or m/m], then three angular rows; torch in, torch out.

    Raises:
        ShapeError: The last axis of q is not n long.
    """
    return kinematics(arm, q)[1] if is_tensor(q) else kinematics(arm, as_numbers(q, "q"))[1]


def kinematics(arm: Arm, q: Array) -> tuple[Array, Array]:
    """Pose and Jacobian in one sweep along the chain; see `forward_kinematics` and `jacobian`.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n), numpy (float64) or torch.

    Returns:
        `T_base_tip` (..., 4, 4) and the geometric Jacobian (..., 6, n).

    Raises:
        ShapeError: The last axis of q is not n long.
    """
    frames: list[_Frame] = []
    tip, xp = _sweep(arm, q, joints=frames), library_of(q)
    columns = []
    for frame, slides in zip(frames, arm.is_prismatic, strict=True):
        if slides:
            columns.append(xp.concatenate([frame.z, xp.zeros_like(frame.z)]))
        else:
            columns.append(xp.concatenate([xp.cross(frame.z, tip.p - frame.p, axis=0), frame.z]))
    J = xp.moveaxis(xp.stack(columns), -1, 0)  # (N, n, 6)
    return _homogeneous(tip, q.shape[:-1]), xp.swapaxes(J, 1, 2).reshape(*q.shape[:-1], 6, arm.n_joints)


def joint_origins(arm: Arm, q: NDArray[np.floating]) -> FloatArray:
    """Where each joint and, last, the tip lies in the base frame, to draw the arm.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (..., n).

    Returns:
        Points [m], shape (..., n + 1, 3).
    """
    values, frames = as_numbers(q, "q"), list[_Frame]()
    tip = _sweep(arm, values, joints=frames)
    points = np.stack([*(frame.p for frame in frames), tip.p])  # (n + 1, 3, N)
    return np.moveaxis(points, -1, 0).reshape(*values.shape[:-1], arm.n_joints + 1, 3)


class _Frame(NamedTuple):
    """Columns of a rotation and an origin, each (3, N): the batch comes last, so that all arithmetic is contiguous."""

    x: Any
    y: Any
    z: Any
    p: Any


def _sweep(arm: Arm, q: Any, *, joints: list[_Frame] | None = None) -> _Frame:
    """Walk from base to tip; collect each joint's frame before it moves where a list is given."""
    if q.shape[-1:] != (arm.n_joints,):
        raise ShapeError(
            f"q has shape {tuple(q.shape)}; arm {arm.name!r} needs (..., {arm.n_joints}), one value per joint "
            f"({', '.join(arm.joint_names)})",
            shape=tuple(q.shape),
        )
    xp = library_of(q)
    if is_tensor(q) and q.is_complex():
        raise ShapeError("q holds complex numbers; pass their real part if that is what you mean")
    if is_tensor(q) and not q.is_floating_point():
        q = q.double()
    values = xp.stack(tuple(xp.moveaxis(q.reshape(-1, arm.n_joints), -1, 0)))  # (n, N), contiguous
    cos, sin = xp.cos(values), xp.sin(values)
    start = constants(arm.offsets[0, :3].T[..., None], like=values)
    x, y, z, p = xp.broadcast_to(start, (4, 3, values.shape[1]))
    for i, slides in enumerate(arm.is_prismatic):
        if joints is not None:
            joints.append(_Frame(x, y, z, p))
        if slides:
            p = p + values[i] * z
        else:
            x, y = cos[i] * x + sin[i] * y, cos[i] * y - sin[i] * x
        x, y, z, step = (_combine(xp, weights, x, y, z) for weights in arm.offsets[i + 1, :3].T)
        p = p if step is None else p + step
    return _Frame(x, y, z, p)


def _combine(xp: Any, weights: FloatArray, *parts: Any) -> Any:
    """The weighted sum of three arrays, leaving out zero weights; None where all are zero."""
    total = None
    for weight, part in zip(weights.tolist(), parts, strict=True):
        if weight == 0.0:
            continue
        if total is None:
            total = part if weight == 1.0 else weight * part
        else:
            total = total + weight * part if xp is np else xp.add(total, part, alpha=weight)
    return total


def _homogeneous(frame: _Frame, batch: tuple[int, ...]) -> Any:
    xp = library_of(frame.p)
    zero = xp.zeros_like(frame.p[:1])
    T = xp.concatenate([xp.stack(frame), xp.stack([zero, zero, zero, zero + 1.0])], axis=1)  # (4 columns, 4 rows, N)
    return xp.moveaxis(T, (0, 1, 2), (2, 1, 0)).reshape(*batch, 4, 4)
