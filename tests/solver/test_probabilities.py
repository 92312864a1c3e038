"""The weight of a solution is its probability given the pose: checked by how often it is the one that made the pose."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ik_mdn.model.checkpoint import load_model
from ik_mdn.model.postures import Postures
from ik_mdn.solver import IKSolver, self_motion
from ik_mdn.solver.probabilities import Law, count_windings, normalise, solution_weights
from ik_mdn.solver.windings import wind
from sim.arm import Arm, load_arm, planar_arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, jacobian


def uniform(arm: Arm, count: int, seed: int) -> FloatArray:
    return arm.sample(np.random.default_rng(seed), count)


def generating(found: FloatArray, q: FloatArray) -> int | None:
    """The row that made the pose."""
    distance = np.abs(found - q).max(axis=1, initial=0.0)
    return int(distance.argmin()) if len(found) and distance.min() < 1e-3 else None


@pytest.mark.slow
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
        if row is not None:  # whatever is measured of it, here log |det J|, the weights expect in the mean
            measured = log_volume(arm, found.q)
            surplus.append(measured[row] - found.weight @ measured)
    assert found.law is Law.EXACT
    assert miss <= 3
    assert abs(np.mean(surplus)) < 4 * np.std(surplus) / np.sqrt(len(surplus)), np.mean(surplus)


def with_postures(name: str, *, spread: float) -> tuple[IKSolver, Postures]:
    """A shipped model that was told how its arm is held: two postures, correlated, and a tenth spread evenly."""
    model, rng = load_model(name), np.random.default_rng(4)
    n, reach = model.arm.n_joints, 0.6 * model.arm.sample_max
    tril = spread * (np.eye(n) + np.tril(rng.uniform(-0.5, 0.5, (2, n, n)), -1))
    model.postures = Postures(model.arm, np.zeros(2), rng.uniform(-reach, reach, (2, n)), tril, 0.1)
    return IKSolver(model.arm, model), model.postures


@pytest.mark.slow
@pytest.mark.parametrize(("name", "windings"), [("ur5e", False), ("xarm6", True), ("xarm6", False), ("planar2", False)])
def test_a_solution_made_the_pose_as_often_as_said_where_joints_are_held_in_a_way_of_their_own(
    name: str, windings: bool
) -> None:
    solver, postures = with_postures(name, spread=0.7)
    q = postures.sample(1000, torch.Generator().manual_seed(3)).numpy()
    batch = solver.solve(forward_kinematics(solver.arm, q), windings=windings)
    surplus, miss = [], 0
    for made_by, found in zip(q, batch, strict=True):
        near = made_by if windings else made_by + 2 * np.pi * np.round((found.q - made_by) / (2 * np.pi))
        row = generating(found.q, near)
        miss += row is None
        if row is not None:
            for measured in (log_volume(solver.arm, found.q), postures.log_prob(found.q)):
                surplus.append(measured[row] - found.weight @ measured)
            assert (np.diff(found.weight) <= 0).all()
    assert batch.law is Law.LEARNED
    assert miss <= 5
    error = np.reshape(surplus, (-1, 2))
    assert (np.abs(error.mean(0)) < 4 * error.std(0) / np.sqrt(len(error))).all(), error.mean(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["panda", "iiwa"])
def test_self_motions_are_weighed_by_how_the_arm_is_held(name: str) -> None:
    solver, postures = with_postures(name, spread=0.5)
    q = postures.sample(300, torch.Generator().manual_seed(3)).numpy()
    motions, surplus = self_motion(solver, forward_kinematics(solver.arm, q), count=400, seeds=128), []
    assert motions.law is motions[0].law is Law.LEARNED
    for made_by, motion in zip(q, motions, strict=True):
        distance = np.abs(motion.q - made_by).max(axis=1, initial=0.0)
        row = int(distance.argmin()) if len(distance) else -1
        if row >= 0 and distance[row] <= 0.6 * motion.spacing[motion.curve[row]]:  # else its curve was missed
            measured = postures.log_prob(motion.q)
            surplus.append(postures.log_prob(made_by) - motion.weight @ measured)
    assert len(surplus) >= 0.9 * len(q)
    assert abs(np.mean(surplus)) < 4 * np.std(surplus) / np.sqrt(len(surplus)), np.mean(surplus)


def test_points_on_curves_are_ordered_by_the_density_along_them() -> None:
    solver, postures = with_postures("panda", spread=0.5)
    T = forward_kinematics(solver.arm, postures.sample(3, torch.Generator().manual_seed(3)).numpy())
    for found in solver.solve(T):
        density = postures.log_prob(found.q) - log_volume(solver.arm, found.q)
        assert found.law is Law.LEARNED_DENSITY
        np.testing.assert_allclose(found.weight, np.exp(density) / np.exp(density).sum(), rtol=1e-6, atol=1e-300)
        assert (np.diff(found.weight) <= 0).all()


def test_the_first_of_a_learned_law_is_the_most_probable_also_where_only_one_is_wanted() -> None:
    solver, postures = with_postures("ur5e", spread=0.5)
    T = forward_kinematics(solver.arm, postures.sample(20, torch.Generator().manual_seed(3)).numpy())
    every, one = solver.solve(T), solver.solve(T, max_solutions=1)
    np.testing.assert_array_equal(one.best, every.best)
    assert one.law is Law.LEARNED
    assert json.loads(json.dumps(every[0].to_dict()))["law"] == "learned"


def turning(arm: Arm) -> FloatArray:
    return np.where(arm.is_prismatic, 0.0, 1.0)


@pytest.mark.slow
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
    rows, _ = wind(arm, q)
    np.testing.assert_array_equal(count_windings(arm, q), np.bincount(rows, minlength=len(q)))


def test_weights_sum_to_one_and_poses_without_solutions_have_none() -> None:
    offsets = np.array([0, 0, 2, 2, 5, 5])
    weight = normalise(offsets, np.array([1e4, 1e4 + np.log(3), -5e3, -5e3, -5e3]))
    np.testing.assert_allclose(weight, [0.25, 0.75, 1 / 3, 1 / 3, 1 / 3])
    assert normalise(np.zeros(4, np.int64), np.zeros(0)).shape == (0,)


def test_an_exactly_singular_solution_takes_all() -> None:
    arm = load_arm("planar2")
    q = np.array([[0.1, 0.0], [0.2, 0.5]])
    weight = solution_weights(arm, np.array([0, 2]), q, np.array([0.0, 0.4]))
    np.testing.assert_allclose(weight, [1.0, 0.0], atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "count"), [("panda", "pose", 600), ("iiwa", "pose", 600), ("planar3", "planar_position", 2000)]
)
def test_joint_vectors_lie_along_their_self_motion_as_densely_as_said(name: str, task: str, count: int) -> None:
    """Whatever is measured of the joint vector that made a pose, here log sqrt(det J Jᵀ), the samples expect in the mean."""
    arm = load_arm(name)
    q = uniform(arm, count, seed=11)
    surplus = []
    motions = self_motion(arm, forward_kinematics(arm, q), count=200, task=task)
    for made_by, motion in zip(q, motions, strict=True):
        distance = np.abs(motion.q - made_by).max(axis=1, initial=0.0)
        row = int(distance.argmin()) if len(distance) else -1
        if row >= 0 and distance[row] <= 0.6 * motion.spacing[motion.curve[row]]:  # else its curve was missed
            measured = log_volume(arm, motion.q)
            surplus.append(log_volume(arm, made_by[None])[0] - motion.weight @ measured)
            np.testing.assert_allclose([motion.weight.sum(), motion.share.sum()], 1.0)
            np.testing.assert_allclose(motion.density * motion.spacing[motion.curve], motion.weight)
    assert len(surplus) >= 0.95 * count
    assert abs(np.mean(surplus)) < 4 * np.std(surplus) / np.sqrt(len(surplus)), np.mean(surplus)


def test_few_samples_of_long_and_short_curves_count_by_the_length_they_stand_for() -> None:
    """Of 20 samples even a short curve has one; 1,000 integrate `ds / sqrt(det J Jᵀ)` over each curve, by lengths alone."""
    arm = load_arm("panda")
    T = forward_kinematics(arm, uniform(arm, 20, seed=11))
    off = []
    for few, many in zip(self_motion(arm, T, 20), self_motion(arm, T, 1000), strict=True):
        np.testing.assert_allclose(few.length, many.length)
        spacing = many.length / np.bincount(many.curve)
        integral = np.bincount(many.curve, spacing[many.curve] * np.exp(-log_volume(arm, many.q)))
        off.append(np.abs(few.share - integral / integral.sum()).max())
        assert np.ptp(np.log(few.density) + log_volume(arm, few.q)) < 1e-9  # one constant for all curves
    assert np.mean(off) < 0.02  # measured: 0.012; samples that count alike are 0.048 off


def log_volume(arm: Arm, q: FloatArray) -> FloatArray:
    """log sqrt(det J Jᵀ) of the tip in the plane, or of its pose."""
    J = jacobian(arm, q)[:, : 2 if arm.is_planar else 6]
    return np.asarray(0.5 * np.linalg.slogdet(J @ J.swapaxes(1, 2))[1])
