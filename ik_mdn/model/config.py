"""What to train and how long, as plain data (nothing heavy is imported here)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim.errors import ShapeError

Kind = Literal["mdn", "mse"]
Covariance = Literal["isotropic", "diagonal", "full"]
Targets = Literal["angles", "cos_sin"]


@dataclass(frozen=True)
class ModelConfig:
    """What a network is made of; stored in the checkpoint.

    Args:
        kind: "mdn" for a mixture density network, "mse" for a regressor on the same trunk.
        components: K of the mixture (mdn).
        covariance: "isotropic", "diagonal" or "full" (mdn).
        targets: "angles" or "cos_sin": what the regressor is trained on (mse).
        width: Width of the trunk.
        blocks: Number of its residual blocks.
        floor: Smallest standard deviation after training [rad or m].
        symmetries: Divide the arm's symmetries out of the features.

    Raises:
        ShapeError: A value outside what is allowed.
    """

    kind: Kind = "mdn"
    components: int = 24
    covariance: Covariance = "full"
    targets: Targets = "angles"
    width: int = 256
    blocks: int = 4
    floor: float = 0.01
    symmetries: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("mdn", "mse"):
            raise ShapeError(f"unknown kind of model {self.kind!r}; allowed: mdn, mse")
        if self.targets not in ("angles", "cos_sin"):
            raise ShapeError(f"unknown regression targets {self.targets!r}; allowed: angles, cos_sin")
        if min(self.components, self.width) < 1 or self.blocks < 0 or not self.floor > 0:
            raise ShapeError(
                "components and width must be at least 1, blocks at least 0 and floor positive; got "
                f"{self.components}, {self.width}, {self.blocks}, {self.floor}"
            )
