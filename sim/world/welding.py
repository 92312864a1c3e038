"""Links that fixed joints join to others, made part of these: Bullet knows a limited number of joints."""

from __future__ import annotations

from collections.abc import Collection
from xml.etree import ElementTree as ET

import numpy as np

from sim.arm import as_origin, read_origin
from sim.arrays import FloatArray

_MOMENTS = ("ixx", "ixy", "ixz"), ("ixy", "iyy", "iyz"), ("ixz", "iyz", "izz")


def weld_links(root: ET.Element, most: int, keep: Collection[str], where: str) -> list[str]:
    """Make links part of those that fixed joints join them to, until a URDF has so many joints, or none is left to weld.

    Links without collision shapes go first: nothing is ever said of them.

    Args:
        root: The XML, tags without prefixes; every link below another has an `<inertial>` with mass and inertia.
        most: Joints that may stay.
        keep: Links that stay as they are.
        where: What messages call it.

    Returns:
        The links that are gone.
    """
    links = {link.get("name", ""): link for link in root.findall("link")}
    joints = root.findall("joint")
    spare = [joint for joint in joints if joint.get("type") == "fixed" and _end(joint, "child").get("link") not in keep]
    spare.sort(key=lambda joint: links[str(_end(joint, "child").get("link"))].find("collision") is not None)
    gone = spare[: max(0, len(joints) - most)]
    for joint in gone:
        root.remove(joint)
        parent, child = (links[str(_end(joint, role).get("link"))] for role in ("parent", "child"))
        _weld(root, parent, child, read_origin(joint, where), where)
    return [str(_end(joint, "child").get("link")) for joint in gone]


def _end(joint: ET.Element, role: str) -> ET.Element:
    element = joint.find(role)
    assert element is not None, "joints have a parent and a child"
    return element


def _weld(root: ET.Element, parent: ET.Element, child: ET.Element, T_parent_child: FloatArray, where: str) -> None:
    """Give all that a link has, and the joints below it, to the link above."""
    for shape in [*child.findall("visual"), *child.findall("collision")]:
        _move(shape, T_parent_child, where)
        parent.append(shape)
    for joint in root.findall("joint"):
        if _end(joint, "parent").get("link") == child.get("name"):
            _move(joint, T_parent_child, where)
            _end(joint, "parent").set("link", str(parent.get("name")))
    mine, other = parent.find("inertial"), child.find("inertial")
    if mine is not None and other is not None:  # the root stands still without any
        _move(other, T_parent_child, where)
        _add_up(mine, other, where)
    root.remove(child)


def _move(element: ET.Element, T: FloatArray, where: str) -> None:
    """Have an element's `<origin>` be given in another frame, in which the one of before is at T."""
    origin = as_origin(T @ read_origin(element, where))
    for old in element.findall("origin"):
        element.remove(old)
    element.append(origin)


def _add_up(inertial: ET.Element, other: ET.Element, where: str) -> None:
    """Have an `<inertial>` be that of its own mass and of another one's, by the parallel axis theorem."""
    masses, frames, moments = zip(*(_inertia(each, where) for each in (inertial, other)), strict=True)
    whole, centres = sum(masses), np.array([T[:3, 3] for T in frames])
    centre = np.average(centres, axis=0, weights=masses if whole > 0 else None)
    total = np.zeros((3, 3))
    for mass, T, own, arm in zip(masses, frames, moments, centres - centre, strict=True):
        total += T[:3, :3] @ own @ T[:3, :3].T + mass * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    inertial.clear()
    T = np.eye(4)
    T[:3, 3] = centre
    inertial.append(as_origin(T))
    ET.SubElement(inertial, "mass", value=repr(float(whole)))
    ET.SubElement(
        inertial, "inertia", {_MOMENTS[i][j]: repr(float(total[i, j])) for i in range(3) for j in range(i, 3)}
    )


def _inertia(inertial: ET.Element, where: str) -> tuple[float, FloatArray, FloatArray]:
    """Mass [kg], frame (4, 4) and moments of inertia (3, 3) of an `<inertial>`."""
    mass, inertia = inertial.find("mass"), inertial.find("inertia")
    assert mass is not None
    assert inertia is not None
    moments = np.array([[float(inertia.get(key, "0")) for key in row] for row in _MOMENTS])
    return float(mass.get("value", "0")), read_origin(inertial, where), moments
