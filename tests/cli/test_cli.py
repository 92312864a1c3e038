"""The command line: help for everything, wrong input named, exit codes that scripts can rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ik_mdn.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_without_loading_torch(command: str) -> None:
    code = (
        "import sys\nfrom ik_mdn.cli import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'pybullet', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: ik-mdn " + command in done.stdout
    assert "{None}" not in done.stdout


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {command}" in printed for command in COMMANDS)


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "unknown command 'trian'; allowed: arms" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["arms", "generate", "train", "solve", "reach", "compare", "view"])
def test_a_misspelt_arm_is_named_with_what_is_allowed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"generate": ["--count", "10", "--out", "never"], "solve": ["--point", "1", "0"]}.get(command, [])
    assert main([command, "xram6", *options]) == 2
    error = capsys.readouterr().err
    assert "unknown arm 'xram6' (did you mean 'xarm6'?); allowed: planar2" in error
    assert not Path("never").exists()


def test_an_arm_can_be_given_by_position_or_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for arguments in (
        ["planar2", "--json", "-"],
        ["--arm", "planar2", "--json", "-"],
        ["--json", "-", "--arm=planar2"],
    ):
        assert main(["arms", *arguments]) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1] == printed[2]
    assert printed[0]["joint_names"] == ["joint1", "joint2"]


def test_training_writes_a_model_that_compare_and_solve_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--steps", "60", "--components", "4", "--width", "16", "--blocks", "1", "--batch-size", "64"]
    model, folder = tmp_path / "m.safetensors", tmp_path / "run"
    train = ["train", "planar:1,0.5", *small, "--out", str(model), "--run-folder", str(folder), "--json", "-"]
    assert main(train) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["training"]["steps"] == 60
    assert main(["compare", "planar:1,0.5", "--model", str(model), "--count", "20", "--json", "-"]) == 0
    names = [method["method"] for method in json.loads(capsys.readouterr().out)["methods"]]
    assert "MDN + refinement" in names
    assert main(["solve", "planar:1,0.5", "--model", str(model), "--point", "1.2", "0.3", "--json", "-"]) == 0
    assert main(["plot", str(folder), "--out", str(tmp_path / "curve.png")]) == 0
    assert (tmp_path / "curve.png").exists()


def test_another_arms_model_is_refused_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    from sim.files import data_folder

    planar2 = str(data_folder("models") / "planar2.safetensors")
    for command in ("compare", "solve", "reach"):
        options = ["--point", "1", "0"] if command == "solve" else []
        target = "planar:1,0.9"
        assert main([command, target, "--model", planar2, *options]) == 2
        assert "'planar2'" in capsys.readouterr().err


def test_an_unwritable_place_is_an_error_not_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert main(["arms", "planar2", "--json", str(blocked / "arm.json")]) == 2
    assert "error:" in capsys.readouterr().err
