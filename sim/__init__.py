"""The arm and its world: kinematics, datasets, physics. No learning happens here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.arm import Arm, load_arm, planar_arm
    from sim.catalogue import builtin_arms
    from sim.errors import IKError
    from sim.kinematics import forward_kinematics, jacobian
    from sim.scenes import Scene, load_scene, scene_names
    from sim.task import TASKS, Task, default_task, load_task
    from sim.world import World

_HOME = {
    "Arm": "sim.arm",
    "IKError": "sim.errors",
    "TASKS": "sim.task",
    "Scene": "sim.scenes",
    "Task": "sim.task",
    "World": "sim.world",
    "builtin_arms": "sim.catalogue",
    "default_task": "sim.task",
    "forward_kinematics": "sim.kinematics",
    "jacobian": "sim.kinematics",
    "load_arm": "sim.arm",
    "load_scene": "sim.scenes",
    "load_task": "sim.task",
    "planar_arm": "sim.arm",
    "scene_names": "sim.scenes",
}

__all__ = [
    "TASKS",
    "Arm",
    "IKError",
    "Scene",
    "Task",
    "World",
    "builtin_arms",
    "default_task",
    "forward_kinematics",
    "jacobian",
    "load_arm",
    "load_scene",
    "load_task",
    "planar_arm",
    "scene_names",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import sim` and `--help` stay instant."""
    if name not in _HOME:
        raise AttributeError(f"module 'sim' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)
