"""What a network by itself makes of solutions: near the exact law, limits and windings told apart as far as it can."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from ik_mdn.solver import IKSolver
from ik_mdn.solver.beliefs import network_weights
from ik_mdn.solver.probabilities import count_windings, normalise
from ik_mdn.solver.solutions import SolutionBatch
from ik_mdn.training import TrainConfig, build_model
from sim.arm import Arm, load_arm
from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics


def uniform(arm: Arm, count: int, seed: int) -> FloatArray:
    return arm.sample(np.random.default_rng(seed), count)


def excess(batch: SolutionBatch, weight: FloatArray) -> float:
    """How far weights are from the exact ones, KL(exact ‖ these), mean over the poses."""
    terms = batch.weight * np.log(np.maximum(batch.weight, 1e-300) / np.maximum(weight, 1e-300))
    return float(terms.sum() / len(batch))


@pytest.mark.parametrize(("name", "most"), [("planar2", 1e-5), ("puma560", 0.021), ("xarm6", 0.063)])
def test_a_network_knows_nearly_what_the_exact_law_says(name: str, most: float) -> None:
    solver = IKSolver.load(name)
    T = forward_kinematics(solver.arm, uniform(solver.arm, 500, seed=21))
    batch = solver.solve(T)
    own = network_weights(solver.model, T, batch)
    np.testing.assert_allclose(np.add.reduceat(own, batch.offsets[:-1]), 1.0)
    assert excess(batch, own) < most  # 7e-7, 0.017, 0.059; 0.027, 0.073 if the limits' part is left out


def test_joints_without_limits_have_no_windings_to_make_up_for() -> None:
    """Nor does reckoning with limits that are not there say a word (inf - inf does)."""
    arm = load_arm("planar2")
    free = replace(arm, joint_types=("continuous",) * 2, q_min=[-np.inf] * 2, q_max=[np.inf] * 2)
    solver = IKSolver(free, build_model(free, TrainConfig(components=4, width=8, blocks=1)))
    T = forward_kinematics(free, uniform(free, 5, seed=21))
    batch = solver.solve(T)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = network_weights(solver.model, T, batch)
    np.testing.assert_allclose(np.add.reduceat(own, batch.offsets[:-1]), 1.0)


def test_a_network_gives_a_solution_as_much_as_all_its_windings() -> None:
    solver = IKSolver.load("puma560")
    T = forward_kinematics(solver.arm, uniform(solver.arm, 30, seed=22))
    batch, wound = solver.solve(T), solver.solve(T, windings=True)
    alone, every = network_weights(solver.model, T, batch), network_weights(solver.model, T, wound)
    assert len(every) > len(alone)
    for pose, (one, many) in enumerate(zip(batch, wound, strict=True)):
        here, there = (slice(*each.offsets[pose : pose + 2]) for each in (batch, wound))
        away = np.abs(np.remainder(many.q[:, None] - one.q + np.pi, 2 * np.pi) - np.pi).max(-1)
        total = np.bincount(away.argmin(1), every[there])
        np.testing.assert_allclose(total, alone[here], atol=2e-3)  # two rows are a little less strange than one
        own = network_weights(solver.model, T[pose : pose + 1], solver.solve(T[pose : pose + 1]))
        np.testing.assert_allclose(own, alone[here], atol=1e-4)  # networks compute in single precision
    one = network_weights(solver.model, T[0].astype(np.float32), solver.solve(T[0]))
    np.testing.assert_allclose(one, alone[: len(one)], atol=1e-3)
    with pytest.raises(ShapeError, match="got 2 poses and solutions of 1"):
        network_weights(solver.model, T[:2], solver.solve(T[0]))


def test_windings_of_joints_that_the_network_cannot_see_are_counted() -> None:
    """A pose rolled about the tool axis looks alike to the network, but the last joint may then have two windings for one."""
    solver = IKSolver.load("puma560")
    q = uniform(solver.arm, 200, seed=23)
    batch = solver.solve(forward_kinematics(solver.arm, q))
    own = network_weights(solver.model, forward_kinematics(solver.arm, q), batch)
    count = count_windings(solver.arm, batch.q)
    twice = normalise(batch.offsets, np.log(own / count))
    assert set(count.tolist()) == {1, 2}
    assert excess(batch, own) < excess(batch, twice) - 0.02  # uncounted, they are missed


def test_of_joints_drawn_first_a_network_gives_the_share_of_proposals() -> None:
    solver = IKSolver.load("panda")
    T = forward_kinematics(solver.arm, uniform(solver.arm, 2, seed=24))
    batch = solver.solve(T)
    share = np.maximum(batch.proposal_weight, 1e-150)
    np.testing.assert_allclose(network_weights(solver.model, T, batch), normalise(batch.offsets, np.log(share)))
