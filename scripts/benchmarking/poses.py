"""The poses of the benchmark: uniform in joint space, and next to singularities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arm.arm import Arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, jacobian

SINGULARITIES = {"wrist": 4, "elbow": 2, "shoulder": 1}  # the joint that is brought to the singularity, from 0
OFFSETS = (1e-3, 1e-4, 1e-5, 1e-6)  # [rad] how far from it that joint stands

_GRID = 97  # values of the joint at which the determinant's sign is looked up
_HALVINGS = 60
_DRAWS = 40  # batches of configurations tried for enough singular ones


@dataclass(frozen=True)
class Poses:
    """Targets with the in-limit configurations that made them.

    Args:
        q: (N, n) [rad, m].
        T: `T_base_tip` of each, (N, 4, 4).
    """

    q: FloatArray
    T: FloatArray

    def __post_init__(self) -> None:
        assert len(self.q) == len(self.T)

    def __len__(self) -> int:
        return len(self.T)

    def first(self, count: int) -> Poses:
        """The first so many (all where there are fewer)."""
        return Poses(self.q[:count], self.T[:count])


def uniform_poses(arm: Arm, count: int, seed: int) -> Poses:
    """Poses of configurations uniform in the limits.

    Args:
        arm: The arm.
        count: How many.
        seed: Of `np.random.default_rng`.
    """
    q = arm.sample(np.random.default_rng(seed), count)
    return Poses(q, forward_kinematics(arm, q))


def singular_poses(arm: Arm, kind: str, offset: float, count: int, seed: int) -> Poses:
    """Poses of configurations next to a singularity.

    All joints are uniform in the limits but one, which is put at a zero of det J (found by bisection) and then moved
    away from it by the offset, to either side. Where that zero does not depend on the other joints the offset is the
    angle between two axes (wrist, elbow); a zero of the elbow's scan may also be one where the wrist's centre crosses
    the base axis.

    Args:
        arm: Six joints.
        kind: Key of `SINGULARITIES`.
        offset: [rad].
        count: How many; fewer are given where the arm has so few.
        seed: Of `np.random.default_rng`.
    """
    assert arm.n_joints == 6, "a determinant needs a square Jacobian"
    rng, joint = np.random.default_rng([seed, SINGULARITIES[kind]]), SINGULARITIES[kind]
    found: list[FloatArray] = []
    for _ in range(_DRAWS):
        if sum(map(len, found)) >= count:
            break
        q = _to_zero(arm, arm.sample(rng, 4 * count), joint, rng)
        q[:, joint] += offset * rng.choice((-1.0, 1.0), len(q))
        found.append(q[((q >= arm.q_min) & (q <= arm.q_max)).all(axis=1)])
    q = np.concatenate(found)[:count]
    return Poses(q, forward_kinematics(arm, q))


def _to_zero(arm: Arm, q: FloatArray, joint: int, rng: np.random.Generator) -> FloatArray:
    """The configurations whose determinant changes its sign along the joint, moved to one of those places."""
    grid = np.linspace(arm.sample_min[joint], arm.sample_max[joint], _GRID) + rng.uniform(-1e-3, 1e-3)
    sign = np.stack([np.sign(_determinant(arm, q, joint, np.full(len(q), value))) for value in grid], axis=1)
    change = sign[:, 1:] * sign[:, :-1] < 0
    q, sign, change = (rows[change.any(axis=1)] for rows in (q, sign, change))
    place = (change * rng.random(change.shape)).argmax(axis=1)  # any of them
    low, high, below = grid[place], grid[place + 1], sign[np.arange(len(q)), place]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        same = np.sign(_determinant(arm, q, joint, middle)) == below
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    out = q.copy()
    out[:, joint] = (low + high) / 2
    return out


def _determinant(arm: Arm, q: FloatArray, joint: int, values: FloatArray) -> FloatArray:
    q = q.copy()
    q[:, joint] = values
    return np.linalg.det(jacobian(arm, q))
