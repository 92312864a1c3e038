"""Our solver as methods of the benchmark, and all methods for an arm."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarking.closed_form import AnalyticToolbox, Eaik, Frankik, Ssik
from benchmarking.description import write_chain
from benchmarking.iterative import Bullet, Optik, Pinocchio, Toolbox
from benchmarking.methods import Method, Prepared, Unavailable, check_agreement
from benchmarking.poses import uniform_poses
from ik_mdn.solver import IKSolver
from sim.arm.arm import Arm
from sim.arrays import FloatArray

OURS, THOROUGH, RESTARTS = "ours", "ours, thorough", "ours, random restarts"
PEERS = ("EAIK", "ssik", "Robotics Toolbox, analytic", "frankik", "Robotics Toolbox", "OptIK", "Pinocchio", "PyBullet")

_MANY = 512  # random seeds per pose that stand for the thorough mode where there is none


class Ours(Method):
    """`IKSolver.solve` with some options.

    Args:
        name: Key in the results.
        solver: The solver.
        threads: Of torch, which the kernel follows.
        slow: Whether to ask fewer poses when timing.
        **options: Of `solve`.
    """

    def __init__(self, name: str, solver: IKSolver, threads: int, *, slow: bool = False, **options: Any) -> None:
        self.name, self.solver, self.options, self.threads, self.slow = name, solver, options, threads, slow
        self.note = ", ".join(f"{key}={value}" for key, value in options.items()) or "default options"

    def prepare(self, T: FloatArray) -> Prepared:
        """Targets as one array."""
        return Prepared(list(T), T)

    def first(self, target: Any) -> Any:
        """At most one solution."""
        return self.solver.solve(target, max_solutions=1, **self.options)[0]

    def every(self, target: Any) -> Any:
        """The solutions of one target."""
        return self.solver.solve(target, **self.options)[0]

    def batch(self, targets: Any) -> Any:
        """The solutions of all targets in one call."""
        return self.solver.solve(targets, **self.options)

    def read(self, answer: Any) -> FloatArray:
        """Joint vectors."""
        return np.asarray(answer.q)


def our_methods(solver: IKSolver, threads: int) -> list[Ours]:
    """The solver (where it has a model), its thorough mode, and random restarts without a model."""
    bare = IKSolver(solver.arm)
    methods = [Ours(OURS, solver, threads)] if solver.model is not None else []
    if takes("thorough"):
        methods.append(Ours(THOROUGH, solver, threads, slow=True, thorough=True))
    else:
        methods.append(Ours(THOROUGH, bare, threads, slow=True, seeds=_MANY, restarts=1))
    methods.append(Ours(RESTARTS, bare, threads, slow=True))
    return methods


def takes(option: str) -> bool:
    """Whether `solve` has an option."""
    return option in inspect.signature(IKSolver.solve).parameters


def peer_methods(
    arm: Arm, folder: Path, *, threads: int, seed: int, names: Collection[str] = PEERS
) -> tuple[list[Method], dict[str, str]]:
    """The peers that can do this arm, their models checked against ours, and why the others are left out.

    Args:
        arm: The arm.
        folder: Where descriptions and built modules are kept.
        threads: For the peers that can use them.
        seed: Of the guesses of those that need some.
        names: Which ones, of `PEERS`.
    """
    chain = write_chain(arm, folder)
    makers: dict[str, Callable[[], Method]] = {
        "EAIK": lambda: Eaik(arm, threads),
        "ssik": lambda: Ssik(arm, chain, folder),
        "Robotics Toolbox, analytic": lambda: AnalyticToolbox(arm),
        "frankik": lambda: Frankik(arm),
        "Robotics Toolbox": lambda: Toolbox(arm),
        "OptIK": lambda: Optik(arm, chain, threads, seed),
        "Pinocchio": lambda: Pinocchio(arm, chain, seed),
        "PyBullet": lambda: Bullet(chain),
    }
    methods, left_out = list[Method](), dict[str, str]()
    check = uniform_poses(arm, 200, seed + 1)
    for name in names:
        try:
            method = makers[name]()
            check_agreement(method, check.q, check.T)
            methods.append(method)
        except Unavailable as error:
            left_out[name] = str(error)
    return methods, left_out
