"""Trained toy problems: what the theory of mixture density networks promises, through the real training loop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import sim
from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.network import spread_means
from ik_mdn.training import Trainer, build_model
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.streams import PoseStream
from ik_mdn.training.toys import (
    TOY_RECIPE,
    FixedStream,
    Toy,
    descend,
    fit,
    mean_nll,
    starved_start,
    swapped_sine,
    three_answers,
    two_sided,
)

QUICK = replace(TOY_RECIPE, steps=200, width=16, start_scale=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def true_nll(toy: Toy, x: Tensor, y: Tensor) -> float:
    return float(-toy.truth(x.double()).log_prob(y).mean())


def grid(count: int = 41) -> Tensor:
    return torch.linspace(-1, 1, count)[:, None]


# --- two answers ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_trained_mixture_reaches_the_true_likelihood_where_squared_error_predicts_the_trough() -> None:
    toy = two_sided(2.0, 0.5)
    x, y = toy.draw(20_000, generator(7))
    assert mean_nll(fit(toy, QUICK), x, y) == pytest.approx(true_nll(toy, x, y), rel=0.02)
    regressor = fit(toy, replace(QUICK, kind="mse"))
    with torch.no_grad():
        prediction = regressor.regress(grid()).double()
    assert prediction.abs().max() < 0.25
    assert prediction.mean().abs() < 0.1
    truth = toy.truth(torch.zeros(1, 1, dtype=torch.float64))
    assert truth.log_prob(torch.zeros(1, 1).double()).exp().item() == pytest.approx(2.677e-4, rel=2e-4)
    assert truth.log_prob(torch.full((1, 1), 2.0).double()).exp().item() == pytest.approx(0.398942, abs=5e-7)


def test_toys_have_the_density_that_they_sample_from() -> None:
    """Mean of -log p over own samples is the entropy; for three separate answers in closed form."""
    toy = three_answers(gap=4.0)
    x, y = toy.draw(40_000, generator())
    weights = (0.4, 0.35, 0.25)
    entropy = -sum(w * math.log(w) for w in weights) + 0.5 * math.log(2 * math.pi * math.e * 0.25**2)
    assert true_nll(toy, x, y) == pytest.approx(entropy, abs=0.02)
    x, y = swapped_sine(1e-4).draw(2000, generator())
    assert ((y + 0.3 * (2 * math.pi * y).sin()) - x.double()).abs().max() < 0.01


# --- one component ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_component_is_heteroscedastic_regression() -> None:
    """Mean and standard deviation both depend on x, and both are found."""

    def truth(x: Tensor) -> GaussianMixture:
        return GaussianMixture(x.new_zeros(len(x), 1), (3 * x).sin()[:, None], scale=(0.1 + 0.4 * x.abs())[:, None])

    toy = Toy(truth)
    net = fit(toy, replace(QUICK, components=1, steps=500, batch_size=512, learning_rate=1e-2))
    with torch.no_grad():
        found, wanted = net.mixture(grid()), toy.truth(grid().double())
    assert (found.mean - wanted.mean).abs().mean() < 0.05
    torch.testing.assert_close(found.scale.double(), wanted.scale, atol=0.06, rtol=0.2)
    x, y = toy.draw(20_000, generator(7))
    assert mean_nll(net, x, y) == pytest.approx(true_nll(toy, x, y), abs=0.03)


# --- ties, collapse, names --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_copies_stay_copies_and_the_initialisation_breaks_the_tie() -> None:
    toy = two_sided()
    _, y = toy.draw(500, generator())
    one = torch.full((2, 1), 0.3, dtype=torch.float64)
    tied, history = descend(GaussianMixture(one[:, 0], one, scale=torch.ones_like(one)), y)
    torch.testing.assert_close(tied.loc[0], tied.loc[1], atol=1e-12, rtol=0)
    assert tied.loc.mean().item() == pytest.approx(y.mean().item(), abs=0.01)  # both sit in the trough
    assert tied.scale.mean().item() == pytest.approx(y.std().item(), rel=0.01)
    net = fit(toy, QUICK)
    with torch.no_grad():
        free = net.mixture(grid())
    answers = torch.tensor([-2.0, 2.0])
    assert (free.loc[..., 0].sort(dim=1).values - answers).abs().max() < 0.3
    assert history[-1, 0] > 2.0 > 1.6 > mean_nll(net, *toy.draw(5000, generator(1)))


def test_initial_means_lie_among_the_answers_of_every_seed() -> None:
    """K-means on the torus: with more centres than answers, each answer across the wrap has one."""
    _, y = three_answers(gap=2.5).draw(2000, generator())
    y = torch.remainder(y + 2.5 + math.pi, 2 * math.pi) - math.pi  # the middle answer is at 2.5, the upper one wraps
    answers = torch.tensor([0.0, 2.5, 5.0 - 2 * math.pi], dtype=torch.float64)
    for seed in range(5):
        means = spread_means(y, 6, torch.tensor([2 * math.pi], dtype=torch.float64), generator=generator(seed))
        gap = torch.remainder(means - answers + math.pi, 2 * math.pi) - math.pi
        assert gap.abs().amin(0).max() < 0.5, seed


@pytest.mark.slow
def test_the_entropy_bonus_prevents_the_collapse() -> None:
    _, y = two_sided().draw(300, generator())
    collapsed, history = descend(starved_start(), y)
    kept, saved = descend(starved_start(), y, entropy_weight=2.0)
    one_gaussian = 0.5 * math.log(2 * math.pi * math.e * float(y.var(unbiased=False)))
    truth = float(-two_sided().truth(torch.zeros(len(y), 1, dtype=torch.float64)).log_prob(y).mean())
    assert collapsed.effective_components < 1.2
    assert history[-1, 0].item() == pytest.approx(one_gaussian, abs=0.05)
    assert kept.effective_components > 1.95
    assert saved[-1, 0].item() == pytest.approx(truth, rel=0.02)


@pytest.mark.slow
def test_the_bonus_keeps_surplus_components_in_use_while_it_lasts() -> None:
    toy = two_sided()
    effective: dict[float, list[float]] = {}
    for weight in (0.0, 1.0):
        seen: list[float] = []

        def look(trainer: Trainer, seen: list[float] = seen) -> None:
            with torch.no_grad():
                seen.append(float(trainer.model.mixture(grid()).effective_components.mean()))

        fit(toy, replace(QUICK, components=6, entropy_weight=weight, steps=110), on_step=look)
        effective[weight] = seen
    assert effective[1.0][0] > effective[0.0][0]
    assert effective[1.0][0] > 5.0


def test_the_bonus_fades_to_nothing_half_way() -> None:
    config = replace(QUICK, entropy_weight=0.7)
    trainer = Trainer(ConditionalNetwork(1, torch.tensor([math.inf]), config.model_config()), config, two_sided())
    plain = Trainer(trainer.model, replace(config, entropy_weight=0.0), two_sided())
    x, y = two_sided().draw(64, generator())
    entropy, floor = float(trainer.model.mixture(x).weight_entropy.mean().detach()), torch.tensor(config.floor)
    for step, share in ((0, 1.0), (50, 0.5), (100, 0.0), (200, 0.0)):
        trainer.step = plain.step = step
        difference = float((trainer._loss(x, y, floor) - plain._loss(x, y, floor)).detach())
        assert difference == pytest.approx(-0.7 * share * entropy, abs=1e-5)


@pytest.mark.slow
def test_runs_name_the_same_answers_differently_until_they_are_reordered() -> None:
    toy = three_answers()
    curves = toy.truth(grid().double()).loc[..., 0]
    names = set()
    for seed in range(3):
        net = fit(toy, replace(QUICK, components=3, seed=seed, start_scale=0.3))
        with torch.no_grad():
            mixture = net.mixture(grid())
        names.add(tuple(mixture.loc[20, :, 0].argsort().tolist()))
        ordered = mixture.reordered().loc[..., 0].double()
        assert (ordered - curves).abs().mean() < 0.15, seed
    assert len(names) > 1


@pytest.mark.slow
def test_with_the_ordering_penalty_these_runs_name_the_answers_in_order_at_no_cost() -> None:
    toy = three_answers()
    x, y = toy.draw(10_000, generator(7))
    for seed in range(2):
        net = fit(toy, replace(QUICK, components=3, seed=seed, start_scale=0.3, ordering_weight=2.0))
        with torch.no_grad():
            loc = net.mixture(grid()).loc[..., 0]
        assert (loc[:, 1:] > loc[:, :-1]).all(), seed
        assert mean_nll(net, x, y) == pytest.approx(true_nll(toy, x, y), abs=0.1)


# --- floor, noise, NaN ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exact_data_drive_scales_to_the_floor_and_no_further() -> None:
    x = torch.linspace(-1, 1, 64)[:, None]
    config = replace(QUICK, components=1, floor=0.05, floor_start=0.5, steps=400)
    net = fit(FixedStream(x, 0.5 * x.double()), config)
    assert net.floor == 0.05
    with torch.no_grad():
        scale = net.mixture(x).scale
    assert scale.min() >= 0.05
    assert scale.mean() < 0.08


@pytest.mark.slow
def test_noise_regularisation_helps_on_few_samples() -> None:
    toy = two_sided(1.0, 0.3)
    few, many = toy.draw(40, generator(1)), toy.draw(5000, generator(2))
    config = replace(QUICK, components=4, width=32, blocks=2, learning_rate=1e-2, steps=300, average=0.9)
    plain, noisy = (mean_nll(fit(FixedStream(*few), replace(config, noise=n)), *many) for n in (0.0, 1.0))
    assert noisy < plain - 0.2


@pytest.mark.slow
def test_no_nan_in_twenty_seeds_of_the_hardest_configuration() -> None:
    """Exact kinematics, full covariance, surplus components, a tiny floor at once, high rate, few samples per step."""
    arm = sim.load_arm("planar3")
    config = TrainConfig(
        steps=20,
        components=32,
        covariance="full",
        width=16,
        blocks=1,
        batch_size=16,
        learning_rate=0.1,
        floor=1e-4,
        floor_start=1e-4,
        start_scale=1e-3,
        entropy_weight=1.0,
        ordering_weight=1.0,
        noise=0.1,
    )
    for seed in range(20):
        one = replace(config, seed=seed)
        model = build_model(arm, one)
        stream = PoseStream(model)
        Trainer(model, one, stream).run()  # raises TrainingError at the first NaN of loss or gradient
        assert all(bool(p.isfinite().all()) for p in model.parameters())
        x, y = stream.draw(64, generator(seed))
        assert math.isfinite(mean_nll(model, x, y))
