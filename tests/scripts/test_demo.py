"""What `make demo` runs, in small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_demo_leaves_its_pictures_and_prints_its_table(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "demo.py"),
        "--out",
        str(tmp_path),
        "--poses",
        "40",
        "--targets",
        "1",
    ]
    env = {**os.environ, "COLUMNS": "200"}  # in 80 a method's name takes two lines
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"planar_arms.png", "xarm6_reaches.gif"}
    for arm in ("planar2", "planar3", "xarm6"):
        assert f"{arm}: MSE regression" in done.stdout
        assert f"{arm}: MDN + refinement" in done.stdout
    frames = iio.imread(tmp_path / "xarm6_reaches.gif")
    assert len(frames) > 5
    assert np.abs(frames[0].astype(int) - frames[-1].astype(int)).max() > 50  # the arm moved
