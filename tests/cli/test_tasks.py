"""What counts of a pose, asked for on the command line: tools along any axis, five joints with tool down or a full pose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from ik_mdn.cli import main

DOWN = ("0.3", "0.1", "0.1", "1", "0", "0", "0")  # tool down, typed by hand
AXES = ("0 0 1", "0 1 0", "0 1 0", "0 1 0", "0 0 1")  # turn, three pitches, roll about the tool


@pytest.fixture
def five(tmp_path: Path) -> Path:
    """Five joints, the last about the tool's z axis, with right angles as most files round them."""
    links = "".join(f'<link name="l{i}"/>' for i in range(7))
    behind = ("0 0 0.1", "0 0 0.1", "0 0 0.25", "0 0 0.25", "0 0 0.06")
    joints = "".join(
        f'<joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="{behind[i]}"/>'
        f'<axis xyz="{axis}"/><limit lower="-3" upper="3" velocity="1" effort="1"/></joint>'
        for i, axis in enumerate(AXES)
    )
    tip = '<joint name="t" type="fixed"><parent link="l5"/><child link="l6"/><origin xyz="0 0 0.05"/></joint>'
    file = tmp_path / "five.urdf"
    file.write_text(f'<robot name="five">{links}{joints}{tip}</robot>', encoding="utf-8")
    return file


def solve(file: Path, pose: Any, *options: str) -> dict[str, Any]:
    out = file.with_suffix(".json")
    assert main(["solve", str(file), "--pose", *map(str, pose), *options, "--json", str(out)]) == 0
    answer: dict[str, Any] = json.loads(out.read_text())["targets"][0]
    return answer


def test_tool_down_is_what_five_joints_are_asked_for(five: Path) -> None:
    answer = solve(five, DOWN)
    tips = sim.forward_kinematics(sim.load_arm(five), np.array(answer["q"]))
    assert len(tips) > 0
    np.testing.assert_allclose(tips[:, :3, 3], np.tile([0.3, 0.1, 0.1], (len(tips), 1)), atol=2e-4)
    np.testing.assert_allclose(tips[:, :3, 2], np.tile([0.0, 0.0, -1.0], (len(tips), 1)), atol=2e-4)


@pytest.mark.parametrize(("axis", "column"), [("axis_x", 0), ("axis_y", 1), ("axis_z", 2)])
def test_the_tool_may_point_along_any_axis_of_the_tip(five: Path, axis: str, column: int) -> None:
    arm = sim.load_arm(five)
    T = sim.forward_kinematics(arm, np.array([0.3, 0.4, 0.5, 0.6, 0.7]))
    quat_xyzw = quaternion(T)
    answer = solve(five, (*T[:3, 3], *quat_xyzw), "--task", f"x,y,z,{axis}")
    tips = sim.forward_kinematics(arm, np.array(answer["q"]))
    assert len(tips) > 0
    np.testing.assert_allclose(tips[:, :3, 3], np.tile(T[:3, 3], (len(tips), 1)), atol=1e-6)
    np.testing.assert_allclose(tips[:, :3, column], np.tile(T[:3, column], (len(tips), 1)), atol=1e-6)


def test_a_full_pose_is_met_by_five_joints_where_they_can_and_refused_where_not(five: Path) -> None:
    arm = sim.load_arm(five)
    q = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    T = sim.forward_kinematics(arm, q)
    answer = solve(five, (*T[:3, 3], *quaternion(T)), "--task", "pose")
    assert np.abs(np.array(answer["q"]) - q).max(axis=1).min() < 1e-6
    turned = T.copy()
    turned[:3, :3] = turned[:3, :3] @ np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    assert solve(five, (*turned[:3, 3], *quaternion(turned)), "--task", "pose")["status"] == "unreachable"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("x,y,z,pitch", "roll and yaw ignored: task x,y,z,pitch"),
        ("x,y,z,yaw", "roll and pitch ignored: task x,y,z,yaw"),
        ("x,z", "y and orientation ignored: task x,z"),
        ("x,y,z,axis_x", "the turn about the tool axis ignored: task x,y,z,axis_x"),
        ("position", "orientation ignored: task position"),
    ],
)
def test_what_does_not_count_is_said_by_its_name(
    five: Path, task: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", str(five), "--pose", *DOWN, "--task", task]) == 0
    assert words in capsys.readouterr().out.splitlines()


def quaternion(T: np.ndarray) -> np.ndarray:
    """The rotation of a pose as (x, y, z, w), by SciPy."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(T[:3, :3]).as_quat())


def test_motors_that_are_too_weak_are_told_with_numbers_and_what_to_do(
    five: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mass = '><inertial><origin xyz="0 0 0.1"/><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01"/></inertial></link>'
    text = five.read_text().replace('name="l3"/>', f'name="l3"{mass}').replace('name="l4"/>', f'name="l4"{mass}')
    five.write_text(text.replace('effort="1"', 'effort="0.01"'))
    assert main(["reach", str(five), "--episodes", "1"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "too_weak" in printed
    assert "its limit is 0.01 Nm" in printed.replace("│ ", "").replace(" 1 │", "")
    assert "--ideal-motors" in printed
    assert main(["reach", str(five), "--episodes", "1", "--ideal-motors"]) == 0
    assert "too_weak" not in capsys.readouterr().out
