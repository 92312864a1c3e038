"""A search's work in torch: the reference that the compiled one is held to, and the one that runs on a GPU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ik_mdn.solver.engine import (
    MIN_WEIGHT,
    ROWS,
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
from ik_mdn.solver.kernels.rules import NEAR_FOLD
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.refinement_torch import LANES
from ik_mdn.solver.windings import turn_into_limits
from sim.arm import Arm
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.jacobians import scaled_task_jacobian, task_singular_values
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel

_PAIRS = 1 << 22  # pairs of rows compared at a time; bounds the memory
_ROW_BYTES = 1 << 14  # of a GPU's memory for a row of seeds: proposing it, and its state in refinement
_MOST_ROWS = 1 << 20


class Rows(NamedTuple):
    """Joint vectors of some targets, in no order."""

    pose: Tensor  # (R,)
    q: Tensor  # (R, n)
    weight: Tensor  # (R,)

    def take(self, rows: Tensor) -> Rows:
        """Some of the rows."""
        return Rows(self.pose[rows], self.q[rows], self.weight[rows])

    def join(self, more: Rows) -> Rows:
        """These and more, sorted by target; within a target these first."""
        pose, q, weight = (torch.cat(columns) for columns in zip(self, more, strict=True))
        return Rows(pose, q, weight).take(pose.argsort(stable=True))


class TorchEngine:
    """See `ik_mdn.solver.engine.Engine`.

    From the model's proposals to the distinct solutions everything stays on the device; what comes back is found.

    Args:
        problem: What is solved for.
        model: On the device, or None.
        device: Where the work is done.
    """

    def __init__(self, problem: Problem, model: ArmModel | None, device: torch.device | str = "cpu") -> None:
        self.problem = problem
        self.arm, self.task, T, near, self.tolerance = problem[:5]
        self.T = torch.from_numpy(T).to(device)
        self.near = None if near is None else self.T.new_tensor(near)
        self.model, self.has_model, self.rows = model, model is not None, _rows_for(self.T.device)
        self._lanes = LANES if self.T.device.type == "cpu" else self.rows

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        assert self.model is not None
        return propose(self.model, self.T[self._there(poses)], most, raw=raw)

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        assert self.model is not None
        return draw(self.model, self.T[self._there(poses)], count, generator)

    def settle(
        self, poses: IntArray, seeds: Seeds, tolerance: float | None = None, *, beside: bool = False
    ) -> tuple[Found, BoolArray]:
        most, counts = tolerance or self.tolerance, self._there(seeds.counts)
        given = Rows(self._there(poses).repeat_interleave(counts), self._there(seeds.q), self._there(seeds.weight))
        rows, met = self._settle(given, most)
        if beside:
            more, _ = self._settle(self._across(rows), most)
            rows = rows.join(more.take(self._is_new(rows, more)))
        return measure(self.arm, self.task, self.T, rows), met[self._there(poses)].cpu().numpy()

    def _settle(self, seeds: Rows, most: float) -> tuple[Rows, Tensor]:
        """Distinct solutions in limits that seeds lead to, target after target, and which of all targets were met."""
        pose, q, error = seeds.pose, seeds.q.clone(), torch.full_like(seeds.weight, torch.inf)
        fine, lanes = fine_tolerance(most), self._lanes
        for part in portions(len(q), self.problem):
            refined = refine(self.arm, self.task, self.T[pose[part]], q[part], tolerance=fine, lanes=lanes)
            q[part], error[part] = refined.q, torch.maximum(refined.err_pos, refined.err_rot)
        hit = error <= most
        met = torch.zeros(len(self.T), dtype=torch.bool, device=self.T.device).index_fill_(0, pose[hit], True)
        near = None if self.near is None else self.near[pose[hit]]
        q, inside = turn_into_limits(self.arm, q[hit], near)
        rows = Rows(pose[hit], q, seeds.weight[hit]).take(inside)
        return self._merge(rows, error[hit][inside], merge_distance(most)), met

    def _across(self, rows: Rows) -> Rows:
        """Seeds across the folds that solutions lie beside."""
        rows = rows.take(weak(self.arm, self.task, rows.q, NEAR_FOLD))
        seeds, source = seeds_across_folds(self.arm, self.task, rows.q)
        return Rows(rows.pose[source], seeds, torch.zeros_like(seeds[:, 0]))

    def is_new(self, found: Found, more: Found) -> BoolArray:
        known, others = (Rows(*(self._there(column) for column in rows[:3])) for rows in (found, more))
        new: BoolArray = self._is_new(known, others).cpu().numpy()
        return new

    def _is_new(self, found: Rows, more: Rows) -> Tensor:
        """See `Engine.is_new`."""
        pose = torch.cat([found.pose, more.pose])
        order = pose.argsort(stable=True)  # those found come first among those of their target
        q = torch.cat([found.q, more.q])[order]
        first = first_of_branch(self.arm, pose[order], q, merge_distance(self.tolerance))
        new = torch.empty_like(pose, dtype=torch.bool)
        new[order] = first == torch.arange(len(pose), device=pose.device)
        return new[len(found.pose) :]

    def condition(self, q: FloatArray) -> Condition:
        singular, manipulability = condition(self.arm, self.task, self._there(q))
        return Condition(singular.cpu().numpy(), manipulability.cpu().numpy())

    def _there(self, values: Any) -> Tensor:
        """Numbers, integers as they are, on the device."""
        return torch.as_tensor(values, device=self.T.device)

    def _merge(self, rows: Rows, error: Tensor, distance: float) -> Rows:
        """One row per branch, the most exact one, with the weight of all."""
        order = error.argsort(stable=True)
        rows = rows.take(order[rows.pose[order].argsort(stable=True)])
        first = first_of_branch(self.arm, rows.pose, rows.q, distance)
        weight = torch.zeros_like(rows.weight).index_add_(0, first, rows.weight)
        keep = (first == torch.arange(len(first), device=first.device)).nonzero()[:, 0]
        return Rows(rows.pose[keep], rows.q[keep], weight[keep])


def propose(model: ArmModel, T: Tensor, most: int, *, raw: bool) -> Seeds:
    """The heaviest seeds of a model for targets (P, 4, 4), at most so many each; raw ones are component means."""
    q, weight = (model.propose if raw else model.seeds)(T)
    heaviest = weight.topk(min(most, weight.shape[1]), dim=1).indices
    weight = weight.gather(1, heaviest)
    q = q.gather(1, heaviest[..., None].expand(-1, -1, q.shape[-1]))
    heavy = weight >= MIN_WEIGHT
    heavy[:, :1] = True
    return Seeds(starts(heavy.sum(1).cpu().numpy()), _plain(q[heavy]), _plain(weight[heavy]))


def draw(model: ArmModel, T: Tensor, count: int, generator: np.random.Generator) -> Seeds:
    """Seeds drawn from a model's mixtures for targets (P, 4, 4), so many for each; of a regressor its one answer."""
    noise = torch.Generator(T.device).manual_seed(int(generator.integers(2**62)))
    q = model.sample(T, count, generator=noise) if model.kind == "mdn" else model.mean(T)[:, None]
    drawn = np.full(len(T), q.shape[1])
    return Seeds(starts(drawn), _plain(q.flatten(0, 1)), _plain(torch.zeros_like(q[..., 0]).flatten()))


def _plain(values: Tensor) -> Any:
    """On the CPU as numpy; a GPU's tensors stay there."""
    return values.numpy() if values.device.type == "cpu" else values


def _rows_for(device: torch.device) -> int:
    """How many seeds to refine in one go: on a GPU as many as a quarter of the free memory holds."""
    if device.type != "cuda":
        return ROWS
    free, _ = torch.cuda.mem_get_info(device)
    return max(ROWS, min(_MOST_ROWS, free // (4 * _ROW_BYTES)))


def measure(arm: Arm, task: Task, T: Tensor, rows: Rows) -> Found:
    """Joint vectors with their errors by forward kinematics.

    Args:
        arm, task: What is solved for.
        T: Targets, (B, 4, 4).
        rows: Target after target.
    """
    errors = error_norms(task_error(task, forward_kinematics(arm, rows.q), T[rows.pose]))
    return Found(*(x.cpu().numpy() for x in (*rows, *errors)))


def weak(arm: Arm, task: Task, q: Tensor, most: float) -> Tensor:
    """Rows of q (R, n) whose smallest singular value may be below `most`; none of the others' is.

    `|J⁻¹|` in the Frobenius norm is at least 1/σ, and an inverse costs a small part of what singular values do.
    """
    J = scaled_task_jacobian(arm, task, q)[1]
    if J.shape[-2] != J.shape[-1]:
        return torch.arange(len(q), device=q.device)
    inverse: Tensor = torch.linalg.inv_ex(J)[0]
    safe = inverse.square().sum((-2, -1)).sqrt() * most <= 1  # NaN is not
    return (~safe).nonzero()[:, 0]


def condition(arm: Arm, task: Task, q: Tensor) -> tuple[Tensor, Tensor]:
    """Which joint vectors (R, n) are singular, (R,), and the manipulability of each, (R,)."""
    J = scaled_task_jacobian(arm, task, q)[1]
    square = J.shape[-2] == J.shape[-1]
    manipulability = torch.linalg.det(J).abs() if square else torch.empty_like(J[:, 0, 0])
    singular, rows = torch.zeros_like(manipulability, dtype=torch.bool), weak(arm, task, q, SINGULAR)
    sigma = task_singular_values(arm, task, q[rows])
    singular[rows], manipulability[rows] = sigma[:, -1] < SINGULAR, sigma.prod(dim=-1)
    return singular, manipulability


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
