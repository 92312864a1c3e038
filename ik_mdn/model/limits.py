"""A mixture within the limits of the joints."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from sim.arm import Arm

_ROUNDS = 12  # of drawing again what lies outside; what still does then stays
_LEAST_KNOWN = 0.01  # of a density, where joints are said to be
_LEAST = 1e-6  # of its weight that a component keeps, so that a pose whose components all lie outside has a density


def draw_uniform(arm: Arm, count: int, generator: torch.Generator) -> Tensor:
    """Joint vectors uniform in the range to sample from (`Arm.sample_min`), (count, n), float64, on the generator's device."""
    device = generator.device
    low, high = (torch.tensor(end, device=device) for end in (arm.sample_min, arm.sample_max))
    return low + (high - low) * torch.rand(count, arm.n_joints, dtype=torch.float64, generator=generator, device=device)


def within_limits(mixture: GaussianMixture, arm: Arm) -> GaussianMixture:
    """The mixture with every component weighted by the share of it that lies in limits.

    The first and the last joint only shift with the pose's azimuth and roll, which were divided out of it, so the network
    cannot know their limits: for q uniform in limits the density is what it says for joints without any, cut at the
    limits. Components that lie on a limit keep their shape; joints are taken one by one.

    Args:
        mixture: Batch shape (B,), event shape (n,), over whole joint vectors.
        arm: Whose limits.
    """
    share = share_in_limits(mixture, arm)
    return GaussianMixture(
        logits=mixture.log_weights + share.clamp_min(_LEAST).log(),
        loc=mixture.loc,
        precision_tril=mixture.precision_tril,
        period=mixture.period,
        validate_args=False,
    )


def share_in_limits(mixture: GaussianMixture, arm: Arm, joints: Collection[int] | None = None) -> Tensor:
    """How much of each component lies in the limits of some joints (None: of all), taken one by one, (B, K)."""
    std = mixture.scale.expand_as(mixture.loc)
    share = torch.ones_like(mixture.logits)
    for j in bounded(arm):
        if joints is not None and j not in joints:
            continue
        low, high, period = (float(each[j]) for each in (arm.q_min, arm.q_max, arm.period))
        share = share * mass_between(mixture.loc[..., j], std[..., j], low, high, period)
    return share


def mass_in_limits(mixture: GaussianMixture, arm: Arm, joints: Collection[int] | None = None) -> Tensor:
    """How much of the whole mixture lies in the limits of some joints (None: of all), (B,)."""
    return (mixture.weights * share_in_limits(mixture, arm, joints)).sum(-1)


def condition_on_limits(mixture: GaussianMixture, arm: Arm, joints: Collection[int]) -> Tensor:
    """What conditioning on some joints' being in limits divides the mixture by: its mass there, at least a hundredth, (B,).

    Of a mixture that has less there the condition leaves little: it says that these joints cannot be in limits.
    """
    return mass_in_limits(mixture, arm, joints).clamp_min(_LEAST_KNOWN)


def bounded(arm: Arm) -> list[int]:
    """The joints that cannot be everywhere: those that slide between limits or turn through less than a turn."""
    return [j for j in range(arm.n_joints) if arm.q_max[j] - arm.q_min[j] < arm.period[j]]


def inside(q: Tensor, arm: Arm) -> Tensor:
    """Whether joint vectors (..., n) lie in limits, at some number of whole turns, (...)."""
    ok = torch.ones(q.shape[:-1], dtype=torch.bool, device=q.device)
    for j in bounded(arm):
        above = q[..., j] - float(arm.q_min[j])
        if math.isfinite(arm.period[j]):
            above = torch.remainder(above, float(arm.period[j]))
        ok &= (above >= 0) & (above <= float(arm.q_max[j] - arm.q_min[j]))
    return ok


def draw_inside(draw: Callable[[Tensor, bool], Tensor], rows: Tensor, arm: Arm) -> Tensor:
    """Draws in limits: those outside are drawn again, a dozen times.

    Args:
        draw: From rows (R,), and whether it is the last time, to draws (S, R, n).
        rows: All of them, 0, 1, 2 …, (B,).
        arm: Whose limits.

    Returns:
        (S, B, n).
    """
    q = draw(rows, False)
    for left in reversed(range(_ROUNDS)):
        wrong = ~inside(q, arm)
        rows = wrong.any(0).nonzero()[:, 0]
        if not len(rows):
            break
        q[:, rows] = torch.where(wrong[:, rows, None], draw(rows, left == 0), q[:, rows])
    return q


def mass_between(mean: Tensor, std: Tensor, low: float, high: float, period: float) -> Tensor:
    """Probability of [low, high] under Gaussians, or under wrapped ones where the period is finite; shaped like the means.

    Wrapped narrow ones are summed over their images, wide ones over their Fourier series (Mardia & Jupp, Directional
    Statistics, 2000, 3.5.7); at a fifth of a turn both are right to 1e-6.
    """
    if not math.isfinite(period):
        return _between(mean, std, low, high)
    away, rate = mean - (low + high) / 2, 2 * math.pi / period
    near = mean - period * torch.round(away / period)
    narrow = torch.stack([_between(near + turn * period, std, low, high) for turn in (-1, 0, 1)]).sum(0)
    wide = torch.full_like(narrow, (high - low) / period)
    for m in (1, 2, 3):
        height = 2 / (math.pi * m) * math.sin(m * rate * (high - low) / 2)
        wide = wide + height * torch.exp(-0.5 * (m * rate * std) ** 2) * torch.cos(m * rate * away)
    mass: Tensor = torch.where(std > period / 5, wide, narrow).clamp(0.0, 1.0)
    return mass


def _between(mean: Tensor, std: Tensor, low: float, high: float) -> Tensor:
    share: Tensor = torch.special.ndtr((high - mean) / std) - torch.special.ndtr((low - mean) / std)
    return share
