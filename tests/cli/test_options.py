"""Files that commands write: found out before the work whether they can be."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from ik_mdn.cli import main


@pytest.mark.parametrize(
    "words",
    [
        *([command, "planar2", "--json"] for command in ("arms", "generate", "train", "solve", "reach", "compare")),
        *([command, "planar2", "--json"] for command in ("evaluate", "choose", "export", "track")),
        *(["view", "planar2", option] for option in ("--record", "--still")),
        ["compare", "planar2", "--report"],
        ["reach", "planar2", "--gif"],
        ["track", "planar2", "--gif"],
        ["track", "planar2", "--figure"],
        ["choose", "planar2", "--figure"],
        ["train", "planar2", "--out"],
        ["evaluate", "planar2", "--figures"],
        ["export", "planar2", "--onnx"],
    ],
    ids=" ".join,
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.arm.load_arm", lambda *_, **__: pytest.fail("went to work"))
    (tmp_path / "file").write_text("mine")
    needed = ["--count", "9", "--out", str(tmp_path / "data")] if words[0] == "generate" else []
    needed += ["--onnx", str(tmp_path / "m.onnx")] if words[0] == "export" and words[-1] != "--onnx" else []
    ending = "png" if words[-1] in ("--still", "--figure") else "gif"  # what every matplotlib can write
    assert main([*words, str(tmp_path / "file" / f"below.{ending}"), *needed]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: Not a directory (")
    assert "\n" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_picture_whose_name_is_not_given_is_refused_before_the_work_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planar2-choice.png").mkdir()
    monkeypatch.setattr("ik_mdn.training.choose", lambda *_, **__: pytest.fail("went to work"))
    assert main(["choose", "planar2"]) == 2
    assert "is a folder; give the name of a file (planar2-choice.png)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["reach", "track"])
def test_a_film_in_another_format_is_refused_before_the_work(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "planar2", "--gif", "film.png"]) == 2
    assert "allowed: mp4, gif" in " ".join(capsys.readouterr().err.replace("│", "").split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["choose", "planar2", "--figure", "c.foo"], r"cannot draw to c\.foo.*allowed: .*png"),
        (["track", "planar2", "--figure", "c.foo"], r"cannot draw to c\.foo.*allowed: .*png"),
        (["view", "planar2", "--still", "c.foo"], r"cannot draw to c\.foo.*allowed: .*png"),
        (["reach", "planar2", "--gif", "film.mp4"], "an MP4 needs imageio-ffmpeg"),
        (["reach", "planar2", "--out", "o", "--record", "0", "--video", "mp4"], "an MP4 needs imageio-ffmpeg"),
        (["reach", "planar2", "--out", "o", "--record", "0", "--video", "avi"], "allowed: mp4, gif"),
    ],
)
def test_a_picture_that_could_not_be_written_is_refused_before_the_work(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.arm.load_arm", lambda *_, **__: pytest.fail("went to work"))
    monkeypatch.setattr("sim.rendering.films.find_spec", lambda name: None)
    assert main(words) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.replace("│", "").split()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arms", "--tip", "tool0"], "--base and --tip are links of one arm"),
        (["train", "planar2", "--both-targets"], "give --kind mse too"),
        (["reach", "planar2", "--video", "gif"], "give --record too"),
        (["reach", "planar2", "--workers", "4"], "are of --engine processes"),
        (["reach", "planar2", "--targets", "5"], "give --gif too"),  # the default, said aloud
        (["reach", "planar2", "--gui", "--engine", "processes"], "leave it out with --engine processes"),
        (
            ["track", "planar2", "--line", "1", "0", "0", "--q-start", "0", "1", "--ideal-motors"],
            "give one of them too",
        ),
    ],
)
def test_an_option_that_would_be_of_no_use_alone_is_refused_before_the_work(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.arm.load_arm", lambda *_, **__: pytest.fail("went to work"))
    assert main(words) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", "").split())


def test_a_package_that_is_missing_is_told_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    monkeypatch.setitem(sys.modules, "sbi.diagnostics", None)
    monkeypatch.setattr("ik_mdn.comparison.take_survey", lambda *_, **__: pytest.fail("went to work"))
    monkeypatch.setattr("ik_mdn.evaluation.evaluate", lambda *_, **__: pytest.fail("went to work"))
    for words in (["compare", "planar2", "--learned", "1"], ["evaluate", "planar2", "--sbi"]):
        assert main(words) == 2
        assert "pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        ("ik_mdn.training.draw_choice", ["choose", "planar2", "--components", "1", "--steps", "2", "--count", "50"]),
        ("ik_mdn.evaluation.draw_evaluation", ["evaluate", "planar2", "--count", "5", "--figures", "figures"]),
        (
            "ik_mdn.paths.draw_joints",
            ["track", "planar2", "--q-start", "0.3", "0.8", "--line", "1.2", "0.9", "0", "--figure", "joints.png"],
        ),
        ("ik_mdn.cli.reach.record_series", ["reach", "planar2", "--episodes", "1", "--gif", "film.gif"]),
    ],
)
def test_numbers_are_written_before_anything_is_drawn(
    drawing: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drawing, fail)
    assert main([*words, "--json", "numbers.json"]) == 2
    assert (tmp_path / "numbers.json").exists()


def test_a_graph_that_could_not_be_read_again_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "planar2", "--onnx", "/dev/null"]) == 2
    assert "error: --onnx must name a plain file" in capsys.readouterr().err


def test_more_targets_than_can_be_drawn_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "planar2", "--execute", "1000000000"]) == 2
    assert "error: --execute goes up to 100,000 targets" in capsys.readouterr().err


def test_choosing_for_a_redundant_arm_says_what_it_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--components", "1", "--covariances", "diagonal", "--steps", "1", "--count", "20", "--width", "8"]
    assert main(["choose", "planar3", *words]) == 0
    assert "joints to spare" not in capsys.readouterr().err
    assert main(["choose", "planar3", "--task", "planar_position", *words]) == 0
    assert "K of one mixture over all of them" in " ".join(capsys.readouterr().err.split())
