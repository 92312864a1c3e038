"""The self-motions of a redundant arm at a target, with the density along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ik_mdn.solver import IKSolver, self_motion
from sim.arrays import FloatArray

SAMPLES = 120  # shared by all curves


@dataclass(frozen=True, eq=False)
class Curve:
    """One self-motion.

    Args:
        q: Configurations in order along it, evenly spaced, shape (s, n).
        share: Density of the mixture at each, relative to the largest on any curve, shape (s,); ones without a model.
        length: Arc length [rad].
        closed: Whether it comes back to its beginning.
    """

    q: FloatArray
    share: FloatArray
    length: float
    closed: bool

    def at(self, share: float) -> FloatArray:
        """The sample nearest to a share of the way along, 0 to 1, shape (n,)."""
        return np.asarray(self.q[min(int(share * len(self.q)), len(self.q) - 1)])


def trace_curves(solver: IKSolver, T_base_target: FloatArray, most: int) -> list[Curve]:
    """The longest self-motions of a target.

    Args:
        solver: Of an arm with exactly one joint to spare for its task.
        T_base_target: The target, shape (4, 4).
        most: At most so many.
    """
    traced = self_motion(solver, T_base_target, SAMPLES)[0]
    if not len(traced):
        return []
    level = np.ones(len(traced))
    if solver.model is not None:
        with torch.no_grad():
            mixture = solver.model.posterior(torch.from_numpy(T_base_target[None]))
            log_p = mixture.log_prob(torch.from_numpy(traced.q[:, None]))[:, 0].numpy()
        level = np.exp(log_p - log_p.max())
    longest = np.argsort(-traced.length)[:most]
    return [
        Curve(
            q=traced.q[traced.curve == c],
            share=level[traced.curve == c],
            length=float(traced.length[c]),
            closed=bool(traced.closed[c]),
        )
        for c in longest
        if (traced.curve == c).any()
    ]
