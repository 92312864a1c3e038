"""A search's work in torch: the reference that the compiled one is held to, and the one that runs on a GPU."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ik_mdn.solver.branches import turn_into_limits
from ik_mdn.solver.engine import (
    MIN_WEIGHT,
    SINGULAR,
    Condition,
    Found,
    Problem,
    Seeds,
    fine_tolerance,
    merge_distance,
    portions,
    starts,
)
from ik_mdn.solver.folds import seeds_across_folds
from ik_mdn.solver.refinement import refine
from sim.arm import Arm
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.jacobians import task_singular_values
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel

_PAIRS = 1 << 22  # pairs of rows compared at a time; bounds the memory


class Rows(NamedTuple):
    """Joint vectors of some targets, in no order."""

    pose: Tensor  # (R,)
    q: Tensor  # (R, n)
    weight: Tensor  # (R,)

    def take(self, rows: Tensor) -> Rows:
        """Some of the rows."""
        return Rows(self.pose[rows], self.q[rows], self.weight[rows])


class TorchEngine:
    """See `ik_mdn.solver.engine.Engine`.

    Args:
        problem: What is solved for.
        model: Or None.
        device: Where the work is done.
    """

    def __init__(self, problem: Problem, model: ArmModel | None, device: torch.device | str = "cpu") -> None:
        self.problem = problem
        self.arm, self.task, T, near, self.tolerance = problem[:5]
        self.T = torch.from_numpy(T).to(device)
        self.near = None if near is None else self.T.new_tensor(near)
        self.model, self.has_model = (
            deepcopy(model).to(device) if model is not None and self.T.is_cuda else model,
            model is not None,
        )

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        assert self.model is not None
        means = raw or self.model.proposer is not None  # a proposer has no sigma points
        return propose(self.model if raw else self._proposer, self.T[self._index(poses)], most, means=means)

    @cached_property
    def _proposer(self) -> ArmModel:
        from ik_mdn.model import from_saved

        assert self.model is not None
        return from_saved(self.model.proposer).to(self.T.device) if self.model.proposer else self.model

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        assert self.model is not None
        return draw(self.model, self.T[self._index(poses)], count, generator)

    def settle(
        self, poses: IntArray, seeds: Seeds, tolerance: float | None = None, *, beside: bool = False
    ) -> tuple[Found, BoolArray]:
        found, met = self._settle(poses, seeds, tolerance or self.tolerance)
        if not beside:
            return found, met
        more, _ = self._settle(poses, self._across(poses, found), tolerance or self.tolerance)
        return Found.join([found, more.take(self.is_new(found, more))]), met

    def _settle(self, poses: IntArray, seeds: Seeds, most: float) -> tuple[Found, BoolArray]:
        """Distinct solutions in limits that the seeds lead to, and which of the targets were met."""
        pose, weight = self._index(poses.repeat(seeds.counts)), self.T.new_tensor(seeds.weight)
        q = self.T.new_tensor(seeds.q)
        error = torch.full_like(weight, torch.inf)
        for part in portions(len(q), self.problem):
            refined = refine(self.arm, self.task, self.T[pose[part]], q[part], tolerance=fine_tolerance(most))
            q[part], error[part] = refined.q, torch.maximum(refined.err_pos, refined.err_rot)
        hit = error <= most
        near = None if self.near is None else self.near[pose[hit]]
        q, inside = turn_into_limits(self.arm, q[hit], near)
        rows = self._merge(Rows(pose[hit], q, weight[hit]).take(inside), error[hit][inside], merge_distance(most))
        return measure(self.arm, self.task, self.T, rows), np.isin(poses, pose[hit].cpu().numpy())

    def _across(self, poses: IntArray, found: Found) -> Seeds:
        """Seeds across the folds that solutions lie beside."""
        seeds, source = seeds_across_folds(self.arm, self.task, found.q)
        return Seeds.weightless(np.bincount(poses.searchsorted(found.pose[source]), minlength=len(poses)), seeds)

    def is_new(self, found: Found, more: Found) -> BoolArray:
        pose = np.concatenate([found.pose, more.pose])
        order = pose.argsort(kind="stable")  # those found come first among those of their target
        rows = (self.T.new_tensor(np.concatenate([found.q, more.q])[order]), merge_distance(self.tolerance))
        first = first_of_branch(self.arm, self._index(pose[order]), *rows).cpu().numpy()
        new = np.empty(len(pose), np.bool_)
        new[order] = first == np.arange(len(pose))
        return new[len(found.pose) :]

    def condition(self, q: FloatArray) -> Condition:
        sigma = task_singular_values(self.arm, self.task, self.T.new_tensor(q))
        return Condition((sigma[:, -1] < SINGULAR).cpu().numpy(), sigma.prod(dim=-1).cpu().numpy())

    def _index(self, poses: IntArray) -> Tensor:
        return torch.as_tensor(poses, device=self.T.device)

    def _merge(self, rows: Rows, error: Tensor, distance: float) -> Rows:
        """One row per branch, the most exact one, with the weight of all."""
        order = error.argsort(stable=True)
        rows = rows.take(order[rows.pose[order].argsort(stable=True)])
        first = first_of_branch(self.arm, rows.pose, rows.q, distance)
        weight = torch.zeros_like(rows.weight).index_add_(0, first, rows.weight)
        keep = (first == torch.arange(len(first), device=first.device)).nonzero()[:, 0]
        return Rows(rows.pose[keep], rows.q[keep], weight[keep])


def propose(model: ArmModel, T: Tensor, most: int, *, means: bool) -> Seeds:
    """The heaviest seeds of a model for targets (P, 4, 4), at most so many each; component means alone where those are wanted."""
    q, weight = (model.propose if means else model.seeds)(T)
    heaviest = weight.topk(min(most, weight.shape[1]), dim=1).indices
    weight = weight.gather(1, heaviest)
    q = q.gather(1, heaviest[..., None].expand(-1, -1, q.shape[-1]))
    heavy = weight >= MIN_WEIGHT
    heavy[:, :1] = True
    return Seeds(starts(heavy.sum(1).cpu().numpy()), q[heavy].cpu().numpy(), weight[heavy].cpu().numpy())


def draw(model: ArmModel, T: Tensor, count: int, generator: np.random.Generator) -> Seeds:
    """Seeds drawn from a model's mixtures for targets (P, 4, 4), so many for each."""
    noise = torch.Generator(T.device).manual_seed(int(generator.integers(2**62)))
    q = model.sample(T, count, generator=noise).flatten(0, 1)
    return Seeds.weightless(np.full(len(T), count), q.cpu().numpy())


def measure(arm: Arm, task: Task, T: Tensor, rows: Rows) -> Found:
    """Joint vectors with their errors by forward kinematics.

    Args:
        arm, task: What is solved for.
        T: Targets, (B, 4, 4).
        rows: Target after target.
    """
    errors = error_norms(task_error(task, forward_kinematics(arm, rows.q), T[rows.pose]))
    return Found(*(x.cpu().numpy() for x in (*rows, *errors)))


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
