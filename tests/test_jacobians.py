"""Jacobians and errors without units: right by central differences, and unchanged when the whole arm grows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from samples import enlarged, random_arm, sample, sliding_arm

import sim
from ik_mdn.reach.constructions import dexterity
from ik_mdn.solver.engine import Problem
from ik_mdn.solver.engine_numba import CompiledEngine
from ik_mdn.solver.engine_torch import TorchEngine
from sim.arm import Arm
from sim.jacobians import manipulability, scaled_task_error, scaled_task_jacobian, task_singular_values
from sim.kinematics import forward_kinematics
from sim.task import TASKS, Task

CASES = [
    (random_arm(6, 1, sliding=(2,)), TASKS["pose"]),
    (random_arm(7, 2, sliding=(0, 4)), TASKS["pose"]),
    (random_arm(5, 3, sliding=(4,)), TASKS["position_axis"]),
    (sliding_arm(), TASKS["position"]),
    (sim.load_arm("ur5e"), TASKS["pose"]),
    (sim.load_arm("planar3"), TASKS["planar_pose"]),
]


@pytest.mark.parametrize(("arm", "task"), CASES, ids=lambda case: case.name)
def test_jacobian_is_the_derivative_of_the_error_without_units(arm: Arm, task: Task) -> None:
    q, h = sample(arm, 20), 1e-6
    T, J = scaled_task_jacobian(arm, task, q)
    torch.testing.assert_close(T, forward_kinematics(arm, q))
    for i, unit in enumerate(arm.joint_units):
        step = torch.zeros(arm.n_joints, dtype=torch.float64)
        step[i] = h * unit
        ahead, behind = (forward_kinematics(arm, q + sign * step) for sign in (1, -1))
        slope = (scaled_task_error(arm, task, T, ahead) - scaled_task_error(arm, task, T, behind)) / (2 * h)
        torch.testing.assert_close(J[..., i], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("arm", "task"), CASES, ids=lambda case: case.name)
def test_a_whole_arm_ten_times_as_large_is_as_dexterous(arm: Arm, task: Task) -> None:
    large, q = enlarged(arm, 10.0), sample(arm, 50)
    q_large = q * torch.from_numpy(np.where(arm.is_prismatic, 10.0, 1.0))
    torch.testing.assert_close(task_singular_values(large, task, q_large), task_singular_values(arm, task, q))
    torch.testing.assert_close(manipulability(large, task, q_large), manipulability(arm, task, q))


@pytest.mark.parametrize(("arm", "task"), CASES, ids=lambda case: case.name)
def test_everybody_measures_the_same_dexterity(arm: Arm, task: Task) -> None:
    q = sample(arm, 50)
    J = scaled_task_jacobian(arm, task, q)[1].numpy()
    expected = np.sqrt(np.linalg.det(J @ J.swapaxes(-1, -2)).clip(0))
    np.testing.assert_allclose(manipulability(arm, task, q), expected, rtol=1e-7, atol=1e-9)
    T = np.ascontiguousarray(forward_kinematics(arm, q).numpy())
    problem = Problem(arm, task, T, None, 1e-8)
    for engine in (CompiledEngine(problem, None), TorchEngine(problem, None)):
        np.testing.assert_allclose(engine.condition(q.numpy())[1], expected, rtol=1e-6, atol=1e-9)
    least = np.sqrt(np.linalg.eigvalsh(J @ J.swapaxes(-1, -2)).clip(0)[..., 0])
    np.testing.assert_allclose(dexterity(arm, task, q.numpy()), least, rtol=1e-6, atol=1e-7)


def test_joints_that_are_fewer_than_the_constraints_can_be_dexterous_too() -> None:
    arm, task = random_arm(5, 3), TASKS["pose"]
    J = scaled_task_jacobian(arm, task, sample(arm, 20))[1].numpy()
    q = sample(arm, 20)
    assert task_singular_values(arm, task, q).shape == (20, 5)
    expected = np.sqrt(np.linalg.det(J.swapaxes(-1, -2) @ J))
    np.testing.assert_allclose(manipulability(arm, task, q), expected, rtol=1e-7, atol=1e-9)


def test_an_arm_that_reaches_nowhere_has_length_one() -> None:
    arm = enlarged(random_arm(3, 4), 0.0)
    assert arm.reach == 0.0
    assert arm.length == 1.0
    assert not scaled_task_jacobian(arm, TASKS["position"], sample(arm, 4))[1].any()
