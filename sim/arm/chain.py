"""The chain of joints between two links of a robot, and where it may begin and end."""

from __future__ import annotations

import difflib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sim.arm.urdf import Joint, Robot, listed
from sim.arrays import FloatArray
from sim.errors import URDFError

JOINT_KINDS = ("revolute", "continuous", "prismatic", "fixed")


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


def find_chain(robot: Robot, where: str, *, base: str | None = None, tip: str | None = None) -> Chain:
    """The joints between two links of a robot.

    Args:
        robot: Links and joints.
        where: What messages call it.
        base: Default: the only root link. The tip is below it, or below a link that fixed joints tie it to.
        tip: Default: the only leaf link beyond a moving joint.

    Returns:
        The chain, ordered from base to tip.

    Raises:
        URDFError: No unique base or tip (the message lists candidates), tip not below base, or a mimic, floating or
            planar joint, or one without axis, in between.
    """
    tree = _Tree(robot, _pick_base(robot, base, where))
    tip = _pick_tip(tree, tip, where)
    back, forth = tree.path(tip, where)
    for joint in (*back, *forth):
        _check(joint, where)
    return Chain(tree.base, tip, (*map(_reversed, back), *forth))


@dataclass(frozen=True)
class _Below:
    """What lies between the base and a link: how many joints move, and whether one of them floats."""

    moving: int
    floats: bool


class _Tree:
    """The links that can be reached from a base: up through fixed joints, then down."""

    def __init__(self, robot: Robot, base: str) -> None:
        self.links, self.base = robot.links, base
        self.above = {joint.child: joint for joint in robot.joints}
        self.up = [base]  # the base and the links that fixed joints tie it to, upwards
        while (joint := self.above.get(self.up[-1])) and joint.kind == "fixed" and joint.parent not in self.up:
            self.up.append(joint.parent)

    @cached_property
    def below(self) -> dict[str, _Below]:
        """Every link that can be a tip, in the order of the file, and what lies between."""
        children = defaultdict(list)
        for joint in self.above.values():
            children[joint.parent].append(joint)
        found, left = {self.up[-1]: _Below(0, False)}, [self.up[-1]]
        while left:
            link = left.pop()
            for joint in children[link]:
                if joint.child not in found:
                    moving = found[link].moving + (joint.kind != "fixed")
                    found[joint.child] = _Below(moving, found[link].floats or joint.kind == "floating")
                    left.append(joint.child)
        return {link: found[link] for link in self.links if link in found}

    def path(self, tip: str, where: str) -> tuple[list[Joint], list[Joint]]:
        """Fixed joints to walk back from the base, then joints to walk forth to the tip."""
        if tip not in self.below:
            others = listed(link for link in self.below if link != self.base)
            raise URDFError(
                f"{where}: tip {tip!r} is not below base {self.base!r}; links below it: {others or 'none'}",
                base=self.base,
                tip=tip,
            )
        height, forth = {link: i for i, link in enumerate(self.up)}, []
        while tip not in height:
            forth.append(self.above[tip])
            tip = forth[-1].parent
        return [self.above[link] for link in self.up[: height[tip]]], forth[::-1]


def _pick_base(robot: Robot, base: str | None, where: str) -> str:
    if base is not None:
        return _known(base, "base", robot.links, where)
    children = {joint.child for joint in robot.joints}
    roots = [link for link in robot.links if link not in children]
    if not roots:
        raise URDFError(f"{where}: every link is the child of a joint: the joints form a loop; a URDF must be a tree")
    if len(roots) != 1:
        raise URDFError(
            f"{where}: {len(roots)} links have no joint above them; name one with base=: {listed(roots)}",
            candidates=roots,
        )
    return roots[0]


def _pick_tip(tree: _Tree, tip: str | None, where: str) -> str:
    if tip is not None:
        return _known(tip, "tip", tree.links, where)
    parents = {joint.parent for joint in tree.above.values()}
    leaves = [link for link, between in tree.below.items() if between.moving and link not in parents]
    if not leaves:
        locked = [joint.name for joint in tree.above.values() if joint.kind == "fixed" and joint.lower is not None]
        hint = f" (fixed, as their limits are equal: {listed(locked)})" if locked else ""
        raise URDFError(
            f"{where}: no link moves against base {tree.base!r}{hint}; pick another base= among: {listed(tree.links)}",
            candidates=leaves,
        )
    # what floats freely is no arm, unless everything does: then the error names the floating joint
    leaves = [link for link in leaves if not tree.below[link].floats] or leaves
    if len(leaves) != 1:
        longest = sorted(leaves, key=lambda link: -tree.below[link].moving)
        counts = listed(f"{link} ({tree.below[link].moving})" for link in longest)
        raise URDFError(
            f"{where}: the chain ends in {len(leaves)} links; name the tip with tip=; "
            f"those with most moving joints: {counts}",
            candidates=leaves,
        )
    return leaves[0]


def _known(link: str, role: str, links: tuple[str, ...], where: str) -> str:
    if link not in links:
        close = difflib.get_close_matches(link, links, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise URDFError(f"{where}: no link {link!r} for {role}={hint}; links: {listed(links)}", link=link)
    return link


def _check(joint: Joint, where: str) -> None:
    outside = "choose base= and tip= so that it lies outside, or hold it still in Python: load_arm(..., freeze={...})"
    if joint.kind not in JOINT_KINDS:
        raise URDFError(
            f"{where}: joint {joint.name!r} is of type {joint.kind!r}; in the chain only {', '.join(JOINT_KINDS)} are "
            "allowed; choose base= and tip= so that it lies outside",
            joint=joint.name,
        )
    if joint.mimics is not None:
        raise URDFError(
            f"{where}: joint {joint.name!r} mimics {joint.mimics!r}; mimic joints are not allowed between base and "
            f"tip; {outside}",
            joint=joint.name,
        )
    if joint.kind != "fixed" and not joint.axis.any():
        raise URDFError(
            f"{where}: joint {joint.name!r} has the axis {joint.axis.tolist()}; it must not be zero", joint=joint.name
        )
    if joint.kind in ("revolute", "prismatic") and joint.lower is None and joint.upper is None:
        raise URDFError(
            f"{where}: {joint.kind} joint {joint.name!r} has no <limit lower= upper=>; add one, or make it continuous",
            joint=joint.name,
        )


def _reversed(joint: Joint) -> Joint:
    """A fixed joint, seen from its child."""
    return replace(joint, origin=_inverse(joint.origin))


def _inverse(T: FloatArray) -> FloatArray:
    inverse = np.eye(4)
    inverse[:3, :3] = T[:3, :3].T
    inverse[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return inverse
