"""How an arm is usually held: a density p(q) over joint vectors in limits, kept in the file of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ik_mdn.mixture import GaussianMixture

PREFIX = "postures."  # of its arrays in a model's file
_ROUNDS = 64  # of drawing again what lies outside the limits; what still does then is put on them


@dataclass(frozen=True, eq=False)
class Postures:
    """p(q) = u / V + (1 - u) Σₖ πₖ N(q; μₖ, Σₖ): Gaussians, and a share u spread evenly over the volume V of the limits.

    The even share keeps what was never seen possible, and takes over where the data are spread evenly. Joints with limits
    are taken as they are, so that p tells windings apart; continuous ones are circular. What of the Gaussians reaches
    beyond a limit is lost, so that p integrates to at most 1.

    Args:
        arm: The arm.
        logits: Unnormalised log weights, (K,).
        loc: Means [rad, m], (K, n).
        scale_tril: Cholesky factors of the covariances, (K, n, n).
        even: u, in [0, 1].

    Raises:
        ValueError: Shapes that do not fit the arm, or values outside their domain.
    """

    arm: Arm
    logits: FloatArray
    loc: FloatArray
    scale_tril: FloatArray
    even: float

    def __post_init__(self) -> None:
        K, n = self.logits.size, self.arm.n_joints
        shapes = [np.shape(each) for each in (self.logits, self.loc, self.scale_tril)]
        if shapes != [(K,), (K, n), (K, n, n)] or K < 1 or not 0 <= self.even <= 1:
            raise ValueError(f"postures of {n} joints have the shapes {shapes} and the even share {self.even:g}")

    @property
    def mixture(self) -> GaussianMixture:
        """The Gaussians, with batch shape (), event shape (n,), float64."""
        import torch

        from ik_mdn.mixture import GaussianMixture

        logits, loc, tril = (torch.tensor(each) for each in (self.logits, self.loc, self.scale_tril))
        return GaussianMixture(logits, loc, scale_tril=tril, period=torch.tensor(circular_period(self.arm)))

    def log_prob(self, q: FloatArray) -> FloatArray:
        """log p(q) of joint vectors in limits (..., n), (...) [nats]."""
        import torch

        log_p = self.mixture.log_prob(torch.as_tensor(q, dtype=torch.float64)).numpy()
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(np.log1p(-self.even) + log_p, np.log(self.even) - log_volume(self.arm)))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Joint vectors drawn from p in limits, (count, n), float64 [rad, m].

        Args:
            count: How many.
            generator: Source of randomness; None is torch's own.
        """
        import torch

        low, high = torch.tensor(self.arm.sample_min), torch.tensor(self.arm.sample_max)
        q, left, mixture = low.expand(count, -1).clone(), torch.arange(count), self.mixture
        for _ in range(_ROUNDS):
            drawn = mixture.sample((len(left),), generator)
            uniform = torch.rand(len(left), len(low) + 1, dtype=torch.float64, generator=generator)
            q[left] = torch.where(uniform[:, :1] < self.even, low + (high - low) * uniform[:, 1:], drawn)
            left = left[~((q[left] >= low) & (q[left] <= high)).all(1)]
            if not len(left):
                break
        q[left] = q[left].clamp(low, high)
        return q

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Its numbers, by name, as they lie in a file."""
        return {f"{PREFIX}{each.name}": np.atleast_1d(getattr(self, each.name)) for each in fields(self)[1:]}

    @classmethod
    def of(cls, arm: Arm, tensors: Mapping[str, NDArray[Any]]) -> Postures | None:
        """From what `tensors` gave; None where there is nothing of it.

        Raises:
            ValueError, KeyError: The numbers are damaged.
        """
        if not any(name.startswith(PREFIX) for name in tensors):
            return None
        logits, loc, tril, even = (np.asarray(tensors[f"{PREFIX}{each.name}"], np.float64) for each in fields(cls)[1:])
        return cls(arm, logits, loc, tril, even.item())


def circular_period(arm: Arm) -> FloatArray:
    """2π for joints without limits, inf for the others, (n,): where p(q) is on the circle."""
    return np.where(np.isfinite(arm.q_min) | np.isfinite(arm.q_max) | arm.is_prismatic, np.inf, 2 * np.pi)


def log_volume(arm: Arm) -> float:
    """log of the volume of the limits, a turn for continuous joints: -log of the uniform density [nats]."""
    return float(np.log(arm.sample_max - arm.sample_min).sum())
