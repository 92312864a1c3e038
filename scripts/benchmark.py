"""Our solver against every peer that pip installs: python scripts/benchmark.py [--arms ur5e ...] [--quick].

The same poses on the same machine in one process: all solutions and the first one, one by one and in batches, success
in limits, share of the true branches found (the union of EAIK, ssik and our thorough mode), configurations next to
singularities, redundant arms, random restarts at equal recall, where our time goes, and the refinement against torch. Methods take turns in every
round of timing and ratios are formed within a round; nothing is trimmed; failures count.

Peers come with the extra: pip install -c constraints.txt -e '.[bench]' (eaik 1.2.2, ssik 8.2.0, frankik 1.0.1, roboticstoolbox-python
1.5.0, optik-py 0.5.0, pin 4.1.0; they go together, with numpy 2.2.6, on Python 3.10 and 3.11). One that is missing, or
cannot do an arm, is left out with the reason in the table's legend. Every peer reads the chain that we solve, written as a
URDF without meshes, and takes part only if its forward kinematics agrees with ours to 1e-9; its answers are judged by
ours. tracikpy does not install (it builds against a ROS workspace), PyRoki and cuRobo need a GPU to be themselves.

EAIK, OptIK and our solver use the given number of threads; ssik, the Robotics Toolbox, Pinocchio and PyBullet use one.
A stopped run goes on where it stopped: finished sections are kept in runs/benchmark for the same settings.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from benchmarking.picture import draw_recall
from benchmarking.sections import Measurement, Settings
from benchmarking.tables import all_tables
from results import FIGURES, RESULTS, in_order, run_script, ships_by_default

from ik_mdn.cli.console import progress, write_json
from ik_mdn.cli.options import Address, EngineName
from ik_mdn.solver import IKSolver
from sim.arm import load_arm
from sim.executor import Engine

ARMS = ("ur5e", "puma560", "xarm6", "panda", "iiwa")
QUICK = Settings(poses=200, slow=60, singles=40, singular=20, many=3, rounds=3)


@ships_by_default("again", "engine", "address")
def main(
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ARM [ARM ...]")] = ARMS,
    *,
    poses: int = Settings.poses,
    slow: int = Settings.slow,
    singles: int = Settings.singles,
    singular: int = Settings.singular,
    many: int = Settings.many,
    rounds: int = Settings.rounds,
    threads: int = Settings.threads,
    seed: int = Settings.seed,
    quick: bool = False,
    again: bool = False,
    engine: EngineName = "local",
    address: Address = None,
    runs: Path = Path("runs/benchmark"),
    out: Path = RESULTS / "benchmark.json",
    figure: Path = FIGURES / "recall_time.png",
) -> None:
    """Measure, and print the tables.

    Args:
        arms: Built-in names, or files of models of any arms.
        poses: Uniform in joint space, per arm.
        slow: As many of them for slow methods.
        singles: As many of them asked one by one, in every round.
        singular: Poses per singularity and offset.
        many: Poses of redundant arms whose self-motion is compared with a dense reference.
        rounds: Of timing, in turns.
        threads: Of every method that can use several.
        seed: Of all poses and restarts.
        quick: Few poses and rounds, to see that everything runs.
        again: Measure finished sections again.
        engine: Where arms are measured. Methods take turns within an arm wherever that is; two arms on one machine disturb
            each other, so a cluster should have a machine for each, and the threads of one arm fill it.
        runs: Where finished sections and built modules are kept.
        out: The results as JSON.
        figure: Recall against time.
    """
    settings = Settings(poses, min(slow, poses), singles, singular, many, rounds, threads, seed)
    if quick:
        settings = replace(QUICK, threads=threads, seed=seed)
    results: dict[str, Any] = {"settings": asdict(settings), "machine": _machine(), "arms": {}}
    where = Engine(engine, 1, address, cpus=threads)
    with progress() as bar:
        task = bar.add_task("benchmark", total=len(arms))
        tell = (lambda what: bar.update(task, description=what[:38])) if engine == "local" else None
        for name, found in in_order(
            partial(measure_arm, settings=settings, runs=runs, again=again, tell=tell), arms, where
        ):
            results["arms"][name] = found
            write_json(str(out), results)
            bar.advance(task)
    print(all_tables(results["arms"]))
    drawn = draw_recall(results["arms"], figure)
    print(f"{out}{f', {figure}' if drawn else ''}")


def measure_arm(
    name: str, *, settings: Settings, runs: Path, again: bool, tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The sections of one arm.

    Args:
        name: Of the arm, or a model's file.
        settings, runs, again: See `main`.
        tell: Called with what comes next.
    """
    torch.set_num_threads(settings.threads)
    model = Path(name) if name.endswith(".safetensors") else None
    arm = load_arm(name) if model is None else IKSolver.load(model).arm
    measurement = Measurement(arm, settings, runs, model=model, again=again)
    found = measurement.run(lambda: None, lambda what: tell(f"{arm.name}: {what}") if tell else None)
    measurement.close()
    return found


def _machine() -> dict[str, Any]:
    """What the times depend on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else []
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_at_start": load,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    run_script(main)
