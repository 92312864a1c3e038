"""Scenes: obstacles around an arm, built in or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.scenes.scene import Obstacle as Obstacle
    from sim.scenes.scene import Scene as Scene
    from sim.scenes.scene import load_scene as load_scene
    from sim.scenes.scene import scene_names as scene_names
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
