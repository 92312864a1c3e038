"""Training: one loop that learns, resumes, anneals, and stops when it must."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ik_mdn
import sim
from ik_mdn.evaluation.report import held_out
from ik_mdn.model.pose_model import PoseModel
from ik_mdn.model.tensors import write_tensors
from ik_mdn.training import Progress, Trainer, build_model, stages_of, train
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.streams import PoseStream
from sim.errors import TrainingError

TINY = TrainConfig(steps=120, components=4, width=16, blocks=1, batch_size=128, learning_rate=5e-3)


@pytest.fixture
def arm() -> sim.Arm:
    return sim.load_arm("planar2")


def _trainer(
    arm: sim.Arm, config: TrainConfig, *, dataset: Path | None = None, run_folder: Path | None = None
) -> Trainer:
    model = build_model(arm, config)
    return Trainer(model, config, PoseStream(model, dataset), run_folder=run_folder)


def _trained(arm: sim.Arm, config: TrainConfig, *, run_folder: Path | None = None) -> PoseModel:
    trainer = _trainer(arm, config, run_folder=run_folder)
    trainer.run()
    assert isinstance(trainer.model, PoseModel)
    return trainer.model


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_one_seed_gives_one_model_and_another_seed_another(arm: sim.Arm) -> None:
    first, second, other = (_trained(arm, c) for c in (TINY, TINY, replace(TINY, seed=1)))
    assert _same(first, second)
    assert not _same(first, other)


def test_slow_steps_are_told_every_second_and_rows_are_not_more(
    arm: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ik_mdn.training.trainer._TELL_EVERY_S", 0.0)  # every step is slow
    told: list[int] = []
    trainer = _trainer(arm, replace(TINY, steps=60), run_folder=tmp_path)
    trainer.run(lambda at: told.append(at.step))
    assert told == list(range(1, 61))
    rows = (tmp_path / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [50, 60]


@pytest.mark.slow
def test_training_leaves_the_global_random_state_alone(arm: sim.Arm) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _trained(arm, TINY)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_a_stopped_run_resumes_to_the_same_weights(arm: sim.Arm, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop_half_way(progress: Progress) -> None:
        if progress.step >= 50:  # where a machine is slow it is told of steps before, too
            raise Stop

    whole = _trained(arm, TINY)
    with pytest.raises(Stop):
        _trainer(arm, TINY, run_folder=tmp_path).run(stop_half_way)
    resumed = _trainer(arm, TINY, run_folder=tmp_path)
    assert resumed.step == 50
    resumed.run()
    assert _same(resumed.model, whole)
    with (tmp_path / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [50, 100, 120]


def test_a_run_that_has_had_more_steps_than_it_is_asked_for_says_so(
    arm: sim.Arm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(TINY, steps=40)
    whole = _trained(arm, config, run_folder=tmp_path)
    assert not caplog.records
    again = _trained(arm, replace(config, steps=15), run_folder=tmp_path)
    assert "has had 40 steps already, more than the 15 asked for" in caplog.text
    assert _same(whole, again)


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Whatever started the tests: a shell's background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("place", ["_loss", "_average", "save_state"])
@pytest.mark.parametrize("stored", [False, True], ids=["fresh", "dataset"])
def test_after_ctrl_c_anywhere_in_a_step_training_ends_as_if_undisturbed(
    place: str, stored: bool, arm: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sim.dataset.generation import generate

    dataset = tmp_path / "data" if stored else None
    if dataset is not None:
        generate(arm, dataset, count=1000, shard_size=500, workers=1)
    config = replace(TINY, steps=40, noise=0.01)
    whole = _trainer(arm, config, dataset=dataset)
    whole.run()
    inner = getattr(Trainer, place)

    def interrupted(trainer: Trainer, *arguments: object) -> object:
        if trainer.step == 17 or place == "save_state":
            signal.raise_signal(signal.SIGINT)
        return inner(trainer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            _trainer(arm, config, dataset=dataset, run_folder=tmp_path / "run").run()
    resumed = _trainer(arm, config, dataset=dataset, run_folder=tmp_path / "run")
    assert resumed.step in (17, 18, 40)
    resumed.run()
    assert _same(resumed.model, whole.model)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_folder_is_one_trainers_until_its_run_ends(arm: sim.Arm, tmp_path: Path) -> None:
    first = _trainer(arm, TINY, run_folder=tmp_path)
    with pytest.raises(TrainingError, match="another process is writing the run in"):
        _trainer(arm, TINY, run_folder=tmp_path)
    first.run()
    assert _trainer(arm, TINY, run_folder=tmp_path).fraction == 1.0


def test_a_state_of_other_tensors_is_reported(arm: sim.Arm, tmp_path: Path) -> None:
    _trained(arm, TINY, run_folder=tmp_path)
    write_tensors(tmp_path / "state.safetensors", {"x": torch.zeros(1)}, {"step": "3", "seconds": "1.0"})
    with pytest.raises(TrainingError, match=r"the state in .* is damaged \('generator'\)"):
        _trainer(arm, TINY, run_folder=tmp_path)


def test_the_model_is_written_before_its_report_card_is_measured(
    arm: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ik_mdn.evaluation.report.measure_report", stop)
    with pytest.raises(KeyboardInterrupt):
        ik_mdn.train(arm, replace(TINY, steps=3), out=tmp_path / "m.safetensors")
    model = ik_mdn.IKSolver.load(tmp_path / "m.safetensors").model
    assert model is not None
    assert model.report.values["training"]["steps"] == 3


def test_a_place_that_cannot_be_written_to_is_found_before_training(arm: sim.Arm, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        ik_mdn.train(arm, TrainConfig(minutes=1000), out=tmp_path, run_folder=tmp_path / "run")
    with pytest.raises(sim.IKError, match="no joint vectors in"):
        ik_mdn.train(arm, TrainConfig(minutes=1000), dataset=tmp_path / "no", run_folder=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(arm: sim.Arm, tmp_path: Path) -> None:
    model = _trained(arm, TINY, run_folder=tmp_path)
    again = _trainer(arm, TINY, run_folder=tmp_path)
    assert again.fraction == 1.0
    again.run()
    assert _same(again.model, model)


@pytest.mark.slow
def test_a_run_folder_of_another_run_is_refused(arm: sim.Arm, tmp_path: Path) -> None:
    _trained(arm, TINY, run_folder=tmp_path)
    other = replace(TINY, components=5)
    with pytest.raises(TrainingError, match=r"holds other training runs: components is 4 there, 5 here"):
        _trainer(arm, other, run_folder=tmp_path)


@pytest.mark.slow
def test_nan_stops_with_a_diagnosis_and_keeps_the_last_good_state(arm: sim.Arm, tmp_path: Path) -> None:
    trainer = _trainer(arm, TINY, run_folder=tmp_path)

    def poison(progress: object) -> None:
        with torch.no_grad():
            trainer.model.head.out.bias.fill_(torch.nan)

    with pytest.raises(TrainingError, match=r"stopped at step \d+: loss nan.*try a lower learning_rate"):
        trainer.run(poison)
    kept = _trainer(arm, TINY, run_folder=tmp_path)
    assert all(bool(p.isfinite().all()) for p in kept.averaged.values())


def test_the_floor_falls_from_start_to_end_and_stays(arm: sim.Arm) -> None:
    floors = []
    trainer = _trainer(arm, TINY)
    for step in range(0, 121, 10):
        trainer.step = step
        floors.append(trainer._schedule()[0])
    assert floors[0] == pytest.approx(TINY.floor_start)
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] == pytest.approx(TINY.floor)
    assert floors[-3] == pytest.approx(TINY.floor)


def test_the_learning_rate_warms_up_and_falls_along_half_a_cosine(arm: sim.Arm) -> None:
    trainer, rates = _trainer(arm, TINY), []
    for step in range(121):
        trainer.step = step
        rates.append(trainer._schedule()[1])
    peak = rates.index(max(rates))
    assert rates[0] < 0.2
    assert max(rates) > 0.95
    assert 0 < peak < 12  # a tenth of the run
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[60] == pytest.approx(0.505)  # half way between the peak and its hundredth
    assert rates[120] == pytest.approx(0.01)


@pytest.mark.parametrize("step", [0, 60, 119])
def test_every_step_is_the_scheduled_share_of_a_whole_one(
    step: int, arm: sim.Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []
    for whole in (False, True):
        trainer = _trainer(arm, TINY)
        trainer.step = step
        floor, rate = trainer._schedule()
        if whole:
            monkeypatch.setattr(trainer, "_schedule", lambda floor=floor: (floor, 1.0))
        before = torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach().clone()
        trainer._advance(*next(trainer.stream.batches(64, trainer.generator, seed=0)))
        moved.append(torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach() - before)
    torch.testing.assert_close(moved[0], rate * moved[1], rtol=1e-2, atol=1e-6)
    assert float(moved[1].abs().max()) > 1e-3


def test_the_final_weights_are_the_running_average_of_those_at_every_step(
    arm: sim.Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the average stays at the first step, and ever more, up to the configured share."""
    monkeypatch.setattr("ik_mdn.training.trainer._TELL_EVERY_S", 0.0)  # every step is told of
    trainer, seen = _trainer(arm, replace(TINY, steps=12, learning_rate=0.1, average=0.5)), []
    average = {name: value.clone() for name, value in trainer.model.state_dict().items()}

    def look(at: Progress) -> None:
        seen.append(at.step)
        stays = min(0.5, at.step / (9 + at.step))  # the first step's is 1/10
        for name, value in trainer.model.state_dict().items():
            average[name] = stays * average[name] + (1 - stays) * value

    trainer.run(look)
    assert seen == list(range(1, 13))
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=1e-4, atol=1e-6)


def test_gradients_longer_than_the_clip_are_cut_to_it(arm: sim.Arm) -> None:
    lengths = {}
    for clip in (1e-3, 1e6):
        trainer = _trainer(arm, replace(TINY, clip=clip))
        trainer._advance(*next(trainer.stream.batches(64, trainer.generator, seed=0)))
        gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        lengths[clip] = torch.stack([g.square().sum() for g in gradients]).sum().sqrt().item()
    assert lengths[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert lengths[1e6] > 0.1


def test_a_step_takes_coarse_gradients_of_an_exact_likelihood(arm: sim.Arm) -> None:
    """Matrix products may be coarse behind the likelihood, never before it: a floor of a milliradian would feel them."""
    trainer = _trainer(arm, replace(TINY, width=128, batch_size=512, clip=1e6, learning_rate=1e-6, matrix_rate=1e-6))
    x, q = next(trainer.stream.batches(512, trainer.generator, seed=0))
    trainer.model.floor, trainer._now[0] = 0.001, 0.001
    exact = trainer._loss(x, q, torch.tensor(0.001))
    exact.backward()  # type: ignore[no-untyped-call]
    wanted = [p.grad.clone() for p in trainer.model.parameters() if p.grad is not None]
    loss, _ = trainer._take(x, q)
    torch.testing.assert_close(loss, exact.detach(), rtol=1e-6, atol=1e-6)
    assert torch.get_float32_matmul_precision() == "highest"
    for p, want in zip(trainer.model.parameters(), wanted, strict=True):
        assert p.grad is not None
        assert (p.grad - want).norm() <= 0.02 * want.norm() + 1e-6


def test_an_untrained_mixture_starts_from_means_spread_over_the_joint_space(arm: sim.Arm) -> None:
    """Every configuration has a starting mean nearer than where all begin at one point."""
    trainer = _trainer(arm, replace(TINY, components=12))
    x, q = trainer.stream.draw(300, torch.Generator().manual_seed(1))
    with torch.no_grad():
        mixture = trainer.model.mixture(x.float())
    gap = torch.remainder(q[:, None] - mixture.loc.double() + np.pi, 2 * np.pi) - np.pi
    away = gap.norm(dim=-1)  # (N, K)
    assert away.amin(1).mean() < 0.5 * away.mean()
    assert mixture.loc[0].std(0).min() > 0.8
    torch.testing.assert_close(mixture.scale.mean(), torch.tensor(TINY.start_scale + TINY.floor), atol=0.15, rtol=0)


@pytest.mark.slow
def test_a_short_training_finds_both_elbows_where_squared_error_finds_none(arm: sim.Arm, tmp_path: Path) -> None:
    config = replace(TINY, steps=600)
    solver = ik_mdn.train(arm, config)
    assert solver.model is not None
    report = solver.model.report.values
    assert report["recall"] > 0.98
    _, T = held_out(arm, 500)
    regressor = ik_mdn.train(arm, replace(config, kind="mse"))
    assert regressor.model is not None
    tip = sim.forward_kinematics(arm, regressor.model.mean(T))[:, :2, 3]
    miss = (tip - T[:, :2, 3]).norm(dim=1)
    radius = T[:, :2, 3].norm(dim=1)
    # the mean of elbow-up and elbow-down is the straight arm: it misses by 2 m - r
    assert (miss - (2.0 - radius)).abs().median() < 0.1
    solver.save(tmp_path / "both.safetensors")
    again = ik_mdn.IKSolver.load(tmp_path / "both.safetensors")
    assert len(again.solve(T[0])[0].q) == 2


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["angles", "cos_sin"])
@pytest.mark.parametrize("symmetries", [True, False])
def test_the_regressor_learns_where_the_answer_is_unique(arm: sim.Arm, targets: str, symmetries: bool) -> None:
    """With the elbow limited to one side each target has one answer, across the wrap of the first joint too."""
    one_sided = replace(arm, q_min=np.array([-np.pi, 0.4]), q_max=np.array([np.pi, 2.7]))
    config = replace(TINY, steps=800, kind="mse", targets=targets, symmetries=symmetries, width=32)  # type: ignore[arg-type]
    model = _trained(one_sided, config)
    _, T = held_out(one_sided, 500)
    miss = (sim.forward_kinematics(arm, model.mean(T)) - T)[:, :2, 3].norm(dim=1)
    # a short training is not exact, but nothing is averaged: the straight arm would miss by 0.5 m
    assert miss.median() < 0.1


@pytest.mark.slow
def test_training_from_a_dataset_folder_uses_its_configurations(arm: sim.Arm, tmp_path: Path) -> None:
    from sim.dataset.generation import generate
    from sim.dataset.reading import read_batches

    generate(arm, tmp_path / "data", count=4096, shard_size=2048, seed=3)
    trainer = _trainer(arm, TINY, dataset=tmp_path / "data")
    assert isinstance(trainer.stream, PoseStream)
    _, reduced = next(trainer.stream.batches(64, trainer.generator, seed=0))
    elbows = np.concatenate([batch[:, 1] for batch in read_batches(tmp_path / "data", batch_size=1024)])
    # the elbow is not touched by the symmetries, so each one seen must be one that was written
    assert set(reduced[:, 1].float().tolist()) <= set(elbows.tolist())
    trainer.run()


def test_a_dataset_of_another_arm_is_refused(arm: sim.Arm, tmp_path: Path) -> None:
    from sim.dataset.generation import generate

    generate(sim.load_arm("planar3"), tmp_path, count=100, shard_size=100)
    with pytest.raises(sim.IKError, match=r"was made for another arm.*asked for .planar2"):
        _trainer(arm, TINY, dataset=tmp_path)


@pytest.mark.parametrize(
    "field", ["batch_size", "learning_rate", "matrix_rate", "clip", "floor_start", "start_scale", "anneal"]
)
def test_values_out_of_range_are_refused_by_name(field: str) -> None:
    with pytest.raises(TrainingError, match=f"{field} must be positive and finite; got -1"):
        TrainConfig(**{field: -1})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["minutes", "steps", "weight_decay", "entropy_weight", "ordering_weight", "noise"])
def test_negative_values_are_refused_by_name(field: str) -> None:
    with pytest.raises(TrainingError, match=f"{field} must not be negative; got -1"):
        TrainConfig(**{field: -1})  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"steps": 1.5}, {"seed": 10**20}, {"batch_size": 1.5}, {"seed": 0.5}])
def test_counts_that_are_none_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match=f"{next(iter(values))} must be a whole number up to"):
        TrainConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"width": 30_000}, {"blocks": 10**9}, {"components": 10**7}, {"width": 8.5}])
def test_networks_beyond_the_documented_sizes_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(sim.IKError, match=f"{next(iter(values))} must be a whole number, at least . and at most"):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_without_a_bound_training_takes_ten_minutes() -> None:
    assert TrainConfig().max_minutes == 10
    assert TrainConfig(steps=5).max_minutes == float("inf")
    assert TrainConfig(steps=5, minutes=2).max_minutes == 2


def test_unknown_kinds_and_targets_are_refused() -> None:
    with pytest.raises(sim.IKError, match="unknown kind of model 'gan'; allowed: mdn, mse"):
        TrainConfig(kind="gan")  # type: ignore[arg-type]
    with pytest.raises(sim.IKError, match="unknown targets 'quat'"):
        TrainConfig(targets="quat")  # type: ignore[arg-type]
    with pytest.raises(sim.IKError, match="components must be a whole number, at least 1"):
        TrainConfig(components=0)


@pytest.mark.slow
def test_a_wide_chain_gets_a_proposer_trained_in_its_budget(tmp_path: Path) -> None:
    arm = sim.load_arm("planar:0.5,0.4,0.3,0.2")
    config = TrainConfig(steps=20, width=24, blocks=1, components=4, batch_size=64, proposer_width=8)
    solver = train(arm, config, run_folder=tmp_path / "run")
    assert solver.model is not None
    small = solver.model.proposer
    assert small is not None
    assert (small.config.width, small.config.components) == (8, 4)
    assert (small.config.drawn_first, small.config.covariance) == ((), "diagonal")
    again = train(arm, config, run_folder=tmp_path / "run").model  # from the states of the finished run
    assert again is not None
    assert again.proposer is not None
    for name, array in small.weights.items():
        np.testing.assert_array_equal(again.proposer.weights[name], array)
    untrained = build_model(arm, replace(config, width=8, blocks=2, covariance="diagonal", drawn_first=()))
    assert not np.array_equal(small.weights["head.out.weight"], untrained.saved().weights["head.out.weight"])
    square = replace(config, drawn_first=())
    for other in (replace(config, proposer_width=0), replace(config, proposer_width=24), square):
        model = train(arm, replace(other, steps=2)).model
        assert model is not None
        assert model.proposer is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_trains_as_its_parent_did() -> None:
    code = """
import multiprocessing as mp, torch, sim, ik_mdn
torch.set_num_threads(2)
arm, config = sim.load_arm("planar2"), ik_mdn.TrainConfig(steps=2, width=8, blocks=1, components=2, batch_size=8)
ik_mdn.train(arm, config)
p = mp.get_context("fork").Process(target=lambda: ik_mdn.train(arm, config))
p.start(); p.join(60); print("alive" if p.is_alive() else p.exitcode); p.kill()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.strip() == "0", done.stderr


def test_only_the_density_of_a_joint_drawn_first_starts_sharp() -> None:
    config = replace(TINY, reach_width=0, proposer_width=0)
    first, others = stages_of(build_model(sim.load_arm("panda"), config), config)
    assert (first.config.floor_start, first.config.start_scale) == (0.05, 0.1)
    assert (others.config.floor_start, others.config.start_scale) == (config.floor_start, config.start_scale)
    sharper = replace(config, floor_start=0.01, start_scale=0.02)
    first, _ = stages_of(build_model(sim.load_arm("panda"), sharper), sharper)
    assert (first.config.floor_start, first.config.start_scale) == (0.01, 0.02)


def test_a_joint_drawn_first_has_the_share_that_the_config_says() -> None:
    config = replace(TINY, steps=100, minutes=0.0, reach_width=0, proposer_width=0)
    for share in (0.25, 0.4):
        each = replace(config, first_share=share)
        first, others = stages_of(build_model(sim.load_arm("panda"), each), each)
        assert (first.config.steps, others.config.steps) == (round(100 * share), round(100 * (1 - share)))
    for wrong in (0.0, 1.0, float("nan"), "half"):
        with pytest.raises(TrainingError, match="first_share"):
            replace(config, first_share=wrong)  # type: ignore[arg-type]
