"""The physics world: PyBullet behind one context manager."""

from __future__ import annotations

import logging
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError, WorldError, shown
from sim.inputs import as_numbers, check_reals, check_sizes
from sim.rendering import Camera, Layers, take_layers
from sim.rotations import pose_to_bullet
from sim.scenes import Obstacle, Scene
from sim.world.body import ArmBody, check_placement
from sim.world.client import Client, open_client
from sim.world.description import Description, describe
from sim.world.display import check_display
from sim.world.links import load_links
from sim.world.motion import TIME_STEP
from sim.world.obstacles import lay_tiles, place_solid, stiffen
from sim.world.silence import silence

Colour = tuple[float, float, float]

_log = logging.getLogger(__name__)

_WIDE = 20.0  # [m] of a link, from which on that is told
_GRAVITY = (0.0, 0.0, -9.81)  # [m/s²]
_ITERATIONS = 2000  # at most, of the constraint solver: with Bullet's 50, or 200, heavy links sag by 2e-3 rad
_AXIS_COLOURS: tuple[Colour, ...] = ((0.85, 0.2, 0.2), (0.2, 0.65, 0.25), (0.2, 0.35, 0.85))


class World:
    """A physics world that arms are loaded into, stepped at 240 Hz under gravity.

    Several worlds may live side by side, at most 128 in one process. Leaving the `with` block, or `close`, ends it,
    and so does forgetting it with all its bodies. Nothing that Bullet prints reaches the terminal.

    Args:
        gui: Show Bullet's window; needs a display. Default: no window, no screen needed.
        gravity: Acceleration in the world frame, shape (3,) [m/s²].

    Raises:
        WorldError: A window was asked for and there is no display, too many worlds are open, or Bullet refused.
        ShapeError: gravity is not three finite numbers.
    """

    def __init__(self, *, gui: bool = False, gravity: tuple[float, float, float] = _GRAVITY) -> None:
        if gui:
            check_display()
        down = _check_gravity(gravity)
        self.gui = gui
        self._client = open_client(gui)
        weakref.finalize(self, self._client.disconnect).atexit = False  # closed at the latest when it is forgotten
        self._names: dict[int, str] = {}  # of everything solid, by Bullet's numbers
        self._arms: list[ArmBody] = []
        self._obstacles: list[int] = []
        self._client.setTimeStep(TIME_STEP)
        self._client.setGravity(*down)
        self._client.setPhysicsEngineParameter(deterministicOverlappingPairs=1, numSolverIterations=_ITERATIONS)
        if gui:
            self._client.configureDebugVisualizer(self._client.COV_ENABLE_GUI, 0)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        arms = ", ".join(body.arm.name for body in self._arms) or "no arm"
        return f"World({arms}; {len(self._obstacles)} obstacles; {'closed' if self._client.is_closed else 'open'})"

    def close(self) -> None:
        """End the world; a second call does nothing, any other use afterwards is a WorldError."""
        self._client.disconnect()

    def add_arm(
        self, arm: Arm, T_world_base: FloatArray | None = None, *, meshes: bool = True, ideal_motors: bool = False
    ) -> ArmBody:
        """Load an arm, its base fixed in the world.

        Args:
            arm: An arm that has a URDF: built in, by link lengths, or from a file.
            T_world_base: Where the link `arm.base` is put, shape (4, 4); default: the world's origin.
            meshes: False leaves mesh shapes out (bones to look at, no collisions; kinematics and masses stay).
            ideal_motors: Let the motors be as strong as it takes, whatever effort limits the URDF gives.

        Returns:
            The arm in this world, at its home configuration.

        Raises:
            WorldError: The arm has no URDF, a mesh to collide with is missing or not whole, Bullet cannot load it, or
                moves it in another way than its kinematics say.
            ShapeError, PoseError: T_world_base is no pose. After any of these the world is as it was.
        """
        if not isinstance(arm, Arm):
            raise WorldError(f"add_arm takes an arm, and got {arm!r}; write world.add_arm(sim.load_arm({str(arm)!r}))")
        flags = self._client.URDF_USE_SELF_COLLISION | self._client.URDF_USE_INERTIA_FROM_FILE
        base = np.eye(4) if T_world_base is None else check_placement(T_world_base, "T_world_base")
        description = _describe(arm, meshes=meshes)
        number = self._load(description, f"arm {arm.name!r}", flags=flags)
        with self._removed_on_failure(number):
            self._names[number] = arm.name
            body = ArmBody(
                arm,
                self._client,
                number,
                base,
                step=self.step,
                names=self._names,
                unshaped=description.unshaped,
                ideal_motors=ideal_motors,
            )
            self._warn_of_units(body)
            for obstacle in self._obstacles:
                body.collisions.stand_on(obstacle)
            for other in self._arms:
                body.collisions.stand_on(other.collisions.number, other.collisions.standing)
        self._arms.append(body)
        return body

    def add_scene(self, scene: Scene, arm: Arm | None = None) -> list[int]:
        """Put the obstacles of a scene into the world, where they stay.

        What stands still with an arm's base may touch them; contacts of its other links are reported by name:
        "shelf.top board" is the obstacle "top board" of the scene "shelf".

        Args:
            scene: See `sim.scenes.load_scene`.
            arm: Whose reach the scene is measured in; not needed where the scene is in metres.

        Returns:
            Bullet's number of each obstacle, in the scene's order.

        Raises:
            SceneError: The scene is in arm's reaches, and no arm was given.
            WorldError: Bullet cannot load a URDF, or a mesh file of it is missing. After any of these the world is as it was.
        """
        if not isinstance(scene, Scene):
            raise WorldError(
                f"add_scene takes a scene, and got {scene!r}; write world.add_scene(sim.load_scene({str(scene)!r}), arm)"
            )
        numbers: list[int] = []
        with ExitStack() as whole:
            for obstacle in scene.fitted(arm).obstacles:
                numbers.append(self._place_obstacle(obstacle, scene.name))
                whole.enter_context(self._removed_on_failure(numbers[-1]))
        self._obstacles += numbers
        for body in self._arms:
            for number in numbers:
                body.collisions.stand_on(number)
        return numbers

    def add_ground(self, *, height: float = 0.0, size: float = 4.0) -> None:
        """Lay a floor to look at; nothing collides with it.

        Args:
            height: Of its surface [m].
            size: Edge length [m].
        """
        check_sizes(size=size)
        check_reals(height=height)
        for tiles, grey in zip(lay_tiles(size, height), (0.93, 0.86), strict=True):
            shape = self._client.createVisualShape(self._client.GEOM_MESH, rgbaColor=[grey, grey, grey, 1], **tiles)
            self._place(shape, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))

    def add_marker(self, T_world: FloatArray, *, size: float = 0.08, colour: Colour = (0.95, 0.55, 0.1)) -> Marker:
        """Draw a pose: a ball with three axes (x red, y green, z blue); nothing collides with it.

        Args:
            T_world: The pose, shape (4, 4).
            size: Length of the axes [m].
            colour: Of the ball, red, green, blue in [0, 1].

        Returns:
            The marker, to be recoloured or removed.

        Raises:
            ShapeError, PoseError: T_world is no pose.
        """
        T, rgb = check_placement(T_world, "T_world"), as_numbers(colour, "colour")
        check_sizes(size=size)
        if rgb.shape != (3,) or not ((rgb >= 0) & (rgb <= 1)).all():
            raise ShapeError(f"colour must be red, green, blue in [0, 1]; got {shown(colour)}")
        position, quat_xyzw = pose_to_bullet(T)
        ball = self._client.createVisualShape(self._client.GEOM_SPHERE, radius=0.35 * size, rgbaColor=[*colour, 1])
        bodies = [self._place(ball, position, quat_xyzw)]
        for axis, shade in enumerate(_AXIS_COLOURS):
            half = np.full(3, size / 14)
            half[axis] = size / 2
            centre = np.asarray(position) + T[:3, axis] * size / 2
            bodies.append(self._add_box(centre.tolist(), half.tolist(), shade, quat_xyzw))
        return Marker(self._client, bodies)

    def step(self) -> None:
        """Advance time by 1/240 s; with a window, wait for the clock."""
        self._client.stepSimulation()
        if self.gui:
            time.sleep(TIME_STEP)

    def render(self, camera: Camera) -> NDArray[np.uint8]:
        """A picture by Bullet's software renderer (no screen or graphics card needed).

        Args:
            camera: Where from, and how large.

        Returns:
            RGB, shape (height, width, 3), 0 to 255.
        """
        return take_layers(self._client, camera, solid=False).picture()

    def render_layers(self, camera: Camera) -> Layers:
        """The same with the distance of every pixel, and where there is anything: for putting pictures together."""
        return take_layers(self._client, camera)

    def snapshot(self) -> Callable[[], None]:
        """Remember where everything is and how it moves; what comes back puts it all back there, to the last bit.

        It stops working when bodies (markers too) are added or removed.
        """
        number = self._client.saveState()
        return lambda: self._client.restoreState(number)

    def _place_obstacle(self, obstacle: Obstacle, scene: str) -> int:
        name = f"{scene}.{obstacle.name}"
        position, quat_xyzw = pose_to_bullet(obstacle.T_world_obstacle)
        if obstacle.path is None:
            number = place_solid(self._client, obstacle.shape, obstacle.sizes, obstacle.colour, position, quat_xyzw)
        else:
            place = {"basePosition": position, "baseOrientation": quat_xyzw, "globalScaling": obstacle.sizes[0]}
            number = self._load(describe(obstacle.path), f"obstacle {name!r} ({obstacle.path})", **place)
            stiffen(self._client, number)
        self._names[number] = name
        return number

    def _load(self, description: Description, what: str, **options: Any) -> int:
        with tempfile.TemporaryDirectory(prefix="ik-mdn-") as folder, silence() as chatter:
            file = Path(folder) / "body.urdf"
            file.write_text(description.xml, encoding="utf-8")
            for name, content in description.files.items():
                (Path(folder) / name).write_bytes(content)
            number, failure = -1, None
            try:
                number = int(self._client.loadURDF(str(file), useFixedBase=True, **options))
            except WorldError as error:
                failure = error
        if number < 0:
            raise WorldError(f"Bullet cannot load {what} ({failure}): {chatter.last_lines()}") from failure
        with self._removed_on_failure(number):
            self._client.names.update(description.names)
            links = load_links(self._client, number)
            numbers = {links.name(i): i for i in range(-1, len(links.infos))}
            shapes = self._client.getCollisionShapeData
            lost = [name for name in description.solid if name not in numbers or not shapes(number, numbers[name])]
            if lost:
                raise WorldError(
                    f"Bullet made no shape to collide with of {what}'s links {', '.join(lost)}; mend their collision "
                    "geometry, or leave it out",
                    links=lost,
                )
        return number

    @contextmanager
    def _removed_on_failure(self, number: int) -> Iterator[None]:
        """Take a body out of the world again where the block ends by an error."""
        try:
            yield
        except BaseException:
            self._names.pop(number, None)
            self._client.removeBody(number)
            raise

    def _warn_of_units(self, body: ArmBody) -> None:
        """Say where shapes are so wide that their files look like millimetres."""
        for link in body.collisions.solid:
            width = float(np.ptp(self._client.getAABB(body.number, link), axis=0).max())
            if width > _WIDE:
                name = body.links.name(link)
                _log.warning("arm %r: link %r is %.3g m wide; is its mesh in millimetres?", body.arm.name, name, width)

    def _add_box(self, centre: Any, half: Any, colour: Colour, quat_xyzw: Any = (0, 0, 0, 1)) -> int:
        shape = self._client.createVisualShape(self._client.GEOM_BOX, halfExtents=half, rgbaColor=[*colour, 1])
        return self._place(shape, centre, quat_xyzw)

    def _place(self, shape: int, position: Any, quat_xyzw: Any) -> int:
        return int(
            self._client.createMultiBody(
                0, baseVisualShapeIndex=shape, basePosition=position, baseOrientation=quat_xyzw
            )
        )


class Marker:
    """A pose drawn in the world; its first body is the ball."""

    def __init__(self, client: Client, bodies: list[int]) -> None:
        self._client, self._bodies = client, bodies

    def recolour(self, colour: Colour) -> None:
        """Paint the ball, red, green, blue in [0, 1]."""
        self._client.changeVisualShape(self._bodies[0], -1, rgbaColor=[*colour, 1])

    def remove(self) -> None:
        """Take it out of the world; a second call does nothing."""
        for body in self._bodies:
            self._client.removeBody(body)
        self._bodies = []


def _check_gravity(gravity: Any) -> list[float]:
    values = as_numbers(gravity, "gravity")
    if values.shape != (3,) or not np.isfinite(values).all():
        raise ShapeError(f"gravity must be three finite numbers [m/s²]; got {gravity!r}")
    return [float(value) for value in values]


def _describe(arm: Arm, *, meshes: bool) -> Description:
    if arm.urdf_path is not None or arm.urdf_xml is not None:
        return describe(arm.urdf_path, arm.urdf_xml, meshes=meshes, keep=(arm.base, arm.tip))
    raise WorldError(
        f"arm {arm.name!r} has no URDF, because it was restored from a checkpoint, which holds the kinematics only; "
        "load it with sim.load_arm(name or file) and give that arm to the world"
    )
