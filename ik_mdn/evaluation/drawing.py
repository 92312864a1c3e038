"""How well draws from a model meet their targets, before any refinement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ik_mdn.evaluation.metrics import pose_errors
from sim.arm import Arm
from sim.task import Task

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel

HEAD_STEPS = 2  # of the kinematic head, where it is measured beside the network alone


@dataclass(frozen=True)
class DrawScores:
    """Errors by forward kinematics of draws from p(q | T); every draw counts.

    Args:
        steps: Of the kinematic head; 0 is the network alone.
        poses, draws: How many poses, and draws of each.
        pos_mean, pos_median: Position error [m].
        rot_mean, rot_median: Rotation error [rad].
        in_limits: Share of the draws in limits, at any number of whole turns.
    """

    steps: int
    poses: int
    draws: int
    pos_mean: float
    pos_median: float
    rot_mean: float
    rot_median: float
    in_limits: float


def score_draws(model: ArmModel, T_base_tip: Tensor, *, draws: int = 50, steps: int = 0, seed: int = 0) -> DrawScores:
    """Errors of independent draws for targets (B, 4, 4), nothing trimmed.

    Args:
        model: A mixture.
        T_base_tip: Targets that training never saw.
        draws: Per target.
        steps: Of the kinematic head; see `PoseModel.posterior`.
        seed: Of the draws.
    """
    q = model.sample(T_base_tip, draws, steps=steps, generator=torch.Generator().manual_seed(seed))
    errors = draw_errors(model.arm, model.task, q, T_base_tip)
    return DrawScores(steps=steps, poses=len(T_base_tip), draws=draws, **errors)


def draw_errors(arm: Arm, task: Task, q: Tensor, T_base_tip: Tensor) -> dict[str, float]:
    """The errors of draws (B, S, n) for targets (B, 4, 4), by the names that they have in `DrawScores`."""
    from ik_mdn.model import inside

    err_pos, err_rot = pose_errors(arm, task, q, T_base_tip[:, None])
    return {
        "pos_mean": float(err_pos.mean()),
        "pos_median": float(err_pos.median()),
        "rot_mean": float(err_rot.mean()),
        "rot_median": float(err_rot.median()),
        "in_limits": float(inside(q, arm).double().mean()),
    }
