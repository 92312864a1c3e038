"""The methods that are compared: what each answers to a batch of poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ik_mdn.evaluation import pose_errors
from ik_mdn.model import PoseModel
from ik_mdn.solver import IKSolver, first_of_branch, into_limits
from sim.arm import Arm
from sim.world import ArmBody, solve_with_bullet

METHODS = {
    "mse": "MSE regression",
    "k1": "one Gaussian (K = 1)",
    "mean": "MDN: mixture mean",
    "likely": "MDN: most likely mode",
    "best": "MDN: best mode by FK",
    "refined": "MDN + refinement",
    "restarts": "random restarts + refinement",
    "bullet1": "PyBullet IK, one call",
    "bullet100": "PyBullet IK, 100 iterations",
    "bullet_null": "PyBullet IK, null space",
}

LIGHT = 0.01  # weight below which a raw mode does not count
SAME = 0.1  # [rad, m] distance below which two raw modes are one

_ONE_CALL = 20  # iterations that PyBullet makes where the caller does not say, down to a residual of 1e-4 m


@dataclass(frozen=True, eq=False)
class Answers:
    """What a method says about a batch of poses.

    Args:
        q: Its best joint vector for each, shape (N, n); NaN where it has none.
        modes: Mean number of distinct answers per pose.
    """

    q: Tensor
    modes: float


Answer = Callable[[Tensor], Answers]


def answering_methods(
    solver: IKSolver, *, mse: PoseModel | None = None, k1: PoseModel | None = None, body: ArmBody | None = None
) -> dict[str, Answer]:
    """The methods that can be asked, in the order of `METHODS`.

    Joint vectors are turned into limits by full turns where those can do it; what is beyond them after that stays so.

    Args:
        solver: With a mixture model; without one its methods are left out.
        mse: The regressor; None leaves it out.
        k1: A mixture of one component; None leaves it out.
        body: The arm in a physics world; None leaves PyBullet's IK out.

    Returns:
        Key of `METHODS` → a function from targets (N, 4, 4) to answers.
    """
    model, arm = solver.model, solver.arm
    methods: dict[str, Answer] = {}
    if mse is not None:
        methods["mse"] = lambda T: Answers(into_limits(arm, mse.mean(T)), 1.0)
    if k1 is not None:
        methods["k1"] = lambda T: Answers(into_limits(arm, k1.mean(T)), 1.0)
    if model is not None:
        methods["mean"] = lambda T: Answers(into_limits(arm, model.mean(T)), 1.0)
        methods["likely"] = lambda T: _likely_mode(model, T)
        methods["best"] = lambda T: _best_mode(model, T)
        methods["refined"] = lambda T: _solved(solver, T)
    bare = IKSolver(arm, task=solver.task)
    methods["restarts"] = lambda T: _solved(bare, T)
    if body is not None:
        methods["bullet1"] = lambda T: _bullet(body, T, iterations=_ONE_CALL, residual=1e-4)
        methods["bullet100"] = lambda T: _bullet(body, T, iterations=100)
        methods["bullet_null"] = lambda T: _bullet(body, T, iterations=100, null_space=True)
    return methods


def raw_modes(model: PoseModel, T_base_tip: Tensor, *, apart: float = SAME) -> tuple[Tensor, Tensor]:
    """The distinct component means of one pose as the network says them, heaviest first; nothing is refined.

    Args:
        model: A mixture.
        T_base_tip: The target, shape (4, 4).
        apart: Distance on the circle [rad, m] from which on two of them are two.

    Returns:
        Joint vectors (m, n), turned into limits where possible, and their weights (m,); those that weigh at least
        `LIGHT`, and at least one.
    """
    proposal = model.propose(T_base_tip[None])
    order = proposal.weight[0].argsort(descending=True)
    weight, q = proposal.weight[0, order], into_limits(model.arm, proposal.q[0, order])
    heavy = max(1, int((weight >= LIGHT).sum()))
    first = first_of_branch(model.arm, torch.zeros(heavy, dtype=torch.long), q[:heavy], apart)
    merged = torch.zeros(heavy, dtype=weight.dtype).index_add_(0, first, weight[:heavy])
    keep = (first == torch.arange(heavy)).nonzero()[:, 0]
    return q[keep], merged[keep]


def _likely_mode(model: PoseModel, T: Tensor) -> Answers:
    proposal = model.propose(T)
    best = proposal.weight.argmax(dim=1)
    q = proposal.q[torch.arange(len(T)), best]
    return Answers(into_limits(model.arm, q), 1.0)


def _best_mode(model: PoseModel, T: Tensor) -> Answers:
    proposal = model.propose(T)
    q = into_limits(model.arm, proposal.q)
    err_pos, err_rot = pose_errors(model.arm, model.task, q, T[:, None])
    best = (err_pos + err_rot).argmin(dim=1)
    return Answers(q[torch.arange(len(T)), best], _distinct(model.arm, q, proposal.weight))


def _distinct(arm: Arm, q: Tensor, weight: Tensor) -> float:
    """Mean number per pose of raw modes that matter and are not the same; see `LIGHT` and `SAME`."""
    order = weight.argsort(dim=1, descending=True)
    keep = weight.gather(1, order) >= LIGHT
    rows = q.gather(1, order[..., None].expand_as(q))[keep]
    pose = torch.arange(len(q))[:, None].expand_as(weight)[keep]
    first = first_of_branch(arm, pose, rows, SAME)
    return float((first == torch.arange(len(rows))).sum()) / len(q)


def _solved(solver: IKSolver, T: Tensor) -> Answers:
    found = solver.solve(T)
    q = np.full((len(T), solver.arm.n_joints), np.nan)
    for i, one in enumerate(found):
        if len(one.q):
            q[i] = one.q[0]
    return Answers(torch.as_tensor(q), float(np.mean([len(one.q) for one in found])))


def _bullet(body: ArmBody, T: Tensor, *, iterations: int, residual: float = 1e-7, null_space: bool = False) -> Answers:
    """From the middle of the limits for every pose, so that no answer depends on the pose before."""
    arm = body.arm
    start = 0.5 * (arm.sample_min + arm.sample_max)
    rows = [
        solve_with_bullet(body, target, start, iterations=iterations, residual=residual, null_space=null_space)
        for target in T.numpy()
    ]
    return Answers(into_limits(arm, torch.as_tensor(np.array(rows))), 1.0)
