"""The likelihood's pass on the CPU, from what leaves a head to the gradient of that; see `likelihood`."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ik_mdn.model import LOG_SCALE_RANGE, MixtureShape

_ROWS_PER_THREAD = 64  # fewer are not worth a thread
_LEAST = np.float32(-40.0)  # exp of less is nothing beside 1; left in, it makes the products behind it, denormal, slow
_LOWEST, _HIGHEST = (np.float32(end) for end in LOG_SCALE_RANGE)
_TINY = np.finfo(np.float32).tiny
# of x², x⁴, … in arctan(x) / x - 1, to 2e-8 up to x = 1 (Abramowitz & Stegun 1964, 4.4.49)
_A, _B, _C, _D = (np.float32(a) for a in (-0.3333314528, 0.1999355085, -0.1420889944, 0.1065626393))
_E, _F, _G, _H = (np.float32(a) for a in (-0.0752896400, 0.0429096138, -0.0161657367, 0.0028662257))
_inner = njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"}, inline="always")


def on_cpu(
    shape: MixtureShape,
    turn: Tensor,
    y: Tensor,
    floor: float,
    answers: tuple[Tensor, Tensor] | None,
    numbers: Tensor,
    gradient: Tensor,
    loss: Tensor,
) -> None:
    """Fill in the gradient (B, K, S) of a head's numbers and the loss (B,) of every row, in as many threads as torch."""
    ends, share = answers or (torch.arange(len(numbers) + 1), torch.ones(len(numbers)))
    arrays = _Arrays(*(each.detach().numpy() for each in (numbers, y, ends, share, gradient, loss)))
    threads = max(1, min(torch.get_num_threads(), len(numbers) // _ROWS_PER_THREAD))
    parts = [len(numbers) * i // threads for i in range(threads + 1)]
    rows = partial(_rows, arrays, _Columns.of(shape), turn.numpy(), np.float32(floor), shape.covariance == "full")
    jobs = [_pool(threads).submit(rows, *span) for span in pairwise(parts)]
    for job in jobs:
        job.result()


class _Arrays(NamedTuple):
    """What a pass reads and writes, float32."""

    numbers: Any  # (B, K, S)
    y: Any  # (M, D)
    ends: Any  # (B + 1,), where the targets of each row end
    share: Any  # (M,)
    gradient: Any  # (B, K, S)
    loss: Any  # (B,)


class _Columns(NamedTuple):
    """Where among a component's numbers is what; the logit comes first, the D means, or their cosines, follow."""

    sine: Any  # (D,), -1 where a mean is said as it is
    scale: Any  # (D,), the same one for all of an isotropic component
    tangle: int  # the first

    @classmethod
    def of(cls, shape: MixtureShape) -> _Columns:
        """Those of a head."""
        sine, first = np.full(shape.dims, -1), 1 + shape.dims
        sine[list(shape.turning)] = first + np.arange(len(shape.turning))
        first += len(shape.turning)
        own = shape.covariance != "isotropic"
        return cls(sine, first + own * np.arange(shape.dims), first + (shape.dims if own else 1))


class _Work(NamedTuple):
    """Values of one row for all components side by side, (K,), (D, K) or (S, K)."""

    raw: Any  # the numbers, angles in place of cosines, and for sines how much the angle grows with them
    gradient: Any
    slope: Any  # how much an angle grows with its cosine
    log_peak: Any  # log of the weight times the density at the mean, under the blur
    share: Any  # responsibility for the target
    width: Any  # derivative of the scale by its parameter
    inverse: Any  # 1 / scale
    stretch: Any  # 1 + |row of N|²
    spring: Any  # of the blur
    residual: Any
    innovation: Any


@njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"}, nogil=True, cache=True)
def _rows(arrays, columns, turn, floor, tangled, first, last):  # type: ignore[no-untyped-def]
    K, S, D = arrays.numbers.shape[1], arrays.numbers.shape[2], len(turn)
    one = lambda: np.zeros(K, np.float32)  # noqa: E731
    each = lambda: np.zeros((D, K), np.float32)  # noqa: E731
    every = lambda: np.zeros((S, K), np.float32)  # noqa: E731
    work = _Work(every(), every(), each(), one(), one(), each(), each(), each(), each(), each(), each())  # type: ignore[no-untyped-call]
    for b in range(first, last):
        _transpose(arrays.numbers[b], work.raw)
        _turn(columns, turn, work)
        _weigh(work)
        _scale(columns, floor, tangled, work)
        arrays.loss[b] = np.float32(0.0)
        for m in range(arrays.ends[b], arrays.ends[b + 1]):
            arrays.loss[b] += _share(columns, arrays.y[m], arrays.share[m], turn, tangled, work)
            _differentiate(columns, floor, tangled, work)
        _turn_back(columns, work)
        _transpose(work.gradient, arrays.gradient[b])


@_inner
def _transpose(a, out):  # type: ignore[no-untyped-def]
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j, i] = a[i, j]


@_inner
def _turn(columns, turn, work):  # type: ignore[no-untyped-def]
    """Angles from cosines and sines, and their derivatives."""
    D, K = work.slope.shape
    for i in range(D):
        sine = columns.sine[i]
        if sine >= 0:
            per_radian = turn[i] / np.float32(2 * math.pi)
            cosines, sines, slope = work.raw[1 + i], work.raw[sine], work.slope[i]
            for k in range(K):
                c, s = cosines[k], sines[k]
                part = per_radian / max(c * c + s * s, _TINY)
                cosines[k] = per_radian * _angle(s, c)
                sines[k] = c * part
                slope[k] = -s * part


@_inner
def _angle(s, c):  # type: ignore[no-untyped-def]
    """`atan2(s, c)` to a few 1e-7, without branches, so that components take it together."""
    x, y = abs(c), abs(s)
    ratio = min(x, y) / max(max(x, y), _TINY)
    u = ratio * ratio
    low, high = u * (_A + u * (_B + u * (_C + u * _D))), _E + u * (_F + u * (_G + u * _H))
    angle = ratio * (np.float32(1.0) + low + u * u * (u * u) * u * high)
    angle = np.float32(0.5 * math.pi) - angle if y > x else angle
    angle = np.float32(math.pi) - angle if c < 0 else angle
    return -angle if s < 0 else angle


@_inner
def _turn_back(columns, work):  # type: ignore[no-untyped-def]
    """The gradient for cosines and sines, from that for angles."""
    D, K = work.slope.shape
    for i in range(D):
        sine = columns.sine[i]
        if sine >= 0:
            for k in range(K):
                along = work.gradient[1 + i, k]
                work.gradient[1 + i, k] = along * work.slope[i, k]
                work.gradient[sine, k] = along * work.raw[sine, k]


@_inner
def _weigh(work):  # type: ignore[no-untyped-def]
    """Log weights; the gradient starts as that of the weights, π for the logits."""
    raw, gradient, K = work.raw, work.gradient, len(work.share)
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
def _scale(columns, floor, tangled, work):  # type: ignore[no-untyped-def]
    """Scales, and with them the peaks."""
    raw, (D, K) = work.raw, work.inverse.shape
    half, row = np.float32(0.5) * floor * floor, columns.tangle
    for i in range(D):
        for k in range(K):
            free = raw[columns.scale[i], k]
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
def _share(columns, y, part, turn, tangled, work):  # type: ignore[no-untyped-def]
    """A target's part of the loss, and of the responsibilities, which are taken from the gradient of the logits."""
    raw, gradient, (D, K) = work.raw, work.gradient, work.inverse.shape
    joint = work.share  # log of weight and density, then the responsibility
    joint[:] = work.log_peak
    row = columns.tangle
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
def _differentiate(columns, floor, tangled, work):  # type: ignore[no-untyped-def]
    """The gradient for means, scales and N, that of the blur's ½ floor² |A|² included."""
    raw, gradient, (D, K) = work.raw, work.gradient, work.inverse.shape
    row = columns.tangle
    for i in range(D):
        for k in range(K):
            z, inverse = work.innovation[i, k], work.inverse[i, k]
            pull = work.share[k] * inverse
            blurred = floor * floor * inverse * inverse * work.stretch[i, k]
            gradient[columns.scale[i], k] += pull * (np.float32(1.0) - z * z - blurred) * work.width[i, k]
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
