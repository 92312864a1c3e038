"""The figure of recall against time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarking.ours import OURS, RESTARTS, THOROUGH
from sim.rendering.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE = {
    OURS: (BLUE, "o"),
    RESTARTS: (GREY, "s"),
    THOROUGH: (GREEN, "*"),
    "EAIK": (ORANGE, "D"),
    "ssik": (PURPLE, "^"),
}
_TICKS = (0.5, 0.1, 1e-2, 1e-3, 1e-4)


def draw_recall(arms: Mapping[str, Mapping[str, Any]], out: Path) -> bool:
    """Draw the share of branches found against CPU time per pose in a batch, one panel per arm with six joints.

    Args:
        arms: Results with the section "curve".
        out: The figure.

    Returns:
        Whether there was anything to draw.
    """
    with_curve = {name: one["curve"] for name, one in arms.items() if "curve" in one}
    if not with_curve:
        return False
    figure, axes = new_figure(
        1, len(with_curve), figsize=(4.6 * len(with_curve) + 0.4, 4.6), sharey=True, squeeze=False
    )
    lowest = min(0.3 / point["branches"] for curve in with_curve.values() for point in curve.values())
    for panel, (name, curve) in zip(axes[0], with_curve.items(), strict=True):
        _draw_panel(panel, curve, lowest, named=panel is axes[0][0])
        panel.set_title(name)
        panel.set_xlabel("CPU time per pose in a batch [µs]")
    axes[0][0].set_ylabel("share of true branches found")
    ticks = [tick for tick in _TICKS if tick > 1.5 * lowest]
    axes[0][0].set_yticks([*ticks, lowest], [*(f"{100 * (1 - tick):g} %" for tick in ticks), "all"])
    axes[0][0].set_ylim(1.0, 0.6 * lowest)
    handles = {label: h for p in axes[0] for h, label in zip(*p.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=3 if len(with_curve) < 3 else 6,
        frameon=False,
    )
    save_figure(figure, out)
    return True


def _draw_panel(axes: Axes, curve: Mapping[str, Any], lowest: float, *, named: bool) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    for name, (colour, marker) in _STYLE.items():
        keys = [key for key in curve if key == name or key.startswith(f"{name}:")]
        swept = sorted((key for key in keys if ":" in key), key=lambda key: int(key.rpartition(":")[2]))
        if swept:
            x, y = (np.array(v) for v in zip(*(_place(curve[key], lowest) for key in swept), strict=True))
            axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.4, label=f"{name}, by seeds")
            for at, drop in ((0, -3), (-1, -14)) if named else ():
                seeds = swept[at].rpartition(":")[2]
                left = name == RESTARTS and at == 0  # the other curve runs to its right
                where = {
                    "xytext": (-5 if left else 5, drop),
                    "textcoords": "offset points",
                    "ha": "right" if left else "left",
                }
                text = f"{seeds} seed" + "s" * (seeds != "1")
                axes.annotate(text, (x[at], y[at]), **where, fontsize=7, color=colour)
        if name in curve:
            x_one, y_one = _place(curve[name], lowest)
            label = f"{name}, as called" if swept else name
            size = 130 if marker == "*" else 60
            axes.scatter(
                [x_one], [y_one], color=colour, marker=marker, s=size, zorder=4, label=label, edgecolor="black"
            )
    axes.axhline(lowest, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.grid(alpha=0.25)


def _place(point: Mapping[str, Any], lowest: float) -> tuple[float, float]:
    return point["us"][0], max(1.0 - point["recall"], lowest)
