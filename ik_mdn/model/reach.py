"""Where the other joints can follow: the share that a value of the joint drawn first leaves of its density."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor, nn

from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.config import reach_config


class ReachNetwork(ConditionalNetwork):
    """How probable it is that an arm can meet a target, from the target's features; a classifier (logistic regression).

    A mixture over one joint is smooth, and where the values that the other joints can follow end, it does not: some of its
    draws lie beyond. For the target that is then left to the others that end is one surface, which a small network learns
    well. Whether the others can meet it is what the mixture over them cannot say: given any target it has its density.

    Args:
        n_in: Number of features.
        width: Of its layers.
    """

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__(n_in, np.array([math.inf]), reach_config(width))

    def log_reach(self, features: Tensor) -> Tensor:
        """Log probability that the target can be met, (B,), float64, for features (B, n_in)."""
        return nn.functional.logsigmoid(self._point_output(features)[:, 0].double())

    def regression_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy.

        Args:
            x: Features, (B, n_in).
            y: 1 where the target can be met, otherwise 0, (B, 1).

        Returns:
            A scalar.
        """
        return nn.functional.binary_cross_entropy_with_logits(self._point_output(x), y.float())
