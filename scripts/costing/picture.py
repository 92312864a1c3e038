"""The figure of how cost grows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.rendering.figure import BLUE, GREEN, ORANGE, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"local": BLUE, "processes": GREEN, "ray": ORANGE, "generate": BLUE, "solve": ORANGE}


def draw_cost(found: Mapping[str, Any], out: Path) -> None:
    """Draw rates of generating and training against workers, time of solving and memory against poses.

    Args:
        found: What `scripts/cost.py` measured.
        out: The figure.
    """
    figure, ((generate, train), (solve, memory)) = new_figure(2, 2, figsize=(10.5, 7.6))
    _draw_lines(generate, found["generate"], "engine", "workers", lambda row: row["poses_per_s"] / 1e6)
    generate.set(title="Generating samples", xlabel="workers", ylabel="million poses per second")
    _draw_lines(train, found["training"], None, "processes", lambda row: row["samples_per_s"] / 1e3)
    train.set(title="Training", xlabel="processes of one core", ylabel="thousand samples per second")
    for axes, part, key in ((generate, "generate", "workers"), (train, "training", "processes")):
        axes.set_xticks(sorted({row[key] for row in found[part]}))
        axes.set_ylim(bottom=0)
    _draw_solve(solve, found["solve"])
    _draw_lines(memory, found["memory"], "what", "poses", lambda row: row["peak_mib"])
    memory.set(title="Peak memory of a process, a solved batch held", xlabel="poses", ylabel="MiB", xscale="log")
    memory.set_ylim(bottom=0)
    save_figure(figure, out)


def _draw_lines(axes: Axes, rows: Any, name: str | None, x: str, y: Any) -> None:
    """One line for each value of the column `name`."""
    for label, some in groupby(rows, key=lambda row: row[name] if name else None):
        points = [(row[x], y(row)) for row in some]
        axes.plot(*zip(*points, strict=True), marker="o", color=_COLOURS.get(label or "", BLUE), label=label)
    if name:
        axes.legend(frameon=False)
    axes.grid(alpha=0.25)


def _draw_solve(axes: Axes, rows: Any) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    joints = sorted({row["joints"] for row in rows})
    for n in joints:
        colour = colormaps["viridis"](0.9 * joints.index(n) / max(1, len(joints) - 1))
        points = [(row["targets"], row["us_per_pose"]) for row in rows if row["joints"] == n]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=f"{n} joints")
    axes.set(
        title="Solving without a model", xlabel="targets in one call", ylabel="µs per pose", xscale="log", yscale="log"
    )
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, fontsize="small", ncols=2)
    axes.grid(alpha=0.25)
