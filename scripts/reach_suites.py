"""The reach suites of the documentation: python scripts/reach_suites.py [--episodes 200] [--only CELL ...].

Runs `ik-mdn reach` for arms, scenes and suites, two processes side by side, prints a table, and writes
data/results/reach_suites.json, or where cells or numbers are asked for out/reach_suites.json. A stopped run goes on where it stopped: each cell keeps its episodes in its own folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from results import RESULTS, run_script, ships_by_default

from ik_mdn.cli.console import print_table, progress, write_json
from ik_mdn.evaluation import DEGREES, number
from sim.errors import SuiteError

ARMS = ("planar2", "planar3", "puma560", "ur5e", "xarm6", "panda", "iiwa")
AMONG_OBSTACLES = ("xarm6", "panda")
HARD = ("easy", "near-limits", "near-singular", "behind-obstacle")
SHIPPED = ("uniform", "unreachable")  # suites of which all cells ship

_POLL = 0.5  # [s] between looks at how far the cells are
_CLOCK = "clock"  # what the clock on the wall measured


@dataclass(frozen=True)
class Cell:
    """One suite of one arm in one scene.

    Args:
        arm, scene, suite: As `ik-mdn reach` takes them.
        wanted: Least share of the episodes that must succeed.
    """

    arm: str
    scene: str
    suite: str
    wanted: float

    @property
    def name(self) -> str:
        """What the cell and its folder are called."""
        return f"{self.arm}-{self.scene}-{self.suite}"


CELLS = (
    *(Cell(arm, "free", "uniform", 0.995) for arm in ARMS),
    *(Cell(arm, "free", "unreachable", 1.0) for arm in ARMS),
    *(Cell(arm, scene, "uniform", 0.95) for scene in ("table", "shelf") for arm in AMONG_OBSTACLES),
    *(Cell(arm, "shelf", suite, 0.0) for suite in HARD for arm in AMONG_OBSTACLES),
)


@ships_by_default("processes")
def main(
    episodes: int = 200,
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[CELL ...]")] = SHIPPED,
    *,
    seed: int = 0,
    processes: int = 2,
    runs: Path = Path("runs/reach"),
    out: Path = RESULTS / "reach_suites.json",
) -> None:
    """Run the suites and print what came of them.

    Args:
        episodes: Of every cell.
        only: Run these cells only (ARM-SCENE-SUITE, or a part of that name); without it, all but the hard suites.
        seed: Of the suites.
        processes: How many cells run side by side.
        runs: Where episodes are kept.
        out: The figures as JSON.
    """
    cells = [cell for cell in CELLS if not only or any(part in cell.name for part in only)]
    if not cells:
        raise SystemExit(f"no cell is called like {', '.join(only)}; there are {', '.join(c.name for c in CELLS)}")
    begin = time.perf_counter()
    run_cells(cells, episodes, seed=seed, processes=processes, runs=runs)
    rows = [describe(cell, read_summary(runs / cell.name)) for cell in cells]
    show(rows)
    write_json(str(out), {"episodes": episodes, "seed": seed, "cells": rows})
    print(f"{out}; {time.perf_counter() - begin:.0f} s with {processes} processes")


def run_cells(cells: Iterable[Cell], episodes: int, *, seed: int, processes: int, runs: Path) -> None:
    """Run every cell in a process of its own, some side by side, with one progress bar for all."""
    waiting = list(cells)
    with ThreadPoolExecutor(processes) as pool, progress(note="cells") as bar:
        job = bar.add_task("reaching", total=len(waiting) * episodes, note="")
        futures = [pool.submit(run_cell, cell, episodes, seed, runs) for cell in waiting]
        try:
            while not all(future.done() for future in futures):
                done = sum(min(episodes, count_episodes(runs / cell.name)) for cell in waiting)
                bar.update(job, completed=done, note=f"{sum(f.done() for f in futures)} of {len(futures)} cells")
                time.sleep(_POLL)
        finally:
            for future in futures:
                future.cancel()
        for future in futures:
            future.result()
        bar.update(job, completed=len(waiting) * episodes)


def run_cell(cell: Cell, episodes: int, seed: int, runs: Path) -> None:
    """Run one cell, or what is missing of it.

    Raises:
        SuiteError: The command failed.
    """
    options = {"scene": cell.scene, "suite": cell.suite, "episodes": episodes, "seed": seed, "out": runs / cell.name}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "ik_mdn", "reach", cell.arm, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SuiteError(f"{cell.name} failed: {done.stderr.strip().splitlines()[-1:]}")


def count_episodes(folder: Path) -> int:
    """How many episodes a cell has finished so far."""
    path = folder / "episodes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def read_summary(folder: Path) -> dict[str, Any]:
    """The figures that a cell ended with."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["summary"]
    return summary


def describe(cell: Cell, summary: dict[str, Any]) -> dict[str, Any]:
    """A cell's row: what it is, what came of it, and whether that is enough."""
    share = summary["succeeded"] / summary["episodes"]
    head = {"arm": cell.arm, "scene": cell.scene, "suite": cell.suite, "wanted": cell.wanted}
    return {**head, "share": share, "met": share >= cell.wanted and not summary["ended_touching"], **summary}


def show(rows: list[dict[str, Any]]) -> None:
    """Print one line per cell."""
    columns = ["cell", "succeeded", "wanted", "touched", "position error [mm]\nmedian / p95 / max"]
    columns += [
        "rotation error [°]\nmax",
        "solve [ms]\nmedian / max",
        "decide [ms]\nmedian / max",
        "motion [s]\nmedian",
    ]
    print_table("Reach suites", columns, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    clock = row[_CLOCK]
    return [
        f"{row['arm']}, {row['scene']}, {row['suite']}",
        f"{row['succeeded']} of {row['episodes']} ({row['share']:.1%})",
        ("met" if row["met"] else "MISSED") + f" {row['wanted']:.1%}" if row["wanted"] else "",
        str(row["touched"]),
        _join(row["err_pos"].values(), 1e3),
        _join([row["err_rot"]["max"]], DEGREES),
        *(_join([clock[name]["median"], clock[name]["max"]], 1e3) for name in ("time_solve", "time_decide")),
        _join([row["time_execute"]["median"]], 1.0),
    ]


def _join(values: Iterable[float | None], factor: float) -> str:
    return " / ".join(number(None if value is None else factor * value) for value in values)


if __name__ == "__main__":
    run_script(main)
