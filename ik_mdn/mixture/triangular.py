"""Log density of a Gaussian from a triangular factor, for huge batches of tiny matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def triangular_log_kernel(factor: Tensor, residual: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """Log density of zero-mean Gaussians without the constant -D/2 log 2π, and the whitened residuals.

    With precision factor A (Σ⁻¹ = AᵀA): Σᵢ log Aᵢᵢ - ½|A r|². With Cholesky factor L (Σ = LLᵀ):
    -Σᵢ log Lᵢᵢ - ½|L⁻¹ r|². One fused step with its own gradient: the general operators take two to three times
    as long at D = 6, because each of them writes another tensor as large as the factor.

    Args:
        factor: Lower triangular with a positive diagonal, (*batch, K, D, D).
        residual: Points minus means, (*sample, *batch, K, D).
        inverse: True where the factor is L of the covariance, False where it is A of the precision.

    Returns:
        (*sample, *batch, K), whose gradient for the factor is lower triangular; and z, (*sample, *batch, K, D).
    """
    if residual.shape[:-1] == factor.shape[:-2]:
        both: tuple[Tensor, Tensor] = _LogKernel.apply(factor, residual, inverse)  # type: ignore[no-untyped-call]
        return both
    z = whiten(factor, residual, inverse=inverse)
    return _log_kernel(factor, z, inverse), z


def whiten(factor: Tensor, residual: Tensor, *, inverse: bool) -> Tensor:
    """The residuals in units of standard deviations, z = A r or z = L⁻¹ r, shaped like the residuals.

    Args:
        factor: Lower triangular, (*batch, K, D, D).
        residual: (*sample, *batch, K, D); sample dimensions become columns, so the factor is never copied.
        inverse: True for L⁻¹ r, False for A r.
    """
    n_sample = max(residual.dim() - (factor.dim() - 1), 0)
    columns = residual.unsqueeze(0) if n_sample == 0 else residual.flatten(0, n_sample - 1)
    columns = columns.movedim(0, -1)  # (*batch, K, D, S)
    z: Tensor = solve_lower(factor, columns) if inverse else factor.tril() @ columns
    return z.movedim(-1, 0).reshape(residual.shape[:n_sample] + z.shape[:-1])


def triangular_inverse(factor: Tensor) -> Tensor:
    """The inverse of a lower triangular matrix, lower triangular too, (..., D, D).

    Row by row across the whole batch; LAPACK is called once per matrix and is slower for small D.
    """
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    rows: list[Tensor] = []
    for i in range(factor.shape[-1]):
        row = eye[i].expand(factor.shape[:-1])
        for j in range(i):
            row = torch.addcmul(row, factor[..., i, j : j + 1], rows[j], value=-1)
        rows.append(row / factor[..., i, i : i + 1])
    return torch.stack(rows, dim=-2)


def solve_lower(lower: Tensor, columns: Tensor) -> Tensor:
    """L⁻¹ B by the general solver: for many columns, or where second derivatives are needed.

    Args:
        lower: L, lower triangular, (..., D, D).
        columns: B, (..., D, S).

    Returns:
        (..., D, S).
    """
    solution: Tensor = torch.linalg.solve_triangular(lower, columns, upper=False)
    return solution


def squared_length(z: Tensor) -> Tensor:
    """Σᵢ zᵢ² over the last dimension; its gradient costs a third of that of z.square().sum(-1)."""
    squares: Tensor = torch.linalg.vecdot(z, z)
    return squares


def lower_factor(root: Tensor) -> Tensor:
    """The lower triangular L with positive diagonal and LLᵀ = MMᵀ, (..., m, m).

    From the QR decomposition Mᵀ = QR, L = Rᵀ, which does not square the condition number as forming MMᵀ would.

    Args:
        root: M with full row rank, (..., m, D), m <= D.
    """
    lower: Tensor = torch.linalg.qr(root.mT)[1].mT
    sign = torch.where(lower.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(lower.dtype)
    return (lower * sign.unsqueeze(-2)).tril()


class _LogKernel(torch.autograd.Function):
    """Log kernel and whitened residual, with the gradient written out."""

    @staticmethod
    def forward(factor: Tensor, residual: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        z = substitute(factor, residual) if inverse else (factor @ residual.unsqueeze(-1)).squeeze(-1)
        return _log_kernel(factor, z, inverse), z

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        factor, residual, ctx.inverse = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(factor, residual, output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        factor, residual, z = ctx.saved_tensors
        # A saved z carries no graph: a second derivative needs it again as a function of the inputs.
        twice = torch.is_grad_enabled()
        if ctx.inverse:
            return (*_cholesky_grads(factor, residual, None if twice else z, grads[0]), None)
        return (*_precision_grads(factor, residual, None if twice else z, grads[0]), None)


def _log_kernel(factor: Tensor, z: Tensor, inverse: bool) -> Tensor:
    # A strided log runs unvectorised, ten times slower than the copy that makes it contiguous.
    log_det = factor.diagonal(dim1=-2, dim2=-1).contiguous().log().sum(-1)  # (*batch, K)
    return (-log_det if inverse else log_det) - 0.5 * squared_length(z)


def _precision_grads(factor: Tensor, residual: Tensor, z: Tensor | None, grad: Tensor) -> tuple[Tensor, Tensor]:
    """d/dA = tril(-z rᵀ) + diag(1/Aᵢᵢ), d/dr = -Aᵀz, each times the incoming gradient."""
    if z is None:
        factor = factor.tril()
        z = (factor @ residual.unsqueeze(-1)).squeeze(-1)
    u = -grad.unsqueeze(-1) * z
    of_residual = (u.unsqueeze(-2) @ factor).squeeze(-2)
    return _outer_plus_diagonal(u, residual, factor, grad), of_residual


def _cholesky_grads(factor: Tensor, residual: Tensor, z: Tensor | None, grad: Tensor) -> tuple[Tensor, Tensor]:
    """d/dL = tril(w zᵀ) - diag(1/Lᵢᵢ), d/dr = -w with w = L⁻ᵀz, each times the incoming gradient."""
    if z is None:
        z = solve_lower(factor, residual.unsqueeze(-1)).squeeze(-1)
        u = grad.unsqueeze(-1) * z
        w = torch.linalg.solve_triangular(factor.mT, u.unsqueeze(-1), upper=True).squeeze(-1)
    else:
        w = substitute_transposed(factor, grad.unsqueeze(-1) * z)
    return _outer_plus_diagonal(w, z, factor, -grad), -w


def _outer_plus_diagonal(u: Tensor, v: Tensor, factor: Tensor, grad: Tensor) -> Tensor:
    """tril(u vᵀ) + diag(grad / factorᵢᵢ), (..., D, D)."""
    diagonal = grad.unsqueeze(-1) / factor.diagonal(dim1=-2, dim2=-1)
    if torch.is_grad_enabled():
        return (u.unsqueeze(-1) * v.unsqueeze(-2)).tril() + torch.diag_embed(diagonal)
    out = torch.zeros_like(factor, memory_format=torch.contiguous_format)
    for i in range(out.shape[-1]):  # row by row: tril of the outer product would pass over it three times
        torch.mul(u[..., i : i + 1], v[..., : i + 1], out=out[..., i, : i + 1])
    out.diagonal(dim1=-2, dim2=-1).add_(diagonal)
    return out


def substitute(lower: Tensor, rhs: Tensor) -> Tensor:
    """L⁻¹ r by columns across the whole batch; LAPACK is called once per matrix and is slower for small D.

    Args:
        lower: L, lower triangular, (..., D, D).
        rhs: r, (..., D), the batch shape of L; left as it is.

    Returns:
        (..., D). Written in place inside: not for autograd (`solve_lower` is).
    """
    z = rhs.clone(memory_format=torch.contiguous_format)
    for j in range(z.shape[-1]):
        z[..., j].div_(lower[..., j, j])
        z[..., j + 1 :].addcmul_(lower[..., j + 1 :, j], z[..., j : j + 1], value=-1)
    return z


def substitute_transposed(lower: Tensor, rhs: Tensor) -> Tensor:
    """L⁻ᵀ r by columns across the whole batch; see `substitute`.

    Args:
        lower: L, lower triangular, (..., D, D).
        rhs: r, (..., D), the batch shape of L; left as it is.

    Returns:
        (..., D). Not for autograd.
    """
    w = rhs.clone(memory_format=torch.contiguous_format)
    for j in reversed(range(w.shape[-1])):
        w[..., j].div_(lower[..., j, j])
        w[..., :j].addcmul_(lower[..., j, :j], w[..., j : j + 1], value=-1)
    return w
