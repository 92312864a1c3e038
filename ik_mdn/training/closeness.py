"""How far draws of a mixture over joint vectors are from the target, as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import PoseModel
from sim.jacobians import scaled_task_error
from sim.kinematics import forward_kinematics


def distance_of_draws(
    model: PoseModel, mixture: GaussianMixture, y: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """E |e(q)| over draws q of the mixture, mean over the batch, (): e is what is between the tip at q and the target.

    The likelihood asks that every answer has its density, this that where answers move fast, next to singular
    configurations, broad components follow them, so that fewer of their draws miss. One draw of every component counts by
    the component's weight, and its gradient reaches means and scales. Weights are left to the likelihood: whatever is
    hard to follow would lose its probability.

    Args:
        model: Whose arm and task count.
        mixture: Of reduced joint vectors (`ik_mdn.model.features`), batch shape (B,): what symmetries divide out of them
            moves the tip and the target alike.
        y: A reduced joint vector whose tip is at the target, (B, n) [rad, m].
        generator: Source of randomness; None is torch's own.

    Returns:
        The mean length of the task's error [arm lengths and rad together].
    """
    q = mixture.rsample_components(generator=generator)  # (B, K, n)
    target = forward_kinematics(model.arm, y.to(q))[:, None]
    error = scaled_task_error(model.arm, model.task, forward_kinematics(model.arm, q), target)
    distance: Tensor = (mixture.weights.detach() * torch.linalg.vector_norm(error, dim=-1)).sum(-1).mean()
    return distance
