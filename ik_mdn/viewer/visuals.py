"""What an arm looks like: its meshes, each fixed to a joint's frame; a skeleton of cylinders where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm, find_mesh, search_folders
from sim.arrays import FloatArray, IntArray
from sim.errors import IKError

FACES = 60_000  # of one mesh; a finer one is drawn as its convex hull
LARGEST = 80_000_000  # [bytes] of a mesh file; a larger one is left out
_COARSER = 12  # times that cells are made larger
GREY = (150, 154, 162)
STEEL = (108, 118, 134)

Colour = tuple[int, int, int]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Visual:
    """One rigid shape of an arm.

    Args:
        vertices: Points in the frame that it is fixed to [m], shape (v, 3).
        faces: Triangles of vertices, shape (f, 3).
        colour: Red, green, blue, 0 to 255.
        frame: The joint whose moving frame it is fixed to, from 1; 0 is the base.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.uint32]
    colour: Colour
    frame: int


@dataclass(frozen=True, eq=False)
class Looks:
    """The shapes of an arm, and what could not be shown.

    Args:
        visuals: The shapes.
        missing: One line for people; empty where everything is there.
        lost: Whether a mesh file is missing, so that nothing can be said of collisions.
    """

    visuals: tuple[Visual, ...]
    missing: str = ""
    lost: bool = False


def load_looks(arm: Arm) -> Looks:
    """What an arm looks like by its URDF, as far as its meshes are there; else a skeleton.

    Args:
        arm: The arm.

    Returns:
        Its shapes, and in words what is missing or was simplified.
    """
    notes: list[str] = []
    gone: list[str] = []
    try:
        visuals = tuple(_read_visuals(arm, gone, notes))
    except Exception as error:  # readers of URDFs let lxml's, their own and plain Python errors through
        _log.info("no shapes from the URDF of %s: %s", arm.name, error)
        visuals, notes = (), [f"shapes could not be read: {error}"]
    if gone:
        more = f" and {len(gone) - 2} more" if len(gone) > 2 else ""
        plural = "" if len(gone) == 1 else "s"
        notes.insert(0, f"{len(gone)} mesh file{plural} not found or not readable: {', '.join(gone[:2])}{more}")
    if gone or not visuals:
        notes.append("a skeleton of cylinders stands in")
        visuals += tuple(_skeleton(arm))
    return Looks(visuals, "; ".join(notes) + "." if notes else "", lost=bool(gone))


def coarsened(visual: Visual, cell: float) -> Visual:
    """The shape with its vertices drawn together in cells of this size [m]: fewer faces, for what is drawn many times."""
    cells, first, place = np.unique(
        np.round(visual.vertices / cell).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = place.reshape(-1)[visual.faces]
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    if len(cells) == len(visual.vertices) or not solid.any():
        return visual
    faces = np.unique(faces[solid], axis=0)
    return Visual(visual.vertices[first], faces.astype(np.uint32), visual.colour, visual.frame)


def lightened(visuals: tuple[Visual, ...], most: int, cell: float) -> tuple[Visual, ...]:
    """The shapes coarsened in cells of this size [m], in larger ones where that leaves more faces than `most`.

    Shapes whose faces all vanish at a size keep what they had at the size before; so more faces may be left in the end.
    """
    for _ in range(_COARSER):
        visuals = tuple(coarsened(visual, cell) for visual in visuals)
        if sum(len(visual.faces) for visual in visuals) <= most:
            break
        cell *= 1.3
    return visuals


def swollen(visuals: tuple[Visual, ...], by: float) -> tuple[Visual, ...]:
    """The shapes with their vertices moved outwards by this much [m]: arms that lie in each other do not flicker."""
    return tuple(_swell(visual, by) for visual in visuals)


def _swell(visual: Visual, by: float) -> Visual:
    import trimesh

    normals = trimesh.Trimesh(visual.vertices, visual.faces, process=False).vertex_normals
    vertices = (visual.vertices + by * normals).astype(np.float32)
    return Visual(vertices, visual.faces, visual.colour, visual.frame)


def link_frames(arm: Arm, q: FloatArray) -> FloatArray:
    """Where the base and every joint's moving frame are.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m for prismatic], shape (m, n).

    Returns:
        Poses in the base frame, shape (m, n + 1, 4, 4); the first is the identity.
    """
    frames = np.empty((len(q), arm.n_joints + 1, 4, 4))
    frames[:, 0] = np.eye(4)
    T = np.broadcast_to(np.eye(4), (len(q), 4, 4))
    for i, slides in enumerate(arm.is_prismatic):
        motion = np.broadcast_to(np.eye(4), (len(q), 4, 4)).copy()
        if slides:
            motion[:, 2, 3] = q[:, i]
        else:
            cos, sin = np.cos(q[:, i]), np.sin(q[:, i])
            motion[:, 0, 0], motion[:, 0, 1], motion[:, 1, 0], motion[:, 1, 1] = cos, -sin, sin, cos
        T = T @ arm.offsets[i] @ motion
        frames[:, i + 1] = T
    return frames


def _read_visuals(arm: Arm, gone: list[str], notes: list[str]) -> Iterator[Visual]:
    robot = _load_robot(arm)
    poses = _rest_poses(robot, arm.base)
    at_rest = link_frames(arm, np.zeros((1, arm.n_joints)))[0]
    owner = _frames_of_links(robot, arm)
    materials = {material.name: material.color for material in robot.materials if material.color is not None}
    for link in robot.links:
        for visual in link.visuals:
            frame = owner.get(link.name, 0)
            T_frame_link = np.linalg.inv(at_rest[frame]) @ poses[link.name]
            T_frame_shape = T_frame_link @ (np.eye(4) if visual.origin is None else visual.origin)
            colour = _material_colour(visual.material, materials)
            for mesh in _shapes(visual.geometry, arm.urdf_path, gone, notes):
                points = mesh.vertices @ T_frame_shape[:3, :3].T + T_frame_shape[:3, 3]
                faces = np.asarray(mesh.faces, dtype=np.uint32)
                yield Visual(points.astype(np.float32), faces, colour or _mesh_colour(mesh), frame)


def _load_robot(arm: Arm) -> Any:
    import io

    import yourdfpy

    if arm.urdf_xml is not None:
        source = arm.urdf_xml.encode()
    elif arm.urdf_path is not None:
        source = arm.urdf_path.read_bytes()
    else:
        raise IKError("there is no URDF, only a chain")
    logger = logging.getLogger("yourdfpy.urdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return yourdfpy.URDF.load(
            io.BytesIO(source), load_meshes=False, load_collision_meshes=False, build_scene_graph=False
        ).robot
    finally:
        logger.setLevel(level)


def _rest_poses(robot: Any, base: str) -> dict[str, FloatArray]:
    """Pose of every link in the base link's frame with all joints at 0."""
    joints = {joint.child: joint for joint in robot.joints}
    poses: dict[str, FloatArray] = {}

    def pose(link: str) -> FloatArray:
        if link not in poses:
            joint = joints.get(link)
            origin = np.eye(4) if joint is None or joint.origin is None else joint.origin
            poses[link] = np.eye(4) if joint is None else pose(joint.parent) @ origin
        return poses[link]

    T_base_root = np.linalg.inv(pose(base))
    return {link.name: T_base_root @ pose(link.name) for link in robot.links}


def _frames_of_links(robot: Any, arm: Arm) -> dict[str, int]:
    """Which of the chain's moving frames each link goes with; joints outside the chain stand at 0."""
    number = {name: i + 1 for i, name in enumerate(arm.joint_names)}
    joints = {joint.child: joint for joint in robot.joints}

    def frame(link: str) -> int:
        while link in joints:
            joint = joints[link]
            if joint.name in number:
                return number[joint.name]
            link = joint.parent
        return 0

    return {link.name: frame(link.name) for link in robot.links}


def _shapes(geometry: Any, urdf: Path | None, gone: list[str], notes: list[str]) -> Iterator[Any]:
    import trimesh

    if geometry.box is not None:
        yield trimesh.creation.box(geometry.box.size)
    elif geometry.cylinder is not None:
        yield trimesh.creation.cylinder(geometry.cylinder.radius, geometry.cylinder.length, sections=32)
    elif geometry.sphere is not None:
        yield trimesh.creation.icosphere(3, geometry.sphere.radius)
    elif geometry.mesh is not None:
        yield from _read_mesh(geometry.mesh, urdf, gone, notes)


def _read_mesh(mesh: Any, urdf: Path | None, gone: list[str], notes: list[str]) -> Iterator[Any]:
    import trimesh

    path = find_mesh(mesh.filename, search_folders(urdf))
    if path is None:
        gone.append(mesh.filename)
        return
    if path.stat().st_size > LARGEST:
        notes.append(f"{path.name} is left out: {path.stat().st_size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f} MB")
        return
    try:
        scene = trimesh.load_scene(path)
        scene = scene if scene.units is None else scene.convert_units("meters")
        parts = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except Exception as error:  # what readers of mesh formats raise for damaged files has no common base
        _log.info("cannot read %s: %s", path, error)
        gone.append(mesh.filename)
        return
    if not parts:
        gone.append(mesh.filename)
    for part in parts:
        scaled = part.copy()
        if mesh.scale is not None:
            scaled.apply_scale(mesh.scale)
        if len(scaled.faces) > FACES:
            notes.append(f"{path.name} has {len(scaled.faces)} faces and is drawn as its convex hull")
            scaled = scaled.convex_hull
        yield scaled


def _material_colour(material: Any, materials: dict[str, Any]) -> Colour | None:
    if material is None:
        return None
    colour = material.color if material.color is not None else materials.get(material.name)
    return None if colour is None else _rgb(np.asarray(colour.rgba[:3]) * 255)


def _mesh_colour(mesh: Any) -> Colour:
    """A mesh's own colour: its material's or the mean of its faces'; grey where it has none."""
    visual = mesh.visual
    if visual.kind == "texture" and getattr(visual.material, "main_color", None) is not None:
        return _rgb(visual.material.main_color[:3])
    return _rgb(visual.face_colors[:, :3].mean(axis=0)) if visual.kind in ("face", "vertex") else GREY


def _rgb(values: Any) -> Colour:
    r, g, b = (int(np.clip(round(float(value)), 0, 255)) for value in values)
    return r, g, b


def _skeleton(arm: Arm) -> Iterator[Visual]:
    """A cylinder along each link, and a short one along each joint's axis."""
    import trimesh

    radius = 0.02 * arm.reach
    for frame, offset in enumerate(arm.offsets):
        parts = []
        if np.linalg.norm(offset[:3, 3]) > 1e-6:
            parts.append(trimesh.creation.cylinder(radius, segment=[[0, 0, 0], offset[:3, 3]], sections=16))
        if frame:
            parts.append(trimesh.creation.cylinder(1.7 * radius, 3.4 * radius, sections=24))
        for part, colour in zip(parts, (GREY, STEEL), strict=False):
            faces: IntArray = np.asarray(part.faces)
            yield Visual(part.vertices.astype(np.float32), faces.astype(np.uint32), colour, frame)
