"""The scale of mixture components: isotropic, diagonal, Cholesky, or precision factor, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor
from torch.distributions import constraints

from ik_mdn.mixture.triangular import lower_factor, squared_length, triangular_inverse, triangular_log_kernel
from sim.errors import ShapeError

# A wrapped normal with this standard deviation in periods is uniform up to 2 exp(-2π² 1.5²) = 1e-19: wider ones
# are the same density, and need no more images.
UNIFORM = 1.5

_Factor = TypeVar("_Factor", bound="Factor")


@dataclass(frozen=True)
class Factor(ABC):
    """What determines the covariances of K components.

    Args:
        value: The tensor as given, (..., K, D), (..., K, 1) or (..., K, D, D).
        size: D.
    """

    value: Tensor
    size: int

    name: ClassVar[str] = ""  # the argument that it comes from
    matrix_dims: ClassVar[int] = 2  # dimensions of the value after (..., K)
    constraint: ClassVar[constraints.Constraint] = constraints.lower_cholesky

    @abstractmethod
    def log_kernel(self, residual: Tensor) -> Tensor:
        """Log density at points minus means (*sample, ..., K, D), without -D/2 log 2π, (*sample, ..., K)."""

    @abstractmethod
    def scale_tril(self) -> Tensor:
        """The Cholesky factor L of the covariance, Σ = LLᵀ, (..., K, D, D)."""

    @abstractmethod
    def precision_tril(self) -> Tensor:
        """The factor A of the precision, Σ⁻¹ = AᵀA, A = L⁻¹, (..., K, D, D)."""

    @abstractmethod
    def variance(self) -> Tensor:
        """The variance of the components along each coordinate, (..., K, D)."""

    @abstractmethod
    def rows(self, dims: Sequence[int]) -> Factor:
        """The factor of the marginals on some coordinates (numbers from 0 to D - 1), in the order given."""

    @abstractmethod
    def colour(self, eps: Tensor, index: Tensor) -> Tensor:
        """Standard normal numbers turned into deviations of components.

        Args:
            eps: (D, N).
            index: Which of the components of the flattened batch, (N,).

        Returns:
            (D, N), differentiable by the value.
        """

    def _entries(self, index: Tensor) -> _Entries:
        """The value's entries, row by row, of components of the flattened batch (N,)."""
        return _Entries(self.value.flatten(0, -1 - self.matrix_dims).flatten(1), index)

    def map(self: _Factor, value: Tensor) -> _Factor:
        """The same kind of factor with another value."""
        return replace(self, value=value)

    def covariance(self) -> Tensor:
        """Σ = LLᵀ, (..., K, D, D)."""
        tril = self.scale_tril()
        return tril @ tril.mT


class ScaleFactor(Factor):
    """Standard deviations along the coordinates, (..., K, D), or one for all of them, (..., K, 1)."""

    name = "scale"
    matrix_dims = 1
    constraint = constraints.positive

    def log_kernel(self, residual: Tensor) -> Tensor:
        """-½ Σᵢ (rᵢ/σᵢ)² - Σᵢ log σᵢ for residuals r (*sample, ..., K, D), (*sample, ..., K)."""
        z = residual / self.value
        return -0.5 * squared_length(z) - self._log_det()

    def log_kernel_images(self, residual: Tensor, counts: Sequence[int], period: Tensor) -> Tensor:
        """Log kernel summed over images; it factorises over coordinates, so D coordinates cost a sum, no product.

        Args:
            residual: To the nearest image, (*sample, ..., K, D).
            counts: Images on each side, per coordinate.
            period: (D,), inf where not circular.

        Returns:
            (*sample, ..., K).
        """
        step = torch.where(period.isfinite(), period, 0.0)
        limit = torch.tensor(counts, device=period.device)
        scale = torch.minimum(self._scale(), UNIFORM * period)
        terms = []
        for m in range(-max(counts), max(counts) + 1):
            term = -0.5 * ((residual + m * step) / scale).square()
            terms.append(term.masked_fill(abs(m) > limit, -torch.inf))
        return (torch.stack(terms).logsumexp(0) - scale.log()).sum(-1)

    def scale_tril(self) -> Tensor:
        """L = diag(σ), (..., K, D, D)."""
        return torch.diag_embed(self._scale())

    def precision_tril(self) -> Tensor:
        """A = diag(1/σ), (..., K, D, D)."""
        return torch.diag_embed(self._scale().reciprocal())

    def variance(self) -> Tensor:
        """σ², (..., K, D)."""
        return self._scale().square()

    def rows(self, dims: Sequence[int]) -> ScaleFactor:
        """The scales of some coordinates; isotropic stays isotropic."""
        isotropic = self.value.shape[-1] != self.size
        return ScaleFactor(self.value if isotropic else self.value[..., list(dims)], len(dims))

    def colour(self, eps: Tensor, index: Tensor) -> Tensor:
        """Deviations σ ε; see `Factor.colour`."""
        entry = self._entries(index)
        width = self.value.shape[-1]
        return torch.stack([eps[i] * entry(i % width) for i in range(self.size)])

    def _scale(self) -> Tensor:
        return self.value.expand(*self.value.shape[:-1], self.size)

    def _log_det(self) -> Tensor:
        return self.value.log().sum(-1) * (self.size // self.value.shape[-1])


class TriangularFactor(Factor):
    """A lower triangular matrix with positive diagonal, (..., K, D, D): a full covariance."""

    inverse: ClassVar[bool]  # whether residuals are whitened by the inverse of the value

    def log_kernel(self, residual: Tensor) -> Tensor:
        """Σᵢ log Aᵢᵢ - ½|z|² for residuals r (*sample, ..., K, D), (*sample, ..., K)."""
        return self.log_kernel_and_innovations(residual)[0]

    def log_kernel_and_innovations(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """The log kernel, and z = A r, independent standard normal numbers if r ~ N(0, Σ), (*sample, ..., K, D)."""
        return triangular_log_kernel(self.value, residual, inverse=self.inverse)

    @abstractmethod
    def precision_diagonal(self) -> Tensor:
        """Aᵢᵢ, one over the standard deviation of each coordinate given those before it, (..., K, D)."""


class CholeskyFactor(TriangularFactor):
    """L lower triangular with positive diagonal, Σ = LLᵀ, (..., K, D, D)."""

    name = "scale_tril"
    inverse = True

    def precision_diagonal(self) -> Tensor:
        """1/Lᵢᵢ, (..., K, D)."""
        return self.value.diagonal(dim1=-2, dim2=-1).reciprocal()

    def scale_tril(self) -> Tensor:
        """L as given, (..., K, D, D)."""
        return self.value

    def precision_tril(self) -> Tensor:
        """A = L⁻¹, (..., K, D, D)."""
        return triangular_inverse(self.value)

    def variance(self) -> Tensor:
        """Σⱼ Lᵢⱼ², (..., K, D)."""
        return squared_length(self.value)

    def rows(self, dims: Sequence[int]) -> CholeskyFactor:
        """The Cholesky factor of the marginal covariance: the leading block of L, else by QR of its rows."""
        leading = list(dims) == list(range(len(dims)))
        n = len(dims)
        value = self.value[..., :n, :n] if leading else lower_factor(self.value[..., list(dims), :])
        return CholeskyFactor(value, n)

    def colour(self, eps: Tensor, index: Tensor) -> Tensor:
        """Deviations L ε; see `Factor.colour`."""
        entry = self._entries(index)
        rows = []
        for i in range(self.size):
            row = eps[0] * entry(i * self.size)
            for j in range(1, i + 1):
                row = row.addcmul_(eps[j], entry(i * self.size + j))
            rows.append(row)
        return torch.stack(rows)


class PrecisionFactor(TriangularFactor):
    """A lower triangular with positive diagonal, Σ⁻¹ = AᵀA, (..., K, D, D): nothing is solved in the log kernel."""

    name = "precision_tril"
    inverse = False

    def precision_diagonal(self) -> Tensor:
        """Aᵢᵢ as given, (..., K, D)."""
        return self.value.diagonal(dim1=-2, dim2=-1)

    def scale_tril(self) -> Tensor:
        """L = A⁻¹, (..., K, D, D)."""
        return triangular_inverse(self.value)

    def precision_tril(self) -> Tensor:
        """A as given, (..., K, D, D)."""
        return self.value

    def variance(self) -> Tensor:
        """Σⱼ Lᵢⱼ² with L = A⁻¹, (..., K, D)."""
        tril = self.scale_tril()
        return squared_length(tril)

    def rows(self, dims: Sequence[int]) -> CholeskyFactor:
        """As of the Cholesky factor A⁻¹: marginals are rows of a covariance, not of a precision."""
        return CholeskyFactor(self.scale_tril(), self.size).rows(dims)

    def colour(self, eps: Tensor, index: Tensor) -> Tensor:
        """Deviations A⁻¹ ε; see `Factor.colour`."""
        entry = self._entries(index)
        rows: list[Tensor] = []
        for i in range(self.size):  # forward substitution: nothing is inverted for components that are not drawn
            row = eps[i].clone()
            for j in range(i):
                row = row.addcmul_(rows[j], entry(i * self.size + j), value=-1)
            rows.append(row / entry(i * self.size + i))
        return torch.stack(rows)


_KINDS: dict[str, type[Factor]] = {kind.name: kind for kind in (ScaleFactor, CholeskyFactor, PrecisionFactor)}


def factor_from(loc: Tensor, given: dict[str, Tensor]) -> Factor:
    """The factor that the one given scale argument describes.

    Args:
        loc: Means, (*batch, K, D).
        given: The scale arguments that are not None, by name.

    Raises:
        ShapeError: none or several are given, or the shape does not fit the means.
    """
    if len(given) != 1:
        raise ShapeError(
            f"{sorted(given) or 'no scale'} given; give exactly one of scale, scale_tril, precision_tril.",
            given=tuple(given),
        )
    ((name, value),) = given.items()
    size = loc.shape[-1] if loc.dim() else 0
    allowed = [(size,), (1,)] if name == "scale" else [(size, size)]
    shape = tuple(value.shape[value.dim() - len(allowed[0]) :])
    if loc.dim() < 2 or size < 1 or loc.shape[-2] < 1 or value.dim() <= len(allowed[0]) or shape not in allowed:
        raise ShapeError(
            f"{name} has shape {tuple(value.shape)} beside loc {tuple(loc.shape)}; loc must be (*batch, K, D) and "
            f"{name} (*batch, K, {'D) or (*batch, K, 1' if name == 'scale' else 'D, D'}).",
            shape=tuple(value.shape),
        )
    return _KINDS[name](value, size)


class _Entries:
    """One entry of the drawn components' factors at a time, so that no factor is copied once per draw."""

    def __init__(self, table: Tensor, index: Tensor) -> None:
        few = index.shape[0] < table.shape[0]  # then pick rows first, else columns first
        self.table = table.index_select(0, index) if few else table
        self.index = None if few else index

    def __call__(self, column: int) -> Tensor:
        entry = self.table[:, column]
        return entry if self.index is None else entry.contiguous().index_select(0, self.index)
