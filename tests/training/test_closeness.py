"""The loss that brings draws nearer to the target: what it measures, what it moves, and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sim
from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import PoseModel, load_model
from ik_mdn.training import Trainer, build_model, stages_of, train
from ik_mdn.training.closeness import distance_of_draws
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.streams import PoseStream
from ik_mdn.training.toys import fit, two_sided
from sim.arrays import FloatArray
from sim.errors import TrainingError

TINY = TrainConfig(steps=200, components=4, width=16, blocks=1, batch_size=64, draws_weight=1.0, branches=False)


def reduced(model: PoseModel, q: FloatArray) -> tuple[GaussianMixture, torch.Tensor]:
    encoded = model.features.encode(torch.tensor(sim.forward_kinematics(model.arm, q)))
    return model.mixture(encoded.features), torch.tensor(q) - encoded.shift


@pytest.mark.parametrize("name", ["ur5e", "planar2"])
def test_it_is_the_mean_error_of_draws_at_the_pose_itself(name: str) -> None:
    model = load_model(name)
    assert isinstance(model, PoseModel)
    arm = model.arm
    q = arm.sample(np.random.default_rng(3), 300)
    T = sim.forward_kinematics(arm, q)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        mixture, y = reduced(model, q)
        told = np.mean([float(distance_of_draws(model, mixture, y, generator=generator)) for _ in range(20)])
        drawn = model.uncut(torch.tensor(T)).mixture.sample((400,), generator=generator).numpy()  # (400, 300, n)
    tips = sim.forward_kinematics(arm, drawn)
    linear = np.linalg.norm(tips[..., :3, 3] - T[:, :3, 3], axis=-1) / arm.reach
    cosine = (np.einsum("dbij,bij->db", tips[..., :3, :3], T[:, :3, :3]) - 1) / 2
    turned = np.arccos(np.clip(cosine, -1, 1)) if all(model.task.rows[3:]) else 0.0
    wider = model.recalibration.width  # `uncut` has it, the network by itself has not
    assert told == pytest.approx(np.hypot(linear, turned).mean() / wider, rel=0.1)


def test_its_gradient_reaches_means_and_scales_and_leaves_weights_to_the_likelihood() -> None:
    model = load_model("ur5e")
    assert isinstance(model, PoseModel)
    mixture, y = reduced(model, model.arm.sample(np.random.default_rng(4), 64))
    parts = [each.detach().requires_grad_() for each in (mixture.logits, mixture.loc, mixture.precision_tril)]
    again = GaussianMixture(logits=parts[0], loc=parts[1], precision_tril=parts[2], period=mixture.period)
    distance_of_draws(model, again, y).backward()  # type: ignore[no-untyped-call]
    logits, means, factors = (part.grad for part in parts)
    assert logits is None
    for gradient in (means, factors):
        assert gradient is not None
        assert bool(gradient.isfinite().all())
        assert float(gradient.abs().max()) > 1e-6


@pytest.mark.slow
def test_draws_of_a_trained_network_come_nearer_and_its_weights_stay_what_they_were() -> None:
    arm = sim.load_arm("planar2")
    config = replace(TINY, steps=1500, components=4, width=32, batch_size=256, draws_weight=0.0)
    model = build_model(arm, config)
    assert isinstance(model, PoseModel)
    Trainer(model, config, PoseStream(model)).run()
    q = arm.sample(np.random.default_rng(5), 2000)

    def measure() -> tuple[float, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            mixture, y = reduced(model, q)
            return float(distance_of_draws(model, mixture, y, generator=generator)), mixture.weights

    before, weights = measure()
    slow = replace(config, steps=300, learning_rate=3e-4, matrix_rate=3e-3, floor_start=config.floor)
    for draws_weight in (0.0, 50.0):
        trainer = Trainer(model, replace(slow, draws_weight=draws_weight), PoseStream(model), goes_on=True)
        assert measure()[0] == before  # taken as it is
        trainer.run()
        after, now = measure()
        if draws_weight:
            assert after < 0.9 * before
        else:
            before, weights = after, now
    assert float((now - weights).abs().mean()) < 0.05


def test_a_last_stage_takes_its_part_of_the_budget_and_the_others_know_nothing_of_it(tmp_path: Path) -> None:
    arm = sim.load_arm("planar2")
    likely, draws = stages_of(build_model(arm, TINY), TINY)
    assert (likely.name, draws.name) == ("", "draws")
    assert likely.network is draws.network
    assert (likely.config.steps, draws.config.steps) == (196, 4)
    assert likely.config == replace(TINY, steps=196, draws_weight=0.0)
    assert draws.config.draws_weight == TINY.draws_weight
    assert draws.config.learning_rate < TINY.learning_rate
    assert likely.share + draws.share == pytest.approx(1.0)
    solver = train(arm, TINY, run_folder=tmp_path)
    assert solver.model is not None
    summary = solver.model.report.values["training"]
    assert summary["steps"] == TINY.steps
    assert summary["parameters"] == sum(p.numel() for p in solver.model.parameters())
    assert (tmp_path / "draws" / "metrics.csv").is_file()
    chain = replace(TINY, reach_width=8, proposer_width=8)
    names = {
        stage.name: stage.config.draws_weight for stage in stages_of(build_model(sim.load_arm("panda"), chain), chain)
    }
    assert names == {"joint-7": 0.0, "others": 0.0, "draws": 1.0, "reach-7": 0.0}
    regressor = replace(TINY, kind="mse")
    assert [stage.name for stage in stages_of(build_model(arm, regressor), regressor)] == [""]


def test_a_network_without_an_arm_is_told_so() -> None:
    with pytest.raises(TrainingError, match="draws_weight needs the kinematics of an arm"):
        fit(two_sided(), TINY)
    with pytest.raises(TrainingError, match="draws_weight must not be negative"):
        replace(TINY, draws_weight=-1.0)
