"""The arm and its world: kinematics, datasets, physics. No learning happens here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.arm import Arm as Arm
    from sim.arm import builtin_arms as builtin_arms
    from sim.arm import load_arm as load_arm
    from sim.arm import planar_arm as planar_arm
    from sim.dataset import generate as generate
    from sim.dataset import read_batches as read_batches
    from sim.errors import IKError as IKError
    from sim.kinematics import forward_kinematics as forward_kinematics
    from sim.kinematics import jacobian as jacobian
    from sim.rotations import pose as pose
    from sim.rotations import pose_text as pose_text
    from sim.scenes import Scene as Scene
    from sim.scenes import load_scene as load_scene
    from sim.scenes import scene_names as scene_names
    from sim.task import TASKS as TASKS
    from sim.task import Task as Task
    from sim.task import default_task as default_task
    from sim.task import load_task as load_task
    from sim.world import World as World
else:
    __getattr__, __dir__, __all__ = public_names(__name__)

if "gymnasium" in sys.modules:  # whoever has it may make the environments by name; it is not loaded for that
    import sim.environment  # noqa: F401
