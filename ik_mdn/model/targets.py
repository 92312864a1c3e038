"""Targets and numbers as the densities of models take them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sim.inputs import check_counts
from sim.task import Task, as_batch


def checked_targets(task: Task, T_base_tip: Any, **counts: int) -> Tensor:
    """Targets as a float64 tensor (B, 4, 4): the given one where it is that already, with its device and gradient.

    On a device the numbers are taken as they are: to look at them is to wait for it.

    Args:
        task: Which part of them counts.
        T_base_tip: One pose or a batch; see `sim.task.as_targets` for what else is taken.
        counts: Whole numbers that must not be negative, by name.

    Raises:
        ShapeError, PoseError: They make no sense.
    """
    check_counts(0, **counts)
    if not isinstance(T_base_tip, Tensor) or T_base_tip.ndim != 3 or T_base_tip.shape[-2:] != (4, 4):
        return torch.from_numpy(as_batch(task, T_base_tip))
    if T_base_tip.device.type == "cpu":
        checked = as_batch(task, T_base_tip)
        return T_base_tip if T_base_tip.dtype == torch.float64 else torch.from_numpy(checked)
    return T_base_tip.double()
