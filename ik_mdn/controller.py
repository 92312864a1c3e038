"""Choosing among the solutions of a target, moving the arm there, and saying what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ik_mdn.decision import (
    LIMIT_SLACK,
    Candidate,
    CostWeights,
    Decision,
    ReachStatus,
    Tolerance,
    decide_blocked,
    decide_nothing,
)
from sim.arm import Arm
from sim.body import ArmBody, home
from sim.drive import Drive
from sim.errors import IKError, ShapeError
from sim.motion import speed_limits
from sim.task import Task, as_targets, error_norms, task_error

FloatArray = NDArray[np.float64]

_ATTEMPTS = 8  # times to ask the solver, with other seeds, while all that it gives is blocked
_DETOURS = 64  # random configurations to try as a detour
_NO_STRAIGHT_WAY = "self-collision on the straight way"
_NO_WAY = "self-collision on the way, straight and on every detour tried"
_PATH_STEP = 0.05  # [rad or m] between configurations that are checked for collision on the way


class Solver(Protocol):
    """What the controller needs of a solver; `ik_mdn.IKSolver` has it."""

    @property
    def arm(self) -> Arm:
        """The arm that it solves for."""

    @property
    def task(self) -> Task:
        """Which part of a target counts."""

    def solve(self, T_base_tip: Any, /, *, q_seed: Any = None, refine: bool = True) -> Any:
        """A sequence of length 1, whose item has `q` (m, n), `weight` (m,) and `status`; m = 0: nothing was found.

        Args:
            T_base_tip: The target, shape (4, 4).
            q_seed: Joint vector to stay near, shape (n,), or None.
            refine: False asks for raw, unrefined proposals.
        """


@dataclass(frozen=True, eq=False)
class ReachResult:
    """What became of a target.

    Args:
        status: See `ReachStatus`.
        reason: One line on why, empty where the target was reached.
        T_base_target: The target, shape (4, 4).
        err_pos, err_rot: Distance of the tip from it at the end, measured in the simulator [m], [rad].
        time_solve: The solver's time [s].
        time_decide: Time to measure, check and rank the candidates [s].
        time_execute: Simulated time of the motion [s]; 0 where the arm was not moved.
        contacts: Pairs of links or bodies that touched on the way.
        decision: The candidates and the choice.
        q_end: Where the joints ended, shape (n,).
    """

    status: ReachStatus
    reason: str
    T_base_target: FloatArray
    err_pos: float
    err_rot: float
    time_solve: float
    time_decide: float
    time_execute: float
    contacts: tuple[tuple[str, str], ...]
    decision: Decision
    q_end: FloatArray

    @property
    def reached(self) -> bool:
        """Whether the arm rests within tolerance of the target."""
        return self.status is ReachStatus.REACHED


class Controller:
    """Picks the solution that best satisfies a target and moves the arm there.

    The forward kinematics of every candidate is measured in the simulator. The nearest to the target wins; those
    that tie are ranked by the time to get there and the margin to limits. Candidates beyond limits or in
    self-collision are rejected, with the reason. The first one whose straight joint path is free of
    self-collision is taken; where there is none, the first one with a free detour; where that fails too, the
    solver is asked again with other seeds.

    Args:
        body: The arm in a world.
        solver: Gives the solutions; made for the same arm.
        refine: False takes the raw modes of the mixture, unrefined: the plain form of the idea.
        tolerance: What counts as reached, and as a tie.
        weights: The cost that breaks ties.
        speed: Share of the velocity limits to use.

    Raises:
        IKError: The solver is for another arm.
    """

    def __init__(
        self,
        body: ArmBody,
        solver: Solver,
        *,
        refine: bool = True,
        tolerance: Tolerance | None = None,
        weights: CostWeights | None = None,
        speed: float = 1.0,
    ) -> None:
        if body.arm.fingerprint != solver.arm.fingerprint:
            raise IKError(
                f"the solver is for arm {solver.arm.name!r}, the body in the world is {body.arm.name!r}; "
                "make both from one arm"
            )
        self.body, self.solver, self.refine = body, solver, refine
        self.tolerance, self.weights, self.speed = tolerance or Tolerance(), weights or CostWeights(), speed

    def decide(self, T_base_tip: Any) -> Decision:
        """The candidates for a target and the choice among them; the arm stays where it is.

        Args:
            T_base_tip: The target, shape (4, 4), or a point where the task takes points.

        Raises:
            ShapeError, PoseError: The target is no pose.
        """
        T = self._target(T_base_tip)
        return self._search(T)[0]

    def reach(
        self, T_base_tip: Any, *, watch: Callable[[], None] | None = None, watch_period: float = 0.1
    ) -> ReachResult:
        """Go to a target and measure where the tip came to rest.

        Args:
            T_base_tip: The target, shape (4, 4), or a point where the task takes points.
            watch: Called while the arm moves (to take pictures).
            watch_period: Simulated time between two calls [s].

        Returns:
            The result. Where nothing was chosen, the arm was not moved and the status says why.

        Raises:
            ShapeError, PoseError: The target is no pose.
        """
        T = self._target(T_base_tip)
        begin = time.perf_counter()
        decision, time_solve = self._search(T)
        time_decide = time.perf_counter() - begin - time_solve
        drives: list[Drive] = []
        for q in decision.route:
            drives.append(self.body.drive(q, speed=self.speed, watch=watch, watch_period=watch_period))
            if not drives[-1].settled:
                break
        err_pos, err_rot = self._errors(self.body.tip_pose()[None], T)
        status, reason = self._judge(decision, drives, float(err_pos[0]), float(err_rot[0]))
        return ReachResult(
            status=status,
            reason=reason,
            T_base_target=T,
            err_pos=float(err_pos[0]),
            err_rot=float(err_rot[0]),
            time_solve=time_solve,
            time_decide=time_decide,
            time_execute=sum(drive.time for drive in drives),
            contacts=tuple(sorted({pair for drive in drives for pair in drive.contacts})),
            decision=decision,
            q_end=self.body.q,
        )

    def _target(self, T_base_tip: Any) -> FloatArray:
        T = as_targets(self.solver.task, torch.as_tensor(T_base_tip, dtype=torch.float64)).numpy()
        if T.shape != (4, 4):
            raise ShapeError(f"the controller takes one target at a time; got {T.shape[:-2]} of them")
        return np.asarray(T, dtype=np.float64)

    def _search(self, T: FloatArray) -> tuple[Decision, float]:
        """The decision, and the time that the solver took [s]; where all is blocked, ask for other solutions."""
        rng, q_seed, spent = np.random.default_rng(0), self.body.q, 0.0
        arm, decision = self.body.arm, None
        for _ in range(_ATTEMPTS if self.refine else 1):
            begin = time.perf_counter()
            found = self.solver.solve(T, q_seed=q_seed, refine=self.refine)
            spent += time.perf_counter() - begin
            decision = self._choose(T, found)
            if decision.status is not ReachStatus.BLOCKED:
                break
            q_seed = rng.uniform(arm.sample_min, arm.sample_max)
        assert decision is not None
        return decision, spent

    def _choose(self, T: FloatArray, found: Any) -> Decision:
        """Rank what the solver found, then take the first that can be got to, if possible without a detour."""
        q_all = np.asarray(found[0].q, dtype=np.float64)
        if not len(q_all):
            return decide_nothing(found[0].status)
        ranked = self._rank(T, q_all, np.asarray(found[0].weight, dtype=np.float64))
        checked = [replace(candidate, rejected=self._find_fault(candidate)) for candidate in ranked]
        able = [candidate for candidate in checked if candidate.rejected is None]
        faulty = [candidate for candidate in checked if candidate.rejected is not None]
        passes = ((self._go_straight, _NO_STRAIGHT_WAY, None), (self._go_around, _NO_WAY, _NO_STRAIGHT_WAY))
        for find_route, tried, untried in passes:
            for place, candidate in enumerate(able):
                route = find_route(candidate.q)
                if route:
                    later = [replace(other, rejected=untried) for other in able[place + 1 :]]
                    passed = [replace(other, rejected=tried) for other in able[:place]]
                    order = (candidate, *later, *passed, *faulty)
                    return Decision(order, chosen=candidate, route=route, reason="")
        return decide_blocked([*(replace(other, rejected=_NO_WAY) for other in able), *faulty])

    def _rank(self, T: FloatArray, q_all: FloatArray, weight: FloatArray) -> list[Candidate]:
        arm, tolerance, weights = self.body.arm, self.tolerance, self.weights
        err_pos, err_rot = self._errors(self.body.tip_pose(q_all), T)
        travel = np.abs((q_all - self.body.q) / speed_limits(arm)).max(axis=-1)
        margin = np.minimum(q_all - arm.q_min, arm.q_max - q_all).min(axis=-1)
        cost = weights.travel * travel + weights.margin * np.clip(1.0 - margin / weights.margin_wanted, 0.0, None)
        inside = margin >= -LIMIT_SLACK
        miss = tolerance.miss(err_pos, err_rot)
        nearest = miss[inside].min() if inside.any() else 0.0
        tied = miss <= nearest + tolerance.tie
        order = np.lexsort((np.where(tied, cost, miss), ~tied))
        names = ("err_pos", "err_rot", "travel", "margin", "weight", "cost")
        columns = dict(zip(names, (err_pos, err_rot, travel, margin, weight, cost), strict=True))
        return [
            Candidate(q=q_all[i].copy(), rejected=None, **{name: float(column[i]) for name, column in columns.items()})
            for i in order
        ]

    def _find_fault(self, candidate: Candidate) -> str | None:
        """Why the arm cannot be at a candidate, or None."""
        arm, q = self.body.arm, candidate.q
        if candidate.margin < -LIMIT_SLACK:
            i = int(np.minimum(q - arm.q_min, arm.q_max - q).argmin())
            return f"{arm.joint_names[i]} at {q[i]:.3f} outside [{arm.q_min[i]:.3f}, {arm.q_max[i]:.3f}]"
        pairs = self.body.self_contacts(q)
        return f"self-collision: {_name_pairs(pairs)}" if pairs else None

    def _go_straight(self, q: FloatArray) -> tuple[FloatArray, ...]:
        """The route straight to q, or none."""
        return (q,) if self._is_free(self.body.q, q) else ()

    def _go_around(self, q: FloatArray) -> tuple[FloatArray, ...]:
        """The shortest collision-free route by one other configuration, of the home one and random ones; or none."""
        arm, start = self.body.arm, self.body.q
        rng = np.random.default_rng(0)
        draws = rng.uniform(arm.sample_min, arm.sample_max, (_DETOURS, arm.n_joints))
        middles = np.concatenate([home(arm)[None], draws])
        middles = middles[~self.body.self_collides(middles)]
        lengths = np.abs(middles - start).max(axis=1) + np.abs(middles - q).max(axis=1)
        for middle in middles[lengths.argsort()]:
            if self._is_free(start, middle) and self._is_free(middle, q):
                return middle, q
        return ()

    def _is_free(self, q_start: FloatArray, q_end: FloatArray) -> bool:
        """Whether the straight joint path is free of self-collision, checked every 0.05 rad, coarsely first."""
        count = int(np.ceil(np.abs(q_end - q_start).max() / _PATH_STEP)) + 1
        path = np.linspace(q_start, q_end, count).astype(np.float64)
        return not (self.body.self_collides(path[::8]).any() or self.body.self_collides(path).any())

    def _errors(self, T_base_tip: FloatArray, T_base_target: FloatArray) -> tuple[FloatArray, FloatArray]:
        tips, target = torch.from_numpy(T_base_tip), torch.from_numpy(T_base_target)
        err_pos, err_rot = error_norms(task_error(self.solver.task, tips, target))
        return err_pos.numpy(), err_rot.numpy()

    def _judge(
        self, decision: Decision, drives: list[Drive], err_pos: float, err_rot: float
    ) -> tuple[ReachStatus, str]:
        if not drives:
            assert decision.status is not None, "a decision without a motion says why"
            return decision.status, decision.reason
        touched = sorted({pair for drive in drives for pair in drive.contacts})
        note = f"; touched on the way: {_name_pairs(touched)}" if touched else ""
        if not drives[-1].settled:
            joint = int(drives[-1].err_q.argmax())
            name, off = self.body.arm.joint_names[joint], float(drives[-1].err_q[joint])
            return ReachStatus.UNSETTLED, f"{name} stayed {off:.3g} from its target{note}"
        if float(self.tolerance.miss(np.array(err_pos), np.array(err_rot))) > 1.0:
            return ReachStatus.MISSED, f"ended {1e3 * err_pos:.3g} mm and {err_rot:.3g} rad from the target{note}"
        return ReachStatus.REACHED, note.removeprefix("; ")


def _name_pairs(pairs: Any) -> str:
    return ", ".join(f"{a} and {b}" for a, b in pairs)
