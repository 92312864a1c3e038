"""Figures of reach tasks: how they ended, how far from the target, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ik_mdn.control import ReachStatus
from ik_mdn.evaluation import number
from sim.arrays import FloatArray
from sim.rendering import new_figure, save_figure

_GOOD, _BAD, _PLAIN = "#2a9d8f", "#c8352b", "#1b6ca8"
_LEAST = 1e-9  # errors below this are drawn as this: logarithmic axes have no zero


def draw_figures(folder: Path, records: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Draw outcomes, errors and times of a suite, one PNG each.

    Args:
        folder: Where to.
        records: See `summary.describe_episode`; errors and ways are drawn for the episodes that moved.

    Returns:
        The files; none without episodes.
    """
    if not records:
        return []
    drawn = {"outcomes": _draw_outcomes, "errors": _draw_errors, "times": _draw_times}
    for name, draw in drawn.items():
        draw(folder / f"{name}.png", records)
    return [folder / f"{name}.png" for name in drawn]


def _draw_outcomes(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    kinds = [(status.value, good) for status in ReachStatus for good in (True, False)]
    counts = [sum(r["status"] == status and r["success"] == good for r in records) for status, good in kinds]
    bars = [(kind, count) for kind, count in zip(kinds, counts, strict=True) if count]
    figure, axes = new_figure(1, 1, figsize=(7, 0.6 * len(bars) + 1.7))
    labels = [_label(status, good) for (status, good), _ in bars]
    colours = [_GOOD if good else _BAD for (_, good), _ in bars]
    drawn = axes.barh(labels, [count for _, count in bars], color=colours)
    axes.bar_label(drawn, padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel=f"episodes of {len(records)}", title="How the episodes ended (green: as it should be)")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_errors(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    moved = [record for record in records if record["moved"]]
    figure, both = new_figure(1, 2, figsize=(10, 4.4), sharey=True)
    figure.suptitle("Where the tip came to rest: distance from the target")
    panels = (("err_pos", 1e3, "position", "mm", 1.0), ("err_rot", 1.0, "rotation", "rad", 0.01))
    for axes, (name, scale, label, unit, tolerance) in zip(both, panels, strict=True):
        _draw_shares(axes, np.array([scale * max(record[name], _LEAST) for record in moved]), unit)
        limit = f"counts as reached: {tolerance:g} {unit}"
        axes.axvline(tolerance, color=_BAD, linestyle="--", linewidth=1, label=limit)
        axes.set(xlabel=f"{label} error at the end [{unit}]", xscale="log")
    both[0].set_ylabel(f"share of the {len(moved)} episodes that moved")
    _finish(figure, both, path)


def _draw_times(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    moved = [record for record in records if record["moved"]]
    figure, panels = new_figure(1, 3, figsize=(12, 4.4), sharey=True)
    figure.suptitle(f"Time per episode, {len(records)} episodes")
    drawn = (
        ("time_solve", 1e3, "to find solutions [ms]", records),
        ("time_decide", 1e3, "to choose one and a way there [ms]", records),
        ("time_execute", 1.0, "of the motion, simulated [s]", moved),
    )
    for axes, (name, scale, label, rows) in zip(panels, drawn, strict=True):
        _draw_shares(axes, np.array([scale * record[name] for record in rows]), label[-3:-1].strip("["))
        axes.set_xlabel(f"time {label}")
        if name != "time_execute":
            _set_log_scale(axes)
    panels[0].set_ylabel("share of the episodes")
    _finish(figure, panels, path)


def _draw_shares(axes: Any, values: FloatArray, unit: str) -> None:
    """The share of values up to each value, as steps, with median and 95th percentile marked."""
    axes.set_ylim(0.0, 1.02)
    axes.grid(alpha=0.3)
    if not len(values):
        axes.text(0.5, 0.5, "the arm never moved", ha="center", va="center", transform=axes.transAxes)
        return
    ordered = np.sort(values)
    shares = np.arange(len(ordered) + 1) / len(ordered)
    axes.step(np.append(ordered[0], ordered), shares, where="post", color=_PLAIN, linewidth=1.8)
    axes.margins(x=0.15)
    for share, name, marker in ((0.5, "median", "o"), (0.95, "95th percentile", "D")):
        at = float(np.quantile(ordered, share, method="inverted_cdf"))  # one of the values: on the curve
        axes.plot(at, share, marker=marker, color=_PLAIN, linestyle="", label=name)
        left = share > 0.9
        axes.annotate(
            f"{number(at)} {unit}",
            (at, share),
            textcoords="offset points",
            xytext=(-8 if left else 8, 4 if left else -4),
            ha="right" if left else "left",
            va="bottom" if left else "top",
            fontsize=9,
        )


def _set_log_scale(axes: Any) -> None:
    """A logarithmic axis with plain numbers, also where it spans less than two powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _finish(figure: Any, panels: Any, path: Path) -> None:
    """One legend below all panels, and the file."""
    pairs = [panel.get_legend_handles_labels() for panel in panels]
    named = {label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named), frameon=False)
    save_figure(figure, path)


def _label(status: str, good: bool) -> str:
    if status == ReachStatus.REACHED.value and not good:
        return "reached, but touched on the way"
    return status.replace("_", " ") + (", as it should be" if good and status != ReachStatus.REACHED.value else "")
