"""One search: from targets to the distinct solutions in limits, many targets at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ik_mdn.branches import first_of_branch, turn_into_limits, wind
from ik_mdn.refine import refine
from ik_mdn.solutions import STATUSES, SolutionBatch, Status
from sim.arm import Arm
from sim.errors import CheckpointError
from sim.kinematics import forward_kinematics, kinematics
from sim.task import Task, error_norms, task_error, task_jacobian

if TYPE_CHECKING:
    from ik_mdn.model import PoseModel

MERGE = 1e-4  # distance on the circle [rad, m] below which two solutions are one: where branches meet,
# the error grows with the square of this distance, so it is the square root of the solver's tolerance
SINGULAR = 1e-4  # smallest singular value of the task Jacobian (lengths in arm lengths) that counts as singular
MIN_WEIGHT = 1e-4  # components that weigh less are not refined

_ROWS = 1 << 16  # seeds refined in one go; bounds the memory
_OVERSHOOT = 1e-4  # refinement goes on to this share of the tolerance, so that both halves of a double root merge
_FINEST = 1e-13  # [rad, arm lengths] what rounding lets refinement reach


@dataclass(frozen=True)
class Rows:
    """Joint vectors of some targets: which target, where, how probable; in no order."""

    pose: Tensor  # (R,)
    q: Tensor  # (R, n)
    weight: Tensor  # (R,)

    def __getitem__(self, rows: Tensor) -> Rows:
        return Rows(self.pose[rows], self.q[rows], self.weight[rows])

    @staticmethod
    def join(parts: list[Rows]) -> Rows:
        """All rows of the parts (one or more), part after part."""
        return Rows(*(torch.cat([getattr(p, key) for p in parts]) for key in ("pose", "q", "weight")))


@dataclass(frozen=True)
class Search:
    """One call of `IKSolver.solve`."""

    arm: Arm
    task: Task
    model: PoseModel | None
    T: Tensor  # (B, 4, 4)
    near: Tensor | None  # (B, n)
    seeds: int
    tolerance: float

    def find(self, restarts: int, seed: int) -> tuple[Rows, Tensor]:
        """Solutions in limits, and which targets were met at all, in limits or not.

        Args:
            restarts: Most rounds of random seeds per target; with a model, a round of its proposals comes first.
            seed: Of the random seeds.

        Returns:
            Rows, none for a target without solution in limits, and a mask (B,).
        """
        exact = torch.zeros(len(self.T), dtype=torch.bool, device=self.T.device)
        solved = torch.zeros_like(exact)
        parts = [self._no_rows()]
        pending = self._within_reach().nonzero()[:, 0]
        generator = np.random.default_rng(seed)
        first = 0 if self.model is not None or not restarts else 1  # without restarts `q_seed` alone is tried
        for number in range(first, restarts + 1):
            count = self.seeds << max(0, number - 1)
            draws = self._draw(generator, count) if number else None
            for chunk in _chunks(pending, count):
                seeds = self._proposals(chunk, raw=False) if draws is None else self._restarts(chunk, draws)
                if number == first:
                    seeds = self._with_near(chunk, seeds)
                found, met = self._refine(seeds)
                exact[met] = True
                solved[found.pose] = True
                parts.append(found)
            given_up = ~exact[pending] & (2 * number >= restarts)
            pending = pending[~solved[pending] & ~given_up]
        return Rows.join(parts), exact

    def propose(self) -> Rows:
        """The model's modes, turned into limits where possible."""
        if self.model is None:
            raise CheckpointError("refine=False shows a model's raw modes; this solver has no model, so load one")
        parts = [self._no_rows()]
        for chunk in _chunks(torch.arange(len(self.T), device=self.T.device), self.seeds):
            rows = self._proposals(chunk, raw=True)
            q, _ = turn_into_limits(self.arm, rows.q, None if self.near is None else self.near[rows.pose])
            parts.append(Rows(rows.pose, q, rows.weight))
        return Rows.join(parts)

    def wind(self, rows: Rows) -> Rows:
        """Every winding of each solution; they share its weight."""
        source, q = wind(self.arm, rows.q)
        count = torch.bincount(source, minlength=len(rows.q))
        return Rows(rows.pose[source], q, (rows.weight / count)[source])

    def collect(self, rows: Rows, exact: Tensor | None, max_solutions: int | None) -> SolutionBatch:
        """The solutions sorted by target, best first, with their errors by forward kinematics and each target's status.

        Args:
            rows: Solutions or proposals, in any order.
            exact: Which targets were met at all, (B,), from `find`; None marks raw proposals.
            max_solutions: Keep only so many of the best per target; None: all.

        Returns:
            The batch of length B; a target without rows has no solution.
        """
        better = -rows.weight if self.near is None else (rows.q - self.near[rows.pose]).norm(dim=-1)
        order = better.argsort(stable=True)
        rows = rows[order[rows.pose[order].argsort(stable=True)]]
        start = torch.searchsorted(rows.pose, torch.arange(len(self.T) + 1, device=self.T.device))
        if max_solutions is not None:
            rank = torch.arange(len(rows.pose), device=self.T.device) - start[rows.pose]
            rows = rows[rank < max_solutions]
            start = torch.searchsorted(rows.pose, torch.arange(len(self.T) + 1, device=self.T.device))
        err_pos, err_rot = self._measure(rows)
        status = self._status(rows, start, exact)
        flat = (rows.q, rows.weight, err_pos, err_rot, start, status)
        return SolutionBatch(*(x.cpu().numpy() for x in flat))

    def _within_reach(self) -> Tensor:
        """Targets (B,) that the sum of the link lengths does not rule out."""
        centre = self.T.new_tensor(self.arm.offsets[0, :3, 3])
        counts = torch.tensor(self.task.rows[:3], device=self.T.device)
        away = ((self.T[:, :3, 3] - centre) * counts).norm(dim=-1)
        return torch.le(away, self.arm.reach + self.tolerance)

    def _no_rows(self) -> Rows:
        empty = self.T.new_empty(0)
        return Rows(empty.long(), empty.new_empty(0, self.arm.n_joints), empty)

    def _draw(self, generator: np.random.Generator, count: int) -> Tensor:
        """Random joint vectors in limits, shape (count, n)."""
        shape = (count, self.arm.n_joints)
        return self.T.new_tensor(generator.uniform(self.arm.sample_min, self.arm.sample_max, shape))

    def _restarts(self, poses: Tensor, draws: Tensor) -> Rows:
        """The draws for each of some targets; their weight is their share of all draws so far, 0 beside a model."""
        so_far = 2 * len(draws) - self.seeds  # rounds double: seeds (1 + 2 + 4 + ...)
        share = 1 / so_far if self.model is None else 0.0
        q = draws.repeat(len(poses), 1)
        return Rows(poses.repeat_interleave(len(draws)), q, torch.full_like(q[:, 0], share))

    def _with_near(self, poses: Tensor, rows: Rows) -> Rows:
        """Rows with `q_seed` of each target as one more."""
        if self.near is None:
            return rows
        near = self.near[poses]
        return Rows.join([rows, Rows(poses, near, torch.zeros_like(near[:, 0]))])

    def _proposals(self, poses: Tensor, *, raw: bool) -> Rows:
        """The component means (with sigma points unless `raw`) that weigh enough, the heaviest `seeds` per target."""
        if self.model is None:
            return self._no_rows()
        q, weight = (self.model.propose if raw else self.model.seeds)(self.T[poses])
        heaviest = weight.topk(min(self.seeds, weight.shape[1]), dim=1).indices
        weight = weight.gather(1, heaviest)
        q = q.gather(1, heaviest[..., None].expand(-1, -1, q.shape[-1]))
        heavy = weight >= MIN_WEIGHT
        heavy[:, :1] = True
        return Rows(poses[:, None].expand_as(weight)[heavy], q[heavy], weight[heavy])

    def _refine(self, rows: Rows) -> tuple[Rows, Tensor]:
        """Distinct solutions in limits, and the targets that were met at all (with repetitions)."""
        refined = refine(
            self.arm, self.task, self.T[rows.pose], rows.q, tolerance=max(_OVERSHOOT * self.tolerance, _FINEST)
        )
        error = torch.maximum(refined.err_pos, refined.err_rot)
        met = error <= self.tolerance
        near = None if self.near is None else self.near[rows.pose[met]]
        q, inside = turn_into_limits(self.arm, refined.q[met], near)
        found = Rows(rows.pose[met], q, rows.weight[met])[inside]
        return self._merge(found, error[met][inside]), rows.pose[met]

    def _merge(self, rows: Rows, error: Tensor) -> Rows:
        """One row per branch, the most exact one, with the weight of all."""
        order = error.argsort(stable=True)
        rows = rows[order[rows.pose[order].argsort(stable=True)]]
        first = first_of_branch(self.arm, rows.pose, rows.q, max(MERGE, self.tolerance**0.5))
        weight = torch.zeros_like(rows.weight).index_add_(0, first, rows.weight)
        keep = (first == torch.arange(len(first), device=first.device)).nonzero()[:, 0]
        return Rows(rows.pose[keep], rows.q[keep], weight[keep])

    def _measure(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Position and angle errors (R,) by forward kinematics."""
        parts = [
            error_norms(task_error(self.task, forward_kinematics(self.arm, q), self.T[pose]))
            for pose, q in zip(torch.split(rows.pose, _ROWS), torch.split(rows.q, _ROWS), strict=True)
        ]
        return torch.cat([p for p, _ in parts]), torch.cat([r for _, r in parts])

    def _status(self, rows: Rows, start: Tensor, exact: Tensor | None) -> Tensor:
        """Place of each target's status in `tuple(Status)`, (B,), uint8."""
        status = torch.empty(len(self.T), dtype=torch.uint8, device=self.T.device)
        if exact is None:
            return status.fill_(STATUSES.index(Status.PROPOSED))
        status.fill_(STATUSES.index(Status.UNREACHABLE))
        status[exact] = STATUSES.index(Status.OUT_OF_LIMITS)
        solved = (start[1:] > start[:-1]).nonzero()[:, 0]
        status[solved] = STATUSES.index(Status.SOLVED)
        for chunk in torch.split(solved, _ROWS):
            singular = self._is_singular(rows.q[start[chunk]])
            status[chunk[singular]] = STATUSES.index(Status.SINGULAR)
        return status

    def _is_singular(self, q: Tensor) -> Tensor:
        """Whether the smallest singular value is below the threshold: `J J^T - s² I` is not positive definite."""
        T, J = kinematics(self.arm, q)
        length = self.arm.reach if self.arm.reach > 0 else 1.0
        scaled = J.clone()
        scaled[:, :3] /= length
        scaled[:, :, torch.tensor(self.arm.is_prismatic, device=q.device)] *= length
        J = task_jacobian(self.task, scaled, T)
        H = J @ J.mT
        H.diagonal(dim1=-2, dim2=-1).sub_(SINGULAR**2)
        failed: Tensor = torch.linalg.cholesky_ex(H).info
        return failed > 0


def _chunks(poses: Tensor, seeds: int) -> tuple[Tensor, ...]:
    """Targets in portions whose seeds fit into memory."""
    return torch.split(poses, max(1, _ROWS // seeds))
