"""Refinement: convergence from near and far, at folds and in singularities, and giving up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from samples import disturb, met, sample, sliding_arm

from ik_mdn.solver.refinement import refine
from sim.arm import load_arm
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics
from sim.task import TASKS, Task, as_targets, default_task, error_norms, task_error


@pytest.mark.parametrize("name", ["planar2", "planar3", "puma560", "xarm6", "panda"])
def test_nearby_seeds_become_exact(name: str) -> None:
    arm = load_arm(name)
    q = sample(arm, 300)
    result = refine(arm, default_task(arm), forward_kinematics(arm, q), disturb(q, 0.05))
    assert met(result, 1e-11).all()
    assert result.iterations.double().mean() < 8


def test_errors_are_those_of_forward_kinematics() -> None:
    arm, task = load_arm("xarm6"), TASKS["pose"]
    T = forward_kinematics(arm, sample(arm, 50))
    result = refine(arm, task, T, sample(arm, 50, seed=2), max_iterations=3)
    err_pos, err_rot = error_norms(task_error(task, forward_kinematics(arm, result.q), T))
    torch.testing.assert_close(result.err_pos, err_pos)
    torch.testing.assert_close(result.err_rot, err_rot)


@pytest.mark.parametrize("task", ["position", "position_axis", "pose"])
def test_most_random_seeds_of_a_six_joint_arm_converge(task: str) -> None:
    arm = load_arm("xarm6")
    T = forward_kinematics(arm, sample(arm, 300))
    assert met(refine(arm, TASKS[task], T, sample(arm, 300, seed=3))).double().mean() > 0.7


def test_prismatic_joints_slide_to_the_target() -> None:
    arm = sliding_arm()
    q = sample(arm, 100)
    result = refine(arm, TASKS["position"], forward_kinematics(arm, q), disturb(q, 0.3))
    assert met(result, 1e-11).all()


def test_more_constraints_than_joints_are_met_where_they_can_be() -> None:
    arm = load_arm("planar2")
    q = sample(arm, 100)
    result = refine(arm, TASKS["planar_pose"], forward_kinematics(arm, q), disturb(q, 0.1))
    assert met(result, 1e-11).all()
    torch.testing.assert_close(result.q, q, atol=1e-9, rtol=0)


@pytest.mark.parametrize("radius", [2.0, 2.0 - 1e-12, 2.0 - 1e-9, 2.0 - 1e-6])
def test_the_edge_of_the_workspace_is_met_to_a_nanometre(radius: float) -> None:
    arm, task = load_arm("planar2"), TASKS["planar_position"]
    T = torch.from_numpy(as_targets(task, radius * np.array([np.cos(0.3), np.sin(0.3)]))).expand(64, 4, 4)
    assert met(refine(arm, task, T, sample(arm, 64)), 1e-9).double().mean() > 0.9


@pytest.mark.parametrize("bend", [1e-3, 1e-4, 1e-5, 1e-6])
def test_a_nearly_straight_wrist_is_met_exactly_from_nearby(bend: float) -> None:
    arm = load_arm("puma560")
    q = sample(arm, 300)
    q[:, 4] = bend
    result = refine(arm, TASKS["pose"], forward_kinematics(arm, q), disturb(q, 0.05))
    assert met(result, 1e-10).double().mean() >= 0.99
    assert (result.q - q).abs().amax(1).lt(0.01).double().mean() >= 0.98  # not another point of the valley


def test_the_curved_valley_at_a_stretched_elbow_is_crossed() -> None:
    arm = load_arm("puma560")  # the smallest singular value here is 9e-5; a descent creeps along the valley
    q = torch.tensor([[0.58009, 0.05821, 1.56791, 1.41463, -0.87772, 4.03245]], dtype=torch.float64).expand(100, 6)
    result = refine(arm, TASKS["pose"], forward_kinematics(arm, q), disturb(q, 0.05))
    assert met(result).double().mean() > 0.95


def test_a_half_turn_of_the_tool_is_found() -> None:
    arm = load_arm("xarm6")
    q = sample(arm, 100)
    seeds = q.clone()
    seeds[:, 5] += np.pi
    assert met(refine(arm, TASKS["pose"], forward_kinematics(arm, q), seeds)).double().mean() > 0.5


def test_out_of_reach_ends_early_with_the_gap_as_error() -> None:
    arm, task = load_arm("planar2"), TASKS["planar_position"]
    T = torch.from_numpy(as_targets(task, np.array([3.0, 0.0]))).expand(50, 4, 4)
    result = refine(arm, task, T, sample(arm, 50))
    assert (result.err_pos >= 1.0 - 1e-12).all()
    assert result.err_pos.median() < 1.01
    assert (result.iterations < 60).all()


def test_the_size_of_the_arm_does_not_matter() -> None:
    small, large = load_arm("planar:0.002,0.0015"), load_arm("planar:20,15")
    q, seeds = sample(small, 200), sample(small, 200, seed=4)
    results = [refine(a, TASKS["planar_position"], forward_kinematics(a, q), seeds) for a in (small, large)]
    torch.testing.assert_close(results[0].q, results[1].q, atol=1e-6, rtol=0)
    assert met(results[0], 1e-13).double().mean() > 0.95


def test_lanes_and_neighbours_change_nothing() -> None:
    arm, task = load_arm("xarm6"), TASKS["pose"]
    T, seeds = forward_kinematics(arm, sample(arm, 60)), disturb(sample(arm, 60), 0.1)
    whole, refilled = refine(arm, task, T, seeds), refine(arm, task, T, seeds, lanes=7)
    torch.testing.assert_close(whole.q, refilled.q, atol=1e-9, rtol=0)
    alone = torch.cat([refine(arm, task, T[i : i + 1], seeds[i : i + 1]).q for i in range(10)])
    torch.testing.assert_close(whole.q[:10], alone, atol=1e-9, rtol=0)


def test_refinement_repeats_bit_for_bit() -> None:
    arm = load_arm("panda")
    T, seeds = forward_kinematics(arm, sample(arm, 40)), sample(arm, 40, seed=5)
    assert torch.equal(refine(arm, TASKS["pose"], T, seeds).q, refine(arm, TASKS["pose"], T, seeds).q)


def test_a_seed_that_is_no_number_never_counts_as_met() -> None:
    arm = load_arm("planar2")
    q = sample(arm, 2)
    seeds = q.clone()
    seeds[0, 0] = torch.nan
    assert met(refine(arm, TASKS["planar_position"], forward_kinematics(arm, q), seeds)).tolist() == [False, True]


def test_no_seeds_give_empty_tensors() -> None:
    arm = load_arm("xarm6")
    result = refine(arm, TASKS["pose"], torch.zeros(0, 4, 4).double(), torch.zeros(0, 6).double())
    assert result.q.shape == (0, 6)
    assert result.iterations.shape == (0,)


@pytest.mark.parametrize("task", [TASKS["pose"]])
def test_targets_and_seeds_must_pair_up(task: Task) -> None:
    arm = load_arm("xarm6")
    with pytest.raises(ShapeError, match=r"refine needs \(N, 4, 4\) and \(N, 6\)"):
        refine(arm, task, torch.eye(4).double().expand(3, 4, 4), sample(arm, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_what_the_cpu_finds() -> None:
    arm = load_arm("xarm6")
    q = sample(arm, 500)
    T, seeds = forward_kinematics(arm, q), disturb(q, 0.05)
    there = refine(arm, TASKS["pose"], T.cuda(), seeds.cuda())
    torch.testing.assert_close(there.q.cpu(), refine(arm, TASKS["pose"], T, seeds).q, atol=1e-6, rtol=0)
