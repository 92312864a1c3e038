"""Whether a model's regions hold what they promise, and the width that makes them do so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ik_mdn.evaluation.calibration import coverage, density_level
from ik_mdn.evaluation.poses import HELD_OUT_SEED, held_out
from ik_mdn.model import ChainModel, Recalibration

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel

PROMISED = (0.5, 0.8, 0.9, 0.95)  # probabilities of the regions that are to hold the truth as often
GOOD = 0.005  # deviation of the coverage at which nothing more is tried

_STEPS = 8  # of the search for the width
_WIDEST = 3.0
_DRAWS = 20


def blurred_levels(
    model: ArmModel, T_base_tip: Tensor, q: Tensor, *, blur: float, draws: int, generator: torch.Generator
) -> Tensor:
    """Probability of the smallest region that q + blur ε, ε ~ N(0, I), lies on the edge of, (B,); see `density_level`.

    Joint vectors that meet a pose exactly lie on a manifold that no density with a width can be calibrated to. Training
    maximises the likelihood of q + floor ε (`mixture.nll` with a blur), so with `blur = model.config.floor` this is
    calibration to what was trained for.

    Args:
        model: A mixture.
        T_base_tip: Poses that training never saw, (B, 4, 4).
        q: Joint vectors that made them, (B, n).
        blur: Standard deviation that is added to every joint [rad, m].
        draws: Of the mixture, per pose.
        generator: Source of randomness.
    """
    noise = blur * torch.randn(q.shape, dtype=q.dtype, generator=generator)
    with torch.no_grad():
        drawn = model.sample(T_base_tip, draws, generator=generator).transpose(0, 1)
        log_p, log_p_drawn = model.log_prob(T_base_tip, q, noise=noise), model.log_prob(T_base_tip, drawn)
    return density_level(log_p, log_p_drawn, generator=generator)


def covered(
    model: ArmModel, T_base_tip: Tensor, q: Tensor, *, blur: float, draws: int = _DRAWS, seed: int = 0
) -> dict[str, float]:
    """How often the smallest regions of the probabilities `PROMISED` hold the truth, blurred; see `blurred_levels`."""
    generator = torch.Generator().manual_seed(seed)
    levels = blurred_levels(model, T_base_tip, q, blur=blur, draws=draws, generator=generator)
    at = torch.tensor(PROMISED, dtype=levels.dtype)
    return dict(zip((f"{each:g}" for each in PROMISED), coverage(levels, at).tolist(), strict=True))


def recalibrate(model: ArmModel, *, blur: float | None = None, count: int | None = None, seed: int = 0) -> None:
    """Give a model the `Recalibration` with which its regions hold the truth, blurred, as often as they promise.

    The width is halved into where the coverages at `PROMISED` are right in the mean; kept is the one that was tried whose
    worst coverage deviates least.

    Args:
        model: A mixture; changed in place.
        blur: See `blurred_levels`; None: the model's floor.
        count: Number of poses, of their own stream; None: 8,000, or 1,000 for a chain, which evaluates a network per draw.
        seed: Of noise and draws, the same for every width.
    """
    count = count or (1000 if isinstance(model, ChainModel) else 8000)
    q, T = held_out(model.arm, count, seed=HELD_OUT_SEED - 1 - seed, postures=model.postures)
    blur = model.config.floor if blur is None else blur
    low, high, width = -1.0, 1.0, 0.0  # powers of the widest
    best = (float("inf"), 1.0)
    for _ in range(_STEPS):
        Recalibration(_WIDEST**width).put_on(model)
        shares = covered(model, T, q, blur=blur, seed=seed)
        away = [share - float(p) for p, share in shares.items()]
        best = min(best, (max(map(abs, away)), _WIDEST**width))
        if best[0] <= GOOD:
            break
        low, high = (low, width) if sum(away) > 0 else (width, high)
        width = (low + high) / 2
    Recalibration(best[1]).put_on(model)
