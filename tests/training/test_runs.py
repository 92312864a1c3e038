"""Run folders: one run each, no step told twice, nothing lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from ik_mdn.training.figures import plot_training
from ik_mdn.training.runs import RunFolder
from sim.errors import ShapeError, TrainingError


def _steps(folder: Path) -> list[int]:
    return [int(row.split(",")[0]) for row in (folder / "metrics.csv").read_text().splitlines()[1:]]


def test_a_saved_state_comes_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {"arm": "a"})
    assert run.load() is None
    run.save({"x": torch.arange(3.0)}, step=7, seconds=1.5)
    run.close()
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
    run.close()
    RunFolder(tmp_path, {}).load()
    assert _steps(tmp_path) == [50, 100]


def test_a_run_may_get_a_longer_budget_but_nothing_else_may_change(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"arm": "a", "steps": 100}).close()
    RunFolder(tmp_path, {"arm": "a", "steps": 200}).close()
    with pytest.raises(TrainingError, match=r"holds other training runs: arm is 'a' there, 'b' here"):
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
    run.close()
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "metrics.csv", "state.safetensors"}


def test_a_damaged_description_is_reported(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"arm": "a"}).close()
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        RunFolder(tmp_path, {"arm": "a"})


def test_a_changed_bit_of_the_state_is_reported(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    run.save({"x": torch.ones(100)}, step=1, seconds=0.0)
    path = tmp_path / "state.safetensors"
    whole = path.read_bytes()
    for place in (len(whole) - 7, whole.index(b'"step":"1"') + 8):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(TrainingError, match=r"is damaged .*checksum.* delete the folder to start again"):
            run.load()


@pytest.mark.parametrize("row", [b"fifty,1,2,0.3\n", b"\xff,1\n", b"\n"])
def test_damaged_metrics_are_reported(row: bytes, tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {})
    (tmp_path / "metrics.csv").write_bytes(b"step,seconds,loss,floor\n" + row)
    with pytest.raises(TrainingError, match=r"metrics\.csv is damaged"):
        run.load()


def test_a_full_disk_is_named_and_the_state_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path, {})
    run.save({"x": torch.ones(3)}, step=1, seconds=0.0)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=r"No space left.*state\.safetensors"):
            run.save({"x": torch.zeros(3)}, step=2, seconds=0.0)
    found = run.load()
    assert found is not None
    assert found[1] == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"step,seconds,loss,floor\n",
        b"loss\n1\n",
        b"seconds,loss,floor\n1,2\n",
        b"\xff",
        b"seconds,loss,floor\n1,x,3\n",
    ],
)
def test_a_file_that_holds_no_metrics_is_refused_for_drawing(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(text)
    with pytest.raises(ShapeError, match="holds no training metrics"):
        plot_training([tmp_path / "metrics.csv"], tmp_path / "figure.png")
