"""Spread of draws along the curves of solutions of seven-joint arms: python scripts/diversity.py [ARM ...].

Per arm and pose the unbiased MMD² of draws to exact draws along the self-motion: of the network alone, of the same draws
refined, of refined random restarts, and of other exact draws (`ik_mdn.evaluation.measure_diversity`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from results import RESULTS, run_script, ships_by_default, to_markdown

from ik_mdn.cli.console import write_json
from ik_mdn.evaluation import held_out
from ik_mdn.evaluation.diversity import Diversity, measure_diversity
from ik_mdn.solver import IKSolver

HEADER = ("arm", "network alone", "refined", "random restarts, refined", "exact against exact")
KINDS = ("raw", "refined", "restarts", "exact")


@ships_by_default("threads")
def main(
    arms: Annotated[tuple[str, ...], tyro.conf.Positional] = ("panda", "iiwa"),
    *,
    poses: int = 1000,
    draws: int = 100,
    seed: int = 0,
    threads: int = 1,
    out: Path = RESULTS / "diversity.json",
) -> None:
    """Measure, print a table and keep the figures.

    Args:
        arms: Arms with a shipped model and one joint more than the task has constraints.
        poses: Held-out poses of each.
        draws: Of each kind and pose.
        seed: Of the draws; the poses are those that report cards use.
        threads: Of torch.
        out: The figures as JSON.
    """
    torch.set_num_threads(threads)
    found: dict[str, Diversity] = {}
    for arm in arms:
        solver = IKSolver.load(arm, threads=threads)
        found[arm] = measure_diversity(solver, held_out(solver.arm, poses)[1], draws=draws, seed=seed)
    values = {arm: each.to_dict() for arm, each in found.items()}
    print(table(values))
    write_json(str(out), {"seed": seed, "arms": values})


def table(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Each arm's means with their standard errors."""
    rows = [[arm, *(f"{one[kind]:.4f} ± {one['errors'][kind]:.4f}" for kind in KINDS)] for arm, one in arms.items()]
    return to_markdown(HEADER, rows)


if __name__ == "__main__":
    run_script(main)
