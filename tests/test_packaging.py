"""What pip installs elsewhere: the wheel carries arms and models and needs no clone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run([sys.executable, *build], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 60e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _run(installed: Path, empty: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(empty)}
    command = [sys.executable, "-m", "ik_mdn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=empty, env=environment)


@pytest.mark.slow
def test_an_installed_wheel_reaches_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, tmp_path, "reach", "--arm", "planar2", "--episodes", "3", "--json", "-")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["summary"]["reached"] == 3
    assert summary["solver"].startswith("mixture density network")


@pytest.mark.slow
def test_an_installed_wheel_imports_its_own_packages_and_models(installed: Path, tmp_path: Path) -> None:
    code = (
        "import ik_mdn, sim; from ik_mdn.model.checkpoint import shipped_models; "
        "print(ik_mdn.__file__); print(sim.__file__); print(*shipped_models()); print(*sim.scene_names())"
    )
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    first, second, models, scenes = done.stdout.splitlines()
    assert first.startswith(str(installed))
    assert second.startswith(str(installed))
    assert {"free", "table", "shelf", "cage"} <= set(scenes.split())
    assert {"planar2", "planar3", "xarm6", "planar2-mse", "planar3-mse", "xarm6-mse"} <= set(models.split())


@pytest.mark.slow
def test_type_information_is_shipped(installed: Path) -> None:
    assert (installed / "sim" / "py.typed").exists()
    assert (installed / "ik_mdn" / "py.typed").exists()
