"""What a search needs done for it: seeds, refinement, gathering. Compiled for the CPU, in torch for the rest."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.arrays import FloatArray, IntArray

MERGE = 1e-4  # distance on the circle [rad, m] below which two solutions are one: where branches meet,
# the error grows with the square of this distance, so it is the square root of the solver's tolerance
SINGULAR = 1e-4  # smallest singular value of the task Jacobian (lengths in arm lengths) that counts as singular
MIN_WEIGHT = 1e-3  # seeds that weigh less are not refined

_OVERSHOOT = 1e-4  # refinement goes on to this share of the tolerance, so that both halves of a double root merge
_FINEST = 1e-13  # [rad, arm lengths] what rounding lets refinement reach


class Found(NamedTuple):
    """Joint vectors of some targets, target after target."""

    pose: IntArray  # (M,) which target, ascending
    q: FloatArray  # (M, n)
    weight: FloatArray  # (M,)
    err_pos: FloatArray  # (M,) [m]
    err_rot: FloatArray  # (M,) [rad]

    def take(self, rows: NDArray[Any]) -> Found:
        """Some of the rows, by number or mask."""
        return Found(*(getattr(self, name)[rows] for name in self._fields))

    @staticmethod
    def join(parts: list[Found]) -> Found:
        """All rows of the parts (one or more), sorted by target; within a target part after part."""
        if len(parts) == 1:
            return parts[0]
        joined = Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in Found._fields))
        return joined.take(joined.pose.argsort(kind="stable"))


class Engine(Protocol):
    """The work of one search over targets (B, 4, 4); seeds are its own kind of object, which only it looks into."""

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Any:
        """Seeds from the model: the heaviest `most` per target, component means alone where `raw`."""

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Any:
        """Seeds drawn from the model's mixture."""

    def repeat(self, poses: IntArray, q: FloatArray, weight: float) -> Any:
        """The same seeds (S, n) for every target, each with this weight."""

    def scatter(self, poses: IntArray, count: IntArray, q: FloatArray) -> Any:
        """Seeds (R, n) of the targets, target after target, `count` of each, without weight."""

    def join(self, seeds: list[Any]) -> Any:
        """Seeds of the same targets as one."""

    def settle(self, poses: IntArray, seeds: Any) -> tuple[Found, NDArray[np.bool_]]:
        """Distinct solutions in limits that the seeds lead to, and which of the targets were met, in limits or not."""

    def across(self, poses: IntArray, found: Found) -> Any:
        """Seeds of the targets, across the folds that solutions found lie beside; see `ik_mdn.solver.folds`."""

    def add(self, found: Found, more: Found) -> Found:
        """The solutions found, and those of a later round that are other branches."""

    def sort(self, offsets: IntArray, key: FloatArray) -> IntArray:
        """Row numbers (M,), ascending by a key within each target, which owns `offsets[p]:offsets[p + 1]`."""

    def measure(self, poses: IntArray, seeds: Any) -> Found:
        """The seeds as they are, turned into limits where possible, with their errors."""

    def condition(self, q: FloatArray) -> tuple[NDArray[np.bool_], FloatArray]:
        """Whether each joint vector (R, n) is singular, and its manipulability (R,)."""


def fine_tolerance(tolerance: float) -> float:
    """Residual that refinement goes on to, for solutions of a tolerance."""
    return max(_OVERSHOOT * tolerance, _FINEST)


def merge_distance(tolerance: float) -> float:
    """Distance on the circle [rad, m] below which two solutions of a tolerance are one."""
    return float(max(MERGE, tolerance**0.5))
