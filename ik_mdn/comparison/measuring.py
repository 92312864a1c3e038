"""Each method's answers to the same held-out poses, measured by forward kinematics."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ik_mdn.comparison.contestants import Contestants
from ik_mdn.comparison.methods import METHODS, Answers, answering_methods
from ik_mdn.evaluation import HELD_OUT_SEED, SUCCESS_LEVELS, ErrorSummary, held_out, pose_errors, summarise_errors
from sim.arrays import FloatArray

if TYPE_CHECKING:
    from ik_mdn.solver import IKSolver
    from sim.arm import Arm
    from sim.world import ArmBody


@dataclass(frozen=True, eq=False)
class MethodResult:
    """What one method did on the poses.

    Args:
        name: Key of `METHODS`.
        errors: Of its best answer per pose.
        in_limits: Share of the poses answered within joint limits, after full turns that bring a joint inside.
        usable: Share of the poses answered within 1 mm and 0.01 rad and within joint limits.
        modes: Mean number of distinct answers per pose.
        us_per_pose: Wall-clock time per pose [µs]; batched where the method is, one call per pose for PyBullet.
        q: The best answers, (N, n); NaN where there was none.
        err_pos, err_rot: Their errors (N,) [m], [rad]; inf where there was no answer.
    """

    name: str
    errors: ErrorSummary
    in_limits: float
    usable: float
    modes: float
    us_per_pose: float
    q: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; numbers that do not exist (no pose answered) become null."""
        return {
            "method": METHODS[self.name].name,
            **self.errors.to_dict(),
            "in_limits": self.in_limits,
            "usable": self.usable,
            "modes": self.modes,
            "us_per_pose": self.us_per_pose,
        }


def held_out_poses(arm: Arm, count: int, *, seed: int = 0) -> Tensor:
    """The poses of a comparison: tip poses of configurations uniform in limits, from a stream that training never sees.

    Args:
        arm: The arm.
        count: How many.
        seed: Of the stream, from 0.

    Returns:
        Shape (count, 4, 4), float64.
    """
    return held_out(arm, count, seed=HELD_OUT_SEED + 1 + seed)[1]


def compare(
    contestants: Contestants,
    *,
    body: ArmBody | None = None,
    methods: Collection[str] | None = None,
    count: int = 2000,
    seed: int = 0,
) -> Iterator[MethodResult]:
    """Results of each method in turn, on poses made from configurations uniform in limits.

    Args:
        contestants: The models; methods whose model is not there are left out.
        body: The arm in a physics world, or None to leave PyBullet's IK out.
        methods: Which ones, keys of `METHODS`; None: all.
        count: Number of poses.
        seed: Of the poses, see `held_out_poses`.

    Yields:
        One result per method; every pose counts, whatever became of it.
    """
    T = held_out_poses(contestants.solver.arm, count, seed=seed)
    for name, answer in answering_methods(contestants, body).items():
        if methods is not None and name not in methods:
            continue
        answer(T)  # first use pays for imports, allocations and compiling, some of it for rare poses only
        started = time.perf_counter()
        answers = answer(T)
        seconds = time.perf_counter() - started
        yield _measure(name, contestants.solver, answers, T, seconds)


def _measure(name: str, solver: IKSolver, answers: Answers, T: Tensor, seconds: float) -> MethodResult:
    arm, given = solver.arm, answers.q.isfinite().all(dim=1)
    err_pos, err_rot = (error.numpy() for error in pose_errors(arm, solver.task, answers.q, T))
    q_min, q_max = torch.tensor(arm.q_min), torch.tensor(arm.q_max)
    inside = given & (answers.q >= q_min - 1e-9).all(dim=1) & (answers.q <= q_max + 1e-9).all(dim=1)
    near_pos, near_rot = SUCCESS_LEVELS["1mm"]
    return MethodResult(
        name=name,
        errors=summarise_errors(err_pos, err_rot),
        in_limits=float(inside.double().mean()),
        usable=float(np.mean(inside.numpy() & (err_pos <= near_pos) & (err_rot <= near_rot))),
        modes=answers.modes,
        us_per_pose=1e6 * seconds / len(T),
        q=answers.q.numpy(),
        err_pos=err_pos,
        err_rot=err_rot,
    )
