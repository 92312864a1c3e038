"""Loading: limits that mean none, joints that are locked, names before files, equal arms."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from sim.errors import ShapeError, UnknownNameError, URDFError


def arm_with(kind: str, lower: str, upper: str) -> sim.Arm:
    return sim.load_arm(
        '<robot name="r"><link name="a"/><link name="b"/><link name="c"/>'
        '<joint name="free" type="continuous"><parent link="a"/><child link="b"/></joint>'
        f'<joint name="j" type="{kind}"><parent link="b"/><child link="c"/><origin xyz="1 0 0"/><axis xyz="0 0 1"/>'
        f'<limit lower="{lower}" upper="{upper}"/></joint></robot>'
    )


@pytest.mark.parametrize(
    ("kind", "lower", "upper", "limits", "sampled"),
    [
        ("revolute", "-999", "999", (-999, 999), (-999, 999)),
        ("revolute", "-1e9", "1e9", (-np.inf, np.inf), (-np.pi, np.pi)),
        ("revolute", "-1.79769313e+308", "1.79769313e+308", (-np.inf, np.inf), (-np.pi, np.pi)),
        ("revolute", "-inf", "inf", (-np.inf, np.inf), (-np.pi, np.pi)),
        ("revolute", "4", "1e16", (4, np.inf), (4, 4 + 2 * np.pi)),
        ("revolute", "-1e16", "-4", (-np.inf, -4), (-4 - 2 * np.pi, -4)),
        ("prismatic", "-100", "50", (-100, 50), (-100, 50)),
        ("prismatic", "-999999", "999999", (-999999, 999999), (-2, 2)),
        ("prismatic", "-1e300", "inf", (-1e6, 1e6), (-2, 2)),
        ("prismatic", "-1", "1e4", (-1, 1e4), (-1, 2)),
        ("prismatic", "500", "1e4", (500, 1e4), (500, 502)),
    ],
)
def test_limits_that_say_there_is_none_count_as_none(
    kind: str, lower: str, upper: str, limits: Any, sampled: Any
) -> None:
    arm = arm_with(kind, lower, upper)
    assert (arm.q_min[1], arm.q_max[1]) == limits
    np.testing.assert_allclose((arm.sample_min[1], arm.sample_max[1]), sampled, rtol=1e-15)


def test_the_reach_is_that_of_the_sampled_range_and_the_bound_that_of_the_limits() -> None:
    arm = arm_with("prismatic", "-999999", "999999")
    assert (arm.reach, arm.farthest) == (1.0 + 2.0, 1.0 + 999999.0 + 0.0)
    ordinary = sim.load_arm("xarm6")
    assert ordinary.farthest == ordinary.reach


@pytest.mark.parametrize(("kind", "moved"), [("revolute", 0.0), ("prismatic", 0.5)])
def test_a_joint_with_equal_limits_is_fixed_there(kind: str, moved: float) -> None:
    arm = arm_with(kind, "0.5", "0.5")
    assert arm.joint_names == ("free",)
    T = sim.forward_kinematics(arm, np.zeros(1))
    np.testing.assert_allclose(T[:3, 3], (1, 0, moved), atol=1e-15)
    heading = 0.5 if kind == "revolute" else 0.0
    np.testing.assert_allclose(T[:2, 0], (np.cos(heading), np.sin(heading)), atol=1e-15)
    with sim.World() as world:
        np.testing.assert_allclose(world.add_arm(arm).tip_pose(np.zeros(1)), T, atol=1e-12)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ({"joint9": 0.0}, "no moving joint 'joint9' to freeze; there are: joint1, .*joint6"),
        ({"joint3": 3.0}, r"'joint3' cannot be frozen at 3.0; its limits are \[-3.92.*, 0.19.*\]"),
        ({"joint3": float("nan")}, "'joint3' cannot be frozen at nan"),
        ({"joint3": float("inf")}, "'joint3' cannot be frozen at inf"),
        ({f"joint{i}": -0.1 for i in range(1, 7)}, "no moving joint between"),
    ],
)
def test_joints_that_cannot_be_frozen_are_named(freeze: dict[str, float], message: str) -> None:
    with pytest.raises(URDFError, match=message):
        sim.load_arm("xarm6", freeze=freeze)


@pytest.mark.parametrize("tool", [np.eye(3), 2 * np.eye(4), np.zeros((4, 4)), np.full((4, 4), np.nan), "text"])
def test_a_tool_must_be_a_pose(tool: Any) -> None:
    with pytest.raises(ShapeError, match="tool"):
        sim.load_arm("xarm6", tool=tool)


def test_two_loads_are_equal_and_hash_alike() -> None:
    one, other = sim.load_arm("xarm6"), sim.load_arm("xarm6")
    assert one == other
    assert len({one, other, sim.load_arm("ur5e")}) == 2
    assert one != sim.load_arm("xarm6", tip="link5")
    assert one != sim.load_arm("xarm6", freeze={"joint1": 0.0})
    assert one != "xarm6"


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_names_win_over_files_and_folders_of_the_working_directory(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "panda")
    monkeypatch.chdir(tmp_path)
    assert sim.load_arm("panda").n_joints == 7


def test_the_home_of_nobody_is_no_file() -> None:
    with pytest.raises(UnknownNameError, match=r"no file '~nouser\w*/arm\.urdf'"):
        sim.load_arm(f"~nouser{os.getpid()}/arm.urdf")


def test_one_sided_limits_keep_every_heading_in_the_sampled_range() -> None:
    arm = arm_with("revolute", "4", "inf")
    assert arm.sample_max[1] - arm.sample_min[1] == pytest.approx(2 * np.pi)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_text_of_a_urdf_comes_in_any_kind_of_bytes(kind: type) -> None:
    text = Path(sim.load_arm("ur5e").urdf_path or "").read_bytes()
    assert sim.load_arm(kind(text)).fingerprint == sim.load_arm("ur5e").fingerprint


@pytest.mark.parametrize("source", [None, 3, io.StringIO("<robot/>"), ["ur5e"], "x" * 300, '{"robot": 1}' * 1000])
def test_what_is_no_source_is_refused_in_short(source: object) -> None:
    with pytest.raises(UnknownNameError, match=r"^.{0,250}$"):
        sim.load_arm(source)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('lower="-1"', 'lower="-90"', "joint 'turn' has limits of 90 rad; were degrees meant?"),
        (
            'rpy="0 0 0"',
            'rpy="0 90 0"',
            "joint 'turn' has an origin turned by rpy=[0.0, 90.0, 0.0] rad; were degrees meant?",
        ),
        ('xyz="0 0 0.2"', 'xyz="0 0 200"', "joint 'turn' has an origin 200 m away; were millimetres meant?"),
        ('lower="-1"', 'lower="-12.6"', ""),
        ('lower="-1"', 'lower="-1e9"', ""),
        ('rpy="0 0 0"', 'rpy="-3.1416 0 6.2832"', ""),
    ],
)
def test_numbers_that_look_like_degrees_or_millimetres_are_told(
    old: str, new: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        '<robot name="r"><link name="a"/><link name="b"/><joint name="turn" type="revolute"><parent link="a"/>'
        '<child link="b"/><origin xyz="0 0 0.2" rpy="0 0 0"/><limit lower="-1" upper="1"/></joint></robot>'
    )
    with caplog.at_level("WARNING"):
        sim.load_arm(text.replace(old, new))
    assert [record.getMessage() for record in caplog.records] == ([f"r: {told}"] if told else [])
