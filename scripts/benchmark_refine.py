"""Time the refinement: compiled against torch, and against the least that any refinement must compute.

    python scripts/benchmark_refine.py --arms xarm6 puma560 --threads 2

All variants take turns in every round, so that a busy machine slows all of them; ratios are formed within a round and
given as median and range over the rounds. The floor is what no refinement of inexact seeds can do without, by the
compiled code itself: two forward kinematics with Jacobian and the step between them (`max_iterations=1`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ik_mdn.solver.kernels.rules import Refined
from ik_mdn.solver.refinement import refine
from sim.arm import Arm, load_arm
from sim.kinematics import forward_kinematics
from sim.task import default_task

NEAR = 0.05  # noise on a true solution [rad, m]: what a trained network proposes
MET = 1e-10  # residual [m], [rad] that counts as converged


def main() -> None:
    """Print one block per arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=["planar3", "puma560", "xarm6", "panda"])
    parser.add_argument("--seeds", type=int, default=40_000, help="seeds per call")
    parser.add_argument("--torch-seeds", type=int, default=4_000, help="seeds per call of the torch reference")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{options.threads} thread(s), {options.rounds} rounds; times are the best round's, ratios median [range]; CPU time is\nsummed over the threads: divided by their number it is what a quiet machine would take"
    )
    for name in options.arms:
        measure(load_arm(name), options.seeds, options.torch_seeds, options.rounds)


def measure(arm: Arm, count: int, count_torch: int, rounds: int) -> None:
    """Time near and random seeds, and one pose's 24, in turns."""
    task = default_task(arm)
    rng = np.random.default_rng(0)

    def draw() -> Tensor:
        return torch.tensor(rng.uniform(arm.sample_min, arm.sample_max, (count, arm.n_joints)))

    q = draw()
    T = forward_kinematics(arm, q)
    starts = {"near": q + NEAR * torch.tensor(rng.normal(size=tuple(q.shape))), "random": draw()}

    def run(seeds: Tensor, size: int, backend: str, most: int = 100) -> Callable[[], Refined]:
        return lambda: refine(arm, task, T[:size], seeds[:size], backend=backend, max_iterations=most, tolerance=1e-12)

    runs = {"floor": run(starts["near"], count, "numba", 1), "one pose": run(starts["near"], 24, "numba")}
    for label, seeds in starts.items():
        runs[f"numba {label}"] = run(seeds, count, "numba")
        runs[f"torch {label}"] = run(seeds, count_torch, "torch")
    results = {key: function() for key, function in runs.items()}
    times = take_turns(list(runs.items()), rounds)
    print(f"\n{arm.name}, {arm.n_joints} joints, task {task.name}")
    floor = [t / count for t in times["floor CPU"]]
    print(f"  floor (2 FK + J and a step)  {min(floor) * 1e9:.0f} ns CPU per seed")
    print(f"  one pose of 24 near seeds    {min(times['one pose']) * 1e6:.0f} µs")
    for label in starts:
        ours, reference = (report(f"{kind} {label}", times, results) for kind in ("numba", "torch"))
        print(f"    torch / numba {ratio(reference, ours)}, numba / floor {ratio(ours, floor)}")


def take_turns(runs: Sequence[tuple[str, Callable[[], Refined]]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run in each round."""
    times: dict[str, list[float]] = {f"{key}{kind}": [] for key, _ in runs for kind in ("", " CPU")}
    for _ in range(rounds):
        for key, function in runs:
            repeats = 20 if key == "one pose" else 1
            start, start_cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats):
                function()
            times[key].append((time.perf_counter() - start) / repeats)
            times[f"{key} CPU"].append((time.process_time() - start_cpu) / repeats)
    return times


def report(key: str, times: dict[str, list[float]], results: dict[str, Refined]) -> list[float]:
    """Print one line; give back the CPU seconds per seed of each round."""
    result = results[key]
    met = torch.maximum(result.err_pos, result.err_rot) <= MET
    steps = result.iterations.double()
    wall, cpu = (min(times[f"{key}{kind}"]) for kind in ("", " CPU"))
    print(
        f"  {key:12}  {cpu / float(steps.sum()) * 1e9:7.0f} ns CPU, {wall / float(steps.sum()) * 1e9:7.0f} ns wall per "
        f"seed-iteration; {cpu / len(steps) * 24e6:7.1f} µs CPU per 24 seeds; {float(met.double().mean()):.2%} converged "
        f"after {float(steps[met].mean()):.2f} iterations"
    )
    return [t / len(steps) for t in times[f"{key} CPU"]]


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Median and range of the ratios within each round."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return f"{statistics.median(ratios):.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"


if __name__ == "__main__":
    main()
