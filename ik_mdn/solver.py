"""The solver: propose joint vectors, refine them, keep the distinct ones in limits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ik_mdn.search import Search
from ik_mdn.solutions import SolutionBatch, Solutions, Status
from sim.arm import Arm
from sim.errors import CheckpointError, ShapeError
from sim.task import Task, as_targets, load_task

if TYPE_CHECKING:
    from ik_mdn.model import PoseModel

__all__ = ["IKSolver", "SolutionBatch", "Solutions", "Status", "solver_for"]

TOLERANCE = 1e-8  # error [m], [rad] up to which a refined seed is a solution; most end below 1e-12
SEEDS = 32  # per target in the first round
RESTARTS = 6  # rounds of random seeds, each twice as many as before: 2,016 in all

_log = logging.getLogger(__name__)


class IKSolver:
    """Inverse kinematics of one arm: every solution that its proposals lead to, exact and in limits.

    Args:
        arm: The arm.
        model: A trained model of this arm; without it the seeds are random joint vectors in limits.
        task: A `Task`, its name, or None for the model's (else the arm's default).

    Raises:
        CheckpointError: The model was made for another arm or task.
        UnknownNameError, TaskError: See `sim.task.load_task`.
    """

    def __init__(self, arm: Arm, model: PoseModel | None = None, *, task: Task | str | None = None) -> None:
        if model is not None and model.arm.fingerprint != arm.fingerprint:
            raise CheckpointError(
                f"the model was made for arm {model.arm.name!r} ({model.arm.fingerprint}), not for {arm.name!r} "
                f"({arm.fingerprint}); train one for this arm or leave the model out"
            )
        self.arm, self.model = arm, model
        self.task = load_task(arm, task if task is not None or model is None else model.task)
        if model is not None and model.task != self.task:
            raise CheckpointError(
                f"the model was made for task {model.task.name!r}, not for {self.task.name!r}; "
                "train one for this task or leave the model out"
            )

    @classmethod
    def load(cls, name_or_path: str | Path, arm: Arm | None = None) -> IKSolver:
        """A solver with a trained model.

        Args:
            name_or_path: Name of an arm that has a shipped model, or path of a `.safetensors` file.
            arm: The arm that the model must fit; default: the one described in the file.

        Returns:
            The solver, for the model's task.

        Raises:
            CheckpointError: The file is damaged or made for another arm.
            UnknownNameError: No such model.
        """
        from ik_mdn.checkpoint import load_model

        model = load_model(name_or_path, arm=arm)
        return cls(arm or model.arm, model)

    def save(self, path: str | Path) -> None:
        """Write the model to one `.safetensors` file.

        Args:
            path: The file.

        Raises:
            CheckpointError: This solver has no model.
        """
        from ik_mdn.checkpoint import save_model

        if self.model is None:
            raise CheckpointError("this solver has no model to save; train one with ik_mdn.train")
        save_model(self.model, path)

    def solve(
        self,
        T_base_tip: Tensor | NDArray[np.floating],
        *,
        q_seed: Tensor | NDArray[np.floating] | None = None,
        refine: bool = True,
        seeds: int = SEEDS,
        restarts: int = RESTARTS,
        tolerance: float = TOLERANCE,
        windings: bool = False,
        max_solutions: int | None = None,
        seed: int = 0,
    ) -> SolutionBatch:
        """The distinct solutions in limits of each target.

        The model's component means (those that weigh at least 1e-4) are refined, turned into limits, and merged
        where they are the same branch. Targets that are left without a solution, and all of them when there is
        no model, get random joint vectors in limits as seeds, in rounds of `seeds`, twice that, four times that and
        so on, until one leads to a solution; half of the rounds are enough to give up a target that no seed has
        met even outside the limits.
        The same random seeds serve every target, so a batch gives what its targets give one by one.

        Args:
            T_base_tip: Targets, shape (4, 4) or (B, 4, 4); tasks without rotation also take points [m],
                (2,), (3,), (B, 2) or (B, 3). numpy or torch.
            q_seed: Joint vector to stay near, shape (n,) or (B, n): one more seed, the winding nearest
                to it, and solutions ordered by distance from it instead of by weight.
            refine: False gives the model's raw modes, turned into limits where possible, with their errors.
            seeds: Most components refined per target; random seeds in the first round.
            restarts: Most rounds of random seeds per target.
            tolerance: Largest error [m] and [rad] of a solution.
            windings: Also every other winding of each solution inside the limits (continuous joints keep one).
            max_solutions: Keep only so many of the best per target; default: all.
            seed: Of the random seeds.

        Returns:
            `SolutionBatch` of length B (1 for a single target), numpy arrays. Without a model a solution's
            weight is the share of the seeds that led to it; with one, the weight of the components that did,
            0 for what only random seeds found.

        Raises:
            ShapeError, PoseError: The targets, `q_seed` or a number make no sense.
            CheckpointError: `refine=False` without a model.
        """
        targets = as_targets(self.task, T_base_tip)
        T = targets.reshape(-1, 4, 4)
        near = self._checked_seed(q_seed, T)
        _check_numbers(seed, seeds=seeds, restarts=restarts, tolerance=tolerance, max_solutions=max_solutions)
        search = Search(self.arm, self.task, self.model, T, near, seeds, tolerance)
        if not refine:
            return search.collect(search.propose(), None, max_solutions)
        rows, exact = search.find(restarts, seed)
        return search.collect(search.wind(rows) if windings else rows, exact, max_solutions)

    def _checked_seed(self, q_seed: Tensor | NDArray[np.floating] | None, T: Tensor) -> Tensor | None:
        if q_seed is None:
            return None
        q = torch.as_tensor(q_seed, dtype=T.dtype, device=T.device)
        shapes = ((self.arm.n_joints,), (len(T), self.arm.n_joints))
        if q.shape not in shapes or not bool(torch.isfinite(q).all()):
            raise ShapeError(
                f"q_seed has shape {tuple(q.shape)}; it must be finite, of shape {shapes[0]} or {shapes[1]}"
            )
        return q.expand(len(T), -1)


def solver_for(arm: Arm, model: str | Path | None = None, *, task: Task | str | None = None) -> IKSolver:
    """The solver to use for an arm when the user has not said more.

    Args:
        arm: The arm.
        model: A path or a shipped model's name; "none" for random restarts; None for the shipped model
            where there is one for this arm and task, otherwise random restarts.
        task: Task or its name; None for the model's, or the arm's default.

    Returns:
        The solver.

    Raises:
        CheckpointError: The named model is damaged or made for another arm or task.
        UnknownNameError, TaskError: See `sim.task.load_task`.
    """
    from ik_mdn.checkpoint import find_shipped

    if model is not None and str(model) != "none":
        return IKSolver(arm, IKSolver.load(model, arm).model, task=task)
    shipped = find_shipped(arm) if model is None else None
    if shipped is None:
        return IKSolver(arm, task=task)
    solver = IKSolver.load(shipped, arm)
    if task is not None and load_task(arm, task) != solver.task:
        _log.info("random restarts serve: the shipped model is for task %s", solver.task.name)
        return IKSolver(arm, task=task)
    return solver


def _check_numbers(seed: int, *, seeds: int, restarts: int, tolerance: float, max_solutions: int | None) -> None:
    if seed < 0 or seeds < 1 or restarts < 0 or not tolerance > 0 or (max_solutions is not None and max_solutions < 1):
        raise ShapeError(
            f"got seed={seed}, seeds={seeds}, restarts={restarts}, tolerance={tolerance}, max_solutions={max_solutions}; "
            "allowed: seed >= 0, seeds >= 1, restarts >= 0, tolerance > 0, max_solutions >= 1 or None"
        )
