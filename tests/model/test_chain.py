"""The density of a redundant arm by the chain rule."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ik_mdn
import sim
from ik_mdn.evaluation import draw_errors
from ik_mdn.evaluation.report import held_out, measure_report
from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import (
    ChainModel,
    ConditionalNetwork,
    MixtureHead,
    ModelConfig,
    PoseModel,
    inside,
    load_model,
    model_for,
    read_tensors,
    save_model,
    spread_means,
    write_tensors,
)
from ik_mdn.model.features import Encoded
from ik_mdn.model.limits import mass_in_limits
from ik_mdn.model.split import find_split
from sim.errors import ShapeError
from sim.files import data_folder

SMALL = ModelConfig(components=4, width=16, blocks=1)


def _chain(arm: str | sim.Arm, task: str | None = None, reach_width: int = 0) -> ChainModel:
    config = replace(SMALL, reach_width=reach_width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_for(sim.load_arm(arm) if isinstance(arm, str) else arm, task, config)
    assert isinstance(model, ChainModel)
    q, T = held_out(model.arm, 2000)
    rest, y, place = model, q, T
    while isinstance(rest, ChainModel):  # as training does: scaled inputs, means spread over the joints
        _prepare(rest.first, rest.features.encode(place), y, rest.split.joint)
        drawn = y[:, rest.split.joint]
        place, y, rest = rest.split.shorten(rest.arm, place, drawn), rest._others(y), rest.rest
    _prepare(rest, rest.features.encode(place), y)
    return model.eval()


def _prepare(network: ConditionalNetwork, encoded: Encoded, q: Tensor, joint: int | None = None) -> None:
    y = q - encoded.shift
    y = y if joint is None else y[:, [joint]]
    network.prepare(encoded.features, y)
    assert isinstance(network.head, MixtureHead)
    means = spread_means(y, network.head.shape.components, network.period, generator=torch.Generator().manual_seed(0))
    network.head.start_from(means.float(), scale=0.4)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("panda", None),
        ("iiwa", None),
        ("planar3", "planar_position"),
        ("planar:0.5,0.4,0.3,0.2", None),
    ],
)
def test_given_the_first_joint_the_other_joints_have_a_target_of_the_same_kind(name: str, task: str | None) -> None:
    arm = sim.load_arm(name)
    split = find_split(arm, sim.load_task(arm, task))
    assert split is not None
    q, T = held_out(arm, 50)
    others = q[:, 1:] if split.joint == 0 else q[:, :-1]
    short = split.shorten(arm, T, q[:, split.joint])
    expected = sim.forward_kinematics(split.rest, others)
    torch.testing.assert_close(short[:, :3, 3], expected[:, :3, 3], atol=1e-12, rtol=0)
    if task is None:
        torch.testing.assert_close(short, expected, atol=1e-12, rtol=0)


def test_arms_without_spare_joints_and_tasks_in_turned_frames_are_not_split() -> None:
    for name in ("ur5e", "planar2", "planar3"):
        arm = sim.load_arm(name)
        assert find_split(arm, sim.default_task(arm)) is None
        assert isinstance(model_for(arm, None, SMALL), PoseModel)


@pytest.mark.parametrize("reach_width", [0, 8])
def test_the_joint_density_integrates_to_one_and_draws_follow_it(reach_width: int) -> None:
    model = _chain("planar3", "planar_position", reach_width)
    if model.reach is not None:
        with torch.no_grad():
            q, T = held_out(model.arm, 2000)
            left = model.split.shorten(model.arm, T, q[:, 0])
            said = model.reach._point_output(model.rest.features.encode(left).features)
            out = model.reach.head.out  # so that half of the density is taken away
            out.bias.copy_(2 * (out.bias - said.mean()) / said.std())
            out.weight.mul_(2 / said.std())
            assert 0.3 < model._log_reach(left).exp().mean() < 0.7
    _, T = held_out(model.arm, 3)
    n = 40
    axis = (torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 * math.pi - math.pi
    grid = torch.cartesian_prod(axis, axis, axis)[:, None].expand(-1, len(T), -1)
    with torch.no_grad():
        p = model.log_prob(T, grid).exp() * (2 * math.pi / n) ** 3  # (grid, B)
    # what is taken away is found at 32 values of the first joint
    torch.testing.assert_close(p.sum(0), torch.ones(len(T)).double(), atol=2e-2 if reach_width else 2e-3, rtol=0)
    draws = model.sample(T, 20_000, generator=torch.Generator().manual_seed(1))  # (B, S, 3)
    for wave in (torch.cos, torch.sin):
        expected = (p[..., None] * wave(grid)).sum(0)
        torch.testing.assert_close(wave(draws).mean(1), expected, atol=0.03, rtol=0)


def test_within_limits_the_density_integrates_to_one_and_draws_follow_it() -> None:
    free = sim.load_arm("planar3")
    model = _chain(
        sim.Arm(**{**vars(free), "q_min": np.full(3, -1.8), "q_max": np.array([2.0, 1.5, 2.2])}), "planar_position"
    )
    _, T = held_out(model.arm, 4)
    n = 50
    axes = [
        low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n
        for low, high in zip(model.arm.q_min, model.arm.q_max, strict=True)
    ]
    grid = torch.cartesian_prod(*axes)[:, None].expand(-1, len(T), -1)
    with torch.no_grad():
        p = model.log_prob(T, grid).exp() * float(np.prod((model.arm.q_max - model.arm.q_min) / n))
    torch.testing.assert_close(p.sum(0), torch.ones(len(T)).double(), atol=0.06, rtol=0)
    draws = model.sample(T, 20_000, generator=torch.Generator().manual_seed(1))
    expected = (p[..., None] * torch.cos(grid)).sum(0) / p.sum(0)[:, None]
    torch.testing.assert_close(torch.cos(draws).mean(1), expected, atol=0.03, rtol=0)
    # inside, it is the density of the networks but for one factor; the first has learned the second joint's limits
    with torch.no_grad():
        some = grid[:: n * n + 7]
        first = model.first_density(T)
        places = model.split.shorten(model.arm, T, some[..., 0]).reshape(-1, 4, 4)
        assert isinstance(model.rest, PoseModel)
        mixture = model.rest.uncut(places).mixture
        inside_known = mass_in_limits(mixture, model.rest.arm, [0])
        others = (mixture.log_prob(some[..., 1:].reshape(-1, 2)) - inside_known.log()).reshape(some.shape[:2])
        excess = model.log_prob(T, some) - first.log_prob(some[..., :1]) - others
    torch.testing.assert_close(excess, excess[:1].expand_as(excess), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["planar3", "planar:0.5,0.4,0.3,0.2,0.1", "panda"])
def test_limits_that_the_density_of_the_joint_drawn_first_has_learned_count_once(name: str) -> None:
    """Samples that it is trained on are in them, the features of the others' density do not tell it of them."""
    free = sim.load_arm(name)
    model = _chain(name, "planar_position" if name == "planar3" else None)
    e = model.split.joint
    next_to_it = 1 if e == 0 else free.n_joints - 2
    q_min, q_max = np.full(free.n_joints, -np.pi), np.full(free.n_joints, np.pi)
    q_min[next_to_it], q_max[next_to_it] = -1.0, 0.5
    limited = _chain(sim.Arm(**{**vars(free), "q_min": q_min, "q_max": q_max}), model.task.name)
    q, T = held_out(limited.arm, 200)
    with torch.no_grad():
        outer = limited.first_density(T)
        left = limited.split.shorten(limited.arm, T, q[:, e])
        inner = limited.rest.log_prob(left, limited._others(q))  # its own limits cut, and divided by what is left
        # but for values of that joint that the others are said to leave their limits for
        torch.testing.assert_close(limited.log_prob(T, q) - inner, outer.log_prob(q[:, [e]]), atol=0.05, rtol=0)
        draws = limited.sample(T, 500, generator=torch.Generator().manual_seed(0))[..., e]
        expected = outer.sample((500,), generator=torch.Generator().manual_seed(1))[..., 0].T
    for wave in (torch.cos, torch.sin):
        assert abs(wave(draws).mean(1) - wave(expected).mean(1)).mean() < 0.05


def test_draws_lie_in_limits_and_the_composed_mixture_has_their_moments() -> None:
    model = _chain("panda")
    _, T = held_out(model.arm, 20)
    q = model.sample(T, 400, generator=torch.Generator().manual_seed(0))
    assert q.shape == (20, 400, 7)
    assert float(inside(q, model.arm).double().mean()) > 0.995
    e = model.split.joint
    with torch.no_grad():
        mixture = model.posterior(T, strata=64)
    composed = (mixture.weights[..., None] * torch.cos(mixture.loc)).sum(1)[:, e]
    torch.testing.assert_close(composed, torch.cos(q[..., e]).mean(1), atol=0.12, rtol=0)


@pytest.mark.parametrize("name", ["iiwa", "panda"])
def test_the_composed_mixture_follows_the_curve_of_solutions_as_the_density_does(name: str) -> None:
    """Its components lean along the curve: its own likelihood and draws are nearly the density's."""
    model = load_model(name)
    q, T = held_out(model.arm, 30)
    generator = torch.Generator().manual_seed(0)
    for steps, near in ((0, 1.5), (2, 20.0)):  # [nats] stepped components are narrower than curves bend
        with torch.no_grad():
            mixture = model.posterior(T, steps=steps)
            behind = model.log_prob(T, q, steps=steps) - mixture.log_prob(q)
        assert abs(float(behind.median())) < near
        drawn = mixture.sample((50,), generator=generator).transpose(0, 1)
        own = draw_errors(model.arm, model.task, model.sample(T, 50, steps=steps, generator=generator), T)
        missed = draw_errors(model.arm, model.task, drawn, T)
        assert missed["pos_median"] < 2.5 * own["pos_median"]
        assert missed["pos_mean"] < 0.004


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize(
    ("name", "task"), [("planar:1,0.8,0.6,0.4", "planar_position"), ("planar:1,0.8,0.6,0.5,0.4", "planar_position")]
)
def test_the_composed_mixture_of_several_spare_joints_is_one(name: str, task: str, steps: int) -> None:
    model = _chain(name, task)
    _, T = held_out(model.arm, 2)
    with torch.no_grad():
        mixture = model.posterior(T, steps=steps, strata=4)
    again = GaussianMixture(mixture.logits, mixture.loc, precision_tril=mixture.precision_tril, period=mixture.period)
    assert torch.isfinite(again.sample((3,))).all()
    assert torch.isfinite(again.log_prob(mixture.loc[:, 0])).all()


@pytest.mark.parametrize("name", ["iiwa", "panda"])
def test_a_sharp_density_integrates_to_one_over_the_joint_drawn_first(name: str) -> None:
    """Its narrowest components are a twentieth as wide as the poses' answers are apart: no coarse grid sees them."""
    model = load_model(name)
    assert isinstance(model, ChainModel)
    e, count = model.split.joint, 3000
    places = torch.linspace(float(model.arm.q_min[e]), float(model.arm.q_max[e]), count, dtype=torch.float64)
    _, T = held_out(model.arm, 10)
    found = []
    with torch.no_grad():
        for pose in T:
            left = model.split.shorten(model.arm, pose.expand(count, 4, 4), places)
            density = model.first_density(pose[None]).log_prob(places[:, None, None])[:, 0].exp()
            found.append(torch.trapezoid(density * model._kept(left, 0), places))
        mass = model.mass(T)
    torch.testing.assert_close(torch.stack(found) / mass, torch.ones(10, dtype=torch.float64), atol=0.05, rtol=0)


def test_no_poses_and_no_draws_are_answered_with_none() -> None:
    model = _chain("panda")
    none, two = torch.zeros(0, 4, 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    assert model.sample(none, 3).shape == (0, 3, 7)
    assert model.sample(two, 0).shape == (2, 0, 7)
    assert model.mean(none).shape == (0, 7)
    assert model.posterior(none).loc.shape[::2] == (0, 7)
    assert model.propose(none).q.shape[::2] == (0, 7)
    assert model.log_prob(none, torch.zeros(0, 7, dtype=torch.float64)).shape == (0,)


@pytest.mark.parametrize(("name", "reach_width"), [("iiwa", 0), ("iiwa", 8), ("planar:0.5,0.4,0.3,0.2,0.1", 8)])
def test_a_chain_is_kept_in_a_file_and_old_files_have_none(name: str, reach_width: int, tmp_path: Path) -> None:
    model = _chain(name, None, reach_width)
    save_model(model, tmp_path / "chain.safetensors")
    again = load_model(tmp_path / "chain.safetensors")
    q, T = held_out(model.arm, 20)
    with torch.no_grad():
        torch.testing.assert_close(again.log_prob(T, q), model.log_prob(T, q))
    tensors, metadata = read_tensors(data_folder("models") / "ur5e.safetensors")
    config = json.loads(metadata["config"])
    assert config.pop("drawn_first") == []
    config.pop("reach_width", None)
    write_tensors(tmp_path / "old.safetensors", tensors, {**metadata, "config": json.dumps(config)})
    assert isinstance(load_model(tmp_path / "old.safetensors"), PoseModel)


@pytest.mark.parametrize(("name", "task"), [("ur5e", "position"), ("xarm6", "x,y,z,yaw")])
def test_a_chain_in_a_chain_has_few_values_in_its_means_and_a_report_without_steps(name: str, task: str) -> None:
    model = _chain(name, task, reach_width=8)
    assert isinstance(model.rest, ChainModel)
    _, T = held_out(model.arm, 20)
    with torch.no_grad():
        mass = model.mass(T)
        model.rest.is_inner = False  # as many and as sharp as of the joint drawn first
        whole = model.mass(T)
    model.rest.is_inner = True
    assert float((mass / whole).log().square().mean().sqrt()) < 0.03
    report = measure_report(ik_mdn.IKSolver(model.arm, model), training={}, count=40)
    assert list(report["draws"]) == ["network"]
    assert 0 <= report["near"] <= 1


@pytest.mark.slow
def test_a_trained_chain_knows_more_than_an_untrained_one_and_solves() -> None:
    arm = sim.load_arm("planar:0.5,0.4,0.3,0.2")
    config = ik_mdn.TrainConfig(steps=300, components=8, width=48, blocks=2, batch_size=256, floor=0.02)
    solver = ik_mdn.train(arm, config)
    assert isinstance(solver.model, ChainModel)
    report = solver.model.report.values
    uniform = float(np.log(np.prod(arm.sample_max - arm.sample_min)))
    assert report["nll"] < uniform - 3
    assert report["draws"]["kinematic_head"]["pos_mean"] < 0.3 * report["draws"]["network"]["pos_mean"]
    _, T = held_out(arm, 50)
    found = solver.solve(T)
    assert all(len(one.q) for one in found)
    assert max(float(one.err_pos.max()) for one in found) < 1e-9


@pytest.mark.parametrize("given", [-1, None, [-2], [True], ["a"], (0, -1)])
def test_what_is_drawn_first_is_said_by_numbers_of_joints(given: object) -> None:
    with pytest.raises(ShapeError, match="drawn_first must be numbers of joints"):
        ModelConfig(drawn_first=given)  # type: ignore[arg-type]


def test_what_is_drawn_first_may_be_any_sequence() -> None:
    assert ModelConfig(drawn_first=[-1]) == ModelConfig()  # type: ignore[arg-type]
    assert ModelConfig(drawn_first=[]).drawn_first == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "expected"), [(48, 48), (6, 6), (0, SMALL.components)])
def test_a_joint_drawn_first_has_as_many_components_as_the_config_says(
    given: int, expected: int, tmp_path: Path
) -> None:
    model = model_for(sim.load_arm("panda"), None, replace(SMALL, first_components=given))
    assert isinstance(model, ChainModel)
    save_model(model, tmp_path / "m.safetensors")
    for one in (model, load_model(tmp_path / "m.safetensors")):
        assert isinstance(one, ChainModel)
        _, T = held_out(one.arm, 3)
        assert one.first_density(T).loc.shape == (3, expected, 1)
        assert one.rest.posterior(T).loc.shape == (3, SMALL.components, 6)
