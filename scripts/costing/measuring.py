"""Unit costs, each measured in a process of its own or in turns, on the machine that runs this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

import sim
from ik_mdn.solver import IKSolver
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.executor import Engine, EngineKind
from sim.kinematics import forward_kinematics

_POSE_BYTES = 16 * 8  # of a target
_PEAK = """\
import json, sys
import sim
kind, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "generate":
    sim.generate(sim.load_arm("ur5e"), name, count=count, shard_size=min(count, 100_000), workers=1)
else:
    import numpy as np, ik_mdn
    arm = sim.load_arm("ur5e")
    q = arm.sample(np.random.default_rng(0), count)
    found = ik_mdn.IKSolver(arm).solve(sim.forward_kinematics(arm, q), restarts=1)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # of this program alone
print(json.dumps(int(peak.split()[1]) / 1024))
"""
_TRAINING = """\
import json, os, sys
import sim, torch
from ik_mdn.training import TrainConfig, rank, train
torch.set_num_threads(1)
name, steps, batch_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
config, seen = TrainConfig(steps=steps, batch_size=batch_size, seed=0), []
def look(now):
    seen.append(now)
    if now.step >= steps and not rank():  # the others leave before the report card
        first = next(one for one in seen if one.step >= steps // 10)
        rate = batch_size * (now.step - first.step) / (now.seconds - first.seconds)
        print(json.dumps({"width": config.width, "samples_per_s": rate}), flush=True)
        os._exit(0)
train(sim.load_arm(name), config, on_progress=look)
"""


def measure_generate(arm: Arm, count: int, engines: Sequence[tuple[EngineKind, int]], address: str | None) -> Any:
    """Poses per second of `generate` by engine and workers, compiled before; start of the workers apart for processes and Ray.

    Args:
        arm: The arm.
        count: Poses.
        engines: Kinds and numbers of workers.
        address: Of a Ray cluster.
    """
    rows = []
    with TemporaryDirectory() as folder:
        sim.generate(arm, Path(folder, "first"), count=1000, workers=1)
        for kind, workers in engines:
            begin, first = time.perf_counter(), 0.0

            def tell(done: int, total: int, begin: float = begin) -> None:
                nonlocal first
                first = first or (time.perf_counter() - begin if done else 0.0)

            size = max(1000, count // (8 * workers))
            report = sim.generate(
                arm,
                Path(folder, f"{kind}-{workers}"),
                count=count,
                shard_size=size,
                workers=workers,
                engine=Engine(kind, workers, address if kind == "ray" else None),
                on_progress=tell,
            )
            row = {"engine": kind, "workers": workers, "poses": count, "seconds": report.seconds, "first_after": first}
            rows.append({**row, "poses_per_s": report.rate, "bytes_per_pose": report.n_bytes / count})
    return rows


def measure_solve(joints: Sequence[int], targets: Sequence[int], patience: float, seed: int) -> Any:
    """Time per pose of solving without a model, by joints of a random chain and number of targets; of small calls the
    median over the first hundred targets.

    Args:
        joints: Of the chains.
        targets: Numbers of them, rising; those that would take longer than `patience` [s] are left out.
        patience: See there.
        seed: Of chains and targets.
    """
    rows = []
    for n in joints:
        arm = random_chain(n, seed)
        solver, rng = IKSolver(arm), np.random.default_rng(seed)
        T = forward_kinematics(arm, arm.sample(rng, max(targets)))
        solver.solve(T[:1])
        solver.solve(T[:100])  # rare targets load, or compile, what the first one did not need
        each = 0.0
        for count in targets:
            if each * count > patience:
                break
            calls = [_time_solve(solver, T[i : i + count]) for i in range(0, max(count, 100), count)]
            each, cpu, solved = (float(value) for value in np.median(calls, axis=0))
            row = {"joints": n, "task": solver.task.name, "targets": count, "us_per_pose": 1e6 * each}
            rows.append({**row, "cpu_us_per_pose": 1e6 * cpu, "solved": solved})
    return rows


def _time_solve(solver: IKSolver, T: FloatArray) -> tuple[float, float, float]:
    """Time and CPU time per pose of one call [s], and the share that it solves."""
    begin, cpu = time.perf_counter(), time.process_time()
    found = solver.solve(T)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return seconds / len(T), cpu / len(T), float(found.solved.mean())


def measure_memory(counts: Sequence[int]) -> Any:
    """Peak memory [MiB] of a process that generates, or solves, so many poses; a solved batch holds its own targets."""
    rows = []
    for kind in ("generate", "solve"):
        for count in counts:
            with TemporaryDirectory() as folder:
                done = subprocess.run(
                    [sys.executable, "-c", _PEAK, kind, folder, str(count)], capture_output=True, text=True, check=True
                )
            held = count * _POSE_BYTES / 2**20 if kind == "solve" else 0.0
            rows.append({"what": kind, "poses": count, "peak_mib": json.loads(done.stdout), "targets_mib": held})
    return rows


def measure_training(arm: str, steps: int, batch_size: int, processes: Sequence[int]) -> Any:
    """Samples per second of training with the default network, after its first tenth, by processes of one core each.

    Args:
        arm: A built-in arm.
        steps: Of each training.
        batch_size: Of each process: the batch grows with their number.
        processes: Numbers of them, started by torchrun.
    """
    rows = []
    for n in processes:
        with TemporaryDirectory() as folder:
            script = Path(folder, "training.py")
            script.write_text(_TRAINING, encoding="utf-8")
            start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
            command = [*start, str(script), arm, str(steps), str(n * batch_size)]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        rows.append({"arm": arm, "processes": n, "batch_size": n * batch_size, **json.loads(done.stdout)})
    return rows


def random_chain(n: int, seed: int) -> Arm:
    """A chain of n turning joints on links of random direction, in limits of two thirds of a turn to each side."""
    rng = np.random.default_rng([seed, n])
    offsets = np.tile(np.eye(4), (n + 1, 1, 1))
    offsets[:, :3, :3] = Rotation.random(n + 1, random_state=rng).as_matrix()
    offsets[:, :3, 3] = rng.normal(scale=0.2, size=(n + 1, 3))
    most = np.full(n, 2.1)
    return Arm(
        name=f"chain{n}",
        base="base",
        tip="tip",
        joint_names=tuple(f"joint{i + 1}" for i in range(n)),
        joint_types=("revolute",) * n,
        offsets=offsets,
        q_min=-most,
        q_max=most,
        dq_max=np.ones(n),
        effort_max=np.full(n, 100.0),
    )
