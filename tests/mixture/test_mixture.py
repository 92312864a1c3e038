"""Properties of the Gaussian mixture: closed forms, integrals, invariances, draws, circular coordinates."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from ik_mdn.mixture.circular import embed, images_needed, nearest_image, wrap
from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.mixture.modes import find_modes
from sim.errors import ShapeError

TAU = 2 * math.pi
INF = math.inf


def example(**options: Any) -> GaussianMixture:
    """Weights (0.5, 0.3, 0.2), means (1, 3, -2), standard deviations (0.4, 0.7, 1.5)."""
    return GaussianMixture(
        logits=tensor(0.5, 0.3, 0.2).log(),
        loc=tensor(1.0, 3.0, -2.0).unsqueeze(-1),
        scale=tensor(0.4, 0.7, 1.5).unsqueeze(-1),
        **options,
    )


def tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_tril(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Lower triangular factors with diagonals in [0.5, 1.5]."""
    g = generator(seed)
    below = 0.4 * torch.randn(*shape, shape[-1], generator=g, dtype=torch.float64)
    return (below.tril(-1) + torch.diag_embed(torch.rand(*shape, generator=g, dtype=torch.float64) + 0.5)).to(dtype)


def random_mixture(kind: str, batch: tuple[int, ...] = (), k: int = 4, d: int = 3, **options: Any) -> GaussianMixture:
    g = generator(1)
    logits = torch.randn(*batch, k, generator=g, dtype=torch.float64)
    loc = torch.randn(*batch, k, d, generator=g, dtype=torch.float64)
    tril = random_tril(*batch, k, d)
    scale: dict[str, Any] = {
        "isotropic": {"scale": tril[..., :1, 0]},
        "scale": {"scale": tril.diagonal(dim1=-2, dim2=-1)},
        "scale_tril": {"scale_tril": tril},
        "precision_tril": {"precision_tril": tril},
    }[kind]
    return GaussianMixture(logits, loc, **scale, **options)


KINDS = ("isotropic", "scale", "scale_tril", "precision_tril")


def grid(low: float, high: float, n: int, d: int) -> tuple[Tensor, float]:
    """Midpoints of n cells per coordinate, (n^d, d), and the volume of a cell."""
    step = (high - low) / n
    axis = low + step * (torch.arange(n, dtype=torch.float64) + 0.5)
    return torch.cartesian_prod(*[axis] * d).reshape(-1, d), step**d


# --- closed forms -----------------------------------------------------------------------------------------------


def test_moments_match_the_closed_form() -> None:
    mixture = example()
    torch.testing.assert_close(mixture.mean, tensor(1.0), atol=1e-10, rtol=0)
    torch.testing.assert_close(mixture.variance_within, tensor(0.677), atol=1e-10, rtol=0)
    torch.testing.assert_close(mixture.variance_between, tensor(3.0), atol=1e-10, rtol=0)
    torch.testing.assert_close(mixture.variance, tensor(3.677), atol=1e-10, rtol=0)
    torch.testing.assert_close(mixture.covariance_matrix, tensor([3.677]), atol=1e-10, rtol=0)


def test_log_prob_matches_a_sum_of_densities_in_plain_floating_point() -> None:
    weights, means, sigmas = (0.5, 0.3, 0.2), (1.0, 3.0, -2.0), (0.4, 0.7, 1.5)
    for y, printed in ((0.0, 3.128214), (1.0, 0.675774), (2.0, 2.464428)):
        density = sum(
            w * math.exp(-0.5 * ((y - m) / s) ** 2) / (s * math.sqrt(TAU))
            for w, m, s in zip(weights, means, sigmas, strict=True)
        )
        nll = -example().log_prob(tensor(y)).item()
        assert nll == pytest.approx(-math.log(density), abs=1e-10)
        assert nll == pytest.approx(printed, abs=5e-7)


def test_responsibilities_match_the_printed_digits_and_sum_to_one() -> None:
    r = example().responsibilities(tensor(2.0))
    torch.testing.assert_close(r, tensor(0.257595, 0.724541, 0.017864), atol=5e-7, rtol=0)
    assert r.sum().item() == pytest.approx(1.0, abs=1e-12)


def test_weight_entropy_and_effective_components_match_the_closed_form() -> None:
    mixture = example()
    exact = -sum(w * math.log(w) for w in (0.5, 0.3, 0.2))
    assert mixture.weight_entropy.item() == pytest.approx(exact, abs=1e-10)
    assert mixture.weight_entropy.item() == pytest.approx(1.029653, abs=5e-7)
    assert mixture.effective_components.item() == pytest.approx(math.exp(exact), abs=1e-10)


def test_cdf_matches_the_error_function_and_the_printed_digits() -> None:
    exact = sum(
        0.5 * w * (1 + math.erf((1 - m) / (s * math.sqrt(2))))
        for w, m, s in zip((0.5, 0.3, 0.2), (1.0, 3.0, -2.0), (0.4, 0.7, 1.5), strict=True)
    )
    pit = example().cdf(tensor(1.0)).item()
    assert pit == pytest.approx(exact, abs=1e-10)
    assert pit == pytest.approx(0.446091, abs=5e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_agrees_with_torch_multivariate_normal(kind: str) -> None:
    mixture = random_mixture(kind, batch=(5,))
    peer = MixtureSameFamily(
        Categorical(logits=mixture.logits), MultivariateNormal(mixture.loc, scale_tril=mixture.scale_tril)
    )
    for shape in ((5, 3), (7, 5, 3), (2, 7, 1, 3)):
        y = torch.randn(shape, generator=generator(), dtype=torch.float64)
        expected = peer.log_prob(y)  # type: ignore[no-untyped-call]
        torch.testing.assert_close(mixture.log_prob(y), expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(mixture.mean, peer.mean)
    torch.testing.assert_close(mixture.variance, peer.variance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scale_tril", "precision_tril"])
@pytest.mark.parametrize("sample", [(), (3,)])
def test_written_out_gradients_agree_with_finite_differences(kind: str, sample: tuple[int, ...]) -> None:
    base = random_mixture(kind, batch=(2,), k=2)
    y = torch.randn(*sample, 2, 3, generator=generator(2), dtype=torch.float64)
    factor = getattr(base, kind).clone().requires_grad_()

    def log_prob(logits: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
        lower: dict[str, Any] = {kind: factor.tril()}
        return GaussianMixture(logits, loc, **lower, validate_args=False).log_prob(y)

    inputs = (base.logits.clone().requires_grad_(), base.loc.clone().requires_grad_(), factor)
    assert torch.autograd.gradcheck(log_prob, inputs)
    assert torch.autograd.gradgradcheck(log_prob, inputs)


@pytest.mark.parametrize("kind", ["scale_tril", "precision_tril"])
def test_the_gradient_of_a_factor_stays_lower_triangular(kind: str) -> None:
    factor = random_tril(5, 4, 3).requires_grad_()
    lower: dict[str, Any] = {kind: factor}
    mixture = GaussianMixture(
        torch.zeros(5, 4, dtype=torch.float64), torch.zeros(5, 4, 3, dtype=torch.float64), **lower
    )
    for shape in ((5, 3), (2, 5, 3)):
        (grad,) = torch.autograd.grad(mixture.log_prob(torch.ones(shape, dtype=torch.float64)).sum(), factor)
        assert torch.equal(grad, grad.tril())


def test_general_gradients_are_weights_minus_responsibilities_and_weighted_distances() -> None:
    base = random_mixture("scale_tril", batch=(5,))
    logits, loc = base.logits.clone().requires_grad_(), base.loc.clone().requires_grad_()
    y = torch.randn(5, 3, generator=generator(3), dtype=torch.float64)
    mixture = GaussianMixture(logits, loc, scale_tril=base.scale_tril)
    of_logits, of_loc = torch.autograd.grad(-mixture.log_prob(y).sum(), (logits, loc))
    r = mixture.responsibilities(y)
    sigma = base.scale_tril @ base.scale_tril.mT
    pull = torch.linalg.solve(sigma, (loc - y.unsqueeze(-2)).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(of_logits, mixture.weights - r, atol=1e-10, rtol=0)
    torch.testing.assert_close(of_loc, r.unsqueeze(-1) * pull, atol=1e-10, rtol=1e-10)


# --- densities integrate to one ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2])
def test_density_integrates_to_one_on_the_line(kind: str, d: int) -> None:
    mixture = random_mixture(kind, d=d)
    points, cell = grid(-25.0, 25.0, 400, d)
    assert mixture.log_prob(points).exp().sum().item() * cell == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("width", [0.02, 0.5, 3.0, 50.0])
@pytest.mark.parametrize("kind", ["scale", "scale_tril"])
def test_density_integrates_to_one_on_the_circle_however_wide(kind: str, width: float) -> None:
    factor = tensor([width], [0.3])
    scale: dict[str, Any] = {kind: factor if kind == "scale" else factor.unsqueeze(-1)}
    mixture = GaussianMixture(tensor(0.4, -0.2), tensor([3.1], [-1.0]), **scale, period=[TAU])
    points, cell = grid(-math.pi, math.pi, 4000, 1)
    assert mixture.log_prob(points).exp().sum().item() * cell == pytest.approx(1.0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.3, 1.5])
def test_density_integrates_to_one_on_the_torus(kind: str, width: float) -> None:
    base = random_mixture(kind, d=2)
    if kind == "precision_tril":
        scale: dict[str, Any] = {kind: base.precision_tril / width}
    else:
        name = "scale" if kind == "isotropic" else kind
        scale = {name: getattr(base, name) * width}
    mixture = GaussianMixture(base.logits, base.loc + 2.5, **scale, period=[TAU, TAU])
    points, cell = grid(-math.pi, math.pi, 300, 2)
    assert mixture.log_prob(points).exp().sum().item() * cell == pytest.approx(1.0, abs=1e-6)


def test_density_integrates_to_one_where_only_one_coordinate_is_circular() -> None:
    mixture = GaussianMixture(
        tensor(0.0, 1.0), tensor([3.0, 1.0], [-3.0, -1.0]), scale_tril=random_tril(2, 2), period=[TAU, INF]
    )
    angle, step = grid(-math.pi, math.pi, 200, 1)
    line, line_step = grid(-12.0, 12.0, 500, 1)
    points = torch.cartesian_prod(angle.squeeze(-1), line.squeeze(-1))
    assert mixture.log_prob(points).exp().sum().item() * step * line_step == pytest.approx(1.0, abs=1e-6)


def test_wide_wrapped_normal_matches_its_fourier_series() -> None:
    sigma, period = 2.0, 5.0
    mixture = GaussianMixture(tensor(0.0), tensor([0.7]), scale=tensor([sigma]), period=[period])
    y, _ = grid(-period / 2, period / 2, 50, 1)
    omega = TAU / period
    series = torch.ones(50, dtype=torch.float64)
    for n in range(1, 20):
        series += 2 * math.exp(-0.5 * (n * omega * sigma) ** 2) * (n * omega * (y[:, 0] - 0.7)).cos()
    torch.testing.assert_close(mixture.log_prob(y).exp(), series / period, atol=1e-7, rtol=0)


# --- invariances ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_permutation_of_components_changes_nothing(kind: str) -> None:
    mixture = random_mixture(kind, batch=(5,))
    index = torch.stack([torch.randperm(4, generator=generator(i)) for i in range(5)])
    shuffled = mixture.permuted(index)
    y = torch.randn(6, 5, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(shuffled.log_prob(y), mixture.log_prob(y), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(shuffled.covariance_matrix, mixture.covariance_matrix, atol=1e-12, rtol=1e-12)
    r = mixture.responsibilities(y).gather(-1, index.expand(6, 5, 4))
    torch.testing.assert_close(shuffled.responsibilities(y), r, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("by", ["loc", "weight"])
def test_canonical_order_forgets_the_order_before(by: str) -> None:
    mixture = random_mixture("scale_tril", batch=(5,), period=[TAU, INF, INF])
    index = torch.stack([torch.randperm(4, generator=generator(i)) for i in range(5)])
    one, two = mixture.reordered(by, dim=1), mixture.permuted(index).reordered(by, dim=1)
    assert torch.equal(one.loc, two.loc)
    assert torch.equal(one.logits, two.logits)
    assert torch.equal(one.scale_tril, two.scale_tril)
    ordered = one.loc[..., 1] if by == "loc" else -one.logits
    assert bool((ordered.diff(dim=-1) >= 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_batch_equals_loop(kind: str) -> None:
    mixture = random_mixture(kind, batch=(2, 3), period=[TAU, INF, 4.0])
    y = torch.randn(2, 3, 3, generator=generator(), dtype=torch.float64)
    name = "scale" if kind == "isotropic" else kind
    for i in range(2):
        for j in range(3):
            scale: dict[str, Any] = {name: getattr(mixture, name)[i, j]}
            one = GaussianMixture(mixture.logits[i, j], mixture.loc[i, j], **scale, period=[TAU, INF, 4.0])
            torch.testing.assert_close(mixture.log_prob(y)[i, j], one.log_prob(y[i, j]), atol=1e-6, rtol=1e-6)
            torch.testing.assert_close(mixture.mean[i, j], one.mean, atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_expand_repeats_the_mixture(kind: str) -> None:
    mixture = random_mixture(kind, batch=(5,)).expand((2, 5))
    assert mixture.batch_shape == (2, 5)
    assert mixture.event_shape == (3,)
    y = torch.ones(5, 3, dtype=torch.float64)
    torch.testing.assert_close(mixture.log_prob(y)[1], random_mixture(kind, batch=(5,)).log_prob(y))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_gives_empty_results(kind: str) -> None:
    mixture = random_mixture(kind, batch=(0,), period=[TAU, INF, INF])
    assert mixture.log_prob(torch.zeros(0, 3, dtype=torch.float64)).shape == (0,)
    assert mixture.sample((5,), generator()).shape == (5, 0, 3)
    assert mixture.sample((0,), generator()).shape == (0, 0, 3)
    assert mixture.variance.shape == (0, 3)
    assert find_modes(mixture).valid.shape == (0, 4)


def test_a_mixture_without_a_batch_takes_any_number_of_points() -> None:
    mixture = random_mixture("precision_tril")
    y = torch.randn(7, 2, 3, generator=generator(), dtype=torch.float64)
    looped = torch.stack([mixture.log_prob(point) for point in y.reshape(-1, 3)]).reshape(7, 2)
    torch.testing.assert_close(mixture.log_prob(y), looped, atol=1e-12, rtol=1e-12)


def test_scale_factor_and_precision_factor_describe_the_same_density() -> None:
    by_precision = random_mixture("precision_tril", batch=(5,))
    by_scale = GaussianMixture(by_precision.logits, by_precision.loc, scale_tril=by_precision.scale_tril)
    y = torch.randn(5, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(by_scale.log_prob(y), by_precision.log_prob(y), atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(by_scale.precision_tril, by_precision.precision_tril, atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(by_scale.scale, by_precision.scale, atol=1e-11, rtol=1e-11)


# --- circular coordinates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", [0.3, math.pi, -7.0])
def test_turning_means_and_targets_together_changes_nothing_on_the_circle(kind: str, turn: float) -> None:
    period = [TAU, TAU, INF]
    mixture = random_mixture(kind, batch=(5,), period=period)
    shift = tensor(turn, -2 * turn, 0.0)
    name = "scale" if kind == "isotropic" else kind
    scale: dict[str, Any] = {name: getattr(mixture, name)}
    turned = GaussianMixture(mixture.logits, mixture.loc + shift, **scale, period=period)
    y = torch.randn(5, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(turned.log_prob(y + shift), mixture.log_prob(y), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(turned.variance, mixture.variance, atol=1e-10, rtol=1e-10)
    gap = nearest_image(turned.mean - mixture.mean - shift, turned.period)
    torch.testing.assert_close(gap, torch.zeros_like(gap), atol=1e-10, rtol=0)


def test_circular_moments_are_the_plain_ones_for_narrow_components_across_the_cut() -> None:
    loc, scale = tensor([math.pi - 0.01], [math.pi + 0.01]), tensor([0.01], [0.01])
    circle = GaussianMixture(tensor(0.0, 0.0), wrap(loc, tensor(TAU)), scale=scale, period=[TAU])
    line = GaussianMixture(tensor(0.0, 0.0), loc, scale=scale)
    assert abs(circle.mean.item()) == pytest.approx(math.pi, abs=1e-12)
    torch.testing.assert_close(circle.variance, line.variance, atol=1e-12, rtol=0)
    torch.testing.assert_close(circle.variance_between, tensor(1e-4), atol=1e-12, rtol=0)


def test_mean_direction_is_the_direction_of_the_draws() -> None:
    mixture = GaussianMixture(tensor(0.9, 0.1), tensor([2.8], [-1.0]), scale=tensor([0.7], [0.2]), period=[TAU])
    y = mixture.sample((200_000,), generator())
    direction = torch.atan2(y.sin().mean(), y.cos().mean()).item()
    assert mixture.mean.item() == pytest.approx(direction, abs=0.01)  # standard error 0.003


def test_narrow_components_need_no_images_and_wide_ones_do() -> None:
    weights, period = tensor(0.5, 0.5), tensor(TAU, INF)
    assert images_needed(weights, tensor([0.5, 9.0], [0.1, 9.0]), period) == (0, 0)
    assert images_needed(weights, tensor([1.0, 9.0], [0.1, 9.0]), period) == (1, 0)
    assert images_needed(tensor(1 - 1e-12, 1e-12), tensor([0.1, 9.0], [1.0, 9.0]), period) == (0, 0)


def test_wrap_is_half_open_and_keeps_linear_coordinates() -> None:
    period = torch.tensor([TAU, INF])
    values = torch.linspace(-30, 30, 4001).unsqueeze(-1).expand(-1, 2)
    wrapped = wrap(values, period)
    half = period[0] / 2
    assert bool(((wrapped[:, 0] >= -half) & (wrapped[:, 0] < half)).all())
    assert torch.equal(wrapped[:, 1], values[:, 1])
    assert wrap(half.reshape(1), period[:1]).item() == -half.item()


def test_embedding_keeps_small_distances_and_closes_the_circle() -> None:
    period = tensor(4.0, INF)
    a, b = embed(tensor([1.999, 5.0]), period), embed(tensor([-1.999, 5.001]), period)
    assert (a - b).norm().item() == pytest.approx(math.hypot(0.002, 0.001), abs=1e-8)


def test_circular_cdf_is_the_integral_of_the_density() -> None:
    for width in (0.2, 2.0, 100.0):
        mixture = GaussianMixture(tensor(0.2, 0.0), tensor([3.0], [-1.0]), scale=tensor([width], [0.3]), period=[TAU])
        points, cell = grid(-math.pi, math.pi, 4000, 1)
        cumulated = mixture.log_prob(points).exp().cumsum(0) * cell
        torch.testing.assert_close(mixture.cdf(points + cell / 2)[:-1], cumulated[:-1], atol=2e-6, rtol=0)


# --- draws ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_moments_agree_with_the_closed_form(kind: str) -> None:
    mixture = random_mixture(kind, batch=(2,), d=2)
    y = mixture.sample((400_000,), generator())
    assert y.shape == (400_000, 2, 2)
    spread = mixture.variance.sqrt()
    assert bool(((y.mean(0) - mixture.mean).abs() < 0.03 * spread).all())
    for i in range(2):
        want = mixture.covariance_matrix[i]
        bound = 0.03 * want.diagonal().outer(want.diagonal()).sqrt()
        assert bool(((y[:, i].T.cov() - want).abs() < bound).all())


@pytest.mark.parametrize("shape", [(), (5,), (2, 5)])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_draws_have_the_shape_sample_batch_event(shape: tuple[int, ...], batch: tuple[int, ...]) -> None:
    mixture = random_mixture("precision_tril", batch=batch)
    assert mixture.sample(shape, generator()).shape == (*shape, *batch, 3)
    assert mixture.rsample_components(shape, generator()).shape == (*shape, *batch, 4, 3)


def test_the_same_generator_repeats_the_draws_and_leaves_the_global_one_alone() -> None:
    mixture = random_mixture("scale_tril")
    state = torch.get_rng_state()
    assert torch.equal(mixture.sample((10,), generator(3)), mixture.sample((10,), generator(3)))
    assert not torch.equal(mixture.sample((10,), generator(3)), mixture.sample((10,), generator(4)))
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_in_batches_come_from_their_own_mixture_few_or_many() -> None:
    loc = torch.arange(12.0).reshape(3, 4, 1) * 100
    mixture = GaussianMixture(torch.zeros(3, 4), loc, precision_tril=torch.ones(3, 4, 1, 1))
    for n in (2, 500):  # below and above the number of components
        y = mixture.sample((n,), generator())
        owner = (y.squeeze(-1) / 100).round()
        assert bool(((owner >= torch.tensor([0, 4, 8])) & (owner <= torch.tensor([3, 7, 11]))).all())


def test_a_component_without_weight_is_never_drawn() -> None:
    mixture = GaussianMixture(
        torch.tensor([-INF, 0.0, -INF, 0.0, -INF]), torch.arange(5.0).unsqueeze(-1) * 100, scale=torch.ones(5, 1)
    )
    drawn = sorted(set((mixture.sample((20_000,), generator()).flatten() / 100).round().tolist()))
    assert drawn == [1.0, 3.0]
    assert mixture.weight_entropy.item() == pytest.approx(math.log(2), abs=1e-6)


def test_circular_draws_lie_in_the_period_and_keep_the_trigonometric_moment() -> None:
    mixture = GaussianMixture(tensor(0.0), tensor([3.0, 3.0]), scale=tensor([1.2, 1.2]), period=[TAU, INF])
    y = mixture.sample((100_000,), generator())
    assert bool(((y[:, 0] >= -math.pi) & (y[:, 0] < math.pi)).all())
    assert y[:, 1].max().item() > math.pi
    assert (y[:, 0] - 3.0).cos().mean().item() == pytest.approx(math.exp(-0.5 * 1.44), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_differentiable_by_means_and_scales_but_not_by_logits(kind: str) -> None:
    base = random_mixture(kind, batch=(2,))
    name = "scale" if kind == "isotropic" else kind
    logits, loc = base.logits.clone().requires_grad_(), base.loc.clone().requires_grad_()
    factor = getattr(base, name).clone().requires_grad_()
    scale: dict[str, Any] = {name: factor}
    mixture = GaussianMixture(logits, loc, **scale)
    assert not mixture.has_rsample
    y = mixture.rsample((50,), generator())
    of_loc, of_factor = torch.autograd.grad(y.sum(), (loc, factor), retain_graph=True)
    torch.testing.assert_close(of_loc.sum(), torch.tensor(300.0, dtype=torch.float64))
    assert of_factor.abs().sum().item() > 0
    assert torch.autograd.grad(y.sum(), logits, allow_unused=True)[0] is None
    assert not mixture.sample((2,), generator()).requires_grad


def test_one_draw_per_component_gives_the_whole_gradient_of_an_expectation() -> None:
    logits = tensor(0.3, -0.4).requires_grad_()
    loc = tensor([1.0], [-2.0]).requires_grad_()
    mixture = GaussianMixture(logits, loc, scale=tensor([0.5], [0.8]))
    y = mixture.rsample_components((200_000,), generator()).squeeze(-1)
    estimate = torch.autograd.grad((mixture.weights * y.square()).sum(-1).mean(), (logits, loc), retain_graph=True)
    second_moment = (mixture.weights * (loc.squeeze(-1).square() + tensor(0.25, 0.64))).sum()
    exact = torch.autograd.grad(second_moment, (logits, loc))
    for got, want in zip(estimate, exact, strict=True):
        torch.testing.assert_close(got, want, atol=0.02, rtol=0)


# --- marginals, conditionals, modes -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [[0], [2, 0], [0, 1], [-1]])
def test_marginal_has_the_rows_of_mean_and_covariance(kind: str, dims: list[int]) -> None:
    mixture = random_mixture(kind, batch=(5,))
    marginal = mixture.marginal(dims)
    torch.testing.assert_close(marginal.mean, mixture.mean[:, dims])
    torch.testing.assert_close(marginal.covariance_matrix, mixture.covariance_matrix[:, dims][:, :, dims])
    assert bool((marginal.scale_tril.diagonal(dim1=-2, dim2=-1) > 0).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [None, [TAU, INF, TAU]])
@pytest.mark.parametrize("given", [[0], [1], [2, 0]])
def test_conditional_times_marginal_is_the_joint_density(
    kind: str, period: list[float] | None, given: list[int]
) -> None:
    mixture = random_mixture(kind, batch=(4,), period=period)
    rest = [d for d in range(3) if d not in given]
    y = torch.randn(6, 4, 3, generator=generator(), dtype=torch.float64)
    conditional = mixture.conditional(given, y[..., given])
    assert conditional.batch_shape == (6, 4)
    product = mixture.marginal(given).log_prob(y[..., given]) + conditional.log_prob(y[..., rest])
    torch.testing.assert_close(product, mixture.log_prob(y), atol=1e-4 if period else 1e-10, rtol=0)


def test_cdf_of_a_line_does_not_ask_whether_its_period_is_none_or_inf() -> None:
    mixture = GaussianMixture(torch.zeros(2), torch.tensor([[0.0], [1.0]]), scale=torch.ones(2, 1))
    y = torch.tensor([[0.3], [-2.0]])
    plain = mixture.cdf(y)
    mixture.period = torch.tensor([math.inf])  # what a GPU's marginal has, where to look would be to wait
    torch.testing.assert_close(mixture.cdf(y), plain)


def test_pit_of_draws_is_uniform_in_every_marginal() -> None:
    mixture = random_mixture("scale_tril", period=[TAU, INF, INF])
    y = mixture.sample((50_000,), generator())
    for d in range(3):
        pit = mixture.marginal(d).cdf(y[:, [d]]).sort().values
        gap = (pit - torch.linspace(0, 1, 50_000, dtype=torch.float64)).abs().max().item()
        assert gap < 1.63 / math.sqrt(50_000)  # Kolmogorov-Smirnov, 1 %


@pytest.mark.parametrize("kind", KINDS)
def test_modes_are_stationary_and_no_neighbour_is_higher(kind: str) -> None:
    mixture = random_mixture(kind, batch=(6,), k=5, d=2, period=[TAU, INF])
    modes = find_modes(mixture)
    assert bool(modes.valid[:, 0].all())
    ring = torch.arange(16, dtype=torch.float64) * TAU / 16
    for offset in 1e-3 * torch.stack((ring.cos(), ring.sin()), -1):
        around = mixture.log_prob((modes.loc + offset).movedim(1, 0).nan_to_num()).T
        assert bool((around < modes.log_prob)[modes.valid].all())
    assert bool((modes.log_prob.nan_to_num(neginf=-1e9).diff(dim=-1) <= 0).all())
    torch.testing.assert_close(modes.weight.sum(-1), torch.ones(6, dtype=torch.float64), atol=1e-9, rtol=0)


def test_two_components_have_two_modes_exactly_beyond_two_standard_deviations() -> None:
    for distance, want in ((1.9, 1), (2.1, 2)):
        mixture = GaussianMixture(tensor(0.0, 0.0), tensor([-distance / 2], [distance / 2]), scale=tensor([1.0], [1.0]))
        assert int(find_modes(mixture, max_steps=5000).valid.sum()) == want


def test_modes_on_either_side_of_the_cut_are_one() -> None:
    mixture = GaussianMixture(
        tensor(0.0, 0.0), tensor([math.pi - 0.05], [0.05 - math.pi]), scale=tensor([0.2], [0.2]), period=[TAU]
    )
    modes = find_modes(mixture)
    assert modes.valid.tolist() == [True, False]
    assert abs(modes.loc[0].item()) == pytest.approx(math.pi, abs=1e-6)
    assert modes.weight.tolist() == pytest.approx([1.0, 0.0])
    assert math.isnan(modes.loc[1].item())


# --- extremes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_far_targets_and_extreme_logits_stay_finite_in_single_precision(kind: str) -> None:
    for y, logits in ((1e4, [0.5, 0.0, -0.5]), (0.3, [1e4, 0.0, -1e4]), (1e4, [1e4, 0.0, -1e4])):
        parameters: dict[str, Any] = {
            "logits": torch.tensor(logits),
            "loc": torch.tensor([[1.0, 2.0], [3.0, 0.0], [-2.0, 1.0]]),
            "scale" if kind == "isotropic" else kind: {
                "isotropic": torch.full((3, 1), 0.4),
                "scale": torch.full((3, 2), 0.4),
            }.get(kind, random_tril(3, 2, dtype=torch.float32)),
        }
        for value in parameters.values():
            value.requires_grad_()
        mixture = GaussianMixture(**parameters)
        loss = -mixture.log_prob(torch.full((2,), y)) - mixture.weight_entropy
        torch.autograd.backward(loss)
        assert bool(loss.isfinite())
        assert all(bool(value.grad.isfinite().all()) for value in parameters.values() if value.grad is not None)
        assert all(value.grad is not None for value in parameters.values())


def test_dtype_follows_the_inputs() -> None:
    for dtype in (torch.float32, torch.float64):
        mixture = GaussianMixture(
            torch.zeros(2, dtype=dtype),
            torch.zeros(2, 1, dtype=dtype),
            scale=torch.ones(2, 1, dtype=dtype),
            period=[TAU],
        )
        y = mixture.sample((3,), generator())
        for result in (y, mixture.log_prob(y), mixture.mean, mixture.variance, mixture.cdf(y), find_modes(mixture).loc):
            assert result.dtype == dtype


# --- refusals ---------------------------------------------------------------------------------------------------


def build(**changes: Any) -> GaussianMixture:
    arguments: dict[str, Any] = {"logits": torch.zeros(4, 3), "loc": torch.zeros(4, 3, 2), "scale": torch.ones(4, 3, 2)}
    return GaussianMixture(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": None}, "no scale given; give exactly one"),
        ({"scale_tril": torch.eye(2).expand(4, 3, 2, 2)}, "give exactly one of scale"),
        ({"scale": torch.ones(4, 3, 5)}, r"scale has shape \(4, 3, 5\)"),
        ({"scale": None, "scale_tril": torch.ones(4, 3, 2)}, r"scale_tril has shape .*\(\*batch, K, D, D\)"),
        ({"loc": torch.zeros(2)}, "loc must be"),
        ({"logits": torch.zeros(4, 5)}, "do not share"),
        ({"scale": -torch.ones(4, 3, 2)}, "must be positive"),
        ({"scale": None, "precision_tril": torch.ones(4, 3, 2, 2)}, "lower triangular"),
        ({"loc": torch.full((4, 3, 2), math.nan)}, "nothing NaN"),
        ({"logits": torch.full((4, 3), -math.inf)}, "the largest logit of a mixture is inf or -inf"),
        ({"logits": torch.tensor([math.inf, 0.0, 0.0])}, "the largest logit of a mixture is inf or -inf"),
        ({"period": [TAU]}, "one number per coordinate"),
        ({"period": [TAU, 0.0]}, "must be positive, or inf"),
    ],
)
def test_unfit_parameters_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        build(**changes)


def test_unfit_arguments_of_methods_are_refused() -> None:
    mixture = build()
    with pytest.raises(ShapeError, match=r"value has shape \(5, 2\)"):
        mixture.log_prob(torch.zeros(5, 2))
    with pytest.raises(ShapeError, match="value has shape"):
        mixture.log_prob(torch.zeros(4, 1))
    with pytest.raises(ShapeError, match="contains NaN"):
        mixture.log_prob(torch.full((4, 2), math.nan))
    with pytest.raises(ShapeError, match="cdf needs D = 1"):
        mixture.cdf(torch.zeros(4, 2))
    for dims in ([], [2], [0, 0], [0, -2]):
        with pytest.raises(ShapeError, match="name different coordinates out of 0 to 1"):
            mixture.marginal(dims)
    with pytest.raises(ShapeError, match="leave at least one"):
        mixture.conditional([0, 1], torch.zeros(4, 2))
    with pytest.raises(ShapeError, match="'loc' or by 'weight'"):
        mixture.reordered(by="size")


def test_what_is_made_of_a_mixture_checks_as_it_does() -> None:
    mixture = GaussianMixture(torch.zeros(2, 3), torch.randn(2, 3, 2), scale=torch.ones(2, 3, 2), validate_args=True)
    for made in (mixture.expand((4, 2)), mixture.marginal(0), mixture.take(torch.tensor([1]))):
        with pytest.raises(ValueError, match="value"):
            made.log_prob(torch.full(made.event_shape, math.nan))


def test_some_of_a_batch_are_what_they_were() -> None:
    g = torch.Generator().manual_seed(2)
    logits, loc = torch.randn(5, 3, generator=g), torch.randn(5, 3, 2, generator=g)
    mixture = GaussianMixture(logits, loc, scale=torch.rand(5, 3, 2, generator=g) + 0.1, period=[math.tau, math.inf])
    rows, y = torch.tensor([3, 0, 3]), torch.randn(3, 2, generator=g)
    whole = mixture.log_prob(y[:, None].expand(3, 5, 2))
    torch.testing.assert_close(mixture.take(rows).log_prob(y), whole[torch.arange(3), rows])
