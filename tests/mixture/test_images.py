"""Images of wide, correlated components on the torus: integrals, brute force, gradients, and few where few are needed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ik_mdn.mixture import images
from ik_mdn.mixture.factor import PrecisionFactor
from ik_mdn.mixture.mixture import GaussianMixture

TAU = 2 * math.pi
KINDS = ("scale_tril", "precision_tril")
# standard deviation and correlation of two turning joints, from thin diagonals to nearly uniform
WIDE = ((1.2, 0.98), (1.2, -0.98), (3.0, 0.999), (0.5, 0.9), (0.8, 0.0), (2.5, 0.5), (7.0, 0.3), (20.0, 0.1))


def tensor(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def covariance(sigma: float, rho: float) -> Tensor:
    return sigma**2 * tensor([1.0, rho], [rho, 1.0])


def correlated(
    sigma: float, rho: float, *, kind: str = "precision_tril", dtype: torch.dtype = torch.float64
) -> GaussianMixture:
    """One component at (3, -2), beside the wrap, and a narrow one."""
    tril = torch.stack([torch.linalg.cholesky(covariance(sigma, rho)), 0.15 * torch.eye(2, dtype=torch.float64)])
    factor = {kind: (tril if kind == "scale_tril" else torch.linalg.inv(tril)).to(dtype)}
    loc = tensor([3.0, -2.0], [0.5, 0.5]).to(dtype)
    return GaussianMixture(tensor(0.9, 0.1).log().to(dtype), loc, **factor, period=[TAU, TAU], validate_args=False)


def cells(n: int) -> tuple[Tensor, float]:
    axis = -math.pi + TAU / n * (torch.arange(n, dtype=torch.float64) + 0.5)
    return torch.cartesian_prod(axis, axis), (TAU / n) ** 2


def brute_force(sigma: float, rho: float, y: Tensor) -> Tensor:
    """log p of the mixture of `correlated`, over every image of a large square."""
    far = torch.arange(-20, 21, dtype=torch.float64) * TAU
    shift = torch.cartesian_prod(far, far)
    wide = torch.distributions.MultivariateNormal(tensor(3.0, -2.0), covariance(sigma, rho))
    narrow = torch.distributions.MultivariateNormal(tensor(0.5, 0.5), 0.15**2 * torch.eye(2, dtype=torch.float64))
    points = y[:, None] + shift
    both = [wide.log_prob(points).logsumexp(1), narrow.log_prob(points).logsumexp(1)]  # type: ignore[no-untyped-call]
    return (torch.stack(both, dim=1) + tensor(0.9, 0.1).log()).logsumexp(1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sigma", "rho"), WIDE)
def test_the_density_integrates_to_one_however_wide_and_correlated(sigma: float, rho: float, kind: str) -> None:
    points, cell = cells(160)
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-4)):
        density = correlated(sigma, rho, kind=kind, dtype=dtype).log_prob(points.to(dtype)).double().exp()
        assert density.sum().item() * cell == pytest.approx(1.0, abs=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sigma", "rho"), WIDE)
def test_the_density_is_the_sum_over_all_images(sigma: float, rho: float, kind: str) -> None:
    points = cells(160)[0][::79]
    exact = brute_force(sigma, rho, points)
    found = correlated(sigma, rho, kind=kind).log_prob(points)
    likely = exact > -12  # what lies beyond carries no mass
    assert likely.sum() > 50
    torch.testing.assert_close(found[likely], exact[likely], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.exp(), exact.exp(), atol=1e-8, rtol=0)


def test_a_thin_diagonal_across_the_corner_is_found() -> None:
    """From (3, -2) along (1, 1) past both wraps: the nearest image coordinate by coordinate is far off the line."""
    y = tensor([3.0 + 3.5 - TAU, -2.0 + 3.5])
    log_prob = correlated(1.2, 0.98).log_prob(y)
    torch.testing.assert_close(log_prob, brute_force(1.2, 0.98, y), atol=1e-9, rtol=0)
    coordinatewise = torch.distributions.MultivariateNormal(tensor(0.0, 0.0), covariance(1.2, 0.98))
    nearest = coordinatewise.log_prob(tensor(3.5 - TAU, 3.5))  # type: ignore[no-untyped-call]
    assert log_prob.item() > nearest.item() + 100


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.1, 0.7, 1.3])
def test_the_density_of_six_correlated_turning_joints_integrates_to_one(spread: float) -> None:
    """Importance sampling from a wider wrapped mixture of the same means, mixed with uniform points."""
    g = torch.Generator().manual_seed(1)
    tril = spread * (torch.eye(6, dtype=torch.float64) + 0.6 * torch.randn(3, 6, 6, generator=g).double().tril(-1))
    loc = TAU * torch.rand(3, 6, generator=g, dtype=torch.float64)
    logits = torch.zeros(3, dtype=torch.float64)
    mixture = GaussianMixture(logits, loc, scale_tril=tril, period=TAU)
    count = 1000
    proposal = GaussianMixture(logits, loc, scale_tril=1.2 * tril, period=TAU)
    uniform = TAU * torch.rand(count, 6, generator=g, dtype=torch.float64) - math.pi
    y = torch.cat([proposal.sample((count,), g), uniform])
    flat = torch.full((2 * count,), -6 * math.log(TAU), dtype=torch.float64)
    of_proposal = torch.logaddexp(proposal.log_prob(y), flat) - math.log(2)
    ratio = (mixture.log_prob(y) - of_proposal).exp()
    error = ratio.std().item() / math.sqrt(2 * count)
    assert error < 0.06
    assert ratio.mean().item() == pytest.approx(1.0, abs=4 * error)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_images_agree_with_finite_differences(kind: str) -> None:
    base = correlated(1.2, 0.98, kind=kind)
    y = tensor([3.0 + 3.5 - TAU, -2.0 + 3.5], [-2.9, 1.0], [0.4, 0.5])

    def log_prob(logits: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
        lower = {kind: factor.tril()}
        return GaussianMixture(logits, loc, **lower, period=[TAU, TAU], validate_args=False).log_prob(y)

    inputs = [each.clone().requires_grad_() for each in (base.logits, base.loc, getattr(base, kind))]
    assert torch.autograd.gradcheck(log_prob, inputs)
    assert torch.autograd.gradgradcheck(log_prob, inputs)


def test_a_uniform_component_has_no_gradient_by_its_mean() -> None:
    loc = tensor([1.0, 2.0, 0.5]).requires_grad_()
    tril = 20 * torch.eye(3, dtype=torch.float64)[None]
    mixture = GaussianMixture(tensor(0.0), loc, scale_tril=tril, period=TAU)
    log_prob = mixture.log_prob(tensor(0.3, -1.0, 3.0))
    assert log_prob.item() == pytest.approx(-3 * math.log(TAU), abs=1e-6)
    (grad,) = torch.autograd.grad(log_prob, loc)
    assert grad.abs().max().item() < 1e-6


def test_narrow_components_are_not_looked_at_closely() -> None:
    g = torch.Generator().manual_seed(0)
    tril = (torch.eye(6) + 0.5 * torch.randn(100, 24, 6, 6, generator=g).tril(-1)) / 0.05
    factor, period = PrecisionFactor(tril, 6), torch.full((6,), TAU)
    residual = 0.05 * torch.randn(100, 24, 6, generator=g)
    kernel, z = factor.log_kernel_and_innovations(residual)
    rows = images.rows_with_images(factor, kernel, z, torch.zeros(100, 24), period)
    assert len(rows.rows) == 0


def test_too_wide_to_list_still_integrates_to_one_and_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_IMAGES", 8)
    points, cell = cells(160)
    for sigma, rho in ((1.2, 0.3), (2.5, 0.5), (7.0, 0.3)):
        density = correlated(sigma, rho).log_prob(points).exp()
        assert density.sum().item() * cell == pytest.approx(1.0, abs=1e-3 if sigma < 2 else 1e-6)
    exact = brute_force(2.5, 0.5, points[::79]).exp()
    torch.testing.assert_close(correlated(2.5, 0.5).log_prob(points[::79]).exp(), exact, atol=2e-3, rtol=0.1)


def test_conditional_of_a_wide_correlated_component_keeps_all_its_images() -> None:
    mixture = correlated(1.2, 0.98)
    y = cells(40)[0]
    conditional = mixture.conditional([0], y[:, :1])
    product = mixture.marginal([0]).log_prob(y[:, :1]) + conditional.log_prob(y[:, 1:])
    torch.testing.assert_close(product.exp(), mixture.log_prob(y).exp(), atol=1e-7, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_may_be_spread_over_points(kind: str) -> None:
    g = torch.Generator().manual_seed(1)
    factor = torch.randn(2, 1, 3, 2, 2, generator=g, dtype=torch.float64).tril(-1) + 1.2 * torch.eye(2)
    logits, loc = (torch.randn(2, 1, 3, *more, generator=g, dtype=torch.float64) for more in ((), (2,)))
    mixture = GaussianMixture(logits, loc, **{kind: factor}, period=[TAU, TAU])  # type: ignore[arg-type]
    y = TAU * torch.rand(2, 5, 2, generator=g, dtype=torch.float64)
    torch.testing.assert_close(mixture.log_prob(y), mixture.expand((2, 5)).log_prob(y), rtol=0, atol=1e-12)
    one = GaussianMixture(logits[1, 0], loc[1, 0], **{kind: factor[1, 0]}, period=[TAU, TAU])  # type: ignore[arg-type]
    torch.testing.assert_close(mixture.log_prob(y)[1], one.log_prob(y[1]), rtol=0, atol=1e-12)
