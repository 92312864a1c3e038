"""Errors and their summaries: measured by FK, nothing trimmed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import sim
from ik_mdn.evaluation.metrics import joint_distance, pose_errors, summarise_errors


def test_errors_are_zero_at_the_configuration_that_made_the_pose() -> None:
    arm = sim.load_arm("panda")
    q = torch.rand(20, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    err_pos, err_rot = pose_errors(arm, sim.TASKS["pose"], q, sim.forward_kinematics(arm, q))
    assert err_pos.max() < 1e-12
    assert err_rot.max() < 1e-7


def test_errors_of_a_planar_arm_are_its_plain_distances() -> None:
    arm = sim.load_arm("planar3")
    T = sim.forward_kinematics(arm, torch.zeros(1, 3, dtype=torch.float64))
    q = torch.tensor([[math.pi / 2, 0.0, 0.0]], dtype=torch.float64)
    err_pos, err_rot = pose_errors(arm, sim.TASKS["planar_pose"], q, T)
    assert err_pos.item() == pytest.approx(2.3 * math.sqrt(2))
    assert err_rot.item() == pytest.approx(math.pi / 2)


def test_a_pose_without_an_answer_counts_as_a_failure_and_the_worst_case_is_kept() -> None:
    err_pos = np.array([1e-9, 5e-4, 3.0, np.inf])
    err_rot = np.array([1e-9, 5e-3, 1.0, np.inf])
    summary = summarise_errors(err_pos, err_rot)
    assert summary.count == 4
    assert summary.answered == 0.75
    assert summary.success == {"1cm": 0.5, "1mm": 0.5, "1e-6": 0.25}
    assert summary.pos[2] == 3.0


def test_nothing_answered_gives_nan_not_zero() -> None:
    summary = summarise_errors(np.array([np.inf]), np.array([np.inf]))
    assert math.isnan(summary.pos[0])
    assert summary.success["1cm"] == 0.0


def test_joint_distance_is_measured_on_the_circle_but_not_along_a_slide() -> None:
    period = torch.tensor([2 * math.pi, math.inf], dtype=torch.float64)
    q = torch.tensor([3.1, 0.0], dtype=torch.float64)
    other = torch.tensor([-3.1, 0.01], dtype=torch.float64)
    assert joint_distance(q, other, period).item() == pytest.approx(2 * math.pi - 6.2)
    far = torch.tensor([3.1, 7.0], dtype=torch.float64)
    assert joint_distance(q, far, period).item() == pytest.approx(7.0)


def test_no_answer_is_infinitely_far() -> None:
    arm = sim.load_arm("planar2")
    q = torch.tensor([[math.nan, 0.0], [0.1, 0.2]], dtype=torch.float64)
    pos, rot = pose_errors(arm, sim.task.default_task(arm), q, torch.eye(4, dtype=torch.float64))
    assert pos.isinf().tolist() == rot.isinf().tolist() == [True, False]
