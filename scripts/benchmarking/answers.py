"""What methods answer, judged by this project's forward kinematics, and matched with the true branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarking.poses import Poses
from ik_mdn.evaluation.metrics import pose_errors
from ik_mdn.solver.engine_torch import first_of_branch
from ik_mdn.solver.kernels.rules import Refined
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.windings import turn_into_limits
from sim.arm.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import load_task

EXACT = 1e-8  # error [m], [rad] of a true branch
CLAIMED = 1e-6  # error up to which an answer counts as one; above, it is a false one
SAME = 1e-3  # distance on the circle [rad] up to which an answer stands for a branch
MERGE = 1e-4  # distance on the circle [rad] below which two true branches are one

_FINEST = 1e-13  # [rad, arm lengths] to which candidates for the truth are refined
_NEAR = 1e-2  # distance [rad] that a candidate may move by that; more, and it was none


@dataclass(frozen=True)
class Answers:
    """Joint vectors answered for some poses, pose by pose.

    Args:
        pose: Which pose each is for, ascending, (R,).
        q: (R, n); in limits where full turns can bring them there.
        error: The larger of position [m] and angle error [rad] by FK, (R,).
        inside: Whether it is in limits, (R,).
    """

    pose: IntArray
    q: FloatArray
    error: FloatArray
    inside: NDArray[np.bool_]

    def __post_init__(self) -> None:
        assert len(self.pose) == len(self.q) == len(self.error) == len(self.inside)

    def __getitem__(self, rows: Any) -> Answers:
        return Answers(self.pose[rows], self.q[rows], self.error[rows], self.inside[rows])


def judge(arm: Arm, poses: Poses, rows: Sequence[FloatArray]) -> Answers:
    """Answers turned into limits by full turns, with their errors by forward kinematics.

    Args:
        arm: The arm.
        poses: What was asked, B poses.
        rows: Answers to each, (m, n) each, in the arm's order of joints.
    """
    count = [len(row) for row in rows]
    pose = np.repeat(np.arange(len(rows)), count)
    q = np.concatenate([np.asarray(row, dtype=np.float64).reshape(-1, arm.n_joints) for row in rows])
    real = np.isfinite(q).all(axis=1)
    turned, inside = turn_into_limits(arm, torch.from_numpy(np.where(real[:, None], q, 0.0)))
    error = torch.maximum(*pose_errors(arm, load_task(arm, None), turned, torch.from_numpy(poses.T[pose]))).numpy()
    return Answers(pose, turned.numpy(), np.where(real, error, np.inf), inside.numpy() & real)


def success(answers: Answers, count: int, tolerance: float) -> float:
    """Share of poses that got an answer in limits with at most this error [m], [rad]."""
    good = answers.inside & (answers.error <= tolerance)
    return len(np.unique(answers.pose[good])) / max(1, count)


def found_again(arm: Arm, poses: Poses, answers: Answers, tolerance: float) -> float:
    """Share of poses whose own configuration is among the answers with at most this error."""
    good = answers[answers.error <= tolerance]
    near = _distance(arm, good.q, poses.q[good.pose]) <= SAME
    return len(np.unique(good.pose[near])) / max(1, len(poses))


def true_branches(arm: Arm, poses: Poses, methods: Sequence[Answers]) -> Answers:
    """The union of what methods found: in limits, refined to rounding, one row per branch.

    A candidate whose error is at most `CLAIMED` is refined; it is a branch where refinement meets `EXACT` without
    moving it far. A pose's own configuration is always among them.

    Args:
        arm: The arm.
        poses: What was asked.
        methods: Their answers.
    """
    good = [answers[answers.error <= CLAIMED] for answers in methods]
    pose = np.concatenate([np.arange(len(poses)), *(answers.pose for answers in good)])
    q = np.concatenate([poses.q, *(answers.q for answers in good)])
    T = torch.from_numpy(poses.T[pose])
    refined = read_refined(arm, pose, refine(arm, load_task(arm, None), T, torch.from_numpy(q), tolerance=_FINEST))
    kept = (refined.error <= EXACT) & refined.inside & (_distance(arm, refined.q, q) <= _NEAR)
    refined = refined[kept]
    refined = refined[np.lexsort((refined.error, refined.pose))]
    first = first_of_branch(arm, torch.from_numpy(refined.pose), torch.from_numpy(refined.q), MERGE).numpy()
    return refined[first == np.arange(len(first))]


@dataclass(frozen=True)
class Score:
    """One method's answers against the true branches.

    Args:
        branches: How many true branches there are.
        found: How many of them were answered.
        answers: How many answers in limits were given.
        false: Those whose error exceeds `CLAIMED`.
        duplicates: Those nearest to a branch that was answered already.
        unmatched: Those that are exact, but no branch of the union is near.
    """

    branches: int
    found: int
    answers: int
    false: int
    duplicates: int
    unmatched: int

    @property
    def recall(self) -> float:
        """Share of the true branches that were answered."""
        return self.found / max(1, self.branches)


def score(arm: Arm, truth: Answers, answers: Answers) -> Score:
    """Recall, false and duplicate answers.

    Args:
        arm: The arm.
        truth: From `true_branches`.
        answers: Of one method, for the same poses.
    """
    given = answers[answers.inside]
    exact = given[given.error <= CLAIMED]
    nearest = nearest_branch(arm, truth, exact)
    matched = nearest >= 0
    found = len(np.unique(nearest[matched]))
    return Score(
        branches=len(truth.q),
        found=found,
        answers=len(given.q),
        false=len(given.q) - len(exact.q),
        duplicates=int(matched.sum()) - found,
        unmatched=int((~matched).sum()),
    )


def nearest_branch(arm: Arm, truth: Answers, answers: Answers) -> IntArray:
    """For each answer the row of the true branch nearest to it, or -1 where none is within `SAME`, (R,)."""
    begin, end = (np.searchsorted(truth.pose, answers.pose, side=side) for side in ("left", "right"))
    best = np.full(len(answers.q), np.inf)
    nearest = np.full(len(answers.q), -1)
    for k in range(int((end - begin).max(initial=0))):
        rows = np.nonzero(begin + k < end)[0]
        distance = _distance(arm, answers.q[rows], truth.q[begin[rows] + k])
        closer = distance < np.minimum(best[rows], SAME)
        best[rows[closer]], nearest[rows[closer]] = distance[closer], begin[rows[closer]] + k
    return nearest


def read_refined(arm: Arm, pose: IntArray, out: Refined[torch.Tensor]) -> Answers:
    """What refinement gave for some poses (R,), turned into limits by full turns."""
    turned, inside = turn_into_limits(arm, out.q)
    return Answers(pose, turned.numpy(), torch.maximum(out.err_pos, out.err_rot).numpy(), inside.numpy())


def _distance(arm: Arm, q: FloatArray, other: FloatArray) -> FloatArray:
    """Distance on the circle, sqrt(Σ 4 sin²(Δq/2)), row by row; prismatic joints by their difference [m]."""
    difference = q - other
    turning = 2 * np.sin(difference / 2)
    return np.linalg.norm(np.where(arm.is_prismatic, difference, turning), axis=-1)
