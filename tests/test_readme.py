"""What the README and the guides say works as it stands there: their Python is run, their commands are typed in."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ik_mdn.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs" / "guides").glob("*.md"))]
_RESULTS = ("compare_arms", "benchmark", "reach_suites", "track_paths")
NOT_TYPED = {  # lines of the README's shell blocks that no test types in, and why
    "make demo": "installs; its script runs in tests/scripts/test_demo.py",
    "make test": "would run this test again",
}
# What the README's table says to type, and what it is typed in with here: ARM, names and numbers in small, so that it takes seconds.
TABLE = {
    "ik-mdn arms [ARM]": "ik-mdn arms planar2",
    "ik-mdn generate ARM --count 10M --out FOLDER": "ik-mdn generate planar2 --count 2k --out data",
    "ik-mdn train ARM --minutes 10": "ik-mdn train planar2 --minutes 0.03 --width 16 --blocks 1 --components 2",
    "ik-mdn plot runs/ARM-mdn": "ik-mdn plot runs/planar2-mdn",
    "ik-mdn evaluate ARM": "ik-mdn evaluate planar2 --count 50 --mode-count 5",
    "ik-mdn export ARM --onnx FILE": "ik-mdn export planar2 --onnx planar2.onnx --count 20",
    "ik-mdn choose ARM --components 1 2 4 8": "ik-mdn choose planar2 --components 1 2 --count 500 --steps 10 --folds 2",
    "ik-mdn solve ARM --pose X Y Z QX QY QZ QW": "ik-mdn solve xarm6 --pose 0.3 0 0.2 1 0 0 0",
    "ik-mdn reach ARM --scene shelf --suite near-limits": "ik-mdn reach xarm6 --scene shelf --suite near-limits --episodes 1",
    "ik-mdn track ARM --pose ... --line X Y Z": "ik-mdn track xarm6 --pose 0.3 0 0.2 1 0 0 0 --line 0.05 0 0",
    "ik-mdn compare ARM [ARM ...] --report report.html": "ik-mdn compare planar2 planar3 --report report.html --count 20",
    "ik-mdn teach": "ik-mdn teach --only log_sum_exp",
    "ik-mdn view ARM": "ik-mdn view planar2 --record page.html",
}
TYPED = ("ik-mdn arms", "ik-mdn solve", "ik-mdn compare planar2", "ik-mdn reach planar2", "ik-mdn track xarm6")


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def _commands() -> list[str]:
    """Every line of the pages' shell blocks that starts with a command that is quick and needs no file of the reader's."""
    lines = [
        line.split(" #")[0].strip() for page in PAGES for block in _blocks(page, "sh") for line in block.splitlines()
    ]
    return sorted({line for line in lines if line.startswith(TYPED) and "my.urdf" not in line})


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 130


def test_the_readme_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `ik-mdn (\w+)", README.read_text(encoding="utf-8"), re.M))
    assert set(COMMANDS) == listed


def test_links_of_readme_and_contributing_lead_to_files() -> None:
    for page in (README, ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (ROOT / link).exists(), f"{page.name}: {link}"


def test_the_numbers_of_the_readme_are_those_of_the_results() -> None:
    results = {name: json.loads((ROOT / "data" / "results" / f"{name}.json").read_text()) for name in _RESULTS}
    (xarm6,) = (each for each in results["compare_arms"]["arms"] if each["arm"] == "xarm6")
    median = {each["method"]: 1e3 * each["err_pos_m"]["median"] for each in xarm6["methods"]}
    assert median["MDN + refinement"] < 1e-3
    arms, suites = results["benchmark"]["arms"], results["reach_suites"]["cells"]
    uniform = [cell for cell in suites if (cell["scene"], cell["suite"]) == ("free", "uniform")]
    paths = results["track_paths"]

    def ratio(arm: str, method: str) -> float:
        median: float = arms[arm]["times"][method]["ratio"]["batch"][0]
        return median

    recall = [100 * arms[arm]["answers"]["ours"]["recall"] for arm in ("ur5e", "xarm6", "puma560")]
    wanted = (
        f"{median['MSE regression']:.0f} mm, {median['MDN: best mode by FK']:.1f} mm, below 0.001 mm",
        ", ".join(f"{share:.3f} %" for share in recall),
        f"{ratio('ur5e', 'EAIK'):.2f}, {ratio('puma560', 'EAIK'):.2f}; {ratio('xarm6', 'ssik'):.0f}",
        f"{sum(cell['reached'] for cell in uniform):,} of {sum(cell['episodes'] for cell in uniform):,}",
        f"{paths['count'] * len(paths['arms'])} Cartesian paths",
    )
    text = README.read_text(encoding="utf-8")
    for words in wanted:
        assert words in text, words
    assert all(arms[arm]["answers"]["ours, thorough"]["recall"] == 1 for arm in ("ur5e", "xarm6", "puma560"))
    assert sum(one["silent_switches"] for one in paths["arms"].values()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_as_it_stands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(_blocks(page, "python"))
    if "gymnasium" in code:
        pytest.importorskip("gymnasium")
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, str(page), "exec"), names)
    if page == README:
        weight = names["found"].weight  # type: ignore[attr-defined]
        np.testing.assert_allclose(weight.sum(), 1)
        assert names["result"].status == "reached"  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("line", _commands())
def test_a_command_of_the_pages_can_be_typed_in(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0
    out, err = capfd.readouterr()
    assert out or list(tmp_path.iterdir()), err


def test_every_line_of_the_readme_is_typed_in_or_has_a_reason() -> None:
    lines = {line.split(" #")[0].strip() for block in _blocks(README, "sh") for line in block.splitlines()}
    assert lines - set(_commands()) == set(NOT_TYPED)
    assert re.findall(r"^\| `(ik-mdn [^`]+)`", README.read_text(encoding="utf-8"), re.M) == list(TABLE)
    for said, typed in TABLE.items():
        fixed = [word for word in shlex.split(said) if word.islower() and "ARM" not in word and not word.isdigit()]
        assert set(fixed) - {"..."} <= set(shlex.split(typed)), said


@pytest.mark.slow
def test_the_commands_of_the_readmes_table_can_be_typed_in_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for typed in TABLE.values():
        if "--onnx" in typed and not find_spec("onnxruntime"):
            continue
        assert main(shlex.split(typed)[1:]) == 0, typed
    made = {"data", "runs", "planar2.safetensors", "report.html", "page.html"}
    assert made <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_the_commands_of_the_dataset_tutorial_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = _blocks(ROOT / "docs" / "tutorials" / "dataset.md", "sh")
    assert "--minutes 1 " in block
    for line in block.replace("--minutes 1 ", "--steps 30 ").replace("200k", "20k").splitlines():
        assert main(shlex.split(line)[1:]) == 0, line


@pytest.mark.slow
def test_every_command_of_the_table_has_help() -> None:
    for command in COMMANDS:
        done = subprocess.run([sys.executable, "-m", "ik_mdn", command, "--help"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
