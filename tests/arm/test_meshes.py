"""Where the meshes of a URDF are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.arm import find_mesh


@pytest.mark.parametrize("reference", ["package://robot/meshes/a.stl", "meshes/a.stl", "../meshes/a.stl"])
def test_a_mesh_is_found_from_the_folders_above_its_urdf(tmp_path: Path, reference: str) -> None:
    mesh = tmp_path / "robot" / "meshes" / "a.stl"
    mesh.parent.mkdir(parents=True)
    mesh.touch()
    (tmp_path / "robot" / "urdf").mkdir()
    found = find_mesh(reference, tmp_path / "robot" / "urdf" / "robot.urdf")
    assert found is not None
    assert found.resolve() == mesh


@pytest.mark.parametrize("reference", ["package://robot/a.stl", "a.stl", "", "/nowhere/a.stl"])
def test_a_mesh_that_is_nowhere_is_none(tmp_path: Path, reference: str) -> None:
    assert find_mesh(reference, tmp_path / "robot.urdf") is None
