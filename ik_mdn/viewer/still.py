"""A picture of a target's solutions with the table beside it, for documents; no browser is needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ik_mdn.viewer.answer import say_miss
from ik_mdn.viewer.ghosts import MSE, branch_colour, solution_ghosts
from ik_mdn.viewer.judge import Judge
from ik_mdn.viewer.session import Session
from ik_mdn.viewer.tour import Stop, make_tour
from ik_mdn.viewer.visuals import GREY, load_looks
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, joint_origins
from sim.rendering import Layers, Picture, camera_around, camera_for, floor_height, new_figure, project, save_figure
from sim.scenes import Scene
from sim.world import GhostWorld, World, blend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (760, 620)
_MSE_OPACITY = 0.5
_LINE = 0.05  # height of a line of the table


def save_still(path: str | Path, session: Session, scene: Scene | None = None) -> None:
    """Write a picture: every solution in its colour, the more probable the more opaque, the choice solid; the regressor red; the table.

    Args:
        path: The file; its ending says the format.
        session: The arm and its models.
        scene: Obstacles around it.

    Raises:
        ShapeError: No format has that ending.
    """
    meshes = not load_looks(session.arm).lost
    judge = Judge(session.solver, meshes=meshes)
    judge.set_scene(scene)
    try:
        (stop,) = make_tour(session, session.start_target()[None], judge)
    finally:
        judge.close()
    figure, (left, right) = new_figure(1, 2, figsize=(13, 6), width_ratios=(1.25, 1))
    _draw_arms(left, session, stop, scene, meshes=meshes)
    _write_table(right, session, stop)
    save_figure(figure, Path(path))


def _draw_arms(axes: Axes, session: Session, stop: Stop, scene: Scene | None, *, meshes: bool) -> None:
    arm, answer, mse = session.arm, stop.answer, stop.details.mse
    shown = solution_ghosts(answer, stop.solid)
    arms = list(zip(shown.q, shown.colour, shown.opacity, strict=True))
    q, colour, _ = arms.pop(stop.solid) if stop.solid is not None else (session.q_now, np.array(GREY), 1.0)
    arms += [(mse.q, np.array(MSE), _MSE_OPACITY)] if mse is not None else []
    camera = _camera(session, np.array([q, *(each[0] for each in arms)]))
    with World() as world, GhostWorld(arm, np.eye(4), camera, meshes=meshes) as ghosts:
        world.add_ground(height=floor_height(arm, scene, depth=0.0) - 0.01, size=4.0 * arm.reach)
        if scene is not None:
            world.add_scene(scene, arm)
        world.add_arm(arm, meshes=meshes).set_q(q)
        view = _painted(world.render_layers(camera), ghosts.take(q, _unit(colour)))
        layers = [ghosts.take(q, _unit(colour)) for q, colour, _ in arms]
    picture: Picture = blend(view, layers, alpha=[opacity for _, _, opacity in arms])
    axes.imshow(picture)
    goal = project(camera, answer.T_base_target[:3, 3])
    if mse is not None:
        tip = project(camera, mse.p_base_tip)
        axes.plot(*zip(tip, goal, strict=True), color=_unit(MSE), linewidth=2)
    axes.plot(*goal, marker="*", markersize=15, color=(0.95, 0.6, 0.1), markeredgecolor="black")
    axes.set(xlim=(-0.5, camera.width - 0.5), ylim=(camera.height - 0.5, -0.5))
    axes.set_axis_off()


def _painted(view: Layers, arm: Layers) -> Layers:
    """A view with the arm in it in another colour, where nothing stands before it."""
    seen = arm.solid & (arm.depth <= view.depth + 1e-3)
    return replace(view, rgb=np.where(seen[..., None], arm.rgb, view.rgb))


def _camera(session: Session, q: FloatArray) -> Any:
    arm, (width, height) = session.arm, _SIZE
    if arm.is_planar:
        return replace(camera_for(arm, width=width, height=height), supersample=2)
    points = np.vstack([np.zeros((1, 3)), joint_origins(arm, q).reshape(-1, 3)])
    tips = forward_kinematics(arm, q)[:, :2, 3].mean(axis=0)
    return camera_around(points, facing=tips, margin=0.12 * arm.reach, width=width, height=height)


def _write_table(axes: Axes, session: Session, stop: Stop) -> None:
    answer, details, verdict = stop.answer, stop.details, stop.verdict
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    axes.text(0.0, 0.98, f"{session.arm.name}: {answer.sentence}", weight="bold", va="top", wrap=True, fontsize=10)
    y = 0.86
    for x, head in zip((0.07, 0.22, 0.36, 0.5), ("probability", "to limit", "manip.", "the controller"), strict=True):
        axes.text(x, y, head, fontsize=8, color="0.4")
    for i, branch in enumerate(answer.branch.tolist()):
        y -= _LINE
        colour = _unit(branch_colour(branch))
        axes.text(0.0, y, f" {i + 1} ", color="white", fontsize=9, bbox={"facecolor": colour, "edgecolor": "none"})
        weight = "bold" if i == stop.solid else "normal"
        cells = (f"{answer.weight[i]:.3f}", f"{details.margin[i]:.2f}", f"{details.manipulability[i]:.2g}")
        for x, cell in zip((0.07, 0.22, 0.36), cells, strict=True):
            axes.text(x, y, cell, fontsize=9, weight=weight)
        reason = verdict.reasons[i] if verdict is not None else ""
        axes.text(0.5, y, reason if len(reason) < 48 else f"{reason[:46]}…", fontsize=8, weight=weight)
    y -= 2 * _LINE
    axes.text(0.0, y, "The solid arm is the one in bold; the more probable, the more opaque.", fontsize=10)
    if details.mse is not None:
        miss = say_miss(details.mse, rotation=session.rotation)
        axes.text(0.0, y - _LINE, f"The regressor (MSE, red) misses by {miss}.", color=_unit(MSE), fontsize=10)


def _unit(colour: Iterable[int]) -> tuple[float, float, float]:
    r, g, b = colour
    return r / 255, g / 255, b / 255
