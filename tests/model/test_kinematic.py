"""The kinematic head: sharper by far, never by hiding what it misses."""

from __future__ import annotations

import math

import pytest
import torch

import sim
from ik_mdn.evaluation.drawing import score_draws
from ik_mdn.evaluation.report import held_out
from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import PoseModel, load_model
from ik_mdn.model.kinematic import KEPT, SHARPEST, step_means
from sim.errors import ShapeError


@pytest.mark.parametrize("name", ["puma560", "ur5e", "planar2"])
def test_two_steps_take_draws_to_a_fraction_of_their_error_and_raise_the_likelihood(name: str) -> None:
    model = load_model(name)
    q, T = held_out(model.arm, 200)
    alone, stepped = (score_draws(model, T, draws=20, steps=steps) for steps in (0, 2))
    assert stepped.pos_mean < 0.35 * alone.pos_mean
    with torch.no_grad():
        gain = model.log_prob(T, q, steps=2) - model.log_prob(T, q)
    assert float(gain.mean()) > 0.75 * model.arm.n_joints * math.log(model.config.floor / SHARPEST)


def test_a_component_far_from_everything_loses_its_weight_and_one_that_arrives_is_sharp() -> None:
    arm = sim.load_arm("planar2")
    q = torch.tensor([[0.4, 1.1]], dtype=torch.float64)
    T = sim.forward_kinematics(arm, q)
    loc = torch.stack([q[0] + 0.05, torch.tensor([0.4 + 3.0, 0.0]).double()])[None]  # stretched to the other side
    mixture = GaussianMixture(
        torch.zeros(1, 2).double(), loc, scale=torch.full_like(loc, 0.1), period=6.283185307179586
    )
    stepped = step_means(mixture, arm, sim.default_task(arm), T, steps=3).mixture
    assert float(stepped.weights.sum()) == pytest.approx(1.0)
    torch.testing.assert_close(stepped.loc[0, 0], q[0], atol=1e-6, rtol=0)
    assert float(stepped.scale[0, 0].max()) == pytest.approx(SHARPEST, rel=0.05)
    assert float(stepped.weights[0, 0]) > 0.9 * (1 - KEPT)


def test_a_hundredth_of_the_networks_own_density_is_left_where_the_steps_lead_away() -> None:
    model = load_model("planar2")
    _, T = held_out(model.arm, 20)
    with torch.no_grad():
        alone = model.posterior(T)
        stepped = step_means(alone, model.arm, model.task, T, steps=2).mixture
        q = alone.sample((200,), torch.Generator().manual_seed(0))
        left = stepped.log_prob(q) - alone.log_prob(q)
    assert float(left.min()) == pytest.approx(math.log(0.01), abs=1e-6)


def test_a_redundant_arm_without_a_chain_is_refused() -> None:
    with pytest.raises(ShapeError, match="7 joints for the 6 constraints"):
        PoseModel(sim.load_arm("panda")).posterior(torch.eye(4, dtype=torch.float64)[None], steps=1)
