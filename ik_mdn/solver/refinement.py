"""Refinement: from joint vectors near an answer to joint vectors that meet the target exactly."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import fields
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from ik_mdn.solver.kernels.rules import MAX_ITERATIONS, MAX_STEP, TOLERANCE, Refined, Rule
from sim.arm import Arm
from sim.arrays import Array, is_tensor
from sim.errors import ShapeError, UnknownNameError
from sim.task import Task

__all__ = ["MAX_ITERATIONS", "MAX_STEP", "TOLERANCE", "Refined", "refine"]

_log = logging.getLogger(__name__)


def _leave_threads_behind() -> None:
    """After a fork: OpenMP's threads do not come along, and torch would wait for them for ever."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_threads_behind)


def refine(
    arm: Arm,
    task: Task,
    T_base_target: Array,
    q_seed: Array,
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    max_step: float = MAX_STEP,
    lanes: int | None = None,
    backend: str | None = None,
) -> Refined[Array]:
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
        T_base_target: Targets, shape (N, 4, 4), float64; not checked (see `sim.task.as_targets`). numpy or torch.
        q_seed: Where to start, shape (N, n), float64, of the same kind and device. Limits play no part.
        tolerance: Residual at which a seed is done: length of the error in [rad] and arm lengths.
        max_iterations: Most iterations per seed.
        max_step: Largest change of a joint per iteration [rad, or arm lengths for prismatic joints].
        lanes: How many seeds torch advances together, which bounds the memory; None: 16,384.
        backend: "numba", "torch", or None for the faster one that can do it.

    Returns:
        The end of each seed, converged or not, in the given order; numpy in, numpy out; torch in, torch out.

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
        return _refine_torch(arm, task, T_base_target, q_seed, rule, lanes)
    if is_tensor(q_seed):
        result: Refined[Array] = kernel.refine_numba(arm, task, T_base_target, q_seed, rule)
        return result
    T, q = (np.ascontiguousarray(array, np.float64) for array in (T_base_target, q_seed))
    return Refined(*kernel.refine_rows(arm, task, T, q, rule))


def _refine_torch(
    arm: Arm, task: Task, T_base_target: Array, q_seed: Array, rule: Rule, lanes: int | None
) -> Refined[Array]:
    import torch

    from ik_mdn.solver.refinement_torch import LANES, refine_torch

    T, q = torch.as_tensor(T_base_target), torch.as_tensor(q_seed)
    result: Any = refine_torch(arm, task, T, q, rule, lanes=lanes or LANES)
    if is_tensor(q_seed):
        return result  # type: ignore[no-any-return]
    return Refined(*(getattr(result, field.name).numpy() for field in fields(Refined)))


def _kernel_for(q_seed: Any, backend: str | None) -> ModuleType | None:
    """The module `ik_mdn.solver.kernels.refine` where it is to be used, otherwise None."""
    if backend not in (None, "numba", "torch"):
        raise UnknownNameError(f"unknown backend {backend!r}; allowed: 'numba', 'torch' or None", name=backend)
    device = q_seed.device.type if is_tensor(q_seed) else "cpu"
    fits = device == "cpu" and str(q_seed.dtype).endswith("float64")
    kernel = compiled_kernel() if backend != "torch" and fits else None
    if kernel is None and backend == "numba":
        raise ShapeError(
            f"numba cannot refine {q_seed.dtype} seeds on {device}; it takes float64 on the CPU, where numba is "
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
