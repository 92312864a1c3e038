"""What a planar arm does with a target: every answer of the mixture, and the regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import FloatArray
from sim.kinematics import joint_origins
from sim.rendering import draw_planar_arm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.arm import Arm


MODE_COLOURS = ("#1b6ca8", "#2a9d8f", "#7b4fa3", "#b5651d")


MSE_COLOUR = "#c8352b"


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
