"""An arm in a physics world: joints by name, poses measured by Bullet, collisions, motors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import IKError, ShapeError, WorldError
from sim.inputs import as_numbers, check_reals
from sim.kinematics import forward_kinematics
from sim.rotations import pose_to_bullet
from sim.task import TASKS, as_targets
from sim.world.collision import Collisions
from sim.world.drive import Drive, follow
from sim.world.frames import link_pose, pose_from_bullet
from sim.world.links import LinkTree, load_links
from sim.world.motion import plan_route
from sim.world.torques import Torques


class ArmBody:
    """An arm in a world, its base fixed; made by `World.add_arm`.

    Joints of the URDF that are not in the chain (fingers) stay where they were loaded, held by motors.
    Configurations are measured by moving the body there and back: no time passes, and it ends where it was.

    Args:
        arm: Its kinematics; names are looked up once.
        client: The world's Bullet functions.
        number: Bullet's number of the body.
        T_world_base: Pose of the link `arm.base`, shape (4, 4).
        step: Advances the world by one time step.
        names: What the solid bodies of the world are called, by Bullet's numbers; None: there is only this one.
        unshaped: Links that would collide, and were loaded without the shapes for it.
        ideal_motors: Motors as strong as it takes.

    Raises:
        WorldError: Bullet did not load a joint or link of the chain, or moves the tip elsewhere than the kinematics say.
    """

    def __init__(
        self,
        arm: Arm,
        client: Any,
        number: int,
        T_world_base: FloatArray,
        *,
        step: Callable[[], None],
        names: Mapping[int, str] | None = None,
        unshaped: tuple[str, ...] = (),
        ideal_motors: bool = False,
    ) -> None:
        self.arm, self.client, self.number, self.step, self.unshaped = arm, client, number, step, unshaped
        limited = np.isfinite(arm.effort_max) & (not ideal_motors)
        self.effort_max: FloatArray = np.where(limited, arm.effort_max, _UNLIMITED)  # of the motors [N m or N]
        self.links: LinkTree = load_links(client, number)
        self.joints = [self.links.joint(name) for name in arm.joint_names]
        self._base, self.tip = self.links.link(arm.base), self.links.link(arm.tip)
        self._torques = Torques(client, number, self.links, self.joints)
        self._others = [joint for joint in self.links.moving if joint not in self.joints]
        self._place(T_world_base)
        self.collisions = Collisions(arm, client, number, self.links, {number: arm.name} if names is None else names)
        self._check_kinematics()
        self.set_q(home(arm))

    def __repr__(self) -> str:
        return f"ArmBody(arm {self.arm.name!r}, {self.arm.n_joints} joints)"

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
        values = self.vector("q", q)
        self.collisions.put(values)
        self.hold(values)

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

        def measure(row: FloatArray) -> FloatArray:
            self.collisions.put(row)
            return self._measure()

        return self._each(q, measure).reshape(*np.shape(q)[:-1], 4, 4)

    def self_collides(self, q: FloatArray) -> NDArray[np.bool_]:
        """Whether links of the arm (fingers included) go through each other; see `Collisions` for what is left out.

        Args:
            q: Configurations, shape (..., n).

        Returns:
            Shape (...); False throughout for an arm without collision shapes.
        """
        return self._each(q, lambda row: bool(self.collisions.with_itself(row))).astype(bool)

    def collides(self, q: FloatArray, *, margin: float = 0.0) -> NDArray[np.bool_]:
        """Whether the arm goes through itself or through another body (obstacles, other arms).

        Args:
            q: Configurations, shape (..., n).
            margin: Nearer to another body than this counts too [m].

        Returns:
            Shape (...). The links that stand still with the base may touch obstacles.
        """
        check_reals(margin=margin)
        if not 0.0 <= margin < np.inf:
            raise ShapeError(f"margin is a distance [m], 0 or more; got {margin}")
        return self._each(q, lambda row: self.collisions.at(row, margin)).astype(bool)

    def contacts_at(self, q: FloatArray) -> tuple[tuple[str, str], ...]:
        """What touches at q, shape (n,): pairs of a link's name and that of what it goes through, sorted.

        An obstacle is called "scene.obstacle", for example ("panda_link5", "shelf.top board").
        """
        values = self.vector("q", q)
        with self.kept():
            return tuple(sorted(self.collisions.pairs(values)))

    def clearance(self, q: FloatArray, within: float = 0.2) -> tuple[FloatArray, FloatArray]:
        """How far the arm is from touching itself, and from touching another body.

        Args:
            q: Configurations, shape (..., n).
            within: Largest distance that is looked at [m]: farther counts as this.

        Returns:
            Distances to itself and to other bodies [m], each shape (...), at most `within`; negative where it
            goes through.

        Raises:
            ShapeError: `within` is not positive.
        """
        check_reals(within=within)
        if not 0.0 < within < np.inf:
            raise ShapeError(f"within is the largest distance to look at [m], above 0; got {within}")

        def measure(row: FloatArray) -> tuple[float, float]:
            self.collisions.put(row)
            return self.collisions.distance_to_itself(within), self.collisions.distance_to_others(within)

        both = self._each(q, measure)
        both = both.reshape(*np.shape(q)[:-1], 2)
        return both[..., 0], both[..., 1]

    def contacts(self) -> set[tuple[str, str]]:
        """Pairs (link, other link or name of another body) that touch after the last step."""
        return self.collisions.touching()

    def kept(self) -> AbstractContextManager[None]:
        """Put every joint back where it was, with its velocity, when the block ends, also when it ends by an error."""
        return self.collisions.kept()

    def vector(self, name: str, q: FloatArray) -> FloatArray:
        """One joint vector as checked numbers, shape (n,); ShapeError where it is none, under the name that it goes by."""
        values = self._batch(q, name)
        if values.ndim != 1:
            raise ShapeError(f"{name} must be one joint vector ({self.arm.n_joints},); got shape {values.shape}")
        return values

    def drive(
        self,
        *route: FloatArray,
        speed: float = 1.0,
        watch: Callable[[], None] | None = None,
        watch_period: float = 0.1,
        stop_on_contact: bool = False,
    ) -> Drive:
        """Move to a configuration with the motors, under gravity, along time-optimal straight joint motions.

        Where that asks more of a motor than it can give, by inverse dynamics, the motion is planned slower.

        Args:
            *route: The target, shape (n,), or configurations to stop at on the way there and the target last.
            speed: Share of the velocity limits to use, in (0, 1].
            watch: Called while the arm moves (to take pictures), at the start and at the end too.
            watch_period: Simulated time between two calls [s].
            stop_on_contact: At the first contact the arm is held where it is, and the motion ends there.

        Returns:
            What was measured at the end; see `Drive`.
        """
        start, stops = self.q, [self.vector("q_target", q) for q in route]
        motion = plan_route(self.arm, start, stops, speed=speed)
        share = self._torques.speed_share(motion, self.effort_max)
        if share < 1.0:
            motion = plan_route(self.arm, start, stops, speed=speed * share)
        return follow(self, motion, watch=watch, watch_period=watch_period, stop_on_contact=stop_on_contact)

    def hold(self, q: FloatArray, dq: FloatArray | None = None) -> None:
        """Command the motors: positions q and velocities dq (default: rest), forces within the URDF's limits.

        Bullet's position motor asks for the velocity `gain * (q - q_now) / dt + dq` and applies the force that
        gives it within one step, gravity included, up to the limit: a servo that does not sag. The command stands
        until the next one; the arm moves as the world is stepped.

        Args:
            q: Where the joints should be, shape (n,) [rad, m for prismatic]; joint limits are not checked.
            dq: How fast they should pass there, shape (n,) [rad/s, m/s for prismatic]; None: come to rest.

        Raises:
            ShapeError: Not n finite numbers.
        """
        self.client.setJointMotorControlArray(
            self.number,
            self.joints,
            self.client.POSITION_CONTROL,
            targetPositions=self.vector("q", q).tolist(),
            targetVelocities=[0.0] * len(self.joints) if dq is None else self.vector("dq", dq).tolist(),
            forces=self.effort_max.tolist(),
            positionGains=[_POSITION_GAIN] * len(self.joints),
            velocityGains=[1.0] * len(self.joints),
        )

    def holding_torques(self, q: FloatArray) -> FloatArray:
        """What the motors must give to hold the arm at q, shape (..., n), against gravity, same shape [N m or N].

        By Bullet's inverse dynamics, with joints outside the chain where they are.
        """
        batch = self._batch(q)
        return self._torques.holding(batch.reshape(-1, self.arm.n_joints)).reshape(batch.shape)

    def _check_kinematics(self) -> None:
        """Refuse a body whose joints Bullet places or moves in another way than `sim.kinematics`."""
        arm = self.arm
        low, high = np.clip(arm.sample_min, -_NEAR, _NEAR), np.clip(arm.sample_max, -_NEAR, _NEAR)
        q = np.random.default_rng(0).uniform(low, high, (_CHECKED, arm.n_joints))
        off = np.abs(self.tip_pose(q) - forward_kinematics(arm, q)).max(initial=0.0)
        if off <= _SAME * max(1.0, arm.reach):
            return
        alone = np.concatenate([np.zeros((1, arm.n_joints)), 0.1 * np.eye(arm.n_joints)])
        theirs, ours = self.tip_pose(alone), forward_kinematics(arm, alone)
        moves = np.abs(np.linalg.inv(theirs[0]) @ theirs[1:] - np.linalg.inv(ours[0]) @ ours[1:]).max(axis=(1, 2))
        joint = arm.joint_names[int(moves.argmax())]
        raise WorldError(
            f"Bullet's copy of arm {arm.name!r} puts the tip {off:.3g} from where the kinematics put it; joint {joint!r} "
            "differs most: look at its origin, axis and type, and at the fixed joints around it",
            joint=joint,
        )

    def _place(self, T_world_base: FloatArray) -> None:
        for joint in self._others:
            force, q_rest = self.links.motor(joint)
            self.client.resetJointState(self.number, joint, q_rest)
            self.client.setJointMotorControl2(
                self.number, joint, self.client.POSITION_CONTROL, targetPosition=q_rest, force=force
            )
        T_world_root = T_world_base @ np.linalg.inv(np.linalg.inv(self._pose_of(-1)) @ self._pose_of(self._base))
        info = self.client.getDynamicsInfo(self.number, -1)
        position, quat_xyzw = pose_to_bullet(T_world_root @ pose_from_bullet(self.client, info[3], info[4]))
        self.client.resetBasePositionAndOrientation(self.number, position, quat_xyzw)

    def _each(self, q: FloatArray, measure: Callable[[FloatArray], Any]) -> NDArray[Any]:
        """What `measure` says of every configuration, shape (..., n) → (..., and its own); the arm is put back."""
        batch = self._batch(q)
        with self.kept():
            found = np.array([measure(row) for row in batch.reshape(-1, self.arm.n_joints)])
        return found.reshape((*batch.shape[:-1], *found.shape[1:]))

    def _batch(self, q: FloatArray, name: str = "q") -> FloatArray:
        values = as_numbers(q, name)
        if values.shape[-1:] != (self.arm.n_joints,) or not np.isfinite(values).all():
            raise ShapeError(
                f"{name} must hold finite numbers, shape (..., {self.arm.n_joints}), for {', '.join(self.arm.joint_names)}; "
                f"got shape {values.shape}"
            )
        return values

    def _measure(self) -> FloatArray:
        T_base_tip: FloatArray = np.linalg.inv(self._pose_of(self._base)) @ self._pose_of(self.tip)
        return T_base_tip

    def _pose_of(self, link: int) -> FloatArray:
        return link_pose(self.client, self.number, link)


_UNLIMITED = 1e6  # [N m or N] where the URDF gives no effort limit, and of ideal motors
_HOME_MARGIN = 0.04  # share of a joint's range that counts as next to its limit
_SAME = 1e-6  # [m, and entries of a rotation] by which Bullet's kinematics may differ, per metre of reach
_CHECKED, _NEAR = 3, 3.0  # configurations in which they are compared, and how far from zero [rad or m]
_POSITION_GAIN = 0.3  # share of the position error to be gone after one step


def check_placement(T_world: Any, name: str) -> FloatArray:
    """A pose as a checked matrix, shape (4, 4): a base is put somewhere and turned, never scaled or mirrored."""
    try:
        T = as_targets(TASKS["pose"], as_numbers(T_world, name))
    except IKError as error:
        raise type(error)(f"{name}: {error}") from error
    if T.shape != (4, 4):
        raise ShapeError(f"{name} must be one (4, 4) matrix; got shape {T.shape}")
    return np.asarray(T, dtype=np.float64)


def home(arm: Arm) -> FloatArray:
    """A configuration to start from, shape (n,): zero, or the middle of the limits where zero is next to one or outside.

    Next to a limit is within 4 % of the range: a joint that starts there can move one way only, and links fold up
    (Panda's wrist touches itself at zero).
    """
    share = -arm.sample_min / (arm.sample_max - arm.sample_min)
    inside = (share > _HOME_MARGIN) & (share < 1.0 - _HOME_MARGIN)
    return np.where(inside, 0.0, (arm.sample_min + arm.sample_max) / 2)
