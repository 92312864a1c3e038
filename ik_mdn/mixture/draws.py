"""Random choice of mixture components."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_components(weights: Tensor, n_draws: int, generator: torch.Generator | None = None) -> Tensor:
    """Which component every draw comes from, by inversion of the cumulated weights, (batch x n_draws,).

    In double precision, and divided by its own end: the last component with any weight ends at exactly 1, above every
    uniform number, and a component without weight occupies no interval.

    Args:
        weights: (*batch, K), each row summing to 1.
        n_draws: Draws per element of the batch.
        generator: Source of randomness on the device of the weights; None is torch's own.

    Returns:
        Indices into the components of the flattened batch, the draws of one element side by side.
    """
    n_components = weights.shape[-1]
    cumulated = weights.detach().double().reshape(-1, n_components).cumsum(-1)
    cumulated = cumulated / cumulated[:, -1:]
    n_rows, device = cumulated.shape[0], cumulated.device
    uniform = torch.rand(n_rows, n_draws, dtype=torch.float64, device=device, generator=generator)
    chosen = torch.searchsorted(cumulated, uniform, right=True)
    return (chosen + torch.arange(n_rows, device=device).unsqueeze(-1) * n_components).flatten()
