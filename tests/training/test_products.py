"""Gradients by products in bfloat16 against those in single precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ik_mdn.training.products import coarse_gradients

needs_halves = pytest.mark.skipif(
    not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()),
    reason="this processor has no products in bfloat16",
)


def _gradients(x: torch.Tensor, *, coarse: bool) -> tuple[torch.Tensor, ...]:
    """Of a result, its input and every weight of a small network."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(40, 48), nn.SiLU(), nn.Linear(48, 30))
    x = x.clone().requires_grad_()
    with coarse_gradients(torch.device("cpu" if coarse else "meta")):
        y = network(x)
    (y * torch.linspace(-1, 1, 30)).square().sum().backward()  # type: ignore[no-untyped-call]
    found = (x.grad, *(p.grad for p in network.parameters()))
    assert all(g is not None for g in found)
    return y.detach(), *found  # type: ignore[return-value]


@needs_halves
def test_results_stay_and_gradients_are_near() -> None:
    torch.manual_seed(1)
    x = torch.randn(300, 40)
    (result, *coarse), (expected, *exact) = _gradients(x, coarse=True), _gradients(x, coarse=False)
    assert torch.equal(result, expected)
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(coarse, exact, strict=True)]
    assert max(errors) < 1e-2
    assert min(errors[:2]) > 1e-4, "nothing was taken in bfloat16"


def test_what_is_not_rows_of_single_precision_is_left_alone() -> None:
    layer, deep = nn.Linear(4, 3), torch.randn(2, 5, 4)
    double = nn.Linear(4, 3).double()
    with coarse_gradients(torch.device("cpu")):
        assert layer(deep).shape == (2, 5, 3)
        assert double(deep.double()).dtype == torch.float64
        assert nn.functional.linear(deep[0], layer.weight).shape == (5, 3)
