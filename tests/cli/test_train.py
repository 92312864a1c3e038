"""`ik-mdn train`: what is wrong is found before the work, and nothing is overwritten without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from samples import MIXED

import sim
from ik_mdn.cli import main
from ik_mdn.model import load_model
from sim.dataset import generate


@pytest.fixture(autouse=True)
def short_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(solver: object, *, training: dict[str, Any], **own: Any) -> dict[str, Any]:
        return {"training": training, "raw": {"err_pos": {"median": 1.0}}}

    monkeypatch.setattr("ik_mdn.evaluation.report.measure_report", measure)


def train(folder: Path, *options: str, run: str = "run", out: str = "m.safetensors", json: str = "-") -> int:
    small = ["--steps", "2", "--width", "8", "--blocks", "1", "--components", "2", "--batch-size", "8"]
    places = ["--out", str(folder / out), "--run-folder", str(folder / run), "--json", json]
    return main(["train", "planar2", *small, *places, *options])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_cannot_be_read_or_written_is_found_before_the_work_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(sim.load_arm("planar3"), tmp_path / "other", count=10, workers=1)
    generate(sim.load_arm("planar2"), tmp_path / "right", count=100, workers=1)
    before = names(tmp_path)
    for options, places, message in (
        (["--dataset", str(tmp_path / "no")], {}, "no joint vectors in"),
        (["--dataset", str(tmp_path / "other")], {}, "was made for another arm"),
        ([], {"out": "right"}, "is a folder; give the name of a file"),
        ([], {"out": "right/dataset.json/m.safetensors"}, "Not a directory"),
        ([], {"json": str(tmp_path)}, "is a folder; give the name of a file"),
        ([], {"json": "/"}, "is a folder; give the name of a file"),
        (["--seed", "99999999999999999999"], {}, "seed must be a whole number"),
    ):
        assert train(tmp_path, *options, **places) == 2
        assert message in " ".join(capsys.readouterr().err.split())
        assert names(tmp_path) == before
    assert train(tmp_path, "--dataset", str(tmp_path / "right")) == 0
    assert names(tmp_path) == {*before, "run", "m.safetensors"}


def test_a_model_of_another_run_is_replaced_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path) == 0
    assert "will be replaced" not in capsys.readouterr().err
    first = (tmp_path / "m.safetensors").read_bytes()
    assert train(tmp_path, "--components", "3", run="second") == 2
    assert "choose another --out, or give --overwrite" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "m.safetensors").read_bytes() == first
    assert names(tmp_path) == {"run", "m.safetensors"}
    assert train(tmp_path, "--components", "3", "--overwrite", run="second") == 0
    assert load_model(tmp_path / "m.safetensors").config.components == 3
    assert train(tmp_path, "--components", "3", run="second") == 0  # the run that made it may go on
    assert "exists and will be replaced" in " ".join(capsys.readouterr().err.split())


def test_a_run_folder_of_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.csv").write_text("mine")
    assert train(tmp_path) == 2
    assert "holds other files and no run.json" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "run" / "metrics.csv").read_text() == "mine"


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arm.urdf").write_text(MIXED.replace('"turn"', '"[/x]"'))
    small = ["--steps", "2", "--width", "8", "--blocks", "1", "--components", "2", "--batch-size", "8"]
    places = ["--out", str(tmp_path / "m.safetensors"), "--run-folder", str(tmp_path / "run"), "--json", "-"]
    assert main(["train", str(tmp_path / "arm.urdf"), *small, *places]) == 0
    assert ": [/x], slide, spin" in capfd.readouterr().err


def test_it_says_what_is_divided_out_of_the_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in (([], "the turn of joint1"), (["--no-symmetries"], "nothing")):
        assert train(tmp_path, *options, run="-".join(["run", *options]), out=f"m{len(options)}.safetensors") == 0
        assert f"divided out: {said}" in " ".join(capsys.readouterr().err.split())
