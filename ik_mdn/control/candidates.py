"""What is measured of solutions in the simulator, in what order they are worth trying, and what speaks against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ik_mdn.control.decision import Candidate, CostWeights, Tolerance
from sim.arm import LIMIT_SLACK
from sim.arrays import FloatArray
from sim.jacobians import manipulability
from sim.task import Task, error_norms, task_error
from sim.world import ArmBody, speed_limits

_WITHIN = 0.2  # [m] distances are measured up to this


def judge_candidates(
    body: ArmBody,
    task: Task,
    T_base_target: FloatArray,
    q: FloatArray,
    weight: FloatArray,
    *,
    weights: CostWeights,
) -> list[Candidate]:
    """What was measured of each solution, and what speaks against it.

    Args:
        body: The arm, where it starts.
        task: Which part of the target counts.
        T_base_target: The target, shape (4, 4).
        q: Solutions, shape (m, n).
        weight: Their weights in the mixture, shape (m,).
        weights: The cost.

    Returns:
        One `Candidate` each, in the order of q, with all numbers; rejected for limits, for a motor that is too weak to
        hold it, or for what it would touch, by name.
    """
    within = max(_WITHIN, weights.clearance_wanted)
    err_pos, err_rot = measure_errors(body, task, q, T_base_target)
    clearance_self, clearance_world = body.clearance(q, within)
    measured = {
        "err_pos": err_pos,
        "err_rot": err_rot,
        "travel": np.abs((q - body.q) / speed_limits(body.arm)).max(axis=-1),
        "margin": np.minimum(q - body.arm.q_min, body.arm.q_max - q).min(axis=-1),
        "clearance_self": clearance_self,
        "clearance_world": clearance_world,
        "reserve": _reserve(body, body.holding_torques(q)).min(axis=-1, initial=1.0),
        "manipulability": manipulability(body.arm, task, q),
        "weight": weight,
    }
    rows = [dict(zip(measured, row, strict=True)) for row in np.stack(list(measured.values()), axis=-1).tolist()]
    heaviest = float(weight.max(initial=0.0))
    candidates = [Candidate(q=q[i].copy(), **row) for i, row in enumerate(rows)]
    return [replace(each, cost=weights.cost(each, heaviest), rejected=_find_fault(body, each)) for each in candidates]


def rank_candidates(candidates: Sequence[Candidate], tolerance: Tolerance) -> list[Candidate]:
    """The candidates, best first: those that tie for the nearest to the target by their cost, then the others by distance.

    Args:
        candidates: In any order.
        tolerance: Which ones tie.

    Returns:
        The same, candidates that were rejected after the others.
    """
    errors = (np.array([getattr(each, key) for each in candidates]) for key in ("err_pos", "err_rot"))
    miss = tolerance.miss(*errors)
    inside = np.array([each.margin >= -LIMIT_SLACK for each in candidates])
    tied = miss <= (miss[inside].min() if inside.any() else 0.0) + tolerance.tie
    cost = np.array([each.cost for each in candidates])
    rejected = np.array([each.rejected is not None for each in candidates])
    return [candidates[i] for i in np.lexsort((np.where(tied, cost, miss), ~tied, rejected))]


def measure_errors(body: ArmBody, task: Task, q: FloatArray | None, T: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distances from a target by the simulator's forward kinematics, at q (m, n) or where the arm is: [m], [rad], (m,)."""
    tips = body.tip_pose()[None] if q is None else body.tip_pose(q)
    return error_norms(task_error(task, tips, T))


def describe_contacts(body: ArmBody, pairs: Sequence[tuple[str, str]]) -> str:
    """What contacts are called in reasons: a self-collision where all are of the arm itself, else a collision."""
    own = {body.links.root, *(info.name for info in body.links.infos)}
    kind = "self-collision" if all(b in own for _, b in pairs) else "collision"
    return f"{kind}: {', '.join(f'{a} and {b}' for a, b in pairs)}"


def describe_weakness(body: ArmBody, *q: FloatArray) -> str | None:
    """Which motor is too weak to hold the arm against gravity at configurations (n,), and by how much; None: none is."""
    needed = np.abs(body.holding_torques(np.array(q))).max(axis=0)
    reserve = _reserve(body, needed)
    if reserve.min() >= 0.0:
        return None
    weak = int(reserve.argmin())
    unit = "N" if body.arm.is_prismatic[weak] else "Nm"
    limit = f"{body.effort_max[weak]:.3g} {unit}"
    return f"{body.arm.joint_names[weak]} needs {needed[weak]:.3g} {unit} to hold this pose, its limit is {limit}"


def _reserve(body: ArmBody, torques: FloatArray) -> FloatArray:
    """The share of each motor's effort limit that is left while it gives such torques (..., n); negative: too weak."""
    return np.asarray(1.0 - np.abs(torques) / body.effort_max)


def _find_fault(body: ArmBody, candidate: Candidate) -> str | None:
    """Why the arm cannot be at a candidate, or None."""
    arm, q = body.arm, candidate.q
    if candidate.margin < -LIMIT_SLACK:
        i = int(np.minimum(q - arm.q_min, arm.q_max - q).argmin())
        return f"{arm.joint_names[i]} at {q[i]:.3f} outside [{arm.q_min[i]:.3f}, {arm.q_max[i]:.3f}]"
    if candidate.reserve < 0.0:
        return describe_weakness(body, q)
    pairs = body.contacts_at(q)
    return describe_contacts(body, pairs) if pairs else None
