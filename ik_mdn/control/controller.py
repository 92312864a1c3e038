"""Choosing among the solutions of a target, moving the arm there, and saying what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ik_mdn.control.candidates import describe_contacts, describe_weakness, measure_errors
from ik_mdn.control.chooser import Chooser
from ik_mdn.control.decision import CostWeights, Decision, ReachStatus, Tolerance, decide_nothing
from ik_mdn.evaluation import millimetres, number
from ik_mdn.solver import refine
from sim.arm import Arm, clip_measured
from sim.arrays import FloatArray
from sim.errors import IKError, ShapeError, shown
from sim.inputs import check_kinds, check_speed
from sim.task import Task, as_targets
from sim.world import ArmBody, Drive

_LOOKS = 9  # at the way from where an arm is stuck to its target
_ATTEMPTS = 6  # times to ask the solver, with other seeds, while all that it gives is blocked


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
        path_q, path_tip: Lengths of the way in joint space [rad, m for prismatic] and of the tip [m].
        contacts_end: What still touched at the end.
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
    path_q: float = 0.0
    path_tip: float = 0.0
    contacts_end: tuple[tuple[str, str], ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the arm rests within tolerance of the target."""
        return self.status is ReachStatus.REACHED


class Controller:
    """Picks the solution that best satisfies a target and moves the arm there.

    The forward kinematics of every candidate is measured in the simulator. The nearest to the target wins; those
    that tie are ranked by a cost (see `CostWeights`). Candidates beyond limits, those that a motor is too weak to hold
    against gravity, and those that touch the arm itself or anything else in the world, are rejected, with the reason. The first one whose straight joint path is
    free is taken; where there is none, a route round what is in the way is looked for, to the best of them and then
    to all at once; where that fails too, the solver is asked again with other seeds. A contact on the way ends the
    motion and is reported.

    From a target to the motors: `solver.solve` gives solutions; `judge_candidates` measures them; `Chooser.decide`
    ranks them and finds the way (`Decision.route`); `ArmBody.drive` follows it; what it measured is the result.

    Args:
        body: The arm in a world.
        solver: Gives the solutions; made for the same arm.
        refine: False takes the raw modes of the mixture, unrefined: the plain form of the idea.
        tolerance: What counts as reached, and as a tie.
        weights: The cost that breaks ties.
        speed: Share of the velocity limits to use.

    Raises:
        IKError: The solver is for another arm, or an option is of another kind or out of range.
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
        if isinstance(body, Arm):
            raise IKError("Controller takes the arm's body in a world; write Controller(world.add_arm(arm), solver)")
        check_kinds(ArmBody, body=body)
        if not hasattr(solver, "arm"):
            raise ShapeError(f"Controller takes a solver, such as IKSolver(arm); got {shown(solver)}")
        if body.arm.fingerprint != solver.arm.fingerprint:
            raise IKError(
                f"the solver is for arm {solver.arm.name!r}, the body in the world is {body.arm.name!r}; "
                "make both from one arm"
            )
        self.body, self.solver, self.refine = body, solver, refine
        check_kinds(Tolerance, type(None), tolerance=tolerance)
        check_kinds(CostWeights, type(None), weights=weights)
        check_speed(speed)
        self.tolerance, self.weights, self.speed = tolerance or Tolerance(), weights or CostWeights(), speed

    def __repr__(self) -> str:
        how = "" if self.refine else ", raw modes"
        return f"Controller({self.body!r}, {self.solver!r}{how})"

    def decide(self, T_base_tip: Any) -> Decision:
        """The candidates for a target and the choice among them; the arm stays where it is.

        Args:
            T_base_tip: The target, shape (4, 4), or a point where the task takes points.

        Raises:
            ShapeError, PoseError: The target is no pose.
        """
        return self._search(self._target(T_base_tip))[0]

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
        drive: Drive | None = None  # there is nowhere to go
        if decision.route:
            drive = self.body.drive(
                *decision.route, speed=self.speed, watch=watch, watch_period=watch_period, stop_on_contact=True
            )
        err_pos, err_rot = measure_errors(self.body, self.solver.task, None, T)
        status, reason = self._judge(decision, drive, float(err_pos[0]), float(err_rot[0]))
        return ReachResult(
            status=status,
            reason=reason,
            T_base_target=T,
            err_pos=float(err_pos[0]),
            err_rot=float(err_rot[0]),
            time_solve=time_solve,
            time_decide=time_decide,
            time_execute=drive.time if drive else 0.0,
            contacts=drive.contacts if drive else (),
            decision=decision,
            q_end=self.body.q,
            path_q=drive.path_q if drive else 0.0,
            path_tip=drive.path_tip if drive else 0.0,
            contacts_end=drive.contacts_end if drive else (),
        )

    def _target(self, T_base_tip: Any) -> FloatArray:
        T = as_targets(self.solver.task, T_base_tip)
        if T.shape != (4, 4):
            raise ShapeError(f"the controller takes one target at a time; got {T.shape[:-2]} of them")
        return np.asarray(T, dtype=np.float64)

    def _search(self, T: FloatArray) -> tuple[Decision, float]:
        """The decision, and the time that the solver took [s]; where all is blocked, ask for other solutions."""
        arm, rng = self.body.arm, np.random.default_rng(0)
        chooser = Chooser(self.body, self.solver.task, T, self.tolerance, self.weights)
        q_seed, spent = self.body.q, 0.0
        decision = None
        for _ in range(_ATTEMPTS if self.refine else 1):
            begin = time.perf_counter()
            found = self.solver.solve(T, q_seed=q_seed, refine=self.refine)[0]
            spent += time.perf_counter() - begin
            q, weight = (np.asarray(each, dtype=np.float64) for each in (found.q, found.weight))
            if decision is None and not len(q):
                decision = decide_nothing(found.status)
                q = self._solve_on_limit(T) if self.refine and decision.status is ReachStatus.OUT_OF_LIMITS else q
                weight = np.ones(len(q))
            if decision is not None and not len(q):
                break
            chooser.add(q, weight)
            decision = chooser.decide()
            if decision.status not in (ReachStatus.BLOCKED, ReachStatus.TOO_WEAK):
                break
            q_seed = arm.sample(rng)
        assert decision is not None
        return replace(decision, unshaped=self.body.unshaped, law=getattr(found, "law", None)), spent

    def _judge(
        self, decision: Decision, drive: Drive | None, err_pos: float, err_rot: float
    ) -> tuple[ReachStatus, str]:
        if drive is None:
            assert decision.status is not None, "a decision without a motion says why"
            return decision.status, decision.reason
        if drive.contacts:
            return ReachStatus.TOUCHED, f"stopped on the way by a {describe_contacts(self.body, drive.contacts)}"
        if not drive.settled:
            return ReachStatus.UNSETTLED, self._why_unsettled(drive)
        if float(self.tolerance.miss(np.array(err_pos), np.array(err_rot))) > 1.0:
            return ReachStatus.MISSED, f"ended {millimetres(err_pos)} mm and {number(err_rot)} rad from the target"
        return ReachStatus.REACHED, ""

    def _why_unsettled(self, drive: Drive) -> str:
        """Which joint stayed away, and the motor that is too weak where the arm is stuck, or on the rest of its way."""
        body, names = self.body, self.body.arm.joint_names
        stayed = int(drive.err_q.argmax())
        reason = f"{names[stayed]} stayed {float(drive.err_q[stayed]):.3g} from its target"
        weakness = describe_weakness(body, *np.linspace(drive.q_end, drive.q_target, _LOOKS))
        return reason if weakness is None else f"{weakness}; {reason}"

    def _solve_on_limit(self, T: FloatArray) -> FloatArray:
        """Where the arm is, shape (1, n), if that meets a target but for a joint a hair beyond its limit; else (0, n)."""
        arm = self.body.arm
        end = refine(arm, self.solver.task, T[None], self.body.q[None])
        q = clip_measured(arm, end.q)
        on_limit = bool(((q >= arm.q_min) & (q <= arm.q_max)).all())
        return q if on_limit and self.tolerance.miss(end.err_pos, end.err_rot)[0] <= 1.0 else q[:0]
