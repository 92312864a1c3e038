"""Solving in one compiled call: it gives what a search gives, in any number of threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from samples import random_arm

import sim
from ik_mdn.solver.collecting import collect
from ik_mdn.solver.engine import NoPoseError, Problem
from ik_mdn.solver.engine_numba import CompiledEngine, OneCall
from ik_mdn.solver.engine_torch import TorchEngine
from ik_mdn.solver.options import Effort, Order, Rank
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.redundancy import self_motion
from ik_mdn.solver.search import search
from ik_mdn.solver.solutions import SolutionBatch, Status
from ik_mdn.solver.solver import IKSolver
from ik_mdn.solver.threads import at_most, share
from sim.arm import Arm
from sim.errors import PoseError, ShapeError
from sim.jacobians import manipulability
from sim.task import TASKS, Task, load_task

PLAIN = Effort(seeds=24, draws=0, restarts=1, thorough=False, first=False, seed=0)
CASES = [
    (sim.load_arm("ur5e"), TASKS["pose"]),
    (sim.load_arm("planar3"), TASKS["planar_pose"]),
    (random_arm(5, 3, sliding=(0, 3)), TASKS["position_axis"]),
    (random_arm(3, 4, sliding=(1,)), TASKS["position"]),
    (sim.load_arm("panda"), TASKS["pose"]),
]


def targets(arm: Arm, count: int) -> Any:
    q = arm.sample(np.random.default_rng(1), count)
    return q, np.ascontiguousarray(sim.forward_kinematics(arm, q))


def assert_same(ours: SolutionBatch, theirs: SolutionBatch, poses: Any, arm: Arm) -> None:
    """The same solutions of some poses, but for rounding and for the order of those that are equal."""
    for pose in poses:
        a, b = ours[pose], theirs[pose]
        assert a.status is b.status
        assert len(a) == len(b)
        partner = np.abs(a.q[:, None] - b.q[None]).max(axis=2).argmin(axis=1)
        np.testing.assert_allclose(a.q, b.q[partner], atol=1e-8)
        for field in ("weight", "proposal_weight"):
            np.testing.assert_allclose(getattr(a, field), getattr(b, field)[partner], rtol=1e-5, atol=1e-12)
        assert np.maximum(a.err_pos, a.err_rot).max(initial=0.0) <= 1e-8


def keys(arm: Arm, task: Task, rank: Rank, found: Any, near: Any) -> Any:
    """What solutions are ordered by."""
    if rank == "weight":
        return -found.weight
    if rank == "distance":
        return np.linalg.norm(found.q - near, axis=1)
    if rank == "margin":
        return -np.minimum(found.q - arm.q_min, arm.q_max - found.q).min(axis=1)
    return -manipulability(arm, task, torch.from_numpy(found.q)).numpy()


@pytest.mark.parametrize(("arm", "task"), CASES, ids=lambda x: x.name)
@pytest.mark.parametrize("rank", ["weight", "distance", "margin", "manipulability"])
def test_what_is_not_left_open_is_what_a_search_gives(arm: Arm, task: Task, rank: Rank) -> None:
    q, T = targets(arm, 150)
    problem = Problem(arm, task, T, q + 0.2 if rank == "distance" else None, 1e-8)
    batch, left = OneCall(arm, task, None).answer(problem, PLAIN, rank, None)
    engine = CompiledEngine(problem, None)
    law = Law.EXACT if arm.n_joints == task.n_constraints else Law.PROPOSALS
    expected = collect(engine, problem, search(engine, problem, PLAIN), law, Order(rank))
    closed = np.setdiff1d(np.arange(150), [] if left is None else left)
    assert len(closed) > 100
    assert_same(batch, expected, closed, arm)
    few, _ = OneCall(arm, task, None).answer(problem, PLAIN, rank, 2)
    for i in closed:
        key = keys(arm, task, rank, batch[i], q[i] + 0.2)
        assert (np.diff(key) >= -1e-12).all()
        np.testing.assert_array_equal(few[i].q, batch[i].q[:2])
    assert not {batch[i].status for i in closed} & {Status.UNREACHABLE, Status.CONTINUUM, Status.TIMED_OUT}


def test_what_is_left_open_has_no_solution_or_a_singular_one() -> None:
    arm = sim.load_arm("puma560")
    q, T = targets(arm, 60)
    q[:5, 4] = 0.0  # a straight wrist
    T[:5] = sim.forward_kinematics(arm, q[:5])
    T[5:10, :3, 3] *= 4.0
    problem = Problem(arm, TASKS["pose"], T, None, 1e-8)
    batch, left = OneCall(arm, TASKS["pose"], None).answer(problem, PLAIN._replace(seeds=64), "weight", None)
    assert left is not None
    assert set(range(10)) <= set(left.tolist())
    assert all(not len(batch[i]) for i in range(5, 10))


@pytest.mark.parametrize("count", [1, 3])
def test_a_target_that_is_no_pose_is_found(count: int) -> None:
    arm = sim.load_arm("ur5e")
    _, T = targets(arm, 2 + 100 * count)
    call = OneCall(arm, TASKS["pose"], None)
    for place, value in (
        ((0, 0, 0), 2.0),
        ((1, 0, 3), np.nan),
        ((-1, 3, 0), 0.1),
        ((-1, 3, 3), 0.0),
        ((0, 1, 3), np.inf),
    ):
        wrong = T.copy()
        wrong[place] = value
        with pytest.raises(NoPoseError):
            call.answer(Problem(arm, TASKS["pose"], wrong, None, 1e-8), PLAIN, "weight", None)
    mirrored = T.copy()
    mirrored[0, :3, 0] *= -1
    with pytest.raises(NoPoseError):
        call.answer(Problem(arm, TASKS["pose"], mirrored, None, 1e-8), PLAIN, "weight", None)


def test_the_number_of_threads_changes_no_bit() -> None:
    arm = sim.load_arm("xarm6")
    T, solver, threads = targets(arm, 500)[1], IKSolver.load("xarm6"), torch.get_num_threads()
    try:
        batches = []
        for count in (1, 3):
            torch.set_num_threads(count)
            batches.append(solver.solve(T))
    finally:
        torch.set_num_threads(threads)
    for field in ("q", "weight", "proposal_weight", "err_pos", "err_rot", "offsets", "status_index"):
        np.testing.assert_array_equal(*(getattr(batch, field) for batch in batches))


def test_a_model_leads_to_what_it_leads_to_in_torch() -> None:
    arm = sim.load_arm("xarm6")
    _, T = targets(arm, 60)
    solver = IKSolver.load("xarm6")
    problem = Problem(arm, load_task(arm, "pose"), T, None, 1e-8)
    engine = TorchEngine(problem, solver.model)
    reference = collect(engine, problem, search(engine, problem, PLAIN), Law.EXACT, Order("weight"))
    ours = solver.solve(T, seeds=24, restarts=1)
    missed = [
        np.abs(arm.nearest_image(b.q[:, None] - a.q[None])).max(axis=2).min(axis=1, initial=np.inf) > 1e-5
        for a, b in zip(ours, reference, strict=True)
    ]
    assert sum(each.sum() for each in missed) <= 0.01 * len(reference.q)
    assert len(ours.q) >= 0.99 * len(reference.q)


@pytest.mark.parametrize("options", [{}, {"thorough": True}, {"q_seed": np.zeros(6)}])
def test_what_a_search_finds_does_not_depend_on_the_number_of_threads(options: Any) -> None:
    _, T = targets(sim.load_arm("ur5e"), 300)
    alone, several = (IKSolver(sim.load_arm("ur5e"), threads=threads).solve(T, **options) for threads in (1, 4))
    for field in ("q", "weight", "proposal_weight", "err_pos", "err_rot", "offsets", "status_index"):
        np.testing.assert_array_equal(getattr(alone, field), getattr(several, field))


def test_curves_do_not_depend_on_the_number_of_threads() -> None:
    arm = sim.load_arm("panda")
    _, T = targets(arm, 70)
    alone, several = (self_motion(IKSolver(arm, threads=threads), T, count=20) for threads in (1, 4))
    np.testing.assert_array_equal(alone.q, several.q)
    np.testing.assert_array_equal(alone.weight, several.weight)


def test_no_more_threads_work_than_are_allowed() -> None:
    seen: list[int] = []
    with at_most(3):
        share(lambda: seen.append(threading.get_ident()), 8)
    assert 1 <= len(seen) <= 3
    seen.clear()
    with at_most(1):
        share(lambda: seen.append(threading.get_ident()), 8)
    assert seen == [threading.get_ident()]


def test_one_solver_serves_several_threads_at_once() -> None:
    arm = sim.load_arm("puma560")
    _, T = targets(arm, 200)
    solver, expected = IKSolver.load("puma560"), IKSolver.load("puma560").solve(T)
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(solver.solve, [T[i : i + 50] for i in range(0, 200, 50)] * 3))
    for i, batch in enumerate(batches):
        for k in range(50):
            np.testing.assert_array_equal(batch[k].q, expected[50 * (i % 4) + k].q)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_an_odd_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(ShapeError, match="threads"):
        IKSolver(sim.load_arm("ur5e"), threads=threads)


def test_targets_solved_some_at_a_time_give_what_they_give_together(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = IKSolver.load("ur5e")
    q, T = targets(solver.arm, 50)
    q[::9, 4] = 1e-5  # some are left open
    T[::9] = sim.forward_kinematics(solver.arm, q[::9])
    T[20, :3, 3] = 9.0  # and one is out of reach
    together = solver.solve(T, closest=True)
    monkeypatch.setattr("ik_mdn.solver.solver._PART", 7)
    parts = solver.solve(T, closest=True)
    for field in ("q", "weight", "proposal_weight", "err_pos", "err_rot", "offsets", "status_index"):
        np.testing.assert_allclose(getattr(parts, field), getattr(together, field), rtol=1e-14, atol=0)
    assert list(parts.closest) == list(together.closest) == [20]
    T[30, 0, 0] = 2.0
    with pytest.raises(PoseError, match="no rotation"):
        solver.solve(T)
