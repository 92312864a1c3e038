"""A picture of a target's solutions with the table beside it, for documents; no browser is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ik_mdn.viewer.answer import say_miss
from ik_mdn.viewer.ghosts import MSE, branch_colour, solution_ghosts
from ik_mdn.viewer.judge import Judge
from ik_mdn.viewer.session import Session
from ik_mdn.viewer.tour import Stop, make_tour
from ik_mdn.viewer.visuals import load_looks
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, joint_origins
from sim.rendering import (
    CLOSE,
    Camera,
    Picture,
    camera_around,
    camera_for,
    floor_height,
    new_figure,
    project,
    save_figure,
)
from sim.scenes import Scene
from sim.world import GhostWorld, World, blend, put_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (760, 620)
_MSE_OPACITY = 0.5
_NOW = (140, 140, 140)  # of the arm where it is now, shown where nothing is chosen
_ROOM = 0.3  # [reaches] around the joints of a planar arm
_LINE = 0.05  # height of a line of the table


def save_still(
    path: str | Path,
    session: Session,
    scene: Scene | None = None,
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write a picture: every solution as a ghost, the controller's choice solid, the regressor's arm red, the table.

    Args:
        path: The file; its ending says the format.
        session: The arm and its models.
        scene: Obstacles around it.
        on_step: Called with how many steps are done, and how many there are, for progress.

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
    steps = len(stop.answer) + 3
    on_step(1, steps)
    figure, (left, right) = new_figure(1, 2, figsize=(13, 6), width_ratios=(1.25, 1))
    _draw_arms(left, session, stop, scene, meshes=meshes, on_arm=lambda done: on_step(1 + done, steps))
    _write_table(right, session, stop)
    save_figure(figure, Path(path))
    on_step(steps, steps)


def _draw_arms(
    axes: Axes, session: Session, stop: Stop, scene: Scene | None, *, meshes: bool, on_arm: Callable[[int], None]
) -> None:
    arm, answer, mse = session.arm, stop.answer, stop.details.mse
    shown = solution_ghosts(answer, stop.solid)
    arms = list(zip(shown.q, shown.colour, shown.opacity, strict=True))
    q_own, own, _ = arms.pop(stop.solid) if stop.solid is not None else (session.q_now, np.array(_NOW), 1.0)
    arms += [(mse.q, np.array(MSE), _MSE_OPACITY)] if mse is not None else []
    camera = _camera(session, scene, np.array([q_own, *(q for q, _, _ in arms)]))
    with World() as world, GhostWorld(arm, np.eye(4), camera, meshes=meshes) as ghosts:
        world.add_ground(height=floor_height(arm, scene, depth=0.0) - 0.01, size=4.0 * arm.reach)
        if scene is not None:
            world.add_scene(scene, arm)
        view, layers = put_in(world.render_layers(camera), ghosts.take(q_own, _unit(own))), []
        for q, colour, _ in arms:
            layers.append(ghosts.take(q, _unit(colour)))
            on_arm(len(layers))
    picture: Picture = blend(view, layers, alpha=[opacity for _, _, opacity in arms])
    axes.imshow(picture)
    goal = project(camera, answer.T_base_target[:3, 3])
    if mse is not None:
        tip = project(camera, mse.p_base_tip)
        axes.plot(*zip(tip, goal, strict=True), color=_unit(MSE), linewidth=2)
    axes.plot(*goal, marker="*", markersize=15, color=(0.95, 0.6, 0.1), markeredgecolor="black")
    axes.set(xlim=(-0.5, camera.width - 0.5), ylim=(camera.height - 0.5, -0.5))
    axes.set_axis_off()


def _camera(session: Session, scene: Scene | None, q: FloatArray) -> Camera:
    """As near to the arms as it can be; among obstacles, from where they hide none."""
    arm, (width, height) = session.arm, _SIZE
    if scene is not None and scene.obstacles and not arm.is_planar:
        return replace(camera_for(arm, scene, width=width, height=height, distance=CLOSE), supersample=2)
    if arm.is_planar:
        return _above(camera_for(arm, width=width, height=height), joint_origins(arm, q)[..., :2], _ROOM * arm.reach)
    points = np.vstack([np.zeros((1, 3)), joint_origins(arm, q).reshape(-1, 3)])
    tips = forward_kinematics(arm, q)[:, :2, 3].mean(axis=0)
    return camera_around(points, facing=tips, margin=0.12 * arm.reach, width=width, height=height)


def _above(camera: Camera, points: FloatArray, room: float) -> Camera:
    """A camera that looks down on points (..., 2) from so near that they fill the picture but for some room [m]."""
    low, high = points.reshape(-1, 2).min(axis=0) - room, points.reshape(-1, 2).max(axis=0) + room
    (x, y), (across, along) = ((low + high) / 2).tolist(), ((high - low) / 2).tolist()
    height = max(along, across * camera.height / camera.width) / np.tan(np.radians(camera.fov) / 2)
    return replace(camera, eye=(x, y, float(height)), target=(x, y, 0.0), supersample=2)


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
    chosen = (
        "The grey arm is where it is now."
        if stop.solid is None
        else "The solid arm is the one in bold; the more probable, the more opaque."
    )
    axes.text(0.0, y, chosen, fontsize=10)
    if details.mse is not None:
        miss = say_miss(details.mse, rotation=session.rotation)
        axes.text(0.0, y - _LINE, f"The regressor (MSE, red) misses by {miss}.", color=_unit(MSE), fontsize=10)


def _unit(colour: Iterable[int]) -> tuple[float, float, float]:
    red, green, blue = (value / 255.0 for value in colour)
    return red, green, blue
