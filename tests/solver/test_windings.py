"""Joint vectors turned into limits, told apart on the circle, and wound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ik_mdn.solver.engine_torch import first_of_branch
from ik_mdn.solver.windings import into_limits, turn_into_limits, wind
from sim.arm import Arm, load_arm

TURN = 2 * np.pi


@pytest.fixture
def arm() -> Arm:
    """Two joints: one with two turns, one with less than a turn."""
    return replace(load_arm("planar2"), q_min=np.array([-TURN, 0.5]), q_max=np.array([TURN, 2.0]))


def test_turning_into_limits_picks_the_turn_nearest_the_middle(arm: Arm) -> None:
    q, inside = turn_into_limits(arm, torch.tensor([[4.0, 1.0 + 3 * TURN], [-7.0, 1.0 - TURN]], dtype=torch.float64))
    torch.testing.assert_close(q, torch.tensor([[4.0 - TURN, 1.0], [TURN - 7.0, 1.0]], dtype=torch.float64))
    assert inside.all()


def test_turning_into_limits_picks_the_turn_nearest_a_given_vector(arm: Arm) -> None:
    q, _ = turn_into_limits(
        arm, torch.tensor([[-2.0, 1.0]], dtype=torch.float64), torch.tensor([5.0, 0.0], dtype=torch.float64)
    )
    torch.testing.assert_close(q, torch.tensor([[TURN - 2.0, 1.0]], dtype=torch.float64))


def test_joints_that_no_turn_brings_inside_are_marked(arm: Arm) -> None:
    _, inside = turn_into_limits(arm, torch.tensor([[0.0, 0.4], [0.0, 2.1], [0.0, 1.0]], dtype=torch.float64))
    assert inside.tolist() == [False, False, True]


def test_rounding_beyond_a_limit_is_put_on_the_limit(arm: Arm) -> None:
    q, inside = turn_into_limits(arm, torch.tensor([[0.0, 2.0 + 1e-12 + TURN], [0.0, 2.0 + 1e-6]], dtype=torch.float64))
    assert inside.tolist() == [True, False]
    assert float(q[0, 1]) == 2.0


def test_continuous_joints_come_back_within_half_a_turn(arm: Arm) -> None:
    free = replace(arm, q_min=np.full(2, -np.inf), q_max=np.full(2, np.inf))
    q = into_limits(free, torch.linspace(-50, 50, 400).double().reshape(2, 100, 2))
    assert q.shape == (2, 100, 2)
    assert q.abs().max() <= np.pi + 1e-12


def test_winding_lists_every_turn_inside_the_limits(arm: Arm) -> None:
    row, q = wind(arm, np.array([[1.0, 1.0], [0.0, 0.6]]))
    assert row.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(q[:, 0], [1 - TURN, 1, -TURN, 0, TURN], atol=1e-15)
    np.testing.assert_allclose(q[:, 1], [1, 1, 0.6, 0.6, 0.6])


def test_numpy_and_torch_are_turned_alike(arm: Arm) -> None:
    q = np.random.default_rng(0).normal(0, 10, (200, 2))
    turned, inside = turn_into_limits(arm, q)
    there, inside_there = turn_into_limits(arm, torch.from_numpy(q))
    np.testing.assert_array_equal(turned, there.numpy())
    np.testing.assert_array_equal(inside, inside_there.numpy())


def test_equal_rows_of_one_pose_share_their_first_row(arm: Arm) -> None:
    near = 1e-5
    q = torch.tensor(
        [[0.0, 1.0], [3.0, 1.0], [TURN, 1.0 + near], [0.0, 1.0], [-np.pi, 1.0], [np.pi - near, 1.0]],
        dtype=torch.float64,
    )
    pose = torch.tensor([0, 0, 0, 1, 7, 7])
    assert first_of_branch(arm, pose, q, 1e-4).tolist() == [0, 1, 0, 3, 4, 4]


def test_rows_that_start_a_branch_are_further_apart_than_the_tolerance(arm: Arm) -> None:
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    q = torch.stack([order.double() * 0.4e-4, torch.ones(50).double()], dim=1)
    first = first_of_branch(arm, torch.zeros(50).long(), q, 1e-4)
    starts = q[first.unique(), 0].sort().values
    assert (starts.diff() > 1e-4).all()
    assert 1 <= len(starts) < 50


def test_grouping_agrees_with_a_loop_over_pairs(arm: Arm) -> None:
    rng = np.random.default_rng(0)
    pose = torch.tensor(np.sort(rng.integers(0, 30, 400)))
    q = torch.tensor(rng.integers(0, 3, (400, 2)) * 1.0 + 1e-6 * rng.normal(size=(400, 2)))
    first = first_of_branch(arm, pose, q, 1e-4)
    same = (pose == pose[:, None]) & ((q - q[:, None]).abs().amax(-1) < 1e-4)
    assert first.tolist() == [row.nonzero()[0].item() for row in same]


def test_no_rows_have_no_branches(arm: Arm) -> None:
    assert len(first_of_branch(arm, torch.zeros(0).long(), torch.zeros(0, 2).double(), 1e-4)) == 0
