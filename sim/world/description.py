"""The copy of a robot description that Bullet loads: it means there what the kinematics mean by the original."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from sim.arm import find_mesh, parse_xml, plain_joints, read_mesh, search_folders
from sim.arrays import FloatArray
from sim.errors import URDFError, WorldError, shown
from sim.world.trees import keep_one_tree, read_moments, weld_links, write_moments

_log = logging.getLogger(__name__)

_KEPT = ("link", "joint", "material")  # of the elements of a robot; Bullet looks at no other
_UNSAFE = re.compile(r"[%\x00-\x1f\x7f]|.{200}", re.DOTALL)  # Bullet takes names for formats of printf
_MOST_JOINTS = 126  # that Bullet tells of, fixed ones included
_NEXT_TO_NOTHING = 1e-3, 1e-6  # [kg], [kg m²] of a frame without mass; Bullet would take 1 and 1
_LEAST_RADIUS = 3e-3  # [m] of gyration of a link: a ball of steel of 7.5 mm has this one
_THICKNESS = 0.04  # of a drawn bone, as a share of its length


@dataclass(frozen=True)
class Description:
    """What Bullet loads, and what was changed in it.

    Args:
        xml: The text of the URDF.
        files: Meshes to write beside it, by name.
        names: What is called otherwise in it, and its name in the original.
        solid: Links that must have a collision shape.
        unshaped: Links that name a collision geometry and were left without it.
    """

    xml: str
    files: dict[str, bytes]
    names: dict[str, str]
    solid: tuple[str, ...]
    unshaped: tuple[str, ...]


def describe(
    path: Path | None, xml: str | None = None, *, meshes: bool = True, keep: Collection[str] = ()
) -> Description:
    """The copy of a URDF for Bullet.

    Axes get length 1, as the URDF means them; limits of continuous joints go, as they have none; frames without
    `<inertial>` weigh next to nothing instead of 1 kg, and so does what an `<inertial>` lacks; moments of inertia that no
    body of the mass can have are raised; names that Bullet's printing would stumble over are replaced
    (see `Description.names`); meshes are found and checked (`sim.arm.read_mesh`), and written as binary STL where
    Bullet does not read the file; those that are to hold no shape are left out, with a warning in the log. A mesh to
    look at that is missing or damaged is replaced by a bone from the link's frame to the next joint, with a warning in
    the log. Of files with more joints than Bullet knows, links that fixed joints join to others are made part of these
    (see `weld_links`), as many as it takes.

    Args:
        path: The file; None where there is only its text, whose meshes are looked for from the working directory.
        xml: The text, where it is not what stands in the file.
        meshes: False leaves all shapes that are meshes out, for arms whose mesh files are not at hand.
        keep: Links that must be there by their name.

    Raises:
        URDFError: The XML is broken, or an axis or origin is no three numbers.
        WorldError: A mesh to collide with is missing or not whole, a mass or inertia is one that no body has, or there
            are more joints than Bullet knows, fixed ones left aside, or several trees of links and none to keep.
    """
    where = "the URDF text" if path is None else str(path)
    root = parse_xml(xml if xml is not None else path or "", where)
    for element in [element for element in root if element.tag not in _KEPT]:
        root.remove(element)
    plain_joints(root, where)
    keep_one_tree(root, keep, where)
    _add_masses(root)
    _fit(root, keep, where)
    shapes = _Shapes(where, search_folders(path), meshes)
    for link in root.findall("link"):
        shapes.settle(link)
    shapes.report()
    _draw_bones(root, shapes.unseen, where)
    solid = tuple(link.get("name", "") for link in root.findall("link") if link.find("collision/geometry") is not None)
    names = _rename(root)
    ET.indent(root)  # Bullet refuses long lines
    return Description(ET.tostring(root, encoding="unicode"), shapes.files, names, solid, tuple(shapes.unshaped))


def _fit(root: ET.Element, keep: Collection[str], where: str) -> None:
    """Have no more joints than Bullet knows.

    Raises:
        WorldError: Too many of them move, or belong to links that must stay.
    """
    count = len(root.findall("joint"))
    welded = weld_links(root, _MOST_JOINTS, keep, where)
    if welded:
        _log.info("%s has %d joints; links made part of those they are fixed to: %s", where, count, ", ".join(welded))
    left = count - len(welded)
    if left > _MOST_JOINTS:
        raise WorldError(
            f"{where} has {left} joints that move or lead to the base or the tip; Bullet takes at most {_MOST_JOINTS}: "
            "make joints that the arm does not use fixed ones, or leave the links below them out of the file"
        )


def _numbers(element: ET.Element, default: str, where: str) -> FloatArray:
    """The three numbers of an element's `xyz`."""
    text = element.get("xyz", default)
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        raise URDFError(f"{where}: <{element.tag} xyz={text!r}> must be three finite numbers")
    return numbers


def _add_masses(root: ET.Element) -> None:
    """Give links without `<inertial>` a mass that no motor feels; the root stands still with any.

    An `<inertial>` without mass or inertia gets the same for what it lacks: Bullet refuses it. So does a mass of 0 below a
    joint that moves, which no motor of Bullet's can.
    """
    below = {child.get("link") for child in root.iterfind("joint/child")}
    carried = {child.get("link") for child in root.iterfind("joint[@type!='fixed']/child")}
    mass, inertia = _NEXT_TO_NOTHING
    for link in root.findall("link"):
        inertial = link.find("inertial")
        if inertial is None:
            if link.get("name") not in below:
                continue
            inertial = ET.SubElement(link, "inertial")
        _check_inertial(inertial, str(link.get("name")))
        if link.get("name") in carried and any(float(each.get("value", "0")) == 0 for each in inertial.iter("mass")):
            inertial.clear()
        lacking = [tag for tag in ("mass", "inertia") if inertial.find(tag) is None]
        if len(lacking) == 1:
            _log.warning("link %r has an <inertial> without <%s>: next to nothing is taken", link.get("name"), *lacking)
        if "mass" in lacking:
            ET.SubElement(inertial, "mass", value=repr(mass))
        if "inertia" in lacking:
            ET.SubElement(
                inertial, "inertia", dict.fromkeys(("ixx", "iyy", "izz"), repr(inertia)), ixy="0", ixz="0", iyz="0"
            )
        _raise_inertia(inertial, str(link.get("name")))


def _check_inertial(inertial: ET.Element, link: str) -> None:
    """Refuse masses below zero and what is no number: with them Bullet's dynamics fail, or give NaN."""
    for element in inertial:
        for key, text in element.attrib.items():
            try:
                numbers = [float(word) for word in text.split()]
            except ValueError:
                numbers = [np.nan]
            least = 0.0 if key == "value" else -np.inf  # moments below zero by rounding are raised
            if not (numbers and np.isfinite(numbers).all() and min(numbers) >= least):
                bound = ", 0 or more" if least == 0.0 else ""
                raise WorldError(
                    f"link {link!r} has <{element.tag} {key}={shown(text)}> in its <inertial>; it must be finite{bound}",
                    link=link,
                )


def _raise_inertia(inertial: ET.Element, link: str) -> None:
    """Make the moments of inertia those of a body of the mass that is nowhere thinner than a small radius.

    With S = ∫ r rᵀ dm they are tr(S) 1 - S, and S has no eigenvalue below 0 (so no moment is above the sum of the other
    two). Bullet takes moments that no body has for none at all, and with too small ones motors make it diverge.
    """
    mass, inertia = inertial.find("mass"), inertial.find("inertia")
    assert mass is not None
    assert inertia is not None
    moments, least = read_moments(inertia), float(mass.get("value", "0")) * _LEAST_RADIUS**2 / 2
    spread, axes = np.linalg.eigh(np.trace(moments) / 2 * np.eye(3) - moments)
    if spread[0] < least:
        _log.info(
            "link %r: inertia raised to that of a body of its mass, of a radius of %g m at least", link, _LEAST_RADIUS
        )
        S = axes @ np.diag(np.maximum(spread, least)) @ axes.T
        inertia.attrib.update(write_moments(np.trace(S) * np.eye(3) - S))


class _Shapes:
    """The meshes of a URDF's links, one link after the other."""

    def __init__(self, where: str, folders: list[Path], meshes: bool) -> None:
        self.where, self.folders, self.meshes = where, folders, meshes
        self.files: dict[str, bytes] = {}
        self.unshaped: list[str] = []
        self.unseen: set[str] = set()
        self._missing: list[str] = []
        self._faults: list[str] = []

    def settle(self, link: ET.Element) -> None:
        """Have every mesh of a link be a file that Bullet reads, or take its shape out."""
        name = link.get("name", "")
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            mesh = shape.find("geometry/mesh")
            if mesh is None:
                continue
            fault = self._find(mesh) if self.meshes else ""
            if fault is None:
                continue
            link.remove(shape)
            if shape.tag == "visual":
                if fault or not self.meshes:
                    self.unseen.add(name)
                if fault:
                    _log.warning("%s: link %r is drawn as a bone: %s", self.where, name, fault)
            elif fault:
                self._faults.append(f"link {name!r}: {fault}")
            else:
                self.unshaped += [name] if name not in self.unshaped else []
                if self.meshes:
                    _log.warning("%s: link %r collides with nothing: its mesh holds no shape", self.where, name)

    def report(self) -> None:
        """Refuse what cannot be collided with.

        Raises:
            WorldError: A mesh is missing or not whole.
        """
        advice = "or leave shapes out with meshes=False (--no-meshes): then nothing of them collides"
        missing = list(dict.fromkeys(self._missing))
        if self._faults and missing:
            raise WorldError(
                f"{self.where}: {len(missing)} mesh files not found, first {missing[0]!r}; looked in "
                f"{', '.join(map(str, self.folders[:4]))} and above. Put them there, add their folder to "
                f"ROS_PACKAGE_PATH, {advice}",
                missing=missing,
            )
        if self._faults:
            raise WorldError(f"{self.where}: {'; '.join(self._faults[:3])}. Mend the file, {advice}")

    def _find(self, mesh: ET.Element) -> str | None:
        """Set the file that Bullet reads, and give None; else what is wrong with it, "" where it is to hold no shape."""
        reference = mesh.get("filename", "")
        path = find_mesh(reference, self.folders)
        if path is None:
            self._missing.append(reference)
            return f"no mesh file {reference!r}"
        try:
            content = read_mesh(path)
        except WorldError as error:
            return str(error)
        if content == b"":
            return ""
        if content is None and not _UNSAFE.search(str(path)):
            mesh.set("filename", str(path))
            return None
        suffix = path.suffix.lower() if content is None else ".stl"
        name = f"mesh{len(self.files)}{suffix}"
        self.files[name] = path.read_bytes() if content is None else content
        mesh.set("filename", name)
        return None


def _draw_bones(root: ET.Element, unseen: set[str], where: str) -> None:
    """Draw links that have nothing to look at as rods from their frame to the joints below.

    Where no mesh is unseen, links without any shape stay as they are: they are frames inside of what is drawn.
    """
    links = {
        link.get("name"): link
        for link in root.findall("link")
        if unseen and (link.get("name") in unseen or link.find("visual") is None)
    }
    for joint in root.findall("joint"):
        parent, origin = joint.find("parent"), joint.find("origin")
        link = None if parent is None else links.get(parent.get("link"))
        if link is None or origin is None:
            continue
        x, y, z = _numbers(origin, "0 0 0", where).tolist()
        length = float(np.linalg.norm([x, y, z]))
        if length > 0:
            visual = ET.SubElement(link, "visual")
            turn = f"0 {np.arctan2(np.hypot(x, y), z)} {np.arctan2(y, x)}"
            ET.SubElement(visual, "origin", xyz=f"{x / 2} {y / 2} {z / 2}", rpy=turn)
            rod = {"radius": str(_THICKNESS * length), "length": str(length)}
            ET.SubElement(ET.SubElement(visual, "geometry"), "cylinder", rod)


def _rename(root: ET.Element) -> dict[str, str]:
    """Put safe names in the place of others, everywhere; the original of each."""
    names: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            if _UNSAFE.search(value):
                safe = f"renamed-{hashlib.sha256(value.encode()).hexdigest()[:12]}"
                element.set(key, safe)
                names[safe] = value
    return names
