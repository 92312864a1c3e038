"""Whole turns change nothing: every loss and statistic of a mixture on the torus is the same a turn further."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ik_mdn.evaluation.calibration import angular_crps, density_level, pit
from ik_mdn.evaluation.health import Health, HealthTally, duplicate_components
from ik_mdn.evaluation.scores import energy_score
from ik_mdn.mixture import (
    GaussianMixture,
    Modes,
    embed,
    entropy_bonus,
    find_modes,
    mse,
    nearest_image,
    nll,
    ordering_penalty,
)
from ik_mdn.mixture.circular import wrap

TAU = 2 * math.pi
PERIOD = [TAU, math.inf, TAU]
TURNS = torch.tensor([TAU, 0.0, -3 * TAU], dtype=torch.float64)
Statistic = Callable[[GaussianMixture, Tensor], Tensor]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(kind: str, turns: Tensor) -> GaussianMixture:
    """Five batches of four components, some wide; every second component of every mixture turned."""
    g = generator(3)
    logits, loc = (torch.randn(5, 4, *rest, generator=g, dtype=torch.float64) for rest in ((), (3,)))
    tril = (0.5 * torch.randn(5, 4, 3, 3, generator=g, dtype=torch.float64)).tril(-1)
    tril = tril + torch.diag_embed(0.2 + torch.rand(5, 4, 3, generator=g, dtype=torch.float64))
    loc = 2 * loc
    loc[:, ::2] += turns
    scale = {kind: tril.diagonal(dim1=-2, dim2=-1) if kind == "scale" else tril}
    return GaussianMixture(logits, loc, **scale, period=PERIOD)


def closed(values: Tensor) -> Tensor:
    """Angles as points on the circle, so that -π and π compare equal."""
    return embed(values, torch.tensor(PERIOD, dtype=torch.float64))


def _health(mixture: GaussianMixture) -> Health:
    tally = HealthTally()
    tally.add(mixture)
    return tally.result()


def closed_modes(modes: Modes) -> Tensor:
    """Place, log density and weight of all modes side by side."""
    rest = torch.stack([modes.log_prob.nan_to_num(neginf=0.0), modes.weight], dim=-1)
    return torch.cat([closed(modes.loc.nan_to_num()), rest], dim=-1)


STATISTICS: dict[str, Statistic] = {
    "nll": nll,
    "entropy bonus": lambda m, y: entropy_bonus(m, 0.7),
    "ordering penalty": lambda m, y: torch.stack([ordering_penalty(m, 0.7, dim=d, margin=0.1) for d in range(3)]),
    "log density": lambda m, y: m.log_prob(y),
    "component log density": lambda m, y: m.component_log_prob(y),
    "responsibilities": lambda m, y: m.responsibilities(y),
    "mean": lambda m, y: closed(m.mean),
    "variance": lambda m, y: m.variance,
    "variance within": lambda m, y: m.variance_within,
    "variance between": lambda m, y: m.variance_between,
    "covariance": lambda m, y: m.covariance_matrix,
    "entropy": lambda m, y: m.entropy(20, generator(5)),
    "mode": lambda m, y: closed(m.mode),
    "modes": lambda m, y: closed_modes(find_modes(m)),
    "cdf": lambda m, y: m.marginal(0).cdf(y[..., :1]),
    "marginal": lambda m, y: m.marginal([2, 0]).log_prob(y[..., [2, 0]]),
    "conditional": lambda m, y: m.conditional([0], y[..., :1]).log_prob(y[..., 1:]),
    "canonical order": lambda m, y: closed(m.reordered(dim=2).loc),
    "draws": lambda m, y: closed(m.sample((7,), generator(5))),
    "draws of components": lambda m, y: closed(m.rsample_components((7,), generator(5))),
    "PIT": pit,
    "density level": lambda m, y: density_level(
        m.log_prob(y), m.log_prob(m.sample((9,), generator(5))), generator=generator(6)
    ),
    "angular CRPS": lambda m, y: angular_crps(m.sample((9,), generator(5)), y, m.period),
    "energy score": lambda m, y: energy_score(m.sample((9,), generator(5)), y, m.period),
    "squared error": lambda m, y: mse(m.mean, y, m.period),
    "health": lambda m, y: torch.tensor([_health(m).duplicates, _health(m).effective]),
    "duplicates": lambda m, y: duplicate_components(m).double(),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scale", "scale_tril", "precision_tril"])
@pytest.mark.parametrize("name", STATISTICS)
def test_whole_turns_of_means_and_targets_change_nothing(name: str, kind: str) -> None:
    y = mixture(kind, 0 * TURNS).sample((), generator(9))
    before = STATISTICS[name](mixture(kind, 0 * TURNS), y)
    after = STATISTICS[name](mixture(kind, TURNS), y - 2 * TURNS)
    assert before.isfinite().all()
    torch.testing.assert_close(after, before, atol=1e-7, rtol=1e-7)


def test_a_turned_mean_costs_the_same_order() -> None:
    """(3, -3) and (3, 2π - 3) are one density."""
    costs = []
    for second in (-3.0, TAU - 3.0):
        loc = torch.tensor([[3.0], [second]], dtype=torch.float64).requires_grad_()
        turning = GaussianMixture(torch.zeros(2).double(), loc, scale=torch.ones(2, 1).double(), period=TAU)
        cost = ordering_penalty(turning, 1.0)
        assert torch.autograd.grad(cost, loc)[0].flatten().tolist() == [1.0, -1.0]
        costs.append(cost.item())
    assert costs == pytest.approx([6.0, 6.0])


def test_differences_to_the_nearest_image_forget_turns() -> None:
    period = torch.tensor(PERIOD, dtype=torch.float64)
    gap = torch.randn(50, 3, generator=generator(), dtype=torch.float64)
    for forget in (nearest_image, wrap):
        torch.testing.assert_close(forget(gap + 2 * TURNS, period), forget(gap, period), atol=1e-12, rtol=0)
