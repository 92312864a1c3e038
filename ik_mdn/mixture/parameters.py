"""The parameters of Gaussian mixtures: checked, broadcast, and read in any form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ik_mdn.mixture.circular import as_period, images_needed, nearest_image
from ik_mdn.mixture.factor import UNIFORM, Factor, ScaleFactor, factor_from
from sim.errors import ShapeError

_Mixture = TypeVar("_Mixture", bound="MixtureParameters")


class MixtureParameters(Distribution):
    """Weights, means, scales, periods of K Gaussians over D coordinates; `GaussianMixture` documents the arguments."""

    support = constraints.real_vector

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        *,
        scale: Tensor | None = None,
        scale_tril: Tensor | None = None,
        precision_tril: Tensor | None = None,
        period: Tensor | Sequence[float] | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        check_tensors(logits=logits, loc=loc)
        given = {"scale": scale, "scale_tril": scale_tril, "precision_tril": precision_tril}
        check_tensors(**(scales := {name: value for name, value in given.items() if value is not None}))
        self._factor = factor_from(loc, scales)
        batch_shape = self._set_broadcast(logits, loc)
        self.period = as_period(period, self.loc)
        check = validate_args if self.logits.numel() else False  # torch cannot check an empty batch
        try:
            super().__init__(batch_shape, self.loc.shape[-1:], validate_args=check)
        except ShapeError:
            raise
        except ValueError as error:
            raise ShapeError(
                f"{error}\nScales and diagonals of factors must be positive, factors lower triangular, nothing NaN: "
                "bound the network's outputs (exp or softplus plus a floor)."
            ) from error
        if self._validate_args and self.logits.numel() and bool(self.logits.amax(-1).isinf().any()):
            raise ShapeError("the largest logit of a mixture is inf or -inf: there are no weights; give finite ones.")

    def _set_broadcast(self, logits: Tensor, loc: Tensor) -> torch.Size:
        """Give logits, means and scales one batch shape; no copies."""
        value, dims = self._factor.value, self._factor.matrix_dims
        try:
            shape = _broadcast(logits.shape, loc.shape[:-1], value.shape[: value.dim() - dims])
        except (RuntimeError, IndexError) as error:
            raise ShapeError(
                f"logits {tuple(logits.shape)}, loc {tuple(loc.shape)} and {self._factor.name} {tuple(value.shape)} do "
                "not share (*batch, K); give (*batch, K), (*batch, K, D) and a scale with the same leading dimensions."
            ) from error
        self.logits, self.loc = logits.expand(shape), loc.expand(*shape, loc.shape[-1])
        self._factor = self._factor.map(value.expand(*shape, *value.shape[value.dim() - dims :]))
        return shape[:-1]

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The domains of the parameters that were given."""
        vector = constraints.real_vector
        return {"logits": vector, "loc": vector, self._factor.name: self._factor.constraint}

    @property
    def n_components(self) -> int:
        """K, the number of components."""
        return self.logits.shape[-1]

    @property
    def scale(self) -> Tensor:
        """Standard deviations of the components along the coordinates, (*batch, K, D), or as given for isotropic."""
        return self._factor.value if isinstance(self._factor, ScaleFactor) else self._factor.variance().sqrt()

    @property
    def scale_tril(self) -> Tensor:
        """Cholesky factors L of the components' covariances, Σ = LLᵀ, (*batch, K, D, D)."""
        return self._factor.scale_tril()

    @property
    def precision_tril(self) -> Tensor:
        """Factors A = L⁻¹ of the components' precisions, Σ⁻¹ = AᵀA, (*batch, K, D, D)."""
        return self._factor.precision_tril()

    @property
    def log_weights(self) -> Tensor:
        """log π, (*batch, K)."""
        return self.logits.log_softmax(-1)

    @property
    def weights(self) -> Tensor:
        """π = softmax(logits), (*batch, K)."""
        return self.logits.softmax(-1)

    @property
    def weight_entropy(self) -> Tensor:
        """Entropy of the weights H = -Σ πₖ log πₖ in nats, (*batch); 0 log 0 = 0."""
        log_weights = self.log_weights.clamp_min(torch.finfo(self.logits.dtype).min)
        return -(self.weights * log_weights).sum(-1)

    @property
    def effective_components(self) -> Tensor:
        """exp(H), the number of equally likely components with the same entropy, (*batch), from 1 to K."""
        return self.weight_entropy.exp()

    def expand(self: _Mixture, batch_shape: Sequence[int], _instance: Any = None) -> _Mixture:
        """The same mixture with its batch expanded; no copies.

        Args:
            batch_shape: The new batch shape, to which the present one broadcasts.
        """
        shape = (*batch_shape, self.n_components)
        loc = self.loc.expand(*shape, *self.event_shape)
        return self._like(self.logits.expand(shape), loc, self._factor, range(self.event_shape[0]))

    def take(self: _Mixture, rows: Tensor) -> _Mixture:
        """Some elements of a batch (B,), in the order given.

        Args:
            rows: Their numbers, (R,).
        """
        factor = self._factor.map(self._factor.value[rows])
        return self._like(self.logits[rows], self.loc[rows], factor, range(self.event_shape[0]))

    def _like(self: _Mixture, logits: Tensor, loc: Tensor, factor: Factor, dims: Sequence[int]) -> _Mixture:
        period = None if self.period is None else self.period[list(dims)]
        scale: dict[str, Any] = {factor.name: factor.value}
        made = type(self)(logits, loc, **scale, period=period, validate_args=False)  # these were checked
        made._validate_args = self._validate_args
        return made

    @cached_property
    def _image_counts(self) -> tuple[int, ...]:
        """Images on each side that each coordinate by itself needs; components with a scale need no others."""
        if self.period is None:
            return (0,) * self.event_shape[0]
        with torch.no_grad():
            stddev = torch.minimum(self._factor.variance().sqrt(), UNIFORM * self.period)
            return images_needed(self.weights, stddev, self.period)

    def _residual(self, value: Tensor) -> Tensor:
        self._check_value(value)
        return nearest_image(value.unsqueeze(-2) - self.loc, self.period)  # (*sample, *batch, K, D)

    def _check_value(self, value: Tensor) -> None:
        check_tensors(value=value)
        want = (*self.batch_shape, *self.event_shape)
        try:
            fits = value.shape[-1:] == self.event_shape
            _broadcast(value.shape, want)
        except RuntimeError:
            fits = False
        if not fits:
            raise ShapeError(
                f"value has shape {tuple(value.shape)}; this mixture takes (*sample, {', '.join(map(str, want))}), "
                "batch dimensions first and coordinates last.",
                shape=tuple(value.shape),
            )
        if self._validate_args and bool(value.isnan().any()):
            raise ShapeError("value contains NaN; remove those rows, or look for where they come from.")

    def _check_dims(self, dims: int | Sequence[int]) -> list[int]:
        given = [dims] if isinstance(dims, int) else list(dims)
        size = self.event_shape[0]
        found = [d + size if d < 0 else d for d in given]
        if not found or len(set(found)) < len(found) or not all(0 <= d < size for d in found):
            raise ShapeError(f"dims is {dims}; name different coordinates out of 0 to {size - 1}.", dims=dims)
        return found


@contextmanager
def checks_kept() -> Iterator[None]:
    """Around the import of a package that switches off the checks of all distributions, as Pyro does, and with it sbi."""
    before = Distribution._validate_args
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def check_tensors(**given: Any) -> None:
    """Refuse what is no tensor of real floating-point numbers.

    Raises:
        ShapeError: By name.
    """
    for name, value in given.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(f"{name} must be a torch tensor of real floating-point numbers; got {kind}.")


def _broadcast(*shapes: Sequence[int]) -> torch.Size:
    return torch.Size(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
