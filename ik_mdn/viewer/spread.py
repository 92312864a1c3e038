"""A few solutions that stand for all of them where an arm is redundant, followed while the target moves."""

from __future__ import annotations

import numpy as np

from ik_mdn.solver import into_limits, refine
from ik_mdn.viewer.branches import difference
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.task import Task

MOST = 8  # arms that can be told apart in a picture
APART = 1.0  # [rad, m] a solution this far from all that are shown is shown too
ALIKE = 0.35  # [rad, m] two that come nearer than this become one
_EXACT = 1e-7  # error [rad, arm lengths] of a followed solution
_JUMP = 0.8  # [rad, m] a followed solution that moves further than this is dropped


class Spread:
    """Picks solutions far from each other, and keeps to them.

    Every one that is shown is moved to the next target by refinement, which ends on the same self-motion close by; it
    is dropped where it leaves the limits, jumps, or comes too near to another. What the solver finds far from all of
    them is added. So arms glide instead of flickering.

    Args:
        arm: The arm.
        task: Which part of the target counts.
    """

    def __init__(self, arm: Arm, task: Task) -> None:
        self._arm, self._task = arm, task
        self._q: FloatArray = np.zeros((0, arm.n_joints))

    def follow(self, T: FloatArray, q: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The solutions to show of the next target.

        Args:
            T: The target, shape (4, 4).
            q: Its solutions, shape (m, n).
            weight: Their probabilities, shape (m,).

        Returns:
            Configurations (k, n), k <= MOST, and for each the probability of the solutions nearest to it, (k,).
        """
        shown = list(self._thinned(self._moved(T))) if len(q) else []
        distance = self._distances(q, np.array(shown).reshape(-1, self._arm.n_joints)).min(axis=1, initial=np.inf)
        while len(q) and len(shown) < MOST and distance.max() > APART:
            furthest = int(np.argmax(distance if shown else weight))
            shown.append(q[furthest])
            distance = np.minimum(distance, self._distances(q, q[furthest : furthest + 1])[:, 0])
        self._q = np.array(shown).reshape(-1, self._arm.n_joints)
        nearest = self._distances(q, self._q).argmin(axis=1) if len(shown) else np.zeros(0, dtype=np.int64)
        share = np.bincount(nearest, weights=weight[: len(nearest)], minlength=len(shown))
        return self._q, share / max(float(share.sum()), 1e-300)

    def _moved(self, T: FloatArray) -> FloatArray:
        """What was shown, on the next target."""
        if not len(self._q):
            return self._q
        refined = refine(self._arm, self._task, np.tile(T, (len(self._q), 1, 1)), self._q)
        q = into_limits(self._arm, refined.q)
        good = np.maximum(refined.err_pos, refined.err_rot) <= _EXACT
        good &= ((q >= self._arm.q_min) & (q <= self._arm.q_max)).all(axis=1)
        good &= np.linalg.norm(difference(q, self._q, self._arm.period), axis=1) < _JUMP
        return np.asarray(q[good])

    def _thinned(self, q: FloatArray) -> FloatArray:
        kept: list[int] = []
        for row in range(len(q)):
            if all(self._distances(q[row : row + 1], q[kept]).ravel() > ALIKE):
                kept.append(row)
        return np.asarray(q[kept])

    def _distances(self, q: FloatArray, other: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(difference(q[:, None], other[None], self._arm.period), axis=-1))
