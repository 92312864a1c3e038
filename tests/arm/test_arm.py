"""The Arm: what it holds, that it cannot be changed, and what identifies it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import MIXED, random_arm

import sim
from sim.arm import catalogue
from sim.errors import ShapeError, URDFError

ARRAYS = ("offsets", "q_min", "q_max", "dq_max", "effort_max", "period", "is_prismatic", "sample_min", "sample_max")

# turns about -y, slides along a slanted axis, turns without end about z; fixed joints in between


def load_text(xml: str, folder: Path, **options: str) -> sim.Arm:
    path = folder / "mixed.urdf"
    path.write_text(xml, encoding="utf-8")
    return sim.load_arm(path, **options)


@pytest.fixture
def mixed(tmp_path: Path) -> sim.Arm:
    return load_text(MIXED, tmp_path)


def make(**changes: Any) -> sim.Arm:
    """A one-joint arm with some fields replaced."""
    fields: dict[str, Any] = {
        "name": "one",
        "base": "a",
        "tip": "b",
        "joint_names": ("j",),
        "joint_types": ("revolute",),
        "offsets": np.stack([np.eye(4)] * 2),
        "q_min": np.array([-1.0]),
        "q_max": np.array([1.0]),
        "dq_max": np.array([np.inf]),
        "effort_max": np.array([np.inf]),
    }
    return sim.Arm(**{**fields, **changes})


def test_fixed_joints_are_folded_away(mixed: sim.Arm) -> None:
    assert mixed.joint_names == ("turn", "slide", "spin")
    assert mixed.joint_types == ("revolute", "prismatic", "continuous")
    assert mixed.offsets.shape == (4, 4, 4)
    assert (mixed.base, mixed.tip, mixed.name) == ("a", "f", "mixed")


def test_limits_periods_and_sampling_ranges_follow_the_joint_types(mixed: sim.Arm) -> None:
    np.testing.assert_array_equal(mixed.is_prismatic, [False, True, False])
    np.testing.assert_array_equal(mixed.period, [2 * np.pi, np.inf, 2 * np.pi])
    np.testing.assert_array_equal(mixed.q_min, [-2, -0.1, -np.inf])
    np.testing.assert_array_equal(mixed.q_max, [1, 0.4, np.inf])
    np.testing.assert_array_equal(mixed.sample_min, [-2, -0.1, -np.pi])
    np.testing.assert_array_equal(mixed.sample_max, [1, 0.4, np.pi])
    np.testing.assert_array_equal(mixed.dq_max, [1, 1, np.inf])


def test_every_array_of_an_arm_is_read_only(mixed: sim.Arm) -> None:
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(mixed, name)[0] = 0


def test_the_fields_of_an_arm_cannot_be_replaced(mixed: sim.Arm) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixed.name = "other"  # type: ignore[misc]


def test_an_arm_does_not_share_or_lock_the_arrays_it_was_made_from() -> None:
    low = np.array([-1.0])
    arm = make(q_min=low)
    low[0] = -9.0
    assert arm.q_min[0] == -1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_names": ()}, "no moving joint between 'a' and 'b'"),
        ({"q_min": np.array([1.0])}, r"joint 'j' has limits \[1.0, 1.0\]; lower must be below upper"),
        ({"q_max": np.array([np.nan])}, r"joint 'j' has limits \[-1.0, nan\]"),
        ({"q_max": np.array([1.0, 2.0])}, r"q_max has shape \(2,\); 1 joints need \(1,\)"),
        ({"offsets": np.eye(4)}, r"offsets has shape \(4, 4\); 1 joints need \(2, 4, 4\)"),
        ({"offsets": np.full((2, 4, 4), np.nan)}, "offsets hold NaN"),
        ({"joint_types": ("fixed",)}, r"have the types \['fixed'\]; give one of revolute"),
        ({"joint_types": ()}, r"1 joints have the types \[\]"),
    ],
)
def test_an_inconsistent_arm_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(URDFError, match=message):
        make(**changes)


@pytest.mark.parametrize("name", catalogue.names())
def test_an_arm_comes_back_from_its_dictionary(name: str) -> None:
    arm = sim.load_arm(name)
    again = sim.Arm.from_dict(json.loads(json.dumps(arm.to_dict(), allow_nan=False)))
    assert again.fingerprint == arm.fingerprint
    assert (again.name, again.base, again.tip) == (arm.name, arm.base, arm.tip)
    assert (again.joint_names, again.joint_types) == (arm.joint_names, arm.joint_types)
    for key in ("offsets", "q_min", "q_max", "dq_max", "effort_max"):
        np.testing.assert_array_equal(getattr(again, key), getattr(arm, key))
    assert again.urdf_path is None


def test_missing_limits_survive_strict_json(mixed: sim.Arm) -> None:
    again = sim.Arm.from_dict(json.loads(json.dumps(mixed.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.q_min, mixed.q_min)
    np.testing.assert_array_equal(again.q_max, mixed.q_max)
    np.testing.assert_array_equal(again.dq_max, mixed.dq_max)


def test_the_fingerprint_ignores_every_name(tmp_path: Path, mixed: sim.Arm) -> None:
    renamed = MIXED
    for name in ("turn", "slide", "spin", "bracket", "tool"):
        renamed = renamed.replace(f'name="{name}"', f'name="x_{name}"')
    for link in "abcdef":
        renamed = renamed.replace(f'link="{link}"', f'link="l_{link}"').replace(
            f'link name="{link}"', f'link name="l_{link}"'
        )
    other = load_text(renamed.replace('robot name="mixed"', 'robot name="other"'), tmp_path)
    assert other.joint_names != mixed.joint_names
    assert other.tip != mixed.tip
    assert other.fingerprint == mixed.fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('xyz="0.1 0 0.3"', 'xyz="0.1 0 0.30001"'),
        ('rpy="0 1.2 0"', 'rpy="0 1.20001 0"'),
        ('axis xyz="0 -1 0"', 'axis xyz="0 1 0"'),
        ('upper="0.4"', 'upper="0.41"'),
        ('lower="-2"', 'lower="-2.1"'),
        ('type="continuous"', 'type="revolute"'),
    ],
)
def test_the_fingerprint_sees_geometry_limits_and_joint_types(
    old: str, new: str, tmp_path: Path, mixed: sim.Arm
) -> None:
    changed = MIXED.replace(old, new)
    assert changed != MIXED
    if new == 'type="revolute"':
        changed = changed.replace('<axis xyz="0 0 1"/>', '<axis xyz="0 0 1"/><limit lower="-9" upper="9"/>')
    assert load_text(changed, tmp_path).fingerprint != mixed.fingerprint


def test_the_fingerprint_does_not_see_speeds_or_rounding_of_the_text(tmp_path: Path, mixed: sim.Arm) -> None:
    changed = MIXED.replace('velocity="1"', 'velocity="2"').replace('xyz="0.1 0 0.3"', 'xyz="0.1000000001 0 3e-1"')
    assert load_text(changed, tmp_path).fingerprint == mixed.fingerprint


def test_planar_arms_by_name_and_by_lengths_are_the_same_arm() -> None:
    assert sim.load_arm("planar:1,1").fingerprint == sim.load_arm("planar2").fingerprint
    assert sim.planar_arm([1.0, 0.8, 0.5]).fingerprint == sim.load_arm("planar3").fingerprint
    assert sim.load_arm("planar:1,1").name == "planar:1,1"
    assert sim.planar_arm((1.0,), name="stick").name == "stick"


@pytest.mark.parametrize("lengths", [[], [0.0], [1.0, -1.0], [np.nan], [np.inf]])
def test_planar_lengths_must_be_positive_numbers(lengths: list[float]) -> None:
    with pytest.raises(ShapeError, match="link lengths must be positive numbers"):
        sim.planar_arm(lengths)


@pytest.mark.parametrize("name", ["planar:", "planar:1,two", "planar:1,,1"])
def test_unreadable_planar_lengths_are_answered_with_an_example(name: str) -> None:
    with pytest.raises(ShapeError, match=r"cannot read link lengths .* planar:0\.5,0\.5,1\.0"):
        sim.load_arm(name)


def test_planar_arms_by_lengths_take_no_base_or_tip() -> None:
    with pytest.raises(URDFError, match="leave out base= and tip="):
        sim.load_arm("planar:1,1", tip="link1")


def test_builtin_arms_take_another_base_and_tip() -> None:
    arm = sim.load_arm("xarm6", base="link1", tip="link4")
    assert (arm.base, arm.tip, arm.n_joints) == ("link1", "link4", 3)


@pytest.mark.parametrize(("name", "planar"), [("planar2", True), ("planar3", True), ("ur5e", False), ("xarm6", False)])
def test_planar_arms_are_recognised(name: str, planar: bool) -> None:
    assert sim.load_arm(name).is_planar is planar


@pytest.mark.parametrize(
    ("kind", "axis", "planar"),
    [
        ("revolute", "0 0 1", True),
        ("revolute", "0 0 -1", True),
        ("revolute", "0 1 0", False),
        ("revolute", "0 0.001 1", False),
        ("prismatic", "1 0 0", True),
        ("prismatic", "1 -2 0", True),
        ("prismatic", "0 0 1", False),
        ("prismatic", "1 0 0.001", False),
    ],
)
def test_planar_means_turning_about_z_and_sliding_across_it(kind: str, axis: str, planar: bool, tmp_path: Path) -> None:
    xml = (
        '<robot name="r"><link name="a"/><link name="b"/><link name="c"/>'
        '<joint name="j" type="continuous"><parent link="a"/><child link="b"/><axis xyz="0 0 1"/></joint>'
        f'<joint name="k" type="{kind}"><parent link="b"/><child link="c"/><origin xyz="1 0 0.2" rpy="0 0 0.3"/>'
        f'<axis xyz="{axis}"/><limit lower="0" upper="1"/></joint></robot>'
    )
    assert load_text(xml, tmp_path).is_planar is planar


@pytest.mark.parametrize("name", catalogue.names())
def test_reach_bounds_the_distance_from_the_first_axis(name: str) -> None:
    arm = sim.load_arm(name)
    q = arm.sample(np.random.default_rng(1), 2000)
    distance = np.linalg.norm(sim.forward_kinematics(arm, q)[:, :3, 3] - arm.offsets[0, :3, 3], axis=-1)
    assert distance.max() <= arm.reach + 1e-12


def test_reach_counts_the_slides(mixed: sim.Arm) -> None:
    q = mixed.sample(np.random.default_rng(1), 2000)
    distance = np.linalg.norm(sim.forward_kinematics(mixed, q)[:, :3, 3] - mixed.offsets[0, :3, 3], axis=-1)
    assert 0.5 * mixed.reach < distance.max() <= mixed.reach


def test_the_rounding_of_right_angles_in_a_urdf_is_removed() -> None:
    rotations = sim.load_arm("ur5e").offsets[:, :3, :3]
    assert set(np.unique(rotations)) == {-1.0, 0.0, 1.0}


def test_nearest_images_differ_by_full_turns_of_turning_joints_only() -> None:
    arm = random_arm(3, 1, sliding=(1,))
    difference = np.array([[4.0, 4.0, -4.0], [1.0, -9.0, 13.0]])
    expected = np.array([[4.0 - 2 * np.pi, 4.0, 2 * np.pi - 4.0], [1.0, -9.0, 13.0 - 4 * np.pi]])
    np.testing.assert_allclose(arm.nearest_image(difference), expected)
    np.testing.assert_allclose(arm.nearest_image(torch.from_numpy(difference)), expected)
