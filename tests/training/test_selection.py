"""Choosing K: the rule on known scores, honest folds, and three components found where there are three."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from ik_mdn.cli import main
from ik_mdn.model.config import Covariance
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.figures import draw_choice
from ik_mdn.training.scores import MixtureCandidate, Score, one_standard_error
from ik_mdn.training.selection import choose
from ik_mdn.training.toys import FixedStream, fit, three_answers
from sim.errors import ShapeError

QUICK = TrainConfig(
    steps=40,
    width=16,
    blocks=0,
    batch_size=512,
    learning_rate=0.02,
    floor=0.02,
    floor_start=0.1,
    start_scale=0.3,
    average=0.9,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def candidate(
    k: int, mean: float, error: float = 0.1, *, covariance: Covariance = "diagonal", size: int = 0
) -> MixtureCandidate:
    folds = (mean - error, mean + error)  # the standard error of two folds is half their distance
    return MixtureCandidate(k, covariance, size or 3 * k, Score(folds), Score(folds))


def test_a_score_has_the_standard_error_of_its_folds() -> None:
    score = Score((1.0, 2.0, 4.0))
    assert score.mean == pytest.approx(7 / 3)
    assert score.error == pytest.approx(math.sqrt(sum((v - 7 / 3) ** 2 for v in (1, 2, 4)) / 2 / 3))
    assert candidate(1, 5.0, 0.3).validation.error == pytest.approx(0.3)


def test_the_smallest_within_one_standard_error_of_the_best_is_picked() -> None:
    choice = one_standard_error([candidate(1, 2.0), candidate(2, 1.08), candidate(4, 1.0), candidate(8, 1.01)])
    assert choice.best.components == 4
    assert choice.limit == pytest.approx(1.1)
    assert choice.picked.components == 2


def test_outside_one_standard_error_the_best_itself_is_picked() -> None:
    assert one_standard_error([candidate(1, 1.2), candidate(2, 1.0), candidate(4, 1.05)]).picked.components == 2


def test_size_counts_numbers_not_components() -> None:
    full = candidate(2, 1.0, covariance="full", size=2 * 28)
    diagonal = candidate(3, 1.05, size=3 * 13)
    assert one_standard_error([full, diagonal]).picked == diagonal


def test_no_candidate_is_refused() -> None:
    with pytest.raises(ShapeError, match="no candidate"):
        one_standard_error([])


@pytest.mark.slow
def test_the_rule_picks_three_of_three_components_in_most_seeds() -> None:
    picks = []
    for seed in range(10):
        x, y = three_answers().draw(500, generator(seed))
        config = replace(QUICK, seed=100 * seed)
        choice = choose(x, y, config, components=(2, 3, 4), covariances=("diagonal",), folds=3)
        picks.append(choice.picked.components)
    assert picks.count(3) >= 8, picks


def test_candidates_come_in_order_and_report_their_size() -> None:
    x, y = three_answers().draw(60, generator())
    done: list[tuple[int, int]] = []
    choice = choose(
        x,
        y.repeat(1, 2),
        replace(QUICK, steps=2),
        components=(2, 1, 2),
        covariances=("isotropic", "full"),
        folds=2,
        on_fit=lambda number, total: done.append((number, total)),
    )
    shown = [(c.covariance, c.components, c.size) for c in choice.candidates]
    assert shown == [("isotropic", 1, 4), ("isotropic", 2, 8), ("full", 1, 6), ("full", 2, 12)]
    assert done == [(i, 8) for i in range(1, 9)]
    assert all(len(c.validation.folds) == 2 for c in choice.candidates)
    json.dumps(choice.to_dict(), allow_nan=False)


def test_the_fold_left_out_is_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from ik_mdn.training import selection

    seen: list[set[float]] = []
    fit = selection.fit

    def watch(stream: FixedStream, *args: object, **options: object) -> object:
        seen.append(set(stream.x[:, 0].tolist()))
        return fit(stream, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(selection, "fit", watch)
    x = torch.arange(10.0)[:, None]
    choose(x, torch.randn(10, 1, generator=generator()), replace(QUICK, steps=1), components=(1,), folds=3)
    left_out = [set(range(10)) - rows for rows in seen]
    assert sorted(map(len, left_out)) == [3, 3, 4]
    assert set.union(*left_out) == set(range(10))


def test_the_validation_score_is_of_the_fold_left_out_and_of_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from ik_mdn.training import selection

    trained: list[set[float]] = []
    scored: list[set[float]] = []

    def watch_fit(stream: FixedStream, *args: object, **options: object) -> None:
        trained.append(set(stream.x[:, 0].tolist()))

    def watch_score(model: object, x: torch.Tensor, y: torch.Tensor) -> float:
        scored.append(set(x[:, 0].tolist()))
        return float(len(scored))

    monkeypatch.setattr(selection, "fit", watch_fit)
    monkeypatch.setattr(selection, "mean_nll", watch_score)
    x = torch.arange(10.0)[:, None]
    choice = choose(x, torch.zeros(10, 1), QUICK, components=(1,), folds=3)
    (candidate,) = choice.candidates
    for score, rows_of in (
        (candidate.training, lambda fit: fit),
        (candidate.validation, lambda fit: set(range(10)) - fit),
    ):
        assert [scored[int(value) - 1] for value in score.folds] == [rows_of(fit) for fit in trained]


def test_impossible_requests_are_refused() -> None:
    x, y = three_answers().draw(12, generator())
    with pytest.raises(ShapeError, match="0 candidates"):
        choose(x, y, QUICK, components=())
    for folds in (1, 13):
        with pytest.raises(ShapeError, match=f"folds={folds}"):
            choose(x, y, QUICK, components=(1,), folds=folds)
    with pytest.raises(ShapeError, match=r"9 components need as many rows.*leave 8"):
        choose(x, y, QUICK, components=(9,), folds=3)
    with pytest.raises(ShapeError, match="12 inputs and 11 targets"):
        choose(x, y[1:], QUICK, components=(1,))
    with pytest.raises(ShapeError, match="8 components need as many targets"):
        fit(FixedStream(x[:3], y[:3]), replace(QUICK, components=8))
    with pytest.raises(ShapeError, match="N >= 1"):
        FixedStream(x, y[:3])


def test_a_fixed_stream_gives_every_row_once_per_pass() -> None:
    x = torch.arange(7.0)[:, None]
    stream = FixedStream(x, x)
    batches = stream.batches(7, generator())
    for _ in range(3):
        assert sorted(next(batches)[0][:, 0].tolist()) == list(range(7))
    assert len(stream.draw(100, generator())[0]) == 7
    assert [len(next(stream.batches(3, generator()))[0]) for _ in range(2)] == [3, 3]


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    candidates = [candidate(1, 2.0), candidate(2, 1.0), candidate(2, 1.3, covariance="full")]
    draw_choice(one_standard_error(candidates), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def shown_heights(candidates: list[MixtureCandidate], monkeypatch: pytest.MonkeyPatch) -> tuple[float, float, str]:
    """Ends of the axis of the curve, and what is written into it."""
    kept: list[Figure] = []
    monkeypatch.setattr("ik_mdn.training.figures.save_figure", lambda figure, out: kept.append(figure))
    draw_choice(one_standard_error(candidates), Path("curve.png"))
    axes = kept[0].axes[0]
    low, high = axes.get_ylim()
    return low, high, " ".join(text.get_text() for text in axes.texts)


def test_one_component_does_not_flatten_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """K = 1 is six nats worse: it is said in numbers, and the others fill the figure."""
    low, high, said = shown_heights(
        [candidate(1, 1.84, 0.02), candidate(2, -4.38, 0.02), candidate(4, -4.45, 0.02), candidate(8, -4.41, 0.02)],
        monkeypatch,
    )
    assert low < -4.47
    assert -4.36 < high < -4.2
    assert "1.84" in said
    low, high, said = shown_heights([candidate(1, 1.6), candidate(2, 1.4), candidate(3, 1.2)], monkeypatch)
    assert high > 1.7  # nothing is flat: everything is shown
    assert not said


def test_the_command_prints_the_pick_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure, file = tmp_path / "curve.png", tmp_path / "c.json"
    small = ["--components", "1", "2", "--covariances", "diagonal", "--folds", "2", "--count", "200", "--steps", "5"]
    tiny = [*small, "--width", "8", "--blocks", "0", "--figure", str(figure)]
    assert main(["choose", "planar2", *tiny, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "one-standard-error rule" in printed
    assert "K = 2, diagonal" in printed
    assert figure.exists()
    assert json.loads(file.read_text())["folds"] == 2
    assert main(["choose", "planar2", *tiny, "--folds", "1"]) == 2
    assert "--folds 1" in capsys.readouterr().err
