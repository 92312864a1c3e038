"""Choosing the number of components and the covariance by cross-validation with the one-standard-error rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ik_mdn.model import Covariance, MixtureShape
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.scores import MixtureCandidate, ModelSelection, Score, one_standard_error
from ik_mdn.training.toys import FixedStream, fit, mean_nll
from sim.errors import ShapeError


def choose(
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    components: Sequence[int],
    covariances: Sequence[Covariance] = ("full",),
    folds: int = 5,
    period: Sequence[float] | None = None,
    on_fit: Callable[[int, int], None] | None = None,
) -> ModelSelection:
    """Cross-validated scores of every K and covariance, and the one-standard-error pick.

    The rows are dealt once into folds of equal size (±1) that all candidates share; each candidate is trained on all
    folds but one and scored on that one by mean negative log-likelihood, with one seed per fold.

    Args:
        x: Inputs, (N, n_in).
        y: Targets, (N, D).
        config: Budget and network; its components and covariance are replaced.
        components, covariances: What to try, in all combinations.
        folds: How many.
        period: Of y, (D,), inf where not circular; None where none is.
        on_fit: Called after each training with how many are done, and of how many.

    Returns:
        Candidates in order of covariance, then components.

    Raises:
        ShapeError: Nothing to try, not a target for each input, fewer than two folds, more folds than rows, or fewer rows than components.
        TrainingError: A training failed.
    """
    if len(x) != len(y):
        raise ShapeError(f"got {len(x)} inputs and {len(y)} targets; give one target for each input")
    shapes = [
        MixtureShape(k, y.shape[1], c)
        for c, k in itertools.product(dict.fromkeys(covariances), sorted(set(components)))
    ]
    if not shapes or not 2 <= folds <= len(x):
        raise ShapeError(
            f"got {len(shapes)} candidates, folds={folds}, {len(x)} rows; "
            "allowed: at least one K and covariance, and 2 <= folds <= rows"
        )
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(config.seed)).tensor_split(folds)
    least = len(x) - max(map(len, rows))
    if max(shape.components for shape in shapes) > least:
        raise ShapeError(
            f"{max(s.components for s in shapes)} components need as many rows to train on, and {folds} folds of "
            f"{len(x)} rows leave {least}; give more rows, more folds, or fewer components"
        )
    scored: list[MixtureCandidate] = []
    for shape in shapes:
        scores = []
        for number in range(folds):
            scores.append(_score_fold(x, y, config, shape, rows, number, period))
            if on_fit is not None:
                on_fit(len(scored) * folds + number + 1, len(shapes) * folds)
        training, validation = (Score(tuple(values)) for values in zip(*scores, strict=True))
        size = shape.components * sum(shape.sizes)
        scored.append(MixtureCandidate(shape.components, shape.covariance, size, training, validation))
    return one_standard_error(scored)


def _score_fold(
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    shape: MixtureShape,
    rows: Sequence[Tensor],
    number: int,
    period: Sequence[float] | None,
) -> tuple[float, float]:
    """Training and validation NLL with one fold left out."""
    kept = torch.cat([part for i, part in enumerate(rows) if i != number])
    out = rows[number]
    wanted = replace(
        config, kind="mdn", components=shape.components, covariance=shape.covariance, seed=config.seed + number
    )
    model = fit(FixedStream(x[kept], y[kept]), wanted, period=period)
    return mean_nll(model, x[kept], y[kept]), mean_nll(model, x[out], y[out])
