"""A model as plain numbers is the model in torch, and says what it lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import sim
from ik_mdn.model.chain import from_saved
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel
from sim.kinematics import forward_kinematics


def model_of(arm: str = "xarm6", **options: Any) -> PoseModel:
    return PoseModel(sim.load_arm(arm), None, ModelConfig(width=8, components=3, **options)).eval()


@pytest.mark.parametrize(
    "options",
    [
        {"blocks": 0},
        {"blocks": 2, "covariance": "isotropic"},
        {"covariance": "diagonal", "symmetries": False},
        {"kind": "mse"},
        {"kind": "mse", "targets": "cos_sin"},
    ],
)
@pytest.mark.parametrize("arm", ["xarm6", "planar2"])
def test_there_and_back_again_answers_the_same(arm: str, options: dict[str, Any]) -> None:
    model = model_of(arm, **options)
    T = forward_kinematics(model.arm, torch.zeros(2, model.arm.n_joints, dtype=torch.float64))
    again = from_saved(model.saved())
    assert torch.equal(again.propose(T).q, model.propose(T).q)
    assert not again.training


def test_it_does_not_change_with_the_model() -> None:
    model = model_of()
    saved = model.saved()
    with torch.no_grad():
        model.head.out.bias += 1.0
    assert (saved.weights["head.out.bias"] != model.head.out.bias.detach().numpy()).all()


def test_weights_that_are_not_those_of_its_config_are_refused_by_name() -> None:
    saved = model_of(blocks=1).saved()
    with pytest.raises(ValueError, match=r"head\.out\.bias has the shape \(102,\); its config declares \(136,\)"):
        replace(saved, config=replace(saved.config, components=4))
    with pytest.raises(ValueError, match=r"trunk\.blocks\.0\.0\.bias has the shape \(8,\); its config declares None"):
        replace(saved, config=replace(saved.config, blocks=0))


def test_features_are_the_same_in_numpy_and_torch() -> None:
    features = model_of().features
    q = np.random.default_rng(0).uniform(-3, 3, (200, 6))
    T = forward_kinematics(features.arm, q)
    ours, theirs = features.encode(T), features.encode(torch.from_numpy(T))
    assert ours.features.dtype == np.float32
    np.testing.assert_allclose(ours.features, theirs.features.numpy(), atol=1e-6)
    np.testing.assert_allclose(ours.shift, theirs.shift.numpy(), atol=1e-14)
