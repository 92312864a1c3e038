"""Figures: training curves, and what planar arms do with a target."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import ShapeError
from sim.files import whole_file
from sim.kinematics import joint_origins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.arm import Arm

FloatArray = NDArray[np.float64]

MODE_COLOURS = ("#1b6ca8", "#2a9d8f", "#7b4fa3", "#b5651d")
MSE_COLOUR = "#c8352b"


def plot_training(metrics: Sequence[Path], out: Path) -> None:
    """Draw loss and variance floor of training runs over time.

    Args:
        metrics: Files written by training (step, seconds, loss, floor).
        out: The figure; the ending decides the format.

    Raises:
        ShapeError: A file holds no rows yet, or is no metrics file.
    """
    figure, (loss_axes, floor_axes) = new_figure(2, 1, figsize=(7, 6), sharex=True, height_ratios=(3, 1))
    for path in metrics:
        columns = _read_metrics(path)
        minutes = columns["seconds"] / 60
        loss_axes.plot(minutes, columns["loss"], label=path.parent.name or path.name, linewidth=1.2)
        floor_axes.plot(minutes, columns["floor"], linewidth=1.2)
    loss_axes.set_ylabel("loss (NLL [nats] or squared error [rad²])")
    floor_axes.set_ylabel("floor [rad]")
    floor_axes.set_yscale("log")
    floor_axes.set_xlabel("training time [min]")
    loss_axes.legend(frameon=False)
    for axes in (loss_axes, floor_axes):
        axes.grid(alpha=0.3)
    save_figure(figure, out)


def draw_planar_arm(axes: Axes, arm: Arm, q: FloatArray, **style: Any) -> None:
    """Draw the links and joints of a planar arm.

    Args:
        axes: Where to draw.
        arm: A planar arm.
        q: One joint vector, shape (n,).
        **style: Passed to matplotlib's `plot` (colour, label, width, ...).
    """
    points = joint_origins(arm, q)
    axes.plot(points[:, 0], points[:, 1], marker="o", solid_capstyle="round", **style)


def draw_target_panel(
    axes: Axes, arm: Arm, target: FloatArray, *, modes: FloatArray, weights: FloatArray, q_mse: FloatArray
) -> float:
    """Draw every answer of the mixture and the regressor's pose for one target of a planar arm.

    Args:
        axes: Where to draw.
        arm: A planar arm.
        target: `T_base_tip`, shape (4, 4).
        modes: The mixture's distinct answers, shape (m, n).
        weights: Their probabilities, shape (m,).
        q_mse: The regressor's answer, shape (n,).

    Returns:
        How far the regressor's tip is from the target [m].
    """
    for i, (q, weight) in enumerate(zip(modes, weights, strict=True)):
        colour = MODE_COLOURS[i % len(MODE_COLOURS)]
        draw_planar_arm(
            axes, arm, q, color=colour, linewidth=3.5, markersize=6, label=f"MDN mode {i + 1} ({100 * weight:.0f} %)"
        )
    draw_planar_arm(
        axes, arm, q_mse, color=MSE_COLOUR, linewidth=2.5, markersize=5, linestyle="--", label="MSE regressor"
    )
    tip = joint_origins(arm, q_mse)[-1, :2]
    goal = target[:2, 3]
    miss = float(np.linalg.norm(tip - goal))
    axes.plot(*zip(tip, goal, strict=True), color=MSE_COLOUR, linewidth=1.5, linestyle=":")
    axes.plot(*tip, marker="X", markersize=13, color=MSE_COLOUR, markeredgecolor="black", linestyle="", label="its tip")
    axes.plot(
        *goal,
        marker="*",
        markersize=17,
        color="#f2b134",
        markeredgecolor="black",
        linestyle="",
        label="target",
        zorder=5,
    )
    axes.set_title(f"MSE misses by {100 * miss:.0f} cm", fontsize=11, color=MSE_COLOUR)
    reach = 1.08 * arm.reach
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="x [m]", ylabel="y [m]")
    axes.grid(alpha=0.25)
    return miss


def new_figure(rows: int, columns: int, **options: Any) -> tuple[Figure, Any]:
    """A figure that needs no screen, and its axes.

    Args:
        rows, columns: Of axes.
        **options: As for `matplotlib.pyplot.subplots`.

    Returns:
        The figure, and its axes in the shape that `subplots` gives them.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, layout="constrained", **options)


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure to a temporary name, rename it, and close the figure.

    Args:
        figure: What to write.
        out: The file, whose folder is made; the ending decides the format.

    Raises:
        ShapeError: No format has that ending.
    """
    from matplotlib import pyplot as plt

    endings = figure.canvas.get_supported_filetypes()
    if out.suffix[1:].lower() not in endings:
        raise ShapeError(f"cannot draw to {out}: the ending decides the format; allowed: {', '.join(sorted(endings))}")
    with whole_file(out) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight")
    plt.close(figure)


def _read_metrics(path: Path) -> dict[str, FloatArray]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = ("seconds", "loss", "floor")
    if not rows or any(name not in rows[0] for name in wanted):
        raise ShapeError(
            f"{path} holds no training metrics; give a run folder of `ik-mdn train` (columns {', '.join(wanted)})"
        )
    return {name: np.array([float(row[name]) for row in rows]) for name in wanted}
