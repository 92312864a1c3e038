"""Pictures of the poses themselves: where the regressor's arm ends up, and the mixture's modes at the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ik_mdn.comparison.figures import MODE_COLOURS, TARGET_COLOUR, draw_target_panel, png
from ik_mdn.comparison.measuring import held_out_poses
from ik_mdn.comparison.methods import MSE_COLOUR, raw_modes
from ik_mdn.evaluation import distance, pose_errors
from ik_mdn.solver import into_limits
from sim.arrays import FloatArray
from sim.errors import CheckpointError
from sim.kinematics import forward_kinematics, joint_origins
from sim.rendering import Camera, Layers, Picture, camera_around, new_figure, project
from sim.world import GhostWorld, World, blend, pick_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ik_mdn.model import ArmModel
    from sim.arm import Arm


COLOURS = (*MODE_COLOURS, "#c2338f", "#5f8a1f")  # of modes
SIZE = (720, 600)  # of a rendered picture [pixels]

_POSES = 1000  # held-out poses that the shown ones are chosen from
_SHOWN = 6  # modes in a picture
_WANTED = 4  # distinct modes that a pose should have to be shown
_QUANTILES = (0.25, 0.5, 0.75)  # of the regressor's error: the targets shown for a planar arm
_FLOOR = 0.02  # [reaches] that joints in a picture keep above the floor
_AROUND = 0.13  # [reaches] around joints and tip, for the bodies of the links
_HEIGHT, _AWAY = 0.2, 0.35  # [reaches] at least, of a target shown: above the floor, and from the base's axis


@dataclass(frozen=True, eq=False)
class PosePanel:
    """One picture, to be drawn where it is wanted.

    Args:
        title: What there is to see, in one line.
        alt: The same for somebody who does not see it.
        draw: Draws it into axes of matplotlib.
        planar: Whether the axes have units; a rendered picture has none.
    """

    title: str
    alt: str
    draw: Callable[[Axes], None]
    planar: bool

    def picture(self) -> bytes:
        """It alone, as a PNG."""
        figure, axes = new_figure(1, 1, figsize=(4.4, 4.4) if self.planar else (6.0, 5.0))
        self.draw(axes)
        return png(figure, tight=not self.planar, photo=not self.planar)


@dataclass(frozen=True, eq=False)
class ShownPose:
    """A target with the answers that are drawn for it.

    Args:
        T: The target, shape (4, 4).
        q_mse: The regressor's answer, shape (n,).
        modes: The mixture's answers as the network says them, shape (m, n), the heaviest first.
        weights: Theirs, shape (m,).
        misses: Distance of the regressor's tip, then of each mode's, from the target [m], shape (1 + m,).
        count: How many distinct modes there are; those in `modes` are the most different ones.
    """

    T: FloatArray
    q_mse: FloatArray
    modes: FloatArray
    weights: FloatArray
    misses: FloatArray
    count: int


def pose_panels(
    model: ArmModel, mse: ArmModel, *, seed: int = 0, size: tuple[int, int] = SIZE, meshes: bool = True
) -> list[PosePanel]:
    """What the regressor and the mixture make of a target of an arm.

    The targets are held-out poses at which the regressor is as far off as usual: for planar arms the ones nearest to the
    quartiles of its error; for others the one nearest to the median, among those that can be seen well (above the
    floor, away from the base, four distinct modes where the arm has as many).

    Args:
        model: The mixture.
        mse: The regressor of the same arm and task.
        seed: Of the poses.
        size: Width and height of rendered pictures [pixels].
        meshes: Draw the arm's meshes.

    Returns:
        Three panels with both for a planar arm; for others one with the regressor's arm and one with the modes.

    Raises:
        CheckpointError: The models are for different arms or tasks.
    """
    if (model.arm.fingerprint, model.task) != (mse.arm.fingerprint, mse.task):
        raise CheckpointError(
            f"the mixture is for {model.arm.name!r}, task {model.task.name}, the regressor for {mse.arm.name!r}, task "
            f"{mse.task.name}; give two models of one arm and task"
        )
    if model.arm.is_planar:
        return [_planar_panel(model.arm, pose) for pose in choose_poses(model, mse, _QUANTILES, seed=seed)]
    (pose,) = choose_poses(model, mse, (0.5,), seed=seed)
    return _spatial_panels(model.arm, pose, size, meshes)


def choose_poses(model: ArmModel, mse: ArmModel, quantiles: Sequence[float], *, seed: int = 0) -> list[ShownPose]:
    """The poses to show: nearest to quantiles of the regressor's position error, and fit to be seen.

    Args:
        model: The mixture.
        mse: The regressor.
        quantiles: Each in [0, 1].
        seed: Of the poses, see `measuring.held_out_poses`.

    Returns:
        One per quantile; where no pose is fit to be seen, the nearest one.
    """
    arm = model.arm
    T = held_out_poses(arm, _POSES, seed=seed)
    q_mse = into_limits(arm, mse.mean(T))
    err_pos, _ = pose_errors(arm, model.task, q_mse, T)
    in_sight = _in_sight(arm, T.numpy(), q_mse.numpy())
    chosen = []
    for quantile in quantiles:
        order = (err_pos - torch.quantile(err_pos, quantile)).abs().argsort().tolist()
        poses = (_show(model, T[i], q_mse[i].numpy()) for i in order if in_sight[i])
        fitting = (pose for pose in poses if _is_clear(arm, pose))
        fallback = _show(model, T[order[0]], q_mse[order[0]].numpy())
        chosen.append(next(fitting, fallback))
    return chosen


def _in_sight(arm: Arm, T: FloatArray, q_mse: FloatArray) -> NDArray[np.bool_]:
    """Which poses of an arm in space lie above the floor and away from the base, and the regressor's arm above the floor."""
    if arm.is_planar:
        return np.ones(len(T), dtype=bool)
    away, height = np.hypot(T[:, 0, 3], T[:, 1, 3]), T[:, 2, 3]
    lowest = joint_origins(arm, q_mse)[:, 2:, 2].min(axis=1)
    least = _FLOOR * arm.reach
    return np.asarray((away >= _AWAY * arm.reach) & (height >= _HEIGHT * arm.reach) & (lowest >= least))


def _is_clear(arm: Arm, pose: ShownPose) -> bool:
    """Whether the modes of an arm in space are several, and above the floor."""
    if arm.is_planar:
        return True
    lowest = joint_origins(arm, pose.modes)[:, 2:, 2].min()
    return bool(pose.count >= _WANTED and lowest >= _FLOOR * arm.reach)


def _show(model: ArmModel, T: torch.Tensor, q_mse: FloatArray) -> ShownPose:
    q, weight = raw_modes(model, T)
    modes, weights = q.numpy(), weight.numpy()
    picked = [0, *(1 + i for i in pick_apart(modes[1:], modes[0], most=_SHOWN - 1))]
    rows = np.vstack([q_mse, modes[picked]])
    tips = forward_kinematics(model.arm, rows)[:, :3, 3]
    misses = np.linalg.norm((tips - T[:3, 3].numpy())[:, : 2 if model.arm.is_planar else 3], axis=1)
    return ShownPose(T.numpy(), q_mse, modes[picked], weights[picked], misses, len(modes))


def _planar_panel(arm: Arm, pose: ShownPose) -> PosePanel:
    def draw(axes: Axes) -> None:
        draw_target_panel(axes, arm, pose.T, modes=pose.modes, weights=pose.weights, q_mse=pose.q_mse)
        axes.set_title("")
        points = joint_origins(arm, np.vstack([pose.q_mse, pose.modes]))[..., :2].reshape(-1, 2)
        low, high = points.min(axis=0), points.max(axis=0)
        half = 0.5 * float((high - low).max()) + 0.08 * arm.reach
        (x, y) = (low + high) / 2
        axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
        axes.locator_params(nbins=5)

    title = f"MSE misses by {distance(pose.misses[0])}, the modes by at most {distance(pose.misses[1:].max())}"
    alt = (
        f"{arm.name}: {_count(len(pose.modes), 'mode')} of the mixture reach the target as differently bent arms; the "
        f"regressor's arm, between them, ends {distance(pose.misses[0])} away from it."
    )
    return PosePanel(title, alt, draw, planar=True)


def _spatial_panels(arm: Arm, pose: ShownPose, size: tuple[int, int], meshes: bool) -> list[PosePanel]:
    shown = np.vstack([pose.q_mse, pose.modes])
    points = np.vstack([np.zeros((1, 3)), joint_origins(arm, shown).reshape(-1, 3)])
    camera = camera_around(points, facing=pose.T[:2, 3], margin=_AROUND * arm.reach, width=size[0], height=size[1])
    miss, modes = distance(pose.misses[0]), pose.misses[1:]
    span = f"{distance(modes.min())} to {distance(modes.max())}" if len(modes) > 1 else distance(modes[0])
    some = f"{len(modes)} of {pose.count} modes" if pose.count > len(modes) else _count(len(modes), "mode")
    of_mse = PosePanel(
        title=f"MSE regression: misses by {miss}",
        alt=f"{arm.name}: the arm as the regressor has it, in red; its tip ends {miss} away from the target.",
        draw=lambda axes: _draw_arms(
            axes, arm, pose.T, pose.q_mse[None], (MSE_COLOUR,), camera, alpha=0.92, meshes=meshes
        ),
        planar=False,
    )
    of_mdn = PosePanel(
        title=f"MDN: {some}, {span} from the target",
        alt=f"{arm.name}: {some} of the mixture as translucent arms of different colours, all with their tip at the target.",
        draw=lambda axes: _draw_arms(axes, arm, pose.T, pose.modes, COLOURS, camera, alpha=0.62, meshes=meshes),
        planar=False,
    )
    return [of_mse, of_mdn]


def _draw_arms(
    axes: Axes,
    arm: Arm,
    T: FloatArray,
    q: FloatArray,
    colours: Sequence[str],
    camera: Camera,
    *,
    alpha: float,
    meshes: bool,
) -> None:
    """Translucent arms by Bullet's renderer; target, tips and what is between them drawn on top."""
    from matplotlib.colors import to_rgb

    with World() as world, GhostWorld(arm, np.eye(4), camera, meshes=meshes) as ghosts:
        world.add_ground(size=4.0 * arm.reach)
        view = _on_white(world.render_layers(camera))
        layers = [ghosts.take(row, to_rgb(colours[i % len(colours)])) for i, row in enumerate(q)]
        picture = blend(view, layers, alpha=alpha)
    axes.imshow(picture, interpolation="lanczos")
    tips = project(camera, forward_kinematics(arm, q)[:, :3, 3])
    goal = project(camera, T[:3, 3])
    _draw_frame(axes, T, camera, length=0.11 * arm.reach)
    if np.linalg.norm(tips[0] - goal) > 12.0:
        axes.plot(*zip(tips[0], goal, strict=True), color="white", linewidth=4.5)
        axes.plot(*zip(tips[0], goal, strict=True), color=MSE_COLOUR, linewidth=2.5, linestyle=(0, (1.5, 1.0)))
        axes.plot(*tips[0], marker="X", markersize=13, **_EDGE, color=MSE_COLOUR, label="its tip")
    axes.plot(*goal, marker="*", markersize=17, **_EDGE, color=TARGET_COLOUR, label="target")
    axes.set(xlim=(-0.5, camera.width - 0.5), ylim=(camera.height - 0.5, -0.5))
    axes.set_axis_off()


def _draw_frame(axes: Axes, T: FloatArray, camera: Camera, *, length: float) -> None:
    """The axes of a pose: x red, y green, z blue."""
    for axis, colour in enumerate(("#d62728", "#2ca02c", "#1f4fd8")):
        ends = project(camera, np.stack([T[:3, 3], T[:3, 3] + length * T[:3, axis]]))
        axes.plot(*ends.T, color="white", linewidth=4.5, solid_capstyle="round")
        axes.plot(*ends.T, color=colour, linewidth=2.5, solid_capstyle="round")


def _on_white(layers: Layers) -> Layers:
    rgb: Picture = np.where(layers.solid[..., None], layers.rgb, np.uint8(255))
    return replace(layers, rgb=rgb)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


_EDGE: dict[str, Any] = {"markeredgecolor": "black", "linestyle": "", "zorder": 5}
