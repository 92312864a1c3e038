"""The arm on a vertical rail: prior, forward process, test targets, and the same arm as a chain of joints.

Kruse, Ardizzone, Rother and Köthe, Benchmarking Invertible Architectures on Inverse Problems, 2021 (arXiv 2101.10763),
section 4.1. x = (height of the base on the rail [m], three relative angles [rad]); y is the tip in the plane [m].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sim.arm.arm import Arm

LENGTHS = (0.5, 0.5, 1.0)  # of the links [m]
PRIOR_STD = (0.25, 0.5, 0.5, 0.5)  # of x: [m], [rad]
NOISE = 0.01  # σ of y | x ~ N(f(x), σ² I) [m]
TEST_SEED = 20210126
CENTRE = (1.5, 0.0)  # the target in the middle, where the posterior is widest


def arm_reach(angles: Tensor) -> Tensor:
    """Σ lᵢ cos aᵢ, how far the tip lies from the rail (...) [m], for relative angles (..., 3) [rad].

    The absolute angles are aᵢ = x₂ + ... + xᵢ₊₁.
    """
    return _sum(torch.cos, angles)


def arm_rise(angles: Tensor) -> Tensor:
    """Σ lᵢ sin aᵢ, how far the tip lies above the base (...) [m], for relative angles (..., 3) [rad]."""
    return _sum(torch.sin, angles)


def forward(x: Tensor) -> Tensor:
    """f(x), the tip (..., 2) [m] for x (..., 4)."""
    return torch.stack([arm_reach(x[..., 1:]), x[..., 0] + arm_rise(x[..., 1:])], dim=-1)


def draw_pairs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """x from the prior, (count, 4), and a noisy observation y of its tip, (count, 2), float64."""
    x = torch.randn(count, 4, dtype=torch.float64, generator=generator) * torch.tensor(PRIOR_STD, dtype=torch.float64)
    return x, forward(x) + NOISE * torch.randn(count, 2, dtype=torch.float64, generator=generator)


def draw_targets(count: int, seed: int = TEST_SEED) -> Tensor:
    """Targets f(x), x from the prior, (count, 2); the default seed gives the test targets of the benchmark."""
    numbers = np.random.RandomState(seed).randn(count, 4)
    return forward(torch.from_numpy(numbers * np.array(PRIOR_STD)))


def rail_arm() -> Arm:
    """The same arm as a chain: a vertical rail, then three revolute joints, for exact refinement."""
    n = len(LENGTHS)
    offsets = np.stack([np.eye(4)] * (n + 2))
    lift = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # z of the rail is y of the plane
    offsets[0], offsets[1] = lift, np.linalg.inv(lift)
    for i, length in enumerate(LENGTHS):
        offsets[i + 2][0, 3] = length
    free = np.full(n + 1, np.inf)
    rail = np.array([1.0, np.inf, np.inf, np.inf])
    return Arm(
        name="kruse",
        base="base_link",
        tip="tool0",
        joint_names=("rail", "joint1", "joint2", "joint3"),
        joint_types=("prismatic", "continuous", "continuous", "continuous"),
        offsets=offsets,
        q_min=-rail,
        q_max=rail,
        dq_max=rail,
        effort_max=free,
    )


def _sum(wave: Callable[[Tensor], Tensor], angles: Tensor) -> Tensor:
    first, second, third = angles.unbind(-1)
    second = first + second
    l1, l2, l3 = LENGTHS
    return l1 * wave(first) + l2 * wave(second) + l3 * wave(second + third)
