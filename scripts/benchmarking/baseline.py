"""What the network is worth: random restarts through the same refinement, as many as reach the same recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from benchmarking.answers import CLAIMED, Answers, judge, nearest_branch, read_refined, score
from benchmarking.poses import Poses
from ik_mdn.solver.engine import Problem
from ik_mdn.solver.engine_numba import CompiledEngine, CompiledModel
from ik_mdn.solver.kernels import refine as kernel
from ik_mdn.solver.kernels.rules import Rule
from ik_mdn.solver.options import SEEDS
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.solver import IKSolver
from sim.arm.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.task import load_task

MOST = 4096  # random seeds per pose before giving up
_FINEST = 1e-12  # residual [rad, arm lengths] to which the solver refines
_CHUNK = 1 << 17  # seeds refined in one go


@dataclass(frozen=True)
class Worth:
    """Ours against random restarts at equal recall, on the same poses.

    Args:
        poses: How many.
        recall: Of ours, from the model's seeds alone.
        seeds, iterations: Per pose, ours: seeds refined and their Levenberg-Marquardt iterations, summed.
        restarts, restart_iterations: The same for the fewest random seeds that reach this recall.
        restart_recall: What they reach; below `recall` where `MOST` were not enough.
        ratio: `restart_iterations / iterations`; a lower bound where they were not enough.
        curve: Random seeds per pose, recall, iterations per pose.
    """

    poses: int
    recall: float
    seeds: float
    iterations: float
    restarts: int
    restart_iterations: float
    restart_recall: float
    ratio: float
    curve: list[tuple[int, float, float]]


def network_worth(solver: IKSolver, poses: Poses, truth: Answers, *, seed: int) -> Worth:
    """The iterations that random restarts need for the recall of the model's seeds.

    Each pose gets its own random vectors, uniform in limits; recall after S of them is counted for every S at once.

    Args:
        solver: With a model.
        poses, truth: The poses and their branches.
        seed: Of the random vectors.
    """
    found, (seeds, iterations) = solver.solve(poses.T, restarts=0), _proposed(solver, poses)
    answers = judge(solver.arm, poses, [np.asarray(one.q) for one in found])
    recall = score(solver.arm, truth, answers).recall
    reached, spent, tried = np.full(len(truth.q), MOST + 1), [np.zeros(len(poses))], 0
    rng = np.random.default_rng(seed)
    while tried < MOST:
        width = min(max(8, tried), MOST - tried, 512)
        nearest, steps = _restart(solver.arm, poses, truth, width, rng)
        place = tried + 1 + np.arange(width)
        for column in reversed(range(width)):  # the earliest stays
            hit = np.unique(nearest[:, column][nearest[:, column] >= 0])
            reached[hit] = np.minimum(reached[hit], place[column])
        spent += [steps[:, column] for column in range(width)]
        tried += width
        if np.mean(reached <= tried) >= recall:
            break
    curve = _curve(reached, np.cumsum(np.mean(spent, axis=1)), tried)
    enough = next((row for row in curve if row[1] >= recall), curve[-1])
    shown = [row for row in curve if row[0] & (row[0] - 1) == 0 or row == enough]
    return Worth(
        poses=len(poses),
        recall=recall,
        seeds=seeds,
        iterations=iterations,
        restarts=enough[0],
        restart_iterations=enough[2],
        restart_recall=enough[1],
        ratio=enough[2] / iterations,
        curve=shown,
    )


def _proposed(solver: IKSolver, poses: Poses) -> tuple[float, float]:
    """Seeds of the model per pose, and the iterations that they take per pose, each refined to its end on its own."""
    engine = CompiledEngine(Problem(solver.arm, solver.task, poses.T, None, 1e-8), CompiledModel(solver.model))
    numbers = np.arange(len(poses))
    seeds = engine.propose(numbers, SEEDS)
    refined = kernel.refine_rows(solver.arm, solver.task, poses.T[numbers.repeat(seeds.counts)], seeds.q, Rule())
    return len(seeds.q) / len(poses), float(refined[3].sum()) / len(poses)


def _restart(
    arm: Arm, poses: Poses, truth: Answers, width: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """The branch that each of some more random seeds leads to (-1: none), and its iterations, both (B, width)."""
    nearest, steps, task = [], [], load_task(arm, None)
    each = max(1, _CHUNK // width)
    for start in range(0, len(poses), each):
        part = np.arange(start, min(start + each, len(poses)))
        q = arm.sample(rng, len(part) * width)
        pose = np.repeat(part, width)
        out = refine(arm, task, torch.from_numpy(poses.T[pose]), torch.from_numpy(q), tolerance=_FINEST)
        answers = read_refined(arm, pose, out)
        rows = np.full(len(pose), -1)
        good = answers.inside & (answers.error <= CLAIMED)
        rows[good] = nearest_branch(arm, truth, answers[good])
        nearest.append(rows.reshape(len(part), width))
        steps.append(out.iterations.numpy().reshape(len(part), width).astype(np.float64))
    return np.concatenate(nearest), np.concatenate(steps)


def _curve(reached: IntArray, spent: FloatArray, tried: int) -> list[tuple[int, float, float]]:
    hits = np.cumsum(np.bincount(np.minimum(reached, tried + 1), minlength=tried + 2)[: tried + 1])
    share = hits / max(1, len(reached))
    return [(s, float(share[s]), float(spent[s])) for s in range(1, tried + 1)]
