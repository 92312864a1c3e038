"""Measured states a hair beyond a limit: given on the limit, with what that costs, or refused with the joint's name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ik_mdn.solver import IKSolver, Status
from ik_mdn.solver.engine import NEARLY
from sim.arm import LIMIT_NOISE, Arm, load_arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics

HOME = np.array([0.2, -1.2, 1.1, 0.3, 0.8, 0.1])


@pytest.fixture(scope="module")
def narrow() -> Arm:
    """One branch only: half a radian to either side."""
    return replace(load_arm("ur5e"), q_min=HOME - 0.5, q_max=HOME + 0.5)


def beyond(arm: Arm, joint: int, amount: float) -> FloatArray:
    """A state with one joint so far above its upper limit, or below its lower one where the amount is negative."""
    q = HOME.copy()
    q[joint] = (arm.q_max if amount > 0 else arm.q_min)[joint] + amount
    return q


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("amount", [1.5e-6, -1.5e-6, 3e-5])
def test_a_measured_state_a_hair_beyond_a_limit_is_nearly_met_on_it(
    narrow: Arm, joint: int, amount: float, caplog: pytest.LogCaptureFixture
) -> None:
    measured = beyond(narrow, joint, amount)
    T = forward_kinematics(narrow, measured)
    with caplog.at_level("INFO"):
        found = IKSolver(narrow).solve(T, q_seed=measured)[0]
    assert found.status is Status.NEARLY
    np.testing.assert_allclose(found.q, np.clip(measured, narrow.q_min, narrow.q_max)[None], rtol=0, atol=1e-8)
    assert ((narrow.q_min <= found.q) & (found.q <= narrow.q_max)).all()
    tip = forward_kinematics(narrow, found.q[0])
    np.testing.assert_allclose(found.err_pos, np.linalg.norm(tip[:3, 3] - T[:3, 3]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        found.err_rot, 2 * np.arcsin(np.linalg.norm(tip[:3, :3] - T[:3, :3]) / 8**0.5), rtol=0, atol=1e-8
    )
    assert found.err_rot[0] == pytest.approx(abs(amount), rel=1e-3)  # a revolute joint turns the tip by what it misses
    assert f"joint {narrow.joint_names[joint]!r} is {abs(amount):.1e} beyond its limit" in caplog.text


@pytest.mark.parametrize("amount", [2 * NEARLY, 0.9 * LIMIT_NOISE, 2 * LIMIT_NOISE, 0.1])
def test_what_the_limit_costs_too_much_stays_out_of_limits_and_names_the_joint(
    narrow: Arm, amount: float, caplog: pytest.LogCaptureFixture
) -> None:
    measured = beyond(narrow, 3, amount)
    with caplog.at_level("INFO"):
        found = IKSolver(narrow).solve(forward_kinematics(narrow, measured), q_seed=measured)[0]
    assert (found.status, len(found)) == (Status.OUT_OF_LIMITS, 0)
    assert f"joint {narrow.joint_names[3]!r} would be {amount:.1e} beyond its limit" in caplog.text


def test_a_limit_that_costs_less_than_the_tolerance_is_solved(narrow: Arm) -> None:
    measured = beyond(narrow, 2, 5e-9)
    found = IKSolver(narrow).solve(forward_kinematics(narrow, measured), q_seed=measured)[0]
    assert (found.status, len(found)) == (Status.SOLVED, 1)
    assert max(found.err_pos[0], found.err_rot[0]) <= 1e-8


def test_without_a_seed_nothing_says_which_state_was_measured(narrow: Arm) -> None:
    found = IKSolver(narrow).solve(forward_kinematics(narrow, beyond(narrow, 2, 1e-6)))[0]
    assert found.status is Status.OUT_OF_LIMITS


def test_branches_in_limits_come_first_and_max_jump_keeps_to_the_measured_one() -> None:
    arm = replace(load_arm("planar2"), q_max=np.array([3.0, 1.0]), q_min=np.array([-3.0, -1.0]))
    measured = np.array([0.3, 1.0 + 2e-6])
    mirrored, T = np.array([0.3 + measured[1], -1.0 + 2e-6]), forward_kinematics(arm, measured)
    wide = replace(arm, q_min=np.array([-3.0, -1.1]))
    other = IKSolver(wide).solve(T, q_seed=measured)[0]
    assert (other.status, len(other)) == (Status.SOLVED, 1)
    assert np.abs(other.q[0] - mirrored).max() < 1e-5
    near = IKSolver(wide).solve(T, q_seed=measured, max_jump=0.1)[0]
    assert (near.status, len(near)) == (Status.NEARLY, 1)
    assert np.abs(near.q[0] - measured).max() < 1e-5
    assert IKSolver(wide).solve(T, q_seed=measured - 0.2, max_jump=0.1)[0].status is Status.TOO_FAR


def test_a_batch_gives_what_its_targets_give_one_by_one(narrow: Arm) -> None:
    states = np.array([HOME, beyond(narrow, 0, 1e-5), beyond(narrow, 1, 2e-3), beyond(narrow, 5, -1e-6)])
    T, solver = forward_kinematics(narrow, states), IKSolver(narrow)
    batch = solver.solve(T, q_seed=states)
    assert [one.status for one in batch] == [Status.SOLVED, Status.NEARLY, Status.OUT_OF_LIMITS, Status.NEARLY]
    for one, t, q in zip(batch, T, states, strict=True):
        np.testing.assert_array_equal(one.q, solver.solve(t, q_seed=q)[0].q)
