"""Figures of a comparison: how errors are distributed, what averaging does, what a planar arm does with a target."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ik_mdn.comparison.methods import METHODS, MSE_COLOUR
from sim.arrays import FloatArray
from sim.kinematics import joint_origins
from sim.rendering import draw_planar_arm, new_figure, show_names_as_they_are

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ik_mdn.comparison.measuring import MethodResult
    from sim.arm import Arm

MODE_COLOURS = ("#1b6ca8", "#2a9d8f", "#7b4fa3", "#b5651d")
TARGET_COLOUR = "#f2b134"

_LEAST, _MOST = 1e-3, 4e3  # ends of the axis of errors [mm]


def draw_errors(axes: Axes, results: Sequence[MethodResult]) -> None:
    """Draw the share of the poses that each method answers within a distance, over that distance.

    Args:
        axes: Where to draw.
        results: Of `measuring.compare`; poses without an answer count as never near enough.
    """
    for place, result in enumerate(results):
        errors = np.sort(np.clip(1e3 * result.err_pos, _LEAST, None))
        errors = errors[np.isfinite(errors)]
        share = 100.0 * np.arange(1, len(errors) + 1) / len(result.err_pos)
        last = share[-1] if len(share) else 0.0
        x, y = np.concatenate([[_LEAST], errors, [_MOST]]), np.concatenate([[0.0], share, [last]])
        axes.step(
            x, y, where="post", label=METHODS[result.name].name, zorder=2 + 0.01 * place, **METHODS[result.name].style
        )
    for limit, name in ((1.0, "1 mm"), (10.0, "1 cm")):
        axes.axvline(limit, color="#888888", linewidth=0.9, zorder=1)
        axes.annotate(name, (limit, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9)
    axes.set(xscale="log", xlim=(_LEAST, _MOST), ylim=(-1.5, 101.5))
    axes.set_xlabel("position error [mm]")
    axes.set_ylabel("share of the poses [%]")
    axes.grid(alpha=0.25)


def errors_picture(results: Sequence[MethodResult]) -> bytes:
    """A PNG of `draw_errors`, with a legend below."""
    figure, axes = new_figure(1, 1, figsize=(7.6, 5.4))
    draw_errors(axes, results)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=2, frameon=False, fontsize=10)
    return png(figure)


def averaging_picture() -> bytes:
    """A PNG of two exact answers of two equal links and of their average, which reaches past the target."""
    from sim.arm import planar_arm

    arm, bend = planar_arm([1.0, 1.0]), 1.5
    q_up, q_down = np.array([0.25 + bend / 2, -bend]), np.array([0.25 - bend / 2, bend])
    figure, axes = new_figure(1, 1, figsize=(6.4, 5.6))
    answers = ((q_up, MODE_COLOURS[0], "elbow up"), (q_down, MODE_COLOURS[1], "elbow down"))
    for q, colour, name in answers:
        draw_planar_arm(axes, arm, q, color=colour, linewidth=5, markersize=9, label=name)
    mean = (q_up + q_down) / 2
    draw_planar_arm(
        axes, arm, mean, color=MSE_COLOUR, linewidth=3.5, markersize=7, linestyle="--", label="their average"
    )
    goal, tip = (joint_origins(arm, q)[-1, :2] for q in (q_up, mean))
    edge: dict[str, Any] = {"markeredgecolor": "black", "linestyle": "", "zorder": 5}
    axes.plot(*tip, marker="X", markersize=15, color=MSE_COLOUR, label="where the average ends", **edge)
    axes.plot(*goal, marker="*", markersize=22, color=TARGET_COLOUR, label="target", **edge)
    axes.set(aspect="equal", xlim=(-0.12, 2.12), ylim=(-0.66, 0.95))
    axes.set_axis_off()
    figure.legend(loc="outside lower center", ncol=2, frameon=False, fontsize=12)
    return png(figure)


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
        color=TARGET_COLOUR,
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


def png(figure: Figure, *, dpi: int = 130, tight: bool = True, photo: bool = False) -> bytes:
    """A figure as a small PNG.

    Args:
        figure: What to write.
        dpi: Pixels per inch.
        tight: Cut off empty margins; without, the picture has the figure's size.
        photo: Keep all colours; without, there are at most 256.
    """
    from PIL import Image

    show_names_as_they_are(figure)
    plain, small = BytesIO(), BytesIO()
    figure.savefig(plain, format="png", dpi=dpi, bbox_inches="tight" if tight else None, pad_inches=0.06)
    picture = Image.open(plain).convert("RGB")
    if not photo:
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    picture.save(small, format="PNG", optimize=True)
    return small.getvalue()
