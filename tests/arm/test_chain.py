"""Chains out of URDFs: what is read, what is ignored, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sim
from sim.arm.urdf import parse_xml, read_robot
from sim.errors import IKError, UnknownNameError, URDFError

LIMIT = '<limit lower="-1" upper="1.5" velocity="2" effort="3"/>'


def links(*names: str) -> str:
    return "".join(f'<link name="{name}"/>' for name in names)


def joint(name: str, parent: str, child: str, *, kind: str = "revolute", more: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{more}</joint>'


def robot(*parts: str) -> str:
    return f'<?xml version="1.0"?><robot name="r">{"".join(parts)}</robot>'


def load(xml: str, folder: Path, **options: str) -> sim.Arm:
    path = folder / "arm.urdf"
    path.write_text(xml, encoding="utf-8")
    return sim.load_arm(path, **options)


# what is read


def test_a_joint_without_origin_and_axis_gets_the_defaults_of_the_format(tmp_path: Path) -> None:
    arm = load(robot(links("a", "b"), joint("j", "a", "b")), tmp_path)
    T = sim.forward_kinematics(arm, np.array([np.pi / 2]))
    np.testing.assert_allclose(T, [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], atol=1e-15)  # about x


def test_joints_come_in_chain_order_even_when_listed_in_reverse(tmp_path: Path) -> None:
    xml = robot(links("d", "c", "b", "a"), joint("j3", "c", "d"), joint("j2", "b", "c"), joint("j1", "a", "b"))
    arm = load(xml, tmp_path)
    assert (arm.base, arm.tip, arm.joint_names) == ("a", "d", ("j1", "j2", "j3"))


def test_limits_speeds_and_efforts_are_those_of_the_file(tmp_path: Path) -> None:
    arm = load(robot(links("a", "b"), joint("j", "a", "b")), tmp_path)
    assert (arm.q_min[0], arm.q_max[0], arm.dq_max[0], arm.effort_max[0]) == (-1.0, 1.5, 2.0, 3.0)


def test_a_lone_upper_limit_has_its_lower_at_zero(tmp_path: Path) -> None:
    arm = load(robot(links("a", "b"), joint("j", "a", "b", more='<limit upper="1"/>')), tmp_path)
    assert (arm.q_min[0], arm.q_max[0]) == (0.0, 1.0)
    assert np.isinf([arm.dq_max[0], arm.effort_max[0]]).all()


def test_continuous_joints_have_no_limits_and_are_sampled_over_one_turn(tmp_path: Path) -> None:
    arm = load(robot(links("a", "b"), joint("j", "a", "b", kind="continuous", more=LIMIT)), tmp_path)
    assert (arm.q_min[0], arm.q_max[0]) == (-np.inf, np.inf)
    assert (arm.sample_min[0], arm.sample_max[0]) == (-np.pi, np.pi)


@pytest.mark.parametrize("junk", ["<!-- note -->", "<gazebo><x/></gazebo>", '<xacro:arg xmlns:xacro="u" name="n"/>'])
def test_comments_and_extensions_are_ignored(tmp_path: Path, junk: str) -> None:
    xml = robot(junk, links("a", "b"), junk, joint("j", "a", "b", more=LIMIT + junk))
    assert load(xml, tmp_path).joint_names == ("j",)


def test_a_default_namespace_is_ignored(tmp_path: Path) -> None:
    xml = robot(links("a", "b"), joint("j", "a", "b")).replace("<robot ", '<robot xmlns="http://www.ros.org" ')
    assert load(xml, tmp_path).joint_names == ("j",)


@pytest.mark.parametrize(
    "inside",
    [
        '<visual><geometry><mesh filename="package://nowhere/x.stl"/></geometry></visual>',
        '<visual><geometry><mesh filename="missing.dae"/></geometry></visual>',
        '<collision><geometry><capsule radius="1" length="1"/></geometry></collision>',
        '<visual><geometry/><material name="undefined"/></visual>',
        '<inertial><mass value="heavy"/></inertial>',
    ],
)
def test_shapes_and_masses_are_not_looked_at(tmp_path: Path, inside: str) -> None:
    xml = robot(f'<link name="a">{inside}</link>', links("b"), joint("j", "a", "b"))
    assert load(xml, tmp_path).n_joints == 1


def test_nothing_is_printed_while_loading(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(robot(links("a", "b"), joint("j", "a", "b")), tmp_path)
    with pytest.raises(URDFError):
        load("<robot", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_floating_joint_outside_the_chain_does_not_matter(tmp_path: Path) -> None:
    above = robot(links("world", "a", "b"), joint("f", "world", "a", kind="floating"), joint("j", "a", "b"))
    beside = robot(links("a", "b", "cup"), joint("f", "a", "cup", kind="floating"), joint("j", "a", "b"))
    assert load(above, tmp_path, base="a").joint_names == ("j",)
    assert load(beside, tmp_path).tip == "b"


def test_a_mimic_joint_outside_the_chain_does_not_matter(tmp_path: Path) -> None:
    finger = joint("k", "b", "c", more=LIMIT + '<mimic joint="j"/>')
    xml = robot(links("a", "b", "c"), joint("j", "a", "b"), finger)
    assert load(xml, tmp_path, tip="b").joint_names == ("j",)


def test_a_loop_elsewhere_does_not_matter(tmp_path: Path) -> None:
    xml = robot(links("a", "b", "x", "y"), joint("j", "a", "b"), joint("k", "x", "y"), joint("l", "y", "x"))
    assert load(xml, tmp_path).joint_names == ("j",)


def test_fixed_frames_beside_the_tip_are_no_candidates_before_a_moving_joint(tmp_path: Path) -> None:
    xml = robot(links("a", "frame", "b"), joint("f", "a", "frame", kind="fixed", more=""), joint("j", "a", "b"))
    assert load(xml, tmp_path).tip == "b"


def test_the_base_may_be_a_frame_fixed_beside_the_chain(tmp_path: Path) -> None:
    side = joint("f", "a", "side", kind="fixed", more='<origin xyz="1 2 3" rpy="0.1 0.2 0.3"/>')
    xml = robot(links("a", "side", "b"), side, joint("j", "a", "b", more='<origin xyz="0 0 1"/>' + LIMIT))
    q = np.array([0.4])
    T_a_b = sim.forward_kinematics(load(xml, tmp_path), q)
    T_side_b = sim.forward_kinematics(load(xml, tmp_path, base="side"), q)
    T_a_side = read_robot(parse_xml(robot(links("a", "side"), side), "x"), "x").joints[0].origin
    np.testing.assert_allclose(T_a_side @ T_side_b, T_a_b, atol=1e-14)


def test_a_chain_can_start_and_end_in_the_middle(tmp_path: Path) -> None:
    xml = robot(links(*"abcd"), joint("j1", "a", "b"), joint("j2", "b", "c"), joint("j3", "c", "d"))
    assert load(xml, tmp_path, base="b", tip="c").joint_names == ("j2",)


# what is refused

TWO = links("a", "b")
REFUSED = {
    "empty file": ("", {}, "XML is broken"),
    "no XML": ("solid cube", {}, "XML is broken"),
    "truncated": (robot(TWO, joint("j", "a", "b"))[:-30], {}, "XML is broken"),
    "external entity": (robot('<link name="&xxe;"/>'), {}, "XML is broken"),
    "other XML": ("<sdf/>", {}, "outermost element is <sdf>"),
    "empty robot": (robot(), {}, "needs links and joints; found 0 and 0"),
    "xacro": ('<robot xmlns:x="u"><x:macro name="m"/></robot>', {}, "expand the xacro macros"),
    "no joints": (robot(TWO), {}, "found 2 and 0"),
    "nameless link": (robot("<link/>", TWO, joint("j", "a", "b")), {}, "1 <link> without a name"),
    "nameless joint": (robot(TWO, joint("", "a", "b")), {}, "1 <joint> without a name"),
    "same joint twice": (robot(links(*"abc"), joint("j", "a", "b"), joint("j", "b", "c")), {}, "more than once: j"),
    "same link twice": (robot(links("a", "b", "b"), joint("j", "a", "b")), {}, "more than once: b"),
    "missing child link": (robot(links("a"), joint("j", "a", "b")), {}, "child link 'b', which is not defined"),
    "missing parent link": (robot(links("b"), joint("j", "a", "b")), {}, "parent link 'a', which is not defined"),
    "no parent": (robot(TWO, '<joint name="j" type="fixed"><child link="b"/></joint>'), {}, "has no <parent"),
    "two parents": (
        robot(links(*"abc"), joint("j", "a", "c"), joint("k", "b", "c")),
        {},
        "child of two joints, 'j' and 'k'",
    ),
    "joint to itself": (robot(TWO, joint("j", "a", "a")), {}, "joins link 'a' to itself"),
    "loop": (robot(TWO, joint("j", "a", "b"), joint("k", "b", "a")), {}, "form a loop"),
    "two roots": (robot(links(*"abc"), joint("j", "a", "b")), {}, "base=: a, c"),
    "two tips": (
        robot(links(*"abc"), joint("j", "a", "b"), joint("k", "a", "c")),
        {},
        r"ends in 2 links; name the tip with tip=; .*: b \(1\), c \(1\)$",
    ),
    "unknown base": (robot(TWO, joint("j", "a", "b")), {"base": "x"}, "no link 'x' for base=; links: a, b"),
    "unknown tip": (robot(TWO, joint("j", "a", "b")), {"tip": "x"}, "no link 'x' for tip=; links: a, b"),
    "tip above base": (
        robot(TWO, joint("j", "a", "b")),
        {"base": "b", "tip": "a"},
        "'a' is not below base 'b'; .*: none",
    ),
    "base is a leaf": (robot(TWO, joint("j", "a", "b")), {"base": "b"}, "no link moves against base 'b'"),
    "tip is the base": (robot(TWO, joint("j", "a", "b")), {"tip": "a"}, "no moving joint between 'a' and 'a'"),
    "fixed only": (robot(TWO, joint("j", "a", "b", kind="fixed")), {}, "no link moves"),
    "fixed to the tip": (
        robot(TWO, joint("j", "a", "b", kind="fixed")),
        {"tip": "b"},
        "no moving joint between 'a' and 'b'",
    ),
    "floating": (
        robot(links(*"abc"), joint("f", "a", "b", kind="floating"), joint("j", "b", "c")),
        {},
        "'f' is of type 'floating'",
    ),
    "planar joint": (
        robot(TWO, joint("j", "a", "b", kind="planar")),
        {},
        "'j' is of type 'planar'; .* revolute, continuous",
    ),
    "invented type": (robot(TWO, joint("j", "a", "b", kind="hinge")), {}, "'j' is of type 'hinge'"),
    "mimic": (
        robot(links(*"abc"), joint("j", "a", "b"), joint("k", "b", "c", more=LIMIT + '<mimic joint="j"/>')),
        {},
        "'k' mimics 'j'",
    ),
    "no limits": (robot(TWO, joint("j", "a", "b", more="")), {}, "revolute joint 'j' has no <limit"),
    "limit without ends": (robot(TWO, joint("j", "a", "b", more='<limit velocity="1"/>')), {}, "'j' has no <limit"),
    "reversed limits": (
        robot(TWO, joint("j", "a", "b", more='<limit lower="1" upper="-1"/>')),
        {},
        r"'j' has limits \[1.0, -1.0\]",
    ),
    "equal limits": (
        robot(TWO, joint("j", "a", "b", more='<limit lower="1" upper="1"/>')),
        {},
        "no link moves against base 'a' .fixed, as their limits are equal: j",
    ),
    "limit no number": (
        robot(TWO, joint("j", "a", "b", more='<limit lower="nan" upper="1"/>')),
        {},
        "'j' has <limit lower='nan'>",
    ),
    "limit as words": (
        robot(TWO, joint("j", "a", "b", more='<limit lower="pi" upper="1"/>')),
        {},
        "'j' has <limit lower='pi'>",
    ),
    "zero axis": (
        robot(TWO, joint("j", "a", "b", more='<axis xyz="0 0 0"/>' + LIMIT)),
        {},
        "'j' has the axis .* must not be zero",
    ),
    "short axis": (
        robot(TWO, joint("j", "a", "b", more='<axis xyz="0 1"/>' + LIMIT)),
        {},
        "<axis xyz='0 1'>; .* three finite",
    ),
    "NaN origin": (
        robot(TWO, joint("j", "a", "b", more='<origin xyz="nan 0 0"/>' + LIMIT)),
        {},
        "'j' has <origin xyz='nan 0 0'>",
    ),
    "short rpy": (robot(TWO, joint("j", "a", "b", more='<origin rpy="1"/>' + LIMIT)), {}, "'j' has <origin rpy='1'>"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unusable_urdf_is_refused_with_its_reason_and_its_file(case: str, tmp_path: Path) -> None:
    xml, options, message = REFUSED[case]
    with pytest.raises(URDFError, match=message) as caught:
        load(xml, tmp_path, **options)
    assert isinstance(caught.value, IKError)
    assert "arm" in str(caught.value)  # the file arm.urdf, or the arm of that name


def test_the_error_of_an_ambiguous_tip_carries_the_candidates(tmp_path: Path) -> None:
    xml, options, _ = REFUSED["two tips"]
    with pytest.raises(URDFError, match="tip=") as caught:
        load(xml, tmp_path, **options)
    assert caught.value.candidates == ["b", "c"]  # type: ignore[attr-defined]


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    xml = f'<!DOCTYPE r [{entities}]><robot name="&i;">{TWO}{joint("j", "a", "b")}</robot>'
    with pytest.raises(URDFError, match="XML is broken"):
        load(xml, tmp_path)


# names and paths


def test_a_misspelt_arm_is_answered_with_the_closest_and_all_names() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown arm 'xarm7' \(did you mean 'xarm6'\?\); allowed: planar2, .*iiwa"
    ):
        sim.load_arm("xarm7")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no file 'nowhere/arm\.urdf'; give the path of a URDF or one of: planar2"
    ):
        sim.load_arm("nowhere/arm.urdf")


def test_a_folder_is_not_a_urdf(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="is a folder; give the path of the URDF file"):
        sim.load_arm(tmp_path)


def test_an_empty_name_is_an_unknown_arm() -> None:
    with pytest.raises(UnknownNameError, match="unknown arm ''"):
        sim.load_arm("")
