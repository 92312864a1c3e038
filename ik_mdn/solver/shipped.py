"""The solver for an arm when nothing more was said: with its shipped model, where there is one."""

from __future__ import annotations

import logging
from pathlib import Path

from ik_mdn.solver.solver import IKSolver
from sim.arm import Arm
from sim.task import Task, load_task

_log = logging.getLogger(__name__)


def solver_for(
    arm: Arm, model: str | Path | None = None, *, task: Task | str | None = None, device: str | None = None
) -> IKSolver:
    """The solver to use for an arm when the user has not said more.

    Args:
        arm: The arm.
        model: A path or a shipped model's name; "none" for random restarts; None for the shipped model
            where there is one for this arm and task, otherwise random restarts.
        task: Task or its name; None for the model's, or the arm's default.
        device: Where to solve; see `IKSolver`.

    Returns:
        The solver.

    Raises:
        CheckpointError: The named model is damaged or made for another arm or task.
        UnknownNameError, TaskError: See `IKSolver`.
    """
    from ik_mdn.model import find_shipped

    if model is not None and str(model) != "none":
        return IKSolver(arm, model, task=task, device=device)
    shipped = find_shipped(arm) if model is None else None
    if shipped is None:
        return IKSolver(arm, task=task, device=device)
    solver = IKSolver.load(shipped, arm, device=device)
    if task is not None and load_task(arm, task) != solver.task:
        _log.info("random restarts serve: the shipped model is for task %s", solver.task.name)
        return IKSolver(arm, task=task, device=device)
    return solver
