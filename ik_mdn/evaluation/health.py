"""The state of a mixture's components over many inputs: used, dead, or duplicates of one another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture, nearest_image
from sim.errors import ShapeError

LIVE_WEIGHT = 0.01  # a component is live at an input where its weight reaches this
SAME_DISTANCE = 1.0  # in pooled standard deviations: nearer means are duplicates


@dataclass(frozen=True)
class Health:
    """How K components are used over many inputs.

    Args:
        components: K.
        effective: exp(H), the mean over inputs of the number of equally likely components with the entropy
            H = -Σ πₖ log πₖ of the weights (Hill number of order 1; Hill, Ecology 54, 1973).
        effective_p5, effective_p95: Percentiles of exp(H) over inputs.
        effective_overall: exp(H) of the weights averaged over inputs: how evenly the components share the work.
        live: Mean number of components per input whose weight is at least `LIVE_WEIGHT`.
        dead: Indices of components that are live at no input.
        duplicates: Mean number of live components per input whose mean lies within `SAME_DISTANCE` pooled standard
            deviations of a heavier live one, (μᵢ - μⱼ)ᵀ (½Σᵢ + ½Σⱼ)⁻¹ (μᵢ - μⱼ) < 1 (Mahalanobis, 1936, with the
            pooled covariance of Bhattacharyya's distance). Where solutions form a curve, neighbours overlap and
            count here too.
    """

    components: int
    effective: float
    effective_p5: float
    effective_p95: float
    effective_overall: float
    live: float
    dead: tuple[int, ...]
    duplicates: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "dead": list(self.dead)}


class HealthTally:
    """Collects `Health` from one batch after another."""

    def __init__(self) -> None:
        self._weights: list[Tensor] = []
        self._duplicates: list[Tensor] = []

    def add(self, mixture: GaussianMixture) -> None:
        """Count a batch of mixtures, (B,), all with the same K."""
        self._weights.append(mixture.weights)
        self._duplicates.append(duplicate_components(mixture).sum(-1))

    def result(self) -> Health:
        """The health over everything that was added.

        Raises:
            ShapeError: Nothing was added.
        """
        if not self._weights:
            raise ShapeError("no mixture was counted; add at least one batch before asking for the result.")
        weights, duplicates = torch.cat(self._weights).cpu().double(), torch.cat(self._duplicates).cpu()
        effective = _entropy(weights).exp()
        live = weights >= LIVE_WEIGHT
        p5, p95 = effective.quantile(torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
        return Health(
            components=weights.shape[-1],
            effective=float(effective.mean()),
            effective_p5=p5,
            effective_p95=p95,
            effective_overall=float(_entropy(weights.mean(0)).exp()),
            live=float(live.sum(-1).double().mean()),
            dead=tuple((~live.any(0)).nonzero()[:, 0].tolist()),
            duplicates=float(duplicates.double().mean()),
        )


def duplicate_components(mixture: GaussianMixture) -> Tensor:
    """Which live components repeat a heavier live one, (*batch, K); see `Health.duplicates`.

    Args:
        mixture: Any batch shape; memory batch x K² x D².
    """
    factor = mixture.scale_tril
    covariance = factor @ factor.mT  # (*batch, K, D, D)
    pooled = 0.5 * (covariance.unsqueeze(-3) + covariance.unsqueeze(-4))  # (*batch, K, K, D, D)
    gap = nearest_image(mixture.loc.unsqueeze(-2) - mixture.loc.unsqueeze(-3), mixture.period)
    distance = (gap * torch.linalg.solve(pooled, gap.unsqueeze(-1)).squeeze(-1)).sum(-1)
    live, weights = mixture.weights >= LIVE_WEIGHT, mixture.weights
    index = torch.arange(mixture.n_components, device=weights.device)
    tie = (weights.unsqueeze(-1) == weights.unsqueeze(-2)) & (index[:, None] > index)
    lighter = (weights.unsqueeze(-1) < weights.unsqueeze(-2)) | tie
    same: Tensor = (distance < SAME_DISTANCE**2) & lighter & live.unsqueeze(-1) & live.unsqueeze(-2)
    return same.any(-1)


def _entropy(weights: Tensor) -> Tensor:
    terms: Tensor = torch.special.entr(weights)
    return terms.sum(-1)
