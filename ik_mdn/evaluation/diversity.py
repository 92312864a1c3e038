"""How well draws for a redundant arm are spread over its curves of solutions: MMD to exact draws along the self-motion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ik_mdn.mixture import embed
from sim.arrays import FloatArray

if TYPE_CHECKING:
    from ik_mdn.solver import IKSolver

_SAMPLES = 1000  # along the self-motion of a pose, of which exact draws are taken
_MORE = 8  # random seeds per draw that is wanted: some of them lead nowhere, or out of the limits
_MET = 1e-4  # [m], [rad] up to which a refined draw meets its pose


@dataclass(frozen=True)
class Diversity:
    """MMD² of draws to exact draws along the self-motion, mean over the poses; 0 in the mean where they are alike.

    Args:
        raw: Draws of the network alone.
        refined: The same after refinement, those that meet the pose in limits.
        restarts: Random joint vectors after refinement, without any network.
        exact: Other exact draws: what chance alone gives.
        errors: Standard error of each of these four means, by its name.
        poses, draws: How many poses had draws of all four kinds, and how many of each.
    """

    raw: float
    refined: float
    restarts: float
    exact: float
    errors: dict[str, float]
    poses: int
    draws: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def mmd2(x: Tensor, y: Tensor, period: Tensor) -> float:
    """Squared maximum mean discrepancy of two samples, estimated without bias; it may be a little below 0.

    Gretton et al., JMLR 13, 2012, equation 3, with the kernel exp(-d²/2h²), d the distance of the points (cos q, sin q)
    (q itself where a joint slides), and h the median of d within y.

    Args:
        x, y: (N, n) and (M, n), each at least 2 rows.
        period: (n,), inf where a joint slides.
    """
    x, y = (embed(each, period) for each in (x, y))
    width = torch.pdist(y).median().clamp_min(1e-9)
    kxx, kyy, kxy = (torch.exp(-0.5 * (torch.cdist(a, b) / width).square()) for a, b in ((x, x), (y, y), (x, y)))
    within = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kxx, kyy)]
    return float(within[0] + within[1] - 2 * kxy.mean())


def measure_diversity(solver: IKSolver, T_base_tip: Tensor, *, draws: int = 100, seed: int = 0) -> Diversity:
    """The MMD² of a solver's draws, raw and refined, and of random restarts, to exact draws along each self-motion.

    Args:
        solver: With a mixture, of an arm with one joint more than the task has constraints.
        T_base_tip: Poses that can be reached, (B, 4, 4).
        draws: Of each pose.
        seed: Of all that is drawn.

    Returns:
        Means over the poses at which there are draws of all kinds to compare.

    Raises:
        TaskError: See `self_motion`.
    """
    from ik_mdn.solver import self_motion

    model, arm, rng = solver.model, solver.arm, np.random.default_rng(seed)
    assert model is not None
    period, T = torch.tensor(arm.period), T_base_tip.numpy()
    motions = self_motion(solver.arm if model.postures is None else solver, T, _SAMPLES, task=solver.task)
    raw = model.sample(T_base_tip, draws, generator=torch.Generator().manual_seed(seed))
    values: dict[str, list[float]] = {name: [] for name in ("raw", "refined", "restarts", "exact")}
    for pose, motion in enumerate(motions):
        if not len(motion):
            continue
        taken = rng.choice(len(motion), (2, draws), p=motion.weight)
        exact, again = (torch.from_numpy(motion.q[rows]) for rows in taken)
        random = arm.sample(rng, _MORE * draws)
        found = {
            "raw": raw[pose],
            "refined": _refined(solver, T[pose], raw[pose].numpy()),
            "restarts": _refined(solver, T[pose], random)[:draws],
            "exact": again,
        }
        if min(map(len, found.values())) >= 2:  # all four on the same poses
            for name, q in found.items():
                values[name].append(mmd2(q, exact, period))
    means = {name: float(np.mean(each)) if each else float("nan") for name, each in values.items()}
    errors = {name: float(np.std(each, ddof=1)) / len(each) ** 0.5 for name, each in values.items() if len(each) > 1}
    return Diversity(**means, errors=errors, poses=len(values["exact"]), draws=draws)


def _refined(solver: IKSolver, T: FloatArray, q: FloatArray) -> Tensor:
    """What joint vectors (N, n) lead to that meets the pose in limits, (M, n), in their order."""
    from ik_mdn.solver import into_limits, refine

    refined = refine(solver.arm, solver.task, np.repeat(T[None], len(q), axis=0), q)
    end = into_limits(solver.arm, refined.q)
    inside = ((end >= solver.arm.q_min) & (end <= solver.arm.q_max)).all(1)
    return torch.from_numpy(end[inside & (np.maximum(refined.err_pos, refined.err_rot) <= _MET)])
