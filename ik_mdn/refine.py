"""Refinement: from joint vectors near an answer to joint vectors that meet the target exactly."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sim.arm import Arm
from sim.errors import ShapeError
from sim.kinematics import kinematics
from sim.task import Task, task_error, task_jacobian

TOLERANCE = 1e-12  # residual [rad, arm lengths] at which a seed is done: a double root is then known to 1e-6
MAX_ITERATIONS = 100
MAX_STEP = 1.0  # largest change of a joint in one iteration [rad, or arm lengths for prismatic joints]
LANES = 16384  # seeds that advance together; those that finish make room for the next

_DAMPING = 0.2  # μ of the first iteration
_DAMPING_MIN, _DAMPING_MAX = 0.1, 1e8
_DAMPING_DROP, _DAMPING_RISE = 0.5, 8.0
_FLOOR = 1e-17  # damping that is always there, so that an exactly singular Jacobian can be factored
_PROGRESS = 0.5  # a seed is given up when its residual has not shrunk by this factor within _PATIENCE iterations
_PATIENCE = 9
_CLOSE = 0.1  # residual [rad, arm lengths] below which singularities are what is slow, and other rules hold:
_PATIENCE_CLOSE = 15  # wait longer,
_UPHILL = 1e6  # and let a step raise the cost up to this many times what it was at the last progress


@dataclass(frozen=True)
class Refined:
    """What became of each seed.

    Args:
        q: Joint vectors [rad, m], shape (N, n), not turned into limits.
        err_pos: Distance of the tip from the target [m], shape (N,); 0 where the task leaves it free.
        err_rot: Angle between tip and target [rad], shape (N,); 0 where the task leaves it free.
        iterations: Forward kinematics evaluations after the first one, shape (N,), int64.
    """

    q: Tensor
    err_pos: Tensor
    err_rot: Tensor
    iterations: Tensor


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
) -> Refined:
    """Each seed moved to the nearest joint vector that meets its target, as far as there is one.

    Levenberg-Marquardt: `dq = J^T (J J^T + λ I)^-1 e` with `λ = μ |e|²`. Damping by the squared residual
    (Sugihara, Solvability-Unconcerned Inverse Kinematics by the Levenberg-Marquardt Method, IEEE T-RO 27(5), 2011,
    eq. 20) vanishes faster than the Jacobian's smallest singular value where two branches meet, so such double
    roots still halve their distance in every iteration. Close to the target a step may also go uphill, as Newton's
    does for a square root: across a fold the way down is a narrow curved valley, and one jump out of it is quicker
    (a non-monotone line search in the sense of Grippo, Lampariello and Lucidi, SIAM J. Numer. Anal. 23(4), 1986).
    μ falls after a step that stands and rises after one that is taken back. Lengths are measured in arm lengths inside, so that metres and radians
    weigh alike for any size of arm.

    Seeds run in a fixed number of lanes; one that has converged, or whose residual has stopped shrinking, leaves
    and the next takes its place. A seed's course does not depend on the others.

    Args:
        arm: The arm.
        task: Which constraints count.
        T_base_target: Targets, shape (N, 4, 4), float64; not checked (see `sim.task.as_targets`).
        q_seed: Where to start, shape (N, n), float64, on the same device. Limits play no part.
        tolerance: Residual at which a seed is done: length of the error in [rad] and arm lengths.
        max_iterations: Most iterations per seed.
        max_step: Largest change of a joint per iteration [rad, or arm lengths for prismatic joints].
        lanes: How many seeds advance together; bounds the memory.

    Returns:
        The end of each seed, converged or not, in the given order; N = 0 gives empty tensors.

    Raises:
        ShapeError: Targets and seeds do not pair up.
    """
    if T_base_target.shape != (q_seed.shape[0], 4, 4) or q_seed.ndim != 2:
        raise ShapeError(
            f"targets have shape {tuple(T_base_target.shape)} and seeds {tuple(q_seed.shape)}; "
            f"refine needs (N, 4, 4) and (N, {arm.n_joints})"
        )
    scale = _Scale.of(arm, task, q_seed)
    rule = _Rule(tolerance, max_iterations, max_step)
    done = _empty_result(q_seed)
    state = _start(arm, task, scale, T_base_target, q_seed, 0, min(lanes, len(q_seed)))
    waiting = len(state.index)
    while len(state.index):
        state = _advance(arm, task, scale, rule, state)
        running = (~_is_finished(rule, state)).nonzero()[:, 0]  # the only synchronisation per iteration
        if len(running) == len(state.index):
            continue
        _store(done, scale, state)
        state = state.select(running)
        if waiting < len(q_seed) and len(running) <= 0.75 * lanes:
            stop = min(waiting + lanes - len(running), len(q_seed))
            state = state.join(_start(arm, task, scale, T_base_target, q_seed, waiting, stop))
            waiting = stop
    return done


@dataclass(frozen=True)
class _Rule:
    tolerance: float
    max_iterations: int
    max_step: float


@dataclass(frozen=True)
class _Scale:
    """Weights that measure lengths in arm lengths: of errors (m,) and of joints (n,)."""

    error: Tensor
    joint: Tensor
    n_linear: int

    @staticmethod
    def of(arm: Arm, task: Task, like: Tensor) -> _Scale:
        length = arm.reach if arm.reach > 0 else 1.0
        error = [1.0 / length if i < 3 else 1.0 for i, on in enumerate(task.rows) if on]
        joint = [length if slides else 1.0 for slides in arm.is_prismatic]
        return _Scale(like.new_tensor(error), like.new_tensor(joint), sum(task.rows[:3]))


@dataclass(frozen=True)
class _State:
    """The seeds that are running, one per lane; J and e are scaled."""

    index: Tensor  # (A,) row of the result
    target: Tensor  # (A, 4, 4)
    q: Tensor  # (A, n)
    e: Tensor  # (A, m)
    J: Tensor  # (A, m, n)
    cost: Tensor  # (A,) |e|²
    mu: Tensor  # (A,) damping per squared residual
    mark: Tensor  # (A,) cost to fall below to count as progress
    idle: Tensor  # (A,) iterations since then
    iterations: Tensor  # (A,)

    def select(self, rows: Tensor) -> _State:
        return _State(*(getattr(self, f.name)[rows] for f in fields(self)))

    def join(self, other: _State) -> _State:
        return _State(*(torch.cat([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def _start(arm: Arm, task: Task, scale: _Scale, target: Tensor, q_seed: Tensor, start: int, stop: int) -> _State:
    q, target = q_seed[start:stop], target[start:stop]
    e, J = _linearise(arm, task, scale, target, q)
    cost = (e * e).sum(-1)
    zeros = torch.zeros(stop - start, dtype=torch.int64, device=q.device)
    index = torch.arange(start, stop, device=q.device)
    return _State(index, target, q, e, J, cost, torch.full_like(cost, _DAMPING), cost * _PROGRESS**2, zeros, zeros)


def _linearise(arm: Arm, task: Task, scale: _Scale, target: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled error (A, m) and scaled task Jacobian (A, m, n)."""
    T, J = kinematics(arm, q)
    keep = [i for i, on in enumerate(task.rows) if on]
    e = task_error(task, T, target)[:, keep] * scale.error
    return e, task_jacobian(task, J, T) * (scale.error[:, None] * scale.joint)


def _advance(arm: Arm, task: Task, scale: _Scale, rule: _Rule, s: _State) -> _State:
    """One iteration for every lane: a step, and the decision whether it stands."""
    q = s.q + _step(s, rule.max_step) * scale.joint
    e, J = _linearise(arm, task, scale, s.target, q)
    cost = (e * e).sum(-1)
    limit = torch.where(s.cost < _CLOSE**2, _UPHILL / _PROGRESS**2 * s.mark, s.cost)
    stands = cost < limit  # False for NaN: a failed factorisation only raises the damping
    mu = torch.where(stands, s.mu * _DAMPING_DROP, s.mu * _DAMPING_RISE).clamp(_DAMPING_MIN, _DAMPING_MAX)
    cost = torch.where(stands, cost, s.cost)
    progress = cost < s.mark
    return _State(
        s.index,
        s.target,
        torch.where(stands[:, None], q, s.q),
        torch.where(stands[:, None], e, s.e),
        torch.where(stands[:, None, None], J, s.J),
        cost,
        mu,
        torch.where(progress, cost * _PROGRESS**2, s.mark),
        torch.where(progress, 0, s.idle + 1),
        s.iterations + 1,
    )


def _step(s: _State, max_step: float) -> Tensor:
    """The damped step (A, n), shortened where a joint would move further than allowed."""
    damping = s.mu * s.cost + _FLOOR
    if s.J.shape[1] <= s.J.shape[2]:
        y = _solve(s.J @ s.J.mT, damping, s.e)
        dq = (s.J.mT @ y[..., None])[..., 0]
    else:
        dq = _solve(s.J.mT @ s.J, damping, (s.J.mT @ s.e[..., None])[..., 0])
    longest = dq.abs().amax(-1, keepdim=True)
    return dq * (max_step / longest.clamp_min(max_step))


def _solve(H: Tensor, damping: Tensor, right: Tensor) -> Tensor:
    """(H + damping I)^-1 right by Cholesky; NaN where rounding made H indefinite."""
    H.diagonal(dim1=-2, dim2=-1).add_(damping[:, None])
    factor, info = torch.linalg.cholesky_ex(H)
    y = torch.cholesky_solve(right[..., None], factor)[..., 0]
    return torch.where(info[:, None] == 0, y, torch.nan)


def _is_finished(rule: _Rule, s: _State) -> Tensor:
    stuck = s.idle > torch.where(s.cost < _CLOSE**2, _PATIENCE_CLOSE, _PATIENCE)
    return stuck | (s.iterations >= rule.max_iterations) | (s.cost <= rule.tolerance**2)


def _empty_result(q_seed: Tensor) -> Refined:
    err = torch.full_like(q_seed[:, 0], torch.inf)
    return Refined(torch.empty_like(q_seed), err, err.clone(), torch.zeros_like(err, dtype=torch.int64))


def _store(done: Refined, scale: _Scale, s: _State) -> None:
    """Write every lane's present state; a running seed's entry is written again when it leaves."""
    e = s.e / scale.error
    done.q[s.index] = s.q
    done.err_pos[s.index] = e[:, : scale.n_linear].norm(dim=-1)
    done.err_rot[s.index] = e[:, scale.n_linear :].norm(dim=-1)
    done.iterations[s.index] = s.iterations
