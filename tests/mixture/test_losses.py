"""Properties of the losses and scores: closed forms, gradients, signs, and what minimising them finds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ik_mdn.evaluation.scores import crps, energy_score
from ik_mdn.mixture.losses import entropy_bonus, mse, nll, ordering_penalty
from ik_mdn.mixture.mixture import GaussianMixture
from sim.errors import ShapeError

TAU = 2 * math.pi
WEIGHTS, MEANS, SIGMAS = (0.5, 0.3, 0.2), (1.0, 3.0, -2.0), (0.4, 0.7, 1.5)


def tensor(*values: float | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, means and log standard deviations of the worked example, (3,) each."""
    values = (tensor(*WEIGHTS).log(), tensor(*MEANS), tensor(*SIGMAS).log())
    return tuple(value.requires_grad_() for value in values)  # type: ignore[return-value]


def mixture_of(logits: Tensor, loc: Tensor, log_std: Tensor, period: list[float] | None = None) -> GaussianMixture:
    return GaussianMixture(logits, loc.unsqueeze(-1), scale=log_std.exp().unsqueeze(-1), period=period)


def bimodal(n: int, seed: int = 0) -> Tensor:
    """Draws of ½ N(-2, 0.5²) + ½ N(2, 0.5²), (n, 1)."""
    g = torch.Generator().manual_seed(seed)
    side = torch.randint(0, 2, (n, 1), generator=g).double() * 4 - 2
    return side + 0.5 * torch.randn(n, 1, generator=g, dtype=torch.float64)


def minimise(loss_of: Callable[[], Tensor], parameters: tuple[Tensor, ...], steps: int = 60) -> float:
    """The loss after L-BFGS steps on the parameters."""
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-15
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(loss_of().detach())


# --- negative log-likelihood ------------------------------------------------------------------------------------


def test_nll_and_its_gradients_match_the_worked_example() -> None:
    logits, loc, log_std = leaves()
    mixture = mixture_of(logits, loc, log_std)
    loss = nll(mixture, tensor(2.0))
    grads = torch.autograd.grad(loss, (logits, loc, log_std), retain_graph=True)
    printed = (
        (0.242405, -0.424541, 0.182136),
        (-1.609968, 1.478655, -0.031758),
        (-1.352373, -0.754114, -0.109169),
    )
    assert loss.item() == pytest.approx(2.464428, abs=5e-7)
    for grad, digits in zip(grads, printed, strict=True):
        torch.testing.assert_close(grad, tensor(*digits), atol=5e-7, rtol=0)
    r, sigma = mixture.responsibilities(tensor(2.0)), tensor(*SIGMAS)
    z = (2.0 - tensor(*MEANS)) / sigma
    exact = (tensor(*WEIGHTS) - r, -r * z / sigma, r * (1 - z.square()))
    for grad, want in zip(grads, exact, strict=True):
        torch.testing.assert_close(grad, want, atol=1e-10, rtol=0)


def test_nll_is_the_mean_over_the_batch() -> None:
    mixture = mixture_of(*leaves())
    assert nll(mixture, tensor([0.0], [1.0], [2.0])).item() == pytest.approx(
        (3.128214 + 0.675774 + 2.464428) / 3, abs=5e-7
    )


def test_one_component_on_residuals_finds_their_variance() -> None:
    residuals = tensor([1.0], [-1.0], [2.0], [-2.0])
    log_std = tensor(0.0).requires_grad_()
    found = minimise(lambda: nll(mixture_of(tensor(0.0), tensor(0.0), log_std), residuals), (log_std,))
    assert (2 * log_std).exp().item() == pytest.approx(2.5, abs=1e-8)
    assert found == pytest.approx(0.5 * math.log(TAU * 2.5) + 0.5, abs=1e-10)
    assert found == pytest.approx(1.877084, abs=5e-7)


def test_identical_components_keep_identical_gradients() -> None:
    logits, loc = tensor(0.0, 0.0, 0.0).requires_grad_(), tensor(0.5, 0.5, 0.5).requires_grad_()
    log_std = tensor(0.0, 0.0, 0.0).requires_grad_()
    for grad in torch.autograd.grad(nll(mixture_of(logits, loc, log_std), bimodal(50)), (logits, loc, log_std)):
        torch.testing.assert_close(grad, grad[:1].expand(3), atol=1e-15, rtol=0)


@pytest.mark.parametrize("floor", [0.0, 0.01])
def test_a_duplicated_point_is_bounded_by_the_floor_and_diverges_without_it(floor: float) -> None:
    y = torch.cat((bimodal(20), tensor([0.7], [0.7])))
    logits, loc = torch.zeros(5, dtype=torch.float64), tensor(-2.0, -1.0, 0.7, 1.0, 2.0)
    losses = []
    for log_width in (-2.0, -8.0, -32.0, -128.0):  # the component on the duplicate collapses
        raw = tensor(0.0, 0.0, log_width, 0.0, 0.0)
        scale = (raw.exp() + floor).unsqueeze(-1)
        losses.append(nll(GaussianMixture(logits, loc.unsqueeze(-1), scale=scale), y).item())
    bound = math.log(floor * math.sqrt(TAU)) if floor else -math.inf
    assert all(loss >= bound for loss in losses)
    if floor:
        assert losses[-1] == pytest.approx(losses[-2], abs=1e-9)
    else:
        assert losses[-2] - losses[-1] == pytest.approx(96 * 2 / 22, rel=1e-3)  # 2 of 22 points gain each nat


def test_the_floor_leaves_the_density_normalised() -> None:
    scale = torch.full((5, 1), -40.0, dtype=torch.float64).exp() + 0.01
    loc = torch.linspace(-1, 1, 5, dtype=torch.float64).unsqueeze(-1)
    points = torch.linspace(-1.5, 1.5, 30_001, dtype=torch.float64).unsqueeze(-1)
    density = GaussianMixture(torch.zeros(5, dtype=torch.float64), loc, scale=scale).log_prob(points).exp()
    assert torch.trapezoid(density, dx=1e-4).item() == pytest.approx(1.0, abs=1e-6)


def test_likelihood_finds_both_answers_where_squared_error_finds_the_trough_between_them() -> None:
    truth = mixture_of(tensor(0.0, 0.0), tensor(-2.0, 2.0), tensor(0.5, 0.5).log())
    assert truth.log_prob(tensor(0.0)).exp().item() == pytest.approx(2.677e-4, rel=2e-4)
    assert truth.log_prob(tensor(2.0)).exp().item() == pytest.approx(0.398942, abs=5e-7)

    y = bimodal(4000)
    prediction = tensor(1.0).requires_grad_()
    minimise(lambda: mse(prediction.expand_as(y), y), (prediction,))
    assert prediction.item() == pytest.approx(y.mean().item(), abs=1e-8)
    assert abs(prediction.item()) < 0.1  # standard error of the mean 0.033

    logits, loc, log_std = tensor(0.0, 0.0), tensor(-0.3, 0.5), tensor(0.0, 0.0)
    parameters = (logits.requires_grad_(), loc.requires_grad_(), log_std.requires_grad_())
    minimise(lambda: nll(mixture_of(logits, loc, log_std), y), parameters)
    held_out = bimodal(20_000, seed=1)
    fitted, best = nll(mixture_of(logits, loc, log_std), held_out).item(), nll(truth, held_out).item()
    assert fitted == pytest.approx(best, rel=0.02)


# --- entropy and order ------------------------------------------------------------------------------------------


def test_entropy_bonus_is_minus_lambda_entropy_and_matches_the_printed_gradient() -> None:
    logits, loc, log_std = leaves()
    bonus = entropy_bonus(mixture_of(logits, loc, log_std), 2.0)
    (grad,) = torch.autograd.grad(bonus, logits)
    assert bonus.item() == pytest.approx(-2 * 1.029653, abs=1e-6)
    torch.testing.assert_close(-grad / 2, tensor(-0.168253, 0.052296, 0.115957), atol=5e-7, rtol=0)


def test_minimising_the_entropy_bonus_spreads_the_weights() -> None:
    logits, loc, log_std = leaves()
    minimise(lambda: entropy_bonus(mixture_of(logits, loc, log_std), 0.1), (logits,))
    assert mixture_of(logits, loc, log_std).effective_components.item() == pytest.approx(3.0, abs=1e-4)


def test_ordering_penalty_is_off_by_default_and_a_hinge_on_neighbours() -> None:
    _, loc, log_std = leaves()
    mixture = mixture_of(tensor(0.0, 0.0, 0.0), loc, log_std)  # means 1, 3, -2
    assert ordering_penalty(mixture).item() == 0.0
    penalty = ordering_penalty(mixture, 0.5)
    assert penalty.item() == pytest.approx(0.5 * 5.0)
    (grad,) = torch.autograd.grad(penalty, loc)
    assert grad.tolist() == [0.0, 0.5, -0.5]
    assert ordering_penalty(mixture, 1.0, margin=3.0).item() == pytest.approx(1.0 + 8.0)
    assert ordering_penalty(mixture.reordered(), 1.0).item() == 0.0


# --- squared error ----------------------------------------------------------------------------------------------


def test_mse_is_the_plain_one_without_a_period() -> None:
    a, b = tensor([1.0, 2.0], [3.0, 4.0]), tensor([0.0, 2.5], [3.0, 2.0])
    assert mse(a, b).item() == pytest.approx((1 + 0.25 + 0 + 4) / 4)


def test_circular_mse_ignores_whole_turns_and_is_plain_for_small_errors() -> None:
    y = tensor([3.1, 5.0], [-3.1, -5.0])
    prediction = y + tensor([1e-3, 0.2], [-1e-3, 0.2])
    turned = prediction + tensor([TAU, 0.0], [-2 * TAU, 0.0])
    period = [TAU, math.inf]
    assert mse(turned, y, period).item() == pytest.approx(mse(prediction, y).item(), rel=1e-6)
    opposite = mse(tensor([math.pi, 0.0]), tensor([0.0, 0.0]), period).item()
    assert opposite == pytest.approx(4 / 2)  # the chord of half a turn is 2 radii


def test_circular_mse_is_the_distance_of_sine_and_cosine_and_finds_the_mean_direction() -> None:
    y = tensor([3.0], [-3.0], [2.5], [-2.0])
    prediction = tensor(2.0).requires_grad_()
    distance = ((prediction.cos() - y.cos()) ** 2 + (prediction.sin() - y.sin()) ** 2).mean()
    assert mse(prediction.expand_as(y), y, [TAU]).item() == pytest.approx(distance.item(), abs=1e-12)
    minimise(lambda: mse(prediction.expand_as(y), y, [TAU]), (prediction,))
    direction = torch.atan2(y.sin().mean(), y.cos().mean())
    assert math.cos(prediction.item() - direction.item()) == pytest.approx(1.0, abs=1e-10)


# --- scores -----------------------------------------------------------------------------------------------------


def test_crps_matches_the_printed_digits_and_its_integral() -> None:
    mixture = mixture_of(*leaves())
    score = crps(mixture, tensor(1.0)).item()
    assert score == pytest.approx(0.335382, abs=5e-7)
    x = torch.linspace(-16, 16, 320_001, dtype=torch.float64).unsqueeze(-1)
    step = (x >= 1.0).double().squeeze(-1)
    integral = torch.trapezoid((mixture.cdf(x) - step).square(), dx=1e-4).item()
    assert score == pytest.approx(integral, abs=5e-5)  # half a grid step at the jump


def test_crps_of_a_narrow_component_is_the_absolute_error() -> None:
    mixture = mixture_of(tensor(0.0), tensor(1.0), tensor(-20.0))
    assert crps(mixture, tensor([4.0], [-1.0])).tolist() == pytest.approx([3.0, 2.0], abs=1e-8)


def test_energy_score_estimates_crps_in_one_dimension_without_bias() -> None:
    mixture = mixture_of(*leaves())
    draws = mixture.sample((4, 20_000), torch.Generator().manual_seed(0)).detach()
    score = energy_score(draws, tensor(1.0).expand(20_000, 1))
    error = score.std().item() / math.sqrt(20_000)
    assert score.mean().item() == pytest.approx(crps(mixture, tensor(1.0)).item(), abs=4 * error)


def test_energy_score_prefers_the_truth_and_closes_the_circle() -> None:
    g = torch.Generator().manual_seed(0)
    period = [TAU, math.inf]
    loc = tensor([math.pi, 0.0])
    truth = GaussianMixture(tensor(0.0), loc, scale=tensor([0.2, 0.2]), period=period)
    y = truth.sample((300,), g)
    scores = {
        shift: energy_score(
            GaussianMixture(tensor(0.0), loc + tensor(shift, 0.0), scale=tensor([0.2, 0.2]), period=period)
            .sample((200, 1), g)
            .expand(200, 300, 2),
            y,
            period,
        ).mean()
        for shift in (0.0, 0.3, TAU)
    }
    assert scores[0.0] < scores[0.3]
    assert scores[TAU].item() == pytest.approx(scores[0.0].item(), abs=0.02)


# --- refusals ---------------------------------------------------------------------------------------------------


def test_unfit_arguments_are_refused() -> None:
    mixture = mixture_of(*leaves())
    plane = GaussianMixture(tensor(0.0), tensor([0.0, 0.0]), scale=tensor([1.0, 1.0]))
    circle = mixture_of(*leaves(), period=[TAU])
    with pytest.raises(ShapeError, match="already carries its minus sign"):
        entropy_bonus(mixture, -1.0)
    with pytest.raises(ShapeError, match="give λ >= 0"):
        ordering_penalty(mixture, -1.0)
    with pytest.raises(ShapeError, match="coordinates 0 to 0"):
        ordering_penalty(mixture, 1.0, dim=1)
    with pytest.raises(ShapeError, match="differ in shape"):
        mse(tensor([0.0]), tensor(0.0))
    for other in (plane, circle):
        with pytest.raises(ShapeError, match="closed form for D = 1 on the line"):
            crps(other, tensor(0.0))
    for draws in (tensor([0.0]), torch.zeros(5, 3, 1)):
        with pytest.raises(ShapeError, match="S >= 2"):
            energy_score(draws, tensor(0.0))
