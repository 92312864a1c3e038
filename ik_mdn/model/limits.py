"""A mixture within the limits of the joints.

What lies in limits is kept, what lies outside is not. Of a joint that was divided out of the network's inputs and has room for more
than a turn, but for no whole number of them, angles with fewer windings are kept in proportion: `wound` names such joints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from sim.arm import Arm

_ROUNDS = 12  # of drawing again what lies outside; what still does then stays
_LEAST_KNOWN = 0.01  # of a density, where joints are said to be
_WHOLE = 1e-6  # [turns] room this near to a whole number of them is one
_LEAST = 1e-6  # of its weight that a component keeps, so that a pose whose components all lie outside has a density


def draw_uniform(arm: Arm, count: int, generator: torch.Generator) -> Tensor:
    """Joint vectors uniform in the range to sample from (`Arm.sample_min`), (count, n), float64, on the generator's device."""
    device = generator.device
    low, high = (torch.tensor(end, device=device) for end in (arm.sample_min, arm.sample_max))
    return low + (high - low) * torch.rand(count, arm.n_joints, dtype=torch.float64, generator=generator, device=device)


def within_limits(mixture: GaussianMixture, arm: Arm, wound: Collection[int] = ()) -> GaussianMixture:
    """The mixture with every component weighted by the share of it that lies in limits, or is kept.

    The first and the last joint only shift with the pose's azimuth and roll, which were divided out of it, so the network
    cannot know their limits: for q uniform in limits the density is what it says for joints without any, cut at the
    limits. Components that lie on a limit keep their shape; joints are taken one by one.

    Args:
        mixture: Batch shape (B,), event shape (n,), over whole joint vectors.
        arm: Whose limits.
        wound: See above.
    """
    share = share_in_limits(mixture, arm, wound=wound)
    return GaussianMixture(
        logits=mixture.log_weights + share.clamp_min(_LEAST).log(),
        loc=mixture.loc,
        precision_tril=mixture.precision_tril,
        period=mixture.period,
        validate_args=False,
    )


def share_in_limits(
    mixture: GaussianMixture, arm: Arm, joints: Collection[int] | None = None, wound: Collection[int] = ()
) -> Tensor:
    """How much of each component is kept in the limits of some joints (None: of all), taken one by one, (B, K)."""
    std = mixture.scale.expand_as(mixture.loc)
    share = torch.ones_like(mixture.logits)
    for j in bounded(arm):
        if joints is not None and j not in joints:
            continue
        low, high, period = (float(each[j]) for each in (arm.q_min, arm.q_max, arm.period))
        share = share * mass_between(mixture.loc[..., j], std[..., j], low, high, period)
    for j in wound:
        if joints is None or j in joints:
            turns, low, period = _whole_turns(arm, j), float(arm.q_min[j]), float(arm.period[j])
            more = mass_between(mixture.loc[..., j], std[..., j], low, float(arm.q_max[j]) - turns * period, period)
            share = share * (turns + more) / (turns + 1)
    return share


def mass_in_limits(
    mixture: GaussianMixture, arm: Arm, joints: Collection[int] | None = None, wound: Collection[int] = ()
) -> Tensor:
    """How much of the whole mixture is kept in the limits of some joints (None: of all), (B,)."""
    return (mixture.weights * share_in_limits(mixture, arm, joints, wound)).sum(-1)


def condition_on_limits(
    mixture: GaussianMixture, arm: Arm, joints: Collection[int], wound: Collection[int] = ()
) -> Tensor:
    """What conditioning on some joints' being in limits divides the mixture by: its mass there, at least a hundredth, (B,).

    Of a mixture that has less there the condition leaves little: it says that these joints cannot be in limits.
    """
    return mass_in_limits(mixture, arm, joints, wound).clamp_min(_LEAST_KNOWN)


def bounded(arm: Arm) -> list[int]:
    """The joints that cannot be everywhere: those that slide between limits or turn through less than a turn."""
    return [j for j in range(arm.n_joints) if arm.q_max[j] - arm.q_min[j] < arm.period[j]]


def partly_wound(arm: Arm, joints: Collection[int]) -> list[int]:
    """Those of some joints that have room for more than a turn, but for no whole number of them."""
    turns = {j: float((arm.q_max[j] - arm.q_min[j]) / arm.period[j]) for j in joints if not arm.is_prismatic[j]}
    return [j for j, room in turns.items() if 1 < room < math.inf and abs(room - round(room)) > _WHOLE]


def kept(q: Tensor, arm: Arm, wound: Collection[int]) -> Tensor:
    """What of the density at joint vectors (..., n) in limits is kept: their windings, as a share of the most that some have, (...)."""
    share = torch.ones(q.shape[:-1], dtype=q.dtype, device=q.device)
    for j in wound:
        turns, period = _whole_turns(arm, j), float(arm.period[j])
        above = torch.remainder(q[..., j] - float(arm.q_min[j]), period)
        more = above <= float(arm.q_max[j] - arm.q_min[j]) - turns * period
        share = share * (turns + more.to(q.dtype)) / (turns + 1)
    return share


def _whole_turns(arm: Arm, j: int) -> int:
    return int((arm.q_max[j] - arm.q_min[j]) // arm.period[j])


def inside(q: Tensor, arm: Arm) -> Tensor:
    """Whether joint vectors (..., n) lie in limits, at some number of whole turns, (...)."""
    ok = torch.ones(q.shape[:-1], dtype=torch.bool, device=q.device)
    for j in bounded(arm):
        above = q[..., j] - float(arm.q_min[j])
        if math.isfinite(arm.period[j]):
            above = torch.remainder(above, float(arm.period[j]))
        ok &= (above >= 0) & (above <= float(arm.q_max[j] - arm.q_min[j]))
    return ok


def draw_inside(
    draw: Callable[[Tensor, bool], Tensor],
    rows: Tensor,
    arm: Arm,
    wound: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws in limits: those outside, or not kept, are drawn again, a dozen times.

    Args:
        draw: From rows (R,), and whether it is the last time, to draws (S, R, n).
        rows: All of them, 0, 1, 2 …, (B,).
        arm: Whose limits.
        wound: See above.
        generator: Of what is kept.

    Returns:
        (S, B, n).
    """

    def fails(q: Tensor) -> Tensor:
        outside = ~inside(q, arm)
        if not wound:
            return outside
        return outside | (torch.empty_like(q[..., 0]).uniform_(generator=generator) > kept(q, arm, wound))

    q = draw(rows, False)
    wrong = fails(q)
    for left in reversed(range(_ROUNDS)):
        rows = wrong.any(0).nonzero()[:, 0]
        if not len(rows):
            break
        q[:, rows] = torch.where(wrong[:, rows, None], draw(rows, left == 0), q[:, rows])
        wrong[:, rows] &= fails(q[:, rows])
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
