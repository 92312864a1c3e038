"""A conditional model of any kind: inputs in, a mixture or one point out, trained by likelihood or squared error."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ik_mdn.mixture import GaussianMixture, angular_frequency, mse, sample_mean
from ik_mdn.model.config import Kind, ModelConfig, shape_of
from ik_mdn.model.network import MixtureHead, PointHead, Trunk
from sim.arrays import FloatArray
from sim.errors import ShapeError


class ConditionalNetwork(nn.Module):
    """p(y | x) as a Gaussian mixture (kind "mdn"), or a point estimate of y by squared error (kind "mse").

    Args:
        n_in: Length of x.
        period: (D,) periods of the coordinates of y, inf where one is not circular.
        config: What the network is made of.
    """

    centre: Tensor
    spread: Tensor
    y_centre: Tensor
    period: Tensor

    def __init__(self, n_in: int, period: Tensor | FloatArray, config: ModelConfig) -> None:
        super().__init__()
        shape, period = shape_of(config, period), period if isinstance(period, Tensor) else torch.tensor(period)
        self.config = config
        self.floor = config.floor  # annealed by training
        dims = len(period)
        self.trunk = Trunk(n_in, config.width, config.blocks)
        self.head: MixtureHead | PointHead
        if config.kind == "mdn":
            self.head = MixtureHead(config.width, shape, period)
        else:
            self.head = PointHead(config.width, dims, as_cos_sin=config.targets == "cos_sin")
        self.register_buffer("period", period.double(), persistent=False)
        self.register_buffer("centre", torch.zeros(n_in))
        self.register_buffer("spread", torch.ones(n_in))
        self.register_buffer("y_centre", torch.zeros(dims))

    @property
    def kind(self) -> Kind:
        """ "mdn" or "mse"."""
        return self.config.kind

    def mixture(self, x: Tensor) -> GaussianMixture:
        """The mixture over y for inputs (B, n_in), with batch shape (B,) and event shape (D,)."""
        if not isinstance(self.head, MixtureHead):
            raise ShapeError("this model is a regressor (kind 'mse'); it predicts one point, not a mixture")
        mixture: GaussianMixture = self.head(self._hidden(x), floor=self.floor)
        return mixture

    def numbers(self, x: Tensor) -> Tensor:
        """What leaves the mixture head for inputs (B, n_in), for a likelihood that needs no more; see `MixtureHead`."""
        assert isinstance(self.head, MixtureHead)
        return self.head.numbers(self._hidden(x))

    def regress(self, x: Tensor) -> Tensor:
        """The regressor's y (B, D) for inputs (B, n_in)."""
        output = self._point_output(x)
        if self.config.targets == "angles":
            return output + self.y_centre
        cos, sin = torch.split(output, len(self.period), dim=1)
        return torch.where(self.period.isinf(), cos, torch.atan2(sin, cos) / angular_frequency(self.period).to(cos))

    def regression_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean squared error of the regressor, on nearest-image angles or on (cos, sin).

        Args:
            x: Inputs, (B, n_in).
            y: Targets, (B, D).

        Returns:
            A scalar.
        """
        output = self._point_output(x)
        if self.config.targets == "angles":
            return mse(output + self.y_centre, y.float(), self.period.float())
        slides = self.period.isinf()
        angle = angular_frequency(self.period).to(y) * y
        cos = torch.where(slides, y, angle.cos())
        sin = torch.where(slides, 0.0, angle.sin())
        return mse(output, torch.cat([cos, sin], dim=1).float())

    def prepare(self, x: Tensor, y: Tensor) -> None:
        """Set the input scaling and the point that the regressor starts from.

        Args:
            x: Sample of inputs, (N, n_in).
            y: Their targets, (N, D).
        """
        self.centre.copy_(x.mean(dim=0))
        self.spread.copy_(x.std(dim=0, correction=0).clamp(min=1e-3))
        self.y_centre.copy_(sample_mean(y, self.period))

    def _point_output(self, x: Tensor) -> Tensor:
        if not isinstance(self.head, PointHead):
            raise ShapeError("this model is a mixture (kind 'mdn'); it predicts a density, not one point")
        output: Tensor = self.head(self._hidden(x))
        return output

    def _hidden(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.trunk((x - self.centre) / self.spread)
        return hidden
