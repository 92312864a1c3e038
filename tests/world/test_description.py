"""The copy of a URDF that Bullet loads means there what the kinematics mean by the original."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import trimesh

import sim
from sim.arm.arm import Arm
from sim.errors import URDFError, WorldError
from sim.kinematics import forward_kinematics
from sim.rendering.scenery import camera_for
from sim.scenes.scene import Obstacle, Scene
from sim.world.body import ArmBody
from sim.world.description import describe
from sim.world.world import World

MASS = '<inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>'


def robot(
    *,
    kinds: tuple[str, str] = ("revolute", "prismatic"),
    axes: tuple[str, str] = ("0 0 1", "1 0 0"),
    limit: str = 'lower="-1" upper="1"',
    hand: str = MASS,
    names: tuple[str, str, str] = ("foot", "arm", "hand"),
    joints: tuple[str, str] = ("turn", "slide"),
) -> str:
    foot, arm, tip = names
    return f"""<robot name="r"><link name="{foot}">{MASS}</link><link name="{arm}">{MASS}</link><link name="{tip}">{hand}</link>
<joint name="{joints[0]}" type="{kinds[0]}"><parent link="{foot}"/><child link="{arm}"/><origin xyz="0 0 0.3"/>
<axis xyz="{axes[0]}"/><limit {limit} effort="100" velocity="2"/></joint>
<joint name="{joints[1]}" type="{kinds[1]}"><parent link="{arm}"/><child link="{tip}"/><origin xyz="0.5 0 0" rpy="0.1 0 0"/>
<axis xyz="{axes[1]}"/><limit {limit} effort="100" velocity="2"/></joint></robot>"""


def load(folder: Path, text: str) -> Arm:
    (folder / "robot.urdf").write_text(text)
    return sim.load_arm(folder / "robot.urdf")


def mesh(tag: str, file: str) -> str:
    return f'<{tag}><geometry><mesh filename="{file}"/></geometry></{tag}>'


@pytest.mark.parametrize("length", [1e-100, 0.01, 0.999, 1.0, 10.0, 1e100])
def test_an_axis_of_any_length_is_a_direction(tmp_path: Path, length: float) -> None:
    axes = tuple(" ".join(repr(length * x) for x in axis) for axis in ((0.0, 0.6, 0.8), (0.48, 0.6, 0.64)))
    arm = load(tmp_path, robot(axes=axes))
    unit = load(tmp_path, robot(axes=("0 0.6 0.8", "0.48 0.6 0.64")))
    target = np.array([0.5, -0.7])
    with World() as world:
        body = world.add_arm(arm)
        np.testing.assert_allclose(body.tip_pose(target), forward_kinematics(unit, target), atol=1e-9)
        assert body.drive(target).settled
        np.testing.assert_allclose(body.tip_pose(), forward_kinematics(unit, target), atol=1e-3)


def test_axes_of_length_one_are_left_as_they_are_written(tmp_path: Path) -> None:
    axes = [
        axis.get("xyz") for axis in ET.fromstring(describe(None, robot(axes=("0 0 1", "0.6 0 0.8"))).xml).iter("axis")
    ]
    assert axes == ["0 0 1", "0.6 0 0.8"]


@pytest.mark.parametrize("limit", ['lower="0" upper="0"', 'lower="-0.1" upper="0.1"', 'lower="-3.14" upper="3.14"', ""])
def test_a_continuous_joint_turns_past_the_limits_that_it_does_not_have(tmp_path: Path, limit: str) -> None:
    arm = load(tmp_path, robot(kinds=("continuous", "continuous"), axes=("0 0 1", "0 0 1"), limit=limit))
    with World() as world:
        body = world.add_arm(arm)
        drive = body.drive(np.array([1.2, 4.0]))
    assert drive.settled
    np.testing.assert_allclose(drive.q_end, [1.2, 4.0], atol=1e-3)


@pytest.mark.parametrize(("limit", "target"), [('lower="-1.5"', [-0.3, -0.5]), ('upper="0.8"', [0.2, 0.4])])
def test_a_limit_that_is_missing_beside_the_other_is_zero_for_bullet_too(
    tmp_path: Path, limit: str, target: list[float]
) -> None:
    arm = load(tmp_path, robot(limit=limit))
    with World() as world:
        body = world.add_arm(arm)
        limits = [body.client.getJointInfo(body.number, joint)[8:10] for joint in body.joints]
        np.testing.assert_array_equal(np.transpose(limits), [arm.q_min, arm.q_max])
        assert body.drive(np.array(target)).settled


def test_a_frame_without_mass_weighs_next_to_nothing(tmp_path: Path) -> None:
    """Bullet alone would take 1 kg and 1 kg m²: 0.5 m from the joint, about its level axis, that is 4.9 N m."""
    torques = []
    for hand in ("", MASS):
        arm = load(tmp_path, robot(kinds=("revolute", "revolute"), axes=("0 1 0", "0 1 0"), hand=hand))
        with World() as world:
            torques.append(world.add_arm(arm).holding_torques(np.zeros(2))[0])
    assert torques[0] == pytest.approx(0.0, abs=0.01)
    assert torques[1] == pytest.approx(-0.5 * 9.81, rel=1e-6)


@pytest.mark.parametrize("lacking", ["mass", "inertia"])
def test_what_an_inertial_lacks_is_next_to_nothing_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lacking: str
) -> None:
    """Bullet alone refuses the file."""
    text = re.sub(rf"<{lacking} [^>]*/>", "", robot(kinds=("revolute", "revolute"), axes=("0 1 0", "0 1 0")))
    arm = load(tmp_path, text)
    with World() as world:
        body = world.add_arm(arm)
        np.testing.assert_allclose(body.tip_pose(np.zeros(2)), forward_kinematics(arm, np.zeros(2)), atol=1e-9)
        weight = float(np.abs(body.holding_torques(np.zeros(2))).max())
    assert (weight < 0.1) == (lacking == "mass")
    assert f"without <{lacking}>" in caplog.text


@pytest.mark.parametrize("rpy", [(0.0, 0.0, 0.0), (np.pi, 0.0, 0.0), (0.5, 0.7, 1.0)])
@pytest.mark.parametrize("turned", ["", '<origin rpy="0.3 -0.4 0.5" xyz="0.1 0.2 0.3"/>'])
def test_holding_torques_are_the_gradient_of_the_potential_energy(
    tmp_path: Path, rpy: tuple[float, float, float], turned: str
) -> None:
    text = robot(kinds=("revolute", "prismatic"), axes=("0 1 0", "0.6 0 0.8"))
    arm = load(tmp_path, text.replace("<inertial>", f"<inertial>{turned}", 1))  # of the foot: it does not move
    q, T_world_base = np.array([0.4, -0.3]), sim.pose((0.2, 0.1, 0.5), rpy=rpy)

    def energy(q: np.ndarray) -> float:  # of the hand; the arm link's mass is on the first axis
        return float(9.81 * (T_world_base @ forward_kinematics(arm, q))[2, 3])

    slope = [(energy(q + step) - energy(q - step)) / 2e-5 for step in 1e-5 * np.eye(2)]
    with World() as world:
        body = world.add_arm(arm, T_world_base)
        before = body.q
        np.testing.assert_allclose(body.holding_torques(q), slope, atol=1e-6)
        np.testing.assert_array_equal(body.q, before)


@pytest.mark.parametrize("name", ["%s", "%n%n%n%n", "100%", "a" * 1500, "tab\tand\x7f"])
def test_names_that_bullet_cannot_take_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    written = name.replace("\t", "&#9;")
    arm = load(tmp_path, robot(names=("foot", written, "hand"), joints=(written, "slide")))
    ball = f'{MASS}<collision><geometry><sphere radius="0.1"/></geometry></collision>'
    (tmp_path / "thing.urdf").write_text(f'<robot name="{written}"><link name="{written}">{ball}</link></robot>')
    thing = Obstacle("thing", "urdf", (1.0,), np.eye(4), path=tmp_path / "thing.urdf")
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(Scene("room", obstacles=(thing,)))
        assert [info.name for info in body.links.infos] == [name, "hand"]
        assert [info.joint for info in body.links.infos] == [name, "slide"]
        np.testing.assert_allclose(body.tip_pose(np.full(2, 0.3)), forward_kinematics(arm, np.full(2, 0.3)), atol=1e-9)


def test_a_text_in_one_line_is_loaded(tmp_path: Path) -> None:
    """Bullet's own reader refuses long lines."""
    chain = "".join(
        f'<link name="l{i}"/><joint name="f{i}" type="fixed"><parent link="{"hand" if i == 0 else f"l{i - 1}"}"/>'
        f'<child link="l{i}"/></joint>'
        for i in range(100)
    )
    arm = load(tmp_path, robot().replace("\n", "").replace("</robot>", chain + "</robot>"))
    with World() as world:
        assert len(world.add_arm(arm).links.infos) == 102
    more = "".join(
        f'<link name="m{i}"/><joint name="g{i}" type="fixed"><parent link="l99"/><child link="m{i}"/></joint>'
        for i in range(25)
    )
    text = robot().replace("</robot>", chain + more + "</robot>")
    (tmp_path / "long.urdf").write_text(text)
    with World() as world:
        assert len(world.add_arm(sim.load_arm(tmp_path / "long.urdf", tip="hand")).links.infos) == 126


@pytest.mark.parametrize("ending", ["stl", "stl_ascii", "obj", "ply", "dae"])
def test_a_mesh_collides_in_whatever_format_it_is(tmp_path: Path, ending: str) -> None:
    file = f"cube%s.{ending.removesuffix('_ascii')}"
    content = trimesh.creation.box((0.1, 0.1, 0.1)).export(file_type=ending)
    (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    arm = load(tmp_path, robot(hand=MASS + mesh("collision", file)))
    block = Obstacle("block", "box", (0.1, 0.1, 0.1), forward_kinematics(arm, np.full(2, 0.2)))
    with World() as world:
        body = world.add_arm(arm)
        world.add_scene(Scene("room", obstacles=(block,)))
        assert body.contacts_at(np.full(2, 0.2)) == (("hand", "room.block"),)
        assert not body.collides(np.full(2, -0.5))
        assert body.unshaped == ()
    (tmp_path / "thing.urdf").write_text(
        f'<robot name="t"><link name="l">{MASS}{mesh("collision", file)}</link></robot>'
    )
    thing = Obstacle("thing", "urdf", (1.0,), block.T_world_obstacle, path=tmp_path / "thing.urdf")
    with World() as world:
        body = world.add_arm(load(tmp_path, robot(hand=MASS + mesh("collision", file))))
        world.add_scene(Scene("room", obstacles=(thing,)))
        assert body.collides(np.full(2, 0.2))


def test_a_damaged_mesh_to_collide_with_is_refused_by_link_and_file(tmp_path: Path) -> None:
    (tmp_path / "cube.stl").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    arm = load(tmp_path, robot(hand=MASS + mesh("collision", "cube.stl")))
    thing = Obstacle("thing", "urdf", (1.0,), np.eye(4), path=tmp_path / "robot.urdf")
    with World() as world:
        with pytest.raises(WorldError, match=r"link 'hand': .*cube\.stl.*git lfs pull.*meshes=False"):
            world.add_arm(arm)
        with pytest.raises(WorldError, match=r"link 'hand': .*cube\.stl"):
            world.add_scene(Scene("room", obstacles=(thing,)))
        assert world.add_arm(arm, meshes=False).unshaped == ("hand",)


def test_a_mesh_that_is_to_hold_no_shape_collides_with_nothing_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = trimesh.creation.box((1, 1, 1)).export(file_type="dae").decode()
    for part in ("geometry ", "instance_geometry "):
        text = re.sub(rf"<{part}.*?</{part.strip()}>", "", text, flags=re.DOTALL)
    (tmp_path / "none.dae").write_text(text)
    arm = load(tmp_path, robot(hand=MASS + mesh("visual", "none.dae") + mesh("collision", "none.dae")))
    with caplog.at_level(logging.WARNING), World() as world:
        assert world.add_arm(arm).unshaped == ("hand",)
    assert "link 'hand' collides with nothing: its mesh holds no shape" in caplog.text
    assert "bone" not in caplog.text


@pytest.mark.parametrize("size", [0.3, 300.0])
def test_a_mesh_in_millimetres_is_told(tmp_path: Path, size: float, caplog: pytest.LogCaptureFixture) -> None:
    trimesh.creation.box((size, size / 2, size)).export(tmp_path / "box.stl")
    with caplog.at_level(logging.WARNING), World() as world:
        world.add_arm(load(tmp_path, robot(hand=MASS + mesh("collision", "box.stl"))))
    assert ("link 'hand' is 313 m wide; is its mesh in millimetres?" in caplog.text) == (size > 20.0)  # it is turned


def test_a_shape_that_bullet_makes_nothing_of_is_named(tmp_path: Path) -> None:
    arm = load(tmp_path, robot(hand=f"{MASS}<collision><geometry><cone/></geometry></collision>"))
    with World() as world, pytest.raises(WorldError, match=r"robot|hand"):
        world.add_arm(arm)


def test_a_mesh_to_look_at_that_is_not_there_is_drawn_as_a_bone_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = robot().replace(f'"arm">{MASS}', f'"arm">{MASS}{mesh("visual", "gone.stl")}')
    with caplog.at_level(logging.WARNING), World() as world:
        arm = load(tmp_path, text)
        bare = world.render(camera_for(arm))
        world.add_arm(arm)
        assert (world.render(camera_for(arm)) != bare).any()
    assert "link 'arm' is drawn as a bone: no mesh file 'gone.stl'" in caplog.text


def test_bones_go_on_to_the_tip_through_links_without_any_shape() -> None:
    visual = '<visual><geometry><mesh filename="gone.stl"/></geometry></visual>'
    joints = [("a", "b", "revolute"), ("b", "c", "fixed")]
    text = (
        f'<robot name="r"><link name="a">{{}}</link><link name="b">{MASS}</link><link name="c">{MASS}</link>'
        + "".join(
            f'<joint name="{a}{b}" type="{kind}"><parent link="{a}"/><child link="{b}"/><origin xyz="0 0 0.3"/></joint>'
            for a, b, kind in joints
        )
    )
    bones = {
        shape: re.findall(r'<cylinder [^>]*length="([^"]*)"', describe(None, text.format(shape) + "</robot>").xml)
        for shape in ("", visual)
    }
    assert bones == {"": [], visual: ["0.3", "0.3"]}


def test_a_body_that_bullet_moves_in_another_way_is_refused_with_the_joint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = load(tmp_path, robot())
    (tmp_path / "robot.urdf").write_text(robot(axes=("0 0 1", "0 1 0")))  # changed after it was read
    with World() as world, pytest.raises(WorldError, match="joint 'slide'"):
        world.add_arm(arm)


def test_a_broken_text_is_told(tmp_path: Path) -> None:
    arm = load(tmp_path, robot())
    (tmp_path / "robot.urdf").write_text("<robot")
    with World() as world, pytest.raises(URDFError, match="the XML is broken"):
        world.add_arm(arm)
    for axis in ("1 0", "1 0 x", "nan 0 1"):
        with pytest.raises(URDFError, match=f"axis xyz='{axis}'"):
            describe(None, robot(axes=("0 0 1", axis)))


def test_ideal_motors_hold_what_the_limits_of_the_urdf_do_not(tmp_path: Path) -> None:
    text = robot(kinds=("revolute", "revolute"), axes=("0 1 0", "0 1 0")).replace('effort="100"', 'effort="1"')
    ends: list[ArmBody] = []
    for ideal in (False, True):
        with World() as world:
            ends.append(world.add_arm(load(tmp_path, text), ideal_motors=ideal).drive(np.full(2, 0.3)).settled)
    assert ends == [False, True]


def test_heavy_links_one_after_the_other_are_held_where_they_should_be() -> None:
    mass = '<inertial><origin xyz="0.1 0 0"/><mass value="5"/><inertia ixx="0.01" iyy="0.02" izz="0.02"/></inertial>'
    links = "".join(f'<link name="l{i}">{mass}</link>' for i in range(7))
    joints = "".join(
        f'<joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="0.2 0 0"/>'
        '<axis xyz="0 1 0"/><limit lower="-1" upper="1" effort="1000" velocity="2"/></joint>'
        for i in range(6)
    )
    with World() as world:
        drive = world.add_arm(sim.load_arm(f'<robot name="r">{links}{joints}</robot>')).drive(np.full(6, 0.1))
    assert drive.settled
    assert drive.err_q.max() < 1e-4


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('mass value="1"', 'mass value="-1"', "<mass value='-1'>"),
        ('mass value="1"', 'mass value="heavy"', "<mass value='heavy'>"),
        ('ixx="0.01"', 'ixx="nan"', "<inertia ixx='nan'>"),
    ],
)
def test_a_mass_that_no_body_has_is_refused_with_the_link(tmp_path: Path, old: str, new: str, told: str) -> None:
    arm = load(tmp_path, robot(hand=MASS.replace(old, new)))
    with World() as world, pytest.raises(WorldError, match=f"link 'hand' has {told}"):
        world.add_arm(arm)


@pytest.mark.parametrize(
    "inertial",
    [
        '<mass value="0"/><inertia ixx="0" iyy="0" izz="0" ixy="0" ixz="0" iyz="0"/>',
        '<mass value="1"/><inertia ixx="0.01" iyy="0.001" izz="0.001" ixy="0" ixz="0" iyz="0"/>',
        '<mass value="1"/><inertia ixx="0.003" iyy="0.003" izz="0.001" ixy="0.0029" ixz="0" iyz="0"/>',
    ],
)
def test_a_hand_that_no_body_weighs_like_is_turned_about_its_own_axis(tmp_path: Path, inertial: str) -> None:
    hand = f"<inertial>{inertial}</inertial>"
    arm = load(tmp_path, robot(kinds=("revolute", "revolute"), axes=("0 0 1", "0 0 1"), hand=hand))
    with World() as world:
        body = world.add_arm(arm)
        moments = body.client.getDynamicsInfo(body.number, body.joints[1])[2]
        assert 0.0 < min(moments) <= max(moments) < sum(moments) / 2
        assert body.drive(np.array([0.3, -0.4])).settled


def test_moments_of_inertia_that_a_body_has_are_left_as_they_are_written() -> None:
    inertias = [each.attrib for each in ET.fromstring(describe(None, robot()).xml).iter("inertia")]
    assert inertias == [each.attrib for each in ET.fromstring(robot()).iter("inertia")]


def test_a_moment_of_inertia_below_zero_by_rounding_is_taken(tmp_path: Path) -> None:
    with World() as world:
        world.add_arm(load(tmp_path, robot(hand=MASS.replace('ixx="0.01"', 'ixx="-5e-20"')))).drive(np.full(2, 0.1))
