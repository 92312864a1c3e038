"""Whole turns: joint vectors on the circle turned into limits, and wound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.arm import LIMIT_SLACK, Arm
from sim.arrays import Array, FloatArray, IntArray, constants, library_of

MOST_WINDINGS = 256  # of one solution that are given; limits of ±20 rad and six joints allow 46,656 of them

_TURN = 2 * math.pi


def turn_into_limits(arm: Arm, q: Array, q_near: Array | None = None) -> tuple[Array, Any]:
    """Each joint vector turned inside the limits by full turns of its joints, and whether that was possible.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m], shape (..., n), numpy (float64) or torch.
        q_near: Where to be near when several turns are inside, shape (..., n) or (n,);
            default: the middle of the limits, 0 for continuous joints (which then lie in [-π, π]).

    Returns:
        q (..., n), and a mask (...,) of the rows whose every joint is inside. In other rows the joints that full
        turns can bring inside are brought there; those that they cannot come within half a turn of `q_near`.
    """
    xp, turn = library_of(q), constants(np.where(arm.is_prismatic, 0.0, _TURN), like=q)
    low, high = (constants(limit, like=q) for limit in (arm.q_min, arm.q_max))
    near = constants(middle(arm), like=q) if q_near is None else q_near
    fewest = xp.ceil((low - LIMIT_SLACK - q) / _TURN)
    most = xp.floor((high + LIMIT_SLACK - q) / _TURN)
    wanted = xp.round((near - q) / _TURN)
    allowed = xp.minimum(xp.maximum(wanted, fewest), most)
    turned = q + turn * xp.where(fewest <= most, allowed, wanted)
    inside = ((turned >= low - LIMIT_SLACK) & (turned <= high + LIMIT_SLACK)).all(-1)
    return xp.where(inside[..., None], xp.minimum(xp.maximum(turned, low), high), turned), inside


def into_limits(arm: Arm, q: Array, q_near: Array | None = None) -> Array:
    """Joint vectors turned inside the limits where full turns can do it.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m], shape (..., n).
        q_near: Where to be near when several turns are inside; see `turn_into_limits`.

    Returns:
        The same shape; which rows are inside is told by `turn_into_limits`.
    """
    return turn_into_limits(arm, q, q_near)[0]


def wind(
    arm: Arm, q: FloatArray, q_near: FloatArray | None = None, *, within: float | None = None, most: int = MOST_WINDINGS
) -> tuple[IntArray, FloatArray]:
    """Windings inside the limits of joint vectors inside the limits; continuous joints keep the one they have.

    Args:
        arm: The arm.
        q: Joint vectors inside the limits [rad, m], shape (R, n).
        q_near: Where to be near, shape (R, n); None: the middle of the limits.
        within: How far from `q_near` a joint may be [rad]; None: anywhere in the limits.
        most: Where a joint vector has more windings, only so many, those nearest to `q_near`, are given.

    Returns:
        The row of q that each winding comes from, (W,) in ascending order, and the windings (W, n).
    """
    near = np.broadcast_to(middle(arm) if q_near is None else q_near, q.shape)
    room = np.inf if within is None else within
    row = np.arange(len(q))
    for i in (~arm.is_prismatic & np.isfinite(arm.q_min) & np.isfinite(arm.q_max)).nonzero()[0]:
        least = np.maximum(arm.q_min[i], near[row, i] - room)
        greatest = np.minimum(arm.q_max[i], near[row, i] + room)
        fewest = np.ceil((least - LIMIT_SLACK - q[:, i]) / _TURN)
        count = (np.floor((greatest + LIMIT_SLACK - q[:, i]) / _TURN) - fewest).astype(np.int64) + 1
        source = np.arange(len(q)).repeat(count.clip(min=0))
        turn = np.arange(len(source)) - source.searchsorted(source)
        q, row = q[source], row[source]
        q[:, i] = np.clip(q[:, i] + _TURN * (fewest[source] + turn), arm.q_min[i], arm.q_max[i])
        kept = _nearest_of_each(row, np.square(q[:, : i + 1] - near[row, : i + 1]).sum(-1), most)
        q, row = q[kept], row[kept]
    return row, q


def _nearest_of_each(group: IntArray, distance: FloatArray, most: int) -> IntArray:
    """Row numbers, ascending, of the `most` rows of each group (ascending) that have the least distance.

    Taken joint after joint this leaves the nearest vectors of all: what is added for a joint is the same whatever
    the other joints are.
    """
    if np.bincount(group).max(initial=0) <= most:
        return np.arange(len(group))
    order = np.lexsort((distance, group))
    place = np.arange(len(group)) - group.searchsorted(group)
    return np.sort(order[place < most])


def middle(arm: Arm) -> FloatArray:
    """The middle of the limits, 0 for continuous joints, shape (n,) [rad, m]."""
    bounded = np.isfinite(arm.q_min) & np.isfinite(arm.q_max)
    q = np.zeros(arm.n_joints)
    q[bounded] = (arm.q_min[bounded] + arm.q_max[bounded]) / 2
    return q
