"""Trees of links as Bullet takes them: a single one, of a limited number of joints."""

from __future__ import annotations

import logging
from collections.abc import Collection
from xml.etree import ElementTree as ET

import numpy as np

from sim.arm import as_origin, read_origin
from sim.arrays import FloatArray
from sim.errors import WorldError

_log = logging.getLogger(__name__)

_MOMENTS = ("ixx", "ixy", "ixz"), ("ixy", "iyy", "iyz"), ("ixz", "iyz", "izz")


def keep_one_tree(root: ET.Element, keep: Collection[str], where: str) -> None:
    """Leave out what no joint joins to the rest of a URDF: several trees, or circles of links, end the process in Bullet.

    Args:
        root: The XML, tags without prefixes.
        keep: Links of the tree that stays; empty where there must be one only.
        where: What messages call it.

    Raises:
        WorldError: There is not one tree, and no link to keep tells which is meant.
    """
    links = {link.get("name", ""): link for link in root.findall("link")}
    joints = root.findall("joint")
    above = {_end(joint, "child"): _end(joint, "parent") for joint in joints}
    tops = [name for name in links if name not in above]
    for name in list(keep)[:1]:
        for _ in links:  # as far up as there can be
            name = above.get(name, name)
        tops = [name]
    if len(tops) != 1:
        raise WorldError(f"{where}: one link must have no joint above it; of these there are {len(tops)}: {tops[:10]}")
    tree, size = set(tops), 0
    while len(tree) > size:
        size = len(tree)
        tree |= {child for child, parent in above.items() if parent in tree}
    apart = [name for name in links if name not in tree]
    if apart:
        _log.warning("%s: no joint joins these links to the others, they are left out: %s", where, ", ".join(apart))
    for element in [*(links[name] for name in apart), *(each for each in joints if _end(each, "parent") not in tree)]:
        root.remove(element)


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
    spare = [joint for joint in joints if joint.get("type") == "fixed" and _end(joint, "child") not in keep]
    spare.sort(key=lambda joint: links[_end(joint, "child")].find("collision") is not None)
    gone = spare[: max(0, len(joints) - most)]
    for joint in gone:
        root.remove(joint)
        parent, child = (links[_end(joint, role)] for role in ("parent", "child"))
        _weld(root, parent, child, read_origin(joint, where), where)
    return [_end(joint, "child") for joint in gone]


def read_moments(inertia: ET.Element) -> FloatArray:
    """Moments of inertia that an `<inertia>` gives, shape (3, 3) [kg m²]."""
    return np.array([[float(inertia.get(key, "0")) for key in row] for row in _MOMENTS])


def write_moments(moments: FloatArray) -> dict[str, str]:
    """The attributes of an `<inertia>` with moments (3, 3) [kg m²]."""
    return {_MOMENTS[i][j]: repr(float(moments[i, j])) for i in range(3) for j in range(i, 3)}


def _end(joint: ET.Element, role: str) -> str:
    """The name of a joint's parent or child; empty where it has none."""
    element = joint.find(role)
    return "" if element is None else element.get("link", "")


def _weld(root: ET.Element, parent: ET.Element, child: ET.Element, T_parent_child: FloatArray, where: str) -> None:
    """Give all that a link has, and the joints below it, to the link above."""
    for shape in [*child.findall("visual"), *child.findall("collision")]:
        _move(shape, T_parent_child, where)
        parent.append(shape)
    for joint in root.findall("joint"):
        above = joint.find("parent")
        if above is not None and above.get("link") == child.get("name"):
            _move(joint, T_parent_child, where)
            above.set("link", parent.get("name", ""))
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
    ET.SubElement(inertial, "inertia", write_moments(total))


def _inertia(inertial: ET.Element, where: str) -> tuple[float, FloatArray, FloatArray]:
    """Mass [kg], frame (4, 4) and moments of inertia (3, 3) of an `<inertial>`."""
    mass, inertia = inertial.find("mass"), inertial.find("inertia")
    assert mass is not None
    assert inertia is not None
    return float(mass.get("value", "0")), read_origin(inertial, where), read_moments(inertia)
