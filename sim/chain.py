"""The chain of joints between two links of a URDF, read through yourdfpy and checked."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import URDFError

FloatArray = NDArray[np.float64]

JOINT_KINDS = ("revolute", "continuous", "prismatic", "fixed")


@dataclass(frozen=True)
class Joint:
    """One joint of the chain; lengths in metres, angles in radians, origin (4, 4) in the parent link."""

    name: str
    kind: str
    origin: FloatArray
    axis: FloatArray
    lower: float
    upper: float
    velocity: float
    effort: float


@dataclass(frozen=True)
class Chain:
    """The joints from base to tip, in that order, fixed ones included."""

    base: str
    tip: str
    joints: tuple[Joint, ...]


def read_chain(source: Path | str, *, base: str | None, tip: str | None) -> Chain:
    """The joints between two links of a URDF.

    Args:
        source: A file, or the XML itself.
        base: Default: the only root link.
        tip: Default: the only leaf link beyond a moving joint.

    Returns:
        The chain, ordered from base to tip.

    Raises:
        URDFError: Unreadable XML, a joint naming a missing link, no unique base or tip (the message lists the
            candidates), tip not below base, or a mimic, floating or planar joint in between.
    """
    where = str(source) if isinstance(source, Path) else "the generated URDF"
    robot = _parse(source, where)
    _check_links(robot, where)
    joint_above = {joint.child: joint for joint in robot.joints}
    links = [link.name for link in robot.links]
    base = _pick_base(base, links, joint_above, where)
    tip = _pick_tip(tip, base, links, joint_above, where)
    path = _walk_up(base, tip, joint_above)
    if path is None:
        below = ", ".join(link for link in links if link != base and _walk_up(base, link, joint_above))
        raise URDFError(
            f"{where}: tip {tip!r} is not below base {base!r}; links below it: {below or 'none'}",
            base=base,
            tip=tip,
        )
    return Chain(base=base, tip=tip, joints=tuple(_joint(joint, where) for joint in path))


def _parse(source: Path | str, where: str) -> Any:
    import yourdfpy

    stream: Any = str(source) if isinstance(source, Path) else io.BytesIO(source.encode())
    logger = logging.getLogger("yourdfpy.urdf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        urdf = yourdfpy.URDF.load(stream, load_meshes=False, load_collision_meshes=False, build_scene_graph=False)
    except Exception as error:  # yourdfpy lets lxml's, its own and plain Python errors through
        raise URDFError(f"{where}: not a readable URDF ({type(error).__name__}: {error})") from error
    finally:
        logger.setLevel(level)
    if not urdf.robot.links or not urdf.robot.joints:
        raise URDFError(
            f"{where}: a URDF needs links and joints; found {len(urdf.robot.links)} and {len(urdf.robot.joints)}"
        )
    return urdf.robot


def _check_links(robot: Any, where: str) -> None:
    links = {link.name for link in robot.links}
    children: dict[str, str] = {}
    for joint in robot.joints:
        for role in ("parent", "child"):
            link = getattr(joint, role)
            if link not in links:
                raise URDFError(
                    f"{where}: joint {joint.name!r} names the {role} link {link!r}, which is not defined; links: {', '.join(sorted(links))}",
                    joint=joint.name,
                    link=link,
                )
        if joint.child in children:
            raise URDFError(
                f"{where}: link {joint.child!r} is the child of two joints, {children[joint.child]!r} and {joint.name!r}"
            )
        children[joint.child] = joint.name


def _pick_base(base: str | None, links: list[str], joint_above: dict[str, Any], where: str) -> str:
    if base is not None:
        return _known(base, "base", links, where)
    roots = [link for link in links if link not in joint_above]
    if len(roots) != 1:
        raise URDFError(
            f"{where}: no single root link; name one with base=: {', '.join(roots or links)}",
            candidates=roots,
        )
    return roots[0]


def _pick_tip(tip: str | None, base: str, links: list[str], joint_above: dict[str, Any], where: str) -> str:
    if tip is not None:
        return _known(tip, "tip", links, where)
    parents = {joint.parent for joint in joint_above.values()}
    leaves = [link for link in links if link not in parents and _moves(base, link, joint_above)]
    if len(leaves) != 1:
        below = [link for link in links if _moves(base, link, joint_above)]
        ends = (
            f"the chain ends in {len(leaves)} links ({', '.join(leaves)})"
            if leaves
            else "no link moves against the base"
        )
        raise URDFError(
            f"{where}: {ends}; name the tip with tip=, one of: {', '.join(below) or 'none'}",
            candidates=leaves,
        )
    return leaves[0]


def _known(link: str, role: str, links: list[str], where: str) -> str:
    if link not in links:
        raise URDFError(f"{where}: no link {link!r} for {role}=; links: {', '.join(links)}", link=link)
    return link


def _walk_up(base: str, link: str, joint_above: dict[str, Any]) -> list[Any] | None:
    path: list[Any] = []
    while link != base:
        joint = joint_above.get(link)
        if joint is None or len(path) > len(joint_above):
            return None
        path.append(joint)
        link = joint.parent
    return path[::-1]


def _moves(base: str, link: str, joint_above: dict[str, Any]) -> bool:
    path = _walk_up(base, link, joint_above)
    return bool(path) and any(joint.type != "fixed" for joint in path or [])


def _joint(joint: Any, where: str) -> Joint:
    kind = joint.type
    if kind not in JOINT_KINDS:
        raise URDFError(
            f"{where}: joint {joint.name!r} is of type {kind!r}; in the chain only {', '.join(JOINT_KINDS)} are allowed",
            joint=joint.name,
        )
    if joint.mimic is not None:
        raise URDFError(
            f"{where}: joint {joint.name!r} mimics {joint.mimic.joint!r}; mimic joints are not allowed between base and tip",
            joint=joint.name,
        )
    axis = np.array([1.0, 0.0, 0.0]) if joint.axis is None else np.asarray(joint.axis, float)
    length = float(np.linalg.norm(axis))
    if kind != "fixed" and not length > 0:
        raise URDFError(
            f"{where}: joint {joint.name!r} has the axis {axis.tolist()}; it must not be zero",
            joint=joint.name,
        )
    origin = np.eye(4) if joint.origin is None else np.asarray(joint.origin, float)
    lower, upper = _limits(joint, where)
    limit = joint.limit
    return Joint(
        name=joint.name,
        kind=kind,
        origin=origin,
        axis=axis / (length or 1.0),
        lower=lower,
        upper=upper,
        velocity=_positive_or_inf(limit and limit.velocity),
        effort=_positive_or_inf(limit and limit.effort),
    )


def _limits(joint: Any, where: str) -> tuple[float, float]:
    if joint.type in ("continuous", "fixed"):
        return -np.inf, np.inf
    if joint.limit is None or joint.limit.lower is None or joint.limit.upper is None:
        raise URDFError(
            f"{where}: {joint.type} joint {joint.name!r} has no <limit lower= upper=>; add one, or make it continuous",
            joint=joint.name,
        )
    return float(joint.limit.lower), float(joint.limit.upper)


def _positive_or_inf(value: float | None) -> float:
    return float(value) if value and value > 0 else np.inf
