"""Simulation-based calibration and TARP of a mixture, by the package `sbi`, on the circle."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ik_mdn.evaluation.calibration import uniform_distance
from ik_mdn.evaluation.poses import HELD_OUT_SEED, held_out
from ik_mdn.mixture import checks_kept, nearest_image, sample_mean
from ik_mdn.model import draw_uniform
from sim.errors import IKError

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel


@dataclass(frozen=True, eq=False)
class SimulationBased:
    """What simulation-based calibration and TARP say of a density, for N poses and n joints.

    Args:
        blur: Standard deviation of the noise that was added to the truth [rad, m].
        draws: S.
        ranks: Of the truth among S draws, joint by joint, (N, n), from 0 to S: uniform where the marginals are calibrated
            (Talts et al., arXiv 1804.06788). On a circle counted from the antipode of the draws' mean direction.
        expected: Share of the truths within the regions of `credibility`, (A,), about random points
            (TARP: Lemos et al., ICML 2023); equal to it where the whole density is calibrated.
        credibility: (A,), from 0 to 1.
    """

    blur: float
    draws: int
    ranks: Tensor
    expected: Tensor
    credibility: Tensor

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: distances from uniform (Kolmogorov-Smirnov), of each joint's ranks and of TARP's regions."""
        return {
            "blur": self.blur,
            "poses": len(self.ranks),
            "draws": self.draws,
            "rank_distance": uniform_distance((self.ranks + 0.5) / (self.draws + 1)).tolist(),
            "tarp_distance": float((self.expected - self.credibility).abs().max()),
        }


class _Draws:
    """Draws that are there, as `sbi` asks a posterior for them."""

    def __init__(self, draws: Tensor) -> None:
        self.draws = draws  # (S, N, n)

    def sample_batched(self, shape: tuple[int, ...], x: Tensor, **_: Any) -> Tensor:
        return self.draws


def simulation_based(
    model: ArmModel,
    *,
    blur: float | None = None,
    count: int = 500,
    draws: int = 200,
    seed: int = 0,
    on_step: Callable[[float], None] = lambda share: None,
) -> SimulationBased:
    """Ranks and TARP coverage of a mixture on poses of its own stream.

    Args:
        model: A mixture.
        blur: Standard deviation that is added to the true joint vectors [rad, m]; None: the model's floor, which training
            blurs by; see `blurred_levels`.
        count: Number of poses.
        draws: Per pose.
        seed: Of poses, noise, draws and points.
        on_step: Called with the share that is done, for progress.

    Raises:
        IKError: The package sbi is not installed.
    """
    try:
        with checks_kept():
            from sbi.diagnostics import run_sbc, run_tarp
    except ImportError as error:
        raise IKError(
            "simulation-based calibration needs the package sbi; run: pip install '.[sbi]' in the clone"
        ) from error
    generator, blur = torch.Generator().manual_seed(seed), model.config.floor if blur is None else blur
    q, T = held_out(model.arm, count, seed=HELD_OUT_SEED - 1000 - seed, postures=model.postures)
    truth = q + blur * torch.randn(q.shape, dtype=q.dtype, generator=generator)
    drawn = model.sample(T, draws, generator=generator).transpose(0, 1)
    on_step(0.25)
    points = draw_uniform(model.arm, count, generator)
    period, rows = model.period, torch.arange(count)[:, None]
    cut = sample_mean(model.sample(T, draws, generator=generator), period, dim=1)
    on_step(0.5)

    def apart(one: Tensor, other: Tensor) -> Tensor:
        distance: Tensor = torch.linalg.vector_norm(nearest_image(one - other, period), dim=-1)
        return distance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few poses are the caller's choice
        posterior = _Draws(nearest_image(drawn - cut, period))
        told: dict[str, Any] = {"num_posterior_samples": draws, "show_progress_bar": False}
        ranks, _ = run_sbc(nearest_image(truth - cut, period), rows, posterior, **told)
        on_step(0.75)
        told |= {"references": points, "distance": apart, "z_score_theta": False}
        expected, credibility = run_tarp(truth, rows, _Draws(drawn), **told)
    on_step(1.0)
    return SimulationBased(blur, draws, ranks, expected, credibility)
