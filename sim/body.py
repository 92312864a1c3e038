"""An arm in a physics world: joints by name, poses measured by Bullet, collisions, motors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.drive import Drive, follow
from sim.errors import ShapeError
from sim.frames import link_pose, pose_from_bullet, pose_to_bullet
from sim.links import LinkTree, load_links
from sim.motion import plan_motion

FloatArray = NDArray[np.float64]

_ALWAYS = 0.95  # share of sampled configurations from which on a touching pair is taken for a modelling artefact
_N_SAMPLES = 100  # configurations sampled for that


class ArmBody:
    """An arm in a world, its base fixed; made by `World.add_arm`.

    Joints of the URDF that are not in the chain (fingers) stay where they were loaded, held by motors.
    Configurations are measured by moving the body there and back: no time passes, and it ends where it was.

    Args:
        arm: Its kinematics; names are looked up once.
        client: The world's Bullet functions.
        number: Bullet's number of the body.
        T_world_base: Pose of the link `arm.base`, shape (4, 4); None: the world's origin.
        step: Advances the world by one time step.

    Raises:
        WorldError: Bullet did not load a joint or link of the chain.
        ShapeError: T_world_base is not (4, 4) finite numbers.
    """

    def __init__(
        self, arm: Arm, client: Any, number: int, T_world_base: FloatArray | None, *, step: Callable[[], None]
    ) -> None:
        self.arm, self.client, self.number, self.step = arm, client, number, step
        self.links: LinkTree = load_links(client, number)
        self.joints = [self.links.joint(name) for name in arm.joint_names]
        self._base, self._tip = self.links.link(arm.base), self.links.link(arm.tip)
        self._others = [joint for joint in self.links.moving if joint not in self.joints]
        self._place(np.eye(4) if T_world_base is None else np.asarray(T_world_base, dtype=np.float64))
        self.set_q(home(arm))
        self._skip_neighbours()
        self.hold(self.q)

    @property
    def q(self) -> FloatArray:
        """Where the joints are, shape (n,) [rad, m for prismatic]."""
        return self.state()[0]

    def state(self) -> tuple[FloatArray, FloatArray]:
        """Where the joints are and how fast they move, each shape (n,) [rad, rad/s; m, m/s for prismatic]."""
        states = self.client.getJointStates(self.number, self.joints)
        return np.array([state[0] for state in states]), np.array([state[1] for state in states])

    @property
    def T_world_base(self) -> FloatArray:
        """Where the arm's base link is in the world, shape (4, 4)."""
        return self._pose_of(self._base)

    def set_q(self, q: FloatArray) -> None:
        """Put the joints at q, at rest and without time passing, and let the motors hold them there.

        Args:
            q: Joint vector, shape (n,) [rad, m for prismatic]; joint limits are not checked.

        Raises:
            ShapeError: Not n finite numbers.
        """
        self._reset(self._vector("q", q))
        self.hold(q)

    def tip_pose(self, q: FloatArray | None = None) -> FloatArray:
        """The tip's pose in the arm's base frame, as Bullet has it.

        Args:
            q: Configurations to measure, shape (..., n); None: where the arm is.

        Returns:
            `T_base_tip`, shape (..., 4, 4), or (4, 4) for None; exact to rounding.

        Raises:
            ShapeError: The last axis of q is not n long, or a number is not finite.
        """
        if q is None:
            return self._measure()
        batch = self._batch(q)
        with self.kept():
            poses = [self._measure() for row in batch.reshape(-1, self.arm.n_joints) if self._reset(row)]
        return np.array(poses).reshape(*batch.shape[:-1], 4, 4)

    def self_collides(self, q: FloatArray) -> NDArray[np.bool_]:
        """Whether links of the arm (fingers included) go through each other.

        Neighbours are left out: links joined rigidly or by one joint. So are pairs that touch in at least 95 % of
        100 sampled configurations, which is a matter of coarse collision shapes (MoveIt's Setup Assistant
        uses the same rule). Shapes are what Bullet makes of the URDF: a mesh counts as its convex hull.

        Args:
            q: Configurations, shape (..., n).

        Returns:
            Shape (...); False throughout for an arm without collision shapes.
        """
        batch = self._batch(q)
        with self.kept():
            hits = [bool(self._self_contacts()) for row in batch.reshape(-1, self.arm.n_joints) if self._reset(row)]
        return np.array(hits, dtype=bool).reshape(batch.shape[:-1])

    def self_contacts(self, q: FloatArray) -> tuple[tuple[str, str], ...]:
        """The pairs of links that go through each other at q, shape (n,); see `self_collides`."""
        with self.kept():
            self._reset(self._vector("q", q))
            return tuple((self.links.name(a), self.links.name(b)) for a, b in sorted(self._self_contacts()))

    def inverse_kinematics(
        self,
        T_base_tip: FloatArray,
        q_start: FloatArray | None = None,
        *,
        iterations: int = 100,
        residual: float = 1e-7,
        null_space: bool = False,
    ) -> FloatArray:
        """Bullet's own answer: damped least squares from a start (`calculateInverseKinematics`).

        Args:
            T_base_tip: Target, shape (4, 4).
            q_start: Where it starts, shape (n,); None: where the arm is.
            iterations: At most so many.
            residual: Distance at which it stops [m].
            null_space: Give it limits, ranges and the start as rest pose (its null-space variant).

        Returns:
            Joint vector, shape (n,): always something, also for a target out of reach, and not always in limits.
        """
        start = self.q if q_start is None else self._vector("q_start", q_start)
        T_world = self._pose_of(self._base) @ np.asarray(T_base_tip, dtype=np.float64)
        position, quat_xyzw = pose_to_bullet(T_world)
        with self.kept():
            self._reset(start)
            answer = self.client.calculateInverseKinematics(
                self.number,
                self._tip,
                position,
                quat_xyzw,
                maxNumIterations=iterations,
                residualThreshold=residual,
                **(self._null_space(start) if null_space else {}),
            )
        return np.array(answer)[[self.links.moving.index(joint) for joint in self.joints]]

    def drive(
        self,
        q_target: FloatArray,
        *,
        speed: float = 1.0,
        watch: Callable[[], None] | None = None,
        watch_period: float = 0.1,
    ) -> Drive:
        """Move to a configuration with the motors, under gravity, along a time-optimal straight joint motion.

        Args:
            q_target: Shape (n,).
            speed: Share of the velocity limits to use, in (0, 1].
            watch: Called while the arm moves (to take pictures), at the start and at the end too.
            watch_period: Simulated time between two calls [s].

        Returns:
            What was measured at the end; see `Drive`.
        """
        motion = plan_motion(self.arm, self.q, self._vector("q_target", q_target), speed=speed)
        return follow(self, motion, watch=watch, watch_period=watch_period)

    def hold(self, q: FloatArray, dq: FloatArray | None = None) -> None:
        """Command the motors: positions q and velocities dq (default: rest), forces within the URDF's limits.

        Bullet's position motor asks for the velocity `gain * (q - q_now) / dt + dq` and applies the force that
        gives it within one step, gravity included, up to the limit: a servo that does not sag. The command stands
        until the next one; the arm moves as the world is stepped.

        Args:
            q: Where the joints should be, shape (n,) [rad, m for prismatic]; joint limits are not checked.
            dq: How fast they should pass there, shape (n,) [rad/s, m/s for prismatic]; None: come to rest.
        """
        arm = self.arm
        forces = np.where(np.isfinite(arm.effort_max), arm.effort_max, _UNLIMITED)
        self.client.setJointMotorControlArray(
            self.number,
            self.joints,
            self.client.POSITION_CONTROL,
            targetPositions=list(q),
            targetVelocities=[0.0] * arm.n_joints if dq is None else list(dq),
            forces=forces.tolist(),
            positionGains=[_POSITION_GAIN] * arm.n_joints,
            velocityGains=[1.0] * arm.n_joints,
        )

    def contacts(self) -> set[tuple[str, str]]:
        """Pairs (link, other link or "body.link" of another body) that touch after the last step."""
        found = set()
        for point in self.client.getContactPoints(self.number):
            if point[8] < 0.0:
                first, second = self._contact_name(point[1], point[3]), self._contact_name(point[2], point[4])
                found.add((min(first, second), max(first, second)))
        return found

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Put every joint back where it was, with its velocity, when the block ends, also when it ends by an error."""
        moving = self.links.moving
        states = self.client.getJointStates(self.number, moving)
        try:
            yield
        finally:
            for joint, state in zip(moving, states, strict=True):
                self.client.resetJointState(self.number, joint, state[0], state[1])

    def _place(self, T_world_base: FloatArray) -> None:
        if T_world_base.shape != (4, 4) or not np.isfinite(T_world_base).all():
            raise ShapeError(f"T_world_base must be a (4, 4) matrix of finite numbers; got shape {T_world_base.shape}")
        for joint in self._others:
            _name, force, q_rest = self.links.motor(joint)
            self.client.resetJointState(self.number, joint, q_rest)
            self.client.setJointMotorControl2(
                self.number, joint, self.client.POSITION_CONTROL, targetPosition=q_rest, force=force
            )
        T_world_root = T_world_base @ np.linalg.inv(np.linalg.inv(self._pose_of(-1)) @ self._pose_of(self._base))
        info = self.client.getDynamicsInfo(self.number, -1)
        position, quat_xyzw = pose_to_bullet(T_world_root @ pose_from_bullet(self.client, info[3], info[4]))
        self.client.resetBasePositionAndOrientation(self.number, position, quat_xyzw)

    def _skip_neighbours(self) -> None:
        """Take pairs that cannot sensibly collide out of collision detection; see `self_collides`."""
        for a, b in self.links.neighbours():
            self.client.setCollisionFilterPair(self.number, self.number, a, b, 0)
        rng = np.random.default_rng(0)
        samples = rng.uniform(self.arm.sample_min, self.arm.sample_max, (_N_SAMPLES, self.arm.n_joints))
        counts: dict[tuple[int, int], int] = {}
        with self.kept():
            for row in samples:
                self._reset(row)
                for pair in self._self_contacts():
                    counts[pair] = counts.get(pair, 0) + 1
        for (a, b), count in counts.items():
            if count >= _ALWAYS * _N_SAMPLES:
                self.client.setCollisionFilterPair(self.number, self.number, a, b, 0)

    def _self_contacts(self) -> set[tuple[int, int]]:
        self.client.performCollisionDetection()
        points = self.client.getContactPoints(self.number, self.number)
        return {(min(p[3], p[4]), max(p[3], p[4])) for p in points if p[8] < 0.0}

    def _reset(self, q: FloatArray) -> bool:
        for joint, value in zip(self.joints, q.tolist(), strict=True):
            self.client.resetJointState(self.number, joint, value)
        return True

    def _measure(self) -> FloatArray:
        T_base_tip: FloatArray = np.linalg.inv(self._pose_of(self._base)) @ self._pose_of(self._tip)
        return T_base_tip

    def _pose_of(self, link: int) -> FloatArray:
        return link_pose(self.client, self.number, link)

    def _null_space(self, rest: FloatArray) -> dict[str, list[float]]:
        moving = self.links.moving
        low, high, at = (dict.fromkeys(moving, value) for value in (-1e-9, 1e-9, 0.0))
        for joint, lower, upper, q in zip(self.joints, self.arm.sample_min, self.arm.sample_max, rest, strict=True):
            low[joint], high[joint], at[joint] = float(lower), float(upper), float(q)
        return {
            "lowerLimits": list(low.values()),
            "upperLimits": list(high.values()),
            "jointRanges": [high[joint] - low[joint] for joint in moving],
            "restPoses": list(at.values()),
        }

    def _contact_name(self, body: int, link: int) -> str:
        if body == self.number:
            return self.links.name(link)
        name = self.client.getBodyInfo(body)[1].decode()
        part = name if link < 0 else self.client.getJointInfo(body, link)[12].decode()
        return f"{name}.{part}"

    def _vector(self, name: str, q: FloatArray) -> FloatArray:
        values = self._batch(q, name)
        if values.ndim != 1:
            raise ShapeError(f"{name} must be one joint vector ({self.arm.n_joints},); got shape {values.shape}")
        return values

    def _batch(self, q: FloatArray, name: str = "q") -> FloatArray:
        values = np.asarray(q, dtype=np.float64)
        if values.shape[-1:] != (self.arm.n_joints,) or not np.isfinite(values).all():
            raise ShapeError(
                f"{name} must hold finite numbers, shape (..., {self.arm.n_joints}), for {', '.join(self.arm.joint_names)}; "
                f"got shape {values.shape}"
            )
        return values


_UNLIMITED = 1e4  # [N m or N] where the URDF gives no effort limit
_POSITION_GAIN = 0.3  # share of the position error to be gone after one step


def home(arm: Arm) -> FloatArray:
    """A configuration to start from, shape (n,): zero where the limits have it inside, else their middle."""
    inside = (arm.sample_min < 0) & (arm.sample_max > 0)
    return np.where(inside, 0.0, (arm.sample_min + arm.sample_max) / 2)
