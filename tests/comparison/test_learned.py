"""Learned densities side by side: the same time, samples and poses for each, scored by forward kinematics."""

from __future__ import annotations

import json
import math
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import sim
from ik_mdn.cli import main
from ik_mdn.comparison.learned import DRAWS, POSES, PUBLISHED, LearnedResult, _Density, _trained, compare_learned
from ik_mdn.evaluation import held_out
from ik_mdn.model import PoseModel
from ik_mdn.training import PoseStream, TrainConfig
from sim.errors import IKError, ShapeError, TrainingError
from sim.task import default_task

NEEDED = "zuko and sbi are not installed"


def test_published_rows_say_their_numbers_and_where_they_are_from() -> None:
    by_name = {each.name: each for each in PUBLISHED}
    assert by_name["PAIK, whole latents"].pos_mean == 12.09e-3
    assert math.degrees(by_name["PAIK, whole latents"].rot_mean or 0) == pytest.approx(5.156, abs=0.005)
    assert math.degrees(by_name["PAIK, latents of 0.3"].rot_mean or 0) == pytest.approx(1.873, abs=0.005)
    assert math.degrees(by_name["PAIK's spline flow, whole latents"].rot_mean or 0) == pytest.approx(3.445, abs=0.005)
    assert math.degrees(by_name["PAIK's spline flow, latents of 0.3"].rot_mean or 0) == pytest.approx(1.822, abs=0.005)
    assert by_name["IKFlow"].pos_mean == 6.66e-3
    assert math.degrees(by_name["IKFlow"].rot_mean or 0) == pytest.approx(2.03, abs=0.005)
    assert by_name["NODEIK"].pos_mean == 3.2e-3
    assert math.degrees(by_name["NODEIK"].rot_mean or 0) == pytest.approx(0.3, abs=0.005)
    assert by_name["GraphDiff-IK"].pos_mean == 3.47e-3
    assert all(each.source for each in PUBLISHED)


@pytest.mark.slow
def test_each_is_trained_as_long_and_learns_something() -> None:
    pytest.importorskip("zuko", reason=NEEDED)
    pytest.importorskip("sbi", reason=NEEDED)
    arm = sim.load_arm("planar2")
    results = list(compare_learned(arm, default_task(arm), 3.0))
    assert [each.name for each in results] == ["MDN, ours", "neural spline flow, circular (zuko)", "MDN of sbi"]
    for each in results:
        assert each.seconds == pytest.approx(3.0, abs=1.5)
        assert each.samples > 0
        assert 0 < each.pos_median < 2 * arm.reach
        assert each.us_per_draw > 0


@pytest.mark.parametrize("name", ["planar2", "panda"])
def test_ours_is_trained_for_all_of_the_seconds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zuko", reason=NEEDED)
    pytest.importorskip("sbi", reason=NEEDED)
    minutes: list[float] = []
    ended: list[int] = []

    class Counted:
        seconds = step = 0

        def __init__(self, network: Any, config: TrainConfig, stream: Any, **_: Any) -> None:
            assert len(ended) == len(minutes)  # what is trained last may look at the others, trained
            minutes.append(config.minutes)

        def run(self) -> None:
            ended.append(len(minutes))

    def stop(*_: Any) -> None:
        raise TrainingError("enough seen")

    monkeypatch.setattr("ik_mdn.comparison.learned.Trainer", Counted)
    monkeypatch.setattr("ik_mdn.comparison.learned._scored", stop)
    arm = sim.load_arm(name)
    with pytest.raises(TrainingError, match="enough seen"):
        next(compare_learned(arm, default_task(arm), 90.0))
    assert sum(minutes) == pytest.approx(1.5)


def test_the_others_learn_targets_blurred_by_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """One joint vector again and again is what they are given: all that differs between their targets is the blur."""
    arm, q = sim.load_arm("planar2"), torch.tensor([0.5, -3.1], dtype=torch.float64)

    class Fixed(PoseStream):
        def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
            return super().draw(count, generator)[0], q.expand(count, 2)

    seen: list[torch.Tensor] = []

    def make(x: torch.Tensor, y: torch.Tensor) -> _Density:
        def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            seen.append(y)
            return net(x).mean()

        net = torch.nn.Linear(x.shape[1], 1)
        seen.append(y)
        return _Density(net, loss, lambda count, x: torch.zeros(count, len(x), 2))

    monkeypatch.setattr("ik_mdn.comparison.learned.PoseStream", Fixed)
    clock = SimpleNamespace(monotonic=count().__next__, perf_counter=count().__next__)
    monkeypatch.setattr("ik_mdn.comparison.learned.time", clock)
    model = PoseModel(arm, default_task(arm))
    _trained("any", model, make, held_out(arm, 5)[1], 4.0, TrainConfig(floor=0.1), 0)
    assert len(seen) == 4  # once to be built by, then at each of three steps before the time is over
    for y in seen:
        assert y.abs().max() <= math.pi
        blur = torch.remainder(y - q + math.pi, 2 * math.pi) - math.pi
        torch.testing.assert_close(blur.std(0), torch.full((2,), 0.1).double(), rtol=0.15, atol=0)
        torch.testing.assert_close(blur.mean(0), torch.zeros(2).double(), rtol=0, atol=0.02)
    assert not torch.equal(seen[1], seen[2])


def test_what_cannot_be_compared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zuko", reason=NEEDED)
    pytest.importorskip("sbi", reason=NEEDED)
    arm = sim.load_arm("planar2")
    with pytest.raises(ShapeError, match="for some seconds; got 'planar2' and 0"):
        next(compare_learned(arm, default_task(arm), 0.0))
    monkeypatch.setitem(__import__("sys").modules, "zuko", None)
    with pytest.raises(IKError, match=r"pip install '\.\[flows\]'"):
        next(compare_learned(arm, default_task(arm), 1.0))


def test_the_command_shows_them_and_the_published_ones_of_panda(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def quick(arm: Any, task: Any, seconds: float, *, seed: int) -> list[LearnedResult]:
        return [LearnedResult("MDN, ours", seconds, POSES * DRAWS, 10, 0.01, 0.009, 0.1, 0.09, 0.9, 1.5)]

    monkeypatch.setattr("ik_mdn.comparison.learned.compare_learned", quick)
    monkeypatch.setattr("ik_mdn.comparison.compare_learned", quick, raising=False)
    monkeypatch.setattr("ik_mdn.comparison.check_learned", lambda *_: None, raising=False)
    options = ["--count", "3", "--learned", "7", "--no-meshes"]
    assert main(["compare", "planar2", *options, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["learned"][0]["seconds"] == 7
    assert main(["compare", "panda", *options]) == 0
    shown = capsys.readouterr().out
    assert "published" in shown
    assert "PAIK" in shown
