"""Run folders: one run each, no step told twice, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ik_mdn.training.runs import RunFolder
from sim.errors import TrainingError


def _steps(folder: Path) -> list[int]:
    return [int(row.split(",")[0]) for row in (folder / "metrics.csv").read_text().splitlines()[1:]]


def test_a_saved_state_comes_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {"arm": "a"})
    assert run.load() is None
    run.save({"x": torch.arange(3.0)}, step=7, seconds=1.5)
    again = RunFolder(tmp_path / "run", {"arm": "a"}).load()
    assert again is not None
    assert again[1:] == (7, 1.5)
    torch.testing.assert_close(again[0]["x"], torch.arange(3.0))


def test_metrics_written_after_the_last_saved_state_are_dropped(tmp_path: Path) -> None:
    """What a kill leaves behind: rows up to step 150, the state of step 100."""
    run = RunFolder(tmp_path, {})
    run.load()
    for step in (50, 100, 150):
        run.write_row((step, 1.0, 2.0, 0.3))
    run.save({"x": torch.zeros(1)}, step=100, seconds=1.0)
    RunFolder(tmp_path, {}).load()
    assert _steps(tmp_path) == [50, 100]


def test_a_run_may_get_a_longer_budget_but_nothing_else_may_change(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"arm": "a", "steps": 100})
    RunFolder(tmp_path, {"arm": "a", "steps": 200})
    with pytest.raises(TrainingError, match=r"holds another run \(arm: a there, b asked for\)"):
        RunFolder(tmp_path, {"arm": "b", "steps": 200})


def test_a_damaged_state_is_reported_not_loaded(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    run.save({"x": torch.zeros(100)}, step=1, seconds=0.0)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:50])
    with pytest.raises(TrainingError, match=r"is damaged .* delete the folder to start again"):
        run.load()


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    run.load()
    run.save({"x": torch.zeros(1)}, step=1, seconds=0.0)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "metrics.csv", "state.safetensors"}


def test_a_damaged_description_is_reported(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"arm": "a"})
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        RunFolder(tmp_path, {"arm": "a"})
