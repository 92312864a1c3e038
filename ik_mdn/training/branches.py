"""Every branch of a sample's pose in place of the one that was drawn: the same loss on average, and less noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ik_mdn.model import PoseModel, SavedModel
from ik_mdn.solver import IKSolver, Status
from ik_mdn.training.likelihood import Answers
from sim.kinematics import forward_kinematics

_SAME = 1e-4  # [rad, m] a solution this near to the configuration that was drawn is that configuration
_WHOLE = [list(Status).index(status) for status in (Status.SOLVED, Status.SINGULAR)]


class Branches:
    """Finds the other solutions of a sample's pose, and how probable each is, with the network as it is so far.

    Of a joint vector drawn uniformly in limits, given its pose and that it is one of the solutions found, it is known how
    probable it was to be each of them: 1 / |det J|, normalised. The mean of the loss over these solutions has the same
    expectation as the loss itself and less variance (Rao & Blackwell). That holds whatever solving misses, since a joint
    vector that is not among the solutions found stands for itself.

    Code that is not compiled yet is compiled at once, so that no step waits for it.

    Args:
        model: What is trained, of an arm with as many joints as its task has constraints.
    """

    def __init__(self, model: PoseModel) -> None:
        self.model = model
        self._solver: IKSolver | None = None
        some = np.clip(np.zeros(model.arm.n_joints), model.arm.sample_min, model.arm.sample_max)
        IKSolver(model.arm, SavedModel.of(model)).solve(forward_kinematics(model.arm, some), restarts=0)

    @staticmethod
    def known_for(model: object) -> bool:
        """Whether solutions of a model's arm are isolated, so that each has a probability."""
        return isinstance(model, PoseModel) and model.kind == "mdn" and sum(model.task.rows) == model.arm.n_joints

    def refresh(self, weights: Mapping[str, Tensor]) -> None:
        """Solve from now on with these weights of the network; before the first call nothing is solved.

        Args:
            weights: As in the model's `state_dict()`.
        """
        arrays = {name: value.detach().cpu().numpy().copy() for name, value in weights.items()}
        self._solver = IKSolver(self.model.arm, replace(SavedModel.of(self.model), weights=arrays))

    def find(self, T_base_tip: Tensor, q: Tensor) -> tuple[Tensor, Answers | None]:
        """Solutions of the poses of drawn configurations.

        Args:
            T_base_tip: Poses, (B, 4, 4), float64.
            q: What they are the poses of, (B, n), float64 [rad, m].

        Returns:
            Joint vectors, (M, n), pose by pose, and to which pose and by which share each belongs; q itself and None
            before the first `refresh`.
        """
        if self._solver is None:
            return q, None
        found = self._solver.solve(T_base_tip.numpy(), restarts=0)
        drawn, count = q.numpy(), np.diff(found.offsets)
        owner = np.repeat(np.arange(len(drawn)), count)
        is_same = np.abs(self.model.arm.nearest_image(found.q - drawn[owner])).max(axis=1) < _SAME
        is_drawn = np.bincount(owner[is_same], minlength=len(drawn)) > 0
        whole = is_drawn & np.isin(found.status_index, _WHOLE)
        ends = np.concatenate([[0], np.cumsum(np.where(whole, count, 1))])
        rows, share = np.empty((ends[-1], drawn.shape[1])), np.ones(ends[-1], np.float32)
        kept = whole[owner]
        places = np.repeat(whole, np.where(whole, count, 1))
        rows[places], share[places] = found.q[kept], found.weight[kept]
        rows[~places] = drawn[~whole]
        return torch.from_numpy(rows), Answers(torch.from_numpy(ends), torch.from_numpy(share))
