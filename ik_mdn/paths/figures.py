"""Figures of tracked paths: joints over time, and where the arm was held back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ik_mdn.paths.tracked import Tracked
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.rendering import new_figure, save_figure
from sim.task import TASKS, error_norms, task_error
from sim.world import speed_limits

_STYLES = ("-", "--", "-.", ":")  # and each line thinner than the one before: none hides another
_SMALL = 1e-9  # [m] a way of the tip below this is none


def draw_joints(arm: Arm, tracked: Tracked, out: Path) -> None:
    """Draw the joints, their speed as a share of the limit, and the place on the path over time.

    Args:
        arm: Whose joints they are.
        tracked: What was followed.
        out: The figure; the ending decides the format.

    Raises:
        ShapeError: No format has that ending.
    """
    figure, (angles, speeds, places) = new_figure(3, 1, figsize=(8, 7), sharex=True, height_ratios=(3, 2, 2))
    times = np.arange(len(tracked.q)) * tracked.dt
    shares = np.abs(np.diff(tracked.q, axis=0)) / (speed_limits(arm) * tracked.dt)
    for i, name in enumerate(arm.joint_names):
        line = {"linestyle": _STYLES[i % len(_STYLES)], "linewidth": 3.0 - 2.0 * i / arm.n_joints}
        angles.plot(times, tracked.q[:, i], label=name, **line)
        speeds.plot(times[1:], shares[:, i], **line)
    units = [unit for unit, slides in (("rad", False), ("m", True)) if (arm.is_prismatic == slides).any()]
    angles.set_ylabel(f"joints [{', '.join(units)}]")
    angles.set_title(f"{arm.name}: {tracked.status.about}\n{tracked.fraction:.0%} of the path's samples passed")
    angles.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    speeds.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    speeds.set_ylabel("speed / limit")
    planned = np.arange(len(tracked.path), dtype=np.float64)
    way, unit = _way(tracked, planned)
    places.plot(planned * tracked.dt, way, color="0.75", linewidth=5, label="planned")
    places.plot(times, np.interp(tracked.u, planned, way), label="followed")
    places.set_ylabel(f"way of the tip [{unit}]")
    places.set_xlabel("time [s]")
    places.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in (angles, speeds, places):
        axes.grid(alpha=0.3)
    save_figure(figure, out)


def _way(tracked: Tracked, u: FloatArray) -> tuple[FloatArray, str]:
    """How far the tip has come at places of the path (U,), shape (U,), and its unit: metres, or radians where it turns only."""
    T = tracked.path.pose_at(u)
    steps, unit = np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=-1), "m"
    if not steps.sum() > _SMALL:
        steps, unit = error_norms(task_error(TASKS["pose"], T[:-1], T[1:]))[1], "rad"
    return np.concatenate([[0.0], np.cumsum(steps)]), unit
