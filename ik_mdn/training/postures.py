"""Learning p(q), how an arm is usually held, from joint vectors: expectation-maximisation, K chosen on what is held out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture, nearest_image, sample_mean
from ik_mdn.model import MixtureShape, Postures, circular_period, log_volume
from ik_mdn.training.scores import MixtureCandidate, ModelSelection, Score, one_standard_error
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.errors import DatasetError
from sim.words import counted

COMPONENTS = (1, 2, 4, 8, 16, 32)  # what is tried, each with as few rows per component as `_ROWS_EACH`
LEAST_ROWS = 20
FOLDS = 5

_MOST, _MOST_COMPARED = (
    20_000,
    5_000,
)  # rows that are fitted to, and for choosing K: more would change nothing that shows
_ROWS_EACH = 5
_BLOCKS = 50  # pieces of neighbouring rows that folds are dealt
_ROUNDS, _CONVERGED = 100, 1e-3  # of EM; gain in a round [nats per row] below which it ends
_LEAST_STD = 0.01  # [rad, m] of a component, in any direction
_PATIENCE = 2  # larger K that are tried after the best one


@dataclass(frozen=True, eq=False)
class LearnedPostures:
    """What was learned of p(q), and how well.

    Args:
        postures: Fitted to all rows.
        selection: The candidates for K; their NLL is that of p(q), the even share included.
        uniform: NLL of rows that are spread evenly in limits [nats]: what p(q) is to be below.
    """

    postures: Postures
    selection: ModelSelection
    uniform: float


def deal_blocks(count: int, folds: int) -> IntArray:
    """Which fold each of `count` rows belongs to, (count,): blocks of neighbouring rows are dealt to the folds in turn.

    Rows of a recording are like their neighbours, so that rows held out one by one would be known from those beside them.
    """
    blocks = min(max(_BLOCKS, 2 * folds), count)
    return np.arange(count) * blocks // max(count, 1) % folds


def learn_postures(arm: Arm, q: FloatArray, *, seed: int = 0) -> LearnedPostures:
    """p(q) from joint vectors in limits, as simple as what is held out allows.

    Every K is fitted on all folds but one and scored on that one; the smallest K within one standard error of the best is
    fitted again to all rows.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m], (N, n), in the order in which they were recorded.
        seed: Of the starts.

    Raises:
        DatasetError: Fewer than `LEAST_ROWS` rows.
    """
    if len(q) < LEAST_ROWS:
        raise DatasetError(
            f"{counted(len(q), 'joint vector')} cannot say how {arm.name!r} is held; give at least {LEAST_ROWS}"
        )
    rows = _thinned(q, _MOST_COMPARED)
    fold = torch.from_numpy(deal_blocks(len(rows), FOLDS))
    candidates: list[MixtureCandidate] = []
    for K in (each for each in COMPONENTS if each == 1 or each * _ROWS_EACH * FOLDS <= len(rows) * (FOLDS - 1)):
        scores = [_score(arm, rows[fold != left], rows[fold == left], K, seed) for left in range(FOLDS)]
        training, validation = (Score(tuple(values)) for values in zip(*scores, strict=True))
        size = K * sum(MixtureShape(K, arm.n_joints, "full").sizes)
        candidates.append(MixtureCandidate(K, "full", size, training, validation))
        best = min(range(len(candidates)), key=lambda i: candidates[i].validation.mean)
        if len(candidates) > best + _PATIENCE:
            break
    selection = one_standard_error(candidates)
    postures = fit_postures(arm, _thinned(q, _MOST), selection.picked.components, seed=seed)
    return LearnedPostures(postures, selection, log_volume(arm))


def _thinned(q: FloatArray, most: int) -> Tensor:
    """At most so many of the rows, evenly chosen."""
    return torch.as_tensor(q[np.linspace(0, len(q) - 1, min(len(q), most)).astype(np.int64)], dtype=torch.float64)


def _score(arm: Arm, kept: Tensor, left: Tensor, components: int, seed: int) -> tuple[float, float]:
    """NLL of the rows fitted to, and of those left out."""
    postures = fit_postures(arm, kept, components, seed=seed)
    return tuple(-float(postures.log_prob(rows.numpy()).mean()) for rows in (kept, left))  # type: ignore[return-value]


def fit_postures(arm: Arm, q: Tensor, components: int, *, seed: int = 0) -> Postures:
    """K Gaussians with full covariance and an even share, by expectation-maximisation (Dempster, Laird & Rubin, 1977).

    Covariances are the largest of a posterior whose prior is worth n + 2 rows, spread as the data are over K components
    (Fraley & Raftery, J. Classification 24, 2007), weights that of one more row each: so no component collapses on a few
    rows, and nothing in limits becomes impossible.

    Args:
        arm: The arm.
        q: Joint vectors in limits, (N, n), float64.
        components: K, at most N.
        seed: Of the start.
    """
    period, n = torch.tensor(circular_period(arm)), arm.n_joints
    loc = _far_apart(q, components, period, torch.Generator().manual_seed(seed))
    prior = _variance(q, period).div(components ** (2 / n)).clamp_min(_LEAST_STD**2).diag_embed()
    tril = torch.linalg.cholesky(prior).expand(components, n, n)
    weight = torch.full((components + 1,), 0.9 / components, dtype=torch.float64)
    weight[-1] = 0.1  # the even share
    before = -math.inf
    for _ in range(_ROUNDS):
        mixture = GaussianMixture(weight[:-1].log(), loc, scale_tril=tril, period=period, validate_args=False)
        joint = torch.cat([mixture.component_log_prob(q), torch.full((len(q), 1), -log_volume(arm)).double()], 1)
        joint = joint + weight.log()
        total = joint.logsumexp(1, keepdim=True)
        share = (joint - total).exp()
        count = share.sum(0)
        away = nearest_image(q[:, None] - loc, period)  # (N, K, n)
        step = torch.einsum("nk,nki->ki", share[:, :-1], away) / count[:-1, None].clamp_min(1e-9)
        away = away - step
        scaled = (share[:, :-1, None].sqrt() * away).permute(1, 2, 0)  # (K, n, N)
        tril = torch.linalg.cholesky((scaled @ scaled.mT + (n + 2) * prior) / (count[:-1, None, None] + n + 2))
        loc, weight = loc + step, (count + 1) / (count + 1).sum()
        if float(total.mean()) - before < _CONVERGED:
            break
        before = float(total.mean())
    return Postures(arm, weight[:-1].log().numpy(), loc.numpy(), tril.numpy(), float(weight[-1]))


def _far_apart(q: Tensor, count: int, period: Tensor, generator: torch.Generator) -> Tensor:
    """Rows to start from, each drawn by its squared distance from those before (Arthur & Vassilvitskii, SODA 2007)."""
    rows, distance = [int(torch.randint(len(q), (), generator=generator))], torch.full((len(q),), torch.inf).double()
    for _ in range(count - 1):
        distance = torch.minimum(distance, nearest_image(q - q[rows[-1]], period).square().sum(1))
        rows.append(int(torch.multinomial(distance + 1e-12, 1, generator=generator)))
    return q[rows]


def _variance(q: Tensor, period: Tensor) -> Tensor:
    """Variance of each joint about its (circular) mean, (n,)."""
    return nearest_image(q - sample_mean(q, period), period).square().mean(0)
