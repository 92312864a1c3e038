"""The lessons: every figure is drawn and captioned, and where that is quick to see, what its caption says is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from ik_mdn.cli import main
from ik_mdn.solver import IKSolver
from ik_mdn.teaching import answers, fitting, pitfalls
from ik_mdn.teaching.answers import worked_example
from ik_mdn.teaching.lessons import LESSONS, teach
from sim.arrays import FloatArray
from sim.errors import UnknownNameError

PNG = b"\x89PNG"
Draw: TypeAlias = Callable[..., list[Any]]


@pytest.fixture
def panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draws the figure of a lesson, and gives back its panels."""
    drawn: list[Any] = []
    for module in (answers, fitting, pitfalls):
        monkeypatch.setattr(module, "finish", lambda figure, out, **_: drawn.append(figure))

    def draw(name: str, effort: float = 1.0) -> list[Any]:
        next(lesson for lesson in LESSONS if lesson.name == name).draw(tmp_path / "never.png", effort)
        return list(drawn[-1].axes)

    return draw


def lines(panel: Any) -> list[FloatArray]:
    """What its curves go through, y alone."""
    return [np.asarray(line.get_ydata(), np.float64) for line in panel.lines]


def normal(y: FloatArray, mean: FloatArray | float, sigma: FloatArray | float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * ((y - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_lesson_draws_its_figure_and_keeps_its_caption(lesson: object, tmp_path: Path) -> None:
    """With next to no training: that it draws, not what was learned."""
    (file,) = teach(tmp_path, only=[lesson.name], effort=0.01)  # type: ignore[attr-defined]
    assert file.read_bytes().startswith(PNG)
    text = (tmp_path / "captions" / "README.md").read_text(encoding="utf-8")
    assert lesson.caption in text  # type: ignore[attr-defined]
    assert f"(../{file.name})" in text
    assert {path.name for path in tmp_path.iterdir()} == {file.name, "captions"}


def test_names_differ_and_captions_are_sentences() -> None:
    assert len({lesson.name for lesson in LESSONS}) == len(LESSONS)
    assert all(lesson.caption.endswith(".") and lesson.title for lesson in LESSONS)


@pytest.mark.slow
def test_the_command_prints_captions_and_refuses_unknown_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    try:
        assert main(["teach", "--out", str(tmp_path), "--only", "log_sum_exp", "gradients"]) == 0
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "Log-sum-exp against underflow" in printed
    assert "Gradients by hand" in printed
    assert {path.name for path in tmp_path.glob("*.png")} == {"log_sum_exp.png", "gradients.png"}
    assert main(["teach", "--only", "nothing"]) == 2
    assert "allowed: two_answers, one_component" in capsys.readouterr().err
    with pytest.raises(UnknownNameError, match="unknown figure 'nothing'"):
        teach(tmp_path, only=["nothing"])


def test_the_density_that_underflows_is_the_one_whose_logarithm_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(fitting, "finish", lambda figure, out: drawn.append(figure))
    fitting.draw_log_sum_exp(tmp_path / "never.png", 1.0)
    left, right = drawn[0].axes
    density, log_density = (np.asarray(panel.lines[0].get_ydata()) for panel in (left, right))
    large = density > 1e-30
    assert large.sum() > 100
    np.testing.assert_allclose(np.log(density[large]), log_density[large], atol=1e-3)


def test_captions_are_printed_as_their_figures_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second figure leaves the first one's caption on the screen."""

    def stop(out: Path, effort: float) -> None:
        raise KeyboardInterrupt

    first, second = LESSONS[6], replace(LESSONS[7], draw=stop)
    monkeypatch.setattr("ik_mdn.teaching.lessons.LESSONS", (first, second))
    threads = torch.get_num_threads()
    try:
        assert main(["teach", "--out", str(tmp_path)]) == 130
    finally:
        torch.set_num_threads(threads)
    captions = tmp_path / "captions" / "README.md"
    assert first.caption in capsys.readouterr().out
    assert first.caption in captions.read_text(encoding="utf-8")
    third = replace(LESSONS[7], name="third", caption="Another one.", draw=first.draw)
    monkeypatch.setattr("ik_mdn.teaching.lessons.LESSONS", (first, third))
    teach(tmp_path, only=["third"])
    text = captions.read_text(encoding="utf-8")
    assert first.caption in text
    assert third.caption in text


def test_the_worked_example_has_the_variance_that_its_caption_says() -> None:
    example = worked_example()
    assert example.variance.item() == pytest.approx(3.677, abs=1e-9)
    assert example.variance_within.item() == pytest.approx(0.677, abs=1e-9)
    assert example.variance_between.item() == pytest.approx(3.0, abs=1e-9)


@pytest.mark.slow
def test_of_two_answers_squared_error_predicts_the_trough_and_the_mixture_both(panels: Draw) -> None:
    left, right = panels("two_answers", 0.25)
    low, high, mean = lines(left)
    np.testing.assert_allclose(low, -2.0, atol=0.15)
    np.testing.assert_allclose(high, 2.0, atol=0.15)
    np.testing.assert_allclose(mean, 0.0, atol=0.15)
    y = lines(right)[0]
    learned = np.asarray(right.lines[0].get_xdata())
    np.testing.assert_allclose(learned, 0.5 * (normal(y, -2.0, 0.5) + normal(y, 2.0, 0.5)), atol=0.06)  # of 0.4


@pytest.mark.slow
def test_the_band_of_one_component_widens_where_data_scatter_more(panels: Draw) -> None:
    _, right = panels("one_component", 0.3)
    x = np.asarray(right.lines[0].get_xdata())
    np.testing.assert_allclose(lines(right)[0], 0.1 + 0.4 * np.abs(x), atol=0.1)  # the tip at x = 0 is rounded


def test_two_elbows_are_mirror_images_with_a_component_each_and_their_mean_is_straight_or_folded(panels: Draw) -> None:
    rng = np.random.default_rng(0)
    radius, angle = rng.uniform(0.05, 1.95, 50), rng.uniform(-np.pi, np.pi, 50)
    T = np.tile(np.eye(4), (50, 1, 1))
    T[:, 0, 3], T[:, 1, 3] = radius * np.cos(angle), radius * np.sin(angle)
    for found, bearing in zip(IKSolver.load("planar2").solve(T), angle, strict=True):
        (q1, q2), (p1, p2) = found.q
        assert q2 == pytest.approx(-p2, abs=1e-5)
        assert np.cos(q1 + q2 / 2 - bearing) == pytest.approx(1.0, abs=1e-6)  # the line to the target halves the two
        assert np.cos(p1 + p2 / 2 - bearing) == pytest.approx(1.0, abs=1e-6)
    _, right = panels("elbows")
    r, elbow = np.asarray(right.collections[0].get_offsets()).T
    exact = np.degrees(np.arccos(r**2 / 2 - 1))
    for side in (1, -1):
        near = np.abs(side * elbow - exact) < 15  # a component is about so wide
        assert set(r[near]) == set(r)
    mean = np.abs(lines(right)[2])
    assert (np.minimum(mean, 180 - mean) < 15).mean() > 0.97  # it passes from folded to straight in between
    assert (mean < 15).any()
    assert (mean > 165).any()


def test_gradients_by_hand_are_those_of_automatic_differentiation_and_of_differences(panels: Draw) -> None:
    _, *shown = panels("gradients")
    weights, loc, sigma = np.array([0.5, 0.3, 0.2]), np.array([1.0, 3.0, -2.0]), np.array([0.4, 0.7, 1.5])

    def loss(logits: FloatArray, means: FloatArray) -> float:
        return -float(np.log(np.exp(logits) / np.exp(logits).sum() @ normal(np.full(3, 2.0), means, sigma)))

    step, logits = 1e-6 * np.eye(3), np.log(weights)
    by_logits = [(loss(logits + d, loc) - loss(logits - d, loc)) / 2e-6 for d in step]
    by_means = [(loss(logits, loc + d) - loss(logits, loc - d)) / 2e-6 for d in step]
    for panel, expected in zip(shown, (by_logits, by_means), strict=True):
        bars = [bar.get_height() for bar in panel.patches]
        np.testing.assert_allclose(bars, expected, atol=1e-7)
        np.testing.assert_allclose(lines(panel)[0], bars, atol=1e-14)


def test_far_from_all_components_the_density_is_0_and_its_logarithm_is_exact(panels: Draw) -> None:
    left, right = panels("log_sum_exp")
    y, density = np.asarray(left.lines[0].get_xdata(), np.float64), lines(left)[0]
    far = np.minimum(np.abs(y + 1) / 0.05, np.abs(y - 1) / 0.1) > 15  # standard deviations; exp(-15²/2) is 1e-49
    assert far.any()
    assert (density[far] == 0).all()
    stable, naive = lines(right)
    each = [-0.5 * ((y - m) / s) ** 2 - np.log(2 * s * np.sqrt(2 * np.pi)) for m, s in ((-1, 0.05), (1, 0.1))]
    np.testing.assert_allclose(stable, np.logaddexp(*each), rtol=1e-5, atol=1e-3)
    assert np.isnan(naive[far]).all()  # left out where it is infinite


def test_a_spike_gains_without_bound_and_a_floor_bounds_it_as_said(panels: Draw) -> None:
    left, right = panels("floor")
    sigma = np.asarray(right.lines[0].get_xdata())
    free, *floored = lines(right)
    small = sigma < 1e-5
    slope = np.diff(free[small]) / np.diff(np.log(sigma[small]))
    np.testing.assert_allclose(slope, 1 / 20, atol=1e-4)  # a 20th of a nat for each e-fold, of one in 20 points
    y = np.asarray(left.lines[-1].get_xdata())
    broad = normal(y, y.mean(), y.std(ddof=1))
    for floor, loss in zip((1e-3, 0.1), floored, strict=True):
        spike = normal(y, y[0], floor)
        spike[0] = np.exp(-np.log(floor * np.sqrt(2 * np.pi)))  # the bound that the caption says
        assert loss[0] == pytest.approx(-np.log(0.5 * spike + 0.5 * broad).mean(), abs=1e-6)


def test_a_starved_component_stays_so_and_a_fading_bonus_keeps_both_alive(panels: Draw) -> None:
    effective, loss, _ = panels("collapse")
    (starved, alive), (higher, lower, true) = lines(effective), lines(loss)
    assert starved.max() < 1.1
    half = len(alive) // 2
    assert alive[half:].min() > 1.9  # when the bonus is gone, too
    assert lower[-1] == pytest.approx(true[0], abs=0.02)
    assert higher[-1] > true[0] + 0.5


def test_components_that_start_together_stay_in_the_trough_and_apart_each_finds_an_answer(panels: Draw) -> None:
    path, _ = panels("shared_mode")
    one, other, low, high = lines(path)
    np.testing.assert_array_equal(one, other)
    assert abs(one[-1]) < 0.1
    assert low[-1] == pytest.approx(-2.0, abs=0.1)
    assert high[-1] == pytest.approx(2.0, abs=0.1)


@pytest.mark.slow
def test_runs_find_the_same_answers_and_ordering_gives_each_one_name(panels: Draw) -> None:
    axes = panels("label_switching", 0.3)
    trained, ordered = ([np.stack(lines(panel)[:3]) for panel in row] for row in (axes[:4], axes[4:]))  # (3, x) each
    x = np.asarray(axes[0].lines[0].get_xdata())
    curves = np.stack([-1.5 + 0.5 * np.sin(2 * x), 0.5 * x, 1.5 - 0.5 * np.sin(2 * x)])
    for means in ordered:
        assert np.abs(means - curves).max() < 0.3
    assert len({tuple(means[:, 50].argsort()) for means in trained}) > 1


@pytest.mark.slow
def test_an_angle_jumps_somewhere_on_the_way_around_and_its_cosine_and_sine_do_not(panels: Draw) -> None:
    *_, around, _ = panels("winding", 0.1)
    angle, cos_sin = lines(around)
    assert angle.max() > 1.0
    assert cos_sin.max() < 0.1
