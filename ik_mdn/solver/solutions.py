"""What solving gives back: the solutions of each pose, and how the search for them ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.probabilities import Law
from sim.arrays import FloatArray
from sim.words import Word, counted


class Status(Word):
    """How solving for a pose ended; `about` says it in a sentence."""

    SOLVED = "solved", "solutions in limits were found"
    SINGULAR = "singular", "solved in limits where branches meet: at the edge of the workspace or in a singularity"
    OUT_OF_LIMITS = "out_of_limits", "the arm could reach the target, but only with joints outside their limits"
    UNREACHABLE = "unreachable", "nothing met the target: it is out of reach"
    PROPOSED = "proposed", "raw proposals of the model; nothing was refined"
    TOO_FAR = "too_far", "solutions in limits exist, all further from q_seed than max_jump: no continuous continuation"
    TIMED_OUT = "timed_out", "the time was over before the search was"
    CONTINUUM = "continuum", "solved in limits along a curve, of which these are samples; see self_motion"
    NEARLY = "nearly", "nothing in limits met the target; these miss by up to 0.1 mm and 0.1 mrad, as their errors say"


STATUSES = tuple(Status)
_PER_SOLUTION = ("weight", "proposal_weight", "err_pos", "err_rot")


@dataclass(frozen=True, eq=False)
class Closest:
    """The nearest that an arm gets to a target that it does not reach.

    Args:
        q: Joint vector in limits [rad, m for prismatic], shape (n,).
        err_pos: Distance of the tip from the target [m].
        err_rot: Angle between tip and target [rad].
    """

    q: FloatArray
    err_pos: float
    err_rot: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"q": self.q.tolist(), "err_pos": self.err_pos, "err_rot": self.err_rot}


@dataclass(frozen=True, eq=False, repr=False)
class Solutions:
    """The solutions of one pose, best first; iterating gives its joint vectors, each of shape (n,).

    Args:
        q: Joint vectors [rad, m for prismatic], shape (m, n), float64; m = 0 when there is none.
        weight: How probable each solution is given the pose, shape (m,); `law` says by what. Sums to 1 over all that were
            found (less by the law of proposals, some of which lead nowhere); a solution stands for all its windings where
            these have no rows of their own.
        err_pos: Distance of the tip from the target by forward kinematics [m], shape (m,).
        err_rot: Angle between tip and target by forward kinematics [rad], shape (m,).
        proposal_weight: Share of the proposals (a model's components by their weight, or random seeds) that led to each
            solution, shape (m,); 0 for what only restarts found. What the model by itself believes is told better by
            `ik_mdn.solver.network_weights`.
        law: What `weight` is: exact for an arm with as many joints as the task has constraints, otherwise, and where
            the search stopped at the first solution, the proposals' share.
        status: How solving ended: why there are solutions, or none.
        closest: Where nothing was found and it was asked for: the joint vector in limits nearest to the target.
    """

    q: FloatArray
    weight: FloatArray
    proposal_weight: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    status: Status
    law: Law
    closest: Closest | None = None

    def __post_init__(self) -> None:
        assert len(self.q) == len(self.weight) == len(self.err_pos) == len(self.err_rot)

    def __len__(self) -> int:
        return len(self.q)

    def __iter__(self) -> Iterator[FloatArray]:
        return iter(self.q)

    def __repr__(self) -> str:
        return f"Solutions({counted(len(self), 'solution')}, {self.status})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        arrays = {key: getattr(self, key).tolist() for key in ("q", *_PER_SOLUTION)}
        closest = {} if self.closest is None else {"closest": self.closest.to_dict()}
        return {"status": self.status.value, "law": self.law.value, **arrays, **closest}


@dataclass(frozen=True, eq=False, repr=False)
class SolutionBatch(Sequence[Solutions]):
    """The solutions of B poses in flat arrays; `batch[i]` is the `Solutions` of pose i, made on demand.

    Args:
        q: All joint vectors, shape (M, n), pose by pose, best first within each.
        weight, proposal_weight, err_pos, err_rot: As in `Solutions`, shape (M,).
        offsets: Pose i owns the rows `offsets[i]:offsets[i + 1]`, shape (B + 1,), int64.
        status_index: Place of each pose's status in `tuple(Status)`, shape (B,), uint8.
        law: What `weight` is where solutions are isolated; see `Solutions`.
        closest: See `Solutions`, by pose.
    """

    q: FloatArray
    weight: FloatArray
    proposal_weight: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    offsets: NDArray[np.int64]
    status_index: NDArray[np.uint8]
    law: Law
    closest: Mapping[int, Closest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert len(self.offsets) == len(self.status_index) + 1
        assert self.offsets[-1] - self.offsets[0] == len(self.q)

    @classmethod
    def unchecked(
        cls,
        q: FloatArray,
        values: FloatArray,
        offsets: NDArray[np.int64],
        status_index: NDArray[np.uint8],
        law: Law,
    ) -> SolutionBatch:
        """A batch of columns that fit, `values` (4, M) from weights to errors; made in half the time of a frozen dataclass."""
        weight, proposal_weight, err_pos, err_rot = values
        batch = object.__new__(cls)
        errors = {"err_pos": err_pos, "err_rot": err_rot}
        batch.__dict__.update(errors, q=q, weight=weight, proposal_weight=proposal_weight, offsets=offsets)
        batch.__dict__.update(status_index=status_index, law=law, closest={})
        return batch

    def __len__(self) -> int:
        return len(self.status_index)

    @overload
    def __getitem__(self, index: int) -> Solutions: ...
    @overload
    def __getitem__(self, index: slice) -> SolutionBatch: ...
    def __getitem__(self, index: int | slice) -> Solutions | SolutionBatch:
        if isinstance(index, slice):
            return self._slice(range(len(self))[index])
        i = range(len(self))[index]  # negative indices, IndexError
        rows = slice(self.offsets[i], self.offsets[i + 1])
        status = STATUSES[self.status_index[i]]
        closest = self.closest.get(i)
        values = {name: getattr(self, name)[rows] for name in _PER_SOLUTION}
        law = Law.SAMPLES if status is Status.CONTINUUM and self.law is not Law.LEARNED_DENSITY else self.law
        return Solutions(self.q[rows], **values, status=status, law=law, closest=closest)

    def __iter__(self) -> Iterator[Solutions]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        tally = ", ".join(f"{n} {status}" for status, n in self.tally().items())
        return f"SolutionBatch({counted(len(self.q), 'solution')} of {counted(len(self), 'pose')}: {tally or 'none'})"

    @property
    def count(self) -> NDArray[np.int64]:  # type: ignore[override]  # numbers per pose say more than Sequence.count
        """Number of solutions of each pose, shape (B,)."""
        return np.diff(self.offsets)

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Which poses have a solution in limits, exact or `nearly`, shape (B,)."""
        return np.asarray(self.exact | (self.status_index == STATUSES.index(Status.NEARLY)))

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which poses have an exact solution in limits, shape (B,): `solved` without those that are `nearly` met."""
        exact = [STATUSES.index(status) for status in (Status.SOLVED, Status.SINGULAR, Status.CONTINUUM)]
        return np.isin(self.status_index, exact)

    @property
    def pose_index(self) -> NDArray[np.int64]:
        """Which pose each row of the flat arrays belongs to, shape (M,)."""
        return np.repeat(np.arange(len(self)), self.count)

    @property
    def best(self) -> FloatArray:
        """The first solution of each pose, shape (B, n); NaN where there is none."""
        first = np.full((len(self), self.q.shape[1]), np.nan)
        some = self.count > 0
        first[some] = self.q[self.offsets[:-1][some]]
        return first

    def tally(self) -> dict[Status, int]:
        """Number of poses per status; one that no pose has is left out."""
        counts = np.bincount(self.status_index, minlength=len(STATUSES))
        return {status: int(n) for status, n in zip(STATUSES, counts, strict=True) if n}

    def _slice(self, poses: range) -> SolutionBatch:
        chosen = np.asarray(poses, dtype=np.int64)
        count = self.count[chosen]
        offsets = np.concatenate([[0], np.cumsum(count)])
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], count) + np.arange(offsets[-1])
        return SolutionBatch(
            self.q[rows],
            **{name: getattr(self, name)[rows] for name in _PER_SOLUTION},
            offsets=offsets,
            status_index=self.status_index[chosen],
            law=self.law,
            closest={place: self.closest[i] for place, i in enumerate(poses) if i in self.closest},
        )
