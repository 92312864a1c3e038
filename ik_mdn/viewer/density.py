"""What is plotted of a mixture: the marginal of each joint, the density of two joints, where in the plane answers differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ik_mdn.model import ArmModel
from ik_mdn.viewer.branches import difference
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, jacobian

BINS = 90  # on each joint's axis
SIDE = 72  # of a picture of two joints [points]
_IMAGES = np.arange(-1, 2)  # full turns on either side of the range's middle that a wrapped normal is summed over
_PLOTTED = 0.999  # of the probability: a density head has hundreds of components, most of them of next to no weight


@dataclass(frozen=True, eq=False)
class Marginals:
    """The marginal density of every joint, as shares of bins.

    Args:
        edges: Of the bins over the joint's limits [rad or m], shape (n, BINS + 1).
        share: Probability of each bin, shape (n, BINS); a joint that turns more than once shows it in every turn.
    """

    edges: FloatArray
    share: FloatArray


def marginals(model: ArmModel, T_base_target: FloatArray) -> Marginals:
    """The probability that each joint by itself lies in each bin, exact however narrow the components are.

    p(q_i | T) = Σₖ πₖ N(q_i; μₖᵢ, σₖᵢ²), wrapped for turning joints; a bin gets a difference of the normal's integral.
    The lightest components, a thousandth of the probability together, are left out.

    Args:
        model: A mixture.
        T_base_target: The target, shape (4, 4).
    """
    from scipy.special import ndtr

    weights, loc, scale = _heaviest(*_components(model, T_base_target))
    sigma = np.sqrt(np.square(scale).sum(axis=-1))  # (K, n)
    arm = model.arm
    middle = 0.5 * (arm.sample_min + arm.sample_max)
    loc = loc - 2 * np.pi * ~arm.is_prismatic * np.round((loc - middle) / (2 * np.pi))
    edges = np.linspace(arm.sample_min, arm.sample_max, BINS + 1, axis=-1)
    turns = 2 * np.pi * _IMAGES[:, None] * ~arm.is_prismatic  # (images, n)
    z = (edges - (loc[:, None] + turns)[..., None]) / sigma[:, None, :, None]  # (K, images, n, BINS + 1)
    mass = np.diff(ndtr(z), axis=-1)
    mass[:, _IMAGES != 0] *= ~arm.is_prismatic[:, None]
    return Marginals(np.asarray(edges), np.einsum("k,kmng->ng", weights, mass))


def joint_density(model: ArmModel, T_base_target: FloatArray) -> FloatArray:
    """The density of an arm of two joints over its limits, p(q₁, q₂ | T), each component widened by a pixel.

    Args:
        model: A mixture of an arm with two joints.
        T_base_target: The target, shape (4, 4).

    Returns:
        Shape (SIDE, SIDE) [1/rad²], rows from the upper limit of q₂ down.
    """
    weights, loc, scale = _components(model, T_base_target)
    arm = model.arm
    step = (arm.sample_max - arm.sample_min) / SIDE
    covariance = scale @ scale.swapaxes(-1, -2) + np.diag(np.square(step))
    centres = arm.sample_min[:, None] + step[:, None] * (np.arange(SIDE) + 0.5)
    q1, q2 = np.meshgrid(centres[0], centres[1][::-1])
    points = np.stack([q1, q2], axis=-1)[..., None, :]  # (SIDE, SIDE, 1, 2)
    gap = difference(points, loc, arm.period)
    square = np.einsum("xyki,kij,xykj->xyk", gap, np.linalg.inv(covariance), gap)
    peak = weights / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    return np.asarray(np.exp(-0.5 * square) @ peak)


def tip_spread(model: ArmModel, T_base_target: FloatArray, most: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The 1σ ellipsoid of the tip for each of the heaviest components, to first order: J Σₖ Jᵀ.

    The lightest components, a thousandth of the probability together, get none.

    Args:
        model: A mixture.
        T_base_target: The target, shape (4, 4).
        most: How many.

    Returns:
        Half axes [m], shape (k, 3), rotations, shape (k, 3, 3), and centres, shape (k, 3).
    """
    _, loc, scale = _heaviest(*_components(model, T_base_target))
    loc, scale = loc[:most], scale[:most]
    L = jacobian(model.arm, loc)[:, :3] @ scale  # (k, 3, n)
    axes, lengths, _ = np.linalg.svd(L, full_matrices=False)
    if axes.shape[-1] < 3:  # fewer joints than dimensions
        axes = np.linalg.svd(L, full_matrices=True)[0]
        lengths = np.concatenate([lengths, np.zeros((len(loc), 3 - lengths.shape[1]))], axis=1)
    axes = axes * np.sign(np.linalg.det(axes))[:, None, None]
    return np.maximum(lengths, 1e-4), axes, forward_kinematics(model.arm, loc)[:, :3, 3]


def plane_variance(model: ArmModel, T_base_target: FloatArray, side: int = 128) -> FloatArray:
    """How much the components disagree across a planar arm's workspace.

    The trace of the between-component variance, Σₖ πₖ |μₖ - μ|² (circular), of p(q | T) with T moved over the plane;
    a regressor that averages is far off where it is large.

    Args:
        model: A mixture of a planar arm.
        T_base_target: Gives the heading, shape (4, 4).
        side: Points along each edge.

    Returns:
        Shape (side, side), about the first joint, rows from +y down to -y; NaN beyond the reach.
    """
    reach = model.arm.reach
    along = np.linspace(-reach, reach, side)
    x, y = np.meshgrid(along, along[::-1])
    inside = np.hypot(x, y) <= reach
    T = np.repeat(T_base_target[None], int(inside.sum()), axis=0)
    T[:, :2, 3] = model.arm.offsets[0, :2, 3] + np.stack([x[inside], y[inside]], axis=-1)
    with torch.no_grad():
        between = model.posterior(torch.from_numpy(T)).variance_between.sum(dim=-1).numpy()
    picture = np.full((side, side), np.nan)
    picture[inside] = between
    return picture


def _heaviest(weights: FloatArray, loc: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The fewest components that make up nearly all of the probability."""
    order = np.argsort(-weights)
    kept = order[: int(np.searchsorted(weights[order].cumsum(), _PLOTTED)) + 1]
    return weights[kept], loc[kept], scale[kept]


def _components(model: ArmModel, T_base_target: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights (K,), means (K, n) and lower Cholesky factors (K, n, n) of a target's mixture."""
    with torch.no_grad():
        mixture = model.posterior(torch.from_numpy(np.ascontiguousarray(T_base_target)[None]))
        scale = mixture.scale_tril[0] if mixture.precision_tril is not None else torch.diag_embed(mixture.scale[0])
        return mixture.weights[0].numpy(), mixture.loc[0].numpy(), scale.numpy()
