"""The solver: propose joint vectors, refine them, keep the distinct ones in limits."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.model import choose_device
from ik_mdn.solver.approach import with_closest
from ik_mdn.solver.collecting import collect, joined, replaced
from ik_mdn.solver.engine import Engine, NoPoseError, Problem
from ik_mdn.solver.engines import Engines
from ik_mdn.solver.options import (
    SEEDS,
    Effort,
    Order,
    Rank,
    checked_seed,
    plain_targets,
    read_options,
)
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.search import propose, search
from ik_mdn.solver.solutions import SolutionBatch
from ik_mdn.solver.threads import FREE, at_most
from sim.arm import Arm
from sim.arrays import is_tensor
from sim.errors import CheckpointError, ShapeError, shown
from sim.inputs import check_counts, check_kinds
from sim.kinematics import forward_kinematics
from sim.task import Task, as_batch, load_task

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.model import ArmModel, Postures, SavedModel

TOLERANCE = 1e-8  # error [m], [rad] up to which a refined seed is a solution; most end below 1e-12
_PART = 1 << 14  # targets solved before their solutions are put behind those before; bounds the memory
_PART_ON_GPU = 1 << 18  # the same there, where more at a time are quicker
RESTARTS = 6  # rounds of random seeds, each twice as many as before: 2,016 in all

_log = logging.getLogger(__name__)


class IKSolver:
    """Inverse kinematics of one arm: every solution that its proposals lead to, exact and in limits.

    Example:
        >>> found = IKSolver(sim.load_arm("planar2")).solve([1.2, 0.5])[0]
        >>> found
        Solutions(2 solutions, solved)
        >>> sorted(found.q.round(3).tolist())
        [[-0.468, 1.726], [1.258, -1.726]]

    Args:
        arm: The arm.
        model: A trained model of this arm, its path, or the name of a shipped one; without it the seeds are random joint
            vectors in limits.
        task: A `Task`, its name, or None for the model's (else the arm's default).
        threads: Most threads of a call, from one pool for all solvers; results do not depend on it. None: as torch, or
            where it is not loaded `OMP_NUM_THREADS` or one per processor. Several threads may use a solver at once.
        device: Where to solve: "cpu", "cuda", "cuda:1" …, or "auto", a GPU where there is one; None: where the targets are.

    Raises:
        ShapeError: The arm is none, or the number of threads.
        CheckpointError: The model was made for another arm or task.
        UnknownNameError, TaskError: See `sim.task.load_task`; or there is no such device here.
    """

    def __init__(
        self,
        arm: Arm,
        model: ArmModel | SavedModel | str | Path | None = None,
        *,
        task: Task | str | None = None,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        if not isinstance(arm, Arm):
            raise ShapeError(
                f"IKSolver takes an arm, and got {arm!r}; write IKSolver.load({str(arm)!r}) for a shipped model, or "
                f"IKSolver(sim.load_arm({str(arm)!r})) for random restarts"
            )
        check_kinds(str, type(None), device=device)
        if isinstance(model, str | Path):
            from ik_mdn.model import read_model

            model = read_model(model, arm=arm)
        if model is not None and not hasattr(model, "arm"):
            raise ShapeError(f"model must be a trained model, its name or its file; got {shown(model)}")
        if model is not None and model.arm.fingerprint != arm.fingerprint:
            raise CheckpointError(
                f"the model was made for arm {model.arm.name!r} ({model.arm.fingerprint}), not for {arm.name!r} "
                f"({arm.fingerprint}); train one for this arm or leave the model out"
            )
        check_counts(1, threads=1 if threads is None else threads)
        self.arm, self._model, self.threads = arm, model, threads
        self.device = device if device in (None, "cpu") else str(choose_device(device))
        self.task = load_task(arm, task if task is not None or model is None else model.task)
        if model is not None and model.task != self.task:
            raise CheckpointError(
                f"the model was made for task {model.task.name!r}, not for {self.task.name!r}; "
                "train one for this task or leave the model out"
            )

    @classmethod
    def load(
        cls, name_or_path: str | Path, arm: Arm | None = None, *, threads: int | None = None, device: str | None = None
    ) -> IKSolver:
        """A solver with a trained model.

        Example:
            >>> IKSolver.load("ur5e")
            IKSolver(arm 'ur5e', task 'pose', a model's seeds)

        Args:
            name_or_path: Name of an arm that has a shipped model, or path of a `.safetensors` file.
            arm: The arm that the model must fit; default: the one described in the file.
            threads, device: See `IKSolver`.

        Returns:
            The solver, for the model's task.

        Raises:
            CheckpointError: No such model, or the file is damaged or made for another arm.
            UnknownNameError: No such device here.
        """
        from ik_mdn.model import read_model

        check_kinds(str, Path, name_or_path=name_or_path)
        model = read_model(name_or_path, arm=arm)
        return cls(arm or model.arm, model, threads=threads, device=device)

    @property
    def has_model(self) -> bool:
        """Whether a model proposes where to start."""
        return self._model is not None

    @property
    def model(self) -> ArmModel | None:
        """The model in torch, which is imported for it; None where seeds are random."""
        return self._engines.network

    @property
    def model_fingerprint(self) -> str:
        """16 digits that tell the model from others; nothing where seeds are random."""
        from ik_mdn.model import SavedModel

        return "" if self._model is None else SavedModel.of(self._model).fingerprint

    def save(self, path: str | Path) -> None:
        """Write the model to one `.safetensors` file.

        Args:
            path: The file.

        Raises:
            CheckpointError: This solver has no model.
        """
        from ik_mdn.model import save_model

        check_kinds(str, Path, path=path)
        if self._model is None:
            raise CheckpointError("this solver has no model to save; train one with ik_mdn.train")
        save_model(self._model, path)

    def solve(
        self,
        T_base_tip: Tensor | NDArray[np.floating],
        *,
        q_seed: Tensor | NDArray[np.floating] | None = None,
        max_jump: float | None = None,
        rank: Rank | None = None,
        max_solutions: int | None = None,
        windings: bool = False,
        thorough: bool = False,
        closest: bool = False,
        timeout: float | None = None,
        refine: bool = True,
        seeds: int = SEEDS,
        draws: int = 0,
        restarts: int = RESTARTS,
        tolerance: float = TOLERANCE,
        seed: int = 0,
    ) -> SolutionBatch:
        """The distinct solutions in limits of each target.

        The means of the model's proposer (or its own, and sigma points; those that weigh at least 3e-4) are refined,
        turned into limits, and merged where they are the same branch. Targets that are left without a solution, and all of them when
        there is no model, get random joint vectors in limits as seeds, in rounds of `seeds`, twice that, four times
        that and so on, until one leads to a solution; half of the rounds are enough to give up a target that no seed
        has met even outside the limits.
        The same random seeds serve every target, and nothing else of it depends on the others: a batch gives, bit for
        bit, what its targets give one by one, in any number of threads (but for draws from the mixture, for `thorough`
        and `draws`, which depend on the targets before; and on a GPU).

        What is left is tried once more: of a redundant arm, joint vectors that meet the target outside the limits are
        moved along their curves into them; and where nothing meets the target, joint vectors that miss it by up to
        1e-4 [m] and [rad] are given under the status `nearly`. So is, where nothing in limits meets it, a measured
        state: the joint vector next to `q_seed`, a joint of it up to 1e-3 beyond its limit (`sim.arm.LIMIT_NOISE`),
        with that joint put on the limit and named in the log (`solved` where that costs no more than `tolerance`).
        Other branches in limits come before it; `max_jump` keeps them out.

        Example:
            >>> solver = IKSolver.load("ur5e")
            >>> T_base_tip = sim.pose((0.3, 0.1, 0.2), rpy=(np.pi, 0, 0))
            >>> found = solver.solve(T_base_tip)[0]
            >>> found.q.shape, found.status.about
            ((8, 6), 'solutions in limits were found')
            >>> found.weight.round(2).tolist()
            [0.15, 0.15, 0.15, 0.15, 0.1, 0.1, 0.1, 0.1]
            >>> bool(np.abs(sim.forward_kinematics(solver.arm, found.q) - T_base_tip).max() < 1e-9)
            True
            >>> near = solver.solve(T_base_tip, q_seed=found.q[2], max_solutions=1)[0]  # the nearest one
            >>> bool(np.abs(near.q[0] - found.q[2]).max() < 1e-9)
            True

        Args:
            T_base_tip: Targets, shape (4, 4) or (B, 4, 4); tasks without rotation also take points [m],
                (2,), (3,), (B, 2) or (B, 3). numpy or torch.
            q_seed: Joint vector to stay near, shape (n,) or (B, n): one more seed, the winding nearest
                to it, and solutions ordered by distance from it.
            max_jump: Largest change of any joint from `q_seed` [rad, m]; solutions further away are left out, and
                where none is left the status is `too_far`: there is no continuous continuation.
            rank: What the best solution comes first by: "weight" (its probability), "distance" (from
                `q_seed`), "margin" (to the nearest limit) or "manipulability" (sqrt det J Jᵀ). Default: "distance"
                with `q_seed`, otherwise "weight".
            max_solutions: Keep only so many of the best per target; default: all. 1 with rank "weight" stops at the
                first that is found, from the eight heaviest seeds if possible (not with `max_jump`, nor where p(q) was learned).
            windings: Also every other winding of each solution inside the limits (continuous joints keep one), of each
                up to the 256 nearest to `q_seed` or to the middle of the limits; a log line says where there are more.
            thorough: Go on adding seeds (random ones, draws from the mixture, and such that lead across folds) until
                three rounds in a row have found no new branch, and try longer before a target is given up. Points of
                a curve of solutions (status `continuum`) are not counted as branches. Where the arm is redundant
                only the latter holds; see `ik_mdn.self_motion`.
            closest: Where nothing is found, near `q_seed` or far, give the joint vector in limits that comes nearest, with its errors
                (some ten milliseconds per target and up to 0.2 s for seven joints; as far as `timeout` allows).
            timeout: Come to an end after so many seconds, but for what compiling takes at the first call; targets that
                are not finished then and have no solution get the status `timed_out`.
            refine: False gives the model's raw modes, turned into limits where possible, with their errors.
            seeds: Most components refined per target; random seeds in the first round.
            draws: Seeds drawn from the mixture per target, besides.
            restarts: Most rounds of random seeds per target.
            tolerance: Largest error [m] and [rad] of a solution (`nearly` ones miss by more, and say so).
            seed: Of the random seeds.

        Returns:
            `SolutionBatch` of length B (1 for a single target), numpy arrays. Weights are exact probabilities of the
            solutions found where the arm has as many joints as the task has constraints, for joints uniform in limits, or
            distributed as in the model's own configurations; `Solutions.law` says what they are, `network_weights` what the model makes of them.

        Raises:
            ShapeError, PoseError: The targets, `q_seed` or an option make no sense, or do not go together.
            UnknownNameError: No such rank.
            CheckpointError: `refine=False` without a model.
        """
        if timeout is not None:
            self._loaded  # noqa: B018 - so that no target's time is spent on that
        began = time.monotonic()
        postures = self.postures
        options = (q_seed is not None, postures is not None, max_jump, rank, max_solutions, windings, thorough, closest)
        numbers = (timeout, refine, seeds, draws, restarts, tolerance, seed)
        try:
            effort, order = read_options(*options, *numbers)
        except TypeError:
            effort, order = read_options.__wrapped__(*options, *numbers)
        order = order if postures is None else order._replace(postures=postures)
        if not (self.has_model or refine):
            raise CheckpointError("refine=False shows a model's raw modes; this solver has no model, so load one")
        T, device = plain_targets(T_base_tip), self._device_for(T_base_tip)
        slow = windings or thorough or draws or max_jump is not None or not (restarts or self.has_model) or not refine
        # with a deadline, targets that are late would be looked at by nobody
        odd = timeout is not None and T is not None and not np.isfinite(T).all()
        if T is None or slow or odd or device != "cpu" or not self._engines.compiled:
            T = as_batch(self.task, T_base_tip)
        near = None if q_seed is None else checked_seed(self.arm, q_seed, len(T))
        problem = Problem(self.arm, self.task, T, near, tolerance, math.inf if timeout is None else began + timeout)
        with FREE if self.threads is None else at_most(self.threads):
            if device != "cpu":
                parts = problem.parts(_PART_ON_GPU)
                return joined(self._search(part, effort, order, refine=refine, device=device) for part in parts)
            if slow or self._engines.one_call is None:
                return self._search(problem, effort, order, refine=refine)
            try:
                if len(T) <= _PART:
                    return self._answered(problem, effort, order)
                return joined(self._answered(part, effort, order) for part in problem.parts(_PART))
            except NoPoseError:
                problem = problem._replace(T=as_batch(self.task, T_base_tip))  # which says what is wrong
                return self._search(problem, effort, order, refine=True)

    def _device_for(self, T_base_tip: Any) -> str:
        """Where to solve for targets."""
        return self.device or (str(T_base_tip.device) if is_tensor(T_base_tip) else "cpu")

    def _answered(self, problem: Problem, effort: Effort, order: Order) -> SolutionBatch:
        """Solutions by the one compiled call, and by a search where that is not enough."""
        assert self._engines.one_call is not None
        batch, left = self._engines.one_call.answer(problem, effort, order.rank, order.max_solutions)
        if left is None:
            return batch
        effort = effort._replace(lost=not effort.first)
        return replaced(batch, left, self._search(problem.of(left), effort, order, refine=True))

    def _search(
        self, problem: Problem, effort: Effort, order: Order, *, refine: bool, device: str = "cpu"
    ) -> SolutionBatch:
        """Solutions by all rounds of seeds that an effort allows, or the model's raw modes."""
        engine = self.engine(problem, device)
        if not refine:
            proposed = propose(engine, problem, effort.seeds)
            finite = np.isfinite(proposed.found.q.sum(axis=1))
            if not finite.all():
                _log.warning("the model has no finite modes for some targets; are they in metres, and near the arm?")
                proposed = replace(proposed, found=proposed.found.take(finite))
            return collect(engine, problem, proposed, Law.PROPOSALS, order)
        outcome = search(engine, problem, effort)
        spare = self.arm.n_joints - self.task.n_constraints
        law = Law.PROPOSALS if effort.first else Law.of(spare, self.postures)
        batch = collect(engine, problem, outcome, law, order)
        return with_closest(problem, batch, seed=effort.seed) if order.closest else batch

    def engine(self, problem: Problem, device: str = "cpu") -> Engine:
        """What does the work of a search, with this solver's model."""
        return self._engines.on(problem, device)

    @cached_property
    def _loaded(self) -> bool:
        """Whether all code that solving takes is there: it is loaded, or compiled, by solving once."""
        return bool(self.solve(forward_kinematics(self.arm, self.arm.sample_max), seeds=1, restarts=1))

    @cached_property
    def _engines(self) -> Engines:
        return Engines(self.arm, self.task, self._model)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("arm", "_model", "task", "threads", "device")
        return {name: getattr(self, name) for name in kept}  # the rest is made anew where it is needed

    def __repr__(self) -> str:
        seeds = "a model's seeds" if self.has_model else "random seeds"
        return f"IKSolver(arm {self.arm.name!r}, task {self.task.name!r}, {seeds})"

    @property
    def postures(self) -> Postures | None:
        """How the arm is usually held, p(q), as the model learned it; None: anywhere in limits alike."""
        return None if self._model is None else self._model.postures
