"""The report card of a model: what it does on poses it was never trained on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ik_mdn.evaluation.drawing import HEAD_STEPS, score_draws
from ik_mdn.evaluation.matching import LEAST_MASS, NEAR, within
from ik_mdn.evaluation.metrics import pose_errors, summarise_errors
from ik_mdn.evaluation.poses import HELD_OUT_SEED, held_out
from ik_mdn.evaluation.recalibrating import covered
from ik_mdn.evaluation.weights import measure_weights
from ik_mdn.model import ArmModel, ChainModel, PoseModel
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics

if TYPE_CHECKING:
    from ik_mdn.solver import IKSolver

_FEWER = 500  # poses for what takes longer
_COVERED = 1000  # poses for the coverage
_NEAR_DRAWS, _NEAR_POS, _NEAR_ROT = 10, 0.05, 0.2  # per pose, share of the reach, [rad]
_KNOWN = 0.5  # share of the branches that a network should stand for by itself
_SAME_BRANCH = 1e-3  # [rad, m]: two configurations nearer than this in every joint are one solution


def measure_report(
    solver: IKSolver,
    *,
    training: dict[str, Any],
    count: int = 2000,
    own: FloatArray | None = None,
    postures: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The report card of a solver's model, as plain JSON values.

    Args:
        solver: With a model.
        training: What training cost, taken over as it is.
        count: Number of held-out poses.
        own: Joint vectors of one's own that training did not see, (N, n), to make the poses of; None: uniform in limits.
        postures: What was learned of p(q), taken over as it is.

    Returns:
        `training`, `postures`, `law` (what weights are, see `Solutions.law`), the pose set, raw errors of the model's answers
        (median, p95, max; nothing trimmed), and for a mixture: NLL, errors of draws (`draws`, see `DrawScores`) from the network
        alone and, unless two joints or more are to spare, with the kinematic head, the
        share solved in limits from the mixture's seeds alone (`solved`), the time per pose, and how
        often its 50, 80, 90 and 95 % regions hold the generating configuration blurred by the floor (`coverage`, with the
        blur and the model's `Recalibration` in `calibration`); unless the arm is redundant for
        the task, also the share of poses whose generating configuration was found again (`recall`) and, on the first
        500, what share of the branches of thorough mode is found (`branches`): `recall` by the network's seeds,
        `random` by as many random ones instead, `known` the share that a component mean stands for before any
        refinement (`matching.NEAR`); and the log scores of the weights (`log_score`, see `WeightScores`). Of a redundant
        arm, on the first 500 poses, the share of draws that come near their target (`near`: a twentieth of the reach and
        0.2 rad), and what as many random seeds instead of the network's solve (`solved_random`).
    """
    model = solver.model
    assert model is not None, "a report card needs a model"
    poses: dict[str, Any] = {"count": count, "seed": HELD_OUT_SEED}
    if own is None:
        q, T = held_out(solver.arm, count)
    else:
        count = len(own)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(HELD_OUT_SEED))
        q = torch.as_tensor(own)[order]  # rows come as they were recorded, and some measures take the first of them
        T, poses = forward_kinematics(solver.arm, q), {"count": count, "of": "rows held out"}
    report: dict[str, Any] = {"training": training, "poses": poses}
    report |= {} if postures is None else {"postures": postures}
    proposal = model.propose(T)
    err_pos, err_rot = pose_errors(solver.arm, solver.task, proposal.q, T[:, None])
    best = (err_pos + err_rot).argmin(dim=1, keepdim=True)
    report["raw"] = _error_values(err_pos.gather(1, best)[:, 0], err_rot.gather(1, best)[:, 0])
    if model.kind == "mse":
        return report
    with torch.no_grad():
        report["nll"] = float(-model.log_prob(T, q).mean())
        report["effective_components"] = float(model.components(T, q).weight_entropy.exp().mean())
    square = solver.task.n_constraints == solver.arm.n_joints
    report["draws"] = {"network": asdict(score_draws(model, T[:_FEWER]))}
    last = model.rest if isinstance(model, ChainModel) else model  # a chain again: draws after steps take many minutes
    if isinstance(last, PoseModel) and last.arm.n_joints == last.task.n_constraints:
        report["draws"]["kinematic_head"] = asdict(score_draws(model, T[:_FEWER], steps=HEAD_STEPS))
    blur, width = model.config.floor, model.recalibration
    report["coverage"] = covered(model, T[:_COVERED], q[:_COVERED], blur=blur, seed=1)  # with 0 widths were fitted
    report["calibration"] = {"blur": blur, "width": width.width}
    solver.solve(T, restarts=0)  # the first call loads code, and compiles what only rare poses need
    started = time.perf_counter()
    found = solver.solve(T, restarts=0)
    report["law"] = found.law.value
    seconds = time.perf_counter() - started
    report["solved"] = float((found.count > 0).mean())
    report["us_per_pose"] = round(1e6 * seconds / count, 1)
    if square:
        report["recall"] = float(_found_again(solver, found, q).mean())
        report["branches"] = _branch_recall(solver, T[:_FEWER])
        report["log_score"] = asdict(measure_weights(solver, q[:_FEWER], T[:_FEWER]))
    else:
        report["near"] = _share_near(model, T[:_FEWER])
        alone = type(solver)(solver.arm, task=solver.task).solve(T[:_FEWER], restarts=1)
        report["solved_random"] = float((alone.count > 0).mean())
    return report


def is_under_trained(report: dict[str, Any]) -> bool:
    """Whether a report card says that refinement did the work.

    The network stands for less than half of the branches or, of a redundant arm, less than half of its draws come near
    their target.
    """
    known = report["branches"].get("known", 1.0) if "branches" in report else report.get("near", 1.0)
    return bool(known < _KNOWN)


def _share_near(model: ArmModel, T: Tensor) -> float:
    """Share of draws that miss their target by less than a twentieth of the reach, and little in rotation."""
    q = model.sample(T, _NEAR_DRAWS, generator=torch.Generator().manual_seed(0))
    err_pos, err_rot = pose_errors(model.arm, model.task, q, T[:, None])
    return float(((err_pos < _NEAR_POS * model.arm.reach) & (err_rot < _NEAR_ROT)).double().mean())


def _branch_recall(solver: IKSolver, T: Tensor) -> dict[str, float]:
    """What share of the branches of thorough mode is found, by whom, and their mean number per pose."""
    assert solver.model is not None
    every, period = solver.solve(T, thorough=True), torch.tensor(solver.arm.period)
    without = type(solver)(solver.arm, task=solver.task)
    means, weight = solver.model.propose(T)

    def share(answers: Iterable[Tensor], tolerance: float) -> float:
        pairs = zip(every, answers, strict=True)
        hits = sum(int(within(torch.as_tensor(true.q), ours, period, tolerance).sum()) for true, ours in pairs)
        return hits / max(len(every.q), 1)

    return {
        "recall": share((torch.as_tensor(one.q) for one in solver.solve(T, restarts=0)), _SAME_BRANCH),
        "random": share((torch.as_tensor(one.q) for one in without.solve(T, restarts=1)), _SAME_BRANCH),
        "known": share((q[heavy] for q, heavy in zip(means, weight >= LEAST_MASS, strict=True)), NEAR),
        "per_pose": len(every.q) / len(T),
        "poses": len(T),
    }


def _found_again(solver: IKSolver, found: Any, q: Tensor) -> np.ndarray[Any, np.dtype[np.bool_]]:
    period = torch.tensor(solver.arm.period)
    return np.array([bool(within(q[[i]], torch.as_tensor(one.q), period, _SAME_BRANCH)) for i, one in enumerate(found)])


def _error_values(err_pos: Tensor, err_rot: Tensor) -> dict[str, Any]:
    summary = summarise_errors(err_pos.numpy(), err_rot.numpy())
    return {"err_pos": summary.pos._asdict(), "err_rot": summary.rot._asdict(), "success": summary.success}
