"""Where our time goes, and the least that it could be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarking.clocks import clock_in_turns, median_and_range, seconds_of
from benchmarking.poses import Poses
from ik_mdn.solver import engine_numba
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.solver import IKSolver

NEAR = 0.05  # noise on a true solution [rad, m]: what a trained network proposes
MET = 1e-10  # residual [m], [rad] that counts as converged

_PARTS = (  # label, owner, attribute
    ("compiled call", engine_numba.kernel, "answer"),
    ("search for what it leaves open", IKSolver, "_search"),
)


def time_parts(solver: IKSolver, poses: Poses, repeats: int) -> dict[str, Any]:
    """Where a call of `solve` spends its time, in a batch and for single poses, and the floors.

    The floors are the network's matrix products alone (`torch.addmm` of the same sizes, batched), and for each solution
    two forward kinematics with Jacobian and the step between them, by the compiled refinement (`max_iterations=1`).

    Args:
        solver: With a model.
        poses: The batch; its first 200 are asked one by one.
        repeats: Of the batch; the median counts.

    Returns:
        Microseconds per pose by part, "rest" being Python and what is not listed; JSON values.
    """
    alone = list(poses.first(200).T)
    batch = _parts(lambda: solver.solve(poses.T, restarts=0), len(poses), repeats)
    single = _parts(lambda: [solver.solve(T, restarts=0) for T in alone], len(alone), repeats)
    found = solver.solve(poses.T, restarts=0)
    return {
        "poses": len(poses),
        "batch_us": batch,
        "single_us": single,
        "network_floor_us": 1e6 * _median(seconds_of(_matrix_products(solver, len(poses)), repeats)) / len(poses),
        "network_floor_single_us": 1e6 * _median(seconds_of(_matrix_products(solver, 1), 20 * repeats)),
        "kinematics_floor_us": 1e6 * _median(seconds_of(_two_evaluations(solver, poses, found), repeats)) / len(poses),
        "solutions_per_pose": len(found.q) / len(poses),
        "multiply_adds_per_pose": sum(a * b for a, b in _sizes(solver)),
    }


def time_refinement(solver: IKSolver, poses: Poses, rounds: int) -> dict[str, Any]:
    """The compiled refinement against torch, and against the least that any refinement must compute, in turns.

    The floor is what no refinement of inexact seeds can do without, by the compiled code itself: two forward kinematics
    with Jacobian and the step between them (`max_iterations=1`).

    Args:
        solver: Whose arm and task.
        poses: Their configurations with a noise of `NEAR` are the near seeds, others of the same limits the random ones;
            torch gets every tenth.
        rounds: Of timing.

    Returns:
        "near" and "random" → nanoseconds of CPU per seed and iteration, ratios of CPU time per seed within a round
        (median, least and largest), and the share that converged to `MET`; JSON values.
    """
    arm, rng, out = solver.arm, np.random.default_rng(0), dict[str, Any]()
    near = poses.q + NEAR * rng.normal(size=poses.q.shape)
    for label, q in (("near", near), ("random", arm.sample(rng, len(near)))):
        T, seeds = torch.from_numpy(poses.T), torch.from_numpy(q)
        calls = {
            "floor": lambda T=T, seeds=seeds: refine(arm, solver.task, T, seeds, max_iterations=1),
            "numba": lambda T=T, seeds=seeds: refine(arm, solver.task, T, seeds, tolerance=1e-12),
            "torch": lambda T=T[::10], seeds=seeds[::10]: refine(
                arm, solver.task, T, seeds, backend="torch", tolerance=1e-12
            ),
        }
        found = {name: call() for name, call in calls.items()}
        times = clock_in_turns(calls, rounds)
        cpu = {name: np.array([one.cpu for one in times[name]]) / len(found[name].q) for name in calls}
        steps = {name: float(found[name].iterations.double().mean()) for name in calls}
        met = torch.maximum(found["numba"].err_pos, found["numba"].err_rot) <= MET
        out[label] = {
            "numba_ns": 1e9 * float(cpu["numba"].min()) / steps["numba"],
            "torch_ns": 1e9 * float(cpu["torch"].min()) / steps["torch"],
            "torch_to_numba": median_and_range((cpu["torch"] / cpu["numba"]).tolist()),
            "numba_to_floor": median_and_range((cpu["numba"] / cpu["floor"]).tolist()),
            "converged": float(met.double().mean()),
        }
    return out


def _parts(call: Callable[[], Any], count: int, repeats: int) -> dict[str, float]:
    call()
    rows = []
    for _ in range(repeats):
        with _stopwatch() as parts:
            started = time.perf_counter()
            call()
            total = time.perf_counter() - started
        rows.append({**parts, "rest": total - sum(parts.values()), "total": total})
    return {key: 1e6 * _median([row[key] for row in rows]) / count for key in rows[0]}


@contextmanager
def _stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent inside each of `_PARTS` within the block."""
    seconds = {label: 0.0 for label, _, _ in _PARTS}
    originals = [(owner, name, getattr(owner, name)) for _, owner, name in _PARTS]

    def timed(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                seconds[label] += time.perf_counter() - started

        return run

    for (label, _, _), (owner, name, function) in zip(_PARTS, originals, strict=True):
        setattr(owner, name, timed(label, function))
    try:
        yield seconds
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def _sizes(solver: IKSolver) -> list[tuple[int, int]]:
    """Inputs and outputs of every linear layer."""
    assert solver.model is not None
    linear = [m for m in solver.model.modules() if isinstance(m, torch.nn.Linear)]
    return [(layer.in_features, layer.out_features) for layer in linear]


def _matrix_products(solver: IKSolver, count: int) -> Callable[[], None]:
    layers = [(torch.randn(count, a), torch.randn(a, b), torch.randn(b)) for a, b in _sizes(solver)]

    def run() -> None:
        with torch.inference_mode():
            for x, weight, bias in layers:
                torch.addmm(bias, x, weight)

    return run


def _two_evaluations(solver: IKSolver, poses: Poses, found: Any) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    q = torch.from_numpy(found.q + 0.05 * rng.normal(size=found.q.shape))
    T = torch.from_numpy(poses.T[found.pose_index])
    return lambda: refine(solver.arm, solver.task, T, q, max_iterations=1)


def _median(values: list[float]) -> float:
    return float(np.median(values))
