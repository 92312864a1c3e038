"""What a `ReachNetwork` is trained on: targets that are left to the other joints, met or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ik_mdn.model import ChainModel, SavedModel, draw_uniform
from ik_mdn.solver import IKSolver
from ik_mdn.training.streams import on_cpu
from sim.arm import Arm
from sim.kinematics import forward_kinematics

_AWAY = 0.1  # [rad, m] deviation of half of the values from what the density of the joint drawn first gives


class ReachStream:
    """Targets of the joints drawn last, where that drawn first has a value that its density gives, or one near it.

    Whether they can be met is found by solving, with the seeds of the trained network of these joints alone. Limits of the
    first and the last of them do not count: the features do not know them, and the density is cut at them by itself.

    Args:
        model: A chain whose networks are trained.
    """

    def __init__(self, model: ChainModel) -> None:
        self.model = model

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features (count, n_in), float32, and 1 for targets that are met, otherwise 0, (count, 1)."""
        device, generator = generator.device, on_cpu(generator)
        model, split = self.model, self.model.split
        T = forward_kinematics(model.arm, draw_uniform(model.arm, count, generator))
        with torch.no_grad():
            drawn = model.first_density(T).sample(generator=generator)[:, 0]
        away = torch.randn(count, dtype=torch.float64, generator=generator)
        drawn = torch.where(torch.arange(count) % 2 == 0, drawn, drawn + _AWAY * away)
        left = split.shorten(model.arm, T, drawn)
        met = torch.from_numpy(self._solver.solve(left.numpy(), restarts=0, max_solutions=1).count > 0)
        return model.rest.features.encode(left).features.to(device), met[:, None].double().to(device)

    def batches(
        self, size: int, generator: torch.Generator, *, seed: int, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Fresh batches without end."""
        while True:
            yield self.draw(size, generator)

    @cached_property
    def _solver(self) -> IKSolver:
        rest = self.model.rest
        free = _freed(rest.arm, rest.features.divided_out)
        return IKSolver(free, replace(SavedModel.of(rest), arm=free), task=rest.task)


def _freed(arm: Arm, joints: list[int]) -> Arm:
    """The arm with some joints that turn all the way round."""
    low, high = arm.q_min.copy(), arm.q_max.copy()
    low[joints], high[joints] = -np.pi, np.pi
    return replace(arm, q_min=low, q_max=high)
