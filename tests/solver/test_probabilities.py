"""The weight of a solution is its probability given the pose: checked by how often it is the one that made the pose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from ik_mdn.solver import IKSolver, self_motion
from ik_mdn.solver.branches import wind
from ik_mdn.solver.probabilities import Law, count_windings, normalise, solution_weights
from sim.arm import Arm, load_arm, planar_arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics


def uniform(arm: Arm, count: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(arm.sample_min, arm.sample_max, (count, arm.n_joints))


def generating(found: FloatArray, q: FloatArray) -> int | None:
    """The row that made the pose."""
    distance = np.abs(found - q).max(axis=1, initial=0.0)
    return int(distance.argmin()) if len(found) and distance.min() < 1e-3 else None


@pytest.mark.parametrize("name", ["planar2", "ur5e", "puma560", "xarm6"])
@pytest.mark.parametrize("windings", [False, True])
def test_a_solution_made_the_pose_as_often_as_its_weight_says(name: str, windings: bool) -> None:
    arm = load_arm(name)
    q = uniform(arm, 1500, seed=5)
    batch = IKSolver.load(name).solve(forward_kinematics(arm, q), windings=windings)
    surplus, miss = [], 0
    for made_by, found in zip(q, batch, strict=True):
        near = made_by if windings else made_by + 2 * np.pi * np.round((found.q - made_by) / (2 * np.pi)) * turning(arm)
        row = generating(found.q, near)
        miss += row is None
        if row is not None:  # the expected weight of the row that made the pose is the sum of the squares
            surplus.append(found.weight[row] - np.square(found.weight).sum())
    assert found.law is Law.EXACT
    assert miss <= 3
    assert abs(np.mean(surplus)) < 4 * np.std(surplus) / np.sqrt(len(surplus)), np.mean(surplus)


def turning(arm: Arm) -> FloatArray:
    return np.where(arm.is_prismatic, 0.0, 1.0)


def test_weights_agree_with_counting_configurations_near_the_target() -> None:
    """Two links, the second joint may wind: of all draws whose tip lies in a small disc, the share near each solution."""
    arm = planar_arm([1.0, 0.6])
    wide = Arm(**{**vars(arm), "q_min": np.array([-2.0, -2.5]), "q_max": np.array([3.0, 5.5])})
    target = forward_kinematics(wide, np.array([0.4, 1.1]))
    found = IKSolver(wide).solve(target, windings=True, thorough=True)[0]
    draws = uniform(wide, 4_000_000, seed=1)
    c1, s1, c12, s12 = (f(a) for a in (draws[:, 0], draws.sum(1)) for f in (np.cos, np.sin))
    tips = np.stack([c1 + 0.6 * c12, s1 + 0.6 * s12], axis=1)
    near = draws[np.linalg.norm(tips - target[:2, 3], axis=1) < 0.02]
    nearest = np.linalg.norm(near[:, None] - found.q, axis=2).argmin(axis=1)
    share = np.bincount(nearest, minlength=len(found.q)) / len(near)
    assert len(found.q) == 3
    np.testing.assert_allclose(found.weight, share, atol=4 * np.sqrt(0.25 / len(near)))


@pytest.mark.parametrize("name", ["xarm6", "ur5e", "planar2", "panda"])
def test_windings_are_counted_as_they_are_made(name: str) -> None:
    arm = load_arm(name)
    q = uniform(arm, 200, seed=3)
    rows, _ = wind(arm, torch.from_numpy(q))
    np.testing.assert_array_equal(count_windings(arm, q), np.bincount(rows.numpy(), minlength=len(q)))


def test_weights_sum_to_one_and_poses_without_solutions_have_none() -> None:
    offsets = np.array([0, 0, 2, 2, 5, 5])
    weight = normalise(offsets, np.array([1e4, 1e4 + np.log(3), -5e3, -5e3, -5e3]))
    np.testing.assert_allclose(weight, [0.25, 0.75, 1 / 3, 1 / 3, 1 / 3])
    assert normalise(np.zeros(4, np.int64), np.zeros(0)).shape == (0,)


def test_an_exactly_singular_solution_takes_all() -> None:
    arm = load_arm("planar2")
    q = np.array([[0.1, 0.0], [0.2, 0.5]])
    weight = solution_weights(arm, np.array([0, 2]), q, np.array([0.0, 0.4]), windings=True)
    np.testing.assert_allclose(weight, [1.0, 0.0], atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["panda", "iiwa"])
def test_joint_vectors_lie_along_their_self_motion_as_densely_as_said(name: str) -> None:
    """Where a uniform joint vector lies among the samples of its pose's curves, by probability, is uniform in [0, 1)."""
    arm, rng = load_arm(name), np.random.default_rng(2)
    q = uniform(arm, 400, seed=11)
    rank = []
    for made_by, motion in zip(q, self_motion(IKSolver.load(name), forward_kinematics(arm, q), count=200), strict=True):
        distance = np.abs(motion.q - made_by).max(axis=1, initial=0.0)
        row = int(distance.argmin()) if len(distance) else -1
        if row >= 0 and distance[row] <= 0.6 * motion.spacing[motion.curve[row]]:  # else its curve was missed
            rank.append(motion.weight[:row].sum() + rng.random() * motion.weight[row])
            np.testing.assert_allclose([motion.weight.sum(), motion.share.sum()], 1.0)
            np.testing.assert_allclose(motion.density * motion.spacing[motion.curve], motion.weight)
    assert len(rank) >= 380
    assert kstest(rank, "uniform").pvalue > 1e-3


def test_the_density_along_three_links_in_a_plane_is_what_counting_says() -> None:
    """Joint vectors whose tip lies in a small disc: where the first joint is, against the samples' probability."""
    arm = planar_arm([1.0, 0.8, 0.5])
    target = np.array([0.9, 0.7])
    motion = self_motion(arm, target, count=400, task="planar_position")[0]
    draws = uniform(arm, 4_000_000, seed=4)
    angle = np.cumsum(draws, axis=1)
    tips = np.stack([f(angle) @ [1.0, 0.8, 0.5] for f in (np.cos, np.sin)], axis=1)
    near = draws[np.linalg.norm(tips - target, axis=1) < 0.03, 0]
    edges = np.linspace(-np.pi, np.pi, 13)
    counted, said = (
        np.histogram(near, edges)[0] / len(near),
        np.histogram(motion.q[:, 0], edges, weights=motion.weight)[0],
    )
    np.testing.assert_allclose(said, counted, atol=4 * np.sqrt(0.25 / len(near)) + 0.01)
