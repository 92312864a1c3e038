"""MSE regression, the mixture read in four ways, and PyBullet's own IK, side by side on the same held-out poses."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ik_mdn.branches import first_of_branch, into_limits
from ik_mdn.metrics import ErrorSummary, pose_errors, summarise_errors
from ik_mdn.report import held_out
from sim.arm import Arm

if TYPE_CHECKING:
    from ik_mdn.model import PoseModel
    from ik_mdn.solver import IKSolver
    from sim.body import ArmBody

FloatArray = NDArray[np.float64]

METHODS = {
    "mse": "MSE regression",
    "mean": "MDN: mixture mean",
    "likely": "MDN: most likely mode",
    "best": "MDN: best mode by FK",
    "refined": "MDN + refinement",
    "restarts": "random restarts + refinement",
    "bullet1": "PyBullet IK, one call",
    "bullet100": "PyBullet IK, 100 iterations",
}

_LIGHT = 0.01  # weight below which a raw mode does not count
_SAME = 0.1  # [rad, m] distance below which two raw modes are one


@dataclass(frozen=True)
class MethodResult:
    """What one method did on the poses.

    Args:
        name: Key of `METHODS`.
        errors: Of its best answer per pose.
        in_limits: Share of the poses answered within joint limits, after full turns that bring a joint inside.
        modes: Mean number of distinct answers per pose.
        us_per_pose: Wall-clock time per pose [µs]; batched where the method is, one call per pose for PyBullet.
        q: The best answers, (N, n); NaN where there was none.
    """

    name: str
    errors: ErrorSummary
    in_limits: float
    modes: float
    us_per_pose: float
    q: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; numbers that do not exist (no pose answered) become null."""
        names = ("median", "p95", "max")
        spread = {
            key: {n: (v if np.isfinite(v) else None) for n, v in zip(names, getattr(self.errors, key), strict=True)}
            for key in ("pos", "rot")
        }
        return {
            "method": METHODS[self.name],
            "err_pos_m": spread["pos"],
            "err_rot_rad": spread["rot"],
            "success": self.errors.success,
            "answered": self.errors.answered,
            "in_limits": self.in_limits,
            "modes": self.modes,
            "us_per_pose": self.us_per_pose,
        }


class Answers:
    """What a method says about a batch of poses: its best joint vector for each, and how many it found."""

    def __init__(self, q: Tensor, modes: float) -> None:
        self.q, self.modes = q, modes


def compare(
    solver: IKSolver,
    mse: PoseModel | None,
    *,
    body: ArmBody | None = None,
    methods: Collection[str] = tuple(METHODS),
    count: int = 2000,
    seed: int = 0,
) -> Iterator[MethodResult]:
    """Results of each method in turn, on poses made from configurations uniform in limits.

    Args:
        solver: With a mixture model.
        mse: The regressor, or None to leave it out.
        body: The arm in a physics world, or None to leave PyBullet's IK out.
        methods: Which ones, keys of `METHODS`.
        count: Number of poses.
        seed: Of the poses; they come from the held-out stream.

    Yields:
        One result per method; every pose counts, whatever became of it.
    """
    arm = solver.arm
    _, T = held_out(arm, count, seed=7_777_777 + 1 + seed)
    for name, answer in _methods(solver, mse, body).items():
        if name not in methods:
            continue
        answer(T[: min(8, count)])  # first use pays for imports and allocations, whoever comes first
        started = time.perf_counter()
        answers = answer(T)
        seconds = time.perf_counter() - started
        yield _measure(name, solver, answers, T, seconds)


def _measure(name: str, solver: IKSolver, answers: Answers, T: Tensor, seconds: float) -> MethodResult:
    arm, given = solver.arm, answers.q.isfinite().all(dim=1)
    err_pos, err_rot = pose_errors(arm, solver.task, answers.q.nan_to_num(), T)
    nothing = torch.full_like(err_pos, torch.inf)
    errors = summarise_errors(
        torch.where(given, err_pos, nothing).numpy(), torch.where(given, err_rot, nothing).numpy()
    )
    q_min, q_max = torch.tensor(arm.q_min), torch.tensor(arm.q_max)
    inside = given & (answers.q >= q_min - 1e-9).all(dim=1) & (answers.q <= q_max + 1e-9).all(dim=1)
    return MethodResult(
        name=name,
        errors=errors,
        in_limits=float(inside.double().mean()),
        modes=answers.modes,
        us_per_pose=1e6 * seconds / len(T),
        q=answers.q.numpy(),
    )


def _methods(solver: IKSolver, mse: PoseModel | None, body: ArmBody | None) -> dict[str, Callable[[Tensor], Answers]]:
    from ik_mdn.solver import IKSolver

    model, arm = solver.model, solver.arm
    methods: dict[str, Callable[[Tensor], Answers]] = {}
    if mse is not None:
        methods["mse"] = lambda T: Answers(into_limits(arm, mse.mean(T)), 1.0)
    if model is not None:
        methods["mean"] = lambda T: Answers(into_limits(arm, model.mean(T)), 1.0)
        methods["likely"] = lambda T: _likely_mode(model, T)
        methods["best"] = lambda T: _best_mode(model, T)
        methods["refined"] = lambda T: _solved(solver, T)
    bare = IKSolver(arm, task=solver.task)
    methods["restarts"] = lambda T: _solved(bare, T)
    if body is not None:
        methods["bullet1"] = lambda T: _bullet(body, T, iterations=1)
        methods["bullet100"] = lambda T: _bullet(body, T, iterations=100)
    return methods


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
    """Mean number per pose of raw modes that matter and are not the same; see `_LIGHT` and `_SAME`."""
    order = weight.argsort(dim=1, descending=True)
    keep = weight.gather(1, order) >= _LIGHT
    rows = q.gather(1, order[..., None].expand_as(q))[keep]
    pose = torch.arange(len(q))[:, None].expand_as(weight)[keep]
    first = first_of_branch(arm, pose, rows, _SAME)
    return float((first == torch.arange(len(rows))).sum()) / len(q)


def _solved(solver: IKSolver, T: Tensor) -> Answers:
    found = solver.solve(T)
    q = np.full((len(T), solver.arm.n_joints), np.nan)
    for i, one in enumerate(found):
        if len(one.q):
            q[i] = one.q[0]
    return Answers(torch.as_tensor(q), float(np.mean([len(one.q) for one in found])))


def _bullet(body: ArmBody, T: Tensor, *, iterations: int) -> Answers:
    """From the middle of the limits for every pose, so that no answer depends on the pose before."""
    arm = body.arm
    start = 0.5 * (arm.sample_min + arm.sample_max)
    rows = [body.inverse_kinematics(target, start, iterations=iterations) for target in T.numpy()]
    return Answers(into_limits(arm, torch.as_tensor(np.array(rows))), 1.0)
