"""What self-motion gives back: samples on curves in joint space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.probabilities import Law
from sim.arrays import FloatArray, IntArray
from sim.words import counted


@dataclass(frozen=True, eq=False, repr=False)
class SelfMotion:
    """Samples of the self-motion of one pose, curve by curve, in order along each.

    A curve is what can be passed through without a break: an arc between limits, or a closed one. The sense along
    all curves is that in which the determinant of the task Jacobian with the tangent as its last row is positive.
    Where more than one degree of freedom is redundant there are no curves: `curve` is -1 and `position` NaN.

    Given the pose, joint vectors that are uniform in limits lie along the curves with density `1 / sqrt(det J Jᵀ)` per arc
    length (coarea formula: Federer, Geometric Measure Theory, 1969, theorem 3.2.12), not evenly. Those of a model with a
    density p(q) of its own lie with `p(q) / sqrt(det J Jᵀ)`; `law` says which.

    Args:
        q: Joint vectors [rad, m], shape (m, n), in limits; m = 0 when nothing reaches the pose.
        weight: Probability given the pose of the piece of curve that each sample stands for, all its windings together,
            shape (m,); sums to 1. Without curves: the density relative to the other samples.
        curve: Which curve each is on, shape (m,), from 0.
        position: Arc length from the curve's beginning [rad; arm lengths for joints that slide], shape (m,).
        err_pos, err_rot: Distance [m] and angle [rad] of the tip from the pose by forward kinematics, shape (m,).
        length: Arc length of each curve, shape (c,).
        closed: Whether a curve comes back to its beginning, up to full turns of joints that have room for them,
            shape (c,); otherwise both ends are at limits.
        law: `exact` where joints are uniform in limits, `learned` by the model's density of its own configurations.
    """

    q: FloatArray
    weight: FloatArray
    curve: IntArray
    position: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    length: FloatArray
    closed: NDArray[np.bool_]
    law: Law

    def __post_init__(self) -> None:
        assert (
            len(self.q)
            == len(self.weight)
            == len(self.curve)
            == len(self.position)
            == len(self.err_pos)
            == len(self.err_rot)
        )
        assert len(self.length) == len(self.closed)

    def __len__(self) -> int:
        return len(self.q)

    def __repr__(self) -> str:
        return f"SelfMotion({_amount(len(self), len(self.length))})"

    @property
    def phase(self) -> FloatArray:
        """Position as a share of the curve's length, in [0, 1), shape (m,)."""
        return self.position / self.length[self.curve] if len(self.length) else self.position

    @property
    def spacing(self) -> FloatArray:
        """Arc length between neighbours on each curve, shape (c,); half of it lies before the first and behind the last."""
        count = np.bincount(self.curve, minlength=len(self.length)) if len(self.length) else np.ones(0)
        return np.asarray(self.length / np.maximum(count, 1))

    @property
    def density(self) -> FloatArray:
        """Probability per arc length at each sample given the pose, shape (m,) [1/rad]; nan without curves."""
        return self.weight / self.spacing[self.curve] if len(self.length) else np.full(len(self), np.nan)

    @property
    def share(self) -> FloatArray:
        """Probability of each curve given the pose, shape (c,)."""
        return (
            np.asarray(np.bincount(self.curve, self.weight, len(self.length)), np.float64)
            if len(self.length)
            else self.length
        )


@dataclass(frozen=True, eq=False, repr=False)
class SelfMotionBatch(Sequence[SelfMotion]):
    """The self-motions of B poses in flat arrays; `batch[i]` is the `SelfMotion` of pose i.

    Args:
        q, weight, curve, position, err_pos, err_rot: As in `SelfMotion`, pose by pose, M rows.
        length, closed: As in `SelfMotion`, pose by pose, C rows.
        offsets: Pose i owns the rows `offsets[i]:offsets[i + 1]`, shape (B + 1,).
        curve_offsets: Pose i owns the curves `curve_offsets[i]:curve_offsets[i + 1]`, shape (B + 1,).
        law: As in `SelfMotion`.
    """

    q: FloatArray
    weight: FloatArray
    curve: IntArray
    position: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    length: FloatArray
    closed: NDArray[np.bool_]
    offsets: IntArray
    curve_offsets: IntArray
    law: Law = Law.EXACT

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"SelfMotionBatch({_amount(len(self.q), len(self.length))} of {counted(len(self), 'pose')})"

    @overload
    def __getitem__(self, index: int) -> SelfMotion: ...
    @overload
    def __getitem__(self, index: slice) -> list[SelfMotion]: ...
    def __getitem__(self, index: int | slice) -> SelfMotion | list[SelfMotion]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        i = range(len(self))[index]  # negative indices, IndexError
        rows = slice(self.offsets[i], self.offsets[i + 1])
        curves = slice(self.curve_offsets[i], self.curve_offsets[i + 1])
        return SelfMotion(
            self.q[rows],
            self.weight[rows],
            self.curve[rows],
            self.position[rows],
            self.err_pos[rows],
            self.err_rot[rows],
            self.length[curves],
            self.closed[curves],
            self.law,
        )

    def __iter__(self) -> Iterator[SelfMotion]:
        return (self[i] for i in range(len(self)))


def _amount(samples: int, curves: int) -> str:
    return counted(samples, "sample") + (f" on {counted(curves, 'curve')}" if curves else "")
