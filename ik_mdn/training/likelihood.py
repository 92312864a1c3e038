"""The mixture's negative log-likelihood and its gradient in one compiled pass.

What `ik_mdn.mixture.nll` says with autograd takes two thirds of a training step; here it is a tenth of that. Written for
the parts of a `MixtureHead`, one row of the batch after the other with all components side by side: on the CPU here, on
a GPU in `likelihood_triton`.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ik_mdn.model import LOG_SCALE_RANGE, MixtureParts

_ROWS_PER_THREAD = 64  # fewer are not worth a thread
_LEAST = np.float32(-40.0)  # exp of less is nothing beside 1; left in, it makes the products behind it, denormal, slow
_LOWEST, _HIGHEST = (np.float32(end) for end in LOG_SCALE_RANGE)
_inner = njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"}, inline="always")


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
    parts: MixtureParts, y: Tensor, period: Tensor, floor: Tensor | float, answers: Answers | None = None
) -> Tensor:
    """Mean negative log-likelihood of targets under the floor's blur, as `ik_mdn.mixture.nll` with `blur=floor`, ().

    Of a circular coordinate the image nearest to each mean counts: exact for components much narrower than the period,
    and a lower bound on the likelihood for wide ones.

    Args:
        parts: Of the mixture head, float32, (B, K, size) each, on the CPU or a CUDA device.
        y: Targets, (B, D), or (M, D) with `answers`.
        period: (D,), inf where a coordinate is not circular.
        floor: Added to every scale, and the standard deviation of the blur; on a GPU a tensor there, (), or a number.
        answers: Which targets belong to which mixture, where there are several, on the CPU only.
    """
    turn = torch.where(period.isinf(), torch.zeros_like(period), period).float()
    given = (raw_of(parts, y.shape[-1]), y.float().contiguous(), turn, torch.as_tensor(floor, device=y.device), answers)
    loss: Tensor = _CompiledNLL.apply(*given)  # type: ignore[no-untyped-call]
    return loss


def raw_of(parts: MixtureParts, dims: int) -> Tensor:
    """The numbers of mixtures as one pass reads them, (B, P, K): logit, means, log scales, rows of N below the diagonal."""
    scales = parts.log_scale.expand(-1, -1, dims)
    return torch.cat([parts.logits, parts.mean, scales, parts.tangle], dim=-1).transpose(1, 2).contiguous()


class _CompiledNLL(torch.autograd.Function):
    """The loss with the gradient that the same pass found."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, y: Tensor, turn: Tensor, floor: Tensor, answers: Answers | None) -> Tensor:
        gradient, loss = torch.empty_like(raw), torch.empty_like(raw[:, 0, 0])
        if raw.device.type == "cpu":
            on_cpu(raw, y, turn, floor, gradient, loss, answers)
        else:
            from ik_mdn.training.likelihood_triton import on_gpu

            on_gpu(raw, y, turn, floor, gradient, loss)
        ctx.save_for_backward(gradient)
        mean: Tensor = loss.mean() + 0.5 * len(turn) * math.log(2 * math.pi)
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * (grads[0] / len(gradient)), None, None, None, None


def on_cpu(
    raw: Tensor,
    y: Tensor,
    turn: Tensor,
    floor: Tensor,
    gradient: Tensor,
    loss: Tensor,
    answers: Answers | None = None,
) -> None:
    """Fill in the gradient (B, P, K) and the loss (B,) of every row, in as many threads as torch."""
    ends, share = answers or Answers(torch.arange(len(raw) + 1), torch.ones(len(raw)))
    arrays = _Arrays(*(each.detach().numpy() for each in (raw, y, ends, share, gradient, loss)))
    threads = max(1, min(torch.get_num_threads(), len(raw) // _ROWS_PER_THREAD))
    parts = [len(raw) * i // threads for i in range(threads + 1)]
    tangled = raw.shape[1] > 1 + 2 * len(turn)
    width, turns = np.float32(float(floor)), turn.numpy()
    jobs = [_pool(threads).submit(_rows, arrays, turns, width, tangled, *span) for span in pairwise(parts)]
    for job in jobs:
        job.result()


class _Arrays(NamedTuple):
    """What a pass reads and writes, float32."""

    raw: Any  # (B, P, K), see `raw_of`
    y: Any  # (M, D)
    ends: Any  # (B + 1,), where the targets of each row end
    share: Any  # (M,)
    gradient: Any  # (B, P, K)
    loss: Any  # (B,)


class _Work(NamedTuple):
    """Values of one row for all components side by side, (K,) or (D, K)."""

    log_peak: Any  # log of the weight times the density at the mean, under the blur
    share: Any  # responsibility for the target
    width: Any  # derivative of the scale by its parameter
    inverse: Any  # 1 / scale
    stretch: Any  # 1 + |row of N|²
    spring: Any  # of the blur
    residual: Any
    innovation: Any


@njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"}, nogil=True, cache=True)
def _rows(arrays, turn, floor, tangled, first, last):  # type: ignore[no-untyped-def]
    K, D = arrays.raw.shape[2], len(turn)
    one = lambda: np.zeros(K, np.float32)  # noqa: E731
    each = lambda: np.zeros((D, K), np.float32)  # noqa: E731
    work = _Work(one(), one(), each(), each(), each(), each(), each(), each())  # type: ignore[no-untyped-call]
    for b in range(first, last):
        raw, gradient = arrays.raw[b], arrays.gradient[b]
        _weigh(raw, gradient, work)
        _scale(raw, floor, tangled, work)
        arrays.loss[b] = np.float32(0.0)
        for m in range(arrays.ends[b], arrays.ends[b + 1]):
            arrays.loss[b] += _share(raw, gradient, arrays.y[m], arrays.share[m], turn, tangled, work)
            _differentiate(raw, gradient, floor, tangled, work)


@_inner
def _weigh(raw, gradient, work):  # type: ignore[no-untyped-def]
    """Log weights; the gradient starts as that of the weights, π for the logits."""
    K = len(work.share)
    highest = np.float32(-np.inf)
    for k in range(K):
        highest = max(highest, raw[0, k])
    total = np.float32(0.0)
    for k in range(K):
        work.share[k] = np.float32(math.exp(raw[0, k] - highest))
        total += work.share[k]
    log_total = highest + np.float32(math.log(total))
    gradient[1:, :] = np.float32(0.0)
    for k in range(K):
        work.log_peak[k] = raw[0, k] - log_total
        gradient[0, k] = work.share[k] / total


@_inner
def _scale(raw, floor, tangled, work):  # type: ignore[no-untyped-def]
    """Scales, and with them the peaks."""
    D, K = work.inverse.shape
    half, row = np.float32(0.5) * floor * floor, 1 + 2 * D
    for i in range(D):
        for k in range(K):
            free = raw[1 + D + i, k]
            bounded = min(max(free, _LOWEST), _HIGHEST)
            width = np.float32(math.exp(bounded))
            work.width[i, k] = width if free == bounded else np.float32(0.0)
            work.inverse[i, k] = np.float32(1.0) / (floor + width)
            work.stretch[i, k] = np.float32(1.0)
        for j in range(i if tangled else 0):
            for k in range(K):
                work.stretch[i, k] += raw[row + j, k] * raw[row + j, k]
        row += i
        for k in range(K):
            inverse = work.inverse[i, k]
            work.log_peak[k] += np.float32(math.log(inverse)) - half * work.stretch[i, k] * inverse * inverse


@_inner
def _share(raw, gradient, y, part, turn, tangled, work):  # type: ignore[no-untyped-def]
    """A target's part of the loss, and of the responsibilities, which are taken from the gradient of the logits."""
    D, K = work.inverse.shape
    joint = work.share  # log of weight and density, then the responsibility
    joint[:] = work.log_peak
    row = 1 + 2 * D
    for i in range(D):
        per_turn = np.float32(1.0) / turn[i] if turn[i] > 0 else np.float32(0.0)
        for k in range(K):
            away = y[i] - raw[1 + i, k]
            away -= turn[i] * np.floor(away * per_turn + np.float32(0.5))
            work.residual[i, k], work.innovation[i, k] = away, away
        for j in range(i if tangled else 0):
            for k in range(K):
                work.innovation[i, k] += raw[row + j, k] * work.residual[j, k]
        row += i
        for k in range(K):
            work.innovation[i, k] *= work.inverse[i, k]
            joint[k] -= np.float32(0.5) * work.innovation[i, k] * work.innovation[i, k]
    highest = np.float32(-np.inf)
    for k in range(K):
        highest = max(highest, joint[k])
    total = np.float32(0.0)
    for k in range(K):
        below = joint[k] - highest
        joint[k] = np.float32(0.0) if below <= _LEAST else np.float32(math.exp(below))
        total += joint[k]
    for k in range(K):
        work.share[k] *= part / total
        gradient[0, k] -= work.share[k]
    return -part * (highest + np.float32(math.log(total)))


@_inner
def _differentiate(raw, gradient, floor, tangled, work):  # type: ignore[no-untyped-def]
    """The gradient for means, scales and N, that of the blur's ½ floor² |A|² included."""
    D, K = work.inverse.shape
    row = 1 + 2 * D
    for i in range(D):
        for k in range(K):
            z, inverse = work.innovation[i, k], work.inverse[i, k]
            pull = work.share[k] * inverse
            blurred = floor * floor * inverse * inverse * work.stretch[i, k]
            gradient[1 + D + i, k] += pull * (np.float32(1.0) - z * z - blurred) * work.width[i, k]
            work.innovation[i, k] = pull * z
            work.spring[i, k] = floor * floor * pull * inverse
            gradient[1 + i, k] -= pull * z
        for j in range(i if tangled else 0):
            for k in range(K):
                pull, n = work.innovation[i, k], raw[row + j, k]
                gradient[1 + j, k] -= pull * n
                gradient[row + j, k] += pull * work.residual[j, k] + work.spring[i, k] * n
        row += i


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="likelihood")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not come along
