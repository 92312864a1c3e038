"""The lessons: every figure is drawn and captioned, and what the captions say is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ik_mdn.cli import main
from ik_mdn.teaching import fitting
from ik_mdn.teaching.answers import worked_example
from ik_mdn.teaching.lessons import LESSONS, teach
from sim.errors import UnknownNameError

PNG = b"\x89PNG"


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
