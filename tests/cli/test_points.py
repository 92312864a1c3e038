"""Points on the command line ask for what of the arm's own task is position."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sim
from ik_mdn.cli import main
from ik_mdn.model import ModelConfig, PoseModel

RAIL = """<robot name="rail"><link name="base"/><link name="tool"/>
  <joint name="x" type="prismatic"><parent link="base"/><child link="tool"/><origin xyz="1 0 0"/><axis xyz="1 0 0"/>
    <limit lower="0" upper="10" velocity="1" effort="1"/></joint></robot>"""


def leg(joints: int) -> str:
    """Links that all turn about y."""
    links = "".join(f'<link name="l{i}"/>' for i in range(joints + 1))
    turns = "".join(
        f'<joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="0.3 0 0"/>'
        '<axis xyz="0 1 0"/><limit lower="-3" upper="3" velocity="1" effort="1"/></joint>'
        for i in range(joints)
    )
    tip = '<link name="tip"/><joint name="t" type="fixed"><parent link="l{}"/><child link="tip"/><origin xyz="0.3 0 0"/></joint>'
    return f'<robot name="leg">{links}{turns}{tip.format(joints)}</robot>'


@pytest.mark.parametrize(("text", "q"), [(RAIL, [5.0]), (leg(2), [0.5, -0.8]), (leg(3), [0.5, -0.8, 0.4])])
def test_a_point_is_solved_by_arms_that_move_in_a_line_or_a_plane(text: str, q: list[float], tmp_path: Path) -> None:
    urdf, out = tmp_path / "arm.urdf", tmp_path / "out.json"
    urdf.write_text(text, encoding="utf-8")
    arm = sim.load_arm(urdf)
    point = sim.forward_kinematics(arm, np.array(q))[:3, 3]
    main(["solve", str(urdf), "--point", *(f"{x:.12f}" for x in point), "--json", str(out)])
    target = json.loads(out.read_text())["targets"][0]
    assert target["status"] == "solved"
    tips = sim.forward_kinematics(arm, np.array(target["q"]))[:, :3, 3]
    np.testing.assert_allclose(tips, np.broadcast_to(point, tips.shape), atol=1e-7)
    if len(q) < 3:
        assert np.abs(np.array(target["q"]) - q).max(axis=1).min() < 1e-6


def ball() -> str:
    """Three joints whose axes meet in the tip."""
    joints = "".join(
        f'<link name="l{i + 1}"/><joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/>'
        f'<axis xyz="{axis}"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>'
        for i, axis in enumerate(("0 0 1", "0 1 0", "1 0 0"))
    )
    return f'<robot name="ball"><link name="l0"/>{joints}</robot>'


def test_an_arm_that_only_turns_its_tip_is_asked_for_a_pose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ball.urdf").write_text(ball())
    assert main(["solve", str(tmp_path / "ball.urdf"), "--point", "0", "0", "0"]) == 2
    assert "error: arm 'ball' only turns its tip, wherever --point may be; give --pose" in capsys.readouterr().err


def test_an_arm_without_reach_has_features_that_are_numbers() -> None:
    model = PoseModel(sim.load_arm(ball()), None, ModelConfig(width=8, blocks=1, components=2))
    q = np.full((5, 3), 0.3)
    assert np.isfinite(model.features.encode(sim.forward_kinematics(model.arm, q)).features).all()
