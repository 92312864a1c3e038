"""How probable each solution is, given the pose: exact, by the change of variables."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ik_mdn.solver.windings import wind
from sim.arm import LIMIT_SLACK, Arm
from sim.arrays import FloatArray, IntArray
from sim.words import Word

if TYPE_CHECKING:
    from ik_mdn.model import Postures


_TURN = 2 * np.pi
LEAST = 1e-150  # manipulability below which a solution counts as exactly singular: as good as certain


class Law(Word):
    """What the weights of solutions are; `about` says it in a sentence.

    Exact for an arm with as many joints as the task has constraints, unless the model has a density of its own (learned).
    Of curves of solutions the points found are no probability: proposals, or the learned density.
    """

    EXACT = "exact", "probability given the pose where joints are uniform in limits, among the solutions found"
    LEARNED = (
        "learned",
        "probability given the pose where joints are as in the model's own configurations, among the solutions found",
    )
    LEARNED_DENSITY = (
        "learned_density",
        "density along the curve of solutions where joints are as in the model's own configurations, as shares of those found",
    )
    PROPOSALS = "proposals", "share of the proposals that led to the solution"
    SAMPLES = "samples", "share of the samples of a curve of solutions: as dense as they were taken, no probability"

    @classmethod
    def of(cls, spare: int, postures: Postures | None) -> Law:
        """The law for an arm with so many more joints than the task has constraints, and a model's p(q), None: uniform."""
        if spare < 0 or (spare and postures is None):
            return cls.PROPOSALS
        learned = cls.LEARNED_DENSITY if spare else cls.LEARNED
        return cls.EXACT if postures is None else learned


def solution_weights(
    arm: Arm, offsets: IntArray, q: FloatArray, manipulability: FloatArray, postures: Postures | None = None
) -> FloatArray:
    """The probability of each solution of each pose under joint vectors drawn uniformly in limits, or from p(q).

    Where the task has as many constraints as the arm has joints, the change of variables gives
    `p(q_b | T) ∝ p(q_b) / |det J(q_b)|` over all solutions in limits, every winding counted (Bishop, Pattern Recognition and
    Machine Learning, 2006, equation 1.27).

    Args:
        arm: The arm.
        offsets: Pose i owns the rows `offsets[i]:offsets[i + 1]`, shape (B + 1,).
        q: Solutions in limits [rad, m], shape (M, n).
        manipulability: `sqrt(det J Jᵀ)` of the task's Jacobian in any fixed units, shape (M,).
        postures: p(q); None: uniform.

    Returns:
        Shape (M,), each the probability of all windings of a solution; sums to 1 over each pose that has rows.
    """
    log_weight = -np.log(np.maximum(manipulability, LEAST))
    log_weight += np.log(count_windings(arm, q)) if postures is None else log_of_windings(postures, q)
    return normalise(offsets, log_weight)


def log_of_windings(postures: Postures, q: FloatArray) -> FloatArray:
    """log of the sum of p over all windings of each joint vector, (M,)."""
    rows, wound = wind(postures.arm, q)
    log_p = postures.log_prob(wound)
    if len(rows) == len(q):
        return log_p
    return np.asarray(np.logaddexp.reduceat(log_p, rows.searchsorted(np.arange(len(q)))))


def count_windings(arm: Arm, q: FloatArray) -> IntArray:
    """How many joint vectors in limits differ from each by full turns of joints with limits, itself included.

    Args:
        arm: The arm.
        q: Joint vectors in limits [rad, m], shape (M, n).

    Returns:
        Shape (M,), at least 1. Continuous joints have no windings: all are one.
    """
    wide, low, high = _wide_joints(arm)
    if not len(wide):
        return np.ones(len(q), np.int64)
    q = q if len(wide) == q.shape[1] else q[:, wide]
    turns = np.floor((high - q) / _TURN) + np.floor((q - low) / _TURN)
    return np.asarray((turns + 1).prod(axis=1), dtype=np.int64)


@lru_cache(maxsize=64)
def _wide_joints(arm: Arm) -> tuple[IntArray, FloatArray, FloatArray]:
    """Which joints have room for a full turn, and their limits."""
    bounded = ~arm.is_prismatic & np.isfinite(arm.q_min) & np.isfinite(arm.q_max)
    wide = (bounded & (arm.q_max - arm.q_min >= _TURN)).nonzero()[0]
    return wide, arm.q_min[wide] - LIMIT_SLACK, arm.q_max[wide] + LIMIT_SLACK


def normalise(offsets: IntArray, log_weight: FloatArray) -> FloatArray:
    """`exp(log_weight)` divided by its sum over the rows of each pose, without overflow.

    Args:
        offsets: Pose i owns the rows `offsets[i]:offsets[i + 1]`, shape (B + 1,).
        log_weight: Shape (M,).

    Returns:
        Shape (M,).
    """
    if len(offsets) == 2:  # one pose
        weight = np.exp(log_weight - log_weight.max(initial=-np.inf))
        return np.asarray(weight / weight.sum())
    count = np.diff(offsets)
    some = offsets[:-1][count > 0]
    if not len(some):
        return np.zeros(0)
    rows = count[count > 0]
    weight = np.exp(log_weight - np.maximum.reduceat(log_weight, some).repeat(rows))
    return np.asarray(weight / np.add.reduceat(weight, some).repeat(rows))
