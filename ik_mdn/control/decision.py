"""What a controller decides with and what it decided: tolerances, costs, candidates, and the choice."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ik_mdn.evaluation import millimetres, number
from ik_mdn.solver import Law
from sim.arm import LIMIT_SLACK
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.files import as_json
from sim.inputs import check_reals
from sim.words import Word


class ReachStatus(Word):
    """How a reach ended."""

    REACHED = "reached", "at rest within tolerance of the target"
    MISSED = "missed", "at rest, but further from the target than the tolerance"
    TOUCHED = "touched", "the arm touched itself or something else on the way: it was stopped there"
    UNSETTLED = "unsettled", "the motors did not bring the arm to rest at the chosen configuration"
    BLOCKED = "blocked", "every solution collides, or cannot be got to without a collision; not moved"
    TOO_WEAK = "too_weak", "the motors cannot hold the arm against gravity at any solution; not moved"
    OUT_OF_LIMITS = "out_of_limits", "solutions exist beyond the joint limits only; not moved"
    UNREACHABLE = "unreachable", "nothing reaches the target; not moved"
    NO_SOLUTION = "no_solution", "none was found, for another reason that the solver gave; not moved"


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
        check_reals(pos=self.pos, rot=self.rot, tie=self.tie)
        if not all(value > 0 for value in (self.pos, self.rot, self.tie)):
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
    """The cost that ranks candidates which meet the target equally well; each term is 0 at its best.

    cost = travel * (time that the slowest joint needs at its velocity limit [s])
         + margin * lack(distance to the nearest limit, margin_wanted)
         + clearance * lack(distance to the nearest link or other body that must not be touched, clearance_wanted)
         + reserve * lack(share of a motor's effort limit that holding the arm there leaves, reserve_wanted)
         + manipulability * lack(manipulability, manipulability_wanted)
         + weight * (1 - weight of the candidate / largest weight of a candidate)
         + probability * log(largest weight of a candidate / weight of the candidate)

    with lack(x, wanted) = max(0, 1 - x / wanted): 1 where there is none of it, 0 from what is wanted on.

    Args:
        travel: Per second.
        margin: For a candidate right at a limit.
        margin_wanted: Distance from which on a limit costs nothing [rad or m].
        clearance: For a candidate that is about to touch.
        clearance_wanted: Distance from which on what is near costs nothing [m].
        reserve: For a candidate that takes all that a motor can give to hold it against gravity.
        reserve_wanted: Share of each motor's effort limit left over from which on its load costs nothing.
        manipulability: For a candidate in a singularity.
        manipulability_wanted: Manipulability from which on it costs nothing; see `Candidate`. A tenth to a third
            of random configurations of six-joint arms lie below the default.
        weight: For a candidate without any weight among the solutions.
        probability: Per nat by which a candidate is less probable than the most probable one: 1 takes on a second of
            travel to be e times as usual. For a model of one's own configurations, whose weights say how the arm is
            usually held (`Decision.law`); off by default.

    Raises:
        ShapeError: A weight is negative, one that is wanted not positive, or a number not finite.
    """

    travel: float = 1.0
    margin: float = 1.0
    margin_wanted: float = 0.1
    clearance: float = 1.0
    clearance_wanted: float = 0.05
    reserve: float = 1.0
    reserve_wanted: float = 0.1
    manipulability: float = 0.5
    manipulability_wanted: float = 0.01
    weight: float = 0.1
    probability: float = 0.0

    def __post_init__(self) -> None:
        check_reals(**asdict(self))
        for key, value in asdict(self).items():
            above = key.endswith("_wanted")
            if not np.isfinite(value) or value < 0 or (above and value == 0):
                raise ShapeError(
                    f"cost weight {key} must be a finite number {'above 0' if above else '>= 0'}; got {value}"
                )

    def cost(self, candidate: Candidate, heaviest: float) -> float:
        """The cost of a candidate, whatever its own says; `heaviest` is the largest weight of one."""
        return sum(self.terms(candidate, heaviest).values())

    def terms(self, candidate: Candidate, heaviest: float) -> dict[str, float]:
        """What the cost is the sum of, by the names of the weights."""
        nearest = min(candidate.clearance_self, candidate.clearance_world)
        heaviest = max(heaviest, 1e-300)
        return {
            "travel": self.travel * candidate.travel,
            "margin": self.margin * _lack(candidate.margin, self.margin_wanted),
            "clearance": self.clearance * _lack(nearest, self.clearance_wanted),
            "reserve": self.reserve * _lack(candidate.reserve, self.reserve_wanted),
            "manipulability": self.manipulability * _lack(candidate.manipulability, self.manipulability_wanted),
            "weight": self.weight * (1.0 - candidate.weight / heaviest),
            "probability": self.probability * math.log(heaviest / max(candidate.weight, 1e-300)),
        }


@dataclass(frozen=True, eq=False)
class Candidate:
    """One solution and what was found out about it.

    Args:
        q: Joint vector, shape (n,).
        err_pos, err_rot: Distance from the target, measured in the simulator [m], [rad].
        travel: Time to get there with the slowest joint at its velocity limit [s].
        margin: Distance of the nearest joint limit [rad or m]; negative outside, inf without limits.
        clearance_self, clearance_world: Distance of the two nearest links that may touch each other, and of the
            nearest other body [m]; at most 0.2, negative where they go through each other.
        reserve: Least share of a motor's effort limit that holding the arm there against gravity leaves, 1 without a
            load; negative where the motor is too weak.
        manipulability: sqrt(det(J Jᵀ)) of the task's Jacobian without units, 0 in a singularity; see `sim.jacobians`.
        weight: How probable the solver says that it is; `Decision.law` says by what.
        cost: See `CostWeights`.
        rejected: Why the arm cannot be there or get there; None where nothing speaks against it (whether a path
            is free is only looked at until one is chosen).
    """

    q: FloatArray
    err_pos: float
    err_rot: float
    travel: float
    margin: float
    clearance_self: float
    clearance_world: float
    reserve: float
    manipulability: float
    weight: float
    cost: float = 0.0
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
        unshaped: Links that it was judged without: they would collide, and their shapes were not loaded.
        law: What the candidates' weights are, as the solver said; see `ik_mdn.solver.Law`.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    route: tuple[FloatArray, ...]
    reason: str
    status: ReachStatus | None = None
    unshaped: tuple[str, ...] = ()
    law: Law | None = None

    def rows(self, most: int | None = None) -> list[list[str]]:
        """The candidates as text, one row each, best first; `COLUMNS` are the heads.

        Args:
            most: At most so many; None: all.
        """
        return [
            [
                "chosen" if candidate is self.chosen else candidate.rejected or "",
                millimetres(candidate.err_pos),
                number(candidate.err_rot),
                f"{candidate.travel:.2f}",
                f"{candidate.margin:.2f}",
                f"{1e3 * candidate.clearance_self:.0f}",
                f"{1e3 * candidate.clearance_world:.0f}",
                f"{candidate.manipulability:.2g}",
                f"{candidate.weight:.3f}",
                f"{candidate.cost:.2f}",
            ]
            for candidate in self.candidates[:most]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the place of the chosen candidate; None stands for a margin without limits."""
        candidates = [as_json(asdict(each)) for each in self.candidates]
        chosen = next((i for i, each in enumerate(self.candidates) if each is self.chosen), None)
        law = None if self.law is None else self.law.value
        return {"reason": self.reason, "law": law, "chosen": chosen, "candidates": candidates}

    def table(self, most: int | None = None) -> str:
        """The candidates as plain text with aligned columns; below, why none was chosen, and what was not judged.

        Args:
            most: At most so many candidates; None: all.
        """
        rows = [[head.replace("-\n", "").replace("\n", " ") for head in COLUMNS], *self.rows(most)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += [self.reason] if self.reason else []
        lines += [f"weights: {self.law.about}"] if self.law and self.candidates else []
        lines += [f"judged without the shapes of {', '.join(self.unshaped)}: they collide with nothing"] * any(
            self.unshaped
        )
        return "\n".join(lines)


COLUMNS = (
    "candidate",
    "position\nerror [mm]",
    "rotation\nerror [rad]",
    "travel\n[s]",
    "margin\n[rad, m]",
    "to itself\n[mm]",
    "to others\n[mm]",
    "manipu-\nlability",
    "weight",
    "cost",
)


def decide_nothing(status: Any) -> Decision:
    """The decision when the solver has nothing, in its own words."""
    word = str(getattr(status, "value", status))
    known = {ReachStatus.UNREACHABLE.value, ReachStatus.OUT_OF_LIMITS.value}
    outcome = ReachStatus(word) if word in known else ReachStatus.NO_SOLUTION
    return Decision((), chosen=None, route=(), reason=f"the solver found nothing: {word}", status=outcome)


def decide_blocked(judged: list[Candidate]) -> Decision:
    """The decision when every candidate was rejected."""
    inside = [candidate for candidate in judged if candidate.margin >= -LIMIT_SLACK]
    held = [candidate for candidate in inside if candidate.reserve >= 0.0]
    status = ReachStatus.BLOCKED if held else ReachStatus.TOO_WEAK if inside else ReachStatus.OUT_OF_LIMITS
    reason = f"all {len(judged)} candidates rejected, the nearest for: {judged[0].rejected}"
    return Decision(tuple(judged), chosen=None, route=(), reason=reason, status=status)


def _lack(value: float, wanted: float) -> float:
    return max(0.0, 1.0 - value / wanted)
