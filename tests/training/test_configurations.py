"""Models of one's own configurations: who holds the elbow up gets it up first, from the solver and the controller."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch

import sim
from ik_mdn.control.controller import Controller
from ik_mdn.control.decision import CostWeights
from ik_mdn.model.checkpoint import read_model
from ik_mdn.model.recalibration import Recalibration
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.solver import IKSolver
from ik_mdn.training import train
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.configurations import ENOUGH, own_configurations, read_configurations
from sim.arm.catalogue import planar_urdf
from sim.arrays import FloatArray
from sim.dataset.generation import generate
from sim.errors import DatasetError, TrainingError
from sim.kinematics import forward_kinematics
from sim.world.world import World

SMALL = TrainConfig(steps=60, width=16, blocks=1, components=4, batch_size=128)


def elbow_down(count: int = 300, seed: int = 0) -> FloatArray:
    """Of an arm with two links, q2 > 0 throughout."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(0.2, 0.4, count), rng.normal(1.3, 0.25, count)])


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> sim.Arm:
    path = tmp_path_factory.mktemp("arm") / "two.urdf"
    path.write_text(planar_urdf([0.5, 0.4], name="two"))
    return sim.load_arm(path)


def write(folder: Path, arm: sim.Arm, q: FloatArray) -> Path:
    """As someone else's logger would: time first, joints in another order."""
    names = arm.joint_names
    pa.csv.write_csv(pa.table({"t": np.arange(len(q)), names[1]: q[:, 1], names[0]: q[:, 0]}), folder / "log.csv")
    return folder


def trained(folder: Path, arm: sim.Arm, sign: int) -> IKSolver:
    (folder / str(sign)).mkdir()
    data = write(folder / str(sign), arm, sign * elbow_down())
    return train(arm, SMALL, dataset=data, out=folder / f"{sign}.safetensors")


@pytest.fixture(scope="module")
def solvers(tmp_path_factory: pytest.TempPathFactory, arm: sim.Arm) -> dict[int, IKSolver]:
    folder = tmp_path_factory.mktemp("own")
    for sign in (1, -1):
        trained(folder, arm, sign)
    return {sign: IKSolver.load(folder / f"{sign}.safetensors", arm) for sign in (1, -1)}


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_the_first_solution_is_held_as_the_data_are(sign: int, arm: sim.Arm, solvers: dict[int, IKSolver]) -> None:
    T = forward_kinematics(arm, sign * elbow_down(100, seed=1))
    batch = solvers[sign].solve(T)
    assert batch.law is Law.LEARNED
    assert np.mean(np.sign(batch.best[:, 1]) == sign) > 0.97
    assert (batch.count == 2).all(), "the other branch is a solution too"
    assert "model's own configurations" in batch[0].law.about


@pytest.fixture
def bodies(arm: sim.Arm) -> Iterator[Any]:
    with World() as world:
        yield world.add_arm(arm)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_the_controller_can_prefer_it(sign: int, arm: sim.Arm, solvers: dict[int, IKSolver], bodies: Any) -> None:
    """From a start in the middle of the other branch, which is nearer."""
    target = sign * np.array([0.3, 1.4])
    T = forward_kinematics(arm, target)
    other = next(q for q in solvers[sign].solve(T)[0].q if np.sign(q[1]) != sign)
    bodies.set_q(other)
    near = Controller(bodies, solvers[sign]).decide(T)
    usual = Controller(bodies, solvers[sign], weights=CostWeights(probability=1.0)).decide(T)
    assert near.chosen is not None
    np.testing.assert_allclose(near.chosen.q, other, atol=1e-6)
    assert usual.chosen is not None
    np.testing.assert_allclose(usual.chosen.q, target, atol=1e-6)
    assert usual.law is Law.LEARNED
    assert "model's own configurations" in usual.table()


@pytest.mark.slow
def test_the_report_card_is_of_rows_held_out_and_says_the_law(solvers: dict[int, IKSolver]) -> None:
    model = solvers[1].model
    assert model is not None
    report = model.report.values
    assert report["law"] == "learned"
    assert report["poses"] == {"count": 30, "of": "rows held out"}
    assert report["postures"]["rows"] == 270
    assert report["postures"]["trained_on"] == "draws from the learned density"
    assert report["postures"]["nll"] < report["postures"]["nll_uniform"] - 1
    assert report["log_score"]["exact"] < report["log_score"]["uniform"] - 0.3


@pytest.mark.slow
def test_training_ends_with_a_recalibration_that_is_kept(
    tmp_path: Path, arm: sim.Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wider(model: Any) -> None:
        Recalibration(1.5).put_on(model)

    monkeypatch.setattr("ik_mdn.training.model_training._WORTH_RECALIBRATING", 0)
    monkeypatch.setattr("ik_mdn.evaluation.recalibrate", wider, raising=False)
    train(arm, replace(SMALL, steps=5), out=tmp_path / "m.safetensors")
    kept = read_model(tmp_path / "m.safetensors")
    assert kept.recalibration == Recalibration(1.5)
    assert kept.report.values["calibration"] == {"blur": SMALL.floor, "width": 1.5}


def test_few_rows_are_replaced_by_draws_and_many_are_not(
    tmp_path: Path, arm: sim.Arm, caplog: pytest.LogCaptureFixture
) -> None:
    own = read_configurations(arm, write(tmp_path, arm, elbow_down()))
    assert own.fresh
    assert "270 joint vectors are few for a network" in caplog.text
    np.save(tmp_path / "log.npy", elbow_down(2 * ENOUGH))
    many = read_configurations(arm, tmp_path / "log.npy")
    assert not many.fresh
    assert len(many.held_out) == 2000
    rows = {tuple(row) for row in many.rows}
    assert not rows & {tuple(row) for row in many.held_out}
    assert {tuple(row) for row in many.draw(50, torch.Generator().manual_seed(0)).numpy()} <= rows
    assert many.digest != own.digest
    np.save(tmp_path / "log.npy", elbow_down(20))
    with pytest.raises(DatasetError, match=r"20 joint vectors cannot say.*of the others at least 20 are needed"):
        read_configurations(arm, tmp_path / "log.npy")


def test_generated_samples_are_uniform_unless_they_were_filtered(tmp_path: Path) -> None:
    arm = sim.load_arm("planar2")
    generate(arm, tmp_path / "plain", count=200, workers=1)
    generate(arm, tmp_path / "free", count=200, workers=1, self_collision_free=True)
    assert own_configurations(arm, None) is None
    assert own_configurations(arm, tmp_path / "plain") is None
    own = own_configurations(arm, tmp_path / "free")
    assert own is not None
    assert len(own.rows) + len(own.held_out) == 200
    with pytest.raises(DatasetError, match="was made for another arm"):
        own_configurations(sim.load_arm("planar3"), tmp_path / "free")


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_rows_only(tmp_path: Path, arm: sim.Arm) -> None:
    (tmp_path / "data").mkdir()
    data = write(tmp_path / "data", arm, elbow_down())
    short = replace(SMALL, steps=5)
    train(arm, short, dataset=data, run_folder=tmp_path / "run")
    train(arm, short, dataset=data, run_folder=tmp_path / "run")
    write(tmp_path / "data", arm, elbow_down(seed=2))
    with pytest.raises(TrainingError, match="dataset is"):
        train(arm, short, dataset=data, run_folder=tmp_path / "run")


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_generated_samples_only(tmp_path: Path) -> None:
    arm, short, folder = sim.load_arm("planar2"), replace(SMALL, steps=5), tmp_path / "samples"
    for seed, message in ((0, ""), (0, ""), (1, "dataset is")):
        shutil.rmtree(folder, ignore_errors=True)
        generate(arm, folder, count=400, workers=1, seed=seed)
        with pytest.raises(TrainingError, match=message) if message else nullcontext():
            train(arm, short, dataset=folder, run_folder=tmp_path / "run")


@pytest.mark.slow
def test_the_network_itself_knows_how_the_arm_is_held(tmp_path: Path) -> None:
    """Two postures, which the solutions of each other's poses are not; turned about the base they would be as good."""
    arm, rng = sim.load_arm("planar2"), np.random.default_rng(0)
    here, there = np.array([0.5, 1.0]), np.array([-2.0, -1.0])
    q = np.where(rng.random((60_000, 1)) < 0.5, here, there) + 0.05 * rng.normal(size=(60_000, 2))
    np.save(tmp_path / "q.npy", q)
    config = TrainConfig(steps=400, components=4, width=32, blocks=2, batch_size=256, floor=0.02, average=0.98)
    solver = train(arm, config, dataset=tmp_path / "q.npy")
    assert solver.model is not None
    T = forward_kinematics(arm, torch.from_numpy(here)[None])
    draws = solver.model.sample(T, 1000, generator=torch.Generator().manual_seed(0))[0]
    assert float((draws[:, 1] < 0).double().mean()) < 0.05
    assert solver.model.report.values["log_score"]["excess"] < 0.05
