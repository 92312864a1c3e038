"""Values of one joint that stand for equal shares of its density."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from ik_mdn.model.limits import kept
from sim.arm import Arm

COARSE = 128  # bins in which a density is looked up
FINE = 512  # bins of equal shares of the density, as it is seen through coarse ones, where it is sharp


def equal_shares(
    density: GaussianMixture, one: Arm, count: int, *, sharp: bool, wound: Collection[int] = ()
) -> tuple[Tensor, Tensor]:
    """Values in limits, each in the middle of an equal share of a density, and how far such a share reaches there.

    A component narrower than a coarse bin lies between two places where the density is looked up, or is counted twice. So
    `sharp` ones are looked up a second time, in bins that are narrow where the density is high: those of equal shares
    of what is seen of it when no component is narrower than a coarse bin.

    Args:
        density: Over one joint, batch shape (B,).
        one: The joint, for its limits.
        count: How many values.
        sharp: Whether the density is looked up twice.
        wound: See `ik_mdn.model.limits`.

    Returns:
        Values (B, count), ascending, and lengths (B, count) [rad, m].
    """
    low, high, period = (float(each[0]) for each in (one.sample_min, one.sample_max, one.period))
    high, batch, device = min(high, low + period), len(density.logits), density.logits.device

    def look_up(edges: Tensor, blur: float) -> Tensor:
        """The share of each bin by the density in its middle, (B, bins)."""
        middles, widths = ((edges[:, :-1] + edges[:, 1:]) / 2).float(), edges.diff(dim=-1)
        away = middles[..., None] - density.loc[:, None, :, 0].float()
        if period < float("inf"):
            away = away - period * torch.round(away / period)
        scale = (density.scale[:, None, :, 0].square() + blur**2).sqrt().float()
        log_p = (density.log_weights[:, None].float() - scale.log() - 0.5 * (away / scale).square()).logsumexp(-1)
        log_p = log_p.double() + kept(middles.double()[..., None], one, wound).log() + widths.log()
        return torch.softmax(log_p, dim=-1)

    edges = torch.linspace(low, high, COARSE + 1, dtype=torch.float64, device=device).expand(batch, -1)
    if sharp:
        seen = look_up(edges, blur=(high - low) / COARSE)
        inner = _place(edges, seen, torch.arange(1, FINE, dtype=torch.float64, device=device) / FINE)[0]
        edges = torch.cat([edges[:, :1], inner, edges[:, -1:]], dim=-1)
    at = (torch.arange(count, dtype=torch.float64, device=device) + 0.5) / count
    values, density_there = _place(edges, look_up(edges, blur=0.0), at)
    return values, 1 / (density_there * count)


def _place(edges: Tensor, share: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Where a distribution that is even within its bins has shares `at` (S,) below, (B, S), and its density there."""
    below = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(-1)], dim=-1).contiguous()
    bins = torch.searchsorted(below, at.expand(len(share), -1).contiguous()).clamp(1, share.shape[1]) - 1
    mass, begin = share.gather(1, bins).clamp_min(1e-12), edges.gather(1, bins)
    width = edges.gather(1, bins + 1) - begin
    inside = ((at - below.gather(1, bins)) / mass).clamp(0, 1)
    return begin + inside * width, mass / width.clamp_min(1e-12)
