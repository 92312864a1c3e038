"""Training on other devices: what of it can be held to the CPU without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ik_mdn.model import choose_device
from ik_mdn.training import TrainConfig, Trainer, build_model
from ik_mdn.training.stages import stages_of
from sim import load_arm
from sim.errors import UnknownNameError

_INTERPRETED = """
import sys
import torch
sys.path.insert(0, sys.argv[1])
from test_likelihood import PERIOD, TURNING, head_and_targets
from ik_mdn.training.likelihood import raw_of
from ik_mdn.training.likelihood_numba import on_cpu
from ik_mdn.training.likelihood_triton import on_gpu
turn = torch.where(PERIOD.isinf(), 0.0, PERIOD)
for covariance, turning in (("isotropic", TURNING[0]), ("diagonal", TURNING[1]), ("full", TURNING[2])):
    head, hidden, y = head_and_targets(covariance, turning)
    numbers, y = head.numbers(hidden[:20]), y[:20].contiguous()
    raw = raw_of(head.parts_of(numbers), 4)
    results = []
    for values, run in ((numbers, lambda *out: on_cpu(head.shape, turn, y, 0.15, None, *out)),
                        (raw, lambda *out: on_gpu(turn, y, torch.tensor(0.15), *out))):
        gradient, loss = torch.full_like(values, torch.nan), torch.full((20,), torch.nan)
        run(values.detach(), gradient, loss)
        results.append((torch.autograd.grad(values, numbers, gradient)[0], loss))
    for on_cpus, on_gpus in zip(*results):
        torch.testing.assert_close(on_gpus, on_cpus, rtol=1e-4, atol=1e-4)
"""


@pytest.mark.slow
def test_the_pass_for_gpus_gives_what_the_one_for_cpus_gives() -> None:
    """Triton's interpreter runs it without a GPU."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    arguments = [sys.executable, "-W", "ignore", "-c", _INTERPRETED, str(Path(__file__).parent)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_devices_that_are_not_here_are_named() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UnknownNameError, match=r"no device 'gpu'; here are: auto, cpu"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UnknownNameError, match="torch finds no CUDA device"):
            choose_device("cuda")


def test_a_run_goes_on_on_another_device(tmp_path: Path) -> None:
    """What a GPU's run leaves behind but for the state of its random numbers, which is of another kind."""
    arm, config = load_arm("planar2"), TrainConfig(steps=60, width=16, blocks=1, components=2, batch_size=64)
    (part,) = stages_of(build_model(arm, config), config)
    first = Trainer(part.network, config, part.stream, run_folder=tmp_path)
    first.step, first.seconds = 50, 1.0
    first.generator = SimpleNamespace(get_state=lambda: torch.zeros(16, dtype=torch.uint8))  # type: ignore[assignment]
    first.save_state()
    assert first.folder is not None
    first.folder.close()
    (part,) = stages_of(build_model(arm, config), config)
    second = Trainer(part.network, TrainConfig(**{**vars(config), "device": "cpu"}), part.stream, run_folder=tmp_path)
    assert second.step == 50
    second.run()
    assert second.step == 60


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_learns_what_the_cpu_learns() -> None:
    losses = {}
    for device in ("cpu", "cuda"):
        config = TrainConfig(steps=400, width=32, blocks=1, components=4, batch_size=512, device=device)
        (part,) = stages_of(build_model(load_arm("planar2"), config), config)
        seen: list[float] = []
        Trainer(part.network, config, part.stream).run(lambda at, seen=seen: seen.append(at.loss))  # type: ignore[misc]
        losses[device] = seen[-1]
    assert losses["cuda"] == pytest.approx(losses["cpu"], abs=0.3)
