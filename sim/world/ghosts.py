"""Translucent arms in a picture: Bullet's software renderer knows no transparency, so they are blended in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.rendering import Camera, Layers, Picture, average_down
from sim.world.world import Colour, World

FREE: Colour = (0.16, 0.44, 0.85)  # of a solution that could have been taken
REJECTED: Colour = (0.86, 0.18, 0.15)  # of one that collides, or that nothing free leads to
_ALIKE = 0.05  # sine of half the angle below which two configurations look the same
_ALPHA = 0.4  # share of a ghost in what is seen through it
_BIAS = (
    5e-3  # [m] that a ghost must be nearer than what it covers: where both are one (the base, the hand) it is left out
)
_ALIKE_COLOURS = 30  # of 255: ghosts that differ by less are of one colour in other light
_LIGHT = 0.5  # share of white in what is seen through a ghost


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
        """The arm at q, shape (n,), in one colour, with nothing around it; light and shade are left of its own colours."""
        self._body.set_q(q)
        layers = self._world.render_layers(self._camera)
        light = layers.rgb.mean(axis=-1)
        usual = float(np.median(light[layers.solid])) if layers.solid.any() else 255.0
        brightest = 1.0 / max(*colour, 0.5)  # no channel ends at 255 before the others: orange would turn yellow
        shade = np.clip((light / usual) ** 1.6, 0.5, brightest)[..., None]
        return replace(layers, rgb=(255.0 * shade * np.array(colour)).round().astype(np.uint8))


def blend(view: Layers, ghosts: Sequence[Layers], *, alpha: float | Sequence[float] = _ALPHA) -> Picture:
    """A picture with ghosts in it: in front of what is farther away, hidden by what is nearer.

    With `c` what is there so far and `g` a ghost's colour, each of its pixels becomes `(1 - alpha) c + alpha g`, the
    farthest ghost first (Porter and Duff, Compositing digital images, SIGGRAPH 1984, "over"). What is seen through a
    ghost is a light grey of its brightness, so that every pixel has the hue of the nearest ghost, not that of a mixture,
    and orange does not darken to brown; less so through faint ones. Where most ghosts are one surface, it is nobody's
    and grey too.

    Args:
        view: The picture.
        ghosts: Of the same size and camera.
        alpha: Share of a ghost in what is seen, in [0, 1]; one for all, or one for each.

    Returns:
        Shape (height, width, 3), 0 to 255.
    """
    if not ghosts:
        return view.picture()
    mixed, shares = view.rgb.astype(np.float32), np.broadcast_to(np.asarray(alpha, dtype=np.float32), len(ghosts))
    for depth, colour, owner in reversed(list(_peel(ghosts))):
        seen = depth < view.depth - _BIAS
        share = shares[owner[seen], None]
        grey = _LIGHT * 255.0 + (1.0 - _LIGHT) * mixed[seen].mean(axis=-1, keepdims=True)
        behind = mixed[seen] + np.minimum(share / _ALPHA, 1.0) * (grey - mixed[seen])
        mixed[seen] = (1.0 - share) * behind + share * colour[seen]
    return average_down(mixed.round().astype(np.uint8), view.supersample)


def put_in(view: Layers, arm: Layers) -> Layers:
    """A picture with an arm in it that hides what is farther away; both of the same size and camera."""
    near = arm.solid & (arm.depth < view.depth)
    rgb = np.where(near[..., None], arm.rgb, view.rgb)
    return Layers(rgb, np.where(near, arm.depth, view.depth), view.solid | arm.solid, view.supersample)


def _peel(ghosts: Sequence[Layers]) -> Iterator[tuple[FloatArray, Picture, IntArray]]:
    """Depth (h, w), colour (h, w, 3) and ghost (h, w) of the nearest surface in each pixel, then of the one behind it, ...

    Of surfaces that coincide the first ghost's is the nearest, so that rounding does not speckle them; where most ghosts
    do, and differ in colour, it is grey.
    """
    depth = np.stack([np.where(ghost.solid, ghost.depth, np.inf) for ghost in ghosts])
    rgb = np.stack([ghost.rgb for ghost in ghosts])
    for _ in ghosts:
        same = depth <= depth.min(axis=0) + _BIAS
        first = same.argmax(axis=0)[None]
        nearest = np.take_along_axis(depth, first, axis=0)[0]
        colour = np.take_along_axis(rgb, first[..., None], axis=0)[0]
        shared = (2 * same.sum(axis=0) > max(len(ghosts), 2)) & np.isfinite(nearest)
        owners, seen = same[:, shared], rgb[:, shared].astype(np.int16)  # (n, m), (n, m, 3)
        apart = np.where(owners[..., None], np.abs(seen - colour[shared]), 0).max(axis=(0, 2)) > _ALIKE_COLOURS
        shared[shared] = apart
        colour[shared] = colour[shared].mean(axis=-1, keepdims=True).round()
        yield nearest, colour, first[0]
        np.put_along_axis(depth, first, np.inf, axis=0)


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
