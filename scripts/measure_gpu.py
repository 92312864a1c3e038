"""Training and solving on a GPU beside the CPU of the same machine: python scripts/measure_gpu.py [--device cuda].

Writes data/results/gpu.json. About ten minutes; `--quick` is a minute, and `--device cpu` tries it without a GPU: both write out/gpu.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import RESULTS, run_script, ships_by_default

from ik_mdn import IKSolver
from ik_mdn.cli.console import print_table, write_json
from ik_mdn.model import choose_device
from ik_mdn.training import TrainConfig, Trainer, build_model
from ik_mdn.training.stages import stages_of
from sim import forward_kinematics, load_arm

ARMS = ("ur5e", "panda")
WIDTHS = {"shipped": (192, 3), "wide": (1024, 4)}
BATCHES = (10_000, 100_000, 1_000_000)


@ships_by_default()
def main(device: str = "cuda", out: Path = RESULTS / "gpu.json", *, quick: bool = False) -> None:
    """Measure.

    Args:
        device: What to compare with the CPU.
        out: The file for the results.
        quick: Small, to see that it works.
    """
    there = choose_device(device)
    devices = list(dict.fromkeys([str(there), "cpu"]))
    name = torch.cuda.get_device_name(there) if there.type == "cuda" else "CPU"
    rows: list[dict[str, Any]] = []
    for on in devices:
        rows += [row | {"device": on} for row in chain(_training(on, quick=quick), _solving(on, quick=quick))]
    write_json(str(out), {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "rows": rows})
    table = [[row["what"], row["device"], f"{row['value']:,.2f}", row["unit"]] for row in rows]
    print_table(f"{name} and the CPU beside it", ["measured", "on", "value", ""], table, text=True)


def _training(device: str, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Samples per second of a whole training step, fresh samples drawn, after the first hundred."""
    for label, (width, blocks) in WIDTHS.items():
        config = TrainConfig(steps=10**9, width=width, blocks=blocks, batch_size=256 if quick else 4096, device=device)
        (part,) = stages_of(build_model(load_arm("ur5e"), replace(config, floor=0.001)), config)
        trainer = Trainer(part.network, config, part.stream)
        batches = part.stream.batches(config.batch_size, trainer.generator, seed=0)

        def steps(count: int, trainer: Trainer = trainer, batches: Iterator[Any] = batches) -> None:
            for _ in repeat(None, count):
                trainer._advance(*next(batches))

        steps(3 if quick else 100)
        count = 3 if quick else 20 if device == "cpu" else 1000
        seconds = _timed(lambda: steps(count), device)  # noqa: B023 - called here
        yield {"what": f"training, {label}: width {width}", "value": count * config.batch_size / seconds, "unit": "1/s"}


def _solving(device: str, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Microseconds per target of all solutions of a batch."""
    for name in ARMS:
        solver = IKSolver.load(name, device=device)
        for count in (100,) if quick else BATCHES if device != "cpu" else BATCHES[:2]:
            low, high = solver.arm.sample_min, solver.arm.sample_max
            q = np.random.default_rng(0).uniform(low, high, (count, solver.arm.n_joints))
            T = forward_kinematics(solver.arm, q)
            solver.solve(T[:50])
            seconds = _timed(lambda: solver.solve(T), device)  # noqa: B023 - called here
            yield {"what": f"solve, {name}, {count:,} targets", "value": 1e6 * seconds / count, "unit": "µs each"}


def _timed(action: Callable[[], object], device: str) -> float:
    """Wall time [s], the device's work done."""
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    wait()
    began = time.perf_counter()
    action()
    wait()
    return time.perf_counter() - began


if __name__ == "__main__":
    run_script(main)
