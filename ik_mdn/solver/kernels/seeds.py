"""From the head's numbers to seeds, for compiled code: the same as `ik_mdn.model.seeding.sigma_points`, then pruned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.vector import Floats, kept, part, take_number

BLOCK = 64  # poses that a thread takes at a time
_POWER_STEPS = 5
_LOG_SCALE_MIN, _LOG_SCALE_MAX = -9.0, 3.0


@kept
def decode(
    raw: NDArray[np.float32],
    shift: Floats,
    shape: NDArray[np.int64],
    numbers: Floats,
    most: int,
    q: Floats,
    weight: Floats,
    count: NDArray[np.int64],
    queue: NDArray[np.int64],
) -> None:
    """Write the heaviest seeds of each pose, heaviest first, until the queue of blocks is empty.

    Args:
        raw: The head's numbers, (B, K · size).
        shift: Azimuth and roll to add, (B, 2) [rad].
        shape: K, joints n, scales per component (1 or n), off-diagonals (0 or n (n - 1) / 2), and 1 for sigma points
            or 0 for means alone.
        numbers: Standard deviation floor, least weight of a seed, then of sigma points: distance from the mean
            [standard deviations], least weight of their component, least standard deviation [rad, m].
        most: Most seeds per pose.
        q: Written: (B, most, n) [rad, m].
        weight: Written: (B, most).
        count: Written: seeds of each pose, at least 1, (B,).
        queue: Zero at the start, shared by all threads.
    """
    K, n, n_scales, n_tangles, sigma = shape
    size = 1 + n + n_scales + n_tangles
    weights = np.empty(K)
    scales, axis, inverse = np.empty(n), np.empty(n), np.empty((n, n))
    while True:
        start = take_number(queue) * BLOCK
        if start >= len(raw):
            break
        for b in range(start, min(start + BLOCK, len(raw))):
            heaviest = _softmax(raw, b, size, weights)
            taken = 0
            for k in range(K):
                w = weights[k]
                if w < min(numbers[1], heaviest):
                    continue
                mean = k * size + 1
                share = w
                if sigma and w >= numbers[3]:
                    for i in range(n):
                        s = raw[b, mean + n + (i if n_scales > 1 else 0)]
                        scales[i] = numbers[0] + np.exp(min(max(s, _LOG_SCALE_MIN), _LOG_SCALE_MAX))
                    std = _longest_axis(raw, b, mean + n + n_scales, n_tangles, scales, numbers[4], inverse, axis)
                    if std >= numbers[4]:
                        share = w - 2 * (w / 3)
                        step = numbers[2] * std
                        taken = _insert(q, weight, b, taken, most, raw, mean, shift, w / 3, -step, axis)
                        taken = _insert(q, weight, b, taken, most, raw, mean, shift, w / 3, step, axis)
                taken = _insert(q, weight, b, taken, most, raw, mean, shift, share, 0.0, axis)
            while taken > 1 and weight[b, taken - 1] < numbers[1]:
                taken -= 1
            count[b] = taken


@part
def _softmax(raw: NDArray[np.float32], b: int, size: int, weights: Floats) -> float:
    """Write the components' weights; the largest comes back."""
    top = raw[b, 0]
    for k in range(1, len(weights)):
        top = max(top, raw[b, k * size])
    total = 0.0
    for k in range(len(weights)):
        weights[k] = np.exp(float(raw[b, k * size] - top))
        total += weights[k]
    for k in range(len(weights)):
        weights[k] /= total
    return 1.0 / total


@part
def _longest_axis(
    raw: NDArray[np.float32],
    b: int,
    tangle: int,
    n_tangles: int,
    scales: Floats,
    least: float,
    inverse: Floats,
    axis: Floats,
) -> float:
    """Standard deviation along the longest axis, and that axis; 0 where the whole variance is below `least`².

    With the precision AᵀA, A = diag(1/σ)(I + N), the covariance is M Mᵀ with M = (I + N)⁻¹ diag(σ).
    """
    n, total = len(scales), 0.0
    for i in range(n):
        for j in range(i):
            t = 0.0
            if n_tangles:
                for k in range(j, i):
                    t -= raw[b, tangle + i * (i - 1) // 2 + k] * (inverse[k, j] if k > j else 1.0)
            inverse[i, j] = t
    for i in range(n):
        inverse[i, i] = 1.0
        for j in range(i + 1):
            inverse[i, j] *= scales[j]
            total += inverse[i, j] * inverse[i, j]
    if total < least * least:
        return 0.0
    for i in range(n):
        axis[i] = 1.0 / np.sqrt(n)
    std = 0.0
    for _ in range(_POWER_STEPS):
        for j in range(n):
            t = 0.0
            for i in range(j, n):
                t += inverse[i, j] * axis[i]
            scales[j] = t  # no longer needed otherwise
        length = 0.0
        for i in range(n):
            t = 0.0
            for j in range(i + 1):
                t += inverse[i, j] * scales[j]
            axis[i] = t
            length += t * t
        length = np.sqrt(length)
        for i in range(n):
            axis[i] /= length
        std = np.sqrt(length)
    return std


@part
def _insert(
    q: Floats,
    weight: Floats,
    b: int,
    taken: int,
    most: int,
    raw: NDArray[np.float32],
    mean: int,
    shift: Floats,
    share: float,
    step: float,
    axis: Floats,
) -> int:
    """Put a seed of pose b among those taken, by weight; their number comes back."""
    place = taken
    while place > 0 and weight[b, place - 1] < share:
        place -= 1
    if place == most:
        return taken
    n = q.shape[2]
    taken = min(taken + 1, most)
    for k in range(taken - 1, place, -1):
        weight[b, k] = weight[b, k - 1]
        for i in range(n):
            q[b, k, i] = q[b, k - 1, i]
    weight[b, place] = share
    for i in range(n):
        q[b, place, i] = raw[b, mean + i] + step * axis[i] if step != 0.0 else raw[b, mean + i]
    q[b, place, 0] += shift[b, 0]
    q[b, place, n - 1] += shift[b, 1]
    return taken
