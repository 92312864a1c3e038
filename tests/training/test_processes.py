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

from ik_mdn.cli import main

STEPS = 400
COMMON = ["--batch-size", "512", "--width", "16", "--blocks", "1", "--components", "4", "--device", "cpu"]


def _training(folder: Path) -> list[str]:
    out = ["--out", str(folder / "model.safetensors"), "--run-folder", str(folder / "run")]
    return ["train", "planar2", "--steps", str(STEPS), *COMMON, *out]


def _command(folder: Path) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return [*launcher, "--max-restarts=1", "-m", "ik_mdn", *_training(folder)]


def _losses(folder: Path) -> dict[int, float]:
    with (folder / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = {int(row["step"]): float(row["loss"]) for row in rows}
    assert len(losses) == len(rows), "a step is told twice"
    return losses


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_two_processes_of_which_one_is_killed_learn_what_one_does(tmp_path: Path) -> None:
    """Same loss curve within noise for the same global batch; started again, they go on; one model, one report."""
    one, two = tmp_path / "one", tmp_path / "two"
    with subprocess.Popen(_command(two), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as launcher:
        deadline = time.monotonic() + 200
        while not (metrics := two / "run" / "metrics.csv").exists() or metrics.read_text().count("\n") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pids = subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True, check=True).stdout
        os.kill(int(pids.split()[-1]), signal.SIGKILL)
        output, _ = launcher.communicate(timeout=250)
    assert launcher.returncode == 0, output[:6000]
    assert output.count("planar2: 2 joints") == 2, "it was killed too late"
    assert output.count("report card") == 1
    assert "Traceback" not in output, output[:6000]
    assert main(_training(one)) == 0
    alone, together = _losses(one), _losses(two)
    assert together.keys() == alone.keys()
    assert together[STEPS] == pytest.approx(alone[STEPS], abs=0.25)
    assert (two / "model.safetensors").is_file()


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
