"""What an arm may be asked about touching: itself, obstacles, other arms, in any configuration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.world.collision import Collisions


class TouchSense:
    """The part of `ArmBody` that asks about collisions; every question leaves the arm where it is.

    Args:
        arm: Its kinematics.
        collisions: Its contacts and distances in the world.
    """

    arm: Arm
    collisions: Collisions

    def self_collides(self, q: FloatArray) -> NDArray[np.bool_]:
        """Whether links of the arm (fingers included) go through each other; see `Collisions` for what is left out.

        Args:
            q: Configurations, shape (..., n).

        Returns:
            Shape (...); False throughout for an arm without collision shapes.
        """
        return self._each(q, lambda row: bool(self.collisions.with_itself(row))).astype(bool)

    def self_contacts(self, q: FloatArray) -> tuple[tuple[str, str], ...]:
        """The pairs of links that go through each other at q, shape (n,); see `self_collides`."""
        values = self._vector("q", q)
        with self.kept():
            pairs = sorted(self.collisions.with_itself(values))
        return tuple((self.collisions.links.name(a), self.collisions.links.name(b)) for a, b in pairs)

    def collides(self, q: FloatArray, *, margin: float = 0.0) -> NDArray[np.bool_]:
        """Whether the arm goes through itself or through another body (obstacles, other arms).

        Args:
            q: Configurations, shape (..., n).
            margin: Nearer to another body than this counts too [m].

        Returns:
            Shape (...). The links that stand still with the base may touch obstacles.
        """
        return self._each(q, lambda row: self.collisions.at(row, margin)).astype(bool)

    def is_free(self, q: FloatArray, *, margin: float = 0.0) -> bool:
        """Whether no configuration collides: `not collides(q).any()`, ended by the first that does.

        Args:
            q: Configurations, shape (..., n).
            margin: See `collides`.
        """
        rows = self._batch(q).reshape(-1, self.arm.n_joints)
        return self.first_collision(rows, np.full(len(rows), margin)) == len(rows)

    def first_collision(self, q: FloatArray, margins: FloatArray) -> int:
        """The place of the first configuration that collides, or the number of them where none does.

        Args:
            q: Configurations, shape (N, n).
            margins: For each, the distance to another body from which on it is too near [m], shape (N,).
        """
        with self.kept():
            for i, (row, margin) in enumerate(zip(q, margins.tolist(), strict=True)):
                if self.collisions.at(row, margin):
                    return i
        return len(q)

    def contacts_at(self, q: FloatArray) -> tuple[tuple[str, str], ...]:
        """What touches at q, shape (n,): pairs of a link's name and that of what it goes through, sorted.

        An obstacle is called "scene.obstacle", for example ("panda_link5", "shelf.top board").
        """
        values = self._vector("q", q)
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
        if not within > 0:
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

    def _each(self, q: FloatArray, measure: Callable[[FloatArray], Any]) -> NDArray[Any]:
        """What `measure` says of every configuration, shape (..., n) → (..., and its own); the arm is put back."""
        batch = self._batch(q)
        with self.kept():
            found = np.array([measure(row) for row in batch.reshape(-1, self.arm.n_joints)])
        return found.reshape((*batch.shape[:-1], *found.shape[1:]))

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
