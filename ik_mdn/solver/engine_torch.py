"""A search's work in torch: the reference that the compiled one is held to, and the one that runs on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ik_mdn.solver.branches import first_of_branch, turn_into_limits
from ik_mdn.solver.engine import MIN_WEIGHT, SINGULAR, Found, fine_tolerance, merge_distance
from ik_mdn.solver.folds import seeds_across_folds
from ik_mdn.solver.refinement import refine
from sim.arm import Arm
from sim.arrays import FloatArray, IntArray
from sim.jacobians import task_singular_values
from sim.kinematics import forward_kinematics
from sim.task import Task, error_norms, task_error

if TYPE_CHECKING:
    from ik_mdn.model import PoseModel


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
        arm, task: What is solved for.
        model: Or None.
        T: Targets, (B, 4, 4), float64, on any device.
        near: Joint vector to be near for each target, (B, n) or None.
        tolerance: Largest error of a solution [m], [rad].
    """

    def __init__(
        self, arm: Arm, task: Task, model: PoseModel | None, T: Tensor, near: Tensor | None, tolerance: float
    ) -> None:
        self.arm, self.task, self.model, self.T, self.near, self.tolerance = arm, task, model, T, near, tolerance

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Rows:
        assert self.model is not None
        pose = self._index(poses)
        q, weight = (self.model.propose if raw else self.model.seeds)(self.T[pose])
        heaviest = weight.topk(min(most, weight.shape[1]), dim=1).indices
        weight = weight.gather(1, heaviest)
        q = q.gather(1, heaviest[..., None].expand(-1, -1, q.shape[-1]))
        heavy = weight >= MIN_WEIGHT
        heavy[:, :1] = True
        return Rows(pose[:, None].expand_as(weight)[heavy], q[heavy], weight[heavy])

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Rows:
        assert self.model is not None
        noise = torch.Generator(self.T.device).manual_seed(int(generator.integers(2**62)))
        pose = self._index(poses)
        q = self.model.sample(self.T[pose], count, generator=noise)
        return self._weightless(pose.repeat_interleave(count), q.flatten(0, 1))

    def repeat(self, poses: IntArray, q: FloatArray, weight: float) -> Rows:
        rows = self.T.new_tensor(q).repeat(len(poses), 1)
        return Rows(self._index(poses).repeat_interleave(len(q)), rows, torch.full_like(rows[:, 0], weight))

    def scatter(self, poses: IntArray, count: IntArray, q: FloatArray) -> Rows:
        return self._weightless(self._index(poses.repeat(count)), self.T.new_tensor(q))

    def join(self, seeds: list[Rows]) -> Rows:
        return Rows(*(torch.cat(parts) for parts in zip(*seeds, strict=True)))

    def settle(self, poses: IntArray, seeds: Rows) -> tuple[Found, NDArray[np.bool_]]:
        refined = refine(self.arm, self.task, self.T[seeds.pose], seeds.q, tolerance=fine_tolerance(self.tolerance))
        error = torch.maximum(refined.err_pos, refined.err_rot)
        hit = error <= self.tolerance
        near = None if self.near is None else self.near[seeds.pose[hit]]
        q, inside = turn_into_limits(self.arm, refined.q[hit], near)
        rows = Rows(seeds.pose[hit], q, seeds.weight[hit]).take(inside)
        met = np.isin(poses, seeds.pose[hit].cpu().numpy())
        return self._measured(self._merge(rows, error[hit][inside])), met

    def across(self, poses: IntArray, found: Found) -> Rows:
        seeds, source = seeds_across_folds(self.arm, self.task, found.q)
        return self._weightless(self._index(found.pose[source]), self.T.new_tensor(seeds))

    def add(self, found: Found, more: Found) -> Found:
        joined, early = Found.join([found, more]), np.arange(len(found.pose) + len(more.pose)) < len(found.pose)
        early = early[np.concatenate([found.pose, more.pose]).argsort(kind="stable")]
        pose, q = (torch.as_tensor(x, device=self.T.device) for x in (joined.pose, joined.q))
        first = first_of_branch(self.arm, pose, q, merge_distance(self.tolerance)).cpu().numpy()
        return joined.take(early | (first == np.arange(len(first))))

    def sort(self, offsets: IntArray, key: FloatArray) -> IntArray:
        order: IntArray = np.lexsort((key, np.arange(len(offsets) - 1).repeat(np.diff(offsets))))
        return order

    def measure(self, poses: IntArray, seeds: Rows) -> Found:
        seeds = seeds.take(seeds.pose.argsort(stable=True))
        q, _ = turn_into_limits(self.arm, seeds.q, None if self.near is None else self.near[seeds.pose])
        return self._measured(Rows(seeds.pose, q, seeds.weight))

    def condition(self, q: FloatArray) -> tuple[NDArray[np.bool_], FloatArray]:
        sigma = task_singular_values(self.arm, self.task, self.T.new_tensor(q))
        return (sigma[:, -1] < SINGULAR).cpu().numpy(), sigma.prod(dim=-1).cpu().numpy()

    def _index(self, poses: IntArray) -> Tensor:
        return torch.as_tensor(poses, device=self.T.device)

    def _weightless(self, pose: Tensor, q: Tensor) -> Rows:
        return Rows(pose, q, torch.zeros_like(q[:, 0]))

    def _merge(self, rows: Rows, error: Tensor) -> Rows:
        """One row per branch, the most exact one, with the weight of all."""
        order = error.argsort(stable=True)
        rows = rows.take(order[rows.pose[order].argsort(stable=True)])
        first = first_of_branch(self.arm, rows.pose, rows.q, merge_distance(self.tolerance))
        weight = torch.zeros_like(rows.weight).index_add_(0, first, rows.weight)
        keep = (first == torch.arange(len(first), device=first.device)).nonzero()[:, 0]
        return Rows(rows.pose[keep], rows.q[keep], weight[keep])

    def _measured(self, rows: Rows) -> Found:
        errors = error_norms(task_error(self.task, forward_kinematics(self.arm, rows.q), self.T[rows.pose]))
        return Found(*(x.cpu().numpy() for x in (*rows, *errors)))
