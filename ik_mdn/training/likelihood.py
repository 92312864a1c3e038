"""The mixture's negative log-likelihood and its gradient in one compiled pass.

What `ik_mdn.mixture.nll` says with autograd takes two thirds of a training step; here it is a tenth of that. Written for
the numbers of a `MixtureHead`, one row of the batch after the other with all components side by side: on the CPU in
`likelihood_numba`, on a GPU in `likelihood_triton`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from ik_mdn.model import MixtureHead, MixtureParts

Fill: TypeAlias = Callable[[Tensor, Tensor, Tensor], None]  # from numbers to their gradient and to the losses, in place


class Answers(NamedTuple):
    """Several targets for each of B inputs, M in all; the loss of an input is the mean of theirs by their shares.

    Args:
        ends: Input i has the targets `ends[i]:ends[i + 1]`, (B + 1,), int64.
        share: (M,), float32, 1 in sum over each input's.
    """

    ends: Tensor
    share: Tensor


def compiles_for(device: torch.device) -> bool:
    """Whether `compiled_nll` can run there: on the CPU, and on a GPU where torch came with Triton."""
    return device.type == "cpu" or find_spec("triton") is not None


def compiled_nll(
    head: MixtureHead, numbers: Tensor, y: Tensor, floor: Tensor | float, answers: Answers | None = None
) -> Tensor:
    """Mean negative log-likelihood of targets under the floor's blur, as `ik_mdn.mixture.nll` with `blur=floor`, ().

    Of a circular coordinate the image nearest to each mean counts: exact for components much narrower than the period,
    and a lower bound on the likelihood for wide ones.

    Args:
        head: What says the numbers.
        numbers: Of B mixtures (`MixtureHead.numbers`), float32, on the CPU or a CUDA device.
        y: Targets, (B, D), or (M, D) with `answers`.
        floor: Added to every scale, and the standard deviation of the blur; on a GPU a tensor there, (), or a number.
        answers: Which targets belong to which mixture, where there are several, on the CPU only.
    """
    dims, turn = y.shape[-1], torch.where(head.period.isinf(), torch.zeros_like(head.period), head.period)
    y = y.float().contiguous()
    if numbers.device.type == "cpu":
        from ik_mdn.training.likelihood_numba import on_cpu

        fill = partial(on_cpu, head.shape, turn, y, float(floor), answers)
    else:
        from ik_mdn.training.likelihood_triton import on_gpu

        numbers = raw_of(head.parts_of(numbers), dims)
        fill = partial(on_gpu, turn, y, torch.as_tensor(floor, device=y.device))
    loss: Tensor = _CompiledNLL.apply(numbers, fill)  # type: ignore[no-untyped-call]
    return loss + 0.5 * dims * math.log(2 * math.pi)


def raw_of(parts: MixtureParts, dims: int) -> Tensor:
    """The numbers of mixtures as a GPU reads them, (B, P, K): logit, means, log scales, rows of N below the diagonal."""
    scales = parts.log_scale.expand(-1, -1, dims)
    return torch.cat([parts.logits, parts.mean, scales, parts.tangle], dim=-1).transpose(1, 2).contiguous()


class _CompiledNLL(torch.autograd.Function):
    """The mean loss, but for its constant, with the gradient that the same pass found."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor, fill: Fill) -> Tensor:
        gradient, loss = torch.empty_like(numbers), numbers.new_empty(len(numbers))
        fill(numbers, gradient, loss)
        ctx.save_for_backward(gradient)
        return loss.mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * (grads[0] / len(gradient)), None
