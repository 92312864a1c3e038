"""Products of matrices behind the loss, in bfloat16: enough for gradients, and too little for a sharp density."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


def coarse_gradients(device: torch.device) -> AbstractContextManager[Any]:
    """Within it, linear layers of float32 give their result as always and take their gradients' products in bfloat16.

    That halves the time of these products (Micikevicius et al. 2018, Mixed precision training). Only on processors that
    have them; elsewhere, and on a GPU, nothing changes.

    Args:
        device: Where the layers are.
    """
    has_halves = device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # nothing public tells it
    )
    return _CoarseGradients() if has_halves else nullcontext()


class _CoarseGradients(TorchFunctionMode):
    """Takes the place of `torch.nn.functional.linear` on rows."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call what was asked for, or that."""
        if func is linear and not kwargs and len(args) == 3 and args[0].ndim == 2 and args[0].dtype == torch.float32:
            return _Linear.apply(*args)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    """x Wᵀ + b of rows, (B, n), with its gradients' products in bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = grads
        half = gradient.bfloat16()
        for_x = (half @ weight.bfloat16()).float() if ctx.needs_input_grad[0] else None
        return for_x, (half.T @ x.bfloat16()).float(), gradient.sum(0)
