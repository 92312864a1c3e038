"""The compiled likelihood against the one that autograd differentiates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ik_mdn.mixture import nll
from ik_mdn.mixture.losses import GaussianMixture
from ik_mdn.model import MixtureHead, MixtureShape
from ik_mdn.training.likelihood import Answers, compiled_nll

TAU = 2 * math.pi
PERIOD = torch.tensor([TAU, math.inf, TAU, TAU / 2])
TURNING = ((), (2,), (0, 2, 3))  # coordinates whose means are said by a cosine and a sine


def _head(covariance: str, turning: tuple[int, ...] = (), seed: int = 0) -> tuple[MixtureHead, Tensor]:
    """A head of five components in four dimensions, all narrow against a turn, and hidden states for it."""
    torch.manual_seed(seed)
    head = MixtureHead(7, MixtureShape(5, 4, covariance, turning), PERIOD)  # type: ignore[arg-type]
    head.start_from(torch.rand(5, 4) * 4 - 2, scale=0.1)
    with torch.no_grad():
        head.out.weight.mul_(2)
    return head, torch.randn(200, 7)


def head_and_targets(covariance: str, turning: tuple[int, ...] = ()) -> tuple[MixtureHead, Tensor, Tensor]:
    """A head, hidden states, and targets near its components at any number of turns."""
    head, hidden = _head(covariance, turning)
    y = head(hidden, floor=0.15).sample().float() + 0.3 * torch.randn(200, 4)
    return head, hidden, y + TAU * torch.randint(-1, 2, (200, 1)) * PERIOD.isfinite()


@pytest.mark.parametrize("turning", TURNING)
@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_value_and_gradient_are_those_of_autograd(covariance: str, turning: tuple[int, ...]) -> None:
    head, hidden, y = head_and_targets(covariance, turning)
    results = []
    for compiled in (True, False):
        head.zero_grad()
        loss = (
            compiled_nll(head, head.numbers(hidden), y, 0.15)
            if compiled
            else nll(head(hidden, floor=0.15), y, blur=0.15)
        )
        loss.backward()  # type: ignore[no-untyped-call]
        results.append((loss.detach(), head.out.weight.grad.clone()))  # type: ignore[union-attr]
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-4 * float(results[1][1].abs().max()))


def test_directions_of_any_length_and_quadrant_are_their_angles() -> None:
    """One narrow component: the loss is least, and flat, where its mean is the target's angle, and tells the distance."""
    head = MixtureHead(1, MixtureShape(1, 1, "diagonal", (0,)), torch.tensor([TAU]))
    length = torch.logspace(-15, 15, 61)
    angle = torch.cat([torch.linspace(-math.pi, math.pi, 1001), torch.pi / 4 * torch.arange(-4, 5)])
    length, angle = (each.flatten() for each in torch.meshgrid(length, angle, indexing="ij"))
    numbers = torch.stack([0 * angle, length * angle.cos(), length * angle.sin(), 0 * angle - 3], dim=-1)[:, None]
    width, floor = math.exp(-3), 0.01
    for i in range(0, len(angle), 7):
        away = 0.1 * math.sin(i)
        loss = compiled_nll(head, numbers[[i]], angle[[i], None] + away, floor)
        sigma = floor + width
        expected = math.log(sigma) + 0.5 * (away**2 + floor**2) / sigma**2 + 0.5 * math.log(TAU)
        assert float(loss) == pytest.approx(expected, abs=2e-5), (length[i], angle[i])


def test_a_direction_without_length_has_no_gradient_and_one_that_is_no_number_has_one_that_is_none() -> None:
    head = MixtureHead(1, MixtureShape(1, 1, "diagonal", (0,)), torch.tensor([TAU]))
    for cosine, sine, expected in ((0.0, 0.0, 0.0), (math.nan, 1.0, math.nan), (1.0, math.nan, math.nan)):
        numbers = torch.tensor([[[0.0, cosine, sine, 0.0]]], requires_grad=True)
        compiled_nll(head, numbers, torch.tensor([[1.0]]), 0.01).backward()  # type: ignore[no-untyped-call]
        assert numbers.grad is not None
        found = numbers.grad[0, 0, 1:3]
        assert bool((found == expected).all()) if expected == 0 else bool(found.isnan().any()), (cosine, sine)


def test_several_answers_of_one_input_count_by_their_shares() -> None:
    head, hidden, y = head_and_targets("full")
    hidden = hidden[:60]
    count = torch.randint(1, 5, (60,), generator=torch.Generator().manual_seed(3))
    ends = torch.cat([torch.zeros(1, dtype=torch.long), count.cumsum(0)])
    y, share = y[: ends[-1]], torch.rand(int(ends[-1]))
    owner = torch.repeat_interleave(torch.arange(60), count)
    share = share / torch.zeros(60).index_add_(0, owner, share)[owner]
    results = []
    for together in (True, False):
        head.zero_grad()
        if together:
            loss = compiled_nll(head, head.numbers(hidden), y, 0.15, Answers(ends, share))
        else:
            each = [head(hidden[i][None], floor=0.15) for i in owner.tolist()]
            losses = [nll(mixture, y[[m]], blur=0.15) for m, mixture in enumerate(each)]
            loss = (share * torch.stack(losses)).sum() / 60
        loss.backward()  # type: ignore[no-untyped-call]
        results.append((loss.detach(), head.out.weight.grad.clone()))  # type: ignore[union-attr]
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-4 * float(results[1][1].abs().max()))


def test_no_gradient_is_denormal() -> None:
    """Arithmetic with numbers below float32's normal range takes many times as long, the products behind as well."""
    head, hidden = _head("full")
    hidden = hidden.repeat(20, 1)  # a batch as large as those of training
    head.start_from(torch.rand(5, 4) * 4 - 2, scale=0.02)
    numbers = head.numbers(hidden).detach().requires_grad_()
    y = head(hidden, floor=0.01).sample().float()
    compiled_nll(head, numbers, y, 0.01).backward()  # type: ignore[no-untyped-call]
    assert numbers.grad is not None
    size = numbers.grad.abs()
    assert ((size == 0) | (size >= torch.finfo(torch.float32).tiny)).all()
    assert 0.2 < float((size == 0).float().mean()) < 0.9  # components far from the target are left alone


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    head, hidden = _head("full")
    y, before = torch.rand(200, 4), torch.get_num_threads()
    losses = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            losses.append(compiled_nll(head, head.numbers(hidden), y, 0.1))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(losses[0], loss) for loss in losses[1:])


def test_the_best_covariance_under_a_blur_is_that_of_the_blurred_targets() -> None:
    """On targets along a line, no direction becomes narrower than the blur: not the principal ones either."""
    along = torch.linspace(-1, 1, 400, dtype=torch.float64)[:, None]
    y = along * torch.tensor([1.0, 2.0], dtype=torch.float64)
    expected = y.T @ y / 400 + 0.05**2 * torch.eye(2, dtype=torch.float64)
    free = torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        rows = [torch.stack([free[0].exp(), free[0] * 0]), torch.stack([free[2], free[1].exp()])]
        mixture = GaussianMixture(torch.zeros(1), torch.zeros(1, 2).double(), scale_tril=torch.stack(rows)[None])
        return nll(mixture, y, blur=0.05)

    optimiser = torch.optim.LBFGS([free], max_iter=200, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    a, b, c = free[0].exp(), free[1].exp(), free[2]
    found = torch.stack([torch.stack([a * a, a * c]), torch.stack([a * c, b * b + c * c])])
    torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-5)
    assert float(torch.linalg.eigvalsh(found.detach())[0].sqrt()) == pytest.approx(0.05, rel=1e-2)
