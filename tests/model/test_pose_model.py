"""A model of an arm: its density in joint space is the network's, shifted; its answers follow the arm's symmetries."""

from __future__ import annotations

import math

import pytest
import torch

import sim
from ik_mdn.evaluation.metrics import joint_distance, pose_errors
from ik_mdn.evaluation.report import held_out
from ik_mdn.mixture.circular import sample_mean
from ik_mdn.mixture.modes import find_modes
from ik_mdn.model.checkpoint import load_model
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel
from sim.errors import ShapeError


@pytest.fixture(scope="module")
def planar3() -> PoseModel:
    return load_model("planar3")


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_the_posterior_is_the_reduced_mixture_shifted(covariance: str) -> None:
    arm = sim.load_arm("ur5e")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PoseModel(arm, None, ModelConfig(components=3, width=16, blocks=1, covariance=covariance))  # type: ignore[arg-type]
    q, T = held_out(arm, 30)
    encoded = model.features.encode(T)
    reduced = model.mixture(encoded.features).log_prob((q - encoded.shift).float())
    torch.testing.assert_close(model.posterior(T).log_prob(q).float(), reduced, rtol=1e-3, atol=1e-3)


def test_turning_the_target_about_the_base_axis_turns_every_answer(planar3: PoseModel) -> None:
    _, T = held_out(planar3.arm, 50)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    before, after = planar3.propose(T), planar3.propose(turn @ T)
    shift = torch.tensor([math.pi / 2, 0.0, 0.0])
    assert joint_distance(before.q + shift, after.q, planar3.period).max() < 1e-3
    torch.testing.assert_close(before.weight, after.weight, rtol=0, atol=1e-3)


def test_modes_of_the_shipped_mixture_reach_the_target_and_have_equal_weight(planar3: PoseModel) -> None:
    q = torch.tensor([[0.4, 1.1, -0.3], [-2.0, -0.8, 1.0]], dtype=torch.float64)
    T = sim.forward_kinematics(planar3.arm, q)
    modes = find_modes(planar3.posterior(T))
    clear = modes.valid & (modes.weight > 0.05)
    assert clear.sum(dim=1).tolist() == [2, 2]
    err_pos, err_rot = pose_errors(planar3.arm, planar3.task, modes.loc, T[:, None])
    assert err_pos[clear].max() < 2e-3
    assert err_rot[clear].max() < 2e-3
    assert (modes.weight[clear] - 0.5).abs().max() < 0.02


def test_draws_lie_within_a_few_floors_of_the_answers(planar3: PoseModel) -> None:
    _, T = held_out(planar3.arm, 20)
    draws = planar3.sample(T, 200, generator=torch.Generator().manual_seed(0))
    assert draws.shape == (20, 200, 3)
    err_pos, _ = pose_errors(planar3.arm, planar3.task, draws, T[:, None])
    assert err_pos.median() < 5 * planar3.config.floor * planar3.arm.reach


def test_weights_of_proposals_sum_to_one(planar3: PoseModel) -> None:
    _, T = held_out(planar3.arm, 20)
    torch.testing.assert_close(planar3.propose(T).weight.sum(dim=1), torch.ones(20, dtype=torch.float64))


def test_the_mean_of_two_elbows_is_a_straight_or_folded_arm(planar3: PoseModel) -> None:
    """The mixture's mean is what squared error predicts: the elbow angle averages to 0 or π."""
    q, T = held_out(planar3.arm, 300)
    elbow = planar3.mean(T)[:, 1]
    away = torch.minimum(torch.sin(elbow).abs(), torch.ones_like(elbow))
    bent = torch.sin(q[:, 1]).abs() > 0.3
    assert away[bent].median() < 0.05
    regressed = load_model("planar3-mse").mean(T)[:, 1]
    clear = bent & (torch.cos(q[:, 1]).abs() > 0.3)  # at a right angle the mean direction is undefined
    assert joint_distance(elbow[clear, None], regressed[clear, None], torch.tensor([2 * math.pi])).median() < 0.2


def test_a_regressor_has_no_mixture() -> None:
    model = load_model("planar2-mse")
    _, T = held_out(model.arm, 3)
    with pytest.raises(ShapeError, match="it predicts one point, not a mixture"):
        model.posterior(T)


def test_a_mixture_does_not_regress(planar3: PoseModel) -> None:
    with pytest.raises(ShapeError, match="it predicts a density, not one point"):
        planar3.regress(torch.zeros(1, planar3.features.size))


def test_the_mean_is_that_of_the_draws_in_limits() -> None:
    model = load_model("puma560")
    _, T = held_out(model.arm, 40)
    g = torch.Generator().manual_seed(0)
    drawn, mean = sample_mean(model.sample(T, 4000, generator=g), model.period, dim=1), model.mean(T)
    near = joint_distance(mean, drawn, model.period)
    certain = (model.sample(T, 4000, generator=g).transpose(0, 1) - mean).cos().mean(0).amin(-1) > 0.3
    assert certain.sum() >= 5  # the direction of a mean that hardly has one is anything
    assert near[certain].max() < 0.1
