"""Gaussian mixtures as a torch distribution, on plain and circular coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ik_mdn.mixture.circular import wrap
from ik_mdn.mixture.draws import draw_components
from ik_mdn.mixture.factor import UNIFORM, CholeskyFactor, ScaleFactor, TriangularFactor
from ik_mdn.mixture.images import list_images, log_kernel_on_torus, padded
from ik_mdn.mixture.modes import find_modes
from ik_mdn.mixture.moments import MixtureMoments
from ik_mdn.mixture.triangular import lower_factor, solve_lower
from sim.errors import ShapeError

_LOG_2PI = math.log(2 * math.pi)


class GaussianMixture(MixtureMoments):
    """A mixture of K Gaussians over D coordinates for every element of the batch.

    p(y) = Σₖ πₖ N(y; μₖ, Σₖ), π = softmax(logits) (Bishop, Mixture Density Networks, 1994, equations 22-24; PRML,
    2006, section 5.6). A circular coordinate of period P carries the wrapped normal Σₘ N(y + mP; μₖ, Σₖ), of which
    as many images are summed as the precision can show (`ik_mdn.mixture.images`): for most components the nearest one.

    Example:
        >>> loc, scale = torch.tensor([[-1.0], [1.0]]), torch.full((2, 1), 0.1)
        >>> mixture = GaussianMixture(logits=torch.zeros(2), loc=loc, scale=scale)
        >>> float(mixture.mean), float(mixture.variance_between)  # no answer, and how far apart the answers are
        (0.0, 1.0)
        >>> round(float(mixture.log_prob(torch.tensor([1.0]))), 2)
        0.69

    Args:
        logits: Unnormalised log weights, (*batch, K).
        loc: Means, (*batch, K, D), in the units of the coordinates.
        scale: Standard deviations, (*batch, K, D), or (*batch, K, 1) for isotropic components.
        scale_tril: Cholesky factors L of the covariances, Σ = LLᵀ, (*batch, K, D, D).
        precision_tril: Lower triangular A with positive diagonal, Σ⁻¹ = AᵀA, (*batch, K, D, D): nothing is solved
            in the log density, so a network trains fastest with it.
        period: (D,), inf where a coordinate is not circular; None where none is.
        validate_args: Check values too (not only shapes); default as in torch.distributions. Off for training.

    Raises:
        ShapeError: not exactly one of the scales; shapes that do not fit; values outside their domain.
    """

    has_rsample = False  # `rsample` reaches means and scales, but no weights

    # --- densities --------------------------------------------------------------------------------------------

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(y) = logsumexpₖ(log πₖ + log N(y; μₖ, Σₖ)), (*sample, *batch).

        Args:
            value: y, (*sample, *batch, D).

        Raises:
            ShapeError: y does not broadcast with (*batch, D), or is NaN (when values are checked).
        """
        return (self.log_weights + self.component_log_prob(value)).logsumexp(-1)

    def component_log_prob(self, value: Tensor) -> Tensor:
        """log N(y; μₖ, Σₖ) of every component, without its weight, (*sample, *batch, K).

        With circular coordinates and a full covariance, images that add nothing to p(y) are not looked for: a component
        that is far from y has at least the density of the image that is nearest coordinate by coordinate.

        Args:
            value: y, (*sample, *batch, D).

        Raises:
            ShapeError: y does not broadcast with (*batch, D), or is NaN (when values are checked).
        """
        residual = self._residual(value)
        constant = 0.5 * self.event_shape[0] * _LOG_2PI
        if self.period is not None and isinstance(self._factor, TriangularFactor):
            return log_kernel_on_torus(self._factor, residual, self.log_weights, self.period) - constant
        if self.period is not None and isinstance(self._factor, ScaleFactor) and any(self._image_counts):
            return self._factor.log_kernel_images(residual, self._image_counts, self.period) - constant
        return self._factor.log_kernel(residual) - constant

    def responsibilities(self, value: Tensor) -> Tensor:
        """Probability that y came from each component, rₖ = πₖ N(y; μₖ, Σₖ)/p(y), (*sample, *batch, K).

        Bishop, PRML, 2006, equation 5.154.

        Args:
            value: y, (*sample, *batch, D).
        """
        return (self.log_weights + self.component_log_prob(value)).softmax(-1)

    def cdf(self, value: Tensor) -> Tensor:
        """P(Y <= y) for D = 1, the probability integral transform (PIT) of y, (*sample, *batch).

        Σₖ πₖ Φ((y - μₖ)/σₖ). On a circle the probability of [-period/2, y], with y wrapped into the period.
        For one of several coordinates take `marginal` first.

        Args:
            value: y, (*sample, *batch, 1).

        Raises:
            ShapeError: D is not 1.
        """
        if self.event_shape[0] != 1:
            raise ShapeError(
                f"cdf needs D = 1 and this mixture has D = {self.event_shape[0]}; take .marginal([i]).cdf."
            )
        self._check_value(value)
        loc, sigma = self.loc.squeeze(-1), self._factor.variance().sqrt().squeeze(-1)  # (*batch, K)
        mass: Tensor = torch.special.ndtr((value - loc) / sigma)
        if self.period is not None:
            wrapped = self._mass_from_start(wrap(value, self.period), wrap(self.loc, self.period).squeeze(-1), sigma)
            mass = torch.where(self.period.isinf(), mass, wrapped)  # on a GPU a period may be inf
        return (self.weights * mass).sum(-1)

    # --- summaries --------------------------------------------------------------------------------------------

    def entropy(self, n_draws: int = 100, generator: torch.Generator | None = None) -> Tensor:
        """Differential entropy -E log p(Y) in nats, estimated from draws, (*batch).

        A mixture's entropy has no closed form (Huber et al., On entropy approximation for Gaussian mixture random
        vectors, MFI 2008). -Σₖ πₖ E log p(Yₖ) with as many draws from every component: unbiased, and differentiable
        by all parameters; the standard error is about that of -log p over √(K n_draws).

        Args:
            n_draws: How many draws from each component.
            generator: Source of randomness on the device of the parameters; None is torch's own.
        """
        log_prob = self.log_prob(self.rsample_components((n_draws,), generator).movedim(-2, 0)).mean(1)  # (K, *batch)
        return -(self.weights * log_prob.movedim(0, -1)).sum(-1)

    @property
    def mode(self) -> Tensor:
        """Where the density is highest among all maxima that `find_modes` comes to, (*batch, D)."""
        return find_modes(self).loc[..., 0, :]

    # --- draws ------------------------------------------------------------------------------------------------

    def sample(self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None) -> Tensor:
        """Draws, (*sample, *batch, D); circular coordinates in [-period/2, period/2).

        Args:
            sample_shape: How many draws, as dimensions in front.
            generator: Source of randomness on the device of the parameters; None is torch's own.
        """
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def rsample(self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None) -> Tensor:
        """Draws that are differentiable by the means and scales of the components they come from, (*sample, *batch, D).

        y = μₖ + Lₖ ε. The choice of k is not reparameterised: no gradient reaches the logits, so the gradient of an
        expectation over these draws lacks the part that comes from the weights (`rsample_components` has it).

        Args:
            sample_shape: How many draws, as dimensions in front.
            generator: Source of randomness on the device of the parameters; None is torch's own.
        """
        n_draws = math.prod(sample_shape)
        index = draw_components(self.weights, n_draws, generator)  # (N,) into the flattened components
        y = self.draw_from(index, generator).reshape(*self.batch_shape, n_draws, *self.event_shape)
        y = wrap(y, self.period).movedim(-2, 0)
        return y.reshape(*sample_shape, *self.batch_shape, *self.event_shape) if len(sample_shape) != 1 else y

    def draw_from(self, index: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A draw from each of given components, not wrapped, (N, D), differentiable by means and scales.

        Args:
            index: Which of the components of the flattened batch, (N,).
            generator: Source of randomness on the device of the parameters; None is torch's own.
        """
        loc = self.loc.flatten(0, -2).index_select(0, index)
        return loc + self._factor.colour(self._noise(index.shape[0], generator), index).T

    def rsample_components(self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None) -> Tensor:
        """One draw from every component, (*sample, *batch, K, D), differentiable by means and scales.

        Weighted by `weights` they give unbiased estimates with the whole gradient: E f(y) = Σₖ πₖ E f(μₖ + Lₖ ε).

        Args:
            sample_shape: How many draws per component, as dimensions in front.
            generator: Source of randomness on the device of the parameters; None is torch's own.
        """
        n_rows = self.logits.numel()
        rows = torch.arange(n_rows, device=self.loc.device).repeat(math.prod(sample_shape))
        deviation = self._factor.colour(self._noise(rows.shape[0], generator), rows).T
        y = self.loc + deviation.reshape(*sample_shape, *self.loc.shape)
        return wrap(y, self.period)

    # --- other mixtures ---------------------------------------------------------------------------------------

    def marginal(self, dims: int | Sequence[int]) -> GaussianMixture:
        """The mixture of some coordinates alone, in the order given, with the same weights.

        Args:
            dims: Which coordinates.

        Raises:
            ShapeError: no coordinate, one that does not exist, or one twice.
        """
        keep = self._check_dims(dims)
        return self._like(self.logits, self.loc[..., keep], self._factor.rows(keep), keep)

    def conditional(self, dims: int | Sequence[int], values: Tensor) -> GaussianMixture:
        """The mixture of the other coordinates, in their order, given the values of some.

        Each component becomes its Gaussian conditional (Schur complement, Bishop, PRML, equations 2.81 and 2.82, here
        by the Cholesky factor with the given coordinates first) and is weighted by its marginal density of the values.
        Images of wide components with full covariance become components of their own, so K may grow.

        Args:
            dims: Which coordinates are given.
            values: (*sample, *batch, number of dims).

        Returns:
            Batch shape (*sample, *batch).

        Raises:
            ShapeError: all coordinates are given, one that does not exist, or one twice; values do not fit.
        """
        given = self._check_dims(dims)
        rest = [d for d in range(self.event_shape[0]) if d not in given]
        if not rest:
            raise ShapeError(f"all {len(given)} coordinates are given; leave at least one to condition.", dims=dims)
        marginal = self.marginal(given)
        if isinstance(self._factor, ScaleFactor):
            logits = self.log_weights + marginal.component_log_prob(values)
            return self._like(logits, self.loc[..., rest], self._factor.rows(rest), rest)
        n, tril = len(given), lower_factor(self.scale_tril[..., given + rest, :])
        residual, listed = self._listed(marginal, values)  # (*batch, K, M, n), (*batch, K, M)
        z = solve_lower(tril[..., :n, :n], residual.mT).mT
        log_det = tril[..., :n, :n].diagonal(dim1=-2, dim2=-1).log().sum(-1)
        logits = (self.log_weights - log_det).unsqueeze(-1) - 0.5 * z.square().sum(-1)
        logits = logits.masked_fill(~listed, -torch.inf)
        loc = self.loc[..., rest].unsqueeze(-2) + z @ tril[..., n:, :n].mT  # (*batch, K, M, rest)
        value = tril[..., n:, n:].repeat_interleave(residual.shape[-2], dim=-3)
        return self._like(logits.flatten(-2), loc.flatten(-3, -2), CholeskyFactor(value, len(rest)), rest)

    def permuted(self, index: Tensor) -> GaussianMixture:
        """The same density with its components in another order.

        Args:
            index: Which component comes where, (*batch, K), a permutation in every row.

        Raises:
            ShapeError: It is none (looked at when values are checked).
        """
        if self._validate_args:
            each = torch.arange(self.n_components, device=index.device).expand(self.logits.shape)
            if index.shape != self.logits.shape or not torch.equal(index.sort(-1).values, each):
                raise ShapeError(f"index must hold a permutation of 0 to {self.n_components - 1} in each row.")
        value, loc_index = self._factor.value, index.unsqueeze(-1)
        extra = value.dim() - self.logits.dim()
        wide = index.reshape(*index.shape, *[1] * extra).expand_as(value)
        loc = self.loc.gather(-2, loc_index.expand_as(self.loc))
        factor = self._factor.map(value.gather(-1 - extra, wide))
        return self._like(self.logits.gather(-1, index), loc, factor, range(self.event_shape[0]))

    def reordered(self, by: str = "loc", dim: int = 0) -> GaussianMixture:
        """The same density with its components in a canonical order, comparable between runs.

        Args:
            by: "loc": ascending along one coordinate of the means (wrapped if circular); "weight": heaviest first.
            dim: The coordinate for "loc".

        Raises:
            ShapeError: another `by`, or a coordinate that does not exist.
        """
        if by not in ("loc", "weight"):
            raise ShapeError(f"by is {by!r}; order components by 'loc' or by 'weight'.", by=by)
        (coordinate,) = self._check_dims(dim)
        key = wrap(self.loc, self.period)[..., coordinate] if by == "loc" else -self.log_weights
        return self.permuted(key.detach().argsort(dim=-1, stable=True))

    def _listed(self, marginal: GaussianMixture, values: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals to the images that matter, (*sample, *batch, K, M, n), and which of them are there, without n."""
        residual, factor = marginal._residual(values), marginal._factor
        if self.period is None or marginal.period is None or not isinstance(factor, TriangularFactor):
            return residual.unsqueeze(-2), torch.ones_like(residual[..., :1], dtype=torch.bool)
        images = list_images(factor, residual.detach(), self.log_weights, marginal.period)
        flat, shape = residual.detach().reshape(-1, residual.shape[-1]), residual.shape
        shift, listed = padded(images._replace(residual=images.residual - flat[images.row]), len(flat))
        n_images = listed.shape[-1]
        shift = shift.reshape(*shape[:-1], n_images, shape[-1])
        return residual.unsqueeze(-2) + shift, listed.reshape(*shape[:-1], n_images)

    def _mass_from_start(self, value: Tensor, loc: Tensor, sigma: Tensor) -> Tensor:
        """Probability of [-period/2, y] under each wrapped component, (*sample, *batch, K)."""
        assert self.period is not None
        sigma = torch.minimum(sigma, UNIFORM * self.period)
        start, width = -self.period / 2 - loc, value + self.period / 2
        mass = torch.zeros_like(width / sigma)
        n = self._image_counts[0] + 1  # y - μ reaches over a whole period here
        for m in range(-n, n + 1):
            begin = (start + m * self.period) / sigma
            mass = mass + torch.special.ndtr(begin + width / sigma) - torch.special.ndtr(begin)
        return mass

    def _noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        return torch.randn(self.event_shape[0], n, dtype=self.loc.dtype, device=self.loc.device, generator=generator)
