"""Sweeps: as many trials as asked for, none lost when stopped, in processes and in a database too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.arm.catalogue import planar_urdf
from sim.errors import IKError

optuna = pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")

import sweep  # noqa: E402 - after the skip

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        return {"components": trial.suggest_int("components", 2, 4), "width": 8, "blocks": 1, "batch_size": 64}

    monkeypatch.setattr(sweep, "suggest", suggest)
    monkeypatch.setattr(sweep, "_POSES", 50)


@pytest.mark.parametrize("storage", ["journal.log", "sqlite:///{}/studies.db"])
def test_a_stopped_sweep_goes_on(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = storage.format(tmp_path) if ":" in storage else str(tmp_path / storage)
    options: dict[str, Any] = {"trials": 3, "steps": 4, "storage": where, "out": tmp_path / "out.json"}
    judge, calls = sweep.train_and_judge, []

    def stop(*arguments: Any) -> float:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*arguments)

    monkeypatch.setattr(sweep, "train_and_judge", stop)
    with pytest.raises(KeyboardInterrupt):
        sweep.main(("planar2",), **options)
    sweep.main(("planar2",), **options)
    assert len(calls) == 4  # the first, the stopped one, and two more
    trials = json.loads((tmp_path / "out.json").read_text())["arms"]["planar2"]
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 3
    assert trials[0]["value"] == min(trial["value"] for trial in trials)
    assert "| planar2 | 3 of 3 |" in capsys.readouterr().out
    sweep.main(("planar2",), **options)
    assert len(calls) == 4


def test_a_training_that_fails_is_a_failed_trial_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "suggest", lambda trial: {"components": -1})
    sweep.main(("planar2",), trials=1, steps=2, storage=str(tmp_path / "j.log"), out=tmp_path / "out.json")
    (trial,) = json.loads((tmp_path / "out.json").read_text())["arms"]["planar2"]
    assert (trial["state"], trial["value"]) == ("FAIL", None)
    assert "components must be" in trial["error"]
    assert f"planar2: 1 of 1 trials failed, one of them: {trial['error']}" in capsys.readouterr().out


def test_what_would_fail_in_every_trial_is_refused_before_the_first(tmp_path: Path) -> None:
    options: dict[str, Any] = {"trials": 1, "storage": str(tmp_path / "j.log"), "out": tmp_path / "out.json"}
    with pytest.raises(IKError, match="ur5x"):
        sweep.main(("planar2", "ur5x"), steps=2, **options)
    with pytest.raises(IKError, match="a trial needs a budget: --steps is 0"):
        sweep.main(("planar2",), steps=0, **options)
    assert not list(tmp_path.iterdir())


def test_arms_that_differ_never_share_a_study(tmp_path: Path) -> None:
    files = []
    for folder, length in (("a", 0.3), ("b", 0.2)):
        files.append(tmp_path / folder / "robot.urdf")
        files[-1].parent.mkdir()
        files[-1].write_text(planar_urdf((0.5, length), name="robot"))
    arms = ["ur5e", "planar:0.5,0.4,0.3", "planar:0.5,0.4,0.2", *map(str, files)]
    names = {sweep.open_study("sweep", str(tmp_path / "j.log"), arm).study_name for arm in arms}
    assert len(names) == len(arms)


def test_several_processes_share_a_study(tmp_path: Path) -> None:
    program = (
        "import sweep, sys\n"
        "sweep._POSES = 50\n"
        "sweep.suggest = lambda trial: {'components': trial.suggest_int('components', 2, 4), 'width': 8, 'blocks': 1,"
        " 'batch_size': 64}\n"
        "sweep.main(('planar2',), trials=2, steps=2, objective='draws', seed=int(sys.argv[1]), storage=sys.argv[2],"
        " out=sys.argv[3])"
    )
    folder = str(Path(sweep.__file__).parent)
    words = [[str(seed), str(tmp_path / "j.log"), str(tmp_path / f"{seed}.json")] for seed in range(2)]
    both = [subprocess.Popen([sys.executable, "-c", program, *each], cwd=folder) for each in words]
    assert [process.wait() for process in both] == [0, 0]
    ended = list(sweep.describe_trials(sweep.open_study("sweep", str(tmp_path / "j.log"), "planar2")))
    assert 2 <= len(ended) <= 4
    assert {trial["state"] for trial in ended} <= {"COMPLETE", "PRUNED"}
    assert sorted(trial["number"] for trial in ended) == list(range(len(ended)))
