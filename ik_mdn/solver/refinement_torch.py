"""Refinement in torch: the reference that the compiled one is held to, and the one that runs on a GPU."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ik_mdn.solver.kernels import rules
from ik_mdn.solver.kernels.rules import Refined, Rule
from sim.arm import Arm
from sim.jacobians import scaled_task_error, scaled_task_jacobian, task_units
from sim.task import Task

LANES = 16384  # seeds that advance together; those that finish make room for the next


def refine_torch(
    arm: Arm, task: Task, T_base_target: Tensor, q_seed: Tensor, rule: Rule, *, lanes: int = LANES
) -> Refined[Tensor]:
    """Each seed moved to the nearest joint vector that meets its target; see `ik_mdn.solver.refinement.refine`.

    Args:
        arm: The arm.
        task: Which constraints count.
        T_base_target: Targets, shape (N, 4, 4), float64.
        q_seed: Where to start, shape (N, n), float64, on the same device.
        rule: When a seed is done, or given up.
        lanes: How many seeds advance together; bounds the memory.

    Returns:
        The end of each seed, converged or not, in the given order; N = 0 gives empty tensors.
    """
    done = _empty_result(q_seed)
    state = _start(arm, task, T_base_target, q_seed, 0, min(lanes, len(q_seed)))
    waiting = len(state.index)
    while len(state.index):
        state = _advance(arm, task, rule, state)
        running = (~_is_finished(rule, state)).nonzero()[:, 0]  # the only synchronisation per iteration
        if len(running) == len(state.index):
            continue
        _store(done, arm, task, state)
        state = state.select(running)
        if waiting < len(q_seed) and len(running) <= 0.75 * lanes:
            stop = min(waiting + lanes - len(running), len(q_seed))
            state = state.join(_start(arm, task, T_base_target, q_seed, waiting, stop))
            waiting = stop
    return done


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


def _start(arm: Arm, task: Task, target: Tensor, q_seed: Tensor, start: int, stop: int) -> _State:
    q, target = q_seed[start:stop], target[start:stop]
    e, J = _linearise(arm, task, target, q)
    cost = (e * e).sum(-1)
    zeros = torch.zeros(stop - start, dtype=torch.int64, device=q.device)
    index = torch.arange(start, stop, device=q.device)
    return _State(
        index, target, q, e, J, cost, torch.full_like(cost, rules.DAMPING), cost * rules.PROGRESS**2, zeros, zeros
    )


def _linearise(arm: Arm, task: Task, target: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled error (A, m) and scaled task Jacobian (A, m, n)."""
    T, J = scaled_task_jacobian(arm, task, q)
    return scaled_task_error(arm, task, T, target), J


def _advance(arm: Arm, task: Task, rule: Rule, s: _State) -> _State:
    """One iteration for every lane: a step, and the decision whether it stands."""
    q = s.q + _step(s, rule.max_step) * s.q.new_tensor(arm.joint_units)
    e, J = _linearise(arm, task, s.target, q)
    cost = (e * e).sum(-1)
    limit = torch.where(s.cost < rules.CLOSE**2, rules.UPHILL / rules.PROGRESS**2 * s.mark, s.cost)
    stands = cost < limit  # False for NaN: a failed factorisation only raises the damping
    mu = torch.where(stands, s.mu * rules.DAMPING_DROP, s.mu * rules.DAMPING_RISE).clamp(
        rules.DAMPING_MIN, rules.DAMPING_MAX
    )
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
        torch.where(progress, cost * rules.PROGRESS**2, s.mark),
        torch.where(progress, 0, s.idle + 1),
        s.iterations + 1,
    )


def _step(s: _State, max_step: float) -> Tensor:
    """The damped step (A, n), shortened where a joint would move further than allowed."""
    damping = s.mu * s.cost + rules.FLOOR
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


def _is_finished(rule: Rule, s: _State) -> Tensor:
    stuck = s.idle > torch.where(s.cost < rules.CLOSE**2, rules.PATIENCE_CLOSE, rules.PATIENCE)
    return stuck | (s.iterations >= rule.max_iterations) | (s.cost <= rule.tolerance**2)


def _empty_result(q_seed: Tensor) -> Refined[Tensor]:
    err = torch.full_like(q_seed[:, 0], torch.inf)
    return Refined(torch.empty_like(q_seed), err, err.clone(), torch.zeros_like(err, dtype=torch.int64))


def _store(done: Refined[Tensor], arm: Arm, task: Task, s: _State) -> None:
    """Write every lane's present state; a running seed's entry is written again when it leaves."""
    n_linear, e = sum(task.rows[:3]), s.e * s.e.new_tensor(task_units(arm, task))
    done.q[s.index] = s.q
    done.err_pos[s.index] = e[:, :n_linear].norm(dim=-1)
    done.err_rot[s.index] = e[:, n_linear:].norm(dim=-1)
    done.iterations[s.index] = s.iterations
