"""A Gymnasium environment: an arm that is to bring its tip to a target, among obstacles, in the physics world.

    import gymnasium
    env = gymnasium.make("sim.environment:IKReach-v0", arm="panda")

After `import sim.environment`, which registers it, `gymnasium.make("IKReach-v0", arm="panda")` does it too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from sim.arm import Arm, load_arm
from sim.arrays import FloatArray
from sim.environment.actions import STEP_TIME, SUBSTEPS, JointControl, load_control
from sim.environment.episodes import STARTS, Episodes
from sim.environment.goals import goal_space
from sim.environment.registration import register_environments
from sim.environment.rewards import Reward
from sim.errors import ShapeError, UnknownNameError
from sim.inputs import as_numbers
from sim.rendering import camera_for, floor_height
from sim.scenes import Scene, load_scene
from sim.task import Task, load_task
from sim.world import TIME_STEP, ArmBody, Marker, World, speed_limits

Observation = dict[str, NDArray[np.float32]]

RENDER_MODES = ("human", "rgb_array")
OPTIONS = ("q_start", "T_base_target")

_LIMIT_SLACK = 0.05  # [rad or m] of the observation space beyond joint limits: Bullet's are soft
_TOP_SPEED = 4.0  # times its limit, to which an observed joint velocity is cut: contacts make peaks
_REACH_SLACK = 1.1  # of the goal space, in reaches of the arm about its first joint
_WAITING, _REACHED = (0.95, 0.55, 0.10), (0.15, 0.70, 0.30)  # colours of the ball at the target


class ReachEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Bring the tip to a target.

    Observations are dicts of float32 vectors: `observation` (joint positions, then joint velocities, named by
    `observation_names`), `achieved_goal` and `desired_goal` (where the tip is and where it should be, named by
    `goals.names`), all in the arm's base frame, SI units. Positions of joints without a limit on some side are wrapped
    into [-π, π).

    Actions are float32 numbers in [-1, 1], named by `control.names`, each a displacement within 1/24 s: of a joint,
    1 for as far as its velocity limit lets it go, or of the tip (see `sim.environment.actions`). Numbers beyond are cut off.
    `control.scale` says what 1 means [rad or m].

    Rewards depend on the goals alone, so that they can be computed again for other goals: sparse is 0 within both
    tolerances of the target and -1 elsewhere; dense is -(err_pos / reach + err_rot / π).

    An episode terminates when the target is reached; `gymnasium.make` truncates it after 240 steps (10 s). A contact
    (with itself or an obstacle) does not end it: `info["collision"]` says that the step had one, `info["contacts"]`
    between what, and `contact_penalty` takes it off the reward. Ending there would be to an agent's advantage
    where every further step costs one. `info` also holds is_success, err_pos [m] and err_rot [rad].

    Starts and goals are drawn uniformly within the joint limits until they are free of collision; the target is the
    goal's tip pose, so it can be reached (whether there is a free way is not looked at). With one seed everything
    is the same bit for bit, whatever was done before.

    Args:
        arm: Built-in name, planar:L1,L2,..., path of a URDF, or an `Arm`.
        task: Which part of the pose counts (see `sim.TASKS`); None: as much as the arm's joints allow.
        scene: A shipped scene's name, a file, a dict or a `Scene`; None: free space.
        control: "joints" or "tip".
        reward: "sparse" or "dense".
        start: "random" or "home" (see `sim.world.body.home`).
        tolerance_pos: Distance at which the target is reached [m].
        tolerance_rot: Angle at which it is [rad]; plays no part where the task counts no rotation.
        contact_penalty: Taken off the reward of every step with a contact.
        speed: Share of the velocity limits to use, in (0, 1].
        meshes: Load the arm's meshes; without them there is nothing to see or to collide with.
        base, tip: Links that the chain is between, where the arm is given by name or path.
        render_mode: None, "rgb_array" (drawn without a screen), or "human" (Bullet's window; needs a display).
        width, height: Of the pictures [pixels].

    Raises:
        IKError: An argument is none of the above; the message says what is allowed.
    """

    observation_space: spaces.Dict  # type: ignore[assignment]  # more than the base class promises
    action_space: spaces.Box  # type: ignore[assignment]
    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": round(1.0 / STEP_TIME)}  # noqa: RUF012

    def __init__(
        self,
        arm: str | Path | Arm = "panda",
        *,
        task: str | Task | None = None,
        scene: str | Path | Mapping[str, Any] | Scene | None = None,
        control: str = "joints",
        reward: str = "sparse",
        start: str = "random",
        tolerance_pos: float = 0.01,
        tolerance_rot: float = 0.1,
        contact_penalty: float = 0.0,
        speed: float = 1.0,
        meshes: bool = True,
        base: str | None = None,
        tip: str | None = None,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 360,
    ) -> None:
        _check_choice("render_mode", render_mode, (None, *RENDER_MODES))
        _check_choice("start", start, STARTS)
        self.metadata = {**type(self).metadata, "render_modes": _possible_modes()}
        self.arm = arm if isinstance(arm, Arm) else load_arm(arm, base=base, tip=tip)
        self.task = load_task(self.arm, task)
        self.goals = goal_space(self.arm, self.task)
        self.control = load_control(self.arm, self.task, control, speed=speed)
        self.scene = None if scene is None else load_scene(scene, self.arm)
        self.reward = Reward(self.goals, reward, self.arm.reach, tolerance_pos, tolerance_rot, contact_penalty)
        self.meshes, self.render_mode = meshes, render_mode
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.control.names),), np.float32)
        self.observation_space = spaces.Dict(self._spaces())
        self._stride = JointControl(self.arm, speed).scale
        self._camera = camera_for(self.arm, self.scene, width=width, height=height)
        self._world, self._body, self._pristine = self._build()
        self._episodes = Episodes(self._body, self.goals, start, self.reward.is_reached)
        self._q_aim: FloatArray | None = None  # where the motors hold the joints; None before the first reset
        self._goal: NDArray[np.float32] = np.zeros(self.goals.size, np.float32)
        self._marker: Marker | None = None

    @property
    def observation_names(self) -> tuple[str, ...]:
        """What each number of `observation` is: the joints' names, then the same with "velocity of " before them."""
        return (*self.arm.joint_names, *(f"velocity of {name}" for name in self.arm.joint_names))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Put the arm at a new start, at rest, and choose a new target.

        Args:
            seed: Starts the random numbers anew; None: they go on.
            options: `q_start` (n,) and `T_base_target` (4, 4) (or a point, where the task counts no rotation)
                in place of random ones.

        Returns:
            The observation and the info.

        Raises:
            UnknownNameError: An unknown option.
            ShapeError, PoseError: An option's value does not fit.
            WorldError: No free configuration was found, or the environment is closed.
        """
        super().reset(seed=seed)
        given = dict(options or {})
        for name in given:
            _check_choice("option", name, OPTIONS)
        self._remove_marker()
        self._body.client.restoreState(self._pristine)  # first: what is free depends on the fingers too
        self._q_aim, draw = None, self._episodes
        q_start = draw.check_start(given["q_start"]) if "q_start" in given else draw.draw_start(self.np_random)
        if "T_base_target" in given:
            T = draw.check_target(given["T_base_target"], self._farthest)
        else:
            T = draw.draw_target(q_start, self.np_random)
        self._body.set_q(q_start)
        self._q_aim = q_start
        self._goal = self.goals.encode(T).astype(np.float32)
        if self.render_mode is not None:
            self._marker = self._world.add_marker(
                self._body.T_world_base @ T, size=0.16 * self.arm.reach, colour=_WAITING
            )
        observation = self._observe()
        return observation, self._describe(observation, set())

    def step(self, action: NDArray[np.floating]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move for 1/24 s.

        Args:
            action: See the class.

        Returns:
            Observation, reward, terminated (the target is reached), truncated (never, here), info.

        Raises:
            ResetNeeded: Before the first `reset`.
            ShapeError: The action has another shape or is not finite.
        """
        if self._q_aim is None:
            raise ResetNeeded("call reset() before step()")
        touched = self._move(self._q_aim, self._action_given(action))
        observation = self._observe()
        info = self._describe(observation, touched)
        reward = float(self.reward.of(observation["achieved_goal"], self._goal, info))
        if self._marker is not None and info["is_success"]:
            self._marker.recolour(_REACHED)
        return observation, reward, bool(info["is_success"]), False, info

    def compute_reward(
        self, achieved_goal: NDArray[np.floating], desired_goal: NDArray[np.floating], info: Any = None
    ) -> Any:
        """The reward of goals, one or many at once; see `sim.environment.rewards.Reward.of`.

        Args:
            achieved_goal, desired_goal: Shape (..., g), broadcastable.
            info: Of the step, or one for each goal, or None.

        Returns:
            float64, shape (...).
        """
        return self.reward.of(achieved_goal, desired_goal, info)

    def compute_terminated(
        self, achieved_goal: NDArray[np.floating], desired_goal: NDArray[np.floating], info: Any = None
    ) -> Any:
        """Whether goals are reached, bool of shape (...)."""
        return self.reward.is_reached(achieved_goal, desired_goal)

    def compute_truncated(
        self, achieved_goal: NDArray[np.floating], desired_goal: NDArray[np.floating], info: Any = None
    ) -> Any:
        """False of shape (...): only time truncates, and `gymnasium.make` counts it."""
        return np.zeros_like(self.reward.is_reached(achieved_goal, desired_goal))

    def render(self) -> NDArray[np.uint8] | None:
        """A picture (height, width, 3) for "rgb_array"; None otherwise (the window shows itself)."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() needs a render_mode: gymnasium.make("IKReach-v0", render_mode="rgb_array")')
        return self._world.render(self._camera) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the physics world; a second call does nothing."""
        self._world.close()

    @property
    def _farthest(self) -> float:
        """Largest number of a position in the goal space [m]."""
        return float(np.abs(self.arm.offsets[0, :3, 3]).max() + _REACH_SLACK * self.arm.farthest)

    def _build(self) -> tuple[World, ArmBody, int]:
        """The world, the arm in it, and Bullet's number of the state to go back to."""
        world = World(gui=self.render_mode == "human")
        try:
            body = world.add_arm(self.arm, meshes=self.meshes)
            if self.scene is not None:
                world.add_scene(self.scene, self.arm)
            if self.render_mode is not None:
                world.add_ground(height=floor_height(self.arm, self.scene), size=3.2 * self.arm.reach)
            return world, body, int(body.client.saveState())
        except BaseException:
            world.close()
            raise

    def _spaces(self) -> dict[str, spaces.Space[Any]]:
        turns = self.arm.is_endless
        q_min = np.where(turns, -np.pi, self.arm.q_min - _LIMIT_SLACK)
        q_max = np.where(turns, np.pi, self.arm.q_max + _LIMIT_SLACK)
        dq_max = _TOP_SPEED * speed_limits(self.arm)
        goal = np.ones(self.goals.size)
        goal[: self.goals.n_position] = self._farthest
        return {
            "observation": _box(np.concatenate([q_min, -dq_max]), np.concatenate([q_max, dq_max])),
            "achieved_goal": _box(-goal, goal),
            "desired_goal": _box(-goal, goal),
        }

    def _move(self, q_aim: FloatArray, action: FloatArray) -> set[tuple[str, str]]:
        """Let the motors make the displacement at even speed; give back all that touched meanwhile."""
        q_next = self.control.displace(q_aim, action)
        dq = (q_next - q_aim) / STEP_TIME
        touched: set[tuple[str, str]] = set()
        for k in range(SUBSTEPS):
            self._body.hold(q_aim + k * TIME_STEP * dq, dq)
            self._world.step()
            touched |= self._body.contacts()
        most = self._stride  # a joint that is stopped by something is not wound up further
        q = self._body.q
        self._q_aim = np.clip(q_next, q - most, q + most)
        return touched

    def _observe(self) -> Observation:
        q, dq = self._body.state()
        q = np.where(self.arm.is_endless, np.mod(q + np.pi, 2 * np.pi) - np.pi, q)
        values = {
            "observation": np.concatenate([q, dq]),
            "achieved_goal": self.goals.encode(self._body.tip_pose()),
            "desired_goal": self._goal,
        }
        return {name: _cut(self.observation_space[name], value) for name, value in values.items()}

    def _describe(self, observation: Observation, touched: set[tuple[str, str]]) -> dict[str, Any]:
        err_pos, err_rot = self.goals.errors(observation["achieved_goal"], self._goal)
        return {
            "is_success": bool(self.reward.is_reached(observation["achieved_goal"], self._goal)),
            "collision": bool(touched),
            "contacts": ", ".join(f"{a} and {b}" for a, b in sorted(touched)),
            "err_pos": float(err_pos),
            "err_rot": float(err_rot),
        }

    def _action_given(self, action: Any) -> FloatArray:
        values = as_numbers(action, "an action")
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            raise ShapeError(
                f"an action is {len(self.control.names)} finite numbers in [-1, 1] ({', '.join(self.control.names)}); "
                f"got {values.tolist()}"
            )
        return np.clip(values, -1.0, 1.0)

    def _remove_marker(self) -> None:
        if self._marker is not None:
            self._marker.remove()
        self._marker = None


def _possible_modes() -> list[str]:
    """The render modes that this machine can show."""
    screen = bool(os.environ.get("DISPLAY")) or not sys.platform.startswith("linux")
    return [mode for mode in RENDER_MODES if mode != "human" or screen]


def _box(low: FloatArray, high: FloatArray) -> spaces.Box:
    return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def _cut(space: spaces.Space[Any], values: NDArray[np.floating]) -> NDArray[np.float32]:
    """A copy in float32, within the space."""
    assert isinstance(space, spaces.Box)
    return np.clip(np.array(values, dtype=np.float32), space.low, space.high)


def _check_choice(what: str, name: Any, allowed: Sequence[Any]) -> None:
    if name not in allowed:
        raise UnknownNameError(f"unknown {what} {name!r}; allowed: {', '.join(map(str, allowed))}", name=name)


register_environments()
