"""Figures of training: loss curves, and the choice of the number of components."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.rendering import BLUE, GREY, RED, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ik_mdn.training.scores import MixtureCandidate, ModelSelection


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


def _read_metrics(path: Path) -> dict[str, FloatArray]:
    wanted = ("seconds", "loss", "floor")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {name: np.array([float(row[name]) for row in rows]) for name in wanted}
    except (KeyError, TypeError, ValueError, csv.Error):
        columns = {}
    if not columns or not len(columns["loss"]):
        raise ShapeError(
            f"{path} holds no training metrics; give a run folder of `ik-mdn train` (columns {', '.join(wanted)})"
        )
    return columns


def draw_choice(choice: ModelSelection, out: Path) -> None:
    """Draw the bias-variance curve: training and validation NLL over K with standard errors, and what the rule picks.

    Args:
        choice: Of `ik_mdn.training.selection.choose`.
        out: The figure; the ending decides the format.
    """
    kinds = list(dict.fromkeys(candidate.covariance for candidate in choice.candidates))
    figure, axes = new_figure(1, len(kinds), figsize=(max(6.2, 4.6 * len(kinds)), 4.6), sharey=True, squeeze=False)
    for panel, kind in zip(axes[0], kinds, strict=True):
        draw_curve(panel, [c for c in choice.candidates if c.covariance == kind], choice)
        panel.set_title(f"{kind} covariance", fontsize=11)
    axes[0][0].set_ylabel("negative log-likelihood [nats]")
    handles, labels = axes[0][0].get_legend_handles_labels()
    for panel in axes[0][1:]:
        more, names = panel.get_legend_handles_labels()
        handles += [h for h, name in zip(more, names, strict=True) if name not in labels]
        labels += [name for name in names if name not in labels]
    figure.legend(handles, labels, loc="outside lower center", ncol=min(4, len(labels)), frameon=False, fontsize=9)
    save_figure(figure, out)


def draw_curve(axes: Axes, candidates: Sequence[MixtureCandidate], choice: ModelSelection) -> None:
    """Draw the NLL of candidates over K, with the limit of the rule and its pick.

    Args:
        axes: Where to draw.
        candidates: Those to show, of one covariance.
        choice: Gives limit and pick; the pick is marked where it is among the candidates.
    """
    ordered = sorted(candidates, key=lambda c: c.components)
    ks = [c.components for c in ordered]
    parts = (("training", GREY, "s--"), ("validation", BLUE, "o-"))
    for name, colour, style in parts:
        means = [getattr(c, name).mean for c in ordered]
        errors = [getattr(c, name).error for c in ordered]
        axes.errorbar(ks, means, errors, fmt=style, color=colour, capsize=4, linewidth=1.8, label=f"{name} (± 1 SE)")
    axes.axhline(choice.limit, color=RED, linewidth=1.2, linestyle=":", label="best + 1 SE")
    if choice.picked in ordered:
        axes.plot(
            choice.picked.components,
            choice.picked.validation.mean,
            marker="o",
            markersize=17,
            markerfacecolor="none",
            markeredgecolor=RED,
            markeredgewidth=2.2,
            linestyle="",
            label=f"picked: K = {choice.picked.components}, {choice.picked.covariance}",
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("number of components K [-]")
    axes.grid(alpha=0.3)
