"""Many copies of one arm in viser's picture, and which of them a ray meets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.viewer.ghosts import Ghosts
from ik_mdn.viewer.visuals import Visual, link_frames
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.rotations import quat_wxyz_of

_AWAY = 1e4  # [m] in every direction: out of sight


class ArmBatch:
    """Many copies of one arm: for each level of opacity, and each joint's frame, one batch of instances.

    viser builds a batch anew when its opacities change, which flickers; so a level keeps its opacity, and a copy changes
    level. Copies that are not shown lie far away, where they cost nothing.

    Args:
        scene: viser's scene.
        name: Of the nodes.
        arm: The arm.
        solid, ghost: Its shapes where it is drawn solid or nearly so, and coarser ones.
        levels: Opacities, rising; 1 is solid.
        capacity: Most copies.
    """

    def __init__(
        self,
        scene: Any,
        name: str,
        arm: Arm,
        solid: tuple[Visual, ...],
        ghost: tuple[Visual, ...],
        *,
        levels: tuple[float, ...],
        capacity: int,
    ) -> None:
        self._arm, self._levels, self._capacity = arm, np.array(levels), capacity
        self._shape = {frame: vertices[faces] for frame, (vertices, faces) in merge_by_frame(ghost).items() if frame}
        self._nodes: list[dict[int, Any]] = []
        self._drawn: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        for number, level in enumerate(levels):
            nodes = {}
            for frame, (vertices, faces) in merge_by_frame(solid if level > 0.5 else ghost).items():
                if frame == 0:
                    continue  # the base is the same for all: the robot's own is seen
                nodes[frame] = scene.add_batched_meshes_simple(
                    f"{name}/{number}/{frame}",
                    vertices,
                    faces,
                    np.tile(np.array([1.0, 0, 0, 0], dtype=np.float32), (capacity, 1)),
                    np.full((capacity, 3), _AWAY, dtype=np.float32),
                    batched_colors=np.full((capacity, 3), 200, dtype=np.uint8),
                    opacity=None if level >= 1 else level,
                    lod="off",
                    cast_shadow=False,
                    receive_shadow=False,
                )
            self._nodes.append(nodes)

    def draw(self, ghosts: Ghosts) -> None:
        """Show these arms and no others; more than the capacity are left out."""
        level = np.abs(ghosts.opacity[:, None] - self._levels).argmin(axis=1)
        frames = link_frames(self._arm, ghosts.q)
        positions, wxyz = frames[..., :3, 3], quat_wxyz_of(frames[..., :3, :3])
        order = np.lexsort(ghosts.colour.T)  # so that colours seldom change places
        for number, nodes in enumerate(self._nodes):
            rows = [int(row) for row in order if level[row] == number][: self._capacity]
            colour = np.full((self._capacity, 3), 200, dtype=np.uint8)
            colour[: len(rows)] = linear(ghosts.colour[rows])
            for frame, node in nodes.items():
                self._update(node, (number, frame), positions[rows, frame], wxyz[rows, frame], colour)

    def struck(self, q: FloatArray, origin: FloatArray, direction: FloatArray) -> int | None:
        """Which of these copies a ray meets first, or None.

        Args:
            q: Their configurations, shape (m, n).
            origin, direction: Of the ray in the base frame, shape (3,).
        """
        frames = link_frames(self._arm, q)
        way = np.full(len(q), np.inf)
        for row in range(len(q)):
            for frame, corners in self._shape.items():
                R, p = frames[row, frame, :3, :3], frames[row, frame, :3, 3]
                way[row] = min(way[row], ray_length(corners, R.T @ (origin - p), R.T @ direction))
        return int(way.argmin()) if np.isfinite(way).any() else None

    def _update(
        self, node: Any, key: tuple[int, int], positions: FloatArray, wxyz: FloatArray, colour: NDArray[np.uint8]
    ) -> None:
        """Send what has changed."""
        moved, painted = positions.tobytes() + wxyz.tobytes(), colour.tobytes()
        before = self._drawn.get(key)
        if before is None or before[0] != moved:
            everywhere = np.full((self._capacity, 3), _AWAY, dtype=np.float32)
            turned = np.tile(np.array([1.0, 0, 0, 0], dtype=np.float32), (self._capacity, 1))
            everywhere[: len(positions)], turned[: len(positions)] = positions, wxyz
            node.batched_positions, node.batched_wxyzs = everywhere, turned
        if before is None or before[1] != painted:
            node.batched_colors = colour
        self._drawn[key] = (moved, painted)


def linear(colour: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours as viser's batches take them: linear light, where everything else takes sRGB; 0 to 255, any shape."""
    return np.asarray(np.round(255.0 * (np.asarray(colour) / 255.0) ** 2.2), dtype=np.uint8)


def ray_length(corners: NDArray[np.float32], origin: FloatArray, direction: FloatArray) -> float:
    """How far along a ray the nearest triangle is, inf where it meets none (Möller and Trumbore, 1997).

    Args:
        corners: Of the triangles, shape (f, 3, 3).
        origin, direction: Of the ray, shape (3,).
    """
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(direction, second)
    det = np.einsum("fi,fi->f", first, across)
    scale = 1.0 / np.where(np.abs(det) < 1e-12, np.nan, det)
    gap = origin - corners[:, 0]
    u = scale * np.einsum("fi,fi->f", gap, across)
    turned = np.cross(gap, first)
    v, t = scale * (turned @ direction), scale * np.einsum("fi,fi->f", second, turned)
    met = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    return float(t[met].min(initial=np.inf))


def merge_by_frame(visuals: tuple[Visual, ...]) -> dict[int, tuple[NDArray[np.float32], NDArray[np.uint32]]]:
    """The shapes that are fixed to the same frame as one mesh: frame → vertices (v, 3), faces (f, 3)."""
    merged = {}
    for frame in sorted({visual.frame for visual in visuals}):
        parts = [visual for visual in visuals if visual.frame == frame]
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
        faces = [part.faces + np.uint32(start) for part, start in zip(parts, starts, strict=False)]
        merged[frame] = (np.concatenate([part.vertices for part in parts]), np.concatenate(faces).astype(np.uint32))
    return merged
