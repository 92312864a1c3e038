"""Arms whose tasks are rows in frames of their own are trained, saved, loaded, solved, tracked and reached like others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ik_mdn
import sim
from ik_mdn.cli import main
from ik_mdn.paths import line_path, track

LIMIT = '<limit lower="{}" upper="{}" effort="50" velocity="2"/>'
ROWS = {  # kind, axis, offset of the link behind, limits
    "x,y,z,yaw": [
        ("revolute", "0 0 1", "0.3 0 0", -2.5, 2.5),
        ("revolute", "0 0 1", "0.25 0 0", -2.5, 2.5),
        ("prismatic", "0 0 1", "0 0 0", -0.2, 0.0),
        ("revolute", "0 0 1", "0 0 -0.1", -3.0, 3.0),
    ],
    "x,y,z,pitch": [
        ("revolute", "0 0 1", "0 0 0.1", -2.6, 2.6),
        *[("revolute", "0 1 0", "0.2 0 0", -2.6, 2.6)] * 3,
    ],
}
STARTS = {"x,y,z,yaw": (0.3, -0.8, -0.1, 0.4), "x,y,z,pitch": (0.3, -0.5, 0.6, 0.4)}


def write(folder: Path, task: str) -> Path:
    links = "".join(f'<link name="l{i}"/>' for i in range(5)) + '<link name="tip"/>'
    joints, behind = "", "0 0 0.2"
    for i, (kind, axis, xyz, low, high) in enumerate(ROWS[task]):
        joints += (
            f'<joint name="j{i}" type="{kind}"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="{behind}"/>'
            f'<axis xyz="{axis}"/>{LIMIT.format(low, high)}</joint>'
        )
        behind = xyz
    joints += f'<joint name="t" type="fixed"><parent link="l4"/><child link="tip"/><origin xyz="{behind}"/></joint>'
    file = folder / "arm.urdf"
    file.write_text(f'<robot name="arm">{links}{joints}</robot>')
    return file


@pytest.mark.slow
@pytest.mark.parametrize("task", ROWS)
def test_from_training_to_the_motors(task: str, tmp_path: Path) -> None:
    file, model = write(tmp_path, task), str(tmp_path / "model.safetensors")
    small = ["--steps", "60", "--width", "32", "--blocks", "1", "--components", "6", "--batch-size", "128"]
    run = ["--run-folder", str(tmp_path / "run"), "--out", model]
    assert main(["train", str(file), *small, *run]) == 0
    assert main(["evaluate", str(file), "--model", model, "--count", "100"]) == 0
    assert main(["reach", str(file), "--model", model, "--episodes", "2", "--no-meshes"]) == 0

    solver = ik_mdn.IKSolver.load(model, sim.load_arm(file))
    assert solver.task == sim.default_task(solver.arm)
    assert solver.task.name == task
    q = np.random.default_rng(0).uniform(solver.arm.q_min, solver.arm.q_max, (50, 4))
    found = solver.solve(sim.forward_kinematics(solver.arm, q))
    assert found.solved.all()

    start = np.array(STARTS[task])
    T = sim.forward_kinematics(solver.arm, np.stack([start, start + 0.05]))
    followed = track(solver, line_path(*T), q_start=start)
    assert followed.status.followed
    assert followed.fraction == 1.0
