"""A promise of coverage: kept by a density that is right for what is blurred, and restored where widths are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sim
from ik_mdn.evaluation.drawing import DrawScores, score_draws
from ik_mdn.evaluation.poses import held_out
from ik_mdn.evaluation.ranks import simulation_based
from ik_mdn.evaluation.recalibrating import GOOD, blurred_levels, covered, recalibrate
from ik_mdn.evaluation.report import measure_report
from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.model.chain import ChainModel, model_for
from ik_mdn.model.checkpoint import load_model, read_model, save_model
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.recalibration import NAME, Recalibration
from ik_mdn.model.tensors import read_tensors, write_tensors
from ik_mdn.solver.solver import IKSolver
from sim.errors import CheckpointError

FLOOR = 0.02


@dataclass
class Config:
    floor: float = FLOOR


class Known(nn.Module):
    """The right density of q + FLOOR ε: at each of two answers, of which the true one has its probability 0.7 or 0.3.

    `wrong` is a factor of its widths. The other answer is the true one with both joints negated.
    """

    def __init__(self, wrong: float = 1.0) -> None:
        super().__init__()
        self.arm, self.config, self.postures = sim.load_arm("planar2"), Config(), None
        self.wrong, self.recalibration = wrong, Recalibration()
        self.period = torch.tensor(self.arm.period)

    def density(self, T: Tensor) -> GaussianMixture:
        q, known = held_out_of(T)
        assert torch.equal(known, T), "it knows the poses of one stream only"
        first = torch.rand(len(q), generator=torch.Generator().manual_seed(5)) < 0.7
        weight = torch.where(first[:, None], torch.tensor([0.7, 0.3]), torch.tensor([0.3, 0.7])).double()
        scale = torch.full((len(q), 2, 2), self.wrong * FLOOR).double()
        mixture = GaussianMixture(weight.log(), torch.stack([q, -q], 1), scale=scale, period=self.period)
        return self.recalibration.apply(mixture)

    def sample(self, T: Tensor, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.density(T).sample((count,), generator).transpose(0, 1)

    def log_prob(self, T: Tensor, q: Tensor, *, noise: Tensor | float = 0.0) -> Tensor:
        return self.density(T).log_prob(q + noise)


STREAM: dict[int, tuple[Tensor, Tensor]] = {}


def held_out_of(T: Tensor) -> tuple[Tensor, Tensor]:
    return STREAM[len(T)]


@pytest.fixture(autouse=True)
def stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where poses are drawn, the known density is told their joint vectors."""

    def told(arm: sim.Arm, count: int, **options: object) -> tuple[Tensor, Tensor]:
        STREAM[count] = held_out(arm, count, **options)  # type: ignore[arg-type]
        return STREAM[count]

    monkeypatch.setattr("ik_mdn.evaluation.recalibrating.held_out", told)
    monkeypatch.setattr("ik_mdn.evaluation.ranks.held_out", told)


def told(model: Known, count: int) -> tuple[Tensor, Tensor]:
    STREAM[count] = held_out(model.arm, count)
    return STREAM[count]


def worst(shares: dict[str, float]) -> float:
    return max(abs(share - float(level)) for level, share in shares.items())


def test_a_density_of_the_blurred_truth_covers_as_promised_and_of_the_unblurred_one_more() -> None:
    model = Known()
    q, T = told(model, 4000)
    assert worst(covered(model, T, q, blur=FLOOR)) < 0.02  # 2.5 standard errors at 50 %
    assert covered(model, T, q, blur=0.0)["0.5"] > 0.6
    assert covered(model, T, q, blur=2 * FLOOR)["0.5"] < 0.4


@pytest.mark.parametrize("wrong", [0.5, 1.6])
def test_widths_that_are_wrong_are_found_and_put_right(wrong: float) -> None:
    model = Known(wrong)
    q, T = told(model, 3000)
    before = worst(covered(model, T, q, blur=FLOOR, seed=9))
    recalibrate(model)
    told(model, 3000)
    assert before > 0.1
    assert model.recalibration.width == pytest.approx(1 / wrong, rel=0.06)
    assert worst(covered(model, T, q, blur=FLOOR, seed=9)) < GOOD + 0.02


@pytest.mark.slow
def test_the_report_card_does_not_forget_the_blur() -> None:
    solver = IKSolver.load("planar3")
    assert solver.model is not None
    report = measure_report(solver, training={}, count=400)
    q, T = held_out(solver.arm, 400)
    floor = solver.model.config.floor
    assert report["calibration"] == {"blur": floor, "width": solver.model.recalibration.width}
    assert report["coverage"] == covered(solver.model, T, q, blur=floor, seed=1)
    assert report["coverage"]["0.5"] < covered(solver.model, T, q, blur=0.0, seed=1)["0.5"] - 0.2


def test_a_recalibrated_density_is_wider_and_so_in_its_file(tmp_path: Path) -> None:
    model = load_model("planar2").requires_grad_(False)
    Recalibration().put_on(model)
    q, T = held_out(model.arm, 50)
    plain = model.posterior(T)
    Recalibration(1.5).put_on(model)
    posterior = model.posterior(T)
    np.testing.assert_allclose(posterior.scale, 1.5 * plain.scale, rtol=1e-12)
    np.testing.assert_allclose(posterior.weights, plain.weights, atol=2e-3)  # but for limits
    torch.testing.assert_close(posterior.loc, plain.loc)
    save_model(model, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.recalibration == Recalibration(1.5)
    assert torch.equal(again.log_prob(T, q), model.log_prob(T, q))
    tensors, metadata = read_tensors(tmp_path / "m.safetensors")
    write_tensors(tmp_path / "old.safetensors", {k: v for k, v in tensors.items() if k != NAME}, metadata)
    assert read_model(tmp_path / "old.safetensors").recalibration == Recalibration()
    write_tensors(tmp_path / "bad.safetensors", {**tensors, NAME: np.array([0.0])}, metadata)
    with pytest.raises(CheckpointError, match="a recalibration needs a number above 0"):
        read_model(tmp_path / "bad.safetensors")


def test_every_factor_of_a_chain_is_recalibrated() -> None:
    arm = sim.load_arm("planar:0.5,0.4,0.3,0.2")
    model = model_for(arm, None, ModelConfig(width=8, blocks=0, components=2)).eval()
    assert isinstance(model, ChainModel)
    _, T = held_out(arm, 3)
    first, others = model.first_density(T).scale, model.rest.uncut(T).mixture.scale
    Recalibration(2.0).put_on(model)
    torch.testing.assert_close(model.first_density(T).scale, 2 * first)
    torch.testing.assert_close(model.rest.uncut(T).mixture.scale, 2 * others)
    assert model.saved().recalibration == Recalibration(2.0)


def test_sbi_agrees_that_a_right_density_is_calibrated_and_a_narrow_one_is_not() -> None:
    pytest.importorskip("sbi", reason="sbi is not installed")
    shares: list[float] = []
    right = simulation_based(Known(), count=400, draws=100, on_step=shares.append).to_dict()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    narrow = simulation_based(Known(0.4), count=400, draws=100).to_dict()
    forgetful = simulation_based(Known(), blur=0.0, count=400, draws=100).to_dict()
    limit = 1.63 / 400**0.5  # of the Kolmogorov-Smirnov distance, at 1 %
    assert max(right["rank_distance"]) < limit
    assert right["tarp_distance"] < limit
    assert max(narrow["rank_distance"]) > limit
    assert max(forgetful["rank_distance"]) > limit
    assert right["blur"] == FLOOR


def test_expected_coverage_is_what_sbi_says() -> None:
    """The rank of the log density among those of draws, by sbi, against `density_level` of the same draws."""
    sbc = pytest.importorskip("sbi.diagnostics", reason="sbi is not installed")
    model = Known(1.3)
    q, T = told(model, 200)
    ours = blurred_levels(model, T, q, blur=FLOOR, draws=200, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    truth = q + FLOOR * torch.randn(q.shape, dtype=q.dtype, generator=generator)
    draws = model.sample(T, 200, generator=generator).transpose(0, 1)
    density = model.density(T)

    class Drawn:
        def sample_batched(self, shape: object, x: Tensor, **_: object) -> Tensor:
            return draws

    def log_prob(theta: Tensor, x: Tensor) -> Tensor:
        row = int(x)
        one = GaussianMixture(density.logits[row], density.loc[row], scale=density.scale[row], period=model.period)
        return one.log_prob(theta)

    rows = torch.arange(200)[:, None]
    options = {"num_posterior_samples": 200, "reduce_fns": log_prob, "show_progress_bar": False}
    ranks, _ = sbc.run_sbc(truth, rows, Drawn(), **options)
    assert (ours - (1 - ranks[:, 0] / 200)).abs().max() <= 0.01  # ties are broken at random here


def test_a_card_of_a_recording_looks_at_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = IKSolver.load("planar2")
    own = np.concatenate([np.tile([0.3, 0.9], (600, 1)), np.tile([-0.4, -1.2], (600, 1))])
    seen: list[Tensor] = []

    def score(model: object, T: Tensor, **_: object) -> DrawScores:
        seen.append(T)
        assert solver.model is not None
        return score_draws(solver.model, T[:2])

    monkeypatch.setattr("ik_mdn.evaluation.report.score_draws", score)
    measure_report(solver, training={}, own=own)
    elbow_up = float((seen[0][:, 1, 3] > 0).double().mean())
    assert 0.4 < elbow_up < 0.6
