"""Everything that is shown of a target, and the sentence that sums it up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ik_mdn.solver import Status
from sim.arrays import FloatArray, IntArray
from sim.words import counted


@dataclass(frozen=True, eq=False)
class Placed:
    """A configuration that misses the target, and by how much.

    Args:
        q: Joint vector [rad, m for prismatic], shape (n,).
        p_base_tip: Where its tip is [m], shape (3,).
        err_pos, err_rot: Distance [m] and angle [rad] of the tip from the target.
    """

    q: FloatArray
    p_base_tip: FloatArray
    err_pos: float
    err_rot: float


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known of a target as soon as it is solved.

    Args:
        T_base_target: The target, shape (4, 4).
        status: How solving ended.
        q: The solutions that are shown, the most probable first, shape (m, n).
        branch: Number of each one's branch, kept while the target moves, shape (m,).
        weight: Probability of each, shape (m,). Where the arm is redundant, each stands for those around it.
        redundant: Whether the solutions form curves or surfaces.
        found: How many solutions the solver gave; more than are shown where the arm is redundant.
        max_jump: The largest change of a joint that was allowed [rad, m], None for any.
    """

    T_base_target: FloatArray
    status: Status
    q: FloatArray
    branch: IntArray
    weight: FloatArray
    redundant: bool
    found: int
    max_jump: float | None = None

    def __len__(self) -> int:
        return len(self.q)

    def row_of(self, branch: int | None) -> int | None:
        """The row of a branch's solution, or None where it is not among them."""
        numbers = self.branch.tolist()
        return numbers.index(branch) if branch in numbers else None

    @property
    def sentence(self) -> str:
        """Whether the target can be reached, in how many ways, or why not; for people."""
        if self.status is Status.SOLVED:
            return self._count()
        if self.status is Status.SINGULAR:
            return f"Singular: branches meet here, at the edge of the workspace or in a singularity. {self._count()}"
        if self.status is Status.CONTINUUM:
            return f"A continuum of solutions though no joint is to spare: {len(self)} samples of it are shown."
        return self._reason()

    def _count(self) -> str:
        if self.redundant:
            return (
                f"A continuum of solutions; {len(self)} that differ most are shown, each standing for those around it."
            )
        more = f", {len(self)} of them shown" if self.found > len(self) else ""
        return f"{counted(self.found, 'solution')} in limits{more}."

    def _reason(self) -> str:
        if self.status is Status.OUT_OF_LIMITS:
            return "Out of limits: the arm could reach this target, but only with joints outside their limits."
        if self.status is Status.UNREACHABLE:
            return "Unreachable: nothing meets this target, it is out of the arm's reach."
        if self.status is Status.TOO_FAR:
            jump = f"{np.degrees(self.max_jump):.0f}°" if self.max_jump is not None else "the largest jump allowed"
            return (
                f"Too far: there are solutions, but every one turns a joint by more than {jump} from where it stands."
            )
        return f"{'No solution' if not len(self) else self.status.value.capitalize()}: {self.status.about}."


@dataclass(frozen=True, eq=False)
class Details:
    """What is measured of an answer after it is drawn.

    Args:
        err_pos, err_rot: Distance [m] and angle [rad] of each solution's tip from the target, shape (m,).
        margin: Distance of each from its nearest joint limit [rad or m], inf without limits, shape (m,).
        manipulability: sqrt(det(J Jᵀ)) with lengths in arm's reaches, shape (m,).
        nearest: Where there is no solution: the nearest configuration in limits that was found.
        mse: What the regressor says; None without one.
        raw: The mixture's component means as the network says them, the heaviest first, shape (k, n); None without one.
        raw_weight: Their weights, shape (k,).
    """

    err_pos: FloatArray
    err_rot: FloatArray
    margin: FloatArray
    manipulability: FloatArray
    nearest: Placed | None = None
    mse: Placed | None = None
    raw: FloatArray | None = None
    raw_weight: FloatArray | None = None


def small_length(metres: float) -> str:
    """An error for people: "0.12 mm", "<1 µm"."""
    return "<1 µm" if metres < 1e-6 else f"{1e3 * metres:.2g} mm"


def small_angle(radians: float) -> str:
    """An error for people: "0.012°", "<0.001°"."""
    degrees = float(np.degrees(radians))
    return "<0.001°" if degrees < 1e-3 else f"{degrees:.2g}°"


def say_miss(placed: Placed, *, rotation: bool) -> str:
    """How far a configuration is from the target: "93 mm", "93 mm and 4.1°"."""
    degrees = float(np.degrees(placed.err_rot))
    angle = f" and {degrees:.0f}°" if rotation and degrees >= 10 else f" and {degrees:.2g}°" if rotation else ""
    return f"{1e3 * placed.err_pos:.3g} mm{angle}" if placed.err_pos < 1 else f"{placed.err_pos:.3g} m{angle}"
