"""What a controller decides with and what it decided: tolerances, costs, candidates, and the choice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import ShapeError

FloatArray = NDArray[np.float64]

LIMIT_SLACK = 1e-9  # [rad or m] by which a joint may pass its limit: rounding of the solver


class ReachStatus(str, Enum):
    """How a reach ended."""

    REACHED = "reached"  # at rest within tolerance of the target
    MISSED = "missed"  # at rest, but further from the target than the tolerance
    UNSETTLED = "unsettled"  # the motors did not bring the arm to rest at the chosen configuration
    BLOCKED = "blocked"  # every solution collides, or cannot be got to without a collision; not moved
    OUT_OF_LIMITS = "out_of_limits"  # solutions exist beyond the joint limits only; not moved
    UNREACHABLE = "unreachable"  # nothing reaches the target; not moved
    NO_SOLUTION = "no_solution"  # none was found, for another reason that the solver gave; not moved


@dataclass(frozen=True)
class Tolerance:
    """How near counts as reached, and which candidates count as equally near.

    Args:
        pos: Position error [m].
        rot: Rotation error [rad].
        tie: Candidates this close to the nearest one, as a share of the tolerance, tie with it: with the
            defaults 1e-5 m and 1e-4 rad.

    Raises:
        ShapeError: A number is not positive.
    """

    pos: float = 1e-3
    rot: float = 1e-2
    tie: float = 1e-2

    def __post_init__(self) -> None:
        if not min(self.pos, self.rot, self.tie) > 0:
            raise ShapeError(f"tolerances must be positive; got pos={self.pos}, rot={self.rot}, tie={self.tie}")

    def miss(self, err_pos: FloatArray, err_rot: FloatArray) -> FloatArray:
        """The larger of the two errors in units of its tolerance: at most 1 is reached.

        Args:
            err_pos: Position errors [m], any shape.
            err_rot: Rotation errors [rad], the same shape.

        Returns:
            The same shape, no unit.
        """
        return np.maximum(err_pos / self.pos, err_rot / self.rot)


@dataclass(frozen=True)
class CostWeights:
    """The cost that ranks candidates which meet the target equally well.

    cost = travel * (time that the slowest joint needs at its velocity limit [s])
         + margin * max(0, 1 - (distance to the nearest limit) / margin_wanted)

    Args:
        travel: Per second.
        margin: For a candidate right at a limit.
        margin_wanted: Distance from which on a limit costs nothing [rad or m].
    """

    travel: float = 1.0
    margin: float = 1.0
    margin_wanted: float = 0.1


@dataclass(frozen=True, eq=False)
class Candidate:
    """One solution and what was found out about it.

    Args:
        q: Joint vector, shape (n,).
        err_pos, err_rot: Distance from the target, measured in the simulator [m], [rad].
        travel: Time to get there with the slowest joint at its velocity limit [s].
        margin: Distance of the nearest joint limit [rad or m]; negative outside, inf without limits.
        weight: Probability that the solver's mixture gives it.
        cost: See `CostWeights`.
        rejected: Why the arm cannot be there or get there; None where nothing speaks against it (whether a path
            is free is only looked at until one is chosen).
    """

    q: FloatArray
    err_pos: float
    err_rot: float
    travel: float
    margin: float
    weight: float
    cost: float
    rejected: str | None = None


@dataclass(frozen=True, eq=False)
class Decision:
    """The candidates for a target, best first, and what became of them.

    Args:
        candidates: Ranked: nearest to the target first, ties by cost; the rejected ones after the others.
        chosen: The one to go to, or None.
        route: Configurations to pass, the last is the chosen one; empty where none was chosen.
        reason: Why none was chosen; empty where one was.
        status: The outcome that this means for a reach; None where one was chosen and is still to be gone to.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    route: tuple[FloatArray, ...]
    reason: str
    status: ReachStatus | None = None


def decide_nothing(status: Any) -> Decision:
    """The decision when the solver has nothing, in its own words."""
    word = str(getattr(status, "value", status))
    known = {ReachStatus.UNREACHABLE.value, ReachStatus.OUT_OF_LIMITS.value}
    outcome = ReachStatus(word) if word in known else ReachStatus.NO_SOLUTION
    return Decision((), chosen=None, route=(), reason=f"the solver found nothing: {word}", status=outcome)


def decide_blocked(judged: list[Candidate]) -> Decision:
    """The decision when every candidate was rejected."""
    beyond = all(candidate.margin < -LIMIT_SLACK for candidate in judged)
    status = ReachStatus.OUT_OF_LIMITS if beyond else ReachStatus.BLOCKED
    reason = f"all {len(judged)} candidates rejected, the nearest for: {judged[0].rejected}"
    return Decision(tuple(judged), chosen=None, route=(), reason=reason, status=status)
