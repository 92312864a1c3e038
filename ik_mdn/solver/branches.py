"""Branches: joint vectors on the circle turned into limits, told apart, and wound."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.arm import LIMIT_SLACK, Arm

MOST_WINDINGS = 1024  # of one solution that are given; limits of ±20 rad and six joints allow 46,656 of them

_TURN = 2 * math.pi
_PAIRS = 1 << 22  # pairs of rows compared at a time; bounds the memory


def turn_into_limits(arm: Arm, q: Tensor, q_near: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Each joint vector turned inside the limits by full turns of its joints, and whether that was possible.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m], shape (..., n).
        q_near: Where to be near when several turns are inside, shape (..., n) or (n,);
            default: the middle of the limits, 0 for continuous joints (which then lie in [-π, π]).

    Returns:
        q (..., n), and a mask (...,) of the rows whose every joint is inside. In other rows the joints that full
        turns can bring inside are brought there; those that they cannot come within half a turn of `q_near`.
    """
    low, high, turns = _limits(arm, q)
    near = q.new_tensor(middle(arm)) if q_near is None else q_near
    fewest = torch.ceil((low - LIMIT_SLACK - q) / _TURN)
    most = torch.floor((high + LIMIT_SLACK - q) / _TURN)
    wanted = torch.round((near - q) / _TURN)
    allowed = torch.minimum(torch.maximum(wanted, fewest), most)
    turned = q + _TURN * torch.where(turns, torch.where(fewest <= most, allowed, wanted), 0.0)
    inside = ((turned >= low - LIMIT_SLACK) & (turned <= high + LIMIT_SLACK)).all(-1)
    return torch.where(inside[..., None], torch.minimum(torch.maximum(turned, low), high), turned), inside


def into_limits(arm: Arm, q: Tensor) -> Tensor:
    """Joint vectors turned inside the limits where full turns can do it, as near to the middle as they allow.

    Args:
        arm: The arm.
        q: Joint vectors [rad, m], shape (..., n).

    Returns:
        The same shape; which rows are inside is told by `turn_into_limits`.
    """
    return turn_into_limits(arm, q)[0]


def wind(
    arm: Arm, q: Tensor, q_near: Tensor | None = None, *, within: float | None = None, most: int = MOST_WINDINGS
) -> tuple[Tensor, Tensor]:
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
    low, high, turns = _limits(arm, q)
    near = (q.new_tensor(middle(arm)) if q_near is None else q_near).expand_as(q)
    low, high = low.expand_as(q), high.expand_as(q)
    room = 0.0 if within is None else within
    row = torch.arange(len(q), device=q.device)
    for i in range(arm.n_joints):
        if not (turns[i] and torch.isfinite(low[:, i]).all() and torch.isfinite(high[:, i]).all()):
            continue
        least, greatest = low[row, i], high[row, i]
        if within is not None:
            least, greatest = least.maximum(near[row, i] - room), greatest.minimum(near[row, i] + room)
        fewest = torch.ceil((least - LIMIT_SLACK - q[:, i]) / _TURN)
        count = ((torch.floor((greatest + LIMIT_SLACK - q[:, i]) / _TURN) - fewest).long() + 1).clamp(min=0)
        source = torch.arange(len(q), device=q.device).repeat_interleave(count)
        turn = torch.arange(len(source), device=q.device) - (count.cumsum(0) - count)[source]
        q, row = q[source].clone(), row[source]
        q[:, i] = (q[:, i] + _TURN * (fewest[source] + turn)).clamp(low[row, i], high[row, i])
        kept = _nearest_of_each(row, (q[:, : i + 1] - near[row, : i + 1]).square().sum(-1), most)
        q, row = q[kept], row[kept]
    return row, q


def _nearest_of_each(group: Tensor, distance: Tensor, most: int) -> Tensor:
    """Row numbers, ascending, of the `most` rows of each group (ascending) that have the least distance.

    Taken joint after joint this leaves the nearest vectors of all: what is added for a joint is the same whatever
    the other joints are.
    """
    if not len(group) or int(torch.bincount(group).max()) <= most:
        return torch.arange(len(group), device=group.device)
    order = distance.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    place = torch.arange(len(group), device=group.device) - torch.searchsorted(group, group)
    return order[place < most].sort().values


def first_of_branch(arm: Arm, pose: Tensor, q: Tensor, tolerance: float) -> Tensor:
    """For each row the first row of the same pose that is the same branch.

    A row belongs to the branch of the first row before it within the tolerance, by the distance on the circle
    `sqrt(Σ 4 sin²(Δq_i/2))` over turning joints (plus Δq² [m²] for sliding ones). Rows that start a branch are
    therefore further apart than the tolerance.

    Args:
        arm: The arm.
        pose: Pose of each row, ascending, shape (R,), int64.
        q: Joint vectors, shape (R, n), better ones first within a pose.
        tolerance: Distance [rad, m].

    Returns:
        Row numbers, shape (R,), int64; a row that starts a branch gives its own.
    """
    first = torch.arange(len(q), device=q.device)
    if len(q) < 2:
        return first
    return _first_near(pose, _on_circle(arm, q), first, tolerance)


def _first_near(pose: Tensor, on_circle: Tensor, first: Tensor, tolerance: float) -> Tensor:
    """See `first_of_branch`; `first` (R,) counts the rows."""
    _, count = torch.unique_consecutive(pose, return_counts=True)
    width = int(count.max())
    start = count.cumsum(0) - count
    group = torch.arange(len(count), device=pose.device).repeat_interleave(count)
    slot = first - start[group]
    table = on_circle.new_zeros(len(count), width, on_circle.shape[1])
    table[group, slot] = on_circle
    used = torch.arange(width, device=pose.device) < count[:, None]
    step = max(1, _PAIRS // width**2)
    leaders = [_leader(table[i : i + step], used[i : i + step], tolerance) for i in range(0, len(table), step)]
    leader = torch.cat(leaders)[group, slot]
    return torch.add(start[group], leader)


def _leader(table: Tensor, used: Tensor, tolerance: float) -> Tensor:
    """For each slot (P, S) the first slot that it is linked to."""
    square = (table * table).sum(-1)
    distance = square[:, :, None] + square[:, None, :] - 2 * table @ table.mT  # squared; rounding 1e-15
    near = (distance <= tolerance**2) & used[:, :, None] & used[:, None, :]
    slots = torch.arange(table.shape[1], device=table.device)
    near |= slots[:, None] == slots
    leader = torch.where(near, slots, table.shape[1]).amin(-1)
    for _ in range(max(1, math.ceil(math.log2(table.shape[1])))):  # leaders of leaders
        leader = leader.gather(1, leader)
    return leader


def _on_circle(arm: Arm, q: Tensor) -> Tensor:
    turns = torch.tensor(~arm.is_prismatic, device=q.device)
    return torch.cat([q[:, turns].cos(), q[:, turns].sin(), q[:, ~turns]], dim=1)


def _limits(arm: Arm, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    turns = torch.tensor(~arm.is_prismatic, device=like.device)
    return like.new_tensor(arm.q_min), like.new_tensor(arm.q_max), turns


def middle(arm: Arm) -> NDArray[np.float64]:
    """The middle of the limits, 0 for continuous joints, shape (n,) [rad, m]."""
    bounded = np.isfinite(arm.q_min) & np.isfinite(arm.q_max)
    q = np.zeros(arm.n_joints)
    q[bounded] = (arm.q_min[bounded] + arm.q_max[bounded]) / 2
    return q
