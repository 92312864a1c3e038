"""Everything but the physics world works where PyBullet is not installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pybullet", "pybullet_data"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""

USE = """
import importlib, pkgutil
import numpy as np
import sim, ik_mdn
for package in (sim, ik_mdn):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            None if module.name.endswith("__main__") else importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # what extras bring
            assert error.name.split(".")[0] in ("gymnasium", "viser"), error
solver = ik_mdn.IKSolver.load("planar2")
q = np.array([0.3, 0.7])
found = solver.solve(sim.forward_kinematics(solver.arm, q))[0]
assert np.abs(found.q - q).max(axis=1).min() < 1e-6
assert sim.load_scene("table", solver.arm).obstacles
from ik_mdn.paths import line_path, track
assert track(solver, line_path(*sim.forward_kinematics(solver.arm, np.stack([q, q + 0.05])))).status.followed
from ik_mdn.cli import main
assert main(["solve", "planar2", "--point", "1", "1", "--json", "-"]) == 0
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_every_module_imports_and_targets_are_solved_and_tracked() -> None:
    done = run(USE)
    assert done.returncode == 0, done.stderr
    assert '"solved"' in done.stdout


def test_a_world_says_what_is_missing() -> None:
    done = run("import sim\nsim.World()")
    assert re.search(r"WorldError: worlds need PyBullet .*pip install pybullet", done.stderr.splitlines()[-1])
