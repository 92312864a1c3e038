"""The methods that are compared: what each answers to a batch of poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ik_mdn.comparison.contestants import Contestants
from ik_mdn.evaluation import pose_errors
from ik_mdn.model import ArmModel
from ik_mdn.solver import IKSolver, first_of_branch, into_limits
from sim.arm import Arm
from sim.world import ArmBody, solve_with_bullet

MSE_COLOUR = "#c8352b"

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


@dataclass(frozen=True)
class Method:
    """A way to answer poses; `METHODS` lists all that tables, pages and figures show.

    Args:
        name: In tables.
        about: What it is, in one sentence for the page.
        needs: What it asks, a key of `sources`; where that is None the method is left out.
        answer: From what it asks and the targets (N, 4, 4) to answers; joint vectors are turned into limits by full
            turns where those can do it, and what is beyond them after that stays so.
        style: Of its curve, as for matplotlib's `plot`.
    """

    name: str
    about: str
    needs: str
    answer: Callable[[Any, Tensor], Answers]
    style: dict[str, Any]


def sources(contestants: Contestants, body: ArmBody | None) -> dict[str, Any]:
    """What methods can ask: the models, a solver with and one without the mixture, the arm in a physics world."""
    solver = contestants.solver
    return {
        "mse": contestants.mse,
        "k1": contestants.k1,
        "mixture": solver.model,
        "solver": solver if solver.model is not None else None,
        "restarts": IKSolver(solver.arm, task=solver.task),
        "body": body,
    }


def answering_methods(contestants: Contestants, body: ArmBody | None) -> dict[str, Callable[[Tensor], Answers]]:
    """The methods that can be asked, in the order of `METHODS`.

    Args:
        contestants: The models; the methods of those that are not there are left out.
        body: The arm in a physics world; None leaves PyBullet's IK out.

    Returns:
        Key of `METHODS` → a function from targets (N, 4, 4) to answers.
    """
    given = sources(contestants, body)
    able = {key: method for key, method in METHODS.items() if given[method.needs] is not None}
    return {key: partial(method.answer, given[method.needs]) for key, method in able.items()}


def missing_methods(contestants: Contestants) -> tuple[str, ...]:
    """Names of the methods that are left out because their model is not there."""
    given = sources(contestants, None)
    return tuple(one.name for one in METHODS.values() if one.needs != "body" and given[one.needs] is None)


def raw_modes(model: ArmModel, T_base_tip: Tensor, *, apart: float = SAME) -> tuple[Tensor, Tensor]:
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


def _mean(model: ArmModel, T: Tensor) -> Answers:
    return Answers(into_limits(model.arm, model.mean(T)), 1.0)


def _likely_mode(model: ArmModel, T: Tensor) -> Answers:
    proposal = model.propose(T)
    best = proposal.weight.argmax(dim=1)
    q = proposal.q[torch.arange(len(T)), best]
    return Answers(into_limits(model.arm, q), 1.0)


def _best_mode(model: ArmModel, T: Tensor) -> Answers:
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
    return Answers(torch.as_tensor(found.best), float(found.count.mean()))


def _bullet(body: ArmBody, T: Tensor, *, iterations: int, residual: float = 1e-7, null_space: bool = False) -> Answers:
    """From the middle of the limits for every pose, so that no answer depends on the pose before."""
    arm = body.arm
    start = 0.5 * (arm.sample_min + arm.sample_max)
    rows = [
        solve_with_bullet(body, target, start, iterations=iterations, residual=residual, null_space=null_space)
        for target in T.numpy()
    ]
    return Answers(into_limits(arm, torch.as_tensor(np.array(rows))), 1.0)


METHODS = {
    "mse": Method(
        "MSE regression",
        "The same network trunk as the mixture, trained with squared error on the joint angles or on their cosines and "
        "sines, whichever is better.",
        "mse",
        _mean,
        {"color": MSE_COLOUR, "linewidth": 2.6},
    ),
    "k1": Method(
        "one Gaussian (K = 1)",
        "A mixture of one: it learns a mean and how uncertain it is, but has one answer only.",
        "k1",
        _mean,
        {"color": "#e08a1e", "linewidth": 1.9},
    ),
    "mean": Method(
        "MDN: mixture mean",
        "The average of the mixture’s own components: the mixture, misused as a regressor.",
        "mixture",
        _mean,
        {"color": "#b07aa1", "linewidth": 1.9, "linestyle": "--"},
    ),
    "likely": Method(
        "MDN: most likely mode",
        "The heaviest component, as the network says it.",
        "mixture",
        _likely_mode,
        {"color": "#6baed6", "linewidth": 1.9},
    ),
    "best": Method(
        "MDN: best mode by FK",
        "The component whose tip is nearest to the target, by forward kinematics; still as the network says it.",
        "mixture",
        _best_mode,
        {"color": "#1b6ca8", "linewidth": 1.9},
    ),
    "refined": Method(
        "MDN + refinement",
        "Every mode made exact by Levenberg–Marquardt steps; the most probable answer inside the limits counts.",
        "solver",
        _solved,
        {"color": "#117a55", "linewidth": 3.0},
    ),
    "restarts": Method(
        "random restarts + refinement",
        "The same refinement from random joint vectors, without any network.",
        "restarts",
        _solved,
        {"color": "#7bc86c", "linewidth": 1.9, "linestyle": (0, (3, 2))},
    ),
    "bullet1": Method(
        "PyBullet IK, one call",
        "The simulator’s own solver, one call as it comes (20 iterations), from the middle of the joint limits; it is "
        "always given position and orientation.",
        "body",
        partial(_bullet, iterations=_ONE_CALL, residual=1e-4),
        {"color": "#9a9a9a", "linewidth": 1.6, "linestyle": ":"},
    ),
    "bullet100": Method(
        "PyBullet IK, 100 iterations",
        "The same with up to 100 iterations.",
        "body",
        partial(_bullet, iterations=100),
        {"color": "#555555", "linewidth": 1.6, "linestyle": "-."},
    ),
    "bullet_null": Method(
        "PyBullet IK, null space",
        "As many iterations of its null-space variant, which is told the limits.",
        "body",
        partial(_bullet, iterations=100, null_space=True),
        {"color": "#a08a60", "linewidth": 1.6, "linestyle": "-."},
    ),
}
