"""Training on every branch of a pose: the same loss on average, with less noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import sim
from ik_mdn.model import PoseModel
from ik_mdn.training import Trainer, build_model, stages_of
from ik_mdn.training.branches import Branches
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.likelihood import Answers

TINY = TrainConfig(steps=120, components=4, width=16, blocks=1, batch_size=128, learning_rate=5e-3)
COUNT = 4000


@pytest.fixture(scope="module")
def model() -> PoseModel:
    """A network that was trained enough to solve, of an arm with two or one solutions, and two windings of the first."""
    arm = replace(sim.load_arm("planar2"), q_min=np.array([-5.0, -1.0]), q_max=np.array([4.0, 2.0]))
    model = build_model(arm, TINY)
    (stage,) = stages_of(model, replace(TINY, branches=False))
    Trainer(model, TINY, stage.stream).run()
    assert isinstance(model, PoseModel)
    return model


@pytest.fixture
def branches(model: PoseModel) -> Branches:
    found = Branches(model)
    found.refresh(model.state_dict())
    return found


def _drawn(model: PoseModel) -> tuple[Tensor, Tensor]:
    q = torch.from_numpy(model.arm.sample(np.random.default_rng(2), COUNT))
    return sim.forward_kinematics(model.arm, q), q


def test_every_branch_is_there_with_its_probability(model: PoseModel, branches: Branches) -> None:
    T, q = _drawn(model)
    rows, answers = branches.find(T, q)
    assert answers is not None
    owner = torch.repeat_interleave(torch.arange(COUNT), answers.ends.diff())
    reached = sim.forward_kinematics(model.arm, rows)
    assert float((reached - T[owner])[:, :2, 3].abs().max()) < 1e-6
    for part in (q, rows):  # an elbow that can be bent either way has two branches
        assert ((part >= torch.tensor(model.arm.q_min)) & (part <= torch.tensor(model.arm.q_max))).all()
    two = q[:, 1].abs() < 0.99
    assert (answers.ends.diff()[two] == 2).float().mean() > 0.97
    assert (answers.ends.diff()[q[:, 1] > 1.01] == 1).all()
    torch.testing.assert_close(torch.zeros(COUNT).index_add_(0, owner, answers.share), torch.ones(COUNT))
    # a branch whose first joint has room for one winding more is so much more probable: 1 / |det J| is equal here
    windings = sum(
        ((rows[:, 0] + turn >= -5) & (rows[:, 0] + turn <= 4)).float() for turn in (-2 * np.pi, 0, 2 * np.pi)
    )
    expected = windings / torch.zeros(COUNT).index_add_(0, owner, windings)[owner]
    torch.testing.assert_close(answers.share, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("misses", ["nothing", "the elbow bent far", "all"])
def test_the_loss_keeps_its_mean_whatever_solving_misses(
    misses: str, model: PoseModel, branches: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    T, q = _drawn(model)
    _without(
        branches,
        {"nothing": lambda q: q[:, 1] > -9, "all": lambda q: q[:, 1] > 9}.get(misses, lambda q: q[:, 1] < 0.5),
        monkeypatch,
    )
    rows, answers = branches.find(T, q)
    assert answers is not None
    owner = torch.repeat_interleave(torch.arange(COUNT), answers.ends.diff())

    def loss(q: Tensor) -> Tensor:  # any function of the configuration will do
        return torch.sin(3 * q[:, 1]) + torch.cos(q[:, 0]) * q[:, 1]

    mean = torch.zeros(COUNT, dtype=torch.float64).index_add_(0, owner, answers.share.double() * loss(rows))
    difference = mean - loss(q)
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / COUNT**0.5 + 1e-6
    if misses != "all":
        assert mean.std() < 0.95 * loss(q).std()
    else:
        assert torch.equal(rows, q)


def _without(branches: Branches, kept: Callable[[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the solver find some solutions only."""
    solver = branches._solver
    assert solver is not None
    solve = type(solver).solve

    def some(*arguments, **options):  # type: ignore[no-untyped-def]
        found = solve(*arguments, **options)
        stay = kept(found.q)
        owner = np.repeat(np.arange(len(found)), np.diff(found.offsets))[stay]
        weight = found.weight[stay] / np.bincount(owner, found.weight[stay], len(found))[owner]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(found)))])
        parts = {name: getattr(found, name)[stay] for name in ("q", "proposal_weight", "err_pos", "err_rot")}
        return replace(found, weight=weight, offsets=offsets, **parts)

    monkeypatch.setattr(type(solver), "solve", some)


def test_before_there_is_a_network_what_was_drawn_stands_for_itself(model: PoseModel) -> None:
    T, q = _drawn(model)
    assert Branches(model).find(T, q) == (q, None)


def test_only_isolated_solutions_have_branches() -> None:
    planar3 = sim.load_arm("planar3")
    assert Branches.known_for(build_model(planar3, TINY))
    assert not Branches.known_for(build_model(planar3, TINY, task="planar_position"))
    assert not Branches.known_for(build_model(planar3, replace(TINY, kind="mse")))


@pytest.mark.parametrize("stopped_at", [47, 48, 60])  # just before, at, and after the branches are found anew
def test_a_stopped_run_goes_on_with_the_same_branches(stopped_at: int, tmp_path: Path) -> None:
    def trainer(folder: Path | None) -> Trainer:
        model = build_model(sim.load_arm("planar2"), TINY)
        (stage,) = stages_of(model, TINY)
        return Trainer(model, TINY, stage.stream, run_folder=folder, branches=stage.branches)

    whole, stopped = trainer(None), trainer(tmp_path)
    whole.run()
    refresh = stopped._refresh

    def stop() -> None:
        if stopped.step == stopped_at:
            raise KeyboardInterrupt
        refresh()

    stopped._refresh = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    resumed = trainer(tmp_path)
    assert (resumed.step, resumed.refreshed) == (stopped_at, 3 if stopped_at <= 48 else 4)
    resumed.run()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert isinstance(next(iter(resumed.stream.batches(8, resumed.generator, seed=0)))[-1], Answers)
