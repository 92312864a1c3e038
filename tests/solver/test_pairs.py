"""Solutions come in pairs where all joints turn all the way round: an odd number of them is looked at again."""

from __future__ import annotations

import numpy as np
import pytest

from ik_mdn.solver.solver import IKSolver
from sim.arm import Arm, load_arm
from sim.arrays import FloatArray
from sim.jacobians import comes_in_pairs, scaled_task_jacobian
from sim.kinematics import forward_kinematics
from sim.task import load_task


def sample(arm: Arm, count: int, seed: int = 0) -> FloatArray:
    return arm.sample(np.random.default_rng(seed), count)


@pytest.mark.parametrize(
    ("name", "task", "paired"),
    [
        ("ur5e", None, True),
        ("planar2", None, True),
        ("xarm6", None, False),  # limits
        ("panda", None, False),  # a joint to spare
        ("planar3", "planar_pose", True),
        ("planar3", "planar_position", False),
    ],
)
def test_arms_whose_joints_turn_all_the_way_round_have_pairs(name: str, task: str | None, paired: bool) -> None:
    arm = load_arm(name)
    assert comes_in_pairs(arm, load_task(arm, task)) == paired


@pytest.mark.parametrize("name", ["ur5e", "planar2", "planar3"])
def test_solutions_of_either_sign_are_as_many(name: str) -> None:
    arm = load_arm(name)
    task = load_task(arm, "planar_pose" if name == "planar3" else None)
    solver = IKSolver(arm, task=task)
    for solutions in solver.solve(forward_kinematics(arm, sample(arm, 20)), thorough=True):
        signs = np.sign(np.linalg.det(scaled_task_jacobian(arm, task, solutions.q)[1]))
        assert signs.sum() == 0


def test_near_a_straight_wrist_no_solution_is_alone() -> None:
    """Without looking again 18 of these 3,000 targets have one that is."""
    solver = IKSolver.load("ur5e")
    q = sample(solver.arm, 3000, 3)
    q[:, 4] = np.random.default_rng(0).choice((-1e-3, 1e-3), len(q))
    found = solver.solve(forward_kinematics(solver.arm, q))
    assert (found.count % 2 == 1).sum() <= 2


def test_two_that_are_one_are_left_alone() -> None:
    solver = IKSolver.load("planar2")
    for radius in (2.0, 2.0 + 1e-9):
        assert len(solver.solve(np.array([radius * np.cos(1.0), radius * np.sin(1.0)]))[0]) == 1
