"""Two solutions of a target next to each other are the two branches of a fold, not one solution twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from samples import random_arm

from ik_mdn.solver import IKSolver, Status
from sim.arm import Arm, load_arm
from sim.arrays import FloatArray
from sim.jacobians import scaled_task_jacobian
from sim.kinematics import forward_kinematics
from sim.task import Task

COUNT = 100
NEAR = 1e-3  # [rad, m] between the solutions of a pair


def offset_wrist() -> Arm:
    """Six joints at skew angles, no three axes of which meet."""
    arm = random_arm(6, 5)
    return replace(arm, q_min=np.full(6, -3.0), q_max=np.full(6, 3.0), joint_types=("revolute",) * 6)


def finger() -> Arm:
    """A turn and three parallel pitches."""
    offsets = np.tile(np.eye(4), (5, 1, 1))
    offsets[1, :3] = [[1, 0, 0, 0.02], [0, 0, 1, 0], [0, -1, 0, 0]]
    offsets[2:, 0, 3] = 0.05, 0.03, 0.025
    most = np.array([1.0, 1.6, 1.7, 1.7])
    return Arm("finger", "a", "b", tuple("abcd"), ("revolute",) * 4, offsets, -most, most, np.ones(4), np.ones(4))


def handedness(arm: Arm, task: Task, q: FloatArray) -> FloatArray:
    """det J of the task: it changes sign across a fold, and nowhere else near it."""
    return np.asarray(np.linalg.det(scaled_task_jacobian(arm, task, q)[1]))


def beside_folds(arm: Arm, task: Task) -> FloatArray:
    """Joint vectors 1e-6 to 1e-2 rad in one joint from where det J changes its sign, by bisection."""
    rng, rows = np.random.default_rng(11), []
    while len(rows) < COUNT:
        joint, line = rng.integers(arm.n_joints), np.tile(rng.uniform(arm.q_min, arm.q_max), (60, 1))
        line[:, joint] = np.linspace(arm.q_min[joint], arm.q_max[joint], 60)
        side = np.sign(handedness(arm, task, line))
        for k in (side[1:] != side[:-1]).nonzero()[0][:1]:
            low, high = line[k].copy(), line[k + 1].copy()
            for _ in range(50):
                middle = (low + high) / 2
                same = np.sign(handedness(arm, task, middle[None]))[0] == side[k]
                low, high = (middle, high) if same else (low, middle)
            low[joint] += rng.choice([-1, 1]) * 10 ** rng.uniform(-6, -2)
            rows.append(low)
    return np.clip(rows, arm.q_min, arm.q_max)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"thorough": True}])
@pytest.mark.parametrize("make", [lambda: load_arm("ur5e"), lambda: load_arm("puma560"), finger, offset_wrist])
def test_two_solutions_next_to_each_other_are_on_either_side_of_a_fold(make: Any, options: dict[str, Any]) -> None:
    arm = make()
    solver = IKSolver(arm)
    pairs = 0
    for one in solver.solve(forward_kinematics(arm, beside_folds(arm, solver.task)), **options):
        if one.status is Status.CONTINUUM:
            continue
        away = np.linalg.norm(arm.nearest_image(one.q[:, None] - one.q[None]), axis=-1)
        for a, b in zip(*np.triu(away < NEAR, 1).nonzero(), strict=True):
            sides = handedness(arm, solver.task, one.q[[a, b]])
            assert sides[0] * sides[1] < 0
            pairs += 1
    assert pairs > 3  # else the poses are no test
