"""The compiled engine does what the torch engine does, for few targets and for many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numba import njit
from samples import random_arm, sliding_arm

import sim
from ik_mdn.model.pose_model import PoseModel
from ik_mdn.solver.engine import Found, Problem, Seeds
from ik_mdn.solver.engine_numba import CompiledEngine, CompiledModel
from ik_mdn.solver.engine_torch import TorchEngine
from ik_mdn.solver.folds import seeds_across_folds
from ik_mdn.solver.kernels.network import forward
from ik_mdn.solver.kernels.pointers import bare
from ik_mdn.training import build_model
from ik_mdn.training.config import TrainConfig
from sim.arm.arm import Arm
from sim.kinematics import forward_kinematics
from sim.task import TASKS, Task, error_norms, load_task, task_error

ARMS = [
    ("xarm6", "pose"),
    ("panda", "pose"),
    ("ur5e", "position_axis"),
    ("puma560", "position"),
    ("planar3", "planar_pose"),
    ("planar2", "planar_position"),
]


def model_of(arm: Arm, task: str, **options: Any) -> PoseModel:
    """An untrained model whose numbers are spread out, so that nothing is zero by chance."""
    config = {"components": 6, "width": 32, "blocks": 2, "drawn_first": (), **options}
    model = build_model(arm, TrainConfig(steps=1, **config), task=task)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        model.centre += 0.1
        model.spread *= 1.7
    return model.eval()


def targets(arm: Arm, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Poses made from joint vectors in limits; the first ones on the base axis, upside down, and half turned."""
    q = arm.sample(np.random.default_rng(seed), count)
    T = np.ascontiguousarray(forward_kinematics(arm, torch.from_numpy(q)).numpy())
    if not arm.is_planar and count > 3:
        T[0, :2, 3] = arm.offsets[0, :2, 3]
        T[1, :3, :3] = np.diag([1.0, -1.0, -1.0])
        T[2, :3, :3] = np.diag([-1.0, -1.0, 1.0])
    return T


def engines(arm: Arm, task: str, T: Any, near: Any = None, **options: Any) -> tuple[CompiledEngine, TorchEngine]:
    model, problem = model_of(arm, task, **options), Problem(arm, load_task(arm, task), T, near, 1e-8)
    return CompiledEngine(problem, CompiledModel(model, halves=False)), TorchEngine(problem, model)


@pytest.mark.parametrize(("name", "task"), ARMS)
@pytest.mark.parametrize("count", [5, 300])
def test_both_engines_propose_the_same_seeds(name: str, task: str, count: int) -> None:
    arm = sim.load_arm(name)
    T = targets(arm, count)
    compiled, reference = engines(arm, task, T)
    ours, theirs = compiled.propose(np.arange(count), 18), reference.propose(np.arange(count), 18)  # all of them
    assert_same_seeds(ours, theirs)


def assert_same_seeds(ours: Seeds, theirs: Seeds) -> None:
    """The same weights, and each seed among the other's: sigma points of one component tie."""
    for pose in range(len(ours.counts)):
        rows, others = (slice(*seeds.start[pose : pose + 2]) for seeds in (ours, theirs))
        weight = np.sort(theirs.weight[others])[::-1]
        np.testing.assert_allclose(ours.weight[rows], weight, rtol=2e-3, atol=1e-6)
        away = ours.q[rows][:, None] - theirs.q[others][None]
        cost = np.abs((away + np.pi) % (2 * np.pi) - np.pi).max(axis=2)  # a mean beside half a turn is on either side
        size = 1 + np.abs(ours.q[rows]).max(axis=1)  # an untrained component may be hundreds of turns wide
        assert (cost.min(axis=1) / size).max() < 1e-3  # float32 network, and five steps of power iteration


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_every_covariance_gives_the_same_seeds(covariance: Any) -> None:
    arm = sim.load_arm("xarm6")
    T = targets(arm, 40)
    compiled, reference = engines(arm, "pose", T, covariance=covariance)
    ours, theirs = compiled.propose(np.arange(40), 18), reference.propose(np.arange(40), 18)
    assert abs(len(ours.q) - len(theirs.q)) <= 6  # a component just as wide as the threshold may fall either way
    assert np.isclose(ours.weight.sum(), theirs.weight.sum())


@pytest.mark.parametrize("options", [{"symmetries": False}, {"charts": 2}, {"targets": "angles"}], ids=str)
def test_with_other_inputs_and_outputs_the_seeds_are_the_same_too(options: Any) -> None:
    arm = sim.load_arm("ur5e")
    T = targets(arm, 30)
    compiled, reference = engines(arm, "pose", T, **options)
    ours, theirs = compiled.propose(np.arange(30), 18), reference.propose(np.arange(30), 18)
    assert_same_seeds(ours, theirs)


@njit
def _forward(x: Any, layers: Any, out: Any, scratch: Any) -> None:
    forward(bare(x), len(x), bare(layers), bare(out), bare(scratch))


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_the_compiled_network_is_torchs_and_a_row_does_not_depend_on_the_others(blocks: int) -> None:
    model = model_of(sim.load_arm("xarm6"), "pose", blocks=blocks, width=48)
    x = torch.randn(7, len(model.centre), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        numbers = model.head.out(model.trunk(x)).numpy()
    layers = CompiledModel(model, halves=False).proposer.layers
    out = np.empty((7, layers.n_out), np.float32)
    _forward(x.numpy(), layers, out, np.empty(4 * 7 * layers.width, np.float32))
    components, size = 6, numbers.shape[1] // 6
    ours = out[:, : 8 * size].reshape(7, size, 8)[:, :, :components].transpose(0, 2, 1).reshape(7, -1)
    np.testing.assert_allclose(ours, numbers, atol=2e-4, rtol=1e-4)
    for row in range(7):
        alone = np.empty((1, layers.n_out), np.float32)
        _forward(x[row : row + 1].numpy(), layers, alone, np.empty(4 * layers.width, np.float32))
        np.testing.assert_array_equal(alone[0], out[row])


@pytest.mark.parametrize(("name", "task"), ARMS)
@pytest.mark.parametrize("count", [4, 60])
def test_both_engines_settle_on_the_same_solutions(name: str, task: str, count: int) -> None:
    arm = sim.load_arm(name)
    if load_task(arm, task).n_constraints < arm.n_joints:
        pytest.skip("on a curve of solutions rounding decides where a seed ends")
    T, rng = targets(arm, count, seed=1), np.random.default_rng(5)
    near = arm.sample(rng, count)
    poses, seeds = np.arange(count), arm.sample(rng, 24)
    for bias in (None, near):
        compiled, reference = engines(arm, task, T, bias)
        ours, met = compiled.settle(poses, Seeds.repeated(count, seeds, 0.5))
        theirs, met_there = reference.settle(poses, Seeds.repeated(count, seeds, 0.5))
        assert (met == met_there).mean() > 0.97
        assert_same(ours, theirs, arm, share=0.97)
        assert np.maximum(ours.err_pos, ours.err_rot).max() < 1e-8


def assert_same(ours: Found, theirs: Found, arm: Arm, *, share: float) -> None:
    """Nearly every solution of one is one of the other: near folds rounding decides."""
    hits = []
    for pose, q in zip(ours.pose, ours.q, strict=True):
        rows = theirs.pose == pose
        hits.append((np.abs(arm.nearest_image(theirs.q[rows] - q)).max(axis=1, initial=0.0) < 1e-3).any())
    assert np.mean(hits) > share


def test_other_branches_are_told_from_those_found() -> None:
    arm = sim.load_arm("ur5e")
    q = np.random.default_rng(0).uniform(-3, 3, (3, 6))
    turned = q[0] + 1e-6
    turned[1] += 2 * np.pi
    found = Found(np.array([3, 3, 7]), q[[0, 1, 0]], np.full(3, 0.25), np.zeros(3), np.zeros(3))
    more = Found(np.array([3, 3, 5, 7]), np.array([turned, q[2], q[0], q[1]]), np.zeros(4), np.zeros(4), np.zeros(4))
    for engine in engines(arm, "pose", targets(arm, 8)):
        assert engine.is_new(found, more).tolist() == [False, True, True, True]
        assert not engine.is_new(found, found).any()


def test_seeds_that_lead_to_one_branch_share_it_with_the_weight_of_all() -> None:
    arm = sim.load_arm("planar2")
    q = np.array([[0.3, 1.2]])
    T = np.ascontiguousarray(forward_kinematics(arm, torch.from_numpy(q)).numpy())
    seeds = q + np.array([[0.0, 0.0], [0.1, -0.1], [2 * np.pi, 0.05], [0.5, -2.3]])
    for engine in engines(arm, "planar_position", T):
        found, met = engine.settle(np.arange(1), Seeds(np.array([0, 4]), seeds, np.array([0.1, 0.2, 0.3, 0.4])))
        assert met[0]
        order = found.q[:, 1].argsort()[::-1]
        np.testing.assert_allclose(found.q[order][0], q[0], atol=1e-9)
        np.testing.assert_allclose(found.weight[order], [0.6, 0.4])


@pytest.mark.parametrize(("name", "task"), ARMS)
def test_conditioning_is_the_jacobians(name: str, task: str) -> None:
    arm = sim.load_arm(name)
    q = arm.sample(np.random.default_rng(2), 101)
    q[:10, 1:] = 0.0
    compiled, reference = engines(arm, task, targets(arm, 3))
    (singular, manipulability), (expected, value) = compiled.condition(q), reference.condition(q)
    np.testing.assert_allclose(manipulability, value, rtol=1e-6, atol=1e-7)
    assert (singular == expected).mean() > 0.98  # exactly singular ones may fall either way of the threshold


@pytest.mark.parametrize(("name", "task"), [("xarm6", "pose"), ("puma560", "pose"), ("planar3", "planar_pose")])
def test_both_engines_find_the_branches_across_folds(name: str, task: str) -> None:
    arm = sim.load_arm(name)
    q = arm.sample(np.random.default_rng(4), 200)
    T = np.ascontiguousarray(forward_kinematics(arm, torch.from_numpy(q)).numpy())
    _, source = seeds_across_folds(arm, load_task(arm, task), q)
    assert len(source) > 20
    found = []
    for engine in engines(arm, task, T):
        seeds = Seeds.repeated(1, q, 1.0)._replace(start=np.arange(201))
        alone, both = engine.settle(np.arange(200), seeds)[0], engine.settle(np.arange(200), seeds, beside=True)[0]
        assert len(both.pose) > len(alone.pose) + 10
        assert not both.weight[np.setdiff1d(np.arange(len(both.pose)), both.weight.nonzero()[0])].any()
        found.append(both)
    assert_same(*found, arm, share=0.97)
    assert_same(*found[::-1], arm, share=0.97)


def test_the_seed_across_a_fold_leads_to_the_other_elbow() -> None:
    arm = sim.load_arm("planar2")
    q = np.array([[0.3, 0.1], [0.3, -0.02], [1.0, 2.0]])  # two beside the stretched arm, one far from it
    T = np.ascontiguousarray(forward_kinematics(arm, torch.from_numpy(q)).numpy())
    for engine in engines(arm, "planar_position", T):
        found, _ = engine.settle(np.arange(3), Seeds(np.arange(4), q, np.ones(3)), beside=True)
        other = found.take(found.weight == 0.0)
        assert other.pose.tolist() == [0, 1]
        np.testing.assert_allclose(other.q[:, 1], [-0.1, 0.02], atol=1e-9)


RANDOM = [
    (random_arm(6, 1), TASKS["pose"]),
    (random_arm(6, 2, sliding=(2,)), TASKS["pose"]),
    (random_arm(5, 3, sliding=(0, 3)), TASKS["position_axis"]),
    (random_arm(3, 4, sliding=(1,)), TASKS["position"]),
    (sliding_arm(), TASKS["position"]),
]


@pytest.mark.parametrize(
    ("arm", "task"), RANDOM, ids=[f"{arm.name}-{task.name}-{i}" for i, (arm, task) in enumerate(RANDOM)]
)
@pytest.mark.parametrize("count", [4, 60])
def test_both_engines_do_the_same_work_on_random_arms(arm: Arm, task: Task, count: int) -> None:
    T = targets(arm, count, seed=2)
    problem = Problem(arm, task, T, None, 1e-8)
    compiled, reference = CompiledEngine(problem, None), TorchEngine(problem, None)
    seeds = Seeds.repeated(count, arm.sample(np.random.default_rng(6), 24), 0.5)
    poses = np.arange(count)
    found = [engine.settle(poses, seeds, beside=True)[0] for engine in (compiled, reference)]
    assert len(found[0].pose)
    for ours, other in zip(found, (reference, compiled), strict=True):
        tips, goal = forward_kinematics(arm, torch.from_numpy(ours.q)), torch.from_numpy(T[ours.pose])
        assert max(float(x.max()) for x in error_norms(task_error(task, tips, goal))) < 1e-8
        assert ((ours.q >= arm.q_min) & (ours.q <= arm.q_max)).all()
        assert compiled.is_new(ours.take(np.arange(0)), ours).all()
        # whatever one of them finds is a solution to the other, from there
        again, _ = other.settle(poses, Seeds(ours.pose.searchsorted(np.arange(count + 1)), ours.q, ours.weight))
        assert not other.is_new(again, ours).any()
        assert not other.is_new(ours, again).any()
    assert_same(*found, arm, share=0.95)  # from far away rounding decides where a seed ends
    assert_same(*found[::-1], arm, share=0.95)
    assert (compiled.is_new(*found) == reference.is_new(*found)).all()
    for a, b in zip(compiled.condition(found[0].q), reference.condition(found[0].q), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_draws_are_the_mixtures_and_the_same_for_both_engines() -> None:
    arm = sim.load_arm("xarm6")
    drawn = [
        engine.draw(np.array([1, 4]), 3, np.random.default_rng(8)) for engine in engines(arm, "pose", targets(arm, 6))
    ]
    assert drawn[0].counts.tolist() == [3, 3]
    np.testing.assert_array_equal(drawn[0].q, drawn[1].q)
    assert not drawn[0].weight.any()
