"""What to train and how long, as plain data (nothing heavy is imported here)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sim.errors import ShapeError
from sim.inputs import check_kinds

Kind = Literal["mdn", "mse"]
Covariance = Literal["isotropic", "diagonal", "full"]
Targets = Literal["angles", "cos_sin"]
AUTOMATIC = (-1,)  # joints that are drawn first: those that an arm has to spare
LOG_SCALE_RANGE = (-9.0, 3.0)  # of s in σ = floor + exp(s): finite in float32; the floor rules below, the torus above
_REACH_BLOCKS = 2  # of the network that `reach_width` is the width of
LARGEST = {
    "components": 4096,
    "first_components": 4096,
    "width": 8192,
    "blocks": 256,
    "reach_width": 8192,
}  # what a file may declare, and more than anyone trains


@dataclass(frozen=True)
class ModelConfig:
    """What a network is made of; stored in the checkpoint.

    Args:
        kind: "mdn" for a mixture density network, "mse" for a regressor on the same trunk.
        components: K of the mixture (mdn).
        covariance: "isotropic", "diagonal" or "full" (mdn).
        targets: "angles" or "cos_sin": as what means, or the regressor's answers, of turning joints leave the network. An
            angle has a cut at half a turn, which a network can only cross by a jump; the direction of (cosine, sine) has none.
        width: Width of the trunk.
        blocks: Number of its residual blocks.
        floor: Smallest standard deviation after training [rad or m].
        symmetries: Divide the arm's symmetries out of the features.
        charts: Of the azimuth that is divided out; see `PoseFeatures`.
        drawn_first: Joints whose densities come before that of the others, counted from 0, each at an end of what is left
            of the chain; -1 takes as many as a redundant arm has to spare, nothing none. See `ChainModel`.
        first_components: K of the mixture over each of them; 0 is `components`. Along one joint the density has many
            edges, and components cost next to nothing.
        reach_width: Width of the network that tells, of each joint drawn first, where the others can follow; 0 is none.

    Raises:
        ShapeError: A value outside what is allowed; `LARGEST` bounds the sizes.
    """

    kind: Kind = "mdn"
    components: int = 24
    covariance: Covariance = "full"
    targets: Targets = "cos_sin"
    width: int = 256
    blocks: int = 4
    floor: float = 0.002
    symmetries: bool = True
    charts: int = 1
    drawn_first: tuple[int, ...] = AUTOMATIC
    first_components: int = 48
    reach_width: int = 0

    def __post_init__(self) -> None:
        check_kinds(str, kind=self.kind, targets=self.targets, covariance=self.covariance)
        if self.kind not in ("mdn", "mse"):
            raise ShapeError(f"unknown kind of model {self.kind!r}; allowed: mdn, mse")
        if self.targets not in ("angles", "cos_sin"):
            raise ShapeError(f"unknown targets {self.targets!r}; allowed: angles, cos_sin")
        if self.covariance not in ("isotropic", "diagonal", "full"):
            raise ShapeError(f"unknown covariance {self.covariance!r}; allowed: isotropic, diagonal, full")
        if not isinstance(self.symmetries, bool):
            raise ShapeError(f"symmetries must be True or False; got {self.symmetries!r}")
        if self.charts not in (1, 2) or isinstance(self.charts, bool):
            raise ShapeError(f"charts must be 1 or 2; got {self.charts!r}")
        least = dict.fromkeys(LARGEST, 0) | {"components": 1, "width": 1}
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not least[name] <= value <= most:
                raise ShapeError(
                    f"{name} must be a whole number, at least {least[name]} and at most {most}; got {value}"
                )
        given = tuple(self.drawn_first) if isinstance(self.drawn_first, Sequence) else None
        if given is None or (given != AUTOMATIC and not all(type(joint) is int and joint >= 0 for joint in given)):
            raise ShapeError(
                "drawn_first must be numbers of joints from 0, () for none, or (-1,) for as many as the arm has to spare; "
                f"got {self.drawn_first!r}"
            )
        object.__setattr__(self, "drawn_first", given)
        if not isinstance(self.floor, int | float) or not 0 < self.floor < float("inf"):
            raise ShapeError(f"floor must be positive and finite; got {self.floor!r}")


@dataclass(frozen=True)
class MixtureShape:
    """The size of the mixtures that a head predicts.

    Args:
        components: K.
        dims: D, the number of joints.
        covariance: "isotropic" (one scale per component), "diagonal", or "full".
        turning: Coordinates whose means are said by a cosine and a sine.

    Raises:
        ShapeError: K or D below one, or an unknown covariance.
    """

    components: int
    dims: int
    covariance: Covariance
    turning: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.components < 1 or self.dims < 1:
            raise ShapeError(
                f"a mixture needs at least one component and dimension; got {self.components}, {self.dims}"
            )
        if self.covariance not in ("isotropic", "diagonal", "full"):
            raise ShapeError(f"unknown covariance {self.covariance!r}; allowed: isotropic, diagonal, full")

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """Numbers per component: logit, means or their cosines, sines of means, log-scales, off-diagonals."""
        scales = 1 if self.covariance == "isotropic" else self.dims
        tangles = self.dims * (self.dims - 1) // 2 if self.covariance == "full" else 0
        return 1, self.dims, len(self.turning), scales, tangles


def first_config(config: ModelConfig) -> ModelConfig:
    """Of the networks of the joints that are drawn first, each a mixture over one coordinate."""
    return replace(config, covariance="diagonal", components=config.first_components or config.components)


def reach_config(width: int) -> ModelConfig:
    """Of the network that `ModelConfig.reach_width` is the width of."""
    return ModelConfig(kind="mse", targets="angles", width=width, blocks=_REACH_BLOCKS)


def shape_of(config: ModelConfig, period: Iterable[float]) -> MixtureShape:
    """The size of the mixtures of a network over coordinates of these periods (D,), inf where one is not circular."""
    turns = [math.isfinite(each) for each in period]
    turning = tuple(i for i, turn in enumerate(turns) if turn and config.targets == "cos_sin")
    return MixtureShape(config.components, len(turns), config.covariance, turning)
