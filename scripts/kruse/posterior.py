"""The exact posterior p(x | y) of the arm under y | x ~ N(f(x), σ² I), by rejection.

The rail is integrated out in closed form: p(x₁ | angles, y) is Gaussian, and with τ² = σ² + 0.25²

    p(angles | y) ∝ N(angles; 0, 0.5² I) N(y₂; Σ lᵢ sin aᵢ, τ²) N(y₁; Σ lᵢ cos aᵢ, σ²),

where a are the absolute angles. The last factor is the one thin constraint. Two proposals meet it:

- in general, ε ~ N(0, σ²) and two absolute angles from the prior are drawn, and the third solves
  Σ lᵢ cos aᵢ = y₁ + ε. Each point is proposed by the angle with the largest lᵢ |sin aᵢ| alone, so that the density
  1/(lᵢ |sin aᵢ|) of the change of variables is never needed where it is singular;
- for y₁ near 2, where the arm is stretched and all three sines vanish, a box around the whole posterior.

A draw is kept with probability w/M. M starts at the largest weight of a first batch and is raised when a larger one
turns up, which thins what was kept before (empirical supremum rejection: Caffo, Booth and Davis, Biometrika 89, 2002).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kruse.problem import LENGTHS, NOISE, PRIOR_STD
from sim.arrays import FloatArray
from sim.errors import ShapeError

_L = np.array(LENGTHS)
_ANGLE_STD = PRIOR_STD[1]
_RAIL_STD = PRIOR_STD[0]
_TAU = float(np.hypot(NOISE, _RAIL_STD))
_STRETCHED = 1.9  # y₁ [m] above which the box is used; the singular point y₁ = 2 is 10 σ away from the rest
_TAIL = 8.0  # standard deviations after which the noise is cut off (1e-15)
_WINDINGS = np.array([0.9, 0.05, 0.05])  # how often a solved angle is tried at a, a + 2π, a - 2π
_BATCH = 20_000  # proposals at a time (of each solved angle); fewer where few draws are asked for
_MIN_BATCH = 5_000
_MAX_BATCHES = 20_000

Proposal = Callable[[FloatArray, int, np.random.Generator], tuple[FloatArray, FloatArray]]


def sample_posterior(y: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Independent draws from p(x | y), (count, 4).

    Args:
        y: One target, (2,) [m].
        count: How many draws.
        rng: Source of randomness.

    Raises:
        ShapeError: The target is out of reach, so that no proposal is ever kept.
    """
    y = np.asarray(y, dtype=np.float64)
    propose: Proposal = _propose_in_box if y[0] > _STRETCHED else _propose_on_sheet
    angles = _reject(y, count, rng, propose)
    a = np.cumsum(angles, axis=1)
    return np.column_stack([_draw_rail(y[1] - np.sin(a) @ _L, rng), angles])


def sample_posteriors(
    y: FloatArray, count: int, seed: int, on_progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Draws for many targets, (T, count, 4); each target has its own stream of randomness.

    Args:
        y: Targets, (T, 2) [m].
        count: Draws per target.
        seed: Of the streams.
        on_progress: Called with the number of targets done.
    """
    out = np.empty((len(y), count, 4))
    for i, target in enumerate(y):
        out[i] = sample_posterior(target, count, np.random.default_rng([seed, i]))
        if on_progress is not None:
            on_progress(i + 1)
    return out


def _reject(y: FloatArray, count: int, rng: np.random.Generator, propose: Proposal) -> FloatArray:
    """Angles (count, 3) that passed rejection."""
    kept: FloatArray = np.empty((0, 3))
    chance: FloatArray = np.empty(0)
    largest, batch = 0.0, min(_BATCH, max(_MIN_BATCH, 20 * count))
    for _ in range(_MAX_BATCHES):
        angles, weight = propose(y, batch, rng)
        largest = max(largest, float(weight.max(initial=0.0)))
        # A draw with weight w survives any M that comes where u M < w: u is drawn once, then kept with it.
        limit = weight / rng.random(len(weight))
        kept, chance = np.concatenate([kept, angles]), np.concatenate([chance, limit])
        passed = chance > largest
        kept, chance = kept[passed], chance[passed]
        if len(kept) >= count:
            return rng.permutation(kept)[:count]  # a batch comes sorted by the angle that was solved for
    raise ShapeError(f"no exact draws for the target {y.tolist()} m: {len(kept)} of {count}; it lies out of reach")


def _propose_on_sheet(y: FloatArray, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Angles that meet the thin constraint, and their weights, for each solved angle in turn."""
    angles, weights = [], []
    for i in range(3):
        a = np.cumsum(_ANGLE_STD * rng.standard_normal((n, 3)), axis=1)  # absolute angles from the prior
        rest = [j for j in range(3) if j != i]
        cosine = (y[0] + NOISE * rng.standard_normal(n) - np.cos(a[:, rest]) @ _L[rest]) / _L[i]
        a, cosine = a[np.abs(cosine) < 1], cosine[np.abs(cosine) < 1]
        winding = rng.choice(3, size=len(a), p=_WINDINGS)
        turn = 2 * np.pi * np.array([0, 1, -1])[winding]
        a[:, i] = rng.choice([-1.0, 1.0], size=len(a)) * np.arccos(cosine) + turn
        slope = _L * np.abs(np.sin(a))
        own = slope.argmax(axis=1) == i
        a, slope, winding = a[own], slope[own, i], winding[own]
        prior = np.exp(_log_prior(a) - _log_prior_of(a, rest))
        weights.append(prior * _rail_likelihood(y, a) / (slope * _WINDINGS[winding]))
        angles.append(np.diff(a, axis=1, prepend=0.0))
    return np.concatenate(angles), np.concatenate(weights)


def _propose_in_box(y: FloatArray, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Angles near zero, uniform in a box that holds the posterior, and their weights."""
    slack = 2 - y[0] + _TAIL * NOISE  # Σ lᵢ (1 - cos aᵢ) is at most this
    if slack <= 0:
        raise ShapeError(
            f"the target {y.tolist()} m lies {-slack:.3g} m out of reach; give y₁ below {2 + _TAIL * NOISE}"
        )
    a = np.arccos(1 - slack / _L) * rng.uniform(-1, 1, (n, 3))
    noise = (y[0] - np.cos(a) @ _L) / NOISE
    return np.diff(a, axis=1, prepend=0.0), np.exp(_log_prior(a) - 0.5 * noise**2) * _rail_likelihood(y, a)


def _log_prior(a: FloatArray) -> FloatArray:
    """Log prior of absolute angles (n, 3), without its constant."""
    return np.asarray(-0.5 * (np.diff(a, axis=1, prepend=0.0) ** 2).sum(axis=1) / _ANGLE_STD**2)


def _log_prior_of(a: FloatArray, rest: list[int]) -> FloatArray:
    """Log prior of two of the absolute angles, without its constant: a random walk with steps of `rest`."""
    first, second = rest
    steps = np.column_stack([a[:, first], a[:, second] - a[:, first]])
    variance = _ANGLE_STD**2 * np.array([first + 1, second - first])
    return np.asarray(-0.5 * (steps**2 / variance).sum(axis=1) - 0.5 * np.log(variance).sum())


def _rail_likelihood(y: FloatArray, a: FloatArray) -> FloatArray:
    """N(y₂; Σ lᵢ sin aᵢ, τ²) without its constant."""
    return np.asarray(np.exp(-0.5 * ((y[1] - np.sin(a) @ _L) / _TAU) ** 2))


def _draw_rail(gap: FloatArray, rng: np.random.Generator) -> FloatArray:
    """x₁ given the gap that it has to bridge: prior N(0, 0.25²) times N(gap; x₁, σ²)."""
    gain = (_RAIL_STD / _TAU) ** 2
    return np.asarray(gain * gap + np.sqrt(gain) * NOISE * rng.standard_normal(len(gap)))
