"""Figures of training: loss curves, and the choice of the number of components."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.rendering import BLUE, GREY, RED, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ik_mdn.training.scores import MixtureCandidate, ModelSelection


_FEW = 20  # rows up to which each one is marked: a line through one point cannot be seen
_FLAT = 0.2  # share of the figure's height below which the differences between most candidates are flattened
_GAP = 0.4  # share of the height that lies empty between these and what flattens them


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
        style = {"linewidth": 1.2, "marker": "o" if len(minutes) <= _FEW else "", "markersize": 4}
        name = path.absolute().parent.name or path.name
        label = f" {name}" if name.startswith("_") else name  # else no name in the legend
        loss_axes.plot(minutes, columns["loss"], label=label, **style)
        floor_axes.plot(minutes, columns["floor"], **style)
    loss_axes.set_title("Loss and variance floor in training")
    loss_axes.set_ylabel("loss: NLL [nats], of regressors\nsquared error [rad² or m²]")
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
    heights = _heights(choice)
    kinds = list(dict.fromkeys(candidate.covariance for candidate in choice.candidates))
    figure, axes = new_figure(1, len(kinds), figsize=(max(6.2, 4.6 * len(kinds)), 4.6), sharey=True, squeeze=False)
    for panel, kind in zip(axes[0], kinds, strict=True):
        draw_curve(panel, [c for c in choice.candidates if c.covariance == kind], choice, heights=heights)
        panel.set_title(f"{kind} covariance", fontsize=11)
    axes[0][0].set_ylabel("negative log-likelihood [nats]")
    handles, labels = axes[0][0].get_legend_handles_labels()
    for panel in axes[0][1:]:
        more, names = panel.get_legend_handles_labels()
        handles += [h for h, name in zip(more, names, strict=True) if name not in labels]
        labels += [name for name in names if name not in labels]
    figure.legend(handles, labels, loc="outside lower center", ncol=min(4, len(labels)), frameon=False, fontsize=9)
    save_figure(figure, out)


def _heights(choice: ModelSelection) -> tuple[float, float] | None:
    """The NLL to show where some candidates are so bad that they would flatten the others; None: all of it."""
    parts = [part for one in choice.candidates for part in (one.training, one.validation)]
    values = np.sort([part.mean for part in parts])
    height, gaps = values[-1] - values[0], np.diff(values)
    flat = np.flatnonzero((values[:-1] - values[0] < _FLAT * height) & (gaps > _GAP * height))
    if not len(flat) or flat[0] < 2:
        return None
    kept = [part for part in parts if part.mean <= values[flat[0]]]
    low, high = min(part.mean - part.error for part in kept), max(part.mean + part.error for part in kept)
    return low - 0.1 * (high - low), high + 0.2 * (high - low)


def draw_curve(
    axes: Axes,
    candidates: Sequence[MixtureCandidate],
    choice: ModelSelection,
    *,
    heights: tuple[float, float] | None = None,
) -> None:
    """Draw the NLL of candidates over K, with the limit of the rule and its pick.

    Args:
        axes: Where to draw.
        candidates: Those to show, of one covariance.
        choice: Gives limit and pick; the pick is marked where it is among the candidates.
        heights: Ends of the axis; what lies above is written at the edge. None: everything is shown.
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
    if heights is not None:
        axes.set_ylim(heights)
        at_the_edge: dict[str, Any] = {
            "xycoords": ("data", "axes fraction"),
            "xytext": (0, -4),
            "textcoords": "offset points",
        }
        for one in (one for one in ordered if one.validation.mean > heights[1]):
            axes.annotate(f"↑ {one.validation.mean:.3g}", (one.components, 1.0), va="top", **at_the_edge)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("number of components K [-]")
    axes.grid(alpha=0.3)
