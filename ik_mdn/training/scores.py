"""How candidates for a mixture did on what was held out, and which one the one-standard-error rule picks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ik_mdn.model import Covariance
from sim.errors import ShapeError


@dataclass(frozen=True)
class Score:
    """A value per fold, with its mean and standard error.

    Args:
        folds: One value per fold [nats].
    """

    folds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over folds."""
        return float(np.mean(self.folds))

    @property
    def error(self) -> float:
        """Standard error of the mean: standard deviation of the values over folds, divided by √folds."""
        return float(np.std(self.folds, ddof=1) / math.sqrt(len(self.folds)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"mean": self.mean, "error": self.error, "folds": list(self.folds)}


@dataclass(frozen=True)
class MixtureCandidate:
    """One choice of the mixture and how it did.

    Args:
        components: K.
        covariance: "isotropic", "diagonal" or "full".
        size: Numbers that describe one mixture, K · (weight, mean, scales, off-diagonals): the complexity.
        training, validation: Negative log-likelihood of the folds trained on and of the fold left out.
    """

    components: int
    covariance: Covariance
    size: int
    training: Score
    validation: Score

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "components": self.components,
            "covariance": self.covariance,
            "size": self.size,
            "training": self.training.to_dict(),
            "validation": self.validation.to_dict(),
        }


@dataclass(frozen=True)
class ModelSelection:
    """Candidates in the order given, the best by mean, and the one that the rule picks.

    Args:
        candidates: All of them.
        best: The lowest mean validation NLL.
        picked: The smallest whose mean validation NLL is at most `limit`.
        limit: Of the best, mean plus one standard error.
    """

    candidates: tuple[MixtureCandidate, ...]
    best: MixtureCandidate
    picked: MixtureCandidate
    limit: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "best": {"components": self.best.components, "covariance": self.best.covariance},
            "picked": {"components": self.picked.components, "covariance": self.picked.covariance},
            "limit": self.limit,
        }


def one_standard_error(candidates: Sequence[MixtureCandidate]) -> ModelSelection:
    """The smallest candidate that is no worse than the best by more than one standard error of the best.

    Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984, section 3.4.3; Hastie, Tibshirani &
    Friedman, The Elements of Statistical Learning, 2009, section 7.10. Of equal size, the better one.

    Args:
        candidates: At least one.

    Raises:
        ShapeError: None is given.
    """
    if not candidates:
        raise ShapeError("there is no candidate to choose from; give at least one.")
    best = min(candidates, key=lambda c: c.validation.mean)
    limit = best.validation.mean + best.validation.error
    fair = [c for c in candidates if c.validation.mean <= limit]
    picked = min(fair, key=lambda c: (c.size, c.validation.mean))
    return ModelSelection(tuple(candidates), best, picked, limit)
