"""The three-dimensional picture in viser: the arm, its ghosts, the target, misses, obstacles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.viewer.answer import Placed, say_miss
from ik_mdn.viewer.batch import ArmBatch, linear
from ik_mdn.viewer.ghosts import MSE, NEAREST, RAW, Colour
from ik_mdn.viewer.visuals import Looks, Visual, lightened, link_frames, swollen
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.rendering import floor_height
from sim.rotations import quat_wxyz_of
from sim.scenes import Obstacle, Scene

SPREADS = 8  # ellipsoids of the tip
LEVELS, OTHER_LEVELS = (0.12, 0.25, 0.45, 1.0), (0.2, 0.75)  # of opacity: of solutions; of raw means and misses
FACES = {"robot": 20_000, "solid": 5_000, "ghost": 2_000}  # most of one arm: a thousand take milliseconds in software


class SceneView:
    """Everything in the picture of one arm.

    Args:
        scene: viser's scene, empty.
        arm: The arm.
        looks: Its shapes.
        most: Solutions drawn at once.
        others: Other arms drawn at once.
    """

    def __init__(self, scene: Any, arm: Arm, looks: Looks, *, most: int, others: int) -> None:
        self._scene, self._arm = scene, arm
        scene.set_up_direction("+z")
        scene.configure_default_lights(False)
        scene.add_light_ambient("/lights/ambient", intensity=1.4)
        above = tuple((arm.reach * np.array([1.5, -2.5, 4.0])).tolist())
        scene.add_light_directional("/lights/sun", intensity=1.6, position=above, cast_shadow=False)
        robot = lightened(looks.visuals, FACES["robot"], arm.reach / 1000)
        solid = lightened(robot, FACES["solid"], arm.reach / 250)
        ghost = lightened(solid, FACES["ghost"], arm.reach / 200)
        upper, lower = swollen(solid, arm.reach / 100), swollen(solid, arm.reach / 250)
        self.solutions = ArmBatch(scene, "/solutions", arm, upper, ghost, levels=LEVELS, capacity=most)
        self.others = ArmBatch(scene, "/others", arm, lower, ghost, levels=OTHER_LEVELS, capacity=others)
        self._robot = self._add_robot(robot)
        self.target: Any = None
        self._answered = scene.add_icosphere("/answered", 0.012 * arm.reach, color=(240, 140, 20))
        self._misses = {
            "mse": self._add_miss("/miss of the regressor", MSE),
            "nearest": self._add_miss("/miss", NEAREST),
        }
        self._spread = self._add_spread()
        self._obstacles: list[Any] = []
        self._floor = self._add_floor()

    def add_target(self, T_base_target: FloatArray, *, rotation: bool, on_drag: Any) -> None:
        """A gizmo to drag the target by: in the plane for a planar arm, without turning where no rotation counts.

        Args:
            T_base_target: Where it begins, shape (4, 4).
            rotation: Whether the task counts rotation.
            on_drag: Called with viser's event at every move.
        """
        self.target = self._scene.add_transform_controls(
            "/target",
            scale=0.22 * self._arm.reach,
            line_width=3.5,
            disable_rotations=not rotation,
            active_axes=(True, True, not self._arm.is_planar),
            depth_test=False,
            position=T_base_target[:3, 3],
            wxyz=quat_wxyz_of(T_base_target[:3, :3]),
        )
        self.target.on_update(on_drag)

    def on_click(self, point_at: Callable[[FloatArray, FloatArray], None]) -> None:
        """Call with the ray's origin and direction, both (3,), whenever the picture is clicked."""

        @self._scene.on_click()  # type: ignore[untyped-decorator]
        def _(event: Any) -> None:
            point_at(np.array(event.ray_origin), np.array(event.ray_direction))

    def move_target(self, T_base_target: FloatArray) -> None:
        """Put the gizmo, or the axes, at a pose."""
        self.target.position, self.target.wxyz = T_base_target[:3, 3], quat_wxyz_of(T_base_target[:3, :3])

    def draw_robot(self, q: FloatArray) -> None:
        """Put the arm where it stands, q of shape (n,)."""
        frames = link_frames(self._arm, q[None])[0]
        for frame, node in self._robot.items():
            node.position = frames[frame, :3, 3]
            node.wxyz = quat_wxyz_of(frames[frame, :3, :3])

    def show_robot(self, visible: bool) -> None:
        """Show or hide the arm where it stands, but for its base."""
        for frame, node in self._robot.items():
            node.visible = visible or frame == 0

    def mark(self, T_base_target: FloatArray) -> None:
        """Mark the target that the solutions shown are of."""
        self._answered.position = T_base_target[:3, 3]

    def add_frame(self, T_base_target: FloatArray) -> None:
        """Axes at the target, in place of a gizmo."""
        length = 0.1 * self._arm.reach
        self.target = self._scene.add_frame("/target", axes_length=length, axes_radius=0.04 * length)
        self.move_target(T_base_target)

    def draw_miss(self, which: str, placed: Placed | None, target: FloatArray, *, rotation: bool) -> None:
        """The line from a tip to the target, with its length written beside it; None hides it."""
        line, label = self._misses[which]
        line.visible = label.visible = placed is not None
        if placed is not None:
            line.points = np.array([[placed.p_base_tip, target]], dtype=np.float32)
            label.text = say_miss(placed, rotation=rotation)
            # where both are drawn, neither covers the other; and the label of a target far away stays in sight
            away = max(float(np.linalg.norm(target - placed.p_base_tip)), 1e-9)
            share = 0.1 if which == "mse" else min(0.8, 0.15 * self._arm.reach / away)
            label.position = placed.p_base_tip + share * (target - placed.p_base_tip)

    def draw_spread(self, axes: FloatArray, rotations: FloatArray, centres: FloatArray) -> None:
        """Ellipsoids with half axes (k, 3), turned by (k, 3, 3), at (k, 3); none hides them."""
        count = min(len(axes), SPREADS)
        scales, positions, turned = np.zeros((SPREADS, 3)), np.zeros((SPREADS, 3)), np.tile(np.eye(3), (SPREADS, 1, 1))
        scales[:count], positions[:count], turned[:count] = axes[:count], centres[:count], rotations[:count]
        self._spread.batched_scales = scales.astype(np.float32)
        self._spread.batched_positions = positions.astype(np.float32)
        self._spread.batched_wxyzs = quat_wxyz_of(turned).astype(np.float32)

    def draw_workspace(self, picture: NDArray[np.uint8]) -> None:
        """A picture of the plane from -reach to reach, rows from +y down, under a planar arm."""
        side = 2 * self._arm.reach
        x, y, z = self._arm.offsets[0, :3, 3]
        self._scene.add_image(
            "/workspace",
            picture,
            side,
            side,
            position=(x, y, z - 0.06),
            wxyz=(0.0, 1.0, 0.0, 0.0),
            format="png",
            cast_shadow=False,
        )

    def draw_obstacles(self, scene: Scene | None, *, on_move: Any = None) -> None:
        """The obstacles of a scene, in place of those before; with handles to drag where `on_move` is given."""
        for node in self._obstacles:
            node.remove()
        self._obstacles = []
        lowest = floor_height(self._arm, scene, depth=0.0)
        self._floor.position = (0.0, 0.0, lowest - (0.04 if self._arm.is_planar else 0.002))
        for number, obstacle in enumerate(scene.obstacles if scene else ()):
            self._add_obstacle(number, obstacle, on_move)

    def _add_obstacle(self, number: int, obstacle: Obstacle, on_move: Any) -> None:
        name, T = f"/obstacles/{number}", obstacle.T_world_obstacle
        place = {"position": T[:3, 3], "wxyz": quat_wxyz_of(T[:3, :3])}
        if on_move is None:
            parent = self._scene.add_frame(name, show_axes=False, **place)
        else:
            parent = self._scene.add_transform_controls(name, scale=0.25 * self._arm.reach, **place)
            parent.on_update(lambda event: on_move(number, event.target))
        colour = tuple(round(255 * c) for c in obstacle.colour)
        sizes = obstacle.sizes
        if obstacle.shape == "box":
            self._scene.add_box(f"{name}/shape", colour, sizes)
        elif obstacle.shape == "sphere":
            self._scene.add_icosphere(f"{name}/shape", sizes[0], color=colour)
        elif obstacle.shape == "cylinder":
            self._scene.add_cylinder(f"{name}/shape", sizes[0], sizes[-1], color=colour)
        else:
            self._scene.add_label(f"{name}/shape", f"{obstacle.name} (its URDF is not drawn)")
        self._obstacles.append(parent)

    def _add_robot(self, visuals: tuple[Visual, ...]) -> dict[int, Any]:
        import trimesh

        nodes = {}
        for frame, group in groupby(sorted(visuals, key=lambda visual: visual.frame), key=lambda visual: visual.frame):
            parts = []
            for visual in group:
                part = trimesh.Trimesh(visual.vertices, visual.faces, process=False)
                part.visual.face_colors = (*pale(visual.colour), 255)
                parts.append(part)
            nodes[frame] = self._scene.add_mesh_trimesh(f"/robot/{frame}", trimesh.util.concatenate(parts))
        return nodes

    def _add_miss(self, name: str, colour: Colour) -> tuple[Any, Any]:
        nowhere = np.zeros((1, 2, 3), dtype=np.float32)
        line = self._scene.add_line_segments(
            name, nowhere, np.array(colour, dtype=np.uint8), thickness=4.0, thickness_units="screen"
        )
        label = self._scene.add_label(f"{name} in words", "")
        line.visible = label.visible = False
        return line, label

    def _add_spread(self) -> Any:
        import trimesh

        ball = trimesh.creation.icosphere(2, 1.0)
        return self._scene.add_batched_meshes_simple(
            "/spread",
            np.asarray(ball.vertices, dtype=np.float32),
            np.asarray(ball.faces, dtype=np.uint32),
            np.tile([1.0, 0, 0, 0], (SPREADS, 1)),
            np.zeros((SPREADS, 3)),
            batched_scales=np.zeros((SPREADS, 3)),
            batched_colors=tuple(linear(np.array(RAW)).tolist()),
            opacity=0.35,
            lod="off",
            cast_shadow=False,
        )

    def _add_floor(self) -> Any:
        size = 3.2 * self._arm.reach
        return self._scene.add_grid(
            "/floor",
            size,
            size,
            cell_size=0.1 * self._arm.reach,
            section_size=0.5 * self._arm.reach,
            cell_color=(232, 234, 238),
            section_color=(200, 204, 212),
        )


def pale(colour: Colour) -> Colour:
    """A colour with a quarter of its saturation: the arm where it stands, since vivid colours stand for branches."""
    grey = sum(colour) / 3
    r, g, b = (round(grey + 0.25 * (part - grey)) for part in colour)
    return r, g, b
