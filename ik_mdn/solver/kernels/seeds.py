"""From the head's numbers to seeds, for compiled code: the same as `ik_mdn.model.seeding.sigma_points`, then pruned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.threads import take_number
from sim.arrays import FloatArray, IntArray

BLOCK = 64  # poses that a thread takes at a time
_POWER_STEPS = 5
_LOG_SCALE_MIN, _LOG_SCALE_MAX = -9.0, 3.0


class Reading(NamedTuple):
    """How seeds are read from the head's numbers.

    Args:
        components: K.
        joints: n.
        n_scales: Scales per component: 1 or n.
        n_tangles: Off-diagonals per component: 0 or n (n - 1) / 2.
        sigma_points: Whether there are sigma points, or means alone.
        floor: Of standard deviations.
        least_weight: Of a seed.
        spread: Distance of sigma points from the mean [standard deviations].
        least_share: Weight of a component that has sigma points.
        least_std: Standard deviation along its longest axis of one that has [rad, m].
    """

    components: int
    joints: int
    n_scales: int
    n_tangles: int
    sigma_points: bool
    floor: float
    least_weight: float
    spread: float
    least_share: float
    least_std: float


@kept
def decode(
    raw: NDArray[np.float32],
    shift: FloatArray,
    reading: Reading,
    q: FloatArray,
    weight: FloatArray,
    count: IntArray,
    queue: IntArray,
) -> None:
    """Write the heaviest seeds of each pose, heaviest first, until the queue of blocks is empty.

    Args:
        raw: The head's numbers, (B, K · size).
        shift: Azimuth and roll to add, (B, 2) [rad].
        reading: How to read them.
        q: Written: (B, most, n) [rad, m].
        weight: Written: (B, most).
        count: Written: seeds of each pose, at least 1, (B,).
        queue: Zero at the start, shared by all threads.
    """
    K, n, n_scales, n_tangles = reading.components, reading.joints, reading.n_scales, reading.n_tangles
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
                if w < min(reading.least_weight, heaviest):
                    continue
                mean = k * size + 1
                centre = raw[b, mean : mean + n]
                share = w
                if reading.sigma_points and w >= reading.least_share:
                    for i in range(n):
                        s = raw[b, mean + n + (i if n_scales > 1 else 0)]
                        scales[i] = reading.floor + np.exp(min(max(s, _LOG_SCALE_MIN), _LOG_SCALE_MAX))
                    tangles = raw[b, mean + n + n_scales : mean + n + n_scales + n_tangles]
                    std = _longest_axis(tangles, scales, reading.least_std, inverse, axis)
                    if std >= reading.least_std:
                        share = w - 2 * (w / 3)
                        step = reading.spread * std
                        taken = _insert(q[b], weight[b], taken, centre, shift[b], w / 3, -step, axis)
                        taken = _insert(q[b], weight[b], taken, centre, shift[b], w / 3, step, axis)
                taken = _insert(q[b], weight[b], taken, centre, shift[b], share, 0.0, axis)
            while taken > 1 and weight[b, taken - 1] < reading.least_weight:
                taken -= 1
            count[b] = taken


@part
def _softmax(raw: NDArray[np.float32], b: int, size: int, weights: FloatArray) -> float:
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
    tangles: NDArray[np.float32], scales: FloatArray, least: float, inverse: FloatArray, axis: FloatArray
) -> float:
    """Standard deviation along the longest axis, and that axis; 0 where the whole variance is below `least`².

    With the precision AᵀA, A = diag(1/σ)(I + N), the covariance is M Mᵀ with M = (I + N)⁻¹ diag(σ).
    """
    n, total = len(scales), 0.0
    for i in range(n):
        for j in range(i):
            t = 0.0
            if len(tangles):
                for k in range(j, i):
                    t -= tangles[i * (i - 1) // 2 + k] * (inverse[k, j] if k > j else 1.0)
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
    q: FloatArray,
    weight: FloatArray,
    taken: int,
    mean: NDArray[np.float32],
    shift: FloatArray,
    share: float,
    step: float,
    axis: FloatArray,
) -> int:
    """Put a seed, `step` along the axis from the mean, among those taken of its pose, by weight; their number then."""
    most, n = q.shape
    place = taken
    while place > 0 and weight[place - 1] < share:
        place -= 1
    if place == most:
        return taken
    taken = min(taken + 1, most)
    for k in range(taken - 1, place, -1):
        weight[k] = weight[k - 1]
        for i in range(n):
            q[k, i] = q[k - 1, i]
    weight[place] = share
    for i in range(n):
        q[place, i] = mean[i] + step * axis[i] if step != 0.0 else mean[i]
    q[place, 0] += shift[0]
    q[place, n - 1] += shift[1]
    return taken
