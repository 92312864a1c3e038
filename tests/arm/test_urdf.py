"""URDF texts: any chain written down is read back as the product of its matrices, however the file is put."""

from __future__ import annotations

import codecs
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import sim
from sim.arm.urdf import parse_xml, plain_joints
from sim.arrays import FloatArray
from sim.errors import URDFError

LIMIT = '<limit lower="-1" upper="1.5" velocity="2" effort="3"/>'
ARM = (
    '<robot name="bot"><link name="a"/><link name="b"/><joint name="j" type="revolute"><parent link="a"/>'
    f'<child link="b"/><origin xyz="0.1 0.2 0.3"/><axis xyz="0 0 1"/>{LIMIT}</joint></robot>'
)

numbers = st.floats(-2, 2)
triples = st.tuples(numbers, numbers, numbers)


@st.composite
def joints(draw: Any) -> dict[str, Any]:
    axis = draw(triples.filter(lambda v: np.linalg.norm(v) > 1e-3))
    length = 10.0 ** draw(st.integers(-3, 3))
    return {
        "kind": draw(st.sampled_from(["revolute", "continuous", "prismatic", "fixed"])),
        "xyz": draw(triples),
        "rpy": draw(st.one_of(triples, st.sampled_from([(0, np.pi / 2, 0), (np.pi, 0, -np.pi / 2)]))),
        "axis": tuple(length * np.array(axis)),
        "q": draw(st.floats(-1, 1)),
    }


chains = st.lists(joints(), min_size=1, max_size=6).filter(lambda rows: any(row["kind"] != "fixed" for row in rows))


def elements(rows: list[dict[str, Any]]) -> list[str]:
    links = [f'<link name="l{i}"/>' for i in range(len(rows) + 1)]
    for i, row in enumerate(rows):
        text = {key: " ".join(map(repr, map(float, row[key]))) for key in ("xyz", "rpy", "axis")}
        links.append(
            f'<joint name="j{i}" type="{row["kind"]}"><parent link="l{i}"/><child link="l{i + 1}"/>'
            f'<origin xyz="{text["xyz"]}" rpy="{text["rpy"]}"/><axis xyz="{text["axis"]}"/>{LIMIT}</joint>'
        )
    return links


def robot(parts: list[str]) -> str:
    return f'<robot name="r">{"".join(parts)}</robot>'


def matrix(R: FloatArray, p: Any) -> FloatArray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, p
    return T


def product(rows: list[dict[str, Any]]) -> FloatArray:
    """The tip's pose, joint by joint as the format defines it, by scipy."""
    T = np.eye(4)
    for row in rows:
        axis = np.array(row["axis"]) / np.linalg.norm(row["axis"])
        T = T @ matrix(Rotation.from_euler("xyz", row["rpy"]).as_matrix(), row["xyz"])
        if row["kind"] == "prismatic":
            T = T @ matrix(np.eye(3), row["q"] * axis)
        elif row["kind"] != "fixed":
            T = T @ matrix(Rotation.from_rotvec(row["q"] * axis).as_matrix(), (0, 0, 0))
    return T


@settings(deadline=None)
@given(chains)
def test_fk_is_the_product_of_what_the_file_says(rows: list[dict[str, Any]]) -> None:
    arm = sim.load_arm(robot(elements(rows)), base="l0", tip=f"l{len(rows)}")
    q = np.array([row["q"] for row in rows if row["kind"] != "fixed"])
    np.testing.assert_allclose(sim.forward_kinematics(arm, q), product(rows), atol=1e-11)


@settings(deadline=None)
@given(chains, st.randoms(use_true_random=False))
def test_the_order_of_the_file_changes_nothing(rows: list[dict[str, Any]], rng: random.Random) -> None:
    parts = elements(rows)
    shuffled = rng.sample(parts, len(parts))
    ends = {"base": "l0", "tip": f"l{len(rows)}"}
    one, other = (sim.load_arm(robot(each), **ends) for each in (parts, shuffled))
    np.testing.assert_array_equal(one.offsets, other.offsets)
    assert one.joint_names == other.joint_names


@settings(deadline=None)
@given(chains)
def test_joints_that_are_frozen_are_where_they_were(rows: list[dict[str, Any]]) -> None:
    ends = {"base": "l0", "tip": f"l{len(rows)}"}
    moving = [i for i, row in enumerate(rows) if row["kind"] != "fixed"]
    freeze = {f"j{i}": rows[i]["q"] for i in moving[1:]}
    tool = sim.pose((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    arm = sim.load_arm(robot(elements(rows)), **ends, freeze=freeze, tool=tool)
    assert arm.joint_names == (f"j{moving[0]}",)
    T = sim.forward_kinematics(arm, np.array([rows[moving[0]]["q"]]))
    np.testing.assert_allclose(T, product(rows) @ tool, atol=1e-11)


# what common readers take


@pytest.mark.parametrize(
    "source",
    [
        ARM,
        ARM.encode(),
        "\ufeff" + ARM,
        " \n" + ARM,
        '\n<?xml version="1.0"?>\n' + ARM,
        '<?xml version="1.0" encoding="UTF-16"?>' + ARM,  # a text has been decoded, whatever it says
        codecs.BOM_UTF8 + b"\n" + ARM.encode(),
        codecs.BOM_UTF16_LE + ARM.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + ARM.encode("utf-16-be"),
        ARM.encode("utf-32"),
        ('<?xml version="1.0" encoding="UTF-16"?>' + ARM).encode("utf-16-le"),
        '<?xml version="1.0" encoding="ISO-8859-1"?><!-- é -->'.encode("latin-1") + ARM.encode(),
        ("\n<!-- by hand, ž --> " + '<?xml version="1.0" encoding="UTF-16"?>' + ARM).encode("utf-16-le"),
        codecs.BOM_UTF32_BE + ("\n" + ARM).encode("utf-32-be"),
        (" " + ARM).encode("utf-32-be"),
        b'\n<!-- x -->\n<?xml version="1.0" encoding="ISO-8859-1"?>\n' + "<!-- é -->".encode("latin-1") + ARM.encode(),
        ('<?xml version="1.0" encoding="shift_jis"?>' + "<!-- 腕 -->" + ARM).encode("shift_jis"),
        "<?editor vim?><!DOCTYPE robot>\n<?xml version='1.0'?>" + ARM,
        "<!-- a -->" * 300 + ARM,
        ARM.replace("<limit", '<limit foo:acceleration="2"'),
        ARM.replace("<limit", '<limit a:x="2" b:y="3" c:z="4"').replace("<robot", '<robot drake:a="1"'),
        ARM.replace('<link name="a"/>', '<link name="a"><bar:camera name="rgb"/></link>'),
        ARM.replace("<robot", '<robot xmlns="http://x"').replace("<axis", '<axis u:x="1"'),
        re.sub("<(/?)", r"<\1u:", ARM),
        ARM.replace("<origin", '<gz:origin xyz="9 9 9"/><gz:limit upper="9"/><origin'),
        ARM.replace("</robot>", '<sensor:joint name="j"/><sensor:link name="a"/></robot>'),
    ],
)
def test_texts_are_read_in_every_encoding_and_with_undeclared_prefixes(source: str | bytes, tmp_path: Path) -> None:
    arm = sim.load_arm(source)
    assert arm.urdf_path is None
    path = tmp_path / "arm.urdf"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    for each in (arm, sim.load_arm(path)):
        assert (each.joint_names, each.q_max[0], each.offsets[0, 2, 3]) == (("j",), 1.5, 0.3)
    assert arm.name == "bot"


def test_an_arm_from_text_and_one_with_a_long_axis_move_in_bullet_as_here() -> None:
    prismatic = ARM.replace("revolute", "prismatic").replace('axis xyz="0 0 1"', 'axis xyz="3 0 4"')
    continuous = ARM.replace("revolute", "continuous").replace('lower="-1" upper="1.5"', 'lower="0" upper="0"')
    for text in (ARM, prismatic, continuous, ARM.replace('axis xyz="0 0 1"', 'axis xyz="0 9 0"')):
        arm = sim.load_arm(text)
        with sim.World() as world:
            body = world.add_arm(arm)
            q = np.array([0.7])
            np.testing.assert_allclose(body.tip_pose(q), sim.forward_kinematics(arm, q), atol=1e-12)
            limits = body.client.getJointInfo(body.number, 0)[8:10]
        assert (limits[0] < limits[1]) == (arm.q_min[0] > -np.inf)


def test_a_frozen_arm_with_a_tool_moves_in_bullet_as_here() -> None:
    arm = sim.load_arm("xarm6", freeze={"joint3": -0.2}, tool=sim.pose((0, 0, 0.1), (0, 0.3, 0)))
    whole = sim.load_arm("xarm6")
    q = np.random.default_rng(0).uniform(-1, 1, (5, 5))
    T = sim.forward_kinematics(whole, np.insert(q, 2, -0.2, axis=1)) @ sim.pose((0, 0, 0.1), (0, 0.3, 0))
    np.testing.assert_allclose(sim.forward_kinematics(arm, q), T, atol=1e-14)
    with sim.World() as world:
        np.testing.assert_allclose(world.add_arm(arm).tip_pose(q), T, atol=1e-9)
    assert arm.name == "xarm6+tool+joint3=-0.2"


def test_axes_of_any_length_are_directions() -> None:
    for axis in ("0 0 1e200", "0 0 1e-200", "0 0 7"):
        arm = sim.load_arm(ARM.replace('axis xyz="0 0 1"', f'axis xyz="{axis}"'))
        np.testing.assert_array_equal(arm.offsets[0, :3, :3], np.eye(3))


# what is refused, in a line


def nested(depth: int) -> str:
    return ARM.replace("</robot>", "<x>" * depth + "</x>" * depth + "</robot>")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested(256), "nested over 256 deep in line 1"),
        (nested(100_000), "nested over 256 deep"),
        ('<!DOCTYPE r [<!ENTITY a "1">]>' + ARM, "declares the entity 'a' in line 1"),
        ('<!DOCTYPE r [<!ENTITY % a SYSTEM "file:///etc/hostname">]>' + ARM, "declares the entity 'a'"),
        (ARM.replace("0.1 0.2 0.3", "0.1 0.2 1_0"), "<origin xyz='0.1 0.2 1_0'>; it must be three finite numbers"),
        (ARM.replace("0.1 0.2 0.3", "0.1 0.2 0x10"), "three finite numbers"),
        (ARM.replace("0.1 0.2 0.3", "1e308 1e308 0"), r"three finite numbers within ±1e\+09"),
        (ARM.replace("-1", "-1_0"), "<limit lower='-1_0'>; it must be a number"),
        (ARM.replace('name="a"', 'name="${prefix}a"'), "expand the xacro macros first: xacro"),
        (ARM.replace("<link", '<xacro:include filename="x"/><link', 1), "expand the xacro macros first: xacro"),
        ("<", "XML is broken"),
        ('<?xml version="1.0"?><?xml version="1.0"?>' + ARM, "XML is broken"),
        ('<!--\n--> <?xml version="1.0"\n?>\n<x>\n' + ARM, "XML is broken.*line 5"),
    ],
)
def test_texts_that_cannot_be_read_rightly_are_refused_in_a_line(text: str, message: str) -> None:
    with pytest.raises(URDFError, match=message) as caught:
        sim.load_arm(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_as_deep_as_is_allowed_nothing_is_lost() -> None:
    assert sim.load_arm(nested(255)) == sim.load_arm(nested(255))


def tree(count: int, kind: str = "fixed") -> str:
    parts = [f'<link name="l{i}"/>' for i in range(count + 1)]
    for i in range(count):
        body = f'<parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="0 0 0.01"/>{LIMIT}'
        parts.append(f'<joint name="j{i}" type="{"continuous" if i == 0 else kind}">{body}</joint>')
    return robot(parts)


@pytest.mark.slow
def test_long_chains_load() -> None:
    arm = sim.load_arm(tree(10_000))
    assert arm.n_joints == 1
    assert np.linalg.norm(arm.offsets[1, :3, 3]) == pytest.approx(99.99)
    assert sim.load_arm(tree(400, "revolute")).n_joints == 400


def test_many_tips_are_told_by_their_longest_ten() -> None:
    text = tree(30, "revolute").replace("</robot>", "")
    for i in range(30):
        text += f'<link name="side{i}"/><joint name="s{i}" type="fixed"><parent link="l{i + 1}"/>'
        text += f'<child link="side{i}"/></joint>'
    with pytest.raises(
        URDFError, match=r"ends in 30 links; .*: side29 \(30\), side28 \(29\), .* and 20 more$"
    ) as caught:
        sim.load_arm(text + "</robot>")
    assert len(caught.value.candidates) == 30  # type: ignore[attr-defined]


def test_loading_wakes_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, sim\nfor name in sim.builtin_arms(): sim.load_arm(name)\n"
        "heavy = {'torch', 'yourdfpy', 'lxml', 'trimesh', 'scipy', 'pybullet'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_copy_for_bullet_keeps_what_is_not_of_joints() -> None:
    text = ARM.replace(
        '<link name="a"/>', '<link name="a"><visual><geometry><sphere radius="1"/></geometry></visual></link>'
    )
    root = parse_xml(text, "arm")
    plain_joints(root, "arm")
    assert root.find("link/visual/geometry/sphere").get("radius") == "1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('<axis xyz="0 0 1"/>', "<axis>0 0 1</axis>", r"joint 'j' has .*<axis xyz="),
        ('xyz="0.1 0.2 0.3"', 'xyz="0.1 0.2 0.3" quat_xyzw="0 0 0.6 0.8"', r"joint 'j' has .*<origin rpy="),
    ],
)
def test_a_direction_written_where_nobody_looks_is_refused(old: str, new: str, told: str) -> None:
    with pytest.raises(URDFError, match=told):
        sim.load_arm(ARM.replace(old, new))
