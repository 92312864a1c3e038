"""The compiled likelihood against the one that autograd differentiates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ik_mdn.mixture import nll
from ik_mdn.mixture.losses import GaussianMixture
from ik_mdn.model import MixtureHead, MixtureParts, MixtureShape
from ik_mdn.training.likelihood import Answers, compiled_nll

TAU = 2 * math.pi
PERIOD = torch.tensor([TAU, math.inf, TAU, TAU])


def _head(covariance: str, seed: int = 0) -> tuple[MixtureHead, Tensor]:
    """A head of five components in four dimensions, all narrow against a turn, and hidden states for it."""
    torch.manual_seed(seed)
    head = MixtureHead(7, MixtureShape(5, 4, covariance), PERIOD)  # type: ignore[arg-type]
    head.start_from(torch.rand(5, 4) * 4 - 2, scale=0.1)
    with torch.no_grad():
        head.out.weight.mul_(2)
    return head, torch.randn(200, 7)


def head_and_targets(covariance: str) -> tuple[MixtureHead, Tensor, Tensor]:
    """A head, hidden states, and targets near its components at any number of turns."""
    head, hidden = _head(covariance)
    y = head(hidden, floor=0.15).sample().float() + 0.3 * torch.randn(200, 4)
    return head, hidden, y + TAU * torch.randint(-1, 2, (200, 1)) * PERIOD.isfinite()


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_value_and_gradient_are_those_of_autograd(covariance: str) -> None:
    head, hidden, y = head_and_targets(covariance)
    results = []
    for compiled in (True, False):
        head.zero_grad()
        parts = head.parts(hidden)
        if compiled:
            loss = compiled_nll(parts, y, PERIOD, 0.15)
        else:
            loss = nll(head.mixture_of(parts, floor=0.15), y, blur=0.15)
        loss.backward()  # type: ignore[no-untyped-call]
        results.append((loss.detach(), head.out.weight.grad.clone()))  # type: ignore[union-attr]
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-4 * float(results[1][1].abs().max()))


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
            loss = compiled_nll(head.parts(hidden), y, PERIOD, 0.15, Answers(ends, share))
        else:
            each = [head.mixture_of(head.parts(hidden[i][None]), floor=0.15) for i in owner.tolist()]
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
    parts = MixtureParts(*(part.detach().contiguous().requires_grad_() for part in head.parts(hidden)))
    y = head(hidden, floor=0.01).sample().float()
    compiled_nll(parts, y, PERIOD, 0.01).backward()  # type: ignore[no-untyped-call]
    size = torch.cat([part.grad.flatten() for part in parts]).abs()  # type: ignore[union-attr]
    assert ((size == 0) | (size >= torch.finfo(torch.float32).tiny)).all()
    assert 0.2 < float((size == 0).float().mean()) < 0.9  # components far from the target are left alone


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    head, hidden = _head("full")
    y, before = torch.rand(200, 4), torch.get_num_threads()
    losses = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            losses.append(compiled_nll(head.parts(hidden), y, PERIOD, 0.1))
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
