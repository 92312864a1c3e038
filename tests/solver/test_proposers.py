"""Seeds of a redundant arm's chain model in compiled code: those that the model in torch proposes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import random_arm

import sim
from ik_mdn.model import ChainModel, ModelConfig, model_for, save_model
from ik_mdn.model.seeding import strata_for
from ik_mdn.solver.engine import Problem
from ik_mdn.solver.engine_numba import CompiledEngine, OneCall
from ik_mdn.solver.engine_torch import TorchEngine
from ik_mdn.solver.proposers import CompiledModel
from ik_mdn.solver.solver import IKSolver
from sim.arm import Arm

SMALL = ModelConfig(components=5, width=24, blocks=1)
CHAINS = [
    ("panda", None),
    (random_arm(4, 4, sliding=(0,)), "position"),  # the first joint is drawn first, and slides
    (random_arm(5, 5, sliding=(4,)), "position"),  # two to spare
    (sim.load_arm("planar:0.5,0.4,0.3,0.2"), "planar_position"),
    (random_arm(8, 2, sliding=(7,)), "pose"),  # two to spare, from behind, and the first of them slides
]


def chain_of(arm: str | Arm, task: str | None) -> ChainModel:
    """An untrained model whose numbers are spread out."""
    arm = sim.load_arm(arm) if isinstance(arm, str) else arm
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = model_for(arm, task, SMALL)
        assert isinstance(model, ChainModel)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn(parameter.shape)
            for name, buffer in model.named_buffers():
                if name.endswith(("centre", "spread")):
                    buffer += 0.1
    return model.eval()


def targets(model: ChainModel, count: int) -> Any:
    q = model.arm.sample(np.random.default_rng(1), count)
    return np.ascontiguousarray(sim.forward_kinematics(model.arm, q))


@pytest.mark.parametrize(("arm", "task"), CHAINS, ids=str)
@pytest.mark.parametrize("count", [1, 40])
def test_compiled_code_proposes_what_the_model_in_torch_does(arm: Any, task: str | None, count: int) -> None:
    model = chain_of(arm, task)
    problem = Problem(model.arm, model.task, targets(model, count), None, 1e-8)
    most = 5 * strata_for(1) * 5  # all of them, so that ties do not matter
    ours = CompiledEngine(problem, CompiledModel(model, halves=False)).propose(np.arange(count), most)
    theirs = TorchEngine(problem, model).propose(np.arange(count), most)
    for pose in range(count):
        rows, others = (slice(*seeds.start[pose : pose + 2]) for seeds in (ours, theirs))
        a, b = (np.column_stack([s.q[r], s.weight[r]]) for s, r in ((ours, rows), (theirs, others)))
        assert abs(len(a) - len(b)) <= 2  # as light as the threshold
        away = a[:, None] - b[None]
        away[..., :-1] = model.arm.nearest_image(away[..., :-1])
        away = np.abs(away).max(axis=2).min(axis=1)
        assert np.sort(away)[: min(len(a), len(b))].max() < 2e-3


def test_a_joint_drawn_first_goes_where_its_density_has_equal_shares() -> None:
    model = chain_of("panda", None)
    with torch.no_grad():  # wide against the cells of the grid, narrow against a turn
        head = model.first.head
        for each, value in ((head.out.bias[None], -0.7), (head.out.weight.T, 0.0)):
            head._split(each.unflatten(-1, (head.shape.components, -1))).log_scale.fill_(value)
    T = targets(model, 20)
    problem = Problem(model.arm, model.task, T, None, 1e-8)
    seeds = CompiledEngine(problem, CompiledModel(model, halves=False)).propose(np.arange(20), 400)
    with torch.no_grad():
        density = model.first_density(torch.from_numpy(T))
    arm, joint = model.arm, model.split.joint
    grid = torch.linspace(float(arm.q_min[joint]), float(arm.q_max[joint]), 4001, dtype=torch.float64)
    with torch.no_grad():
        p = density.log_prob(grid[:, None, None].expand(-1, 20, -1)).exp().T.numpy()
    cdf = p.cumsum(axis=1) / p.sum(axis=1, keepdims=True)
    for pose in range(20):
        values = np.unique(seeds.q[seeds.start[pose] : seeds.start[pose + 1], joint].round(9))
        shares = np.interp(values, grid.numpy(), cdf[pose])
        np.testing.assert_allclose(shares, (np.arange(6) + 0.5) / 6, atol=0.02)


@pytest.mark.parametrize("options", [{}, {"max_solutions": 1}])
def test_a_batch_gives_what_its_targets_give_one_by_one(options: Any) -> None:
    model = chain_of("panda", None)
    solver, T = IKSolver(model.arm, model), targets(model, 75)
    batch = solver.solve(T, **options)
    for i in (0, 11, 12, 59, 60, 74):
        alone = solver.solve(T[i], **options)[0]
        np.testing.assert_array_equal(alone.q, batch[i].q)
        np.testing.assert_array_equal(alone.weight, batch[i].weight)
        assert np.maximum(alone.err_pos, alone.err_rot).max(initial=0.0) <= 1e-10


def test_one_call_does_the_work_and_needs_no_torch(tmp_path: Path) -> None:
    model = chain_of("panda", None)
    assert OneCall(model.arm, model.task, CompiledModel(model, halves=False)).model is not None
    path = tmp_path / "chain.safetensors"
    save_model(model.saved(), path)
    np.save(tmp_path / "T.npy", targets(model, 3))
    program = (
        "import sys, numpy as np, ik_mdn\n"
        f"solver = ik_mdn.IKSolver.load({str(path)!r})\n"
        f"found = solver.solve(np.load({str(tmp_path / 'T.npy')!r}))\n"
        "sys.exit('torch' in sys.modules or not len(found[0]))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
