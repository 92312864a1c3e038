"""The chain of joints between two links of a URDF, read through yourdfpy and checked."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sim.arm.skeleton import read_skeleton
from sim.arrays import FloatArray
from sim.errors import URDFError

JOINT_KINDS = ("revolute", "continuous", "prismatic", "fixed")


@dataclass(frozen=True)
class Joint:
    """One joint of the chain, as the URDF has it.

    Args:
        name: As in the URDF.
        kind: One of `JOINT_KINDS`.
        origin: Pose of the joint in its parent link at q = 0, shape (4, 4), metres.
        axis: Unit vector in the joint's frame, shape (3,).
        lower, upper: Limits [rad or m]; -inf and inf for continuous and fixed joints.
        velocity, effort: Limits [rad/s or m/s], [N m or N]; inf where the URDF gives none.
    """

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
    """The joints from base to tip, in that order, fixed ones included.

    Args:
        base, tip: Names of the links at its ends.
        joints: In order; those that lead up from the base, all fixed, are seen from their child.
    """

    base: str
    tip: str
    joints: tuple[Joint, ...]


def read_chain(source: Path | str, *, base: str | None, tip: str | None) -> Chain:
    """The joints between two links of a URDF.

    Shapes, materials and everything else but links and joints is ignored, so it cannot be wrong either.

    Args:
        source: A file, or the XML itself.
        base: Default: the only root link. The tip is below it, or below a link that fixed joints tie it to.
        tip: Default: the only leaf link beyond a moving joint.

    Returns:
        The chain, ordered from base to tip.

    Raises:
        URDFError: Unreadable XML, a joint naming a missing link, no unique base or tip (the message lists the
            candidates), tip not below base, or a mimic, floating or planar joint in between.
        OSError: The file cannot be read.
    """
    where = str(source) if isinstance(source, Path) else "the generated URDF"
    robot = _parse(source, where)
    _check_links(robot, where)
    joint_above = {joint.child: joint for joint in robot.joints}
    links = [link.name for link in robot.links]
    base = _pick_base(base, links, joint_above, where)
    tip = _pick_tip(tip, base, links, joint_above, where)
    path = _connect(base, tip, joint_above)
    if path is None:
        below = ", ".join(link for link in links if link != base and _connect(base, link, joint_above) is not None)
        raise URDFError(
            f"{where}: tip {tip!r} is not below base {base!r}; links below it: {below or 'none'}",
            base=base,
            tip=tip,
        )
    back, forth = path
    joints = [_reversed(_joint(joint, where)) for joint in back] + [_joint(joint, where) for joint in forth]
    return Chain(base=base, tip=tip, joints=tuple(joints))


def _parse(source: Path | str, where: str) -> Any:
    import yourdfpy

    stream = io.BytesIO(read_skeleton(source, where))
    logger = logging.getLogger("yourdfpy.urdf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        urdf = yourdfpy.URDF.load(stream, load_meshes=False, load_collision_meshes=False, build_scene_graph=False)
    except Exception as error:  # yourdfpy lets lxml's, its own and plain Python errors through
        raise URDFError(f"{where}: not a readable URDF ({type(error).__name__}: {error})") from error
    finally:
        logger.setLevel(level)
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
        if joint.parent == joint.child:
            raise URDFError(f"{where}: joint {joint.name!r} joins link {joint.child!r} to itself", joint=joint.name)
        children[joint.child] = joint.name


def _pick_base(base: str | None, links: list[str], joint_above: dict[str, Any], where: str) -> str:
    if base is not None:
        return _known(base, "base", links, where)
    roots = [link for link in links if link not in joint_above]
    if not roots:
        raise URDFError(f"{where}: every link is the child of a joint: the joints form a loop; a URDF must be a tree")
    if len(roots) != 1:
        raise URDFError(
            f"{where}: {len(roots)} links have no joint above them; name one with base=: {', '.join(roots)}",
            candidates=roots,
        )
    return roots[0]


def _pick_tip(tip: str | None, base: str, links: list[str], joint_above: dict[str, Any], where: str) -> str:
    if tip is not None:
        return _known(tip, "tip", links, where)
    parents = {joint.parent for joint in joint_above.values()}
    below = [link for link in links if _moves(base, link, joint_above)]
    leaves = [link for link in below if link not in parents]
    if not leaves:
        raise URDFError(
            f"{where}: no link moves against base {base!r}; pick another base= among: {', '.join(links)}",
            candidates=leaves,
        )
    # what floats freely is no arm, unless everything does: then the error names the floating joint
    leaves = [link for link in leaves if not _floats(base, link, joint_above)] or leaves
    if len(leaves) != 1:
        raise URDFError(
            f"{where}: the chain ends in {len(leaves)} links ({', '.join(leaves)}); "
            f"name the tip with tip=, one of: {', '.join(below)}",
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


def _connect(base: str, tip: str, joint_above: dict[str, Any]) -> tuple[list[Any], list[Any]] | None:
    """Fixed joints to walk back from the base, then joints to walk forth to the tip; None where there is no way."""
    back: list[Any] = []
    while (forth := _walk_up(base, tip, joint_above)) is None:
        joint = joint_above.get(base)
        if joint is None or joint.type != "fixed" or len(back) > len(joint_above):
            return None
        back.append(joint)
        base = joint.parent
    return back, forth


def _moves(base: str, link: str, joint_above: dict[str, Any]) -> bool:
    path = _connect(base, link, joint_above)
    return path is not None and any(joint.type != "fixed" for joint in path[1])


def _floats(base: str, link: str, joint_above: dict[str, Any]) -> bool:
    path = _connect(base, link, joint_above)
    return path is not None and any(joint.type == "floating" for joint in path[1])


def _reversed(joint: Joint) -> Joint:
    """A fixed joint, seen from its child."""
    return replace(joint, origin=_inverse(joint.origin))


def _inverse(T: FloatArray) -> FloatArray:
    inverse = np.eye(4)
    inverse[:3, :3] = T[:3, :3].T
    inverse[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return inverse


def _joint(joint: Any, where: str) -> Joint:
    kind = joint.type
    if kind not in JOINT_KINDS:
        raise URDFError(
            f"{where}: joint {joint.name!r} is of type {kind!r}; in the chain only {', '.join(JOINT_KINDS)} are "
            "allowed; choose base= and tip= so that it lies outside",
            joint=joint.name,
        )
    if joint.mimic is not None:
        raise URDFError(
            f"{where}: joint {joint.name!r} mimics {joint.mimic.joint!r}; mimic joints are not allowed between base and "
            "tip; choose base= and tip= so that it lies outside",
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
    if joint.limit is None or (joint.limit.lower is None and joint.limit.upper is None):
        raise URDFError(
            f"{where}: {joint.type} joint {joint.name!r} has no <limit lower= upper=>; add one, or make it continuous",
            joint=joint.name,
        )
    lower, upper = float(joint.limit.lower or 0.0), float(joint.limit.upper or 0.0)  # the URDF's default is 0
    if joint.type == "prismatic" and not (np.isfinite(lower) and np.isfinite(upper)):
        raise URDFError(
            f"{where}: prismatic joint {joint.name!r} has limits [{lower}, {upper}]; they must be finite",
            joint=joint.name,
        )
    return lower, upper


def _positive_or_inf(value: float | None) -> float:
    return float(value) if value and value > 0 else np.inf
