"""What the network sees of a target: its pose with the arm's symmetries divided out."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.arm import Arm
from sim.task import Task

NEAR_AXIS = 0.1  # share of the reach: closer to the base axis, the approach axis gives the azimuth
WAVES = 3  # octaves of sine and cosine features per coordinate


class Encoded(NamedTuple):
    """Network input and what was divided out of it: `q = q_reduced + shift`."""

    features: Tensor  # (B, size), float32
    shift: Tensor  # (B, n), float64, zero except for the first and last joint


class PoseFeatures:
    """Maps target poses to network inputs, exactly invariant under the arm's symmetries.

    Write the chain as T = C₀ Rz(q₁) M(q₂ … qₙ₋₁) Rz(qₙ) Cₙ and X = C₀⁻¹ T Cₙ⁻¹. Turning X about the base axis
    by φ only shifts q₁ by φ; rolling it about the tool axis by ψ only shifts qₙ by ψ. So φ and ψ are taken out
    of X, and the network predicts (q₁ - φ, q₂, …, qₙ - ψ).

    No single choice of φ or ψ is continuous everywhere, so there are two charts for each, and the network is told
    which one holds: the azimuth is that of the origin of X, or near the base axis that of its approach axis; the roll
    is measured from the shortest turn of +z or of -z onto the approach axis, whichever is nearer.

    Args:
        arm: The arm.
        task: What counts of the pose. The azimuth is removed where the first joint turns; the roll where the last
            joint turns and the orientation counts.
        use_symmetries: False keeps φ = ψ = 0, for ablations.
    """

    def __init__(self, arm: Arm, task: Task, *, use_symmetries: bool = True) -> None:
        self.arm, self.task = arm, task
        turns = ~arm.is_prismatic
        self.removes_azimuth = bool(use_symmetries and turns[0])
        self.removes_roll = bool(use_symmetries and turns[-1] and arm.n_joints > 1 and task.rows[5])

    @cached_property
    def size(self) -> int:
        """Length of the network's input."""
        return self.encode(torch.eye(4, dtype=torch.float64)[None]).features.shape[1]

    def encode(self, T_base_tip: Tensor) -> Encoded:
        """Features and shifts of targets.

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.

        Returns:
            Features of order one, float32 (B, size), and the shifts, float64 (B, n) [rad].
        """
        shift = T_base_tip.new_zeros(len(T_base_tip), self.arm.n_joints)
        p, R = self._to_chain(T_base_tip)
        near_axis = p.new_zeros(len(p), dtype=torch.bool)
        if self.removes_azimuth:
            phi, near_axis = _azimuth(p, R[:, :, 2] if any(self.task.rows[3:]) else None)
            shift[:, 0] = phi
            p, R = _turn_back(p, R, phi)
        south = R[:, 2, 2] < 0 if self.task.rows[5] else torch.zeros_like(near_axis)
        if self.removes_roll:
            psi = _roll(R, south)
            shift[:, -1] += psi
            R = R @ _turn_z(-psi)
        coordinates = torch.cat([p, self._orientation(R)], dim=1)
        flags = torch.stack([near_axis, south], dim=1).to(p.dtype) * 2 - 1
        return Encoded(torch.cat([_waves(coordinates), flags], dim=1).float(), shift)

    def _to_chain(self, T: Tensor) -> tuple[Tensor, Tensor]:
        """Position in units of the reach, and rotation, of the frame that the last joint turns about, seen from the first."""
        to_first, from_last = (torch.as_tensor(frame, dtype=T.dtype, device=T.device) for frame in self.frames)
        X = to_first @ T @ from_last
        return X[:, :3, 3] / self.arm.reach, X[:, :3, :3]

    @cached_property
    def frames(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What X is the target between: C₀⁻¹ and, where position and roll both count, Cₙ⁻¹, each (4, 4)."""
        known = all(self.task.rows[:2]) and self.task.rows[5]
        before, behind = self.arm.offsets[0], self._last_to_tip if known else np.eye(4)
        return np.asarray(np.linalg.inv(before)), np.asarray(np.linalg.inv(behind))

    @cached_property
    def _last_to_tip(self) -> NDArray[np.float64]:
        """C_n seen from the point of the last axis that is nearest to the axis before it (the wrist centre)."""
        last_to_tip: NDArray[np.float64] = self.arm.offsets[-1].copy()
        if self.arm.n_joints > 1:
            before = self.arm.offsets[-2]
            origin, axis = before[:3, 3], before[:3, 2]
            if 1 - axis[2] ** 2 > 1e-9:
                slide = (axis[2] * origin[2] - origin @ axis) / (1 - axis[2] ** 2)
                last_to_tip[2, 3] -= slide
        return last_to_tip

    def _orientation(self, R: Tensor) -> Tensor:
        """The part of the rotation that counts and was not divided out, (B, 0), (B, 3) or (B, 6)."""
        if not any(self.task.rows[3:]):
            return R.new_zeros(len(R), 0)
        if self.removes_roll or not self.task.rows[5]:
            return R[:, :, 2]
        return torch.cat([R[:, :, 2], R[:, :, 0]], dim=1)


def _azimuth(p: Tensor, approach: Tensor | None) -> tuple[Tensor, Tensor]:
    radius = torch.hypot(p[:, 0], p[:, 1])
    phi = torch.atan2(p[:, 1], p[:, 0])
    if approach is None:
        return phi, torch.zeros_like(radius, dtype=torch.bool)
    near_axis = (radius < NEAR_AXIS) & (torch.hypot(approach[:, 0], approach[:, 1]) > radius)
    return torch.where(near_axis, torch.atan2(approach[:, 1], approach[:, 0]), phi), near_axis


def _roll(R: Tensor, south: Tensor) -> Tensor:
    north_roll = torch.atan2(R[:, 1, 0] - R[:, 0, 1], R[:, 0, 0] + R[:, 1, 1])
    south_roll = torch.atan2(R[:, 1, 0] + R[:, 0, 1], R[:, 1, 1] - R[:, 0, 0])
    return torch.where(south, south_roll, north_roll)


def _turn_z(angle: Tensor) -> Tensor:
    c, s, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    rows = [c, -s, zero, s, c, zero, zero, zero, zero + 1]
    return torch.stack(rows, dim=-1).reshape(*angle.shape, 3, 3)


def _turn_back(p: Tensor, R: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    back = _turn_z(-phi)
    return (back @ p[..., None])[..., 0], back @ R


def _waves(x: Tensor) -> Tensor:
    """x with sines and cosines of π x, 2π x, 4π x …, shape (B, d (1 + 2 octaves))."""
    angles = [x * (np.pi * 2**k) for k in range(WAVES)]
    return torch.cat([x, *(wave(a) for a in angles for wave in (torch.sin, torch.cos))], dim=1)
