"""Which solution is which while the target moves: every branch keeps its number, and with it its colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import FloatArray, IntArray

FAR = 1.5  # [rad, m] a solution this far from where a branch was last is another branch
PATIENCE = 60  # updates for which a branch that is not there is remembered


def difference(q: FloatArray, other: FloatArray, period: FloatArray) -> FloatArray:
    """`q - other`, turning joints the short way round.

    Args:
        q, other: Joint vectors, broadcastable to (..., n).
        period: Of each joint, shape (n,); inf where it is none.
    """
    gap = q - other
    turns = np.isfinite(period)
    whole = np.where(turns, period, 1.0)
    return np.where(turns, gap - whole * np.round(gap / whole), gap)


@dataclass
class _Track:
    q: FloatArray
    unseen: int = 0


class BranchTracker:
    """Gives each solution the number of the branch that it continues.

    Solutions are assigned to the branches seen before so that all together move least (the linear assignment
    problem); what is further than `FAR` from every free branch is a new one, with the lowest number that is free.
    A branch that vanishes (behind a limit, at the edge of the workspace) is remembered for a while.

    Args:
        period: Of each joint, shape (n,); inf where it is none.
    """

    def __init__(self, period: FloatArray) -> None:
        self._period = period
        self._tracks: dict[int, _Track] = {}

    def follow(self, q: FloatArray) -> IntArray:
        """The branch number of each solution.

        Args:
            q: Solutions of the next target, shape (m, n).

        Returns:
            Numbers from 0, all different, shape (m,).
        """
        for track in self._tracks.values():
            track.unseen += 1
        numbers = self._assign(q)
        for row, number in enumerate(numbers):
            if number < 0:
                number = numbers[row] = self._lowest_free()
            self._tracks[int(number)] = _Track(q[row].copy())
        self._tracks = {number: track for number, track in self._tracks.items() if track.unseen <= PATIENCE}
        return numbers

    def _assign(self, q: FloatArray) -> IntArray:
        """Numbers of the branches that go on; -1 for a solution that continues none."""
        from scipy.optimize import linear_sum_assignment

        numbers = np.full(len(q), -1, dtype=np.int64)
        if not len(q) or not self._tracks:
            return numbers
        known = list(self._tracks)
        last = np.array([self._tracks[number].q for number in known])
        distance = np.linalg.norm(difference(q[:, None], last, self._period), axis=-1)
        for row, column in zip(*linear_sum_assignment(np.minimum(distance, FAR)), strict=True):
            if distance[row, column] < FAR:
                numbers[row] = known[column]
        return numbers

    def _lowest_free(self) -> int:
        return next(number for number in range(len(self._tracks) + 1) if number not in self._tracks)
