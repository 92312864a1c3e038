"""What motors must give, by Bullet's inverse dynamics: to hold an arm against gravity, and to follow a motion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from sim.arrays import FloatArray
from sim.world.frames import pose_from_bullet
from sim.world.links import LinkTree
from sim.world.motion import Motion
from sim.world.silence import silence

_EVERY = 8  # samples of a motion of which one is looked at
_USED, _SLOWEST = 0.8, 0.05  # share of a motor's limit that motions may take, and of their speed that they keep
_LIGHT = 2.0**-6  # [kg] of the heaviest link that Bullet computes with
_DAMPING = 6  # place of a joint's damping [N m s/rad or N s/m] in what Bullet says of it


class Torques:
    """Inverse dynamics of an arm whose other joints stay where they are.

    Args:
        client: The world's Bullet functions.
        number: Bullet's number of the body.
        links: Its links.
        joints: Bullet's numbers of the arm's joints.
    """

    def __init__(self, client: Any, number: int, links: LinkTree, joints: list[int]) -> None:
        self.client, self.number, self.moving = client, number, links.moving
        self.columns = [self.moving.index(joint) for joint in joints]
        self.damping: FloatArray = np.array([client.getJointInfo(number, joint)[_DAMPING] for joint in joints])
        with silence():
            self._scale = self._build()

    def holding(self, q: FloatArray) -> FloatArray:
        """What it takes to hold the arm at q (m, n) against gravity, shape (m, n) [N m or N]."""
        return self._needed(np.stack([q, np.zeros_like(q), np.zeros_like(q)]))

    def speed_share(self, motion: Motion, effort_max: FloatArray) -> float:
        """The share of a motion's speed at which motors with limits effort_max (n,) can follow it, in [0.05, 1].

        What a motion takes besides holding is at most proportional to its speed: the joints' damping is, planned
        accelerations are, and what goes with squared velocities falls faster (dynamic time scaling: Hollerbach, J. Dyn.
        Sys., Meas., Control 106(1), 1984). Where an arm cannot even be held on the way, speed does not help.
        """
        if len(motion.q) < 2:
            return 1.0
        q, dq = motion.q[::_EVERY], motion.dq[::_EVERY]
        ddq = np.gradient(motion.dq, motion.dt, axis=0)[::_EVERY]
        holding = self.holding(q)
        besides = np.abs(self._needed(np.stack([q, dq, ddq])) - holding + self.damping * dq)
        left = _USED * effort_max - np.abs(holding)
        shares = np.divide(left, besides, out=np.ones_like(left), where=(left > 0.0) & (besides > left))
        return max(_SLOWEST, float(shares.min()))

    def _build(self) -> float:
        """Have Bullet build its tree of inverse dynamics; returns what they are to be multiplied by.

        Bullet refuses a moment of inertia whose rounding error is above 5 machine epsilons [kg m²], as links of hundreds
        of kilograms have it. It keeps the tree that it builds at the first call that wants one, its inverse kinematics
        too, whatever masses become later: this one is built from lighter links, by a power of two and so exactly in
        proportion.
        """
        known = [
            self.client.getDynamicsInfo(self.number, link) for link in range(self.client.getNumJoints(self.number))
        ]
        scale = float(2.0 ** np.ceil(np.log2(max([_LIGHT, *(mass for mass, *_ in known)]) / _LIGHT)))
        rest = [0.0] * len(self.moving)
        try:
            self._weigh(known, 1.0 / scale)
            self.client.calculateInverseDynamics(self.number, rest, rest, rest)
        finally:
            self._weigh(known, 1.0)
        return scale

    def _weigh(self, known: Sequence[Any], share: float) -> None:
        for link, (mass, _, inertia, *_) in enumerate(known):
            moments = [share * moment for moment in inertia]
            self.client.changeDynamics(self.number, link, mass=share * mass, localInertiaDiagonal=moments)

    def _needed(self, states: FloatArray) -> FloatArray:
        """Torques for places, velocities and accelerations (3, m, n), shape (m, n); damping is not in them."""
        every: FloatArray = np.zeros((*states.shape[:2], len(self.moving)))
        every[0] = [state[0] for state in self.client.getJointStates(self.number, self.moving)]
        every[:, :, self.columns] = states
        with silence(), self._own_gravity():  # it warns of axes whose length is 1 but for rounding
            rows = zip(*every.tolist(), strict=True)
            torques = [self.client.calculateInverseDynamics(self.number, *row) for row in rows]
        return self._scale * np.reshape(torques, every.shape[1:])[:, self.columns]

    @contextmanager
    def _own_gravity(self) -> Iterator[None]:
        """Give gravity in the frame of the base's inertia, which Bullet's inverse dynamics take for the world's."""
        engine = self.client.getPhysicsEngineParameters()
        gravity = [engine[f"gravityAcceleration{axis}"] for axis in "XYZ"]
        T_world_inertial = pose_from_bullet(self.client, *self.client.getBasePositionAndOrientation(self.number))
        self.client.setGravity(*(gravity @ T_world_inertial[:3, :3]))
        try:
            yield
        finally:
            self.client.setGravity(*gravity)
