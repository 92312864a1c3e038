"""`slide`: along the self-motion curve of a redundant arm by an arc length; the joints move, the tip stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.redundancy import resolve
from ik_mdn.solver.refinement import refine
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError, TaskError
from sim.inputs import as_numbers
from sim.jacobians import moves_on_curves, task_rank
from sim.kinematics import forward_kinematics, kinematics
from sim.task import Task, as_targets, task_jacobian
from sim.words import Word

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.solver.solver import IKSolver

_FINE_STEP = 0.06  # longest step of a slide [rad, arm lengths]: the arc length is then known to about 1e-7
_FINE_WANTED = 1e-5
_OUTSIDE = 1e-6  # [rad, m] a start of a slide this far outside the limits counts as on the limit


class SlideStatus(Word):
    """How a slide ended."""

    MOVED = "moved", "all the way"
    LIMIT = "limit", "stopped by a limit"
    STUCK = "stuck", "stopped in a singular configuration"


@dataclass(frozen=True, eq=False)
class Slide:
    """Where slides of B joint vectors ended.

    Args:
        q: Joint vectors [rad, m], shape (B, n), in limits.
        moved: Arc length gone [rad; arm lengths for joints that slide], with the sign of the distance, shape (B,).
        err_pos, err_rot: Distance [m] and angle [rad] of the tip from where it was, shape (B,).
        status: How it ended, shape (B,).
    """

    q: FloatArray
    moved: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    status: tuple[SlideStatus, ...]


def slide(
    solver: IKSolver | Arm,
    q: Tensor | NDArray[np.floating],
    distance: float | NDArray[np.floating],
    *,
    task: Task | str | None = None,
    T_base_tip: Tensor | NDArray[np.floating] | None = None,
) -> Slide:
    """Joint vectors moved some way along their self-motion curves while the tip stays.

    Example:
        >>> moved = slide(sim.load_arm("panda"), [0.0, 0.5, 0.0, -1.5, 0.0, 2.0, 0.5], 0.3)
        >>> moved.status[0].about, bool(moved.err_pos[0] < 1e-9)
        ('all the way', True)

    Args:
        solver: An `IKSolver`, or an arm.
        q: Where to start, in limits, shape (n,) or (B, n) [rad, m].
        distance: Arc length to go [rad; arm lengths for joints that slide], a number or shape (B,); negative the other
            way. The sense is that of `SelfMotion`.
        task: For an arm: task or its name; None for the arm's default.
        T_base_tip: Where the tip is to stay, shape (4, 4) or (B, 4, 4), so that errors do not add up over many slides;
            default: where q puts it.

    Returns:
        Where each slide ended, and how far that is (length 1 for a single one).

    Raises:
        TaskError: Not exactly one joint to spare for the task (see `sim.jacobians.moves_on_curves`), or numba cannot run.
        ShapeError: q or the distance has the wrong shape, is not finite, or q lies outside the limits.
        PoseError: See `sim.task.as_targets`.
    """
    arm, chosen, _ = resolve(solver, task)
    if not moves_on_curves(arm, chosen):
        raise TaskError(
            f"arm {arm.name!r} has {arm.n_joints} joints and task {chosen.name!r} fixes {chosen.n_constraints} numbers, "
            f"of which {task_rank(arm, chosen)} are independent: its self-motion is followed as no curve; slide needs "
            "exactly one joint to spare, and numbers that all are independent"
        )
    start, way = _checked_slide(arm, q, distance)
    T = forward_kinematics(arm, start)
    if T_base_tip is not None:
        T = as_targets(chosen, T_base_tip).reshape(-1, 4, 4)
        if len(T) not in (1, len(start)):
            raise ShapeError(
                f"there are {len(T)} poses T_base_tip for {len(start)} joint vectors; give one, or one each"
            )
        T = np.array(np.broadcast_to(T, (len(start), 4, 4)))
    return _slide(arm, chosen, T, start, way)


def _checked_slide(
    arm: Arm, q: Tensor | NDArray[np.floating], distance: float | NDArray[np.floating]
) -> tuple[FloatArray, FloatArray]:
    given, way = as_numbers(q, "q"), as_numbers(distance, "the distance")
    start = given.reshape(-1, given.shape[-1] if given.ndim else 1)
    if given.ndim not in (1, 2) or start.shape[1] != arm.n_joints or way.shape not in ((), (len(start),)):
        raise ShapeError(
            f"q has shape {given.shape} and the distance {way.shape}; arm {arm.name!r} needs ({arm.n_joints},) or "
            f"(B, {arm.n_joints}) and a number or (B,)"
        )
    if not (np.isfinite(start).all() and np.isfinite(way).all()):
        raise ShapeError("q or the distance holds NaN or infinity; give finite numbers")
    outside = np.maximum(arm.q_min - start, start - arm.q_max)
    if (outside > _OUTSIDE).any():
        joint = arm.joint_names[int(outside.max(0).argmax())]
        raise ShapeError(f"joint {joint!r} is {outside.max():.3g} outside its limits; a slide begins inside them")
    return np.clip(start, arm.q_min, arm.q_max), np.broadcast_to(way, len(start)).copy()


def _slide(arm: Arm, task: Task, T: FloatArray, start: FloatArray, way: FloatArray) -> Slide:
    """See `slide`."""
    from ik_mdn.solver.kernels.curves import Walk, go  # compiles: only where it is used

    q, moved = go(arm, task, T, start, way, Walk(_FINE_STEP, _FINE_WANTED))
    refined = refine(arm, task, T, q)
    stopped = moved < np.abs(way) - 1e-12
    for _ in range(3):  # onto the limit exactly, along the curve
        at = refined.q
        over = np.maximum(at - arm.q_max, arm.q_min - at)
        at_limit = stopped & (np.abs(over).min(1) < 1e-3)
        rows = at_limit | (over.max(1) > 0)
        if not rows.any():
            break
        tangent = _tangents(arm, task, refined.q)
        joint = over.argmax(1)
        pick = (np.arange(len(at)), joint)
        past = np.where(at[pick] - arm.q_max[joint] == over[pick], over[pick], -over[pick])
        speed = tangent[pick]
        rows &= np.abs(speed) > 1e-6
        back = np.where(rows, past / np.where(rows, speed, 1.0), 0.0)
        refined = refine(arm, task, T, at - back[:, None] * tangent)
    exact = refined.q
    limited = np.clip(exact, arm.q_min, arm.q_max)
    near = np.abs(np.minimum(exact - arm.q_min, arm.q_max - exact)).min(1) < 1e-6
    status = [
        SlideStatus.MOVED if not s else SlideStatus.LIMIT if at else SlideStatus.STUCK
        for s, at in zip(stopped, near, strict=True)
    ]
    return Slide(limited, np.copysign(moved, way), refined.err_pos, refined.err_rot, tuple(status))


def _tangents(arm: Arm, task: Task, q: FloatArray) -> FloatArray:
    """Unit vectors (B, n) of the null space of the task Jacobian, either way."""
    T, J = kinematics(arm, q)
    return np.asarray(np.linalg.svd(task_jacobian(task, J, T))[2][:, -1])
