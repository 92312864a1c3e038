"""Refinement: from joint vectors near an answer to joint vectors that meet the target exactly."""

from __future__ import annotations

import logging
import os
from functools import lru_cache, partial
from types import ModuleType

import torch
from torch import Tensor

from ik_mdn.solver.kernels.rules import MAX_ITERATIONS, MAX_STEP, TOLERANCE, Refined, Rule
from ik_mdn.solver.refinement_torch import LANES, refine_torch
from sim.arm import Arm
from sim.errors import ShapeError, UnknownNameError
from sim.task import Task

__all__ = ["LANES", "MAX_ITERATIONS", "MAX_STEP", "TOLERANCE", "Refined", "refine"]

_log = logging.getLogger(__name__)

if hasattr(os, "register_at_fork"):  # OpenMP's threads do not come along: torch would wait for them for ever
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def refine(
    arm: Arm,
    task: Task,
    T_base_target: Tensor,
    q_seed: Tensor,
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    max_step: float = MAX_STEP,
    lanes: int = LANES,
    backend: str | None = None,
) -> Refined:
    """Each seed moved to the nearest joint vector that meets its target, as far as there is one.

    Levenberg-Marquardt: `dq = J^T (J J^T + λ I)^-1 e` with `λ = μ |e|²`. Damping by the squared residual
    (Sugihara, Solvability-Unconcerned Inverse Kinematics by the Levenberg-Marquardt Method, IEEE T-RO 27(5), 2011,
    eq. 20) vanishes faster than the Jacobian's smallest singular value where two branches meet, so such double
    roots still halve their distance in every iteration. Close to the target a step may also go uphill, as Newton's
    does for a square root: across a fold the way down is a narrow curved valley, and one jump out of it is quicker
    (a non-monotone line search in the sense of Grippo, Lampariello and Lucidi, SIAM J. Numer. Anal. 23(4), 1986).
    μ falls after a step that stands and rises after one that is taken back. Lengths are measured in arm lengths inside, so that
    metres and radians weigh alike for any size of arm.

    Seeds run in a fixed number of lanes; one that has converged, or whose residual has stopped shrinking, leaves
    and the next takes its place. A seed's course does not depend on the others. On the CPU this is compiled by
    numba at the first use (said in the log, then kept on disk) and runs in as many threads as torch; on a GPU, or where
    numba is missing, torch does it.

    Args:
        arm: The arm.
        task: Which constraints count.
        T_base_target: Targets, shape (N, 4, 4), float64; not checked (see `sim.task.as_targets`).
        q_seed: Where to start, shape (N, n), float64, on the same device. Limits play no part.
        tolerance: Residual at which a seed is done: length of the error in [rad] and arm lengths.
        max_iterations: Most iterations per seed.
        max_step: Largest change of a joint per iteration [rad, or arm lengths for prismatic joints].
        lanes: How many seeds torch advances together; bounds the memory.
        backend: "numba", "torch", or None for the faster one that can do it.

    Returns:
        The end of each seed, converged or not, in the given order; N = 0 gives empty tensors.

    Raises:
        ShapeError: Targets and seeds do not pair up, or numba is asked for what it cannot do.
        UnknownNameError: No such backend.
    """
    if T_base_target.shape != (q_seed.shape[0], 4, 4) or q_seed.ndim != 2 or q_seed.shape[1] != arm.n_joints:
        raise ShapeError(
            f"targets have shape {tuple(T_base_target.shape)} and seeds {tuple(q_seed.shape)}; "
            f"refine needs (N, 4, 4) and (N, {arm.n_joints})"
        )
    rule = Rule(tolerance, max_iterations, max_step)
    kernel = _kernel_for(q_seed, backend)
    if kernel is None:
        return refine_torch(arm, task, T_base_target, q_seed, rule, lanes=lanes)
    result: Refined = kernel.refine_numba(arm, task, T_base_target, q_seed, rule)
    return result


def _kernel_for(q_seed: Tensor, backend: str | None) -> ModuleType | None:
    """The module `ik_mdn.solver.kernels.refine` where it is to be used, otherwise None."""
    if backend not in (None, "numba", "torch"):
        raise UnknownNameError(f"unknown backend {backend!r}; allowed: 'numba', 'torch' or None", name=backend)
    fits = q_seed.device.type == "cpu" and q_seed.dtype == torch.float64
    kernel = compiled_kernel() if backend != "torch" and fits else None
    if kernel is None and backend == "numba":
        raise ShapeError(
            f"numba cannot refine {q_seed.dtype} seeds on {q_seed.device}; it takes float64 on the CPU, where numba is "
            "installed and may compile; use backend=None"
        )
    return kernel


@lru_cache(maxsize=1)
def compiled_kernel() -> ModuleType | None:
    """The module with the compiled refinement, compiled by now; None where numba cannot run."""
    try:
        from ik_mdn.solver.kernels import refine as kernel

        kernel.load_kernel()
    except Exception as error:  # numba and LLVM have errors of many kinds; torch gives the same answers, more slowly
        _log.warning("refining with torch, about 50 times as slow, because numba cannot run here: %s", error)
        return None
    return kernel
