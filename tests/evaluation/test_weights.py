"""Log scores of stated probabilities: least for the true ones, and by hand for few poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ik_mdn.evaluation.report import held_out, is_under_trained
from ik_mdn.evaluation.weights import measure_weights, score_weights
from ik_mdn.model import load_model
from ik_mdn.solver.solver import IKSolver
from ik_mdn.training.postures import fit_postures
from sim.arm import load_arm
from sim.kinematics import forward_kinematics


@pytest.mark.parametrize("name", ["ur5e", "puma560"])
def test_the_exact_law_scores_better_than_the_network_and_no_opinion(name: str) -> None:
    arm = load_arm(name)
    q, T = held_out(arm, 1000)
    solver = IKSolver.load(name)
    found, scores = solver.solve(T, windings=True), measure_weights(solver, q, T)
    assert scores.poses >= 998
    assert 0.01 < scores.excess < 0.03  # measured on 2,000 poses: 0.020 and 0.012 nats
    assert abs(scores.network - scores.exact - scores.excess) < 0.03  # the same in the mean, with more noise
    assert scores.excess_error < 0.004
    assert scores.exact < scores.uniform - 0.02
    flatter = found.weight**0.5  # any other statement scores worse in the mean
    totals = np.add.reduceat(flatter, found.offsets[:-1]).repeat(found.count)
    assert score_weights(arm, replace(found, weight=flatter / totals), q.numpy(), found.weight).exact > scores.exact


def test_windings_are_summed_where_configurations_were_learned() -> None:
    """Around one posture of an arm with 64 windings of each solution, that one is all but certain."""
    model = load_model("ur5e")
    rng, home = np.random.default_rng(0), np.array([0.3, -1.6, 1.5, -1.4, -1.5, 0.2])
    model.postures = fit_postures(model.arm, torch.from_numpy(home + 0.2 * rng.normal(size=(300, 6))), 1)
    q = home + 0.2 * rng.normal(size=(30, 6))
    scores = measure_weights(IKSolver(model.arm, model), torch.from_numpy(q), torch.from_numpy(_poses(q, "ur5e")))
    assert scores.exact < 0.01
    assert scores.uniform == pytest.approx(np.log(8), abs=0.3)


def test_scores_by_hand() -> None:
    arm = load_arm("planar2")
    q = np.array([[0.3, 0.9], [-1.0, 0.7], [0.0, 3.0]])
    found = IKSolver(arm).solve(_poses(q))
    one = score_weights(arm, found[:2], q[:2], np.array([0.25, 0.75, 0.5, 0.5]))
    weight = [w.weight[np.abs(w.q - made_by).sum(axis=1).argmin()] for w, made_by in zip(found, q[:2], strict=False)]
    assert one.exact == pytest.approx(-np.log(weight).mean())
    assert one.uniform == pytest.approx(np.log(2))
    assert one.poses == 2
    spread = [0.99 * np.array(share) + 0.005 for share in ([0.25, 0.75], [0.5, 0.5])]  # 1 % of it evenly
    row = [np.abs(w.q - made_by).sum(axis=1).argmin() for w, made_by in zip(found, q[:2], strict=False)]
    assert one.network == pytest.approx(-np.log([spread[i][row[i]] for i in range(2)]).mean())
    each = [w.weight @ np.log(w.weight / s) for w, s in zip(found, spread, strict=False)]
    assert one.excess == pytest.approx(np.mean(each))
    assert one.excess_error == pytest.approx(np.std(each) / 2**0.5)
    nowhere = score_weights(arm, found[:1], q[:1] + 0.5, np.array([0.5, 0.5]))
    assert nowhere.poses == 0
    assert np.isnan(nowhere.exact)


def _poses(q: np.ndarray, arm: str = "planar2") -> np.ndarray:
    return np.asarray(forward_kinematics(load_arm(arm), q))


def test_a_network_that_stands_for_few_branches_is_called_under_trained() -> None:
    assert is_under_trained({"branches": {"known": 0.06, "recall": 0.99}})
    assert not is_under_trained({"branches": {"known": 0.8, "recall": 0.99}})
    assert is_under_trained({"near": 0.2, "solved": 1.0})  # of a redundant arm
    assert not is_under_trained({"near": 0.9, "solved": 1.0})
    assert not is_under_trained({"raw": {}})  # a regressor, or a redundant arm
