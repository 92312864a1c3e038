"""What solving gives back of what was found: order, limits on number and distance, status."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sim
from ik_mdn.solver.collecting import collect, replaced
from ik_mdn.solver.engine import Found, Problem
from ik_mdn.solver.engine_torch import TorchEngine
from ik_mdn.solver.options import Order
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.search import Outcome
from ik_mdn.solver.solutions import SolutionBatch, Status
from sim.jacobians import manipulability
from sim.kinematics import forward_kinematics
from sim.task import TASKS

ARM, TASK = sim.load_arm("planar2"), TASKS["planar_position"]
POSE = np.array([0, 0, 0, 2, 2, 2, 2, 3])
Q = np.random.default_rng(0).uniform(-3.0, 3.0, (8, 2))
WEIGHT = np.array([0.2, 0.5, 0.2, 0.1, 0.4, 0.1, 0.4, 1.0])
NEAR = np.full((5, 2), 0.3)


def collected(rank: Any = "weight", *, rows: Any = slice(None), poses: int = 5, **options: Any) -> SolutionBatch:
    """What is collected of the rows, target 1 being met outside the limits, and one late; weights are the proposals'."""
    found = Found(POSE[rows], Q[rows], WEIGHT[rows], np.arange(8.0)[rows], np.zeros(8)[rows])
    T = forward_kinematics(ARM, np.zeros((poses, 2)))
    problem = Problem(ARM, TASK, T, NEAR[:poses], 1e-8)
    met, late = np.arange(poses) == 1, np.arange(poses) == options.pop("late", 4)
    return collect(
        TorchEngine(problem, None),
        problem,
        Outcome(found, met, late, *np.zeros((2, poses), np.bool_)),
        options.pop("law", Law.PROPOSALS),
        Order(rank, **options),
    )


KEYS = {
    "weight": -WEIGHT,
    "distance": np.linalg.norm(Q - 0.3, axis=1),
    "margin": -(np.pi - np.abs(Q)).min(axis=1),
    "manipulability": -manipulability(ARM, TASK, torch.from_numpy(Q)).numpy(),
}


@pytest.mark.parametrize("rank", KEYS)
def test_solutions_come_by_rank_within_their_target_and_stay_in_order_where_equal(rank: str) -> None:
    batch = collected(rank)
    expected = sorted(range(8), key=lambda row: (POSE[row], KEYS[rank][row]))
    assert batch.err_pos.tolist() == expected  # errors tell which row it was
    np.testing.assert_array_equal(batch.q, Q[expected])
    assert batch.offsets.tolist() == [0, 3, 3, 7, 8, 8]


@pytest.mark.parametrize("rank", KEYS)
@pytest.mark.parametrize("most", [1, 2, 9])
def test_the_best_of_each_target_are_kept(rank: str, most: int) -> None:
    every, few = collected(rank), collected(rank, max_solutions=most)
    for all_of_it, kept in zip(every, few, strict=True):
        np.testing.assert_array_equal(kept.q, all_of_it.q[:most])
    one = collected(rank, rows=slice(3), poses=1, max_solutions=most)  # a single target goes its own way
    np.testing.assert_array_equal(one.q, few[0].q)


def test_the_status_says_why_there_is_nothing() -> None:
    words = [Status.SOLVED, Status.OUT_OF_LIMITS, Status.SOLVED, Status.SOLVED, Status.TIMED_OUT]
    assert [each.status for each in collected()] == words
    assert [each.status for each in collected(rows=slice(0))][3] is Status.UNREACHABLE


def test_solutions_too_far_away_are_left_out_and_said() -> None:
    jump = float(np.abs(Q[:3] - 0.3).max(axis=1).min()) + 1e-9
    batch = collected("distance", max_jump=jump)
    assert (np.abs(batch.q - 0.3) <= jump).all()
    assert len(batch[0]) == 1
    assert collected("distance", max_jump=1e-6)[0].status is Status.TOO_FAR
    assert collected("distance", max_jump=1e-6)[1].status is Status.OUT_OF_LIMITS
    late = collected("distance", max_jump=1e-6, late=0)
    assert late[0].status is Status.TIMED_OUT  # a nearer one might have been found


def test_a_stretched_arm_is_singular() -> None:
    T = forward_kinematics(ARM, np.zeros((1, 2)))
    problem = Problem(ARM, TASK, T, None, 1e-8)
    found = Found(np.zeros(1, np.int64), np.zeros((1, 2)), np.ones(1), np.zeros(1), np.zeros(1))
    yes, no = np.ones(1, np.bool_), np.zeros(1, np.bool_)
    engine = TorchEngine(problem, None)
    assert (
        collect(engine, problem, Outcome(found, yes, no, no, no), Law.EXACT, Order("weight"))[0].status
        is Status.SINGULAR
    )
    raw = Outcome(found, no, no, no, no, refined=False)
    assert collect(engine, problem, raw, Law.PROPOSALS, Order("weight"))[0].status is Status.PROPOSED


@pytest.mark.parametrize("rank", KEYS)
def test_exact_weights_sum_to_one_over_all_that_was_found_and_proposals_keep_theirs(rank: str) -> None:
    batch = collected(rank, law=Law.EXACT)
    probability = 1 / manipulability(ARM, TASK, torch.from_numpy(Q)).numpy()
    total = np.bincount(POSE, probability)[POSE]
    rows = batch.err_pos.astype(int)  # errors tell which row it was
    np.testing.assert_allclose(batch.weight, (probability / total)[rows])
    np.testing.assert_array_equal(batch.proposal_weight, WEIGHT[rows])
    near = collected(rank, law=Law.EXACT, max_jump=2.0, max_solutions=2)
    kept = near.err_pos.astype(int)
    np.testing.assert_allclose(near.weight, (probability / total)[kept])  # what is left out is not handed on
    if rank == "weight":
        assert all((np.diff(one.weight) <= 0).all() for one in batch)


def test_a_batch_with_other_solutions_of_some_poses_has_these_in_their_places() -> None:
    batch, others = collected(), collected("margin", rows=slice(3, 8))[2:4]
    changed = replaced(batch, np.array([0, 4]), others)
    assert changed.status_index.tolist() == [
        *others.status_index[:1],
        *batch.status_index[1:4],
        *others.status_index[1:],
    ]
    for pose, expected in enumerate([others[0], batch[1], batch[2], batch[3], others[1]]):
        np.testing.assert_array_equal(changed[pose].q, expected.q)
        np.testing.assert_array_equal(changed[pose].weight, expected.weight)
