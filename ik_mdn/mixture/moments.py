"""Mean and variance of Gaussian mixtures, on the line and on the circle."""

from __future__ import annotations

import torch
from torch import Tensor

from ik_mdn.mixture.circular import mean_direction, nearest_image, wrapped_square
from ik_mdn.mixture.parameters import MixtureParameters


class MixtureMoments(MixtureParameters):
    """First and second moments of a mixture; `GaussianMixture` documents the arguments."""

    @property
    def mean(self) -> Tensor:
        """Σₖ πₖ μₖ, (*batch, D); in circular coordinates the mean direction, in [-period/2, period/2)."""
        if self.period is None:
            return (self.weights.unsqueeze(-1) * self.loc).sum(-2)
        return mean_direction(self.log_weights, self.loc, self._factor.variance(), self.period)

    @property
    def variance(self) -> Tensor:
        """Variance of each coordinate, within plus between components (law of total variance), (*batch, D).

        In a circular coordinate the second moment E[w(Y - mean)²] of the deviation from the mean direction, wrapped into
        [-period/2, period/2]: the plain variance of a distribution that is narrow relative to the period, and
        period²/12 of a uniform one, whatever its components say (`wrapped_square`).
        """
        return self.variance_within + self.variance_between

    @property
    def variance_within(self) -> Tensor:
        """Σₖ πₖ σₖ², what a component cannot resolve, (*batch, D); in circular coordinates σₖ² = E[w(Yₖ - μₖ)²]."""
        return (self.weights.unsqueeze(-1) * self._wrapped_variance()).sum(-2)

    @property
    def variance_between(self) -> Tensor:
        """Σₖ πₖ (μₖ - mean)², how far the answers lie apart, (*batch, D).

        In circular coordinates Σₖ πₖ (E[w(Yₖ - mean)²] - E[w(Yₖ - μₖ)²]), which no wrapped normal makes negative: it
        is 0 for components that are uniform, wherever their means.
        """
        return (self.weights.unsqueeze(-1) * self._square_between()).sum(-2)

    @property
    def covariance_matrix(self) -> Tensor:
        """Σₖ πₖ (Σₖ + (μₖ - mean)(μₖ - mean)ᵀ), (*batch, D, D).

        In circular coordinates the diagonal is `variance`, and beside it each Σₖ and deviation is scaled to it: exact for
        narrow components, and without negative eigenvalues for all.
        """
        deviation, covariance = self._deviation(), self._factor.covariance()
        if self.period is not None:
            square = self._square_between()
            apart = square > 0  # a root has no slope at 0
            deviation = deviation.sign() * torch.where(apart, square, 1.0).sqrt() * apart
            shrink = (self._wrapped_variance() / self._factor.variance()).sqrt()
            covariance = shrink.unsqueeze(-1) * covariance * shrink.unsqueeze(-2)
        spread = covariance + deviation.unsqueeze(-1) * deviation.unsqueeze(-2)
        return (self.weights[..., None, None] * spread).sum(-3)

    def _wrapped_variance(self) -> Tensor:
        """Of each component about its own mean, (*batch, K, D)."""
        variance = self._factor.variance()
        if self.period is None:
            return variance
        return wrapped_square(torch.zeros_like(variance), variance, self.period).to(variance.dtype)

    def _square_between(self) -> Tensor:
        """What the deviation of each mean from that of all adds to the component's second moment, (*batch, K, D)."""
        deviation, variance = self._deviation(), self._factor.variance()
        if self.period is None:
            return deviation.square()
        own = wrapped_square(torch.zeros_like(variance), variance, self.period)
        return (wrapped_square(deviation, variance, self.period) - own).to(variance.dtype)

    def _deviation(self) -> Tensor:
        return nearest_image(self.loc - self.mean.unsqueeze(-2), self.period)  # (*batch, K, D)
