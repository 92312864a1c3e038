"""One arm being looked at: a target goes in, everything that is shown of it comes out. No browser is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ik_mdn.model import ArmModel, find_shipped, load_model
from ik_mdn.solver import IKSolver, Solutions, Status, solver_for
from ik_mdn.viewer.answer import Answer, Details, Placed
from ik_mdn.viewer.approach import approach, place
from ik_mdn.viewer.branches import BranchTracker
from ik_mdn.viewer.spread import Spread
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.jacobians import manipulability
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error
from sim.world import home

MOST = 16  # solutions shown at once
_STARTS = 4  # of the search for the nearest approach


class Session:
    """What is asked of one arm, target after target.

    Args:
        arm: The arm.
        solver: Its solver.
        mse: A regressor of the same arm and task; None: its arm is not shown.
    """

    def __init__(self, arm: Arm, solver: IKSolver, mse: ArmModel | None = None) -> None:
        self.arm, self.solver, self.mse = arm, solver, mse
        self.q_now: FloatArray = home(arm)
        self.max_jump: float | None = None
        self._tracker = BranchTracker(arm.period)
        self._spread = Spread(arm, solver.task) if self.redundant else None
        self._nearest: FloatArray | None = None

    @classmethod
    def load(cls, arm: Arm, *, model: str | Path | None = None, task: str | None = None) -> Session:
        """A session with the models there are.

        Args:
            arm: The arm.
            model: Name or file of the mixture; None: the shipped one where there is one; "none": random restarts.
            task: Its name; None for the model's, or the arm's default.

        Raises:
            CheckpointError: The model is damaged or made for another arm or task.
            UnknownNameError, TaskError: No such task, or not for this arm.
        """
        solver = solver_for(arm, model, task=task)
        shipped = find_shipped(arm, kind="mse")
        mse = load_model(shipped, arm=arm) if shipped else None
        return cls(arm, solver, mse if mse is not None and mse.task == solver.task else None)

    @property
    def task(self) -> Task:
        """Which part of the target counts."""
        return self.solver.task

    @property
    def rotation(self) -> bool:
        """Whether any rotation counts."""
        return any(self.task.rows[3:])

    @property
    def redundant(self) -> bool:
        """Whether the arm has joints to spare for the task, so that solutions are not countable."""
        return self.arm.n_joints > self.task.n_constraints

    @property
    def floor(self) -> ArmModel | None:
        """The mixture whose disagreement colours the floor: a planar arm's, where there is one."""
        return self.solver.model if self.arm.is_planar else None

    def start_target(self) -> FloatArray:
        """A target to begin with, (4, 4): in reach, away from the base and from singular configurations."""
        rng = np.random.default_rng(0)
        middle = 0.5 * (self.arm.sample_min + self.arm.sample_max)
        q = middle + 0.6 * (self.arm.sample(rng, 512) - middle)
        T = forward_kinematics(self.arm, q)
        radius = np.linalg.norm(T[:, :2, 3], axis=1) / self.arm.reach
        front = T[:, 0, 3] / np.maximum(np.linalg.norm(T[:, :2, 3], axis=1), 1e-9)
        height = T[:, 2, 3] / self.arm.reach
        off = np.abs(radius - 0.5) + 0.5 * (1.0 - front) + (0.0 if self.arm.is_planar else np.abs(height - 0.3))
        off = off + (0.0 if self.arm.is_planar else 0.4 * (1.0 + T[:, 2, 2]))  # a tool that points down
        return np.asarray(T[int(off.argmin())])

    def prepare(self) -> None:
        """Solve a target in reach and one out of it, so that the code for both is compiled before anyone waits for it."""
        T = self.start_target()
        away = T.copy()
        away[:3, 3] *= 9.0
        for target in (T, away):
            self.details(self.answer(target))

    def answer(self, T_base_target: FloatArray) -> Answer:
        """The solutions of a target, ready to be drawn.

        Args:
            T_base_target: The target, shape (4, 4).
        """
        T = np.ascontiguousarray(T_base_target, dtype=np.float64)
        found = self.solver.solve(T, q_seed=self.q_now, rank="weight", max_jump=self.max_jump)[0]
        q, weight = self._shown(T, found)
        return Answer(
            T_base_target=T,
            status=found.status,
            q=q,
            branch=self._tracker.follow(q),
            weight=weight,
            redundant=self.redundant,
            found=len(found),
            max_jump=self.max_jump,
        )

    def details(self, answer: Answer, *, raw: bool = True) -> Details:
        """What else is shown of an answer: errors, margins, the regressor, the nearest approach.

        Args:
            answer: The answer.
            raw: Ask for the mixture's raw means too.
        """
        T = answer.T_base_target
        lost = not len(answer)
        seeds = self._raw(T) if raw or lost else None
        nearest = self._nearest_to(T, answer.status, seeds) if lost else None
        self._nearest = nearest.q if nearest else None
        return Details(
            nearest=nearest,
            mse=self._regressed(T),
            raw=seeds[0] if seeds else None,
            raw_weight=seeds[1] if seeds else None,
            **self._measure(T, answer.q),
        )

    def _shown(self, T: FloatArray, found: Solutions) -> tuple[FloatArray, FloatArray]:
        """The solutions to show with their probabilities, the most probable first."""
        if self._spread is None:
            return found.q[:MOST], found.weight[:MOST]
        q, weight = self._spread.follow(T, found.q, found.weight)
        order = np.argsort(-weight, kind="stable")
        return q[order], weight[order]

    def _measure(self, T: FloatArray, q: FloatArray) -> dict[str, FloatArray]:
        """Errors, margins and manipulabilities of configurations (m, n), each (m,)."""
        err_pos, err_rot = error_norms(task_error(self.task, forward_kinematics(self.arm, q), T))
        return {
            "err_pos": err_pos,
            "err_rot": err_rot,
            "margin": np.minimum(q - self.arm.q_min, self.arm.q_max - q).min(axis=1, initial=np.inf),
            "manipulability": manipulability(self.arm, self.task, q),
        }

    def _approach(self, T: FloatArray, seeds: tuple[FloatArray, FloatArray] | None) -> Placed:
        others = self.arm.sample(np.random.default_rng(0), _STARTS) if seeds is None else seeds[0][:_STARTS]
        first = self.q_now if self._nearest is None else self._nearest
        return approach(self.arm, self.task, T, np.vstack([first, others]))

    def _nearest_to(self, T: FloatArray, status: Status, seeds: tuple[FloatArray, FloatArray] | None) -> Placed | None:
        """Where there is no solution, the one that is too far and turns the joints least, or the nearest approach."""
        if status is not Status.TOO_FAR:
            return self._approach(T, seeds)
        found = self.solver.solve(T, q_seed=self.q_now, rank="distance")[0]
        return place(self.arm, self.task, T, found.q[0]) if len(found) else None

    def _regressed(self, T: FloatArray) -> Placed | None:
        if self.mse is None:
            return None
        return place(self.arm, self.task, T, self.mse.mean(torch.from_numpy(T[None]))[0].numpy())

    def _raw(self, T: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        if self.solver.model is None:
            return None
        proposal = self.solver.model.propose(torch.from_numpy(T[None]))
        order = proposal.weight[0].argsort(descending=True)[:MOST]
        return proposal.q[0, order].numpy(), proposal.weight[0, order].numpy()
