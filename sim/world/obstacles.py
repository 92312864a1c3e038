"""Bodies that stand still in a physics world: solid ones, and a floor to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.world.links import load_links

_FIXED = 4  # Bullet's type of a joint that does not move
_FORCE = 1e4  # [N m or N] that holds the joints of a URDF obstacle


def place_solid(
    client: Any,
    shape: str,
    sizes: Sequence[float],
    colour: Sequence[float],
    position: Sequence[float],
    quat_xyzw: Sequence[float],
) -> int:
    """Bullet's number of a new body that is seen and collided with, and never moves.

    Args:
        client: The world's Bullet functions.
        shape: box, sphere or cylinder.
        sizes: As in `sim.scenes.Obstacle`, in metres.
        colour: Red, green, blue in [0, 1].
        position, quat_xyzw: Pose of its centre in the world.
    """
    solid, seen = _describe(client, shape, sizes)
    return int(
        client.createMultiBody(
            0,
            client.createCollisionShape(**solid),
            client.createVisualShape(**seen, rgbaColor=[*colour, 1.0]),
            basePosition=position,
            baseOrientation=quat_xyzw,
        )
    )


def stiffen(client: Any, body: int) -> None:
    """Hold every joint of a body at 0, or at its nearest limit, with motors that do not give way."""
    links = load_links(client, body)
    for joint, info in enumerate(links.infos):
        if info.kind != _FIXED:
            _, at = links.motor(joint)
            client.resetJointState(body, joint, at)
            client.setJointMotorControl2(body, joint, client.POSITION_CONTROL, targetPosition=at, force=_FORCE)


def lay_tiles(size: float, height: float, *, count: int = 10) -> list[dict[str, list[Any]]]:
    """The light and the dark tiles of a floor of count by count tiles, each a mesh as Bullet takes it."""
    edge = size / count
    meshes: list[dict[str, list[Any]]] = [{"vertices": [], "indices": [], "normals": []} for _ in range(2)]
    for i in range(count * count):
        column, row = i % count, i // count
        mesh, x, y = meshes[(column + row) % 2], column * edge - size / 2, row * edge - size / 2
        first = len(mesh["vertices"])
        corners = ((x, y), (x + edge, y), (x + edge, y + edge), (x, y + edge))
        mesh["vertices"] += [[*corner, height] for corner in corners]
        mesh["normals"] += [[0.0, 0.0, 1.0]] * 4
        mesh["indices"] += [first + k for k in (0, 1, 2, 0, 2, 3)]
    return meshes


def _describe(client: Any, shape: str, sizes: Sequence[float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Bullet's functions for solid and for visible shapes take; they call a cylinder's length differently."""
    if shape == "box":
        box = {"shapeType": client.GEOM_BOX, "halfExtents": [size / 2 for size in sizes]}
        return box, box
    if shape == "sphere":
        ball = {"shapeType": client.GEOM_SPHERE, "radius": sizes[0]}
        return ball, ball
    rod = {"shapeType": client.GEOM_CYLINDER, "radius": sizes[0]}
    return {**rod, "height": sizes[1]}, {**rod, "length": sizes[1]}
