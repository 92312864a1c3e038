"""What is timed: a method that answers poses, one by one or in batches, be it ours or a peer's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from sim.arrays import FloatArray

AGREEMENT = 1e-9  # entries of a pose by which a peer's forward kinematics may differ from ours


class Unavailable(Exception):
    """Why a peer does not take part: not installed, cannot do this arm, or its model differs."""


@dataclass(frozen=True)
class Prepared:
    """Targets as a method wants them, made before the clock starts.

    Args:
        single: One per pose.
        whole: All of them for a batch call.
    """

    single: Sequence[Any]
    whole: Any


class Method:
    """A way to solve for poses of one arm; subclasses fill in what they can do.

    Attributes:
        name: Key in the results.
        version: Of the peer; "" for ours.
        threads: How many it uses in a batch.
        gives_all: Whether `every` gives all solutions (otherwise one).
        slow: Whether it is asked fewer poses, being slow.
        note: One line for the tables' legend.
    """

    name, version, note = "", "", ""
    threads, gives_all, slow = 1, True, False

    def prepare(self, T: FloatArray) -> Prepared:
        """Targets (B, 4, 4) in this method's frames and containers; not timed."""
        targets = list(T)
        return Prepared(targets, targets)

    def first(self, target: Any) -> Any:
        """One solution of one target; by default the first of all."""
        return self.every(target)

    def every(self, target: Any) -> Any:
        """All solutions of one target, in the method's own containers."""
        raise NotImplementedError

    def batch(self, targets: Any) -> Sequence[Any]:
        """All solutions of each target; by default one call each."""
        return [self.every(target) for target in targets]

    def read(self, answer: Any) -> FloatArray:
        """The joint vectors of an answer, (m, n), in the arm's order of joints; not timed."""
        raise NotImplementedError

    def read_first(self, answer: Any) -> FloatArray:
        """The joint vectors of what `first` gave, at most one."""
        return self.read(answer)[:1]

    def fk(self, q: FloatArray) -> FloatArray:
        """The peer's own pose of the tip at q (n,), in our frames, (4, 4)."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what it holds."""


def check_agreement(method: Method, q: FloatArray, T: FloatArray) -> float:
    """The largest entry by which a peer's poses differ from ours.

    Args:
        method: The peer.
        q, T: Configurations (N, n) and our poses of them.

    Raises:
        Unavailable: It exceeds `AGREEMENT`, so the peer would solve for another arm.
    """
    difference = float(np.abs(np.stack([method.fk(row) for row in q]) - T).max())
    if not difference <= AGREEMENT:
        raise Unavailable(f"its forward kinematics differs from ours by {difference:.1e}; allowed: {AGREEMENT:.0e}")
    return difference


def installed_version(package: str) -> str:
    """The version of an installed package.

    Raises:
        Unavailable: It is not installed.
    """
    try:
        return version(package)
    except PackageNotFoundError:
        raise Unavailable("not installed: pip install -c constraints.txt -e '.[bench]'") from None
