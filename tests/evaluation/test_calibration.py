"""Coverage: exact however few the draws, and of the truth as blurred as the floor allows."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ik_mdn.evaluation import diagnostics
from ik_mdn.evaluation.calibration import coverage, density_level, uniform_distance
from ik_mdn.evaluation.health import HealthTally
from ik_mdn.evaluation.recalibrating import covered
from ik_mdn.mixture.mixture import GaussianMixture

COUNT, FLOOR = 2000, 0.05


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_sharp_as_the_floor(q: Tensor) -> Any:
    """What a model is taken for that knows every q and says N(q, floor²)."""
    logits = torch.zeros(len(q), 1, dtype=torch.float64)
    mixture = GaussianMixture(logits, q[:, None], scale=torch.full_like(q[:, None], FLOOR), period=2 * math.pi)
    return SimpleNamespace(
        config=SimpleNamespace(floor=FLOOR),
        posterior=lambda T: mixture,
        components=lambda T, q: mixture,
        log_prob=lambda T, q, noise=0.0: mixture.log_prob(q + noise),
        sample=lambda T, count, generator=None: mixture.sample((count,), generator).transpose(0, 1),
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_draws", [1, 3, 10, 100])
def test_the_coverage_of_the_true_density_is_nominal_however_few_the_draws(n_draws: int) -> None:
    loc = torch.tensor([[0.3, 3.0], [-1.0, 0.5]], dtype=torch.float64)
    truth = GaussianMixture(torch.zeros(2).double(), loc, scale=torch.full_like(loc, 0.4), period=2 * math.pi)
    truth = truth.expand((20_000,))
    y, draws = truth.sample((), generator()), truth.sample((n_draws,), generator(1))
    levels = density_level(truth.log_prob(y), truth.log_prob(draws), generator=generator(2))
    assert uniform_distance(levels).item() < 1.63 / math.sqrt(20_000)  # Kolmogorov-Smirnov, 1 %
    at = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(coverage(levels, at), at, atol=0.012, rtol=0)


def test_the_report_blurs_the_truth_by_the_floor() -> None:
    """A density as sharp as its floor covers the exact truth always, and the blurred one as often as it says."""
    q = 6 * torch.rand(COUNT, 2, dtype=torch.float64, generator=generator()) - 3
    shares = covered(as_sharp_as_the_floor(q), torch.zeros(COUNT, 4, 4), q, blur=FLOOR, draws=100)
    assert shares["0.5"] == pytest.approx(0.5, abs=0.04)
    assert shares["0.9"] == pytest.approx(0.9, abs=0.025)


def test_the_diagnostics_tell_the_exact_truth_from_the_blurred_one() -> None:
    q = 6 * torch.rand(COUNT, 2, dtype=torch.float64, generator=generator()) - 3
    model = as_sharp_as_the_floor(q)
    found = diagnostics._densities(model, q, torch.zeros(COUNT, 4, 4), 100, generator(3), HealthTally())
    assert uniform_distance(found["level_blurred"]).item() < 1.63 / math.sqrt(COUNT)
    assert (uniform_distance(found["pit_blurred"]) < 1.63 / math.sqrt(COUNT)).all()
    assert found["level"].max() < 0.05  # the exact truth is the mode
    assert (found["pit"] - 0.5).abs().max() < 1e-6
