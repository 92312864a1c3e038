"""The controller's verdict on the solutions shown, and the motion to one of them, in PyBullet."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ik_mdn.control import Candidate, Controller, ReachResult
from ik_mdn.solver import IKSolver
from ik_mdn.viewer.answer import Answer, small_angle, small_length
from ik_mdn.viewer.words import why_chosen, why_not
from sim.arm import LIMIT_SLACK
from sim.arrays import FloatArray
from sim.scenes import Scene
from sim.world import World

FPS = 30.0  # pictures per simulated second of a motion

_SAME = 1e-3  # [rad, m]


@dataclass(frozen=True)
class Verdict:
    """What the controller makes of the solutions of an answer.

    Args:
        chosen: Row of the one it would take; None: none of them.
        reasons: For each row why it is taken or passed over, in words.
        marks: For each row ✔ where it is taken, ✖ where the arm cannot be or get there for a limit or a collision, ▽ where
            a motor is too weak to hold it; empty for the others.
        sentence: The decision in a line.
    """

    chosen: int | None
    reasons: tuple[str, ...]
    marks: tuple[str, ...]
    sentence: str

    def carried(self, before: Answer, after: Answer) -> Verdict | None:
        """The same verdict on the branches of a later answer; None where one of them was not judged."""
        if before is after:
            return self
        rows = [before.row_of(branch) for branch in after.branch.tolist()]
        known = [row for row in rows if row is not None]
        if len(known) < len(rows) or (self.chosen is not None and self.chosen not in known):
            return None
        return Verdict(
            None if self.chosen is None else known.index(self.chosen),
            tuple(self.reasons[row] for row in known),
            tuple(self.marks[row] for row in known),
            self.sentence,
        )


@dataclass(frozen=True, eq=False)
class Motion:
    """A motion that was executed.

    Args:
        q: Configurations passed, `FPS` per second, shape (f, n).
        sentence: How it ended.
        reached: Whether the arm rests at the target.
    """

    q: FloatArray
    sentence: str
    reached: bool


class Judge:
    """A physics world with the arm and the obstacles in it, opened when it is first needed.

    Several threads may ask it: one at a time has the world, so a decision waits while the arm moves.

    Args:
        solver: Of the arm.
        meshes: Load the arm's meshes; without them nothing collides.
    """

    def __init__(self, solver: IKSolver, *, meshes: bool = True) -> None:
        self._solver, self._meshes = solver, meshes
        self._scene: Scene | None = None
        self._open: ExitStack | None = None
        self._controller: Controller | None = None
        self._lock = threading.RLock()
        self.note = "" if meshes else "collisions are not checked: meshes are missing"

    def set_scene(self, scene: Scene | None) -> None:
        """Obstacles from now on; None: nothing but the arm."""
        with self._lock:
            if scene is not self._scene:
                self.close()
                self._scene = scene

    def close(self) -> None:
        """End the world; it opens again when it is needed."""
        with self._lock:
            if self._open is not None:
                self._open.close()
            self._open = self._controller = None

    def decide(self, answer: Answer, q_now: FloatArray) -> Verdict:
        """Which of the solutions shown the controller would take from where the arm stands, and why not the others.

        Args:
            answer: With its solutions; none are allowed.
            q_now: Where the arm stands, shape (n,).
        """
        if not len(answer):
            return Verdict(None, (), (), "")
        with self._lock:
            controller = self._ready(answer.q, answer.weight, q_now)
            decision = controller.decide(answer.T_base_target)
        by_row = [_find(decision.candidates, q) for q in answer.q]
        chosen = next((row for row, each in enumerate(by_row) if each is not None and each is decision.chosen), None)
        reasons = [
            ""
            if each is None
            else why_chosen(decision)
            if row == chosen
            else why_not(each, decision, controller.weights)
            for row, each in enumerate(by_row)
        ]
        sentence = (
            _sentence(decision.reason)
            if chosen is None
            else f"The controller takes the one marked ✔: {why_chosen(decision)}."
        )
        marks = tuple("" if each is None else "✔" if row == chosen else _mark(each) for row, each in enumerate(by_row))
        return Verdict(chosen, tuple(reasons), marks, sentence)

    def go(self, q: FloatArray, T_base_target: FloatArray, q_now: FloatArray) -> Motion:
        """Move to a solution with the motors, round obstacles where needed.

        Args:
            q: The solution, shape (n,).
            T_base_target: The target it is of, shape (4, 4).
            q_now: Where the arm stands, shape (n,).

        Returns:
            The motion; one configuration, where the arm stands, if it was not moved.
        """
        passed: list[FloatArray] = []
        with self._lock:
            controller = self._ready(q[None], np.ones(1), q_now)
            result = controller.reach(
                T_base_target, watch=lambda: passed.append(controller.body.q), watch_period=1.0 / FPS
            )
        return Motion(np.array(passed or [q_now]), _say(result), result.reached)

    def _ready(self, q: FloatArray, weight: FloatArray, q_now: FloatArray) -> Controller:
        """The controller, its arm at q_now, with nothing but these solutions to decide among."""
        if self._controller is None:
            self._open = ExitStack()
            world = self._open.enter_context(World())
            body = world.add_arm(self._solver.arm, meshes=self._meshes)
            if self._scene is not None:
                world.add_scene(self._scene, self._solver.arm)
            self._controller = Controller(body, self._solver)
        self._controller.solver = _Given(self._solver, q, weight)
        self._controller.body.set_q(q_now)
        return self._controller


class _Given:
    """A solver that gives the solutions shown, so that the decision is about those and no others."""

    def __init__(self, solver: IKSolver, q: FloatArray, weight: FloatArray) -> None:
        self.arm, self.task = solver.arm, solver.task
        self._found = SimpleNamespace(q=q, weight=weight, status="solved")

    def solve(self, T_base_tip: Any, /, *, q_seed: Any = None, refine: bool = True) -> Any:
        return [self._found]


def _find(candidates: tuple[Candidate, ...], q: FloatArray) -> Candidate | None:
    return next((each for each in candidates if np.abs(each.q - q).max() < _SAME), None)


def _mark(candidate: Candidate) -> str:
    if candidate.rejected is None:
        return ""
    return "▽" if candidate.reserve < 0.0 <= candidate.margin + LIMIT_SLACK else "✖"


def _say(result: ReachResult) -> str:
    if result.reached:
        end = " and ".join((small_length(result.err_pos), small_angle(result.err_rot)))
        return f"Reached in {result.time_execute:.1f} s of simulated time; the tip rests {end} from the target."
    return _sentence(f"{result.status.value}: {result.reason}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
