"""Figures of tracked paths: joints over time, and where the arm was held back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ik_mdn.paths.tracked import Tracked
from sim.arm import Arm
from sim.rendering import new_figure, save_figure
from sim.world import speed_limits


def draw_joints(arm: Arm, tracked: Tracked, out: Path) -> None:
    """Draw the joints, their speed as a share of the limit, and the place on the path over time.

    Args:
        arm: Whose joints they are.
        tracked: What was followed.
        out: The figure; the ending decides the format.

    Raises:
        ShapeError: No format has that ending.
    """
    figure, (angles, speeds, places) = new_figure(3, 1, figsize=(7, 7), sharex=True, height_ratios=(3, 2, 2))
    times = np.arange(len(tracked.q)) * tracked.dt
    shares = np.abs(np.diff(tracked.q, axis=0)) / (speed_limits(arm) * tracked.dt)
    for i, name in enumerate(arm.joint_names):
        angles.plot(times, tracked.q[:, i], label=name, linewidth=1.2)
        speeds.plot(times[1:], shares[:, i], linewidth=1.0)
    angles.set_ylabel("joints [rad, m]")
    angles.set_title(f"{arm.name}: {tracked.status}, {tracked.fraction:.0%} of the path")
    angles.legend(frameon=False, fontsize=8, ncols=2)
    speeds.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    speeds.set_ylabel("speed / limit")
    planned = np.arange(len(tracked.path)) * tracked.dt
    places.plot(planned, np.linspace(0, 1, len(planned)), color="grey", linestyle="--", label="planned")
    places.plot(times, tracked.u / max(len(tracked.path) - 1, 1), label="followed")
    places.set_ylabel("share of the path")
    places.set_xlabel("time [s]")
    places.legend(frameon=False)
    for axes in (angles, speeds, places):
        axes.grid(alpha=0.3)
    save_figure(figure, out)
