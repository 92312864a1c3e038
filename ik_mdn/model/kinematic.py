"""The kinematic head: Gauss-Newton steps on a mixture's means as its last layer."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture, triangular_inverse
from sim.arm import Arm
from sim.errors import ShapeError
from sim.jacobians import scaled_task_error, scaled_task_jacobian
from sim.task import Task

SHARPEST = 3e-4  # [rad, arm lengths] standard deviation of a component that has arrived
KEPT = 0.01  # share of the density that stays as the network has it
_DAMPING = 1e-3  # of the squared error: large errors are stepped with care
_MOST = 12  # components that are stepped, the heaviest
_SHARES = (1.0, 0.25)  # of a step, tried in turn until one lessens the error
_MISS = 1e-3  # [rad, arm lengths] error after the steps at which a component keeps half of its weight
_LONGEST = 0.5  # [rad, arm lengths] of one step in one joint


class Stepped(NamedTuple):
    """A mixture after the kinematic head."""

    mixture: GaussianMixture
    arrived: Tensor  # (B,) share of the weight of the stepped components that arrived at the target, 0 to 1


def step_means(mixture: GaussianMixture, arm: Arm, task: Task, T_base_tip: Tensor, *, steps: int) -> Stepped:
    """The mixture after damped Gauss-Newton steps of its means toward the target, for as many joints as constraints.

    A stepped component is `SHARPEST`, and along the step that would follow as wide as that is long: so far is it still
    from a solution, to first order. `KEPT` of the density remains the network's own, for what the steps lead astray.
    Newton steps as layers of a network: Gregor & LeCun, Learning fast approximations of sparse coding, ICML 2010.

    Args:
        mixture: p(q | T) of the network, batch shape (B,).
        arm: The arm.
        task: With as many constraints as the arm has joints.
        T_base_tip: Targets, (B, 4, 4), float64.
        steps: How many, at least one.

    Returns:
        The mixture, of the stepped components (the twelve heaviest), then the network's; and how much of it arrived.

    Raises:
        ShapeError: The arm has more or fewer joints than that.
    """
    if arm.n_joints != task.n_constraints:
        raise ShapeError(
            f"the kinematic head steps onto isolated solutions; {arm.name!r} has {arm.n_joints} joints for the "
            f"{task.n_constraints} constraints of {task.name!r}: train it with its spare joints drawn first (drawn_first=(-1,)), or take steps=0"
        )
    target, units = T_base_tip[:, None], mixture.loc.new_tensor(arm.joint_units)
    best = heaviest(mixture)
    q = mixture.loc.gather(-2, best.indices[..., None].expand(-1, -1, arm.n_joints))
    T, J = scaled_task_jacobian(arm, task, q)
    error = scaled_task_error(arm, task, T, target)
    for _ in range(steps):
        q, J, error = _advance(arm, task, q, J, error, target)
    ahead = _step(J, error) * units
    spread = ahead[..., :, None] * ahead[..., None, :] + torch.diag((SHARPEST * units) ** 2)
    missed = error.square().sum(-1) / _MISS**2
    kept = best.values - torch.log1p(missed)
    stepped = GaussianMixture(
        logits=torch.cat([kept.log_softmax(-1) + math.log1p(-KEPT), mixture.log_weights + math.log(KEPT)], dim=-1),
        loc=torch.cat([q, mixture.loc], dim=-2),
        precision_tril=torch.cat([triangular_inverse(torch.linalg.cholesky(spread)), mixture.precision_tril], dim=-3),
        period=mixture.period,
        validate_args=False,
    )
    return Stepped(stepped, (kept.logsumexp(-1) - best.values.logsumexp(-1)).exp())


def heaviest(mixture: GaussianMixture) -> torch.return_types.topk:
    """Logits and numbers of the components that are stepped, the heaviest, (B, 12) or all K."""
    return mixture.logits.topk(min(_MOST, mixture.n_components), dim=-1)


def _advance(
    arm: Arm, task: Task, q: Tensor, J: Tensor, error: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Joint vectors after one step, with their Jacobian and error; a step that does not help is shortened, then left out."""
    step = _step(J, error) * q.new_tensor(arm.joint_units)
    for share in _SHARES:
        new = q + share * step
        T, new_J = scaled_task_jacobian(arm, task, new)
        new_error = scaled_task_error(arm, task, T, target)
        better = new_error.square().sum(-1) < error.square().sum(-1)
        q = torch.where(better[..., None], new, q)
        J = torch.where(better[..., None, None], new_J, J)
        error = torch.where(better[..., None], new_error, error)
        step = torch.where(better[..., None], torch.zeros_like(step), step)
    return q, J, error


def _step(J: Tensor, error: Tensor) -> Tensor:
    """The damped step (..., n), without units."""
    normal = J.mT @ J
    damping = _DAMPING * error.square().sum(-1) + 1e-12
    normal.diagonal(dim1=-2, dim2=-1).add_(damping[..., None])
    step: Tensor = torch.linalg.solve(normal, (J.mT @ error[..., None]))[..., 0]
    longest = step.abs().amax(-1, keepdim=True)
    return step * (_LONGEST / longest.clamp_min(_LONGEST))
