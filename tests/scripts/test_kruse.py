"""The published benchmark: the problem as published, an exact posterior, exact coordinates, and scores that tell."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args

import kruse_arm
import numpy as np
import pytest
import torch
from kruse.coordinates import Coordinates, from_mixture, to_mixture
from kruse.evaluation import Row, Truth, refine_draws
from kruse.metrics import mean_kernel, mmd_squared, score
from kruse.model import ArmPosterior, Recipe, Trained, train_posterior
from kruse.posterior import sample_posterior, sample_posteriors
from kruse.problem import LENGTHS, NOISE, PRIOR_STD, draw_pairs, draw_targets, forward, rail_arm

from ik_mdn.training.config import TrainConfig
from sim.errors import ShapeError
from sim.kinematics import forward_kinematics

ALL = get_args(Coordinates)
HARD = ((1.5, 0.0), (1.0, 1.0), (1.95, 0.3), (1.995, 0.0), (1.0, 0.7))  # among them critical values of the reach


def _pairs(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return draw_pairs(count, torch.Generator().manual_seed(seed))


def _brute_force(y: tuple[float, float], n: int = 1_500_000) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and second moments of the angles by importance sampling from the prior, and its effective size."""
    x = np.random.default_rng(5).standard_normal((n, 3)) * 0.5
    a = np.cumsum(x, axis=1)
    reach, up = np.cos(a) @ np.array(LENGTHS), np.sin(a) @ np.array(LENGTHS)
    w = np.exp(-0.5 * ((y[0] - reach) / NOISE) ** 2 - 0.5 * (y[1] - up) ** 2 / (NOISE**2 + 0.25**2))
    w /= w.sum()
    return w @ x, (w[:, None] * x).T @ x, 1 / float((w**2).sum())


def test_forward_agrees_with_the_arm_as_a_chain_of_joints() -> None:
    x, _ = _pairs(50)
    tip = forward_kinematics(rail_arm(), x)[:, :3, 3]
    torch.testing.assert_close(tip[:, :2], forward(x), atol=1e-12, rtol=0)
    assert tip[:, 2].abs().max() < 1e-12


def test_the_stretched_arm_points_along_the_first_axis_and_the_rail_lifts_it() -> None:
    x = torch.tensor([[0.3, 0.0, 0.0, 0.0], [0.0, math.pi / 2, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(forward(x), torch.tensor([[2.0, 0.3], [0.0, 2.0]], dtype=torch.float64))


def test_test_targets_are_the_published_ones() -> None:
    x = np.random.RandomState(20210126).randn(1000, 4) * np.array(PRIOR_STD)
    a, lengths = np.cumsum(x[:, 1:], axis=1), np.array([0.5, 0.5, 1.0])
    y = np.column_stack([np.cos(a) @ lengths, x[:, 0] + np.sin(a) @ lengths])
    np.testing.assert_allclose(draw_targets(1000).numpy(), y, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("y", HARD)
def test_exact_draws_have_the_moments_of_the_posterior(y: tuple[float, float]) -> None:
    mean, second, size = _brute_force(y)
    n = 1500
    x = sample_posterior(np.array(y), n, np.random.default_rng(1))[:, 1:]
    products = x[:, :, None] * x[:, None, :]
    for found, spread, wanted in ((x.mean(0), x.std(0), mean), (products.mean(0), products.std(0), second)):
        error = spread * math.sqrt(1 / n + 1 / size)  # of both estimates
        assert (np.abs(found - wanted) < 4.5 * error).all()  # 60 comparisons in all


@pytest.mark.slow
def test_exact_draws_miss_the_target_by_the_noise() -> None:
    """y - f(x) given y is N(0, σ²) where prior and sheet are wide; the rail alone gives 2 % less."""
    x = torch.from_numpy(sample_posterior(np.array([1.5, 0.0]), 3000, np.random.default_rng(2)))
    miss = forward(x) - torch.tensor([1.5, 0.0], dtype=torch.float64)
    np.testing.assert_allclose(miss.std(0), NOISE, rtol=4 / math.sqrt(2 * 3000))


@pytest.mark.slow
def test_exact_draws_of_matched_targets_repeat_the_prior() -> None:
    """x from p(x | y) with y from p(y) has the law of the prior: simulation-based calibration in its simplest form."""
    _, y = _pairs(150, seed=3)
    x = sample_posteriors(y.numpy(), 4, seed=3).reshape(-1, 4) / np.array(PRIOR_STD)
    assert (np.abs(x.mean(0)) < 4.5 * x.std(0) / math.sqrt(150)).all()
    assert (np.abs(x.var(0) - 1) < 4.5 * math.sqrt(2 / 150)).all()


def test_targets_out_of_reach_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"out of reach; give y₁ below 2\.08"):
        sample_posterior(np.array([2.2, 0.0]), 10, np.random.default_rng(0))


def test_two_exact_samples_have_no_discrepancy_and_another_one_has() -> None:
    y = draw_targets(12, seed=4).numpy()
    one, other = (torch.from_numpy(sample_posteriors(y, 400, seed=s)) for s in (1, 2))
    same = mmd_squared(one, other)
    assert abs(float(same.mean())) < 4 * float(same.std()) / math.sqrt(12)
    shifted = mmd_squared(one + 0.05, other)
    assert float(shifted.mean()) > 10 * abs(float(same.mean()))


def test_discrepancy_agrees_with_a_sum_over_pairs() -> None:
    a, b = (torch.randn(1, n, 4, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (300, 400))

    def kernel(p: torch.Tensor, q: torch.Tensor) -> np.ndarray:
        d = ((p.numpy()[:, None] - q.numpy()) ** 2).sum(-1)
        return sum(1 / (1 + d / h**2) for h in (0.05, 0.2, 0.9))

    def within(s: torch.Tensor) -> float:
        return kernel(s, s)[~np.eye(len(s), dtype=bool)].mean()

    expected = within(a[0]) + within(b[0]) - 2 * kernel(a[0], b[0]).mean()
    assert float(mmd_squared(a, b)[0]) == pytest.approx(expected, abs=1e-6)  # in float32
    assert float(mmd_squared(a, b, within_b=mean_kernel(b))[0]) == pytest.approx(expected, abs=1e-6)


def test_scores_of_exact_draws_are_those_of_the_noise() -> None:
    y = draw_targets(30, seed=6)
    x = torch.from_numpy(sample_posteriors(y.numpy(), 200, seed=6))
    scores = score(x, x, y)
    assert scores.err_resim == pytest.approx(2 * NOISE**2, rel=0.06)
    assert scores.distance == pytest.approx(NOISE * math.sqrt(math.pi / 2), rel=0.03)  # Rayleigh
    assert scores.near == 1.0
    assert scores.spread == pytest.approx(1.0)
    middle = x.mean(1, keepdim=True)
    assert score(middle + 0.25 * (x - middle), x, y).spread == pytest.approx(0.25)  # all near one answer


@pytest.mark.parametrize("name", ALL)
def test_coordinates_lead_back_to_x(name: Coordinates) -> None:
    x, y = _pairs(2000)
    z, _ = to_mixture(name, x, y)
    torch.testing.assert_close(from_mixture(name, z, y), x, atol=1e-8, rtol=0)
    assert z.isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_coordinates_lead_back_from_anywhere(name: Coordinates) -> None:
    """Also from where no arm of the prior is: past a full fold, at the end of the reach, near the poles."""
    _, y = _pairs(2000)
    z = 2 * torch.randn(2000, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z[:, 3] = torch.remainder(z[:, 3] + math.pi, 2 * math.pi) - math.pi
    x = from_mixture(name, z, y)
    torch.testing.assert_close(to_mixture(name, x, y)[0], z, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_coordinates_state_their_determinant(name: Coordinates) -> None:
    x, y = _pairs(300)
    jacobian = torch.func.vmap(torch.func.jacfwd(lambda x, y: to_mixture(name, x, y)[0]))(x, y)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], to_mixture(name, x, y)[1], atol=1e-8, rtol=0)


def test_tip_coordinates_are_the_misses_of_the_tip() -> None:
    x, y = _pairs(3000)
    z, _ = to_mixture("tip", x, y)
    inside = (x[:, 1:].cumsum(-1).abs().amax(-1) < 0.9 * math.pi) & (y[:, 0] < 1.85)
    miss = forward(x) - y
    torch.testing.assert_close(z[inside, 0] / 50, miss[inside, 1], atol=1e-12, rtol=0)
    torch.testing.assert_close(z[inside, 1] / 50, -miss[inside, 0], atol=1e-6, rtol=0)


def test_unknown_coordinates_are_refused() -> None:
    with pytest.raises(ShapeError, match="unknown coordinates 'polar'; allowed: raw, rail, tip"):
        Recipe(TrainConfig(), coordinates="polar")  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=ALL)
def trained(request: pytest.FixtureRequest) -> ArmPosterior:
    config = TrainConfig(steps=60, components=4, width=16, blocks=1, batch_size=128)
    return train_posterior(Recipe(config, coordinates=request.param)).posterior


def test_density_of_a_network_integrates_to_one(trained: ArmPosterior) -> None:
    """E_q[p(x | y)/q(x)] = 1 with draws of q, the same mixture stretched in its own coordinates."""
    n, y = 40_000, torch.tensor([[1.2, 0.4]], dtype=torch.float64)
    mixture, stretch = trained.mixture(y), torch.tensor([1.3, 1.3, 1.3, 1.0])  # a circular coordinate stays
    z = mixture.sample((n,), torch.Generator().manual_seed(0))  # (n, 1, 4)
    x = from_mixture(trained.coordinates, (stretch * z[:, 0]).double(), y.expand(n, 2))
    log_det = to_mixture(trained.coordinates, x, y.expand(n, 2))[1]
    log_q = mixture.log_prob(z)[:, 0] - stretch.log().sum() + log_det
    ratio = (trained.log_prob(x, y.expand(n, 2)) - log_q).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4.5 * float(ratio.std()) / math.sqrt(n))


def test_draws_have_one_shape_and_repeat(trained: ArmPosterior) -> None:
    y = draw_targets(3, seed=8)
    one, other = (trained.sample(y, 5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (3, 5, 4)
    torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_a_finished_run_is_taken_up_with_both_sets_of_weights(tmp_path: Path) -> None:
    recipe = Recipe(TrainConfig(steps=60, components=3, width=8, blocks=1, batch_size=64))
    first, again = (train_posterior(recipe, tmp_path / "run") for _ in range(2))
    for one, other in ((first.posterior, again.posterior), (first.last, again.last)):
        for a, b in zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, atol=0, rtol=0)
    assert not torch.equal(first.posterior.network.head.out.bias, first.last.network.head.out.bias)


def test_refined_draws_meet_their_targets() -> None:
    y = draw_targets(20, seed=9)
    x = torch.from_numpy(sample_posteriors(y.numpy(), 20, seed=9)).float()
    refined = refine_draws(x, y)
    miss = (forward(refined) - y[:, None]).norm(dim=-1)
    assert float(miss.quantile(0.99)) < 1e-6
    assert float((refined - x).norm(dim=-1).median()) < 0.03


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({"black_box": True}, {"black_box"}),
        ({"less": ("raw",), "larger_steps": 7}, {"tip", "raw", "raw-larger-7-steps"}),
        ({"seeds": (0,), "less": (), "ablations": True}, {"tip", "ablations"}),
    ],
)
def test_a_run_replaces_its_own_rows_of_the_file(
    options: dict[str, Any], made: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = draw_targets(4)
    x = torch.from_numpy(sample_posteriors(y.numpy(), 20, seed=1))
    trained = Trained(None, None, 1.0, 7, 10)  # type: ignore[arg-type]
    monkeypatch.setattr(kruse_arm, "_truth", lambda *_, **__: Truth(y, x, x, mean_kernel(x)))
    monkeypatch.setattr(kruse_arm, "_train", lambda *_: trained)
    monkeypatch.setattr(kruse_arm, "evaluate", lambda *_, **__: Row(score(x, x, y), score(x, x, y), 1.0, 0.0, 0.1))
    monkeypatch.setattr(kruse_arm, "draw_figure", lambda *_: None)
    monkeypatch.setattr(kruse_arm, "_ablate", lambda *_: {})
    names = {"tip", "rail", "raw", "raw-larger-3000-steps", "raw-larger-7-steps", "ablations", "black_box"}
    out = tmp_path / "kruse_arm.json"
    out.write_text(json.dumps(dict.fromkeys(names, "kept")))
    kruse_arm.main(out=out, **options)
    found = json.loads(out.read_text())
    assert {name for name in names if found[name] != "kept"} == made
    assert set(found) == names | {"targets", "exact"}
