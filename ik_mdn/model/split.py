"""Which end joint of a redundant arm is drawn before the others, and the target that is then left for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ik_mdn.model.config import AUTOMATIC, ModelConfig
from sim.arm import Arm
from sim.errors import ShapeError
from sim.jacobians import task_singular_values
from sim.task import Task

_SAMPLES = 256  # configurations that decide which joint is drawn first
_SINGULAR = 1e-6  # median of the smallest singular value of an arm that is singular everywhere


@dataclass(frozen=True)
class Split:
    """Which end joint is drawn first, and the arm that is left.

    Args:
        joint: 0 or n - 1.
        rest: The chain of the other joints.
    """

    joint: int
    rest: Arm

    @classmethod
    def at(cls, arm: Arm, joint: int) -> Split:
        """The split of one end joint, 0 or n - 1, from the others."""
        return cls(joint, arm.part(1, arm.n_joints) if joint == 0 else arm.part(0, joint))

    def of_rest(self, joints: Iterable[int]) -> list[int]:
        """The numbers that joints of the arm have in the rest; that of the split has none."""
        return [j - (self.joint == 0) for j in joints if j != self.joint]

    def shorten(self, arm: Arm, T_base_tip: Tensor, q: Tensor) -> Tensor:
        """Targets (..., 4, 4) for the other joints, given the first one's values (...)."""
        back = _joint_motion(-q, slides=bool(arm.is_prismatic[self.joint]))
        if self.joint:
            behind = T_base_tip.new_tensor(np.linalg.inv(arm.offsets[-1]))
            return T_base_tip @ behind @ back
        before = T_base_tip.new_tensor(np.linalg.inv(arm.offsets[0]))
        return back @ before @ T_base_tip


def find_split(arm: Arm, task: Task) -> Split | None:
    """The end of a redundant arm whose joint is best drawn first: without it the rest is furthest from singular.

    Args:
        arm: The arm.
        task: Which part of the pose counts.

    Returns:
        The split, or None where the arm is not redundant or would be singular everywhere without either joint.
    """
    if arm.n_joints <= task.n_constraints:
        return None
    ends = [Split.at(arm, joint) for joint in _removable(arm, task)]
    margins = [_margin(split.rest, task) for split in ends]
    if not ends or max(margins) < _SINGULAR:
        return None
    return ends[margins.index(max(margins))]


def _removable(arm: Arm, task: Task) -> list[int]:
    """Ends of the chain without which the target is one of the same kind.

    That is the last joint where the whole pose counts, and the first where the position counts along all axes or not at
    all; neither where the task has frames of its own.
    """
    if task.R_base_task is not None or task.R_tip_task is not None:
        return []
    whole, plane = task.rows[:3], arm.is_planar and task.rows[:3] == (True, True, False)
    last = [arm.n_joints - 1] if all(task.rows) else []
    return last + ([0] if all(whole) or not any(whole) or plane else [])


def chosen_split(arm: Arm, task: Task, config: ModelConfig) -> Split | None:
    """The first split that a config asks for."""
    if config.kind != "mdn" or config.drawn_first == ():
        return None
    if config.drawn_first == AUTOMATIC:
        return find_split(arm, task)
    joint, allowed = config.drawn_first[0], _removable(arm, task) if arm.n_joints > 1 else []
    if joint not in allowed:
        raise ShapeError(
            f"joint {joint} of {arm.name!r} cannot be drawn first for task {task.name!r}; allowed: {allowed or 'none'}"
        )
    return Split.at(arm, joint)


def _margin(arm: Arm, task: Task) -> float:
    """Median of the smallest singular value over configurations in limits."""
    draws = arm.sample(np.random.default_rng(0), _SAMPLES)
    return float(task_singular_values(arm, task, torch.from_numpy(draws))[:, -1].median())


def _joint_motion(q: Tensor, *, slides: bool) -> Tensor:
    """The joint's transform, (..., 4, 4)."""
    zero, one = torch.zeros_like(q), torch.ones_like(q)
    c, s, z = (one, zero, q) if slides else (q.cos(), q.sin(), zero)
    rows: list[Any] = [c, -s, zero, zero, s, c, zero, zero, zero, zero, one, z, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).reshape(*q.shape, 4, 4)
