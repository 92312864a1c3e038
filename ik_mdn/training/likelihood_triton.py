"""The likelihood's pass on a GPU: one program per row, one lane per component; see `likelihood_numba`, whose formulas these are."""

# ruff: noqa: RUF005 - Triton does not know unpacking
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ik_mdn.model import LOG_SCALE_RANGE

_LOWEST, _HIGHEST = LOG_SCALE_RANGE


def on_gpu(turn: Tensor, y: Tensor, floor: Tensor, raw: Tensor, gradient: Tensor, loss: Tensor) -> None:
    """Fill in the gradient (B, P, K) of `likelihood.raw_of` and the loss (B,) of every row."""
    rows, numbers, components = raw.shape
    dims = len(turn)
    block = max(32, triton.next_power_of_2(components))
    shape = {"P": numbers, "D": dims, "TANGLED": numbers > 1 + 2 * dims, "BLOCK": block}
    bounds = {"LOWEST": _LOWEST, "HIGHEST": _HIGHEST}
    _row[(rows,)](
        raw, y, turn, floor.float(), gradient, loss, components, **shape, **bounds, num_warps=min(8, block // 32)
    )


@triton.jit  # type: ignore[untyped-decorator]
def _row(raw, y, turn, at_floor, gradient, loss, K, P: tl.constexpr, D: tl.constexpr, TANGLED: tl.constexpr, BLOCK: tl.constexpr, LOWEST: tl.constexpr, HIGHEST: tl.constexpr):  # type: ignore[no-untyped-def] # fmt: skip
    b, k = tl.program_id(0), tl.arange(0, BLOCK)
    used, floor = k < K, tl.load(at_floor)
    raw += b * P * K + k
    gradient += b * P * K + k
    logits = tl.load(raw, used, -float("inf"))
    prior = tl.exp(logits - tl.max(logits, 0))
    total = tl.sum(prior, 0)
    prior = prior / total
    joint = logits - tl.max(logits, 0) - tl.log(total)
    away, inverse, innovation, stretch, width = (), (), (), (), ()
    for i in tl.static_range(D):
        free = tl.load(raw + (1 + D + i) * K, used, 0.0)
        bounded = tl.minimum(tl.maximum(free, LOWEST), HIGHEST)
        scale = tl.exp(bounded)
        width = width + (tl.where(free == bounded, scale, 0.0),)
        inverse = inverse + (1.0 / (floor + scale),)
        period = tl.load(turn + i)
        rest = tl.load(y + b * D + i) - tl.load(raw + (1 + i) * K, used, 0.0)
        rest = rest - tl.where(period > 0, period * tl.floor(rest / period + 0.5), 0.0)
        away = away + (rest,)
        long = tl.full((BLOCK,), 1.0, tl.float32)
        if TANGLED:
            for j in tl.static_range(i):
                n = tl.load(raw + (1 + 2 * D + i * (i - 1) // 2 + j) * K, used, 0.0)
                rest += n * away[j]
                long += n * n
        stretch = stretch + (long,)
        innovation = innovation + (rest * inverse[i],)
        joint += tl.log(inverse[i]) - 0.5 * inverse[i] * inverse[i] * (floor * floor * long + rest * rest)
    highest = tl.max(joint, 0)
    share = tl.exp(joint - highest)
    total = tl.sum(share, 0)
    share = share / total
    tl.store(loss + b, -(highest + tl.log(total)))
    tl.store(gradient, prior - share, used)
    pull = ()
    for i in tl.static_range(D):
        z, blurred = innovation[i], floor * floor * inverse[i] * inverse[i] * stretch[i]
        tl.store(gradient + (1 + D + i) * K, share * inverse[i] * (1.0 - z * z - blurred) * width[i], used)
        pull = pull + (share * inverse[i] * z,)
    for j in tl.static_range(D):
        along = pull[j]
        if TANGLED:
            for i in tl.static_range(j + 1, D):
                at = (1 + 2 * D + i * (i - 1) // 2 + j) * K
                n = tl.load(raw + at, used, 0.0)
                along += pull[i] * n
                blurred = floor * floor * share * inverse[i] * inverse[i]
                tl.store(gradient + at, pull[i] * away[j] + blurred * n, used)
        tl.store(gradient + (1 + j) * K, -along, used)
