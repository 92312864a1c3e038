"""What an arm in a physics world touches and how near it comes to that, configuration by configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.world.links import LinkTree

Pair = tuple[str, str]

_ALWAYS = 0.95  # share of sampled configurations from which on a touching pair is taken for a modelling artefact
_PARALLEL = 1.0 - 1e-9  # cosine of the angle between axes that count as such
_N_SAMPLES = 100  # configurations sampled for that


class Collisions:
    """Contacts and distances of one arm, in every configuration that it is asked for.

    Neighbours are left out: links joined rigidly or by one joint, or one in another by slides in one direction, as in a
    telescope. So are pairs that touch in at least 95 % of 100 sampled configurations, which is a matter of coarse collision
    shapes (MoveIt's Setup Assistant uses the same rule). Links that stand still with the base may touch obstacles, as the
    base stands on a table, and those of other arms. Shapes are what Bullet makes of the URDF: a mesh counts as its convex hull.

    Args:
        arm: Its kinematics.
        client: The world's Bullet functions.
        number: Bullet's number of the arm.
        links: Its links and joints.
        names: What other bodies are called, by Bullet's numbers; others are called as their URDF does.
    """

    def __init__(self, arm: Arm, client: Any, number: int, links: LinkTree, names: Mapping[int, str]) -> None:
        self.arm, self.client, self.number, self.links, self.names = arm, client, number, links, names
        self.joints = [links.joint(name) for name in arm.joint_names]
        self.standing = frozenset(links.standing())
        self._ignored: set[tuple[int, int]] = set()
        for a, b in links.neighbours(self._telescopes()):
            self._ignore(a, b)
        self._ignore_artefacts()

    def stand_on(self, body: int, parts: Iterable[int] | None = None) -> None:
        """Let the links that stand still with the base touch a body, by Bullet's number, or some parts of it alone."""
        every = range(-1, self.client.getNumJoints(body)) if parts is None else parts
        for link, part in product(self.standing, every):
            self.client.setCollisionFilterPair(self.number, body, link, part, 0)

    def put(self, q: FloatArray) -> None:
        """Put the joints at q, shape (n,), at rest, without time passing and without a command to the motors."""
        self.client.resetJointStatesMultiDof(self.number, self.joints, [[value] for value in q.tolist()])

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Put every joint back where it was, with its velocity, when the block ends, also when it ends by an error."""
        moving = self.links.moving
        states = self.client.getJointStates(self.number, moving)
        try:
            yield
        finally:
            positions, velocities = ([[state[i]] for state in states] for i in (0, 1))
            self.client.resetJointStatesMultiDof(self.number, moving, positions, velocities)

    def at(self, q: FloatArray, margin: float = 0.0) -> bool:
        """Whether the arm at q, shape (n,), touches itself or comes nearer than `margin` [m] to another body."""
        self.put(q)
        self.client.performCollisionDetection()
        for point in self.client.getContactPoints(self.number):  # some of what is nearer than 2 cm is among them
            link = point[3] if point[1] == self.number else point[4]
            if point[8] < 0.0 or (point[8] < margin and point[1] != point[2] and link not in self.standing):
                return True
        return margin > 0.0 and any(
            point[3] not in self.standing
            for other in self._others
            for point in self.client.getClosestPoints(self.number, other, margin)
        )

    def with_itself(self, q: FloatArray) -> set[tuple[int, int]]:
        """Pairs of the arm's link numbers that go through each other at q, shape (n,)."""
        self.put(q)
        self.client.performCollisionDetection()
        points = self.client.getContactPoints(self.number, self.number)
        return {(min(p[3], p[4]), max(p[3], p[4])) for p in points if p[8] < 0.0}

    def pairs(self, q: FloatArray) -> set[Pair]:
        """Names of all that touches at q, shape (n,); see `touching`."""
        self.put(q)
        self.client.performCollisionDetection()
        return self.touching()

    def touching(self) -> set[Pair]:
        """Names of all that touches after the last step or detection: a link of the arm first, what it touches second."""
        found = set()
        for point in self.client.getContactPoints(self.number):
            if point[8] < 0.0:
                (body_a, link_a), (body_b, link_b) = (point[1], point[3]), (point[2], point[4])
                if body_a != self.number or (body_b == self.number and self._name(link_b) < self._name(link_a)):
                    (body_a, link_a), (body_b, link_b) = (body_b, link_b), (body_a, link_a)
                found.add((self._name(link_a), self._name_in(body_b, link_b)))
        return found

    def distance_to_itself(self, within: float) -> float:
        """Distance of the two nearest links that may collide, as the arm stands [m]; at most `within`."""
        nearest = within
        for a, b in self._checked:
            points = self.client.getClosestPoints(self.number, self.number, nearest, a, b)
            nearest = min(nearest, min((point[8] for point in points), default=nearest))
        return nearest

    def distance_to_others(self, within: float) -> float:
        """Distance of the nearest other body, as the arm stands [m]; at most `within`."""
        nearest = within
        for other in self._others:
            points = self.client.getClosestPoints(self.number, other, nearest)
            nearest = min(nearest, min((p[8] for p in points if p[3] not in self.standing), default=nearest))
        return nearest

    @cached_property
    def _checked(self) -> list[tuple[int, int]]:
        """Pairs of links that have shapes and may collide."""
        return [(a, b) for a in self.solid for b in self.solid if a < b and (a, b) not in self._ignored]

    @cached_property
    def solid(self) -> list[int]:
        """Links that have shapes, the base (-1) among them."""
        return [i for i in range(-1, len(self.links.infos)) if self.client.getCollisionShapeData(self.number, i)]

    def _telescopes(self) -> list[list[int]]:
        """Joints of the arm that slide one after the other in one direction, run by run, by Bullet's numbers."""
        runs: list[list[int]] = []
        parallel = np.abs(self.arm.offsets[:-1, 2, 2]) > _PARALLEL  # joints move along or about z of their frames
        for i in self.arm.is_prismatic.nonzero()[0]:
            if i > 0 and self.arm.is_prismatic[i - 1] and parallel[i]:
                runs[-1].append(self.joints[i])
            else:
                runs.append([self.joints[i]])
        return runs

    @property
    def _others(self) -> list[int]:
        """Bullet's numbers of the other bodies that have shapes: obstacles and other arms."""
        return [number for number in self.names if number != self.number]

    def _ignore(self, a: int, b: int) -> None:
        self._ignored.add((min(a, b), max(a, b)))
        if a in self.solid and b in self.solid:  # Bullet takes milliseconds for a pair
            self.client.setCollisionFilterPair(self.number, self.number, a, b, 0)

    def _ignore_artefacts(self) -> None:
        """Take pairs that nearly always touch out of collision detection."""
        rng = np.random.default_rng(0)
        samples = self.arm.sample(rng, _N_SAMPLES)
        counts: dict[tuple[int, int], int] = {}
        with self.kept():
            for row in samples:
                for pair in self.with_itself(row):
                    counts[pair] = counts.get(pair, 0) + 1
        for pair, count in counts.items():
            if count >= _ALWAYS * _N_SAMPLES:
                self._ignore(*pair)

    def _name(self, link: int) -> str:
        return self.links.name(link)

    def _name_in(self, body: int, link: int) -> str:
        if body == self.number:
            return self._name(link)
        name = self.names.get(body) or self.client.real_name(self.client.getBodyInfo(body)[1])
        if not self.client.getNumJoints(body):
            return name
        info = self.client.getBodyInfo(body)[0] if link < 0 else self.client.getJointInfo(body, link)[12]
        return f"{name}.{self.client.real_name(info)}"
