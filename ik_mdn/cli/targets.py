"""Targets and joint vectors as they are typed: read, checked, converted, and said back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import PoseError, ShapeError

if TYPE_CHECKING:
    from sim.arm import Arm
    from sim.arrays import FloatArray
    from sim.task import Task

_FAR = 100.0  # reaches: a target further away was meant in other units
_TURN = 6.283185307179586


def pose_matrix(pose: tuple[float, ...], option: str = "--pose") -> FloatArray:
    """The pose (4, 4) of seven numbers: position [m] and quaternion (x, y, z, w).

    Raises:
        PoseError: They are not seven, or the quaternion's length is not 1.
    """
    from sim.rotations import pose as pose_of

    if len(pose) != 7:
        alone = "; for a position alone give --point" if len(pose) in (2, 3) else ""
        raise PoseError(f"{option} takes 7 numbers x y z qx qy qz qw; got {len(pose)}{alone}")
    return pose_of(pose[:3], quat_xyzw=pose[3:])


def read_targets(path: Path) -> FloatArray:
    """The targets of an .npy or .json file: (4, 4), (B, 4, 4) or points; of one alone (4, 4) or (n,).

    Raises:
        PoseError: The file is damaged, or holds no target.
        ShapeError: Its rows differ in length, or it holds something else than real numbers.
    """
    import numpy as np

    from sim.inputs import as_numbers

    try:
        if path.suffix == ".npy":
            values = np.load(
                path, mmap_mode="r", allow_pickle=False
            )  # mapped: a wrong size is seen before any is taken
        else:
            values = json.loads(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # numpy's and json's own, and what long numbers, deep nesting and torn headers raise
        raise PoseError(
            f"cannot read targets from {path}: {' '.join(str(error).split())}; "
            "give an .npy or .json file of shape (4, 4), (B, 4, 4) or points"
        ) from error
    targets = as_numbers(values, str(path))
    if not targets.ndim or not targets.size:
        raise PoseError(f"{path} holds no targets: its shape is {targets.shape}; give (4, 4), (B, 4, 4) or points")
    while targets.ndim > 1 and len(targets) == 1:
        targets = targets[0]
    return targets


def joint_units(arm: Arm, *, degrees: bool) -> tuple[list[str], FloatArray]:
    """The unit that each joint's value is typed and shown in, and what a value [rad, m] is multiplied by for it."""
    import numpy as np

    turning = "°" if degrees else "rad"
    names = ["m" if slides else turning for slides in arm.is_prismatic]
    return names, np.where(arm.is_prismatic | (not degrees), 1.0, 360.0 / _TURN)


def joint_vector(arm: Arm, numbers: tuple[float, ...], option: str, *, degrees: bool = False) -> FloatArray:
    """A joint vector (n,) [rad, m] as it was typed.

    Raises:
        ShapeError: There are too few or too many numbers.
    """
    import numpy as np

    if len(numbers) != arm.n_joints:
        raise ShapeError(f"{option} takes {arm.n_joints} numbers ({', '.join(arm.joint_names)}); got {len(numbers)}")
    return np.asarray(numbers, dtype=np.float64) / joint_units(arm, degrees=degrees)[1]


def doubts_of_joints(arm: Arm, q: FloatArray, option: str, *, degrees: bool = False) -> list[str]:
    """What looks wrong about a joint vector: values that no limit of the arm is near to, one line each."""
    import numpy as np

    beyond = np.maximum(arm.q_min - q, q - arm.q_max)
    beyond = np.where(np.isfinite(beyond), beyond, np.abs(q) - 2 * _TURN)  # without limits: more than two turns
    hint = "" if degrees else "; did you mean --degrees?"
    lines = []
    for i, name in enumerate(arm.joint_names):
        limits = f"[{arm.q_min[i]:.4g}, {arm.q_max[i]:.4g}]"
        if arm.is_prismatic[i] and beyond[i] > 10 * (arm.sample_max[i] - arm.sample_min[i]):
            lines.append(f"{option}: {name} = {q[i]:.6g} m is far outside its limits {limits}; did you mean metres?")
        elif not arm.is_prismatic[i] and beyond[i] > _TURN:
            lines.append(f"{option}: {name} = {q[i]:.6g} rad is far outside its limits {limits}{hint}")
    return lines


def doubts_of_target(arm: Arm, target: FloatArray) -> list[str]:
    """What looks wrong about a target, a pose (4, 4) or a point: that it lies a hundred arms away."""
    import numpy as np

    point = target[:3, 3] if target.shape == (4, 4) else target
    away = float(np.linalg.norm(point - arm.offsets[0, : len(point), 3]))
    if not away > _FAR * (arm.reach or 1.0):
        return []
    return [
        f"the target is {away:,.6g} m from the first joint, the arm's links reach {arm.reach:.3g} m; did you mean metres?"
    ]


def say_target(target: FloatArray) -> str:
    """A pose (4, 4) or point in words: position [m], and roll, pitch and yaw about the fixed x, y and z axes [deg]."""
    import numpy as np

    from sim.rotations import rpy_of

    is_pose = target.shape == (4, 4)
    point = target[:3, 3] if is_pose else target
    xyz = " ".join(f"{value:.6g}" for value in point)
    if not is_pose:
        return f"target: xyz {xyz} m"
    angles = np.degrees(rpy_of(target[:3, :3]))
    return f"target: xyz {xyz} m, rpy {' '.join(f'{value + 0.0:.6g}' for value in angles.round(9))} deg"


def say_ignored(task: Task, target: FloatArray) -> str:
    """What of a target the task does not count, in words; empty where all of it counts."""
    size = 3 if target.shape == (4, 4) else len(target)
    along_base = task.R_base_task is None
    parts = [axis for axis, counts in zip("xyz"[:size], task.rows[:3], strict=False) if along_base and not counts]
    if target.shape == (4, 4):
        turn = task.name.rpartition(",")[2]
        others = " and ".join(each for each in ("roll", "pitch", "yaw") if each != turn)
        one = (
            others if turn in ("roll", "pitch", "yaw") else "roll and pitch" if task.R_tip_task is None else "two turns"
        )
        turns = {3: "", 0: "orientation", 1: one, 2: "the turn about the tool axis"}
        parts += [text] if (text := turns[sum(task.rows[3:])]) else []
    return f"{' and '.join(parts)} ignored: task {task.name}" if parts else ""


def as_options(values: Any) -> str:
    """Numbers as they can be typed again, to ten places: what is zero but for rounding is 0."""
    return " ".join(f"{round(float(value), 10) + 0.0:.12g}" for value in values)
