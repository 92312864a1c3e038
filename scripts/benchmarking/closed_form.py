"""Peers with closed forms: EAIK, ssik, the Robotics Toolbox's symbolic solver, frankik."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarking.methods import Method, Prepared, Unavailable, installed_version
from sim.arm.arm import Arm
from sim.arrays import FloatArray
from sim.files import whole_file
from sim.kinematics import forward_kinematics


class Eaik(Method):
    """EAIK: subproblem decomposition in C++ (Ostermeier et al., 2024); knows no limits.

    Its axes and offsets are taken from the arm. Rows that it flags as least-squares approximations are not counted as
    answers. An arm that it has no decomposition for is refused here: asking anyway aborts the process.

    Args:
        arm: The arm.
        threads: Of a batch.
    """

    name = "EAIK"
    note = "limits are applied by us, outside the clock; its first solution is the best of all"

    def __init__(self, arm: Arm, threads: int) -> None:
        self.version, self.threads = installed_version("eaik"), threads
        from eaik.IK_HP import HPRobot

        if arm.is_prismatic.any() or arm.n_joints != 6:
            raise Unavailable("it takes six revolute joints")
        frames = [np.eye(4)]
        for offset in arm.offsets:
            frames.append(frames[-1] @ offset)
        axes = np.stack([T[:3, 2] for T in frames[1:-1]])
        points = np.stack([T[:3, 3] for T in frames])
        self._R = frames[-1][:3, :3]  # of the tip at q = 0; EAIK's is the identity
        self._robot = HPRobot(axes, np.diff(points, axis=0))
        if not self._robot.hasKnownDecomposition():
            raise Unavailable(f"it has no decomposition for this arm ({self._robot.getKinematicFamily()})")

    def prepare(self, T: FloatArray) -> Prepared:
        """Targets with the tip's rotation at q = 0 taken off."""
        T = T.copy()
        T[:, :3, :3] = T[:, :3, :3] @ self._R.T
        targets = [np.ascontiguousarray(row) for row in T]
        return Prepared(targets, targets)

    def every(self, target: Any) -> Any:
        """Its solution object."""
        return self._robot.IK(target)

    def batch(self, targets: Any) -> Any:
        """Its batched call, in threads."""
        return self._robot.IK_batched(targets, self.threads)

    def read(self, answer: Any) -> FloatArray:
        """Rows that it does not flag as approximations."""
        rows = np.asarray(answer.Q, dtype=np.float64).reshape(-1, 6)
        return rows[~np.asarray(answer.is_LS, dtype=bool).reshape(-1)]

    def read_first(self, answer: Any) -> FloatArray:
        """All rows, so that one of them may be in limits."""
        return self.read(answer)

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose with the tip's rotation put back."""
        T = np.array(self._robot.fwdKin(q))
        T[:3, :3] = T[:3, :3] @ self._R
        return T


class Ssik(Method):
    """ssik: closed forms and Raghavan-Roth elimination, compiled for the arm by `ssik build`; six and seven joints.

    Built once from the arm's chain and kept; the derivation takes from seconds to minutes. The limits are the arm's.
    On redundant arms it samples the self-motion.

    Args:
        arm: The arm.
        chain: Its URDF (see `benchmarking.description`).
        folder: Where the built module is kept.
    """

    name = "ssik"
    note = "built from our chain; limits applied by it; windings not enumerated; it has no batch call"

    def __init__(self, arm: Arm, chain: Path, folder: Path) -> None:
        self.version = installed_version("ssik")
        path = folder / f"ssik_{chain.stem}.py"
        if not path.exists():
            _build(chain, path)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        self._module: Any = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = self._module
        spec.loader.exec_module(self._module)
        _bake_tensor(self._module)
        self._options: dict[str, Any] = {"respect_limits": True, "enumerate_windings": False}

    def first(self, target: Any) -> Any:
        """Its answer with at most one solution."""
        return self._module.solve(target, max_solutions=1, **self._options)

    def every(self, target: Any) -> Any:
        """All solutions in limits."""
        return self._module.solve(target, **self._options)

    def read(self, answer: Any) -> FloatArray:
        """Joint vectors of its solution objects."""
        return np.array([solution.q for solution in answer]) if answer else np.zeros((0, self._module.DOF))

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose."""
        return np.asarray(self._module.fk(q))


class AnalyticToolbox(Method):
    """The Robotics Toolbox's `analytic_ik` (1.5): equations derived symbolically from Denavit-Hartenberg links.

    Its own model of the Puma 560 is the one arm here that it has in that form and that is ours; the derivation, half a
    minute, is made before the clock starts.

    Args:
        arm: The arm.
    """

    name = "Robotics Toolbox, analytic"
    note = "all solutions in its own form of the arm; Python; no batch call"
    slow = True

    def __init__(self, arm: Arm) -> None:
        self.version = installed_version("roboticstoolbox-python")
        import roboticstoolbox

        if arm.name != "puma560":
            raise Unavailable("it has no model of this arm with standard Denavit-Hartenberg links")
        self._robot = roboticstoolbox.models.DH.Puma560()
        try:
            self._solver = self._robot.analytic_ik()
        except ImportError:
            raise Unavailable("it needs SymPy: pip install -c constraints.txt -e '.[bench]'") from None

    def every(self, target: Any) -> Any:
        """Its solution object."""
        return self._solver.solve(target)

    def read(self, answer: Any) -> FloatArray:
        """All rows."""
        return np.asarray(answer.q, dtype=np.float64).reshape(-1, 6)

    def read_first(self, answer: Any) -> FloatArray:
        """All rows, so that one of them may be in limits."""
        return self.read(answer)

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose."""
        return np.asarray(self._robot.fkine(q).A)


class Frankik(Method):
    """frankik: He and Liu's closed form for a Franka arm given its last joint, which it samples; one solution.

    Args:
        arm: The arm, with the dimensions of a Panda and any tip behind its last link.
    """

    name = "frankik"
    note = "samples the last joint and stops at the first value that has a solution in its own limits; one solution"
    gives_all = False

    def __init__(self, arm: Arm) -> None:
        self.version = installed_version("frankik")
        from frankik import FrankaKinematics

        if arm.n_joints != 7:
            raise Unavailable("it takes a Franka arm")
        self._solver = FrankaKinematics("panda")
        self._flange = np.eye(4)  # as the hand sees it
        self._flange[:2, :2] = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
        self._flange[2, 3] = -0.1034
        zero = np.zeros(7)
        self._tip = np.linalg.inv(self._solver.forward(zero)) @ np.asarray(forward_kinematics(arm, zero))

    def prepare(self, T: FloatArray) -> Prepared:
        """Poses of the flange: its inverse takes these, its forward kinematics gives those of the hand."""
        targets = list(np.ascontiguousarray(T @ np.linalg.inv(self._tip) @ self._flange))
        return Prepared(targets, targets)

    def every(self, target: Any) -> Any:
        """One solution, or None."""
        return self._solver.inverse(target)

    def read(self, answer: Any) -> FloatArray:
        """At most one row."""
        return np.zeros((0, 7)) if answer is None else np.asarray(answer, dtype=np.float64).reshape(-1, 7)

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose, moved to our tip."""
        return np.asarray(self._solver.forward(q)) @ self._tip


def _build(chain: Path, path: Path) -> None:
    from benchmarking.description import BASE, TIP

    command = [sys.executable, "-m", "ssik.cli", "build", str(chain), "--base", BASE, "--ee", TIP, "--no-validate"]
    with whole_file(path) as temporary:
        done = subprocess.run([*command, "--out", str(temporary)], capture_output=True, text=True, check=False)
        if done.returncode or not temporary.exists():
            raise Unavailable(f"`ssik build` failed: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")


def _bake_tensor(module: Any) -> None:
    """Write the table that ssik's compiled backend for general arms reads; `ssik build` leaves it out.

    Without it such an arm is solved by its Python code, five times as slowly. Its shipped modules have the table.
    """
    path = getattr(module, "_RR_NATIVE_NPZ", None)
    if path is not None and not path.exists():
        from ssik._native import bake_rr_tensor_npz

        with whole_file(path) as temporary:
            bake_rr_tensor_npz(module._KB, str(temporary))
