"""Arms and joint vectors that several tests use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation
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


def on_rail(arm: Arm, low: float, high: float) -> Arm:
    """The arm on a slide along the base's x axis."""
    along_x = np.eye(4)
    along_x[:3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    return Arm(
        name=f"{arm.name} on a rail",
        base=arm.base,
        tip=arm.tip,
        joint_names=("rail", *arm.joint_names),
        joint_types=("prismatic", *arm.joint_types),
        offsets=np.concatenate([along_x[None], (along_x.T @ arm.offsets[0])[None], arm.offsets[1:]]),
        q_min=np.append(low, arm.q_min),
        q_max=np.append(high, arm.q_max),
        dq_max=np.append(1.0, arm.dq_max),
        effort_max=np.append(100.0, arm.effort_max),
    )


def sample(arm: Arm, count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.tensor(arm.sample(rng, count))


def disturb(q: Tensor, size: float, seed: int = 1) -> Tensor:
    return q + size * torch.tensor(np.random.default_rng(seed).normal(size=tuple(q.shape)))


def met(result: Refined, tolerance: float = 1e-9) -> Tensor:
    return torch.maximum(result.err_pos, result.err_rot) <= tolerance


def random_arm(n_joints: int, seed: int, *, sliding: tuple[int, ...] = ()) -> Arm:
    """A chain of random links; those joints slide, the others turn within limits, the last one without."""
    rng = np.random.default_rng(seed)
    offsets = np.tile(np.eye(4), (n_joints + 1, 1, 1))
    offsets[:, :3, :3] = Rotation.random(n_joints + 1, random_state=rng).as_matrix()
    offsets[:, :3, 3] = rng.normal(scale=0.2, size=(n_joints + 1, 3))
    kinds = ["prismatic" if i in sliding else "revolute" for i in range(n_joints)]
    q_min, q_max = rng.uniform(-3.0, -1.5, n_joints), rng.uniform(1.5, 3.0, n_joints)
    q_min[list(sliding)], q_max[list(sliding)] = 0.1, 0.9
    if n_joints - 1 not in sliding:
        kinds[-1], q_min[-1], q_max[-1] = "continuous", -np.inf, np.inf
    return Arm(
        name=f"random{n_joints}",
        base="base",
        tip="tip",
        joint_names=tuple(f"joint{i}" for i in range(n_joints)),
        joint_types=tuple(kinds),
        offsets=offsets,
        q_min=q_min,
        q_max=q_max,
        dq_max=np.ones(n_joints),
        effort_max=np.ones(n_joints),
    )


def enlarged(arm: Arm, factor: float) -> Arm:
    """The same arm with every length multiplied, strokes of sliding joints included."""
    offsets, unit = arm.offsets.copy(), np.where(arm.is_prismatic, factor, 1.0)
    offsets[:, :3, 3] *= factor
    return replace(arm, offsets=offsets, q_min=arm.q_min * unit, q_max=arm.q_max * unit)
