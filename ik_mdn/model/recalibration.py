"""A number that makes a trained density as wide as it should be, fitted on poses that training did not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

    from ik_mdn.mixture import GaussianMixture

NAME = "recalibration"  # of the numbers in a model's file


@dataclass(frozen=True)
class Recalibration:
    """p(q | T) with every component wider by a factor (as a temperature does to classes: Guo et al., ICML 2017).

    Args:
        width: Factor of the standard deviations, above 0.

    Raises:
        ValueError: It is not positive and finite.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.width < float("inf"):
            raise ValueError(f"a recalibration needs a number above 0; got {self.width}")

    def apply(self, mixture: GaussianMixture) -> GaussianMixture:
        """The mixture, wider."""
        from ik_mdn.mixture import GaussianMixture

        if self == Recalibration():
            return mixture
        return GaussianMixture(
            logits=mixture.logits,
            loc=mixture.loc,
            precision_tril=mixture.precision_tril / self.width,
            period=mixture.period,
            validate_args=False,
        )

    def put_on(self, model: nn.Module) -> None:
        """Have a model use it, and the models that it is made of."""
        for part in model.modules():
            if hasattr(part, NAME):
                setattr(part, NAME, self)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Its number as it lies in a file; nothing where there is nothing to change."""
        return {} if self == Recalibration() else {NAME: np.array([self.width])}

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Recalibration:
        """From what `tensors` gave.

        Raises:
            ValueError: The number is damaged.
        """
        return cls(*np.asarray(tensors.get(NAME, (1.0,)), np.float64).tolist())
