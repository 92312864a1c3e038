"""Translucent arms in a picture: Bullet's software renderer knows no transparency, so they are blended in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.rendering import Camera, Layers, Picture, average_down
from sim.world.world import World

Colour = tuple[float, float, float]

FREE: Colour = (0.16, 0.44, 0.85)  # of a solution that could have been taken
REJECTED: Colour = (0.86, 0.18, 0.15)  # of one that collides, or that nothing free leads to
_ALIKE = 0.05  # sine of half the angle below which two configurations look the same
_ALPHA = 0.4  # share of a ghost in what is seen through it
_BIAS = (
    5e-3  # [m] that a ghost must be nearer than what it covers: where both are one (the base, the hand) it is left out
)
_TINT = 0.8  # share of its colour in a ghost, the rest is the arm's own


class GhostWorld:
    """A world with nothing but an arm, to take its picture in any configuration; a context manager.

    Args:
        arm: The arm.
        T_world_base: Where its base is, shape (4, 4).
        camera: Where the picture is taken from, the same as for the picture to blend into.
        meshes: Load the arm's meshes.
    """

    def __init__(self, arm: Arm, T_world_base: FloatArray, camera: Camera, *, meshes: bool = True) -> None:
        self._world, self._camera = World(), camera
        self._body = self._world.add_arm(arm, T_world_base, meshes=meshes)

    def __enter__(self) -> GhostWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self._world.close()

    def take(self, q: FloatArray, colour: Colour = FREE) -> Layers:
        """The arm at q, shape (n,), tinted, with nothing around it."""
        self._body.set_q(q)
        layers = self._world.render_layers(self._camera)
        tinted = (1.0 - _TINT) * layers.rgb + _TINT * 255.0 * np.asarray(colour)
        return Layers(tinted.astype(np.uint8), layers.depth, layers.solid, layers.supersample)


def blend(view: Layers, ghosts: Sequence[Layers], *, alpha: float | Sequence[float] = _ALPHA) -> Picture:
    """A picture with ghosts in it: in front of what is farther away, hidden by what is nearer.

    With `c` the colour so far and `g` a ghost's, each of its pixels becomes `(1 - alpha) c + alpha g`, the
    farthest ghost first (Porter and Duff, Compositing digital images, SIGGRAPH 1984, "over"), pixel by pixel.

    Args:
        view: The picture.
        ghosts: Of the same size and camera.
        alpha: Share of a ghost in what is seen, in [0, 1]; one for all, or one for each.

    Returns:
        Shape (height, width, 3), 0 to 255.
    """
    if not ghosts:
        return view.picture()
    depth = np.stack([np.where(ghost.solid, ghost.depth, np.inf) for ghost in ghosts])
    rgb = np.stack([ghost.rgb for ghost in ghosts])
    order = np.argsort(-depth, axis=0, kind="stable")
    shares = np.broadcast_to(np.asarray(alpha, dtype=np.float32), len(ghosts))
    mixed = view.rgb.astype(np.float32)
    for place in order:
        near = np.take_along_axis(depth, place[None], axis=0)[0]
        colour = np.take_along_axis(rgb, place[None, ..., None], axis=0)[0]
        seen = near < view.depth - _BIAS
        share = shares[place[seen], None]
        mixed[seen] = (1.0 - share) * mixed[seen] + share * colour[seen]
    return average_down(mixed.round().astype(np.uint8), view.supersample)


def pick_apart(q_all: Iterable[FloatArray], q_chosen: FloatArray, *, most: int) -> list[int]:
    """Which configurations to show beside a chosen one: those farthest from it and from each other.

    Args:
        q_all: Configurations, each shape (n,).
        q_chosen: The one that is shown anyway.
        most: At most so many.

    Returns:
        Their places, the most different one first; what looks like one that is shown already is left out.
    """
    points = [np.asarray(q) for q in q_all]
    shown, picked = [q_chosen], list[int]()
    while len(picked) < min(most, len(points)):
        gaps = [min(_gap(q, other) for other in shown) for q in points]
        best = int(np.argmax(gaps))
        if gaps[best] < _ALIKE:
            break
        picked.append(best)
        shown.append(points[best])
    return picked


def _gap(q: FloatArray, other: FloatArray) -> float:
    """How different two configurations look: windings of one joint look the same."""
    return float(np.abs(np.sin((q - other) / 2.0)).max())
