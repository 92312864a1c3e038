"""Solving on other devices: what of it can be held to the CPU without one."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import sim
from ik_mdn.solver import IKSolver, solver_for
from ik_mdn.solver.engine import Seeds
from ik_mdn.solver.engine_torch import TorchEngine, condition, weak
from ik_mdn.solver.folds import seeds_across_folds
from ik_mdn.solver.kernels.rules import Rule
from ik_mdn.solver.refinement_torch import _advance, _is_finished, _start
from sim.errors import UnknownNameError
from sim.jacobians import task_singular_values
from sim.task import load_task


class Elsewhere(IKSolver):
    """Solves as on a GPU, with the engine in torch, a copy of the model and targets in parts, on the CPU."""

    def _device_for(self, T_base_tip: Any) -> str:
        return "cpu:0"


def reachable(solver: IKSolver, count: int) -> Any:
    arm = solver.arm
    q = arm.sample(np.random.default_rng(1), count)
    return sim.forward_kinematics(arm, q)


@pytest.mark.parametrize("name", ["ur5e", "planar2", "planar3"])
def test_the_engine_for_gpus_finds_what_the_compiled_one_finds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ik_mdn.solver.solver._PART_ON_GPU", 13)
    here, there = IKSolver.load(name), Elsewhere.load(name)
    T = reachable(here, 40)
    T[7, :3, 3] += 10.0
    ours, theirs = there.solve(T), here.solve(T)
    assert ours.tally() == theirs.tally()
    for one, other in zip(ours, theirs, strict=True):
        assert one.q.shape == other.q.shape
        gap = np.abs(np.exp(1j * one.q[:, None]) - np.exp(1j * other.q)).max(axis=2)
        assert gap.min(axis=1, initial=np.inf).max(initial=0.0) < 1e-4 or not len(one)
        np.testing.assert_allclose(np.sort(one.weight), np.sort(other.weight), atol=1e-4)


def test_redundant_arms_are_solved_there_too() -> None:
    solver = Elsewhere.load("panda")
    found = solver.solve(reachable(solver, 10))
    assert sum(found.tally().values()) == 10
    assert min(len(one) for one in found) > 0
    assert max(found.err_pos.max(), found.err_rot.max()) < 1e-8


def test_a_model_is_copied_to_a_device_once() -> None:
    solver = Elsewhere.load("planar2")
    T = reachable(solver, 3)
    solver.solve(T)
    (copy,) = solver._engines._copies.values()
    solver.solve(T)
    assert list(solver._engines._copies.values()) == [copy]
    assert copy is not solver.model
    assert "_engines" not in pickle.loads(pickle.dumps(solver)).__dict__


def test_targets_of_numpy_are_checked_wherever_they_are_solved() -> None:
    with pytest.raises(sim.IKError, match="rotation"):
        Elsewhere.load("ur5e").solve(np.diag([1.0, 2.0, 1.0, 1.0]))


def test_the_device_of_a_solver_is_kept_or_refused() -> None:
    arm = sim.load_arm("planar2")
    assert IKSolver(arm).device is None
    assert IKSolver(arm, device="cpu").device == "cpu"
    assert IKSolver.load("planar2", device="auto").device in ("cpu", "cuda:0", "cuda")
    assert solver_for(arm, "none", device="cpu").device == solver_for(arm, device="cpu").device == "cpu"
    assert pickle.loads(pickle.dumps(IKSolver(arm, device="cpu"))).device == "cpu"
    with pytest.raises(UnknownNameError, match="no device 'gpu'; here are: auto, cpu"):
        IKSolver(arm, device="gpu")


@pytest.mark.parametrize("name", ["ur5e", "planar3", "panda"])
def test_what_an_inverse_says_of_singular_values_is_what_they_say(name: str) -> None:
    arm = sim.load_arm(name)
    task, generator = load_task(arm, None), np.random.default_rng(0)
    q = arm.sample(generator, 200)
    q[:40, 1:] = 0.0
    q[40:80, -2] *= 1e-3
    rows = torch.from_numpy(q)
    sigma = task_singular_values(arm, task, rows)
    looked_at = weak(arm, task, rows, 0.05)
    assert set((sigma[:, -1] < 0.05).nonzero()[:, 0].tolist()) <= set(looked_at.tolist())
    assert len(looked_at) < 200 or name == "panda"
    singular, manipulability = condition(arm, task, rows)
    assert torch.equal(singular, sigma[:, -1] < 1e-4)
    torch.testing.assert_close(manipulability, sigma.prod(dim=-1), rtol=1e-6, atol=1e-12)


def test_seeds_across_folds_are_the_same_in_torch() -> None:
    arm = sim.load_arm("ur5e")
    q = arm.sample(np.random.default_rng(0), 300)
    for thorough in (False, True):
        ours, source = seeds_across_folds(arm, load_task(arm, None), q, thorough=thorough)
        theirs, rows = seeds_across_folds(arm, load_task(arm, None), torch.from_numpy(q), thorough=thorough)
        assert source.tolist() == rows.tolist()
        np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-6)


def test_seeds_of_a_model_and_others_are_joined_where_the_models_are() -> None:
    ours = Seeds(np.array([0, 1, 3]), torch.tensor([[0.0], [1.0], [2.0]]).double(), torch.ones(3).double())
    joined = Seeds.join([ours, Seeds.repeated(2, np.array([[9.0]]), 0.5)])
    assert isinstance(joined.q, torch.Tensor)
    assert joined.q[:, 0].tolist() == [0, 9, 1, 2, 9]
    assert joined.weight.tolist() == [1, 0.5, 1, 1, 0.5]
    assert joined.start.tolist() == [0, 2, 5]


@pytest.mark.parametrize("name", ["planar2", "ur5e", "panda"])
def test_refinement_stays_where_its_seeds_are(name: str) -> None:
    """On the device "meta", which holds shapes and no numbers, a stray CPU tensor is an error."""
    arm = sim.load_arm(name)
    with torch.device("meta"):
        T, q = torch.empty(5, 4, 4, dtype=torch.float64), torch.empty(5, arm.n_joints, dtype=torch.float64)
    rule = Rule(1e-12, 100, 0.5)
    state = _advance(arm, load_task(arm, None), rule, _start(arm, load_task(arm, None), T, q, 0, 5))
    assert state.q.device.type == _is_finished(rule, state).device.type == "meta"


def test_seeds_beyond_a_gpus_memory_are_refined_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ik_mdn.solver.engine_torch._rows_for", lambda device: 70)
    here, there = IKSolver.load("ur5e"), Elsewhere.load("ur5e")
    T, counts = reachable(here, 12), []
    settle = TorchEngine.settle

    def counted(self: TorchEngine, poses: Any, seeds: Seeds, *rest: Any, **options: Any) -> Any:
        counts.append(len(seeds.q))
        return settle(self, poses, seeds, *rest, **options)

    monkeypatch.setattr(TorchEngine, "settle", counted)
    assert len(there.solve(T).q) == len(here.solve(T).q)
    assert len(counts) >= 6
    assert max(counts) <= 70


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_what_the_cpu_finds() -> None:
    here, there = IKSolver.load("ur5e"), IKSolver.load("ur5e", device="cuda")
    T = reachable(here, 200)
    ours, theirs = there.solve(T), here.solve(T)
    assert abs(len(ours.q) - len(theirs.q)) <= 2
    assert max(ours.err_pos.max(), ours.err_rot.max()) < 1e-8
