"""The links and joints of a body in Bullet, by name, with who is whose neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

from sim.errors import WorldError

_REVOLUTE, _PRISMATIC, _FIXED = 0, 1, 4  # Bullet's joint types
_HOLD_FORCE = 100.0  # [N or N m] where the URDF gives none


@dataclass(frozen=True)
class LinkInfo:
    """One link and the joint above it, as Bullet numbers them.

    Args:
        name: Of the link.
        joint: Name of the joint above it.
        kind: Bullet's number for the type of that joint.
        parent: Number of the link above that joint; -1 is the root.
        lower, upper: Limits of the joint [rad or m]; none where lower is not below upper.
        force: Its effort limit [N m or N]; 0 where the URDF gives none.
    """

    name: str
    joint: str
    kind: int
    parent: int
    lower: float
    upper: float
    force: float


@dataclass(frozen=True)
class LinkTree:
    """The tree of links of a body; the root link has number -1, the others count from 0.

    Args:
        root: Name of the root link.
        infos: The other links, in Bullet's order.
    """

    root: str
    infos: tuple[LinkInfo, ...]

    @cached_property
    def moving(self) -> list[int]:
        """Numbers of the joints that move, in the order of Bullet's own IK."""
        return [i for i, info in enumerate(self.infos) if info.kind in (_REVOLUTE, _PRISMATIC)]

    def joint(self, name: str) -> int:
        """Number of a joint by name; WorldError where there is none."""
        names = {info.joint: i for i, info in enumerate(self.infos)}
        if name not in names:
            raise WorldError(f"no joint {name!r} in Bullet's copy of the arm; it has {', '.join(names)}", joint=name)
        return names[name]

    def link(self, name: str) -> int:
        """Number of a link by name, -1 for the root; WorldError where there is none."""
        names = {self.root: -1, **{info.name: i for i, info in enumerate(self.infos)}}
        if name not in names:
            raise WorldError(f"no link {name!r} in Bullet's copy of the arm; it has {', '.join(names)}", link=name)
        return names[name]

    def name(self, link: int) -> str:
        """Name of a link by number."""
        return self.root if link < 0 else self.infos[link].name

    def motor(self, joint: int) -> tuple[float, float]:
        """Force limit and resting place (0, or the nearest limit) of a joint that the arm does not use."""
        info = self.infos[joint]
        at = min(max(0.0, info.lower), info.upper) if info.lower < info.upper else 0.0
        return info.force if info.force > 0 else _HOLD_FORCE, at

    def standing(self) -> list[int]:
        """Numbers of the links that stand still with the root, itself included: no moving joint lies between."""
        group = self._groups()
        return [i for i in sorted(group) if group[i] == -1]

    def neighbours(self, telescopes: Sequence[Sequence[int]] = ()) -> list[tuple[int, int]]:
        """Pairs of links that are joined rigidly or by one moving joint, through massless fixed links too.

        Args:
            telescopes: Runs of joints, by number, whose links lie one in another: these count as joined too.
        """
        group = self._groups()
        joined = {(group[info.parent], group[i]) for i, info in enumerate(self.infos)}
        for run in telescopes:
            joined |= set(permutations([group[self.infos[run[0]].parent], *run], 2))
        numbers = sorted(group)
        return [
            (a, b)
            for a in numbers
            for b in numbers
            if a < b and (group[a] == group[b] or {(group[a], group[b]), (group[b], group[a])} & joined)
        ]

    def _groups(self) -> dict[int, int]:
        """The highest link that each link is rigidly joined to."""
        group = {-1: -1}
        for i, info in enumerate(self.infos):  # parents come first
            group[i] = group[info.parent] if info.kind == _FIXED else i
        return group


def load_links(client: Any, body: int) -> LinkTree:
    """The links of a body, asked from Bullet once.

    Args:
        client: The world's Bullet functions.
        body: Bullet's number of the body.

    Returns:
        The tree, its links in Bullet's order: parents come before their children.
    """
    infos = []
    for i in range(client.getNumJoints(body)):
        row = client.getJointInfo(body, i)
        infos.append(
            LinkInfo(
                name=client.real_name(row[12]),
                joint=client.real_name(row[1]),
                kind=row[2],
                parent=row[16],
                lower=row[8],
                upper=row[9],
                force=row[10],
            )
        )
    return LinkTree(root=client.real_name(client.getBodyInfo(body)[0]), infos=tuple(infos))
