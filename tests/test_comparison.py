"""The comparison: same poses for everybody, every pose counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import sim
from ik_mdn.comparison import METHODS, compare
from ik_mdn.config import ModelConfig
from ik_mdn.model import PoseModel
from ik_mdn.solver import IKSolver

COUNT = 40


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    """An untrained mixture and regressor: nothing may depend on training going well."""
    arm = sim.load_arm("xarm6")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixture = PoseModel(arm, None, ModelConfig(components=6, width=16, blocks=1)).eval()
        regressor = PoseModel(arm, None, ModelConfig(kind="mse", width=16, blocks=1)).eval()
    with sim.World() as world:
        found = list(compare(IKSolver(arm, mixture), regressor, body=world.add_arm(arm), count=COUNT, seed=3))
    return {result.name: result for result in found}


def test_every_method_is_measured_on_every_pose(results: dict) -> None:
    assert list(results) == list(METHODS)
    assert all(result.errors.count == COUNT and len(result.q) == COUNT for result in results.values())
    assert all(result.us_per_pose > 0 for result in results.values())


def test_choosing_by_forward_kinematics_is_never_worse_than_choosing_by_weight(results: dict) -> None:
    assert sum(results["best"].errors.pos) <= sum(results["likely"].errors.pos)


def test_refined_answers_are_exact_and_in_limits(results: dict) -> None:
    for name in ("refined", "restarts"):
        result = results[name]
        assert result.errors.success["1e-6"] == pytest.approx(1.0, abs=0.05)
        assert result.in_limits == result.errors.answered


def test_errors_are_those_of_the_answers_given(results: dict) -> None:
    """Independent of the code under test: PyBullet measures the pose of the regressor's answers."""
    from ik_mdn.report import held_out

    arm = sim.load_arm("xarm6")
    _, T = held_out(arm, COUNT, seed=7_777_777 + 1 + 3)
    with sim.World() as world:
        measured = world.add_arm(arm).tip_pose(results["mse"].q)
    distance = np.linalg.norm(measured[:, :3, 3] - T[:, :3, 3].numpy(), axis=1)
    assert results["mse"].errors.pos[2] == pytest.approx(distance.max(), abs=1e-6)
    assert results["mse"].errors.pos[0] == pytest.approx(np.median(distance), abs=1e-6)


def test_results_are_plain_json(results: dict) -> None:
    for result in results.values():
        json.dumps(result.to_dict(), allow_nan=False)
