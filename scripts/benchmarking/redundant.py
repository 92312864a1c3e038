"""Redundant arms: many exact solutions of one pose, and how well they cover the self-motion set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarking.answers import EXACT, judge
from benchmarking.clocks import median_and_range, take_turns
from benchmarking.methods import Method
from benchmarking.ours import Ours
from benchmarking.poses import Poses
from ik_mdn.solver.redundancy import self_motion
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.solver import IKSolver
from ik_mdn.solver.windings import turn_into_limits
from sim.arm.arm import Arm
from sim.arrays import FloatArray
from sim.task import load_task

COUNT = 100  # solutions asked for

_DENSE = 20_000  # random seeds that make the dense reference of one pose
_ROWS = 512  # of the table of distances at a time


class Diverse(Ours):
    """`ik_mdn.self_motion`: solutions spread over the self-motion set.

    Args:
        solver: With or without a model.
        threads: Of torch, which the kernel follows.
    """

    def __init__(self, solver: IKSolver, threads: int) -> None:
        super().__init__("ours", solver, threads)
        self.note = f"self_motion, {COUNT} samples"

    def every(self, target: Any) -> Any:
        """Of one target."""
        return self_motion(self.solver, target, COUNT)[0]

    def batch(self, targets: Any) -> Any:
        """Of all targets."""
        return self_motion(self.solver, targets, COUNT)


def measure_coverage(arm: Arm, poses: Poses, methods: Sequence[Method], *, seed: int) -> dict[str, Any]:
    """What each method's solutions leave uncovered of a dense reference, and how many are exact.

    The reference is what 20,000 random seeds lead to, in limits. The gap is the distance on the circle [rad] of the
    reference point furthest from any solution in limits; "spread" is what the same number of points chosen from the
    reference greedily, each the furthest from the others, would leave (Gonzalez 1985: at most twice the least).

    Args:
        arm: More joints than constraints.
        poses: A few tens; every one counts.
        methods: That give several solutions.
        seed: Of the reference.

    Returns:
        Method → means and extremes; JSON values. A pose without solution has the gap of the whole set's diameter.
    """
    rng = np.random.default_rng(seed)
    answers = {m.name: [m.read(raw) for raw in m.batch(m.prepare(poses.T).whole)] for m in methods}
    gaps, best = {name: list[float]() for name in answers}, {name: list[float]() for name in answers}
    judged = {name: judge(arm, poses, rows) for name, rows in answers.items()}
    for i in range(len(poses)):
        dense = _embed(arm, _reference(arm, poses.T[i], rng))
        for name, every in judged.items():
            mine = every[(every.pose == i) & every.inside & (every.error <= EXACT)]
            gaps[name].append(_furthest(dense, _embed(arm, mine.q)))
            best[name].append(_greedy(dense, len(mine.q)))
    out = {}
    for name, every in judged.items():
        exact = every.error <= EXACT
        inside = np.bincount(every.pose[exact & every.inside], minlength=len(poses))
        out[name] = {
            "solutions": len(every.q) / len(poses),
            "exact": float(exact.mean()) if len(exact) else 0.0,
            "exact_in_limits": float(inside.mean()),
            "fewest_in_limits": int(inside.min()),
            "gap_rad": median_and_range(gaps[name]),
            "spread_rad": median_and_range(best[name]),
        }
    return out


def time_many(
    methods: Sequence[Method], poses: Poses, rounds: int, on_turn: Callable[[str], None]
) -> dict[str, dict[str, list[float]]]:
    """Microseconds per pose in a batch and called one by one: median, least and most over rounds in turns."""
    times = take_turns(methods, poses.T, rounds=rounds, singles=len(poses), slow=len(poses), on_turn=on_turn)
    return {
        name: {
            "batch_us": median_and_range([1e6 * x for x in one.batch]),
            "single_us": median_and_range([1e6 * float(np.median(x)) for x in one.every]),
        }
        for name, one in times.items()
    }


def _reference(arm: Arm, T: FloatArray, rng: np.random.Generator) -> FloatArray:
    q = torch.from_numpy(arm.sample(rng, _DENSE))
    out = refine(arm, load_task(arm, None), torch.from_numpy(T).expand(len(q), 4, 4), q)
    met = torch.maximum(out.err_pos, out.err_rot) <= EXACT
    turned, inside = turn_into_limits(arm, out.q[met])
    return np.asarray(turned[inside].numpy())


def _embed(arm: Arm, q: FloatArray) -> FloatArray:
    turning = ~arm.is_prismatic
    return np.concatenate([np.cos(q[:, turning]), np.sin(q[:, turning]), q[:, ~turning]], axis=1)


def _furthest(dense: FloatArray, mine: FloatArray) -> float:
    if not len(mine):
        mine = dense[:1]
    nearest = [
        np.linalg.norm(dense[i : i + _ROWS, None] - mine, axis=-1).min(axis=1) for i in range(0, len(dense), _ROWS)
    ]
    return float(np.concatenate(nearest).max(initial=0.0)) if nearest else 0.0


def _greedy(dense: FloatArray, count: int) -> float:
    if not len(dense):
        return 0.0
    nearest = np.linalg.norm(dense - dense[0], axis=1)
    for _ in range(max(0, count - 1)):
        nearest = np.minimum(nearest, np.linalg.norm(dense - dense[int(nearest.argmax())], axis=1))
    return float(nearest.max())
