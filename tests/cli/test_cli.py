"""The command line: help for everything, wrong input named, exit codes that scripts can rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ik_mdn.cli import COMMANDS, main


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_without_loading_torch(command: str) -> None:
    code = (
        "import sys\nfrom ik_mdn.cli import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'pybullet', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    env = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: ik-mdn " + command in done.stdout
    assert "{None}" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_lists_every_command_in_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert all(f"\n  {command}" in printed for command in COMMANDS)


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "unknown command 'trian' (did you mean 'train'?); allowed: arms" in capsys.readouterr().err


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


@pytest.mark.slow
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


# what is typed


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    import ik_mdn

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ik-mdn {ik_mdn.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["solv"], "solve"),
        (["arms", "xram6"], "xarm6"),
        (["reach", "planar2", "--scene", "tabel"], "table"),
        (["reach", "planar2", "--suite", "unifrom"], "uniform"),
        (["solve", "planar2", "--point", "1", "0", "--model", "planr2"], "planar2"),
        (["solve", "planar2", "--point", "1", "0", "--task", "positoin"], "position"),
        (["solve", "planar2", "--point", "1", "0", "--rank", "wieght"], "weight"),
        (["solve", "planar2", "--point", "1", "0", "--device", "cpuu"], "cpu"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_one_like_it(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert f"(did you mean {meant!r}?)" in capsys.readouterr().err


def test_a_misspelt_option_is_answered_with_the_one_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arms", "--jsn", "-"]) == 2
    assert "Perhaps you meant" in (error := capsys.readouterr().err)
    assert "--json FILE" in error


@pytest.mark.parametrize(("shell", "start"), [("bash", "complete -F"), ("zsh", "#compdef ik-mdn")])
def test_completion_knows_commands_and_options(shell: str, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    assert start in script
    assert all(word in script for word in [*COMMANDS, "--q-seed", "--thorough"])


@pytest.mark.parametrize("shell", [["fish"], ["tcsh"], []])
def test_a_shell_that_has_no_completion_is_answered_with_those_that_have(
    shell: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--completion", *shell]) == 2
    assert "allowed: bash, zsh" in capsys.readouterr().err


@pytest.mark.parametrize(
    "typed", [["--pose", "0.3,0,0.2,1,0,0,0"], ["--pose=0.3,0,0.2,1,0,0,0"], ["--pose", "0.3,", "0,0.2,", "1", "0,0,0"]]
)
def test_numbers_may_be_joined_by_commas(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "ur5e", "--model", "none", *typed]) == 0
    assert "target: xyz 0.3 0 0.2 m, rpy 180 0 0 deg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pose", "0.3,0,0.2"], "for a position alone give --point"),
        (["--point", "1", "x"], "'x' is no number"),
        (["--point", "1", "0", "--max-solutions", "nan"], "'nan' is no whole number"),
        (["--point", "1", "0", "--max-solutions", "9" * 30], "is too large"),
        (["--point", "1", "0", "--max-jump", "0.1"], "give --q-seed"),
        (["--point", "1", "0", "--tolerance", "nan"], "--tolerance nan"),
        (["--point", "1", "inf"], "'inf' is no finite number"),
        (["--point", "1", "0", "--q-seed", "0", "nan"], "'nan' is no finite number"),
        (["--point", "1", "0", "--q-seed", "1"], "--q-seed takes 2 numbers (joint1, joint2); got 1"),
        (["--point", "1", "0", "--json", "/"], "is a folder; give the name of a file (/)"),
        (["--point", "1", "0", "--model", "none", "--no-refine"], "error: --no-refine shows a model's raw modes"),
        (["--point", "1", "0", "--model", "q_seed/pose_file.zip"], "q_seed/pose_file.zip"),
    ],
)
def test_odd_values_are_answered_in_words(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "planar2", *arguments]) == 2
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert said in error
    assert "Traceback" not in error
    assert "class" not in error


def test_a_solution_of_seven_joints_is_no_wider_than_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "panda", "--pose", "0.4,0,0.4,1,0,0,0", "--max-solutions", "7"]) == 0
    printed = capsys.readouterr().out.splitlines()
    table = [line for line in printed if line[:1] in "┏┃┡│└"]
    assert max(map(len, table)) <= 80
    assert sum("panda_joint7 [rad]" in line for line in table) == 2  # five solutions side by side, and two below


@pytest.mark.parametrize("command", ["solve", "evaluate", "compare", "train"])
def test_a_device_that_is_not_here_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "planar2", "--device", "tpu:0"]) == 2
    assert "no device 'tpu:0'; here are: auto, cpu" in " ".join(capsys.readouterr().err.split())


def test_messages_speak_of_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fork = tmp_path / "fork.urdf"
    joint = '<joint name="{0}" type="revolute"><parent link="a"/><child link="{0}"/><limit lower="-1" upper="1" effort="1" velocity="1"/></joint><link name="{0}"/>'
    fork.write_text(f'<robot name="fork"><link name="a"/>{joint.format("b")}{joint.format("c")}</robot>')
    assert main(["arms", str(fork)]) == 2
    assert "name the tip with --tip; those with most moving joints: b (1), c (1)" in (error := capsys.readouterr().err)
    assert "tip=" not in error


def test_the_command_that_is_advised_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    from sim.files import data_folder

    urdf = tmp_path / "my arm.urdf"
    urdf.write_text((data_folder("arms") / "planar2.urdf").read_text().replace('xyz="1 0 0"', 'xyz="1.1 0 0"'))
    assert main(["evaluate", str(urdf)]) == 2
    advised = shlex.split(capsys.readouterr().err.split("`")[1])
    assert advised[:3] == ["ik-mdn", "train", str(urdf)]
    assert main(["arms", *advised[2:]]) == 0


# what is printed


def test_degrees_are_taken_and_what_is_printed_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    solve = ["solve", "planar2", "--point", "1.2", "0.5", "--model", "none"]
    assert main([*solve, "--degrees", "--q-seed", "-28", "99"]) == 0
    pasted = capsys.readouterr().out.splitlines()[-1].split()
    assert pasted[2] == "--q-seed"
    assert pasted[-1] == "--degrees"
    assert 98 < float(pasted[4]) < 99
    assert main([*solve, "--json", "-", *pasted[2:]]) == 0
    q = json.loads(capsys.readouterr().out)["targets"][0]["q"][0]
    assert [57.29577951308232 * value for value in q] == pytest.approx([float(word) for word in pasted[3:5]], abs=1e-6)


def test_what_of_a_pose_does_not_count_is_said_and_never_shown_as_an_error_of_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pose = ["--pose", "1", "0.5", "0", "0", "0", "0", "1"]
    assert main(["solve", "planar2", *pose, "--model", "none"]) == 0
    printed = capsys.readouterr().out
    assert "z and orientation ignored: task planar_position" in printed
    assert "free" in printed
    assert main(["solve", "planar3", *pose, "--model", "none"]) == 0
    assert "z and roll and pitch ignored: task planar_pose" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["300 0 0.1", "0 0 0.1"])
def test_a_base_far_from_the_arm_is_no_doubt(way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The arm may stand far away in a map, and its tip at its one joint."""
    (tmp_path / "hinge.urdf").write_text(
        '<robot name="hinge"><link name="map"/><link name="tip"/><joint name="a" type="revolute"><parent link="map"/>'
        f'<child link="tip"/><origin xyz="{way}"/><axis xyz="0 1 0"/><limit lower="-1" upper="1"/></joint></robot>'
    )
    assert main(["solve", str(tmp_path / "hinge.urdf"), "--pose", *way.split(), "0", "0", "0", "1"]) == 0
    assert "metres" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "doubt"),
    [
        (["--point", "800", "200"], "did you mean metres?"),
        (["--point", "1", "0", "--q-seed", "45", "90"], "did you mean --degrees?"),
    ],
)
def test_values_in_other_units_are_doubted(
    arguments: list[str], doubt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", "planar2", "--model", "none", *arguments]) == 0
    assert doubt in capsys.readouterr().err
    assert main(["solve", "planar2", "--model", "none", "--point", "1", "0", "--q-seed", "3", "-3"]) == 0
    assert capsys.readouterr().err == ""


def test_a_run_without_rows_is_said_to_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.csv").write_text("step,seconds,loss,floor\n")
    out = tmp_path / "curve.png"
    assert main(["plot", str(tmp_path), "--out", str(out)]) == 2
    assert "holds no training metrics" in capsys.readouterr().err
    assert not out.exists()


def test_a_reader_that_leaves_leaves_no_traceback() -> None:
    code = "import sys; from ik_mdn.cli import main; sys.exit(main(['arms']))"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.close()
    error = writer.stderr.read() if writer.stderr else b"?"
    assert (writer.wait(), error) == (141, b"")


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import sim.arm

    def interrupt() -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(sim.arm), "builtin_arms", interrupt)
    assert main(["arms"]) == 130
    assert capsys.readouterr().err == "error: stopped by Ctrl-C\n"


@pytest.mark.parametrize("option", ["--report", "--json"])
def test_compare_finds_out_before_the_work_that_a_file_cannot_be_written(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ik_mdn.comparison.load_contestants", lambda *_, **__: pytest.fail("worked first"))
    assert main(["compare", "planar2", option, str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_help_of_solve_says_what_an_unreachable_target_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "cannot be reached is a result: the exit code is 0" in said
    assert main(["solve", "planar2", "--point", "9", "9", "--json", "-"]) == 0
    assert "unreachable" in capsys.readouterr().out
