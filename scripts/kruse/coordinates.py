"""Coordinates in which the mixture lives; each is an exact change of variables of x for given y.

The finer the coordinates, the more of the arm's known kinematics they divide out, and the less is left to learn:

- `raw`: x itself; nothing is known.
- `rail`: sliding along the rail only shifts x₁, so x₁ becomes the vertical miss of the tip.
- `tip`: both misses of the tip are coordinates, and two more say where on the sheet of solutions x lies.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kruse.problem import LENGTHS, arm_rise
from sim.errors import ShapeError

Coordinates = Literal["raw", "rail", "tip"]

_MISS_SCALE = 50.0  # makes a miss, σ = 0.01 m wide, as wide as the angles
_LINEAR_FROM = 0.9 * math.pi  # absolute angle where u = 2 √l sin(a/2) goes on as its tangent, to stay one to one
_SOFT = 0.01  # width of the end of the radius at 0 [m]


def check_coordinates(name: str) -> None:
    """Nothing; an unknown name raises.

    Raises:
        ShapeError: It is none of the three.
    """
    if name not in ("raw", "rail", "tip"):
        raise ShapeError(f"unknown coordinates {name!r}; allowed: raw, rail, tip")


def period_of(name: Coordinates) -> Tensor:
    """Periods of the four coordinates, inf where one is not circular, (4,)."""
    return torch.tensor([math.inf, math.inf, math.inf, 2 * math.pi if name == "tip" else math.inf])


def to_mixture(name: Coordinates, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates z (..., 4) of x (..., 4) for y (..., 2), and log |det dz/dx|, (...).

    `rail`: z₁ = 50 (x₁ + Σ lᵢ sin aᵢ - y₂); the rest stays. The determinant is 50.

    `tip`: with uᵢ = 2 √lᵢ sin(aᵢ/2) the horizontal reach is Σ lᵢ cos aᵢ = 2 - |u|²/2, so the arms that reach equally far
    are a sphere. z₂ = 50 (h(|u|²/2) - (2 - y₁)) is the horizontal miss (h(v) = v but for the last centimetre of the
    reach, where it goes to -∞); z₃ = artanh of the height on the sphere and z₄ the longitude say where on it. The poles
    lie where the prior is thinnest. |det du/da| = Π √lᵢ cos(aᵢ/2), and du = |u| d(|u|²/2) dheight dlongitude.
    """
    if name == "raw":
        return x, torch.zeros_like(x[..., 0])
    miss = _MISS_SCALE * (x[..., 0] + arm_rise(x[..., 1:]) - y[..., 1])
    log_scale = torch.full_like(miss, math.log(_MISS_SCALE))
    if name == "rail":
        return torch.cat([miss.unsqueeze(-1), x[..., 1:]], dim=-1), log_scale
    u, log_slope = _straighten(x[..., 1:].cumsum(-1))
    v = u @ _axes().to(u)
    half = (0.5 * v.square().sum(-1)).clamp_min(torch.finfo(v.dtype).tiny)
    height = v[..., 2] / (2 * half).sqrt()
    soft = half + _SOFT * torch.log(-torch.expm1(-half / _SOFT))  # δ log(exp(v/δ) - 1)
    z = [miss, _MISS_SCALE * (soft - (2 - y[..., 0])), torch.atanh(height), torch.atan2(v[..., 1], v[..., 0])]
    log_soft = -torch.log(-torch.expm1(-half / _SOFT))
    log_sphere = -0.5 * torch.log(2 * half) - torch.log1p(-height.square())
    return torch.stack(z, dim=-1), 2 * log_scale + log_slope + log_soft + log_sphere


def from_mixture(name: Coordinates, z: Tensor, y: Tensor) -> Tensor:
    """x (..., 4) for coordinates of the mixture (..., 4) and y (..., 2)."""
    if name == "raw":
        return z
    if name == "rail":
        base = z[..., 0] / _MISS_SCALE + y[..., 1] - arm_rise(z[..., 1:])
        return torch.stack([base, *z[..., 1:].unbind(-1)]).movedim(0, -1)  # dim=-1 would write slowly
    half = _SOFT * torch.nn.functional.softplus((z[..., 1] / _MISS_SCALE + 2 - y[..., 0]) / _SOFT)
    radius, height = (2 * half).sqrt(), torch.tanh(z[..., 2])
    flat = radius * (1 - height.square()).clamp_min(0).sqrt()
    sphere = (flat * torch.cos(z[..., 3]), flat * torch.sin(z[..., 3]), radius * height)
    first, second, third = (
        _bend(row[0] * sphere[0] + row[1] * sphere[1] + row[2] * sphere[2], length)
        for row, length in zip(_axes().tolist(), LENGTHS, strict=True)
    )
    l1, l2, l3 = LENGTHS
    rise = l1 * torch.sin(first) + l2 * torch.sin(second) + l3 * torch.sin(third)
    base = z[..., 0] / _MISS_SCALE + y[..., 1] - rise
    return torch.stack([base, first, second - first, third - second]).movedim(0, -1)  # dim=-1 would write slowly


@cache
def _axes() -> Tensor:
    """Orthonormal axes of the sphere as columns (3, 3): from the softest direction of the prior to the stiffest."""
    steps = np.eye(3) - np.eye(3, k=-1)  # relative angles from absolute ones
    root = steps @ np.diag(1 / np.sqrt(LENGTHS))  # relative angles from u, near 0
    return torch.from_numpy(np.linalg.eigh(root.T @ root)[1])


def _straighten(a: Tensor) -> tuple[Tensor, Tensor]:
    """u (..., 3) for absolute angles a (..., 3), and Σ log du/da, (...)."""
    root = torch.tensor(LENGTHS, dtype=a.dtype).sqrt()
    inner = a.clamp(-_LINEAR_FROM, _LINEAR_FROM)
    slope = root * torch.cos(inner / 2)
    return 2 * root * torch.sin(inner / 2) + slope * (a - inner), slope.log().sum(-1)


def _bend(u: Tensor, length: float) -> Tensor:
    """The absolute angle for one of the u, the inverse of `_straighten`."""
    root, end = math.sqrt(length), math.sin(_LINEAR_FROM / 2)
    scaled = u / (2 * root)
    inner = scaled.clamp(-end, end)
    return 2 * torch.asin(inner) + (scaled - inner) * (2 / math.cos(_LINEAR_FROM / 2))
