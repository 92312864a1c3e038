"""Poses that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ik_mdn.model import draw_uniform
from sim.arm import Arm
from sim.kinematics import forward_kinematics

if TYPE_CHECKING:
    from ik_mdn.model import Postures

HELD_OUT_SEED = 7_777_777  # far from the small seeds that training uses


def held_out(
    arm: Arm, count: int, *, seed: int = HELD_OUT_SEED, postures: Postures | None = None
) -> tuple[Tensor, Tensor]:
    """Configurations uniform in limits, or drawn from p(q), and their poses, from a stream that training never sees.

    Args:
        arm: The arm.
        count: How many.
        seed: Of the stream.
        postures: p(q); None: uniform.

    Returns:
        q (count, n) and T_base_tip (count, 4, 4), float64.
    """
    generator = torch.Generator().manual_seed(seed)
    q = draw_uniform(arm, count, generator) if postures is None else postures.sample(count, generator)
    return q, forward_kinematics(arm, q)
