"""Moments on the circle against draws and limits; entropy and mode as distributions have them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ik_mdn.mixture.circular import wrapped_square
from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.mixture.modes import find_modes

TAU = 2 * math.pi


def tensor(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 1.0, 1.57, 1.58, 2.0, 3.0, 50.0])
@pytest.mark.parametrize("loc", [0.0, 1.0, 3.1, -2.0 + TAU])
def test_the_square_of_a_wrapped_normal_is_that_of_its_draws(sigma: float, loc: float) -> None:
    draws = torch.remainder(
        loc + sigma * torch.randn(100_000, generator=generator(), dtype=torch.float64) + math.pi, TAU
    )
    squares = (draws - math.pi).square()
    error = squares.std().item() / math.sqrt(len(squares))
    exact = wrapped_square(tensor(loc), tensor(sigma**2), tensor(TAU)).item()
    assert squares.mean().item() == pytest.approx(exact, abs=4 * error)


def test_both_series_of_the_square_agree_where_they_meet_and_have_gradients() -> None:
    loc, quarter = torch.linspace(-4, 4, 33, dtype=torch.float64).unsqueeze(-1), TAU / 4
    below, above = (wrapped_square(loc, torch.full_like(loc, (quarter + e) ** 2), tensor(TAU)) for e in (-1e-10, 1e-10))
    torch.testing.assert_close(below, above, atol=1e-9, rtol=0)
    variance = tensor(1e-4, 1.0, 4.0, 2500.0).unsqueeze(-1).requires_grad_()
    mean = tensor(0.1, 1.0, -2.0, 3.0).unsqueeze(-1).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: wrapped_square(m, v, tensor(TAU)), (mean, variance))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.8, 50.0])
def test_circular_variance_is_that_of_the_draws_about_the_mean_direction(sigma: float) -> None:
    scale = tensor([sigma, 0.4], [0.2, 0.3])
    mixture = GaussianMixture(
        tensor(0.7, 0.3).log(), tensor([3.0, 1.0], [-2.0, 4.0]), scale=scale, period=[TAU, math.inf]
    )
    deviation = mixture.sample((200_000,), generator()) - mixture.mean
    deviation[:, 0] = torch.remainder(deviation[:, 0] + math.pi, TAU) - math.pi
    squares = deviation.square()
    bound = 4 * squares.std(0) / math.sqrt(len(squares))
    assert ((squares.mean(0) - mixture.variance).abs() < bound).all()
    torch.testing.assert_close(mixture.covariance_matrix.diagonal(), mixture.variance, atol=1e-12, rtol=0)
    assert (torch.linalg.eigvalsh(mixture.covariance_matrix) > 0).all()
    assert (mixture.variance_between >= 0).all()


def test_a_wide_component_has_the_variance_of_the_uniform_circle() -> None:
    mixture = GaussianMixture(tensor(0.0, 0.0), tensor([1.0], [-2.0]), scale=tensor([50.0], [9.0]), period=[TAU])
    for value, want in (
        (mixture.variance, math.pi**2 / 3),
        (mixture.variance_within, math.pi**2 / 3),
        (mixture.variance_between, 0.0),
    ):
        torch.testing.assert_close(value, tensor(want), atol=1e-9, rtol=0)


def test_one_component_of_standard_deviation_1_8_has_the_variance_of_its_draws() -> None:
    one = GaussianMixture(tensor(0.0), tensor([0.5]), scale=tensor([1.8]), period=[TAU])
    assert one.variance.item() == pytest.approx(2.4998, abs=1e-4)  # 3.24 before it is wrapped
    assert one.variance_between.item() == pytest.approx(0.0, abs=1e-12)


def test_entropy_of_one_gaussian_and_of_the_uniform_circle_are_the_closed_forms() -> None:
    tril = tensor([[0.5, 0.0], [0.3, 0.8]])
    one = GaussianMixture(tensor(0.0), tensor([1.0, 2.0]), scale_tril=tril)
    exact = math.log(TAU * math.e) + math.log(0.5 * 0.8)
    assert one.entropy(40_000, generator()).item() == pytest.approx(exact, abs=0.02)  # standard error 0.005
    uniform = GaussianMixture(tensor(0.0), tensor([1.0]), scale=tensor([50.0]), period=[TAU])
    assert uniform.entropy(5, generator()).item() == pytest.approx(math.log(TAU), abs=1e-6)
    apart = GaussianMixture(tensor(0.0, 0.0).expand(3, 2), tensor([0.0], [100.0]), scale=tensor([1.0], [1.0]))
    both = apart.entropy(20_000, generator())
    assert both.shape == (3,)
    torch.testing.assert_close(
        both, torch.full_like(both, math.log(2) + 0.5 * math.log(TAU * math.e)), atol=0.02, rtol=0
    )


def test_the_gradient_of_the_entropy_is_whole() -> None:
    """Of two components far apart: dH/d log σₖ = πₖ, and by the logits that of H(π)."""
    logits, log_std = tensor(0.4, -0.3).requires_grad_(), tensor([0.0], [-1.0]).requires_grad_()
    mixture = GaussianMixture(logits, tensor([0.0], [100.0]), scale=log_std.exp())
    of_logits, of_scale = torch.autograd.grad(mixture.entropy(40_000, generator()), (logits, log_std))
    weights = logits.detach().softmax(0)
    torch.testing.assert_close(of_scale.squeeze(-1), weights, atol=0.02, rtol=0)
    own = 0.5 * math.log(TAU * math.e) + log_std.detach().squeeze(-1)  # entropies of the components
    per_component = own - weights.log()
    exact = weights * (per_component - (weights * per_component).sum())
    torch.testing.assert_close(of_logits, exact, atol=0.02, rtol=0)


def test_the_first_mode_is_where_crossing_components_add_up() -> None:
    """Two long thin components cross far from both means: the highest mode is there."""
    tril = tensor([[3.0, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 3.0]])
    mixture = GaussianMixture(tensor(0.0, 0.0), tensor([2.0, 0.0], [0.0, 2.0]), scale_tril=tril)
    modes = find_modes(mixture)
    axis = torch.linspace(-3, 3, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    highest = mixture.log_prob(grid).max()
    assert modes.log_prob[0] >= highest
    assert mixture.mode.norm() < 0.01
    assert torch.equal(mixture.mode, modes.loc[0])
    assert int(modes.valid.sum()) == 3
    assert modes.weight.tolist() == [0.0, 0.5, 0.5]


class _Largest(TorchDispatchMode):
    """The most numbers of any tensor that is made within it."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            self.numel = max(self.numel, each.numel() if isinstance(each, Tensor) else 0)
        return made


def test_modes_of_many_components_take_memory_by_pairs() -> None:
    K, D = 150, 3
    loc = torch.rand(K, D, generator=generator(), dtype=torch.float64) * 6 - 3
    mixture = GaussianMixture(torch.zeros(K), loc, scale=torch.full((K, D), 0.05), period=[2 * math.pi] * D)
    with _Largest() as largest:
        modes = find_modes(mixture)
    assert K // 2 < int(modes.valid.sum()) <= 2 * K
    assert largest.numel <= 2 * K**2 * D**2


def test_mode_of_a_batch_is_the_highest_of_each() -> None:
    loc = tensor([[0.0], [3.0]], [[1.0], [-2.0]])
    mixture = GaussianMixture(tensor([0.3, 0.7], [0.9, 0.1]).log(), loc, scale=tensor([0.1]).expand(2, 2, 1))
    torch.testing.assert_close(mixture.mode, tensor([3.0], [1.0]), atol=1e-6, rtol=0)


def test_the_covariance_of_one_component_has_the_gradient_of_its_variance() -> None:
    scale = tensor([0.3, 0.4]).requires_grad_()
    mixture = GaussianMixture(tensor(0.0), tensor([1.0, 2.0]), scale=scale, period=[2 * math.pi, math.inf])
    (found,) = torch.autograd.grad(mixture.covariance_matrix.diagonal().sum(), scale)
    torch.testing.assert_close(found, 2 * scale.detach(), rtol=1e-6, atol=0)
