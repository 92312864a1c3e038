"""Calibration, component health and mode scores: known answers first, then a trained and an untrained model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import sim
from ik_mdn.cli import main
from ik_mdn.evaluation.calibration import angular_crps, coverage, density_level, pit, uniform_distance
from ik_mdn.evaluation.diagnostics import Evaluation, evaluate
from ik_mdn.evaluation.health import HealthTally, duplicate_components
from ik_mdn.evaluation.matching import mode_scores
from ik_mdn.evaluation.scores import crps, energy_score
from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.model.chain import model_for
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel
from ik_mdn.solver.solver import IKSolver
from sim.errors import CheckpointError, ShapeError

TURN = 2 * math.pi
COUNT = 2000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_joints(shift: float = 0.0, width: float = 1.0, period: float = TURN) -> GaussianMixture:
    """COUNT copies of a bimodal density of two turning joints, one mode on the wrap."""
    loc = torch.tensor([[3.1, 0.5], [0.4, -1.2]], dtype=torch.float64) + shift
    tril = width * torch.tensor([[[0.3, 0.0], [0.2, 0.2]], [[0.4, 0.0], [-0.1, 0.5]]], dtype=torch.float64)
    logits = torch.tensor([0.7, 0.3], dtype=torch.float64).log()
    return GaussianMixture(logits, loc, scale_tril=tril, period=[period, period]).expand((COUNT,))


def nan_free(values: object) -> None:
    json.dumps(values, allow_nan=False)


# --- calibration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [TURN, math.inf])
def test_pit_and_coverage_of_the_true_density_are_uniform(period: float) -> None:
    truth = two_joints(period=period)
    y = truth.sample((), generator())
    draws = truth.sample((200,), generator(1))
    limit = 1.63 / math.sqrt(COUNT)  # Kolmogorov-Smirnov, 1 %
    assert (uniform_distance(pit(truth, y)) < limit).all()
    levels = density_level(truth.log_prob(y), truth.log_prob(draws))
    assert uniform_distance(levels) < limit + 1 / 200
    at = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(coverage(levels, at), at, atol=0.03, rtol=0)


def test_pit_does_not_depend_on_where_the_circle_is_cut() -> None:
    y = two_joints().sample((), generator())
    turned = pit(two_joints(shift=1.3), y + 1.3 + TURN)
    torch.testing.assert_close(turned, pit(two_joints(), y), atol=1e-9, rtol=0)


def test_pit_of_one_linear_coordinate_is_the_distribution_function() -> None:
    logits, loc = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log(), torch.tensor([[1.0], [3.0], [-2.0]])
    mixture = GaussianMixture(logits, loc.double(), scale=torch.tensor([[0.4], [0.7], [1.5]]).double()).expand((1,))
    assert pit(mixture, torch.ones(1, 1, dtype=torch.float64)).item() == pytest.approx(0.446091, abs=5e-7)


@pytest.mark.slow
def test_a_density_that_is_too_narrow_or_wide_is_seen_on_its_side() -> None:
    y = two_joints().sample((), generator())
    at = torch.tensor([0.5], dtype=torch.float64)
    covered = {}
    for width in (0.5, 1.0, 2.0):
        wrong = two_joints(width=width)
        covered[width] = coverage(
            density_level(wrong.log_prob(y), wrong.log_prob(wrong.sample((100,), generator(1)))), at
        ).item()
    assert covered[0.5] < 0.4 < 0.6 < covered[2.0]
    assert covered[1.0] == pytest.approx(0.5, abs=0.04)


def test_highest_density_level_matches_the_chi_square_of_a_gaussian() -> None:
    """For one Gaussian in two dimensions the region through y holds 1 - exp(-r²/2)."""
    normal = GaussianMixture(torch.zeros(1), torch.zeros(1, 2), scale=torch.ones(1, 2)).expand((3,))
    y = torch.tensor([[0.0, 0.1], [1.0, 0.0], [0.0, 2.5]])
    levels = density_level(normal.log_prob(y), normal.log_prob(normal.sample((20_000,), generator())))
    torch.testing.assert_close(levels, 1 - (-0.5 * y.square().sum(1)).exp(), atol=0.012, rtol=0)


def test_uniform_distance_of_known_samples() -> None:
    grid = (torch.arange(10, dtype=torch.float64) + 0.5) / 10
    assert uniform_distance(grid).item() == pytest.approx(0.05)
    assert uniform_distance(torch.zeros(7, dtype=torch.float64)).item() == 1.0
    columns = torch.stack([grid, 0.5 * grid], dim=1)
    torch.testing.assert_close(uniform_distance(columns), torch.tensor([0.05, 0.525], dtype=torch.float64))


@pytest.mark.slow
def test_angular_crps_is_the_closed_form_on_the_line_and_on_a_wide_circle() -> None:
    loc, scale = torch.tensor([[1.0], [3.0], [-2.0]]).double(), torch.tensor([[0.4], [0.7], [1.5]]).double()
    mixture = GaussianMixture(torch.tensor([0.5, 0.3, 0.2]).double().log(), loc, scale=scale)
    draws = mixture.sample((64, 4000), generator())
    y = torch.ones(4000, 1, dtype=torch.float64)
    for period in (None, torch.tensor([1000.0], dtype=torch.float64)):
        score = angular_crps(draws, y, period)
        error = float(score.std()) / math.sqrt(4000)
        assert score.mean().item() == pytest.approx(crps(mixture, torch.tensor([1.0]).double()).item(), abs=4 * error)


def test_angular_crps_of_a_point_is_its_angular_error_across_the_wrap() -> None:
    draws = torch.full((5, 1, 1), 3.0, dtype=torch.float64)
    y = torch.tensor([[-3.0]], dtype=torch.float64)
    score = angular_crps(draws, y, torch.tensor([TURN], dtype=torch.float64))
    assert score.item() == pytest.approx(TURN - 6.0)


@pytest.mark.slow
def test_angular_crps_prefers_the_truth() -> None:
    truth = two_joints()
    y = truth.sample((), generator())
    scores = [
        angular_crps(two_joints(shift, width).sample((32,), generator(1)), y, truth.period).mean()
        for shift, width in ((0.0, 1.0), (0.4, 1.0), (0.0, 2.5))
    ]
    assert scores[0] < min(scores[1:])


def test_calibration_refuses_what_does_not_fit() -> None:
    mixture = two_joints()
    with pytest.raises(ShapeError, match=r"give y as \(B, D\) = \(2000, 2\)"):
        pit(mixture, torch.zeros(3, 2))
    with pytest.raises(ShapeError, match="draws"):
        density_level(torch.zeros(COUNT), torch.zeros(5, 3))
    with pytest.raises(ShapeError, match="S >= 2"):
        angular_crps(torch.zeros(1, 3, 2), torch.zeros(3, 2), None)


# --- components -------------------------------------------------------------------------------------------------


def plane(weights: list[float], loc: list[list[float]], scale: float = 0.1) -> GaussianMixture:
    return GaussianMixture(
        torch.tensor([weights], dtype=torch.float64).log(),
        torch.tensor([loc], dtype=torch.float64),
        scale=torch.full((1, len(weights), 2), scale, dtype=torch.float64),
        period=[TURN, math.inf],
    )


def test_health_counts_dead_live_and_effective_components() -> None:
    far = [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 3.0]]
    tally = HealthTally()
    tally.add(plane([0.5, 0.5, 0.0, 0.0], far))
    tally.add(plane([0.25, 0.25, 0.499, 0.001], far))
    health = tally.result()
    assert health.components == 4
    assert health.dead == (3,)
    assert health.live == pytest.approx(2.5)
    h = -(2 * 0.25 * math.log(0.25) + 0.499 * math.log(0.499) + 0.001 * math.log(0.001))
    assert health.effective == pytest.approx((2 + math.exp(h)) / 2)
    mean = [0.375, 0.375, 0.2495, 0.0005]
    assert health.effective_overall == pytest.approx(math.exp(-sum(w * math.log(w) for w in mean)))
    assert health.duplicates == 0
    nan_free(health.to_dict())


def test_duplicates_are_the_lighter_live_components_within_one_standard_deviation() -> None:
    # the second is across the wrap from the first; the third too far; the fourth too light to count
    mixture = plane([0.3, 0.45, 0.245, 0.005], [[3.13, 0.0], [-3.1, 0.05], [3.0, 0.12], [3.13, 0.0]])
    assert duplicate_components(mixture)[0].tolist() == [True, False, False, False]
    # three equal copies: all but one are duplicates
    copies = plane([1 / 3] * 3, [[1.0, 1.0]] * 3)
    assert duplicate_components(copies)[0].sum() == 2
    tally = HealthTally()
    tally.add(copies)
    assert tally.result().duplicates == 2


def test_health_of_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="add at least one batch"):
        HealthTally().result()


# --- modes ------------------------------------------------------------------------------------------------------


def test_mode_scores_of_known_sets() -> None:
    period = torch.tensor([TURN, math.inf], dtype=torch.float64)

    def rows(*values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).reshape(-1, 2)

    solutions = [rows([3.1, 0.0], [0.0, 1.0]), rows([1.0, 1.0]), rows()]
    modes = [rows([-3.1, 0.1], [1.5, 0.0]), rows([1.1, 0.9]), rows([0.0, 0.0])]
    masses = [torch.tensor([0.6, 0.4]), torch.tensor([1.0]), torch.tensor([1.0])]
    refined = [rows([3.1, 0.0]), rows([1.0, 1.0]), rows()]
    scores = mode_scores(modes, masses, solutions, refined, period)
    assert (scores.recall, scores.precision) == (pytest.approx(2 / 3), pytest.approx(2 / 4))
    assert scores.mass == pytest.approx((0.6 + 1.0 + 0.0) / 3)
    assert scores.refined_recall == pytest.approx(2 / 3)
    assert (scores.solutions, scores.modes, scores.poses) == (1.0, pytest.approx(4 / 3), 3)


# --- a model ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planar() -> Evaluation:
    solver = IKSolver.load("planar2")
    return evaluate(solver, count=400, mode_count=40, draws=60)


def test_the_shipped_model_knows_both_elbows(planar: Evaluation) -> None:
    assert planar.modes is not None
    assert planar.modes.recall > 0.98
    assert planar.modes.refined_recall > 0.99
    assert planar.modes.precision > 0.95
    assert planar.health.effective == pytest.approx(2.0, abs=0.4)
    assert planar.errors["refined"].success["1e-6"] > 0.99
    assert planar.errors["best"].pos[0] <= planar.errors["likely"].pos[0]
    assert planar.nll > planar.nll_bound


def test_between_variance_is_that_of_the_two_elbows(planar: Evaluation) -> None:
    """Two equally likely elbows ±q₂ have variance q₂² in the second joint, q₂ = acos((r² - 2)/2) for unit links."""
    radius = planar.T_base_tip[:, :2, 3].norm(dim=1)
    elbow = torch.arccos(((radius.square() - 2) / 2).clamp(-1, 1))
    ordinary = (elbow < 0.45 * math.pi) & (elbow > 0.2)  # beyond a right angle the mean direction is on the other side
    ratio = planar.between[ordinary, 1].sqrt() / elbow[ordinary]
    assert ratio.median().item() == pytest.approx(1.0, abs=0.05)


def test_truth_blurred_by_the_floor_is_closer_to_calibrated_than_the_exact_one(planar: Evaluation) -> None:
    assert uniform_distance(planar.blurred.level) < uniform_distance(planar.exact.level)


def test_an_evaluation_is_plain_json_and_repeats(planar: Evaluation) -> None:
    nan_free(planar.to_dict())
    short = [evaluate(IKSolver.load("planar2"), count=20, mode_count=3, draws=8).to_dict() for _ in range(2)]
    assert short[0] == short[1]


def untrained(name: str, *, kind: str = "mdn", covariance: str = "full") -> IKSolver:
    arm = sim.load_arm(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ModelConfig(kind=kind, components=5, width=16, blocks=1, covariance=covariance)  # type: ignore[arg-type]
        return IKSolver(arm, PoseModel(arm, None, config).eval())


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_an_untrained_model_of_a_six_joint_arm_is_measured_without_nan(covariance: str) -> None:
    """Wide components, six circles: the hardest case for images and for memory."""
    solver = untrained("xarm6", covariance=covariance)
    stages: list[str] = []
    result = evaluate(solver, count=10, mode_count=2, draws=8, on_stage=lambda stage, done: stages.append(stage))
    nan_free(result.to_dict())
    assert {"densities", "modes", "true solutions", "refinement"} == set(stages)
    assert ((result.exact.pit >= 0) & (result.exact.pit <= 1)).all()


@pytest.mark.parametrize("name", ["planar2", "ur5e", "panda"])
def test_what_is_elsewhere_is_measured_there(name: str) -> None:
    arm = sim.load_arm(name)
    with torch.device("meta"):  # holds shapes and no numbers: a stray CPU tensor is an error
        model = model_for(arm, None, ModelConfig(width=16, blocks=1, components=4))
        T, q = torch.empty(10, 4, 4, dtype=torch.float64), torch.empty(10, arm.n_joints, dtype=torch.float64)
    draws, log_p = q.expand(5, -1, -1), q[:, 0]
    HealthTally().add(model.components(T, q))
    measured = [
        density_level(log_p, log_p.expand(5, -1)),
        angular_crps(draws, q, torch.tensor(arm.period)),
        energy_score(draws, q),
        duplicate_components(model.components(T, q)),
    ]
    assert {value.device.type for value in measured} == {"meta"}
    assert {len(value) for value in measured} == {10}


def test_a_solver_elsewhere_has_its_mixture_measured_there() -> None:
    solver = IKSolver.load("planar2")
    here = evaluate(solver, count=200, mode_count=20, draws=50).to_dict()
    solver.device = "cpu:0"
    there = evaluate(solver, count=200, mode_count=20, draws=50).to_dict()
    for name in ("nll", "calibration", "components", "energy_score"):
        assert there[name] == here[name]
    assert there["modes"]["recall"] == pytest.approx(here["modes"]["recall"], abs=0.02)


@pytest.mark.slow
def test_a_redundant_arm_has_no_countable_modes() -> None:
    result = evaluate(untrained("panda"), count=4, mode_count=2, draws=4)
    assert result.modes is None
    assert result.to_dict()["modes"] is None


def test_evaluate_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(CheckpointError, match="has no model"):
        evaluate(IKSolver(sim.load_arm("planar2")))
    with pytest.raises(CheckpointError, match="has a regressor"):
        evaluate(untrained("planar2", kind="mse"))
    with pytest.raises(ShapeError, match="count >= 2"):
        evaluate(untrained("planar2"), count=1)


# --- the command ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_prints_writes_json_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = tmp_path / "figures", tmp_path / "e.json"
    small = ["--count", "60", "--mode-count", "5", "--draws", "10"]
    assert main(["evaluate", "planar2", *small, "--figures", str(folder), "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "recall of modes" in printed
    assert "dead components" in printed
    assert {path.name for path in folder.iterdir()} == {"pit.png", "coverage.png", "variance.png"}
    assert json.loads(file.read_text())["poses"]["count"] == 60
    assert main(["evaluate", "planar2", *small, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["arm"] == "planar2"


def test_the_command_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "planar:1,0.7"]) == 2
    assert "no shipped model for" in capsys.readouterr().err
