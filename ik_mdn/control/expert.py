"""A scripted expert for the reach environment: the controller's decision, played as actions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.control.controller import Controller, Solver
from ik_mdn.control.decision import Decision
from ik_mdn.solver import into_limits, solver_for
from sim.arrays import FloatArray
from sim.environment import SUBSTEPS, JointControl
from sim.errors import IKError
from sim.world import World, plan_motion

if TYPE_CHECKING:
    from sim.environment import ReachEnv


_ASTRAY = 0.1  # [rad or m] that a joint may be off the plan before a new one is made


class Expert:
    """Plays the controller's decision as actions of a `sim.environment.ReachEnv`.

    It sees what any other agent sees: the observation. For a new target it solves the inverse kinematics, picks a
    solution as `ik_mdn.Controller` does (in a world of its own with the same arm and scene), and plans the
    time-optimal motion there; each action is the next piece of it.

    Args:
        env: The environment, wrapped or not; made with `gymnasium.make("IKReach-v0", ...)`, control "joints".
        model: As for `ik_mdn.solver.solver_for`: a file or name; "none" for random restarts; None for the shipped
            model where there is one.
        solver: Solves in place of that one.

    Raises:
        IKError: `env` is another environment or has another control, or the solver does not fit.
    """

    def __init__(self, env: Any, *, model: str | Path | None = None, solver: Solver | None = None) -> None:
        bare = _bare(env)
        if not isinstance(bare.control, JointControl):
            raise IKError(
                "the expert moves joints, because displacements of the tip alone cannot choose among solutions; "
                'make the environment with control="joints"'
            )
        self.arm, self.goals, self.control = bare.arm, bare.goals, bare.control
        self._world = World()
        body = self._world.add_arm(bare.arm, meshes=bare.meshes)
        if bare.scene is not None:
            self._world.add_scene(bare.scene, bare.arm)
        self.controller = Controller(
            body, solver or solver_for(bare.arm, model, task=bare.task), speed=bare.control.speed
        )
        self.decision: Decision | None = None
        self._plan: _Plan | None = None
        self._goal: NDArray[np.floating] = np.empty(0)

    def __enter__(self) -> Expert:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the expert's own world; a second call does nothing."""
        self._world.close()

    def reset(self) -> None:
        """Forget the plan: the next action starts a new one. A new target does so by itself."""
        self._plan = None

    def act(self, observation: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float32]:
        """The next action.

        Args:
            observation: Of the environment.

        Returns:
            Numbers in [-1, 1], shape of the action space; zeros where nothing was chosen (`decision` says why), and
            after the arrival.
        """
        q = np.asarray(observation["observation"], dtype=np.float64)[: self.arm.n_joints]
        goal = np.asarray(observation["desired_goal"])
        if self._plan is None or not np.array_equal(goal, self._goal) or self._plan.is_lost(q):
            self._plan, self._goal = self._make_plan(q, goal), goal.copy()
        return self._plan.next_action(q)

    def _make_plan(self, q: FloatArray, goal: NDArray[np.floating]) -> _Plan:
        q = np.where(self.arm.is_endless, into_limits(self.arm, q), q)  # observations are wrapped
        q = np.clip(q, self.arm.q_min, self.arm.q_max)  # and rounded
        self.controller.body.set_q(q)
        self.decision = self.controller.decide(self.goals.decode(goal))
        path, start = [q[None]], q
        for stop in self.decision.route:
            motion = plan_motion(self.arm, start, stop, speed=self.control.speed)
            path += [motion.q[SUBSTEPS::SUBSTEPS], motion.q[-1:]]
            start = stop
        return _Plan(np.concatenate(path), self.control)


class _Plan:
    """Actions along a path of joint vectors, shape (N, n), 1/24 s apart: its differences, then corrections."""

    def __init__(self, path: FloatArray, control: JointControl) -> None:
        self.path, self.control, self.at, self.q_aim = path, control, 0, path[0]

    def is_lost(self, q: FloatArray) -> bool:
        """Whether the arm, at q (n,), is not where the actions should have brought it."""
        return bool((np.abs(self._lag(q)) > _ASTRAY).any())

    def next_action(self, q: FloatArray) -> NDArray[np.float32]:
        """The next piece of the way from q (n,); after its end, what is missing yet."""
        last = len(self.path) - 1
        if self.at == last:
            self.q_aim = self.q_aim + self._lag(q)
        self.at = min(self.at + 1, last)
        action = (self.path[self.at] - self.q_aim) / self.control.scale
        rounded: NDArray[np.float32] = np.clip(action, -1.0, 1.0).astype(np.float32)
        self.q_aim = self.q_aim + self.control.scale * rounded
        return rounded

    def _lag(self, q: FloatArray) -> FloatArray:
        """How far q is ahead of where the motors were sent, shape (n,); joints that turn endlessly come wrapped."""
        ahead = q - self.q_aim
        return np.where(self.control.arm.is_endless, np.mod(ahead + np.pi, 2 * np.pi) - np.pi, ahead)


def _bare(env: Any) -> ReachEnv:
    """The environment itself, without wrappers; IKError where it is not a `ReachEnv`."""
    from sim.environment import ReachEnv

    bare = getattr(env, "unwrapped", env)
    if not isinstance(bare, ReachEnv):
        raise IKError(
            f'the expert plays environments made with gymnasium.make("IKReach-v0", ...); got {type(bare).__name__}'
        )
    return bare
