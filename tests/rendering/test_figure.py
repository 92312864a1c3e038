"""Figures are written whole, and say what was measured."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import sim
from ik_mdn.comparison.figures import draw_target_panel
from ik_mdn.training.figures import plot_training
from sim.errors import ShapeError
from sim.rendering.figure import new_figure, save_figure


def test_the_panel_reports_the_regressors_miss(tmp_path: Path) -> None:
    arm = sim.load_arm("planar2")
    q = np.array([[0.3, 1.2], [1.5, -1.2]])
    target = sim.forward_kinematics(arm, q[0])
    figure, axes = new_figure(1, 1)
    straight = np.array([np.arctan2(target[1, 3], target[0, 3]), 0.0])
    miss = draw_target_panel(axes, arm, target, modes=q, weights=np.array([0.5, 0.5]), q_mse=straight)
    assert miss == pytest.approx(2.0 - np.linalg.norm(target[:2, 3]))
    assert f"{100 * miss:.0f} cm" in axes.get_title()
    save_figure(figure, tmp_path / "deep" / "panel.png")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["panel.png"]


def test_drawing_leaves_the_backend_and_the_figures_of_pyplot_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "backend", "svg")
    before = pyplot.get_fignums()
    figure, _ = new_figure(2, 1, figsize=(3.0, 4.0), sharex=True, height_ratios=(2, 1))
    assert figure.get_size_inches().tolist() == [3.0, 4.0]
    assert pyplot.get_fignums() == before
    for ending, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        save_figure(figure, tmp_path / f"figure.{ending}")
        assert (tmp_path / f"figure.{ending}").read_bytes().startswith(start)
    assert matplotlib.get_backend() == "svg"


def test_training_curves_are_drawn_from_run_files(tmp_path: Path) -> None:
    metrics = tmp_path / "run" / "metrics.csv"
    metrics.parent.mkdir()
    metrics.write_text("step,seconds,loss,floor\n50,1.0,3.0,0.3\n100,2.0,1.0,0.1\n")
    plot_training([metrics], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_of_one_row_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr("ik_mdn.training.figures.save_figure", lambda figure, out: kept.append(figure))
    run = tmp_path / "_run"  # names that begin like this are left out of legends, unless one sees to it
    run.mkdir()
    (run / "metrics.csv").write_text("step,seconds,loss,floor\n50,1.0,3.0,0.3\n")
    plot_training([run / "metrics.csv"], tmp_path / "curve.png")
    assert all(line.get_marker() == "o" for axes in kept[0].axes for line in axes.lines)
    assert kept[0].axes[0].get_title()
    assert [text.get_text() for text in kept[0].axes[0].get_legend().get_texts()] == [" _run"]


@pytest.mark.parametrize("text", ["step,seconds,loss,floor\n", "a,b\n1,2\n"])
def test_a_file_without_metrics_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ShapeError, match="holds no training metrics"):
        plot_training([path], tmp_path / "curve.png")


@pytest.mark.parametrize("name", ["figure", "figure.xyz"])
def test_an_ending_that_is_no_format_is_refused(tmp_path: Path, name: str) -> None:
    figure, _ = new_figure(1, 1)
    with pytest.raises(ShapeError, match=r"the ending decides the format; allowed: .*png"):
        save_figure(figure, tmp_path / name)


@pytest.mark.parametrize("name", ["$a_{$", "$x$", "\\frac", "[/x]"])
def test_names_are_drawn_as_they_are_and_powers_of_ten_as_powers(name: str, tmp_path: Path) -> None:
    figure, axes = new_figure(1, 1)
    axes.plot([1, 10, 1000], [1, 2, 3], label=name)
    axes.set(title=name, xlabel=name, xscale="log")
    figure.legend()
    figure.suptitle(name)
    save_figure(figure, tmp_path / "figure.svg")
    ticks = [label for label in axes.get_xticklabels() if "mathdefault" in label.get_text()]
    assert ticks
    assert all(label.get_parse_math() for label in ticks)
    assert not axes.title.get_parse_math()
