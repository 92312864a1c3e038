"""p(q): a density on the limits, that draws follow, in the file of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sim
from ik_mdn.model.checkpoint import load_model, read_model, save_model
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel
from ik_mdn.model.postures import PREFIX, Postures, circular_period, log_volume
from ik_mdn.model.tensors import read_tensors, write_tensors
from sim.errors import CheckpointError


def postures_of(arm: sim.Arm, *, even: float = 0.1, std: float = 0.2) -> Postures:
    rng = np.random.default_rng(0)
    loc = rng.uniform(0.5 * arm.sample_min, 0.5 * arm.sample_max, (2, arm.n_joints))
    tril = std * (np.eye(arm.n_joints) + np.tril(rng.uniform(-0.5, 0.5, (2, arm.n_joints, arm.n_joints)), -1))
    return Postures(arm, np.log([0.3, 0.7]), loc, tril, even)


def grid(arm: sim.Arm, count: int) -> tuple[np.ndarray, float]:
    """Midpoints of a grid over the limits of two joints, and the area of a cell."""
    sides = [np.linspace(low, high, count + 1) for low, high in zip(arm.sample_min, arm.sample_max, strict=True)]
    middles = np.meshgrid(*((side[1:] + side[:-1]) / 2 for side in sides), indexing="ij")
    return np.stack(middles, axis=-1).reshape(-1, 2), float(np.prod([side[1] - side[0] for side in sides]))


@pytest.mark.parametrize("continuous", [False, True], ids=["limited", "continuous"])
def test_it_integrates_to_one_and_draws_follow_it(continuous: bool) -> None:
    arm = sim.load_arm("planar2")
    if continuous:
        arm = replace(arm, q_min=np.array([-np.inf, -1.0]), q_max=np.array([np.inf, 2.0]))
    postures = postures_of(arm)
    assert np.isfinite(circular_period(arm)).tolist() == [continuous, False]
    q, cell = grid(arm, 300)
    mass = np.exp(postures.log_prob(q)) * cell
    assert mass.sum() == pytest.approx(1.0, abs=5e-3)  # what the Gaussians lose beyond the limits
    draws = postures.sample(40_000, torch.Generator().manual_seed(1)).numpy()
    assert ((draws >= arm.sample_min) & (draws <= arm.sample_max)).all()
    for function in (np.sin, np.cos, lambda x: x[:, ::-1] * x):
        values = function(draws)
        error = values.mean(0) - mass @ function(q) / mass.sum()
        assert (np.abs(error) < 4 * values.std(0) / 200 + 1e-3).all()


def test_what_was_never_seen_has_the_even_share() -> None:
    arm = sim.load_arm("planar2")
    far = arm.sample_max - 1e-6
    expected = np.log(0.1) - log_volume(arm)
    assert postures_of(arm, even=0.1, std=0.02).log_prob(far) == pytest.approx(expected)


def test_it_comes_back_from_the_file_and_files_without_one_have_none(tmp_path: Path) -> None:
    model = PoseModel(sim.load_arm("planar2"), None, ModelConfig(width=8, blocks=0, components=2))
    save_model(model, tmp_path / "plain.safetensors")
    model.postures = postures_of(model.arm)
    save_model(model, tmp_path / "own.safetensors")
    assert read_model(tmp_path / "plain.safetensors").postures is None
    q = np.random.default_rng(2).uniform(-1, 1, (5, 2))
    for again in (read_model(tmp_path / "own.safetensors"), load_model(tmp_path / "own.safetensors")):
        assert again.postures is not None
        np.testing.assert_array_equal(again.postures.log_prob(q), model.postures.log_prob(q))


def test_damaged_numbers_are_refused(tmp_path: Path) -> None:
    model = PoseModel(sim.load_arm("planar2"), None, ModelConfig(width=8, blocks=0, components=2))
    model.postures = postures_of(model.arm)
    save_model(model, tmp_path / "own.safetensors")
    tensors, metadata = read_tensors(tmp_path / "own.safetensors")
    for name, value in (("loc", np.zeros((2, 3))), ("even", np.array(1.5))):
        write_tensors(tmp_path / "bad.safetensors", {**tensors, f"{PREFIX}{name}": value}, metadata)
        with pytest.raises(CheckpointError, match="does not fit its own description"):
            read_model(tmp_path / "bad.safetensors")
