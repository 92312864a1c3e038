"""Figures of measurements: calibration, and variance over the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ik_mdn.evaluation.calibration import coverage
from sim.arrays import FloatArray
from sim.rendering import BLUE, ORANGE, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ik_mdn.evaluation.diagnostics import Evaluation
    from sim.arm import Arm

_BINS = 20


def draw_evaluation(evaluation: Evaluation, arm: Arm, folder: Path) -> list[Path]:
    """Write the figures of an evaluation: pit.png, coverage.png, variance.png.

    Args:
        evaluation: What was measured.
        arm: Whose joints and workspace they show.
        folder: Where to write; made if missing.

    Returns:
        The files.
    """
    files = [folder / name for name in ("pit.png", "coverage.png", "variance.png")]
    draw_pit(evaluation, arm, files[0])
    draw_coverage(evaluation, files[1])
    draw_variance(evaluation, arm, files[2])
    return files


def draw_pit(evaluation: Evaluation, arm: Arm, out: Path) -> None:
    """Draw histograms of each joint's PIT, for the truth blurred by the floor (above) and the exact one (below).

    Args:
        evaluation: What was measured.
        arm: Whose joints it was measured on.
        out: The figure; the ending decides the format.
    """
    n, count = arm.n_joints, evaluation.count
    figure, axes = new_figure(2, n, figsize=(max(6.5, 2.6 * n), 5.6), sharex=True, squeeze=False)
    band = 1.96 * np.sqrt(_BINS / count)  # of a bin's relative density, binomial
    rows = (("truth blurred\nby the floor", evaluation.blurred, BLUE), ("exact truth", evaluation.exact, ORANGE))
    for row, (name, calibration, colour) in zip(axes, rows, strict=True):
        for d, panel in enumerate(row):
            panel.hist(calibration.pit[:, d].numpy(), bins=_BINS, range=(0, 1), density=True, color=colour)
            panel.axhspan(1 - band, 1 + band, color="black", alpha=0.15, linewidth=0, zorder=0)
            panel.axhline(1.0, color="black", linewidth=1, linestyle="--")
            panel.set_xlim(0, 1)
            panel.set_ylim(0, max(2.0, panel.get_ylim()[1]))
        row[0].set_ylabel(f"{name}\n\ndensity [-]")
    for d in range(n):
        axes[0][d].set_title(arm.joint_names[d], fontsize=10)
        axes[1][d].set_xlabel("PIT [-]")
    figure.suptitle(
        f"Probability integral transform, {evaluation.arm}, {count} poses\n"
        "dashed: calibrated, grey: 95 % of calibrated bins",
        fontsize=11,
    )
    figure.align_ylabels()
    save_figure(figure, out)


def draw_coverage(evaluation: Evaluation, out: Path) -> None:
    """Draw the share of truths inside highest-density regions over the probability that the density gives these.

    Args:
        evaluation: What was measured.
        out: The figure; the ending decides the format.
    """
    figure, axes = new_figure(1, 1, figsize=(5.4, 5.2))
    at = torch.linspace(0, 1, 101, dtype=torch.float64)
    nominal = at.numpy()
    band = 1.96 * np.sqrt(nominal * (1 - nominal) / evaluation.count)
    axes.fill_between(nominal, nominal - band, nominal + band, color="black", alpha=0.15, linewidth=0)
    axes.plot(nominal, nominal, color="black", linewidth=1, linestyle="--", label="calibrated (95 % band)")
    axes.plot(nominal, coverage(evaluation.blurred.level, at).numpy(), color=BLUE, linewidth=2.2)
    axes.plot(nominal, coverage(evaluation.exact.level, at).numpy(), color=ORANGE, linewidth=2.2, linestyle="-.")
    axes.plot([], [], color=BLUE, linewidth=2.2, label=f"truth blurred by the floor ({evaluation.floor:g} rad)")
    axes.plot([], [], color=ORANGE, linewidth=2.2, linestyle="-.", label="exact truth")
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axes.set_xlabel("probability of the highest-density region [-]")
    axes.set_ylabel("share of truths inside [-]")
    axes.set_title(f"Coverage, {evaluation.arm}, {evaluation.count} poses", fontsize=11)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    save_figure(figure, out)


def draw_variance(evaluation: Evaluation, arm: Arm, out: Path) -> None:
    """Draw the spread inside and between components over the workspace: root mean square of the turning joints [°].

    Args:
        evaluation: What was measured.
        arm: Decides the axes: x and y for planar arms, otherwise distance from the base axis and height.
        out: The figure; the ending decides the format.
    """
    turns = torch.as_tensor(~arm.is_prismatic)
    if not bool(turns.any()):
        turns = ~turns
    position = evaluation.T_base_tip[:, :3, 3].numpy()
    if arm.is_planar:
        x, y, names = position[:, 0], position[:, 1], ("x [m]", "y [m]")
    else:
        x, y = np.hypot(position[:, 0], position[:, 1]), position[:, 2]
        names = ("distance from the base axis [m]", "height [m]")
    figure, axes = new_figure(1, 2, figsize=(10.5 if arm.is_planar else 8.5, 4.6), sharey=True)
    figure.set_layout_engine("compressed")  # panels of equal scales leave room, which goes outside
    parts = (("within components", evaluation.within, True), ("between components", evaluation.between, False))
    for panel, (name, variance, logarithmic) in zip(axes, parts, strict=True):
        degrees = np.rad2deg(variance[:, turns].mean(1).sqrt().numpy())
        _draw_map(panel, x, y, degrees, logarithmic=logarithmic)
        panel.set(xlabel=names[0], aspect="equal")
        panel.set_title(name, fontsize=11)
    axes[0].set_ylabel(names[1])
    figure.suptitle(f"Root mean variance of the joints over the workspace, {evaluation.arm}", fontsize=12)
    save_figure(figure, out)


def _draw_map(axes: Axes, x: FloatArray, y: FloatArray, values: FloatArray, *, logarithmic: bool) -> None:
    """Mean of the values in hexagons, with a colour bar in degrees."""
    across = int(np.clip(np.sqrt(len(x)) / 2.4, 8, 40))
    gridsize = (across, max(3, round(across * float(np.ptp(y)) / max(float(np.ptp(x)), 1e-9) / np.sqrt(3))))
    painted = axes.hexbin(
        x, y, C=values, gridsize=gridsize, cmap="viridis", bins="log" if logarithmic else None, linewidths=0.2
    )
    axes.margins(0.6 / across, 0.5 / gridsize[1])  # half a hexagon lies outside
    bar = axes.figure.colorbar(painted, ax=axes, shrink=0.9)
    bar.set_label("standard deviation [°]")
    if logarithmic:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
