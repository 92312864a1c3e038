"""Arms and joint vectors that several tests use."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ik_mdn.solver.kernels.rules import Refined
from sim.arm import Arm

MIXED = """<?xml version="1.0"?>
<robot name="mixed">
  <link name="a"/><link name="b"/><link name="c"/><link name="d"/><link name="e"/><link name="f"/>
  <joint name="turn" type="revolute">
    <parent link="a"/><child link="b"/><origin xyz="0.1 0 0.3" rpy="0.2 0 0"/><axis xyz="0 -1 0"/>
    <limit lower="-2" upper="1" velocity="1" effort="10"/>
  </joint>
  <joint name="bracket" type="fixed">
    <parent link="b"/><child link="c"/><origin xyz="0 0.2 0" rpy="0 0.5 -0.4"/>
  </joint>
  <joint name="slide" type="prismatic">
    <parent link="c"/><child link="d"/><origin xyz="0 0 0.1"/><axis xyz="0.6 0 0.8"/>
    <limit lower="-0.1" upper="0.4" velocity="1" effort="10"/>
  </joint>
  <joint name="spin" type="continuous">
    <parent link="d"/><child link="e"/><origin rpy="1 0 0"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="tool" type="fixed">
    <parent link="e"/><child link="f"/><origin xyz="0.05 0 0.02" rpy="0 1.2 0"/>
  </joint>
</robot>
"""


def sliding_arm() -> Arm:
    """A turning column with a lift and a boom: cylinder coordinates."""
    offsets = np.tile(np.eye(4), (4, 1, 1))
    offsets[2, :3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # the boom slides along the column's x
    return Arm(
        name="cylinder",
        base="base",
        tip="tip",
        joint_names=("turn", "lift", "boom"),
        joint_types=("continuous", "prismatic", "prismatic"),
        offsets=offsets,
        q_min=np.array([-np.inf, 0.0, 0.2]),
        q_max=np.array([np.inf, 1.5, 2.0]),
        dq_max=np.ones(3),
        effort_max=np.ones(3),
    )


def sample(arm: Arm, count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(arm.sample_min, arm.sample_max, (count, arm.n_joints)))


def disturb(q: Tensor, size: float, seed: int = 1) -> Tensor:
    return q + size * torch.tensor(np.random.default_rng(seed).normal(size=tuple(q.shape)))


def met(result: Refined, tolerance: float = 1e-9) -> Tensor:
    return torch.maximum(result.err_pos, result.err_rot) <= tolerance
