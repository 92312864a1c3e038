"""Figures of reach tasks: how they ended, how far from the target, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ik_mdn.control import ReachStatus
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
    figure, axes = new_figure(1, 1, figsize=(7, 0.6 * len(bars) + 1.4))
    labels = [_label(status, good) for (status, good), _ in bars]
    colours = [_GOOD if good else _BAD for (_, good), _ in bars]
    drawn = axes.barh(labels, [count for _, count in bars], color=colours)
    axes.bar_label(drawn, padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(f"episodes of {len(records)}")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_errors(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    moved = [record for record in records if record["moved"]]
    figure, both = new_figure(1, 2, figsize=(10, 4), sharey=True)
    panels = (
        ("err_pos", 1e3, "position error at the end [mm]", 1.0),
        ("err_rot", 1.0, "rotation error at the end [rad]", 0.01),
    )
    for axes, (name, scale, label, tolerance) in zip(both, panels, strict=True):
        _draw_shares(axes, np.array([scale * max(record[name], _LEAST) for record in moved]))
        axes.axvline(tolerance, color=_BAD, linestyle="--", linewidth=1, label=f"counts as reached: {tolerance:g}")
        axes.set(xlabel=label, xscale="log")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    both[0].set_ylabel(f"share of the {len(moved)} episodes that moved")
    save_figure(figure, path)


def _draw_times(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    moved = [record for record in records if record["moved"]]
    figure, panels = new_figure(1, 3, figsize=(12, 4), sharey=True)
    drawn = (
        ("time_solve", 1e3, "time to solve [ms]", records),
        ("time_decide", 1e3, "time to decide [ms]", records),
        ("time_execute", 1.0, "simulated time of motion [s]", moved),
    )
    for axes, (name, scale, label, rows) in zip(panels, drawn, strict=True):
        _draw_shares(axes, np.array([scale * record[name] for record in rows]))
        axes.set_xlabel(label)
        if name != "time_execute":
            axes.set_xscale("log")
    panels[0].set_ylabel("share of the episodes")
    save_figure(figure, path)


def _draw_shares(axes: Any, values: FloatArray) -> None:
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
    for share in (0.5, 0.95):
        at = float(np.quantile(ordered, share))
        axes.plot(at, share, marker="o", color=_PLAIN)
        axes.annotate(f"{at:.3g}", (at, share), textcoords="offset points", xytext=(-6, 2), ha="right", fontsize=9)


def _label(status: str, good: bool) -> str:
    if status == ReachStatus.REACHED.value and not good:
        return "reached, but touched on the way"
    return status.replace("_", " ") + (", as it should be" if good and status != ReachStatus.REACHED.value else "")
