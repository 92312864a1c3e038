"""Tasks: which part of a pose counts, for which arm, and targets and errors under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.task.choosing import default_task as default_task
    from sim.task.choosing import load_task as load_task
    from sim.task.motions import ROUNDING as ROUNDING
    from sim.task.targets import FARTHEST as FARTHEST
    from sim.task.targets import ROTATION_TOLERANCE as ROTATION_TOLERANCE
    from sim.task.targets import as_batch as as_batch
    from sim.task.targets import as_targets as as_targets
    from sim.task.task import TASKS as TASKS
    from sim.task.task import Task as Task
    from sim.task.task import counted_position as counted_position
    from sim.task.task import error_norms as error_norms
    from sim.task.task import task_error as task_error
    from sim.task.task import task_jacobian as task_jacobian
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
