"""The answers of each method executed: a simulated arm drives to them, and its tip is measured at rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ik_mdn.comparison.contestants import Contestants
from ik_mdn.comparison.methods import METHODS, answering_methods
from ik_mdn.control import Controller, measure_errors
from ik_mdn.evaluation import SUCCESS_LEVELS, ErrorSummary, summarise_errors
from ik_mdn.reach import ReachTask, make_tasks
from sim.arrays import FloatArray
from sim.task import Task

if TYPE_CHECKING:
    from sim.world import ArmBody


CONTROLLER = "controller"


@dataclass(frozen=True)
class ExecutedResult:
    """What became of one method's answers when an arm drove to them.

    Args:
        name: Key of `executed_names`.
        errors: Of the tip at rest, measured in the simulator; a target without an answer counts as a failure.
        clamped: Share of the targets whose answer lay beyond a joint limit and was clamped to it.
        touched: Share of the targets on the way to which links of the arm touched each other.
        reached: Share of the targets at which the tip came to rest within 1 mm and 0.01 rad, nothing touched.
    """

    name: str
    errors: ErrorSummary
    clamped: float
    touched: float
    reached: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; numbers that do not exist (no target answered) become null."""
        return {
            "method": executed_names()[self.name],
            "targets": self.errors.count,
            **self.errors.to_dict(),
            "clamped": self.clamped,
            "touched": self.touched,
            "reached": self.reached,
        }


@dataclass(frozen=True)
class _Outcome:
    """One target: errors at rest [m], [rad] (inf: no answer), and what happened on the way."""

    err_pos: float = np.inf
    err_rot: float = np.inf
    clamped: bool = False
    touched: bool = False


def executed_names() -> dict[str, str]:
    """What is executed, key → name in tables: every method, and the controller that chooses by itself."""
    return {**{key: method.name for key, method in METHODS.items()}, CONTROLLER: "MDN + refinement + controller"}


def execute(
    contestants: Contestants,
    *,
    body: ArmBody,
    methods: Collection[str] | None = None,
    targets: int = 30,
    seed: int = 0,
) -> Iterator[ExecutedResult]:
    """What becomes of each method's answers when they are driven to, on the same targets from the same starts.

    Starts and targets are those of the suite "uniform": configurations uniform in the limits and free of
    self-collision. The arm is put at the start, follows the fastest straight joint motion to the answer by motors
    under gravity, whatever touches on the way, and is measured when it has come to rest. No method but the
    controller knows the start or looks at collisions; an answer beyond the limits is clamped to them, where the
    arm's end stops would hold it.

    Args:
        contestants: The models; methods whose model is not there are left out.
        body: The arm in a physics world.
        methods: Which ones, keys of `executed_names`; None: all.
        targets: How many.
        seed: Of the targets.

    Yields:
        One result per method.
    """
    solver = contestants.solver
    tasks = list(make_tasks(body, targets, seed=seed, task=solver.task))
    T = torch.from_numpy(np.array([task.T_base_target for task in tasks]))
    for name, answer in answering_methods(contestants, body).items():
        if methods is None or name in methods:
            rows = answer(T).q.numpy()
            outcomes = [_drive_to(body, solver.task, task, q) for task, q in zip(tasks, rows, strict=True)]
            yield _sum_up(name, outcomes)
    if (methods is None or CONTROLLER in methods) and solver.model is not None:
        controller = Controller(body, solver)
        yield _sum_up(CONTROLLER, [_let_decide(controller, task) for task in tasks])


def _drive_to(body: ArmBody, task: Task, reach: ReachTask, q: FloatArray) -> _Outcome:
    if not np.isfinite(q).all():
        return _Outcome()
    allowed = np.clip(q, body.arm.q_min, body.arm.q_max)
    body.set_q(reach.q_start)
    drive = body.drive(allowed)
    err_pos, err_rot = measure_errors(body, task, None, reach.T_base_target)
    clamped = bool(np.abs(allowed - q).max() > 1e-9)
    return _Outcome(float(err_pos[0]), float(err_rot[0]), clamped=clamped, touched=bool(drive.contacts))


def _let_decide(controller: Controller, reach: ReachTask) -> _Outcome:
    controller.body.set_q(reach.q_start)
    result = controller.reach(reach.T_base_target)
    if result.decision.chosen is None:
        return _Outcome()
    return _Outcome(result.err_pos, result.err_rot, touched=bool(result.contacts))


def _sum_up(name: str, outcomes: list[_Outcome]) -> ExecutedResult:
    err_pos, err_rot = (np.array([getattr(each, key) for each in outcomes]) for key in ("err_pos", "err_rot"))
    touched = np.array([each.touched for each in outcomes])
    near_pos, near_rot = SUCCESS_LEVELS["1mm"]
    near = (err_pos <= near_pos) & (err_rot <= near_rot)
    return ExecutedResult(
        name=name,
        errors=summarise_errors(err_pos, err_rot),
        clamped=float(np.mean([each.clamped for each in outcomes])),
        touched=float(touched.mean()),
        reached=float(np.mean(near & ~touched)),
    )
