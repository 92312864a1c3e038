"""Training in several processes: the same command under torchrun, as a user starts it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMON = ["--batch-size", "512", "--width", "32", "--blocks", "1", "--components", "4", "--device", "cpu"]


def _command(folder: Path, steps: int, processes: int, *options: str) -> list[str]:
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *options, "-m"]
    out = ["--out", str(folder / "model.safetensors"), "--run-folder", str(folder / "run"), "--overwrite"]
    return [*launcher, "ik_mdn", "train", "planar2", "--steps", str(steps), *COMMON, *out]


def _run(folder: Path, steps: int, processes: int) -> subprocess.CompletedProcess[str]:
    command = _command(folder, steps, processes)
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


def _losses(folder: Path) -> dict[int, float]:
    with (folder / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = {int(row["step"]): float(row["loss"]) for row in rows}
    assert len(losses) == len(rows), "a step is told twice"
    return losses


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_go_on_together(tmp_path: Path) -> None:
    """Same loss curve within noise for the same global batch; one model, one report; a longer budget is taken up."""
    one, two = tmp_path / "one", tmp_path / "two"
    _run(one, 400, 1)
    first = _run(two, 200, 2)
    assert first.stdout.count("report card") == 1
    _run(two, 400, 2)
    alone, together = _losses(one), _losses(two)
    assert together.keys() == alone.keys()
    assert together[400] == pytest.approx(alone[400], abs=0.25)
    assert (two / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_process_is_started_again_and_training_ends(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    command = _command(tmp_path, 300, 2, "--max-restarts=1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as launcher:
        deadline = time.monotonic() + 200
        while not (metrics := tmp_path / "run" / "metrics.csv").exists() or metrics.read_text().count("\n") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        children = subprocess.run(
            ["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        os.kill(int(children[-1]), signal.SIGKILL)
        output, _ = launcher.communicate(timeout=250)
    assert launcher.returncode == 0, output[:6000]
    assert max(_losses(tmp_path)) == 300


def test_what_several_processes_cannot_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ik_mdn.training import TrainConfig, Trainer, build_model
    from ik_mdn.training.processes import Processes
    from ik_mdn.training.stages import stages_of
    from sim import load_arm
    from sim.errors import TrainingError

    monkeypatch.setattr(Processes, "joined", lambda device: Processes(0, 3))
    for config, message in (
        (TrainConfig(minutes=1.0), "give steps, and no minutes"),
        (TrainConfig(steps=10, batch_size=64), "batch_size is 64; 3 processes need a multiple"),
    ):
        (part,) = stages_of(build_model(load_arm("planar2"), config), config)
        with pytest.raises(TrainingError, match=message):
            Trainer(part.network, config, part.stream)
