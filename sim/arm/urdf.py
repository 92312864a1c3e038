"""URDF descriptions: their XML read safely, links and joints taken out of it, joints of it made rigid."""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import numpy as np

from sim.arrays import FloatArray
from sim.errors import URDFError, shown
from sim.rotations import pose, rpy_of

FARTHEST = 1e9  # [m] that an origin may be away: products of such numbers are still finite
WIDE_TURN = 1e3  # [rad] beyond which the limit of a turning joint counts as none

_DEEPEST = 256  # elements within elements
_LISTED = 10  # names in a message
_MARKS = (  # of byte orders; the longer ones first
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# how "<" or a blank begins without a mark: where its first four bytes are zeros
_ZEROS = {"0001": "utf-32-be", "1000": "utf-32-le", "0101": "utf-16-be", "1010": "utf-16-le"}
_DECLARATION = re.compile(  # and what may not stand before it, but often does
    r"\A((?:\s|<!--(?:(?!-->).)*-->|<\?(?!xml\s)(?:(?!\?>).)*\?>|<!DOCTYPE[^<>\[]*>)*)(<\?xml\s[^>]*\?>)", re.DOTALL
)
_ENCODING = re.compile(rb"""\bencoding\s*=\s*["']([\w.:-]+)["']""")
_DIRECTION = {"axis": "xyz", "origin": "rpy"}  # the one attribute that is read
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ENDLESS = re.compile(r"([+-]?)(inf|infinity)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Joint:
    """One joint, as the URDF has it.

    Args:
        name, kind, parent, child: Attributes of the element; parent and child are links.
        origin: Pose of the joint in its parent link at q = 0, shape (4, 4), metres.
        rpy: The angles of that, as they are written [rad].
        axis: Unit vector in the joint's frame, shape (3,); zeros where the file gives no direction.
        lower, upper: Limits [rad or m]; None where the file gives none.
        velocity, effort: Limits [rad/s or m/s], [N m or N]; inf where the file gives none that is positive.
        mimics: The joint that this one follows, or None.
    """

    name: str
    kind: str | None
    parent: str
    child: str
    origin: FloatArray
    rpy: tuple[float, ...]
    axis: FloatArray
    lower: float | None
    upper: float | None
    velocity: float
    effort: float
    mimics: str | None


@dataclass(frozen=True)
class Robot:
    """The links and joints of a URDF, in the order of the file; every joint names links that there are."""

    links: tuple[str, ...]
    joints: tuple[Joint, ...]


def listed(names: Iterable[str]) -> str:
    """Names for a message, the first ten of many."""
    every = list(names)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return ", ".join(every[:_LISTED]) + more


def parse_xml(source: Path | str | bytes, where: str) -> ET.Element:
    """The outermost element of an XML text; other elements' tags without the prefix of its own, and with any other.

    What common readers of URDFs take is taken: byte order marks, UTF-16 and encodings that Python knows, space and
    comments before the declaration, prefixes that nobody declared. Entities are not: they can grow without bound, or
    bring in other files.

    Args:
        source: A file, or the XML itself.
        where: What messages call it.

    Raises:
        URDFError: The XML is broken, declares entities, or is nested over 256 deep; the message names the line.
        OSError: The file cannot be read.
    """
    data = source.read_bytes() if isinstance(source, Path) else source
    builder, depth, own = ET.TreeBuilder(), 0, ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, own
        depth += 1
        if depth == 1:
            own = tag[: tag.rfind(":") + 1]
        if depth > _DEEPEST:
            raise ValueError(f"elements nested over {_DEEPEST} deep in line {parser.CurrentLineNumber}")
        builder.start(tag.removeprefix(own), attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag.removeprefix(own))

    def refuse_entity(name: str, *_: object) -> None:
        raise ValueError(
            f"it declares the entity {name!r} in line {parser.CurrentLineNumber}; write out what it stands for"
        )

    try:
        text = (data if isinstance(data, str) else _decoded(data)).lstrip("\ufeff \t\r\n")
        text = _DECLARATION.sub(r"\2\1", text, count=1)
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler, parser.EntityDeclHandler = builder.data, refuse_entity
        parser.Parse(text, True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise URDFError(f"{where}: not a readable URDF, the XML is broken ({error})") from error


def read_robot(root: ET.Element, where: str) -> Robot:
    """Links and joints of a URDF; shapes, materials and everything else is not looked at.

    Raises:
        URDFError: No <robot>, no links or joints, xacro that is not expanded, names missing or used twice, a joint
            whose links are missing or one of which is the child of another joint too, an origin, axis or limit
            that is no number.
    """
    if root.tag != "robot":
        raise URDFError(f"{where}: not a URDF: the outermost element is <{root.tag}>, it must be <robot>")
    links = [element.get("name", "") for element in root if element.tag == "link"]
    elements = [element for element in root if element.tag == "joint"]
    _refuse_xacro(root, where)
    if not links or not elements:
        raise URDFError(f"{where}: a URDF needs links and joints; found {len(links)} and {len(elements)}")
    _check_names("link", links, where)
    _check_names("joint", [element.get("name", "") for element in elements], where)
    robot = Robot(tuple(links), tuple(_read_joint(element, where) for element in elements))
    _check_tree(robot, where)
    return robot


def make_rigid(root: ET.Element, robot: Robot, values: Mapping[str, float]) -> None:
    """Turn joints of the XML into fixed ones.

    Args:
        root: What `robot` was read from.
        robot: Its joints.
        values: Where each joint stands [rad or m], by name.
    """
    joints = {joint.name: joint for joint in robot.joints}
    for element in root:
        name = element.get("name", "")
        if element.tag != "joint" or name not in values:
            continue
        element.set("type", "fixed")
        for child in list(element):
            if child.tag in ("origin", "mimic"):
                element.remove(child)
        element.append(as_origin(joints[name].origin @ _motion(joints[name], values[name])))


def plain_joints(root: ET.Element, where: str) -> None:
    """Write axes with length 1, joints without end as continuous ones without limits, and the 0 of a limit that is given on
    the other side only, for readers that take these literally, or take the limit that is missing for another one.
    """
    for element in root:
        if element.tag != "joint":
            continue
        parts = _parts(element)
        axis = np.array(_read_vector(parts, "axis", "xyz", (1.0, 0.0, 0.0), f"{where}: joint"))
        unit = _unit(axis)
        if "axis" in parts and unit.any() and np.abs(unit - axis).max() > 1e-12:
            parts["axis"].set("xyz", " ".join(map(repr, unit.tolist())))
        ends = [_read_limit(parts.get("limit"), key, f"{where}: joint") or 0.0 for key in ("lower", "upper")]
        if element.get("type") == "revolute" and min(-ends[0], ends[1]) > WIDE_TURN:
            element.set("type", "continuous")
        if element.get("type") == "continuous" and "limit" in parts:
            for key in ("lower", "upper"):
                parts["limit"].attrib.pop(key, None)
        elif "limit" in parts and {"lower", "upper"} & parts["limit"].attrib.keys():
            for key in ("lower", "upper"):
                parts["limit"].attrib.setdefault(key, "0")


def add_link(root: ET.Element, parent: str, name: str, T_parent_link: FloatArray) -> None:
    """Append a link without mass and shape to the XML, fixed to another one."""
    link = ET.SubElement(root, "link", name=name)
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "mass", value="0")
    ET.SubElement(inertial, "inertia", dict.fromkeys(("ixx", "ixy", "ixz", "iyy", "iyz", "izz"), "0"))
    joint = ET.SubElement(root, "joint", name=f"{name}_joint", type="fixed")
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=name)
    joint.append(as_origin(T_parent_link))


def read_origin(element: ET.Element, where: str) -> FloatArray:
    """The pose that the `<origin>` of a joint, a shape or an `<inertial>` gives, shape (4, 4); without one the identity.

    Raises:
        URDFError: It is no six numbers.
    """
    parts = _parts(element)
    return pose(*(_read_vector(parts, "origin", key, (0.0, 0.0, 0.0), where) for key in ("xyz", "rpy")))


def as_origin(T: FloatArray) -> ET.Element:
    """The `<origin>` that gives a pose, shape (4, 4)."""
    xyz, rpy = (" ".join(map(repr, numbers.tolist())) for numbers in (T[:3, 3], rpy_of(T[:3, :3])))
    return ET.Element("origin", xyz=xyz, rpy=rpy)


def _decoded(data: bytes) -> str:
    """The text of a file, read as its byte order mark says, or its zeros, or as UTF-8, or as its declaration says."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    zeros = "".join("01"[byte > 0] for byte in data[:4])
    if zeros in _ZEROS:
        return data.decode(_ZEROS[zeros], errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        said = _ENCODING.search(data[:1000])
        if said is None:
            raise
        return data.decode(said[1].decode())


def _parts(element: ET.Element) -> dict[str, ET.Element]:
    """The elements within one, by tag; the first of several."""
    return {child.tag: child for child in reversed(element)}


def _refuse_xacro(root: ET.Element, where: str) -> None:
    macros = any(re.search(":(macro|include)$", element.tag) for element in root)
    names = (value for element in root for value in element.attrib.values())
    if macros or any("${" in value or "$(" in value for value in names):
        raise URDFError(
            f"{where}: this is xacro, not yet a URDF; expand the xacro macros first: xacro arm.urdf.xacro > arm.urdf"
        )


def _check_names(kind: str, names: list[str], where: str) -> None:
    if not all(names):
        raise URDFError(f"{where}: {names.count('')} <{kind}> without a name; every {kind} needs name=")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise URDFError(f"{where}: {kind} names must be unique; used more than once: {listed(twice)}", names=twice)


def _check_tree(robot: Robot, where: str) -> None:
    links = set(robot.links)
    above: dict[str, str] = {}
    for joint in robot.joints:
        for role, link in (("parent", joint.parent), ("child", joint.child)):
            if link not in links:
                raise URDFError(
                    f"{where}: joint {joint.name!r} names the {role} link {link!r}, which is not defined; "
                    f"links: {listed(sorted(links))}",
                    joint=joint.name,
                    link=link,
                )
        if joint.child in above:
            raise URDFError(
                f"{where}: link {joint.child!r} is the child of two joints, {above[joint.child]!r} and {joint.name!r}"
            )
        if joint.parent == joint.child:
            raise URDFError(f"{where}: joint {joint.name!r} joins link {joint.child!r} to itself", joint=joint.name)
        above[joint.child] = joint.name


def _read_joint(element: ET.Element, where: str) -> Joint:
    where = f"{where}: joint {element.get('name')!r}"
    parts = _parts(element)
    ends = {role: parts[role].get("link", "") if role in parts else "" for role in ("parent", "child")}
    for role, link in ends.items():
        if not link:
            raise URDFError(f'{where} has no <{role} link="...">', joint=element.get("name"))
    limit, mimic = parts.get("limit"), parts.get("mimic")
    velocity, effort = (_read_limit(limit, key, where) or 0.0 for key in ("velocity", "effort"))
    return Joint(
        name=element.get("name", ""),
        kind=element.get("type"),
        **ends,
        origin=read_origin(element, where),
        rpy=_read_vector(parts, "origin", "rpy", (0.0, 0.0, 0.0), where),
        axis=_unit(np.array(_read_vector(parts, "axis", "xyz", (1.0, 0.0, 0.0), where))),
        lower=_read_limit(limit, "lower", where),
        upper=_read_limit(limit, "upper", where),
        velocity=velocity if velocity > 0 else np.inf,
        effort=effort if effort > 0 else np.inf,
        mimics=None if mimic is None else mimic.get("joint", ""),
    )


def _read_vector(
    parts: dict[str, ET.Element], tag: str, attribute: str, default: tuple[float, ...], where: str
) -> tuple[float, ...]:
    text = parts[tag].get(attribute) if tag in parts else None
    if text is None and tag in parts and (tag == "axis" or parts[tag].get("quat_xyzw")):
        given = shown(ET.tostring(parts[tag], encoding="unicode").strip())
        raise URDFError(f'{where} has {given}; its direction must be given as <{tag} {_DIRECTION[tag]}="...">')
    if text is None:
        return default
    words = text.split()
    fine = len(words) == 3 and all(map(_NUMBER.fullmatch, words)) and all(np.isfinite(float(word)) for word in words)
    if not fine or (tag == "origin" and max(abs(float(word)) for word in words) > FARTHEST):
        within = f" within ±{FARTHEST:g}" if fine else ""
        raise URDFError(f"{where} has <{tag} {attribute}={shown(text)}>; it must be three finite numbers{within}")
    return tuple(map(float, words))


def _read_limit(limit: ET.Element | None, attribute: str, where: str) -> float | None:
    text = None if limit is None else limit.get(attribute)
    if text is None:
        return None
    word = text.strip()
    if not _NUMBER.fullmatch(word) and not _ENDLESS.fullmatch(word):
        raise URDFError(f"{where} has <limit {attribute}={shown(text)}>; it must be a number")
    return float(word)


def _unit(axis: FloatArray) -> FloatArray:
    """An axis with length 1, however long it was; zeros stay zeros."""
    largest = float(np.abs(axis).max())
    if largest > 0 and not 1e-100 < largest < 1e100:  # its square would overflow, or vanish
        axis = axis / largest
    return axis / (float(np.linalg.norm(axis)) or 1.0)


def _motion(joint: Joint, value: float) -> FloatArray:
    """What a joint does at a value [rad or m], shape (4, 4)."""
    motion = np.eye(4)
    if joint.kind == "prismatic":
        motion[:3, 3] = value * joint.axis
    elif value:
        from scipy.spatial.transform import Rotation  # takes a while to import

        motion[:3, :3] = Rotation.from_rotvec(value * joint.axis).as_matrix()
    return motion
