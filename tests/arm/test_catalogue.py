"""The built-in arms: complete, consistent, and as their sources say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sim
from sim.arm import catalogue

WRITTEN_HERE = ("planar2", "planar3", "puma560", "ur5e")


@pytest.mark.parametrize("name", catalogue.names())
def test_every_builtin_arm_loads_with_finite_limits_speeds_and_efforts(name: str) -> None:
    arm = sim.load_arm(name)
    assert arm.name == name
    assert arm.urdf_path is not None
    assert arm.urdf_path.is_file()
    for limits in (arm.q_min, arm.q_max, arm.dq_max, arm.effort_max):
        assert limits.shape == (arm.n_joints,)
        assert np.isfinite(limits).all()
    assert (arm.dq_max > 0).all()


def test_the_list_of_builtin_arms_names_each_with_a_line_about_it() -> None:
    arms = sim.builtin_arms()
    assert list(arms) == ["planar2", "planar3", "puma560", "ur5e", "xarm6", "panda", "iiwa"]
    assert all(about and "\n" not in about for about in arms.values())


@pytest.mark.parametrize(
    ("name", "joints"), [("planar2", 2), ("planar3", 3), ("puma560", 6), ("xarm6", 6), ("panda", 7)]
)
def test_builtin_arms_have_the_joints_they_promise(name: str, joints: int) -> None:
    assert sim.load_arm(name).n_joints == joints


def test_arms_have_distinct_fingerprints() -> None:
    prints = [sim.load_arm(name).fingerprint for name in catalogue.names()]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(("name", "lengths"), [("planar2", [1.0, 1.0]), ("planar3", [1.0, 0.8, 0.5])])
def test_shipped_planar_urdfs_are_what_the_generator_writes(name: str, lengths: list[float]) -> None:
    entry = catalogue.find(name)
    assert entry is not None
    assert entry.path.read_text(encoding="utf-8") == catalogue.planar_urdf(lengths, name=name)


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_moving_links_have_physical_inertias(name: str) -> None:
    entry = catalogue.find(name)
    assert entry is not None
    root = ET.parse(entry.path).getroot()
    moved = {joint.find("child").get("link") for joint in root.findall("joint") if joint.get("type") != "fixed"}  # type: ignore[union-attr]
    for link in root.findall("link"):
        inertial = link.find("inertial")
        assert inertial is not None, f"PyBullet would give {link.get('name')} 1 kg"
        if link.get("name") not in moved:
            continue
        assert float(inertial.find("mass").get("value")) > 0  # type: ignore[union-attr, arg-type]
        get = {key: float(value) for key, value in inertial.find("inertia").attrib.items()}  # type: ignore[union-attr]
        inertia = [
            [get["ixx"], get["ixy"], get["ixz"]],
            [get["ixy"], get["iyy"], get["iyz"]],
            [get["ixz"], get["iyz"], get["izz"]],
        ]
        a, b, c = np.linalg.eigvalsh(np.array(inertia))
        assert 0 < a <= b <= c <= (a + b) * (1 + 1e-6), f"{link.get('name')}: principal moments {a}, {b}, {c}"


@pytest.mark.parametrize("name", ["puma560", "ur5e"])
def test_written_arms_have_a_shape_to_see_and_to_collide_on_every_moving_link(name: str) -> None:
    entry = catalogue.find(name)
    assert entry is not None
    root = ET.parse(entry.path).getroot()
    materials = {material.get("name") for material in root.findall("material")}
    moved = {joint.find("child").get("link") for joint in root.findall("joint") if joint.get("type") != "fixed"}  # type: ignore[union-attr]
    for link in root.findall("link"):
        if link.get("name") in moved:
            assert link.find("visual") is not None
            assert link.find("collision") is not None
    assert {m.get("name") for m in root.findall("link/visual/material")} <= materials
    assert root.find(".//mesh") is None


@pytest.fixture(scope="module")
def bullet() -> Iterator[Any]:
    import pybullet

    client = pybullet.connect(pybullet.DIRECT)
    yield pybullet
    pybullet.disconnect(client)


def find_contacts(bullet: Any, body: int, q: NDArray[np.float64]) -> set[frozenset[int]]:
    """Pairs of links (Bullet's indices) that touch when the moving joints stand at q."""
    infos = [bullet.getJointInfo(body, i) for i in range(bullet.getNumJoints(body))]
    moving = [info[0] for info in infos if info[2] != bullet.JOINT_FIXED]
    for index, value in zip(moving, q, strict=True):
        bullet.resetJointState(body, index, value)
    links = range(-1, len(infos))
    pairs = [(a, b) for a in links for b in links if a < b]
    return {frozenset(p) for p in pairs if bullet.getClosestPoints(body, body, 0.0, p[0], p[1])}


@pytest.mark.parametrize("name", ["puma560", "ur5e"])
def test_neighbouring_links_never_touch(name: str, bullet: Any) -> None:
    arm = sim.load_arm(name)
    body = bullet.loadURDF(str(arm.urdf_path), useFixedBase=True, flags=bullet.URDF_USE_SELF_COLLISION)
    parents = {i: bullet.getJointInfo(body, i)[16] for i in range(bullet.getNumJoints(body))}
    fixed = {i for i in parents if bullet.getJointInfo(body, i)[2] == bullet.JOINT_FIXED}
    # a link that is fixed to its parent moves with it: count them as one
    root = {i: parents[i] if i in fixed else i for i in parents} | {-1: -1}
    neighbours = {frozenset((i, root[parents[i]])) for i in parents} | {frozenset((i, parents[i])) for i in parents}
    rng = np.random.default_rng(0)
    in_limits, anywhere = set(), set()
    for _ in range(60):
        in_limits |= find_contacts(bullet, body, rng.uniform(arm.q_min, arm.q_max))
        anywhere |= find_contacts(bullet, body, rng.uniform(-np.pi, np.pi, arm.n_joints))
    assert anywhere, "an arm folded beyond its limits must collide with itself"
    assert not in_limits & neighbours


@pytest.mark.parametrize(
    ("name", "q"),
    [
        ("ur5e", [0, 0, 0, 0, 0, 0]),
        ("ur5e", [0, -1.5708, 0, -1.5708, 0, 0]),
        ("ur5e", [0, -1.5708, 1.5708, -1.5708, -1.5708, 0]),
        ("ur5e", [0.5, -2.2, -1.4, -1.0, 1.5708, 2]),
        ("puma560", [0, 0, 0, 0, 0, 0]),
        ("puma560", [0, 1.5708, -1.5708, 0, 0, 0]),
        ("puma560", [0, 0, -1.5708, 0, 0, 0]),
        ("puma560", [2.0, 0.7, -0.5, 3.0, 1.7, -4.0]),
    ],
)
def test_common_configurations_are_free_of_collisions(name: str, q: list[float], bullet: Any) -> None:
    path = str(sim.load_arm(name).urdf_path)
    body = bullet.loadURDF(path, useFixedBase=True, flags=bullet.URDF_USE_SELF_COLLISION)
    assert find_contacts(bullet, body, np.array(q)) == set()


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_bullet_reads_the_written_arms_without_a_warning(
    name: str, bullet: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    body = bullet.loadURDF(str(sim.load_arm(name).urdf_path), useFixedBase=True)
    bullet.removeBody(body)
    out, err = capfd.readouterr()
    assert "arning" not in out + err


def test_ur5e_limits_are_the_data_sheets() -> None:
    arm = sim.load_arm("ur5e")
    turn = 2 * np.pi
    np.testing.assert_allclose(arm.q_max, [turn, turn, np.pi, turn, turn, turn], rtol=1e-15)
    np.testing.assert_array_equal(arm.q_min, -arm.q_max)
    np.testing.assert_allclose(arm.dq_max, np.pi)
    np.testing.assert_array_equal(arm.effort_max, [150, 150, 150, 28, 28, 28])
    assert arm.joint_names == (
        "shoulder_pan_joint",
        "shoulder_lift_joint",
        "elbow_joint",
        "wrist_1_joint",
        "wrist_2_joint",
        "wrist_3_joint",
    )


def test_puma560_limits_are_the_manufacturers() -> None:
    arm = sim.load_arm("puma560")
    np.testing.assert_allclose(np.rad2deg(arm.q_max), [160, 225, 45, 170, 100, 266], rtol=1e-14)
    np.testing.assert_allclose(np.rad2deg(arm.q_min), [-160, -45, -225, -110, -100, -266], rtol=1e-14)


def test_a_robot_name_with_markup_is_escaped() -> None:
    root = ET.fromstring(catalogue.planar_urdf([1.0], name='a "b" <c> & d'))
    assert root.get("name") == 'a "b" <c> & d'


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("UR5e", "ur5e"), ("xarm", "xarm6"), ("planar_2", "planar2"), ("puma", "puma560"), (" iiwa", "iiwa")],
)
def test_a_misspelt_name_is_corrected(typed: str, meant: str) -> None:
    assert catalogue.closest(typed) == f" (did you mean {meant!r}?)"


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    assert catalogue.closest("zzzzzz") == ""
