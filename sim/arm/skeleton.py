"""The skeleton of a URDF: its links and joints, without shapes, materials and extensions."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from sim.errors import URDFError

_VECTORS = (("origin", "xyz"), ("origin", "rpy"), ("axis", "xyz"))
_LIMITS = ("lower", "upper", "velocity", "effort")


def read_skeleton(source: Path | str, where: str) -> bytes:
    """The XML of a URDF's links (names only) and joints, checked to be complete and freed of namespaces.

    Args:
        source: A file, or the XML itself.
        where: What messages call it.

    Returns:
        UTF-8 text that yourdfpy can read.

    Raises:
        URDFError: Broken XML, no <robot>, no links or joints, names missing or used twice, a joint without
            parent or child, or an origin, axis or limit that is no number.
        OSError: The file cannot be read.
    """
    try:
        root = ET.fromstring(source.read_bytes() if isinstance(source, Path) else source)
    except (ET.ParseError, LookupError, ValueError) as error:
        raise URDFError(f"{where}: not a readable URDF, the XML is broken ({error})") from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    if root.tag != "robot":
        raise URDFError(f"{where}: not a URDF: the outermost element is <{root.tag}>, it must be <robot>")
    links, joints = root.findall("link"), root.findall("joint")
    if not links or not joints:
        xacro = (
            "; expand the xacro macros first"
            if root.find("macro") is not None or root.find("include") is not None
            else ""
        )
        raise URDFError(f"{where}: a URDF needs links and joints; found {len(links)} and {len(joints)}{xacro}")
    for kind, elements in (("link", links), ("joint", joints)):
        _check_names(kind, [element.get("name", "") for element in elements], where)
    skeleton = ET.Element("robot", name=root.get("name", "robot"))
    skeleton.extend(ET.Element("link", name=link.get("name", "")) for link in links)
    for joint in joints:
        _check_joint(joint, where)
        skeleton.append(joint)
    text: bytes = ET.tostring(skeleton, encoding="utf-8")
    return text


def _check_names(kind: str, names: list[str], where: str) -> None:
    if not all(names):
        raise URDFError(f"{where}: {names.count('')} <{kind}> without a name; every {kind} needs name=")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise URDFError(f"{where}: {kind} names must be unique; used more than once: {', '.join(twice)}", names=twice)


def _check_joint(joint: ET.Element, where: str) -> None:
    name = joint.get("name")
    for role in ("parent", "child"):
        element = joint.find(role)
        if element is None or not element.get("link"):
            raise URDFError(f'{where}: joint {name!r} has no <{role} link="...">', joint=name)
    for tag, attribute in _VECTORS:
        element = joint.find(tag)
        text = None if element is None else element.get(attribute)
        if text is not None and not _are_numbers(text, 3):
            raise URDFError(
                f"{where}: joint {name!r} has <{tag} {attribute}={text!r}>; it must be three finite numbers", joint=name
            )
    limit = joint.find("limit")
    for attribute in _LIMITS:
        text = None if limit is None else limit.get(attribute)
        if text is not None and not _are_numbers(text, 1, infinite=True):
            raise URDFError(
                f"{where}: joint {name!r} has <limit {attribute}={text!r}>; it must be a number", joint=name
            )


def _are_numbers(text: str, count: int, *, infinite: bool = False) -> bool:
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError:
        return False
    return len(numbers) == count and not np.isnan(numbers).any() and (infinite or bool(np.isfinite(numbers).all()))
