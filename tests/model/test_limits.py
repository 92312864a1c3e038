"""A mixture within the limits of the joints."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import ndtr

import sim
from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import ModelConfig, PoseModel
from ik_mdn.model.limits import bounded, draw_inside, inside, mass_between, partly_wound, within_limits
from sim.kinematics import forward_kinematics

TAU = 2 * math.pi


@pytest.mark.parametrize("std", [0.01, 0.5, 1.2, 1.3, 4.0, 6.2, 6.4, 30.0])
@pytest.mark.parametrize("mean", [-3.0, 0.2, 2.9, 9.0])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.8), (-3.0, 3.0)])
def test_mass_on_an_arc_is_that_of_a_wrapped_gaussian(mean: float, std: float, low: float, high: float) -> None:
    turns = TAU * np.arange(-60, 61)
    wanted = (ndtr((high - mean + turns) / std) - ndtr((low - mean + turns) / std)).sum()
    found = mass_between(torch.tensor(mean).double(), torch.tensor(std).double(), low, high, TAU)
    assert float(found) == pytest.approx(wanted, abs=1e-6)


def test_inside_counts_whole_turns_of_turning_joints_only() -> None:
    arm = sim.load_arm("panda")
    q = torch.tensor(np.random.default_rng(0).uniform(arm.q_min, arm.q_max, (50, 7)))
    turns = TAU * torch.randint(-2, 3, q.shape, generator=torch.Generator().manual_seed(0))
    assert inside(q + turns, arm).all()
    beyond = q.clone()
    beyond[:, 3] = 0.5  # its limits are -3.07 and -0.07
    assert not inside(beyond, arm).any()
    assert bounded(arm) == list(range(7))
    assert bounded(sim.load_arm("ur5e")) == []  # every joint can turn all the way round


def test_a_component_weighs_what_of_it_is_in_limits_and_draws_stay_inside() -> None:
    arm = sim.load_arm("panda")
    loc = torch.tensor((arm.q_min + arm.q_max) / 2).repeat(1, 2, 1)
    loc[0, 1, 0] = float(arm.q_max[0])  # half of this component is outside
    mixture = GaussianMixture(torch.zeros(1, 2).double(), loc, scale=torch.full_like(loc, 0.05), period=TAU)
    cut = within_limits(mixture, arm)
    torch.testing.assert_close(cut.weights[0], torch.tensor([2 / 3, 1 / 3]).double(), atol=1e-6, rtol=0)
    generator = torch.Generator().manual_seed(0)
    q = draw_inside(lambda rows, last: mixture.sample((4000,), generator)[:, rows], torch.arange(1), arm)
    assert inside(q, arm).all()
    assert float((q[..., 0] > 2).double().mean()) == pytest.approx(1 / 3, abs=0.03)


def test_angles_count_by_their_windings_where_the_network_cannot_know_these() -> None:
    """The first joint, divided out, has room for 1.4 turns: two windings from 1.78 rad on to either side, one between."""
    arm = replace(sim.load_arm("planar2"), q_min=np.array([-4.5, -3.0]), q_max=np.array([4.5, 3.0]))
    assert partly_wound(arm, [0, 1]) == [0]
    assert partly_wound(sim.load_arm("puma560"), range(6)) == [5]
    assert partly_wound(sim.load_arm("ur5e"), range(6)) == []  # two turns
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PoseModel(arm, None, ModelConfig(components=3, width=8, blocks=1)).eval()
    T = forward_kinematics(arm, torch.tensor([[1.2, 1.4]]).double())
    turn, bend = torch.linspace(-math.pi, math.pi, 801).double()[:-1], torch.linspace(-3.0, 3.0, 801).double()
    q = torch.cartesian_prod(turn, bend)[:, None]
    free = PoseModel(
        replace(arm, q_min=np.array([-4 * math.pi, -3.0]), q_max=np.array([4 * math.pi, 3.0])), None, model.config
    )
    free.load_state_dict(model.state_dict())  # whole turns: as if it had no limits
    with torch.no_grad():
        density, flat = (each.log_prob(T, q)[:, 0].exp().reshape(800, 801) for each in (model, free.eval()))
        assert float(torch.trapezoid(density, bend).sum()) * TAU / 800 == pytest.approx(1.0, abs=0.01)
        windings = 1 + (turn.abs() > TAU - 4.5).double()
        ratio = density / flat / windings[:, None]  # one number, if each angle counts by its windings
        torch.testing.assert_close(ratio / ratio.mean(), torch.ones_like(ratio), atol=1e-6, rtol=0)
        draws = model.sample(T, 20_000, generator=torch.Generator().manual_seed(0))[0, :, 0]
    share = torch.trapezoid(density, bend)[windings == 2].sum() * TAU / 800
    assert float((draws.abs() > TAU - 4.5).double().mean()) == pytest.approx(float(share), abs=0.015)
