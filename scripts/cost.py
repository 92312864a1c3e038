"""How cost grows: python scripts/cost.py writes data/results/cost.json (with --quick out/cost.json).

Poses per second of `generate` against workers and engine, solving without a model from 1 to a million targets and 2 to 10
joints, training samples per second against processes, peak memory against the number of poses; then, on paper, what a billion
poses and a thousand arms cost on 10 and on 100 machines, and what breaks first. Wants a machine that does nothing else.
"""

from __future__ import annotations

import os
import platform
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from costing.measuring import measure_generate, measure_memory, measure_solve, measure_training
from costing.paper import Assumed, add_up
from costing.picture import draw_cost
from results import FIGURES, RESULTS, keep, run_script, ships_by_default

from ik_mdn.cli.console import progress, write_json
from ik_mdn.cli.options import Address
from sim.arm import load_arm
from sim.executor import EngineKind, available_cores


@ships_by_default("again")
def main(
    *,
    poses: int = 20_000_000,
    most_targets: int = 1_000_000,
    patience: float = 60.0,
    steps: int = 2000,
    ray: bool = True,
    address: Address = None,
    given: tyro.conf.OmitArgPrefixes[Assumed] = Assumed(),  # noqa: B008 - frozen
    quick: bool = False,
    again: bool = False,
    seed: int = 0,
    runs: Path = Path("runs/cost"),
    out: Path = RESULTS / "cost.json",
    figure: Path = FIGURES / "cost.png",
) -> None:
    """Measure, add up, and write the results; parts that are measured already are kept.

    Args:
        poses: Generated in each way.
        most_targets: Of solving.
        patience: Seconds that one batch may take.
        steps: Of training.
        ray: Measure Ray too.
        given: What is assumed of machines on paper.
        quick: Little of everything, to see that it runs.
        again: Measure what is kept too.
        seed: Of chains and targets.
        runs: Where measured parts are kept.
        out: The results.
        figure: The same, drawn.
    """
    if quick:
        poses, most_targets, patience, steps = min(poses, 400_000), min(most_targets, 1000), min(patience, 5.0), 100
    batch_size = 128 if quick else 2048
    cores, arm = available_cores(), load_arm("ur5e")
    numbers = sorted({1, *(2**k for k in range(1, 10) if 2**k <= cores), cores})
    engines: list[tuple[EngineKind, int]] = [("local", n) for n in numbers] + [("processes", n) for n in numbers]
    engines += [("ray", cores)] if ray else []
    targets = [10**k for k in range(7) if 10**k <= most_targets]
    joints = (2, 4, 6, 7, 10) if quick else tuple(range(2, 11))
    counts = [n for n in (10_000, 100_000, 1_000_000) if n <= poses][: 2 if quick else 3]
    parts = {
        "generate": partial(measure_generate, arm, poses, engines, address),
        "solve": partial(measure_solve, joints, targets, patience, seed),
        "memory": partial(measure_memory, counts),
        "training": partial(measure_training, arm.name, steps, batch_size, numbers),
    }
    settings = {"poses": poses, "most_targets": most_targets, "patience": patience, "steps": steps, "seed": seed}
    results: dict[str, Any] = {"settings": {**settings, "quick": quick}, "machine": machine()}
    with progress() as bar:
        job = bar.add_task("measuring", total=len(parts))
        for name, measure in parts.items():
            bar.update(job, description=name)
            results[name] = keep(runs / f"{name}.json", {**settings, "engines": engines}, measure, again=again)
            bar.advance(job)
    results["unit"] = unit_costs(results)
    results["paper"] = [
        add_up(results["unit"], poses=10**9, arms=1000, machines=machines, given=given) for machines in (10, 100)
    ]
    write_json(str(out), results)
    draw_cost(results, figure)
    print(f"{out}, {figure}")


def unit_costs(results: dict[str, Any]) -> dict[str, float]:
    """Of one core: poses per second, bytes per pose, microseconds to solve a pose of six joints, training samples per second."""
    alone = next(row for row in results["generate"] if (row["engine"], row["workers"]) == ("local", 1))
    six = [row for row in results["solve"] if row["joints"] == 6][-1]
    return {
        "poses_per_s": alone["poses_per_s"],
        "bytes_per_pose": alone["bytes_per_pose"],
        "solve_us": six["cpu_us_per_pose"],
        "samples_per_s": results["training"][0]["samples_per_s"],
    }


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else []
    return {"cores": available_cores(), "load_at_start": load, "python": platform.python_version()}


if __name__ == "__main__":
    run_script(main)
