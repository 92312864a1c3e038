"""Networks: a residual trunk, and the heads that turn its output into a mixture or into one joint vector."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ik_mdn.mixture import GaussianMixture, angular_frequency, nearest_image
from ik_mdn.model.config import LOG_SCALE_RANGE, MixtureShape
from sim.errors import ShapeError


class Trunk(nn.Module):
    """A residual network: linear input layer, then blocks x + W₂ silu(W₁ norm(x)) (He et al. 2016, pre-activation).

    Args:
        n_in: Number of input features.
        width: Width of every layer.
        blocks: Number of residual blocks, two layers each.
    """

    def __init__(self, n_in: int, width: int, blocks: int) -> None:
        super().__init__()
        self.input = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Hidden state (B, width) for features (B, n_in)."""
        hidden = self.input(features)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        out: Tensor = self.norm(hidden)
        return out


class MixtureParts(NamedTuple):
    """The numbers that a head says of K components, before any of them is bounded, (B, K, size) each."""

    logits: Tensor  # of the weights, size 1
    mean: Tensor  # size D
    log_scale: Tensor  # s of σ = floor + exp(s), size D, or 1 for isotropic components
    tangle: Tensor  # N below the diagonal, row by row, size D (D - 1)/2, or 0


class _Numbers(NamedTuple):
    """What leaves a head, (B, K, size) each; means of turning coordinates as cosines and sines."""

    logits: Tensor
    mean: Tensor  # their cosines, where coordinates turn
    sine: Tensor
    log_scale: Tensor
    tangle: Tensor


class MixtureHead(nn.Module):
    """Turns a hidden state into a `GaussianMixture` (Bishop 1994, Mixture Density Networks).

    Weights are softmax(logits). Means of circular coordinates are the direction of a cosine and a sine, or plain numbers
    (see `ModelConfig.targets`). Scales are σ = floor + exp(s): the floor enters once, in the factor that likelihood,
    sampling and determinant all use. For full covariance the precision is AᵀA with A = diag(1/σ)(I + N), N strictly
    lower triangular, so that |A| = Π 1/σᵢ and no density exceeds floor⁻ᴰ.

    Args:
        width: Of the hidden state.
        shape: K, D, covariance type, and how means are said.
        period: (D,) periods of circular coordinates, inf elsewhere.
    """

    period: Tensor
    _turning: Tensor  # coordinates whose means are said by a cosine and a sine
    _frequency: Tensor  # theirs, in radians per unit

    def __init__(self, width: int, shape: MixtureShape, period: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.out = nn.Linear(width, shape.components * sum(shape.sizes))
        self.register_buffer("period", period.float(), persistent=False)
        self.register_buffer("_turning", torch.tensor(shape.turning, dtype=torch.long), persistent=False)
        self.register_buffer("_frequency", angular_frequency(self.period[self._turning]), persistent=False)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    def start_from(self, means: Tensor, scale: float) -> None:
        """Set the biases so that an untrained network predicts these means with this scale and equal weights.

        Args:
            means: (K, D) [rad or m].
            scale: Standard deviation [rad or m].
        """
        with torch.no_grad():
            _, mean, sine, log_scale, _ = self._split(self.out.bias.view(1, self.shape.components, -1))
            angle = means[:, self._turning] * self._frequency
            mean.copy_(means)
            mean[..., self._turning] = angle.cos()
            sine.copy_(angle.sin())
            log_scale.fill_(math.log(scale))

    def forward(self, hidden: Tensor, *, floor: float) -> GaussianMixture:
        """The mixture for each hidden state, with batch shape (B,) and event shape (D,).

        Args:
            hidden: Output of the trunk, (B, width).
            floor: Added to every scale, so that none is smaller [rad or m].

        Returns:
            A mixture, its values unchecked.
        """
        return self.mixture_of(self.parts_of(self.numbers(hidden)), floor=floor)

    def mixture_of(self, parts: MixtureParts, *, floor: float) -> GaussianMixture:
        """The mixture that `parts` describe; see `forward`."""
        logits, mean, log_scale, tangle = parts
        scale = floor + log_scale.clamp(*LOG_SCALE_RANGE).exp()
        logits = logits[..., 0]
        if self.shape.covariance != "full":
            return GaussianMixture(logits=logits, loc=mean, scale=scale, period=self.period, validate_args=False)
        factor = precision_factor(scale, tangle)
        return GaussianMixture(logits=logits, loc=mean, precision_tril=factor, period=self.period, validate_args=False)

    def numbers(self, hidden: Tensor) -> Tensor:
        """What leaves the head for hidden states (B, width): (B, K, S), for each component the S numbers of its shape."""
        numbers: Tensor = self.out(hidden)
        return numbers.view(hidden.shape[0], self.shape.components, sum(self.shape.sizes))

    def parts_of(self, numbers: Tensor) -> MixtureParts:
        """What mixtures are made of, from the head's numbers (B, K, S)."""
        logits, mean, sine, log_scale, tangle = self._split(numbers)
        if self.shape.turning:
            is_all = len(self.shape.turning) == self.shape.dims
            cosine = mean if is_all else mean.index_select(-1, self._turning)
            angle = torch.atan2(sine, cosine) / self._frequency
            mean = angle if is_all else mean.index_copy(-1, self._turning, angle)
        return MixtureParts(logits, mean, log_scale, tangle)

    def _split(self, numbers: Tensor) -> _Numbers:
        """Views of the head's numbers (B, K, S); blockwise, so that no reshape can mix components."""
        return _Numbers(*torch.split(numbers, list(self.shape.sizes), dim=-1))


class PointHead(nn.Module):
    """Turns a hidden state into one joint vector, for regression by mean squared error.

    Args:
        width: Of the hidden state.
        dims: D, the number of joints.
        as_cos_sin: Predict (cos, sin) of the circular coordinates instead of angles.
    """

    def __init__(self, width: int, dims: int, *, as_cos_sin: bool) -> None:
        super().__init__()
        self.dims, self.as_cos_sin = dims, as_cos_sin
        self.out = nn.Linear(width, 2 * dims if as_cos_sin else dims)

    def forward(self, hidden: Tensor) -> Tensor:
        """Predictions (B, D) as they are, or (B, 2 D): all cosines (lengths for sliding joints), then all sines."""
        out: Tensor = self.out(hidden)
        return out


def spread_means(targets: Tensor, components: int, period: Tensor, *, generator: torch.Generator) -> Tensor:
    """Component means spread over the targets: k-means on the torus.

    Lloyd's algorithm with nearest-image differences, started from distinct random targets; each centre moves by the
    mean difference of its targets, so that no angle is averaged across its wrap.

    Args:
        targets: (N, D) joint vectors [rad or m], N at least `components`.
        components: K.
        period: (D,), inf where a coordinate is not circular.
        generator: Source of the random start.

    Returns:
        (K, D).

    Raises:
        ShapeError: Fewer targets than components.
    """
    if components > len(targets):
        raise ShapeError(f"{components} components need as many targets to start from; got {len(targets)}; give fewer")
    period = period.to(targets)
    centres = targets[torch.randperm(len(targets), generator=generator, device=targets.device)[:components]].clone()
    for _ in range(20):
        difference = nearest_image(targets[:, None] - centres, period)  # (N, K, D)
        nearest = difference.square().sum(-1).argmin(dim=1)
        own = difference[torch.arange(len(targets), device=targets.device), nearest]
        total = torch.zeros_like(centres).index_add_(0, nearest, own)
        count = torch.bincount(nearest, minlength=components).clamp(min=1)
        centres = centres + total / count[:, None]
    return centres


def precision_factor(scale: Tensor, tangle: Tensor) -> Tensor:
    """A = diag(1/σ)(I + N), shape (B, K, D, D)."""
    dims = scale.shape[-1]
    row, column = torch.tril_indices(dims, dims, -1, device=scale.device)
    unit = torch.eye(dims, dtype=scale.dtype, device=scale.device).repeat(*scale.shape[:-1], 1, 1)
    unit[..., row, column] = tangle
    return unit * scale.reciprocal()[..., None]  # a product: its backward pass is half that of a quotient
