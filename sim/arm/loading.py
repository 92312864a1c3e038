"""Arms from what people have: a name, link lengths, a URDF as file or text; with joints held and a tool."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np

from sim.arm import catalogue
from sim.arm.arm import Arm
from sim.arm.chain import Chain, find_chain
from sim.arm.urdf import FARTHEST, WIDE_TURN, Joint, Robot, add_link, listed, make_rigid, parse_xml, read_robot
from sim.arrays import FloatArray
from sim.errors import ShapeError, UnknownNameError, URDFError, shown
from sim.inputs import as_numbers, check_kinds, check_reals

WIDEST_SLIDE = 1e6  # [m] that stands for the limits of a slide beyond it, or at infinity

_FULL_TURN, _MANY_TURNS = 6.3, 30.0  # [rad] beyond which an origin, or a limit, is told of
_FAR = 20.0  # [m] the same of an origin
_RIGHT_ANGLE = 1e-6  # that the rotation part of a tool may be off

_log = logging.getLogger(__name__)


def load_arm(
    source: str | Path | bytes,
    *,
    base: str | None = None,
    tip: str | None = None,
    freeze: Mapping[str, float] | None = None,
    tool: Any = None,
) -> Arm:
    """The arm of a built-in name, of planar link lengths, or of any URDF.

    Joints whose lower and upper limit are equal are fixed there. A turning joint's limit beyond `WIDE_TURN` counts as
    none, a slide's beyond `WIDEST_SLIDE` as that; see `Arm.sample_min` for the range that stands for them.

    Example:
        >>> arm = load_arm("ur5e")
        >>> arm.n_joints, arm.joint_names[0]
        (6, 'shoulder_pan_joint')
        >>> load_arm("planar:0.7,0.4", freeze={"joint2": 0.5}).joint_names
        ('joint1',)

    Args:
        source: A name of `sim.builtin_arms()`, "planar:0.5,0.5,1.0" (link lengths in metres), a path, or the text of
            a URDF, as str or bytes. Names come first, whatever files there are.
        base: Link that poses are given in; default: the URDF's root (or the catalogue's choice).
        tip: Link whose pose is asked for; default: the only leaf (or the catalogue's choice).
        freeze: Joints that stand still, each at a value within its limits [rad or m].
        tool: Pose `T_tip_tool` of a tool's tip in the tip's frame, shape (4, 4); poses are then asked for it.

    Returns:
        The frozen arm, ready for `forward_kinematics`, `World` and `IKSolver`; its name tells joints held and a tool.

    Raises:
        UnknownNameError: No such built-in arm and no such file.
        URDFError: The URDF is not usable, base/tip are missing or ambiguous (the message lists them), or a joint to
            freeze is not there or cannot be at that value.
        ShapeError: The tool is no pose.
    """
    check_kinds(str, type(None), base=base, tip=tip)
    check_kinds(Mapping, freeze={} if freeze is None else freeze)
    given = _read(source)
    if str(source).startswith("planar:") and (base or tip):
        raise URDFError("a planar arm by lengths runs from 'base_link' to 'tool0'; leave out base= and tip=")
    return _build(given._replace(base=base or given.base, tip=tip or given.tip), freeze or {}, tool)


def planar_arm(lengths: list[float] | tuple[float, ...], *, name: str | None = None) -> Arm:
    """A planar arm with revolute joints about z, each turning freely within ±π.

    Args:
        lengths: Link lengths [m], one per joint, all positive.
        name: Default "planar:" followed by the lengths.

    Returns:
        The arm, from `base_link` to `tool0`, stretched along x at q = 0.

    Raises:
        ShapeError: No length, or one that is not a positive finite number.
    """
    check_kinds(str, type(None), name=name)
    return _build(_planar(lengths, name), {}, None)


class _Given(NamedTuple):
    """A description: what the arm and its source are called, the XML, links at its ends, and the file if it is one."""

    name: str
    where: str
    root: ET.Element
    base: str | None = None
    tip: str | None = None
    path: Path | None = None


def _read(source: str | Path | bytes) -> _Given:
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if not isinstance(source, str | PathLike | bytes):
        raise UnknownNameError(
            f"load_arm takes a name, a path, or the text of a URDF as str or bytes; got {shown(source)}",
            name=type(source).__name__,
        )
    if isinstance(source, bytes) or (isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("<")):
        root = parse_xml(source, "the URDF text")
        return _Given(root.get("name") or "arm", "the URDF text", root)
    name = str(source)
    if name.startswith("planar:"):
        return _planar(_parse_lengths(name), None)
    entry = catalogue.find(name)
    if entry is not None:
        return _Given(name, str(entry.path), parse_xml(entry.path, str(entry.path)), entry.base, entry.tip, entry.path)
    path = _find_file(name)
    return _Given(path.stem, str(path), parse_xml(path, str(path)), path=path.resolve())


def _planar(lengths: Sequence[float], name: str | None) -> _Given:
    numbers = as_numbers(lengths, "the list of link lengths")
    if numbers.ndim != 1 or not len(numbers) or not ((numbers > 0) & (numbers <= FARTHEST)).all():
        raise ShapeError(
            f"link lengths must be positive numbers [m] up to {FARTHEST:g}, one per joint; got {numbers.tolist()}"
        )
    lengths = numbers.tolist()
    name = name or "planar:" + ",".join(f"{x:g}" for x in lengths)
    where = "the generated URDF"
    return _Given(name, where, parse_xml(catalogue.planar_urdf(lengths, name=name), where))


def _parse_lengths(name: str) -> list[float]:
    try:
        return [float(x) for x in name.removeprefix("planar:").split(",")]
    except ValueError:
        raise ShapeError(f"cannot read link lengths from {name!r}; write for example planar:0.5,0.5,1.0") from None


def _find_file(name: str) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # ~somebody
        raise UnknownNameError(f"no file {name!r} ({error}); write the path out", name=name) from None
    try:
        found = path.is_file()
    except OSError as error:  # a text that is no URDF, taken for a name
        raise UnknownNameError(f"no file {shown(name)}: {error.strerror}", name=name) from None
    if found:
        return path
    if name and path.is_dir():
        raise UnknownNameError(f"{name!r} is a folder; give the path of the URDF file in it", name=name)
    if path.suffix or "/" in name:
        raise UnknownNameError(
            f"no file {name!r}; give the path of a URDF or one of: {', '.join(catalogue.names())}", name=name
        )
    raise UnknownNameError(
        f"unknown arm {name!r}{catalogue.closest(name)}; allowed: {', '.join(catalogue.names())}, "
        "planar:L1,L2,... (link lengths in metres), or the path of a URDF",
        name=name,
    )


def _build(given: _Given, freeze: Mapping[str, float], tool: Any) -> Arm:
    """The arm of a description, in which joints are held and to which a tool is fixed first."""
    name, where, root = given.name, given.where, given.root
    robot = read_robot(root, where)
    values = _held(robot, freeze, where)
    if values:
        make_rigid(root, robot, values)
        robot = read_robot(root, where)
    chain = find_chain(robot, where, base=given.base, tip=given.tip)
    if tool is not None:
        link = next(each for each in _tool_names(chain.tip) if each not in robot.links)
        add_link(root, chain.tip, link, _checked_tool(tool))
        chain = find_chain(read_robot(root, where), where, base=chain.base, tip=link)
        name += "+tool"
    name += "".join(f"+{joint}={value:g}" for joint, value in freeze.items())
    text = ET.tostring(root, encoding="unicode") if values or tool is not None or given.path is None else None
    return _fold(name, chain, path=given.path, xml=text)


def _held(robot: Robot, freeze: Mapping[str, float], where: str) -> dict[str, float]:
    """Where joints stand still [rad or m], by name: those whose limits are equal, and those asked for."""
    locked = {
        joint.name: joint.lower or joint.upper or 0.0
        for joint in robot.joints
        if joint.kind in ("revolute", "prismatic") and _is_locked(joint)
    }
    if locked:
        _log.info("%s: joints with equal limits are fixed: %s", where, listed(locked))
    joints = {joint.name: joint for joint in robot.joints if joint.kind in ("revolute", "continuous", "prismatic")}
    for name, value in freeze.items():
        if name not in joints:
            raise URDFError(f"{where}: no moving joint {name!r} to freeze; there are: {listed(joints)}", joint=name)
        check_reals(**{f"freeze[{name!r}]": value})
        low, high = _limits(joints[name], where)
        if not (low <= value <= high and math.isfinite(value)):
            raise URDFError(
                f"{where}: joint {name!r} cannot be frozen at {value}; its limits are [{low}, {high}]", joint=name
            )
    return {**locked, **{name: float(value) for name, value in freeze.items()}}


def _is_locked(joint: Joint) -> bool:
    return not (joint.lower is None and joint.upper is None) and (joint.lower or 0.0) == (joint.upper or 0.0)


def _limits(joint: Joint, where: str) -> tuple[float, float]:
    """Limits [rad or m], with what says only that there is none made equal; the format's default is 0."""
    if joint.kind == "continuous":
        return -np.inf, np.inf
    low, high = joint.lower or 0.0, joint.upper or 0.0
    most, meant = (WIDEST_SLIDE, WIDEST_SLIDE) if joint.kind == "prismatic" else (WIDE_TURN, np.inf)
    if max(-low, high) > most:
        _log.info("%s: joint %r has limits [%g, %g]; beyond %g they count as none", where, joint.name, low, high, most)
    return -meant if low < -most else low, meant if high > most else high


def _warn_of_units(name: str, chain: Chain) -> None:
    """Say where numbers look like degrees or millimetres: the format has radians and metres."""
    for joint in chain.joints:
        limits = [abs(limit) for limit in (joint.lower, joint.upper) if limit is not None]
        told: list[str] = []
        if joint.kind == "revolute" and _MANY_TURNS < max(limits, default=0.0) <= WIDE_TURN:
            told += [f"limits of {max(limits):g} rad; were degrees meant?"]
        if max(map(abs, joint.rpy)) > _FULL_TURN:
            told += [f"an origin turned by rpy={list(joint.rpy)} rad; were degrees meant?"]
        if np.abs(joint.origin[:3, 3]).max() > _FAR:
            told += [f"an origin {np.abs(joint.origin[:3, 3]).max():g} m away; were millimetres meant?"]
        for each in told:
            _log.warning("%s: joint %r has %s", name, joint.name, each)


def _tool_names(tip: str) -> Iterator[str]:
    return (f"{tip}_tool{number or ''}" for number in itertools.count())


def _checked_tool(tool: Any) -> FloatArray:
    T = as_numbers(tool, "tool")
    fine = T.shape == (4, 4) and bool(np.isfinite(T).all()) and np.array_equal(T[3], (0, 0, 0, 1))
    R = T[:3, :3] if fine else np.zeros((3, 3))
    if np.abs(R @ R.T - np.eye(3)).max() > _RIGHT_ANGLE or np.linalg.det(R) < 0:
        raise ShapeError(f"tool must be a pose T_tip_tool of shape (4, 4), see sim.pose; got {T.tolist()}")
    return T


def _fold(name: str, chain: Chain, *, path: Path | None, xml: str | None) -> Arm:
    """Fold origins, axes and fixed joints into z-aligned offsets (see `Arm`)."""
    offsets, pending = [], np.eye(4)
    moving = [joint for joint in chain.joints if joint.kind != "fixed"]
    for joint in chain.joints:
        pending = pending @ joint.origin
        if joint.kind != "fixed":
            align = _turn_z_onto(joint.axis)
            offsets.append(pending @ align)
            pending = align.T.copy()  # a pure rotation: its transpose is its inverse
    offsets.append(pending)
    _warn_of_units(name, chain)
    limits = np.array([_limits(joint, name) for joint in moving]).reshape(-1, 2)
    return Arm(
        name=name,
        base=chain.base,
        tip=chain.tip,
        joint_names=tuple(joint.name for joint in moving),
        joint_types=tuple(str(joint.kind) for joint in moving),
        offsets=_snap(np.stack(offsets)),
        q_min=limits[:, 0],
        q_max=limits[:, 1],
        dq_max=np.array([joint.velocity for joint in moving]),
        effort_max=np.array([joint.effort for joint in moving]),
        urdf_path=path,
        urdf_xml=xml,
    )


def _snap(offsets: FloatArray) -> FloatArray:
    """Offsets with the rounding of π/2 in the URDF removed: entries within 1e-12 of 0, 1 and -1 become exact."""
    nearest = np.round(offsets)
    return np.where((np.abs(offsets - nearest) < 1e-12) & (np.abs(nearest) <= 1), nearest + 0.0, offsets)


def _turn_z_onto(axis: FloatArray) -> FloatArray:
    """A homogeneous rotation whose z column is the given unit axis; the identity for z itself."""
    x, y, z = axis
    helper = np.array([1.0, 0.0, 0.0]) if abs(x) < 0.9 else np.array([0.0, 1.0, 0.0])
    first = helper - axis * (helper @ axis)
    first /= np.linalg.norm(first)
    align = np.eye(4)
    align[:3, :3] = np.stack([first, np.cross(axis, first), [x, y, z]], axis=1)
    return align
