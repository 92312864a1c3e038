"""A small mixture that proposes in place of the density: where solving starts changes, and nothing that is said of p(q | T)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sim
from ik_mdn.model import (
    ArmModel,
    SavedModel,
    from_saved,
    load_model,
    model_for,
    read_model,
    read_tensors,
    save_model,
    write_tensors,
)
from ik_mdn.model.config import ModelConfig
from ik_mdn.solver import IKSolver
from ik_mdn.solver.engine import Problem
from ik_mdn.solver.engine_numba import CompiledEngine
from ik_mdn.solver.engine_torch import TorchEngine
from ik_mdn.solver.kernels.proposing import propose_some
from ik_mdn.solver.proposers import CompiledModel
from sim.errors import CheckpointError

BIG, SMALL = ModelConfig(components=5, width=24, blocks=1), ModelConfig(components=7, width=8, blocks=2, drawn_first=())


def untrained(config: ModelConfig, arm: str, seed: int) -> SavedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_for(sim.load_arm(arm), None, config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn(parameter.shape)
    return model.eval().saved()


def pair(arm: str) -> tuple[SavedModel, SavedModel]:
    """A model without a proposer, and the same with one."""
    alone = untrained(BIG, arm, 3)
    return alone, replace(alone, proposer=untrained(SMALL, arm, 4))


def in_torch(model: SavedModel | None) -> ArmModel:
    assert model is not None
    return from_saved(model)


def poses(model: SavedModel, count: int) -> np.ndarray:
    q = model.arm.sample(np.random.default_rng(1), count)
    return np.ascontiguousarray(sim.forward_kinematics(model.arm, q))


@pytest.mark.parametrize("arm", ["xarm6", "panda"])
def test_a_search_starts_from_the_density_whatever_proposes_in_one_call(arm: str) -> None:
    alone, model = pair(arm)
    problem, some = Problem(model.arm, model.task, poses(model, 20), None, 1e-8), np.arange(20)
    for raw in (False, True):
        for engine in (TorchEngine, CompiledEngine):
            with_it, without = (
                (
                    TorchEngine(problem, from_saved(each))
                    if engine is TorchEngine
                    else CompiledEngine(problem, CompiledModel(each, halves=False))
                ).propose(some, 5, raw=raw)
                for each in (model, alone)
            )
            np.testing.assert_array_equal(with_it.q, without.q)


def test_the_one_call_starts_from_the_proposer() -> None:
    _, model = pair("panda")
    assert model.proposer is not None
    T = poses(model, 20)
    start, weight, q = np.zeros(21, np.int64), np.empty(20 * 7), np.empty((20 * 7, 7))
    propose_some(T, CompiledModel(model.proposer, with_axes=False, halves=False).proposer, 7, start, q, weight)
    problem = Problem(model.arm, model.task, T, None, 1e-8)
    wanted = TorchEngine(problem, from_saved(model.proposer)).propose(np.arange(20), 7, raw=True)
    np.testing.assert_array_equal(start, wanted.start)
    np.testing.assert_allclose(q[: start[-1]], wanted.q, atol=1e-4)
    chosen = IKSolver(model.arm, model)
    alone = IKSolver(model.arm, replace(model, proposer=None))
    assert not np.array_equal(chosen.solve(T).q, alone.solve(T).q), "other seeds lead to other points of the curves"


def test_the_solutions_are_the_same_ones_wherever_refinement_starts() -> None:
    alone, model = pair("xarm6")
    T = poses(model, 30)
    one, other = (IKSolver(each.arm, each).solve(T, thorough=True) for each in (alone, model))
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_allclose(np.sort(one.weight), np.sort(other.weight), atol=1e-6)


def test_a_file_keeps_it_and_misses_it_when_it_is_gone(tmp_path: Path) -> None:
    _, model = pair("panda")
    save_model(model, tmp_path / "a.safetensors")
    again = read_model(tmp_path / "a.safetensors", arm=model.arm)
    assert again.proposer is not None
    assert model.proposer is not None
    assert again.proposer.config == model.proposer.config
    for name, array in model.proposer.weights.items():
        np.testing.assert_array_equal(again.proposer.weights[name], array)
    loaded = load_model(tmp_path / "a.safetensors", arm=model.arm)
    assert loaded.saved().proposer is not None, "a model in torch hands it on"
    tensors, metadata = read_tensors(tmp_path / "a.safetensors")
    kept = {name: array for name, array in tensors.items() if name != "proposer.head.out.bias"}
    write_tensors(tmp_path / "b.safetensors", kept, metadata)
    with pytest.raises(CheckpointError, match="head"):
        read_model(tmp_path / "b.safetensors", arm=model.arm)
