"""Heads: normalised densities with one floor; means spread on the torus."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.config import ModelConfig, Targets, shape_of
from ik_mdn.model.network import MixtureHead, MixtureShape, Trunk, spread_means
from sim.errors import ShapeError

TURN = 2 * math.pi


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_density_of_a_head_integrates_to_one(covariance: str) -> None:
    """Summed over a fine grid: floor, factor and determinant must all agree."""
    torch.manual_seed(0)
    head = MixtureHead(8, MixtureShape(3, 2, covariance), torch.tensor([math.inf, math.inf])).double()  # type: ignore[arg-type]
    torch.nn.init.normal_(head.out.weight, std=0.2)
    mixture = head(torch.randn(1, 8, dtype=torch.float64), floor=0.05)
    axis = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    total = mixture.log_prob(grid[:, None, :]).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_no_density_exceeds_what_the_floor_allows(covariance: str) -> None:
    floor, dims = 0.05, 3
    head = MixtureHead(4, MixtureShape(5, dims, covariance), torch.full((dims,), math.inf))  # type: ignore[arg-type]
    torch.nn.init.normal_(head.out.weight, std=10.0)
    mixture = head(torch.randn(200, 4, generator=_generator()), floor=floor)
    peak = -dims * (math.log(floor) + 0.5 * math.log(TURN))
    at_means = mixture.component_log_prob(mixture.loc[:, 0])
    assert at_means.max() <= peak + 1e-3


def test_starting_means_are_what_the_untrained_head_predicts() -> None:
    head = MixtureHead(4, MixtureShape(3, 2, "full"), torch.tensor([TURN, TURN]))
    means = torch.tensor([[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]])
    head.start_from(means, scale=0.5)
    mixture = head(torch.zeros(1, 4), floor=1e-6)
    torch.testing.assert_close(mixture.loc[0], means)
    torch.testing.assert_close(
        mixture.stddev[0].new_tensor(0.5), mixture.scale_tril[0, 0, 0, 0].detach(), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(mixture.weights[0], torch.full((3,), 1 / 3))


def test_means_that_wind_have_a_cut_as_angles_and_none_as_cosines_and_sines() -> None:
    """y goes once around its circle as x does: one component can follow, but an angle has to jump back somewhere."""
    angle = torch.linspace(-math.pi, math.pi, 513)[:-1]
    x, y = torch.stack([angle.cos(), angle.sin()], 1), angle[:, None] + 0.7
    away: dict[str, Tensor] = {}
    for targets in ("angles", "cos_sin"):
        torch.manual_seed(0)
        config = ModelConfig(components=1, width=16, blocks=1, targets=targets, floor=0.02)  # type: ignore[arg-type]
        model = ConditionalNetwork(2, torch.tensor([TURN]), config)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(400):
            loss = -model.mixture(x).log_prob(y).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        off = (model.mixture(x).loc[:, 0] - y).detach()
        away[targets] = (off - TURN * torch.round(off / TURN)).abs().amax()
    assert away["cos_sin"] < 0.1 < 1.0 < away["angles"]


def test_lengths_stay_lengths_beside_angles_said_by_cosines_and_sines() -> None:
    config = ModelConfig(components=3, width=8, blocks=1)
    head = MixtureHead(4, shape_of(config, [math.inf, TURN, 4.0]), torch.tensor([math.inf, TURN, 4.0]))
    means = torch.tensor([[7.0, 3.0, -1.9], [-5.0, -3.0, 1.9], [0.0, 0.0, 0.0]])
    head.start_from(means, scale=0.5)
    torch.testing.assert_close(head(torch.zeros(1, 4), floor=1e-6).loc[0], means)
    torch.nn.init.normal_(head.out.weight, std=100.0)
    loc = head(torch.randn(50, 4, generator=_generator()), floor=1e-6).loc
    assert loc[..., 0].abs().max() > 10
    assert loc[..., 1].abs().max() <= math.pi + 1e-6
    assert loc[..., 2].abs().max() <= 2.0 + 1e-6


def test_spread_means_finds_clusters_that_straddle_the_wrap() -> None:
    centres = torch.tensor([[math.pi, 0.0], [0.0, 2.0], [0.0, -2.0]])
    noise = 0.1 * torch.randn(300, 2, generator=_generator())
    targets = centres.repeat(100, 1) + noise
    targets = torch.remainder(targets + math.pi, TURN) - math.pi
    best = 9.0
    for seed in range(5):  # Lloyd's algorithm may start two centres in one cluster
        found = spread_means(targets, 3, torch.tensor([TURN, TURN]), generator=_generator(seed))
        gap = found[:, None] - centres
        gap = gap - TURN * torch.round(gap / TURN)
        best = min(best, gap.norm(dim=-1).amin(dim=0).max().item())
    assert best < 0.1


def test_trunk_depends_on_every_feature() -> None:
    trunk = Trunk(5, 16, 2)
    x = torch.randn(3, 5, generator=_generator(), requires_grad=True)
    trunk(x).square().sum().backward()
    assert (x.grad.abs() > 0).all()  # type: ignore[union-attr]


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least one component"):
        MixtureShape(0, 2, "full")
    with pytest.raises(ShapeError, match="unknown covariance 'spherical'; allowed: isotropic"):
        MixtureShape(2, 2, "spherical")  # type: ignore[arg-type]


@pytest.mark.parametrize("targets", ["angles", "cos_sin"])
def test_a_regressor_knows_any_period(targets: Targets) -> None:
    g = torch.Generator().manual_seed(0)
    model = ConditionalNetwork(
        2, torch.tensor([1.0, math.inf]), ModelConfig(kind="mse", targets=targets, width=8, blocks=1)
    )
    x, y = torch.randn(50, 2, generator=g), torch.tensor([0.98, 3.0]) + 0.1 * torch.randn(50, 2, generator=g)
    model.prepare(x, y)
    turn = torch.tensor([1.0, 0.0])
    torch.testing.assert_close(model.regression_loss(x, y), model.regression_loss(x, y - 3 * turn))
    off = float(model.y_centre[0] - y[:, 0].mean())
    assert off - round(off) == pytest.approx(0.0, abs=0.02)
    assert model.regress(x)[:, 0].abs().max() <= (0.5 if targets == "cos_sin" else math.inf)
