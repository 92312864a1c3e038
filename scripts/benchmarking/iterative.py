"""Peers that iterate to one solution: the Robotics Toolbox, OptIK, Pinocchio, PyBullet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarking.methods import Method, Prepared, Unavailable, installed_version
from sim.arm import Arm, load_arm
from sim.arrays import FloatArray

_PIN_RESTARTS, _PIN_STEPS, _PIN_DAMPING, _PIN_ERROR = 20, 200, 1e-6, 1e-7


class Single(Method):
    """A peer that gives one joint vector, or None."""

    gives_all, slow = False, True

    def read(self, answer: Any) -> FloatArray:
        """Its joint vector, (1, n), or none."""
        return np.zeros((0, 0)) if answer is None else np.asarray(answer, dtype=np.float64)[None]


class Toolbox(Single):
    """Robotics Toolbox for Python: `ETS.ik_LM` in C++, Chan's damping, random restarts, limits checked.

    Its tolerance is on half the squared error, so the default of 1e-6 stops at errors of 1e-3; 1e-13 is asked for.

    Args:
        arm: The arm.
    """

    name = "Robotics Toolbox"
    note = "ik_LM in C++ with 100 restarts, tol=1e-13 (its default, 1e-6, is an error of 1e-3)"

    def __init__(self, arm: Arm) -> None:
        self.version = installed_version("roboticstoolbox-python")
        import roboticstoolbox as rtb
        from spatialmath import SE3

        if arm.is_prismatic.any():
            raise Unavailable("prismatic joints are not set up here")
        parts = []
        for i, offset in enumerate(arm.offsets):
            parts.append(rtb.ET.SE3(SE3(offset, check=False)))
            if i < arm.n_joints:
                parts.append(rtb.ET.Rz(qlim=[arm.sample_min[i], arm.sample_max[i]]))
        self._chain = rtb.ETS(parts)

    def every(self, target: Any) -> Any:
        """Its answer, None where it reports no success."""
        answer = self._chain.ik_LM(target, tol=1e-13)
        return answer.q if answer.success else None

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose."""
        return np.asarray(self._chain.fkine(q).A)


class Optik(Single):
    """OptIK: BFGS in Rust with random restarts in threads until a time limit, inside the limits.

    Args:
        arm: The arm.
        chain: Its URDF.
        threads: That restart side by side for one pose.
        seed: Of the initial guesses.
    """

    name = "OptIK"
    note = "mode speed, tol_f=1e-12, at most 0.1 s per pose, from random guesses"

    def __init__(self, arm: Arm, chain: Path, threads: int, seed: int) -> None:
        self.version, self.threads = installed_version("optik-py"), threads
        if "continuous" in arm.joint_types:
            raise Unavailable("it takes no continuous joints")
        import optik

        from benchmarking.description import BASE, TIP

        self._arm, self._rng = arm, np.random.default_rng(seed)
        self._robot = optik.Robot.from_urdf_file(str(chain), BASE, TIP)
        self._robot.set_parallelism(threads)
        self._config = optik.SolverConfig("speed", max_time=0.1, max_restarts=1_000_000, tol_f=1e-12)

    def prepare(self, T: FloatArray) -> Prepared:
        """Targets as nested lists, each with a random guess in limits."""
        guess = self._arm.sample(self._rng, len(T))
        targets = list(zip(T.tolist(), guess.tolist(), strict=True))
        return Prepared(targets, targets)

    def every(self, target: Any) -> Any:
        """Its joint vector or None."""
        answer = self._robot.ik(self._config, *target)
        return None if answer is None else answer[0]

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose."""
        return np.asarray(self._robot.fk(q.tolist()))


class Pinocchio(Single):
    """Pinocchio has no solver: the damped Newton loop of its documentation, in Python, with restarts added.

    v = -Jᵀ (J Jᵀ + λ I)⁻¹ log₆(error), J = -Jlog₆ J_local (Pinocchio documentation, "Inverse kinematics"), with unit
    steps, from the middle of the limits and then from random vectors, until an answer is in limits.

    Args:
        arm: The arm.
        chain: Its URDF.
        seed: Of the restarts.
    """

    name = "Pinocchio"
    note = f"the loop of its documentation, in Python, with at most {_PIN_RESTARTS} starts of {_PIN_STEPS} steps"

    def __init__(self, arm: Arm, chain: Path, seed: int) -> None:
        self.version = installed_version("pin")
        import pinocchio

        from benchmarking.description import TIP

        self._arm, self._rng, self._pin = arm, np.random.default_rng(seed), pinocchio
        self._model = pinocchio.buildModelFromUrdf(str(chain))
        if self._model.nq != arm.n_joints:
            raise Unavailable("continuous joints are not set up here")
        self._data = self._model.createData()
        self._tip = self._model.getFrameId(TIP)
        order = [self._model.joints[self._model.getJointId(name)].idx_q for name in arm.joint_names]
        assert order == list(range(arm.n_joints)), "a chain's joints are numbered from base to tip"

    def prepare(self, T: FloatArray) -> Prepared:
        """Targets as SE3 objects."""
        targets = [self._pin.SE3(row) for row in T]
        return Prepared(targets, targets)

    def every(self, target: Any) -> Any:
        """The first answer that converged in limits, or None."""
        arm = self._arm
        q = (arm.sample_min + arm.sample_max) / 2
        for _ in range(_PIN_RESTARTS):
            q = self._converge(target, q)
            if q is not None:
                turned = q - 2 * np.pi * np.round((q - (arm.sample_min + arm.sample_max) / 2) / (2 * np.pi))
                if (turned >= arm.q_min).all() and (turned <= arm.q_max).all():
                    return turned
            q = arm.sample(self._rng)
        return None

    def _converge(self, target: Any, q: FloatArray) -> FloatArray | None:
        pin, model, data = self._pin, self._model, self._data
        for _ in range(_PIN_STEPS):
            pin.framesForwardKinematics(model, data, q)
            away = data.oMf[self._tip].actInv(target)
            error = pin.log(away).vector
            if np.linalg.norm(error) < _PIN_ERROR:
                return q
            J = -pin.Jlog6(away.inverse()) @ pin.computeFrameJacobian(model, data, q, self._tip, pin.LOCAL)
            step = -J.T @ np.linalg.solve(J @ J.T + _PIN_DAMPING * np.eye(6), error)
            q = pin.integrate(model, q, step)
        return None

    def fk(self, q: FloatArray) -> FloatArray:
        """Its pose."""
        self._pin.framesForwardKinematics(self._model, self._data, q)
        return np.array(self._data.oMf[self._tip].homogeneous)


class Bullet(Single):
    """PyBullet's `calculateInverseKinematics`: damped least squares from the middle of the limits, one start.

    It says nothing of success and knows no limits without its null-space variant.

    Args:
        chain: The arm's URDF.
        iterations: At most so many.
    """

    name = "PyBullet"

    def __init__(self, chain: Path, iterations: int = 1000) -> None:
        self.version = installed_version("pybullet")
        self.note = f"at most {iterations} iterations, from the middle of the limits, residual 1e-7"
        from sim.world.world import World

        arm, self._iterations = load_arm(chain), iterations
        self._world = World()
        self._body = self._world.add_arm(arm)
        self._start = (arm.sample_min + arm.sample_max) / 2
        self._client, self._tip = self._body.client, self._body.links.link(arm.tip)
        self._places = [self._body.links.moving.index(joint) for joint in self._body.joints]

    def prepare(self, T: FloatArray) -> Prepared:
        """Targets as position and quaternion in the world."""
        from sim.rotations import pose_to_bullet

        targets = [pose_to_bullet(self._body.T_world_base @ row) for row in T]
        return Prepared(targets, targets)

    def every(self, target: Any) -> Any:
        """Whatever it gives; putting the arm at the start is part of it."""
        client, number = self._client, self._body.number
        for joint, value in zip(self._body.joints, self._start, strict=True):
            client.resetJointState(number, joint, value)
        position, quat_xyzw = target
        return client.calculateInverseKinematics(
            number, self._tip, position, quat_xyzw, maxNumIterations=self._iterations, residualThreshold=1e-7
        )

    def read(self, answer: Any) -> FloatArray:
        """The joints of the chain among all that move."""
        return np.asarray(answer)[None, self._places]

    def fk(self, q: FloatArray) -> FloatArray:
        """Bullet's pose."""
        return np.asarray(self._body.tip_pose(q))

    def close(self) -> None:
        """End the world."""
        self._world.close()
