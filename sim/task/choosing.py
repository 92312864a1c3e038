"""The task of a name, of rows between commas, or of what an arm can do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import TaskError, UnknownNameError
from sim.inputs import check_kinds
from sim.kinematics import kinematics
from sim.task.motions import ROUNDING, Motions, motions
from sim.task.task import ANGULAR_ROWS, TASKS, Rows, Task, task_jacobian

_WITH_Z_ON: dict[str, Rows | None] = {  # frames whose z axis is that axis of the tip
    "x": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "y": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)),
    "z": None,
}
_TURNS = {  # angular rows, in the frame with its z on an axis of the tip
    "roll": (ANGULAR_ROWS[1], "x", "turn about the tip's x axis"),
    "pitch": (ANGULAR_ROWS[1], "y", "turn about the tip's y axis"),
    "yaw": (ANGULAR_ROWS[1], "z", "turn about the tip's z axis"),
    "axis_x": (ANGULAR_ROWS[2], "x", "direction of the tip's x axis"),
    "axis_y": (ANGULAR_ROWS[2], "y", "direction of the tip's y axis"),
    "axis_z": (ANGULAR_ROWS[2], "z", "direction of the tip's z axis"),
    "rotation": (ANGULAR_ROWS[3], "z", "orientation"),
}


def default_task(arm: Arm) -> Task:
    """The largest task that an arm with this many joints can meet in general.

    Args:
        arm: The arm.

    Returns:
        Planar arms: planar_position with up to two joints (or a tip tilted out of the plane), planar_pose with more.
        Arms whose tip cannot move along or turn about some direction (SCARA, arms in other planes, rails): what is
        left, position first, in rows named as by `load_task`, or "movable" where they are no axes of base and tip.
        Arms that only turn their tip (pan and tilt): its orientation, with two joints the direction of one of its axes.
        Others: position up to four joints (with four of which position and one turn of the tip, the pitch mostly, are
        all that they move: these), position_axis with five, pose from six.
    """
    check_kinds(Arm, arm=arm)
    can = motions(arm)
    ways, turns = can.along.shape[1], can.about.shape[1]
    if not ways and (task := _turning_task(arm)):
        return _by_its_name(arm, task)
    if arm.is_planar and ways != 1:
        return TASKS["planar_pose" if arm.n_joints > 2 and _tip_is_upright(arm) else "planar_position"]
    if ways and (ways, turns) != (3, 3):
        return _by_its_name(arm, _movable_task(arm, can))
    if arm.n_joints == 4 and (turn := _only_turn(arm)):
        return _task_of_rows(True, True, True, turn)
    return TASKS["position" if arm.n_joints < 5 else "position_axis" if arm.n_joints == 5 else "pose"]


def _only_turn(arm: Arm) -> str | None:
    """Of four joints the one turn about an axis of the tip that they can move beside its position, if it is one only."""
    turns = ("roll", "pitch", "yaw")
    sigma = _least_singular(arm, [_task_of_rows(True, True, True, turn) for turn in turns])
    able = [turn for turn, values in zip(turns, sigma, strict=True) if values.max() > ROUNDING]
    return able[0] if len(able) == 1 else None


def _turning_task(arm: Arm) -> Task | None:
    """What the joints can do to the tip's orientation: all of it, or what they do best to one axis, or about one."""
    for turns in (("rotation",), ("axis_x", "axis_y", "axis_z"), ("roll", "pitch", "yaw")):
        tasks = [_task_of_rows(False, False, False, turn) for turn in turns]
        sigma = _least_singular(arm, [task for task in tasks if task.n_constraints <= arm.n_joints])
        if sigma and max(values.max() for values in sigma) > ROUNDING:
            return tasks[int(np.argmax([values.mean() for values in sigma]))]
    return None


def _least_singular(arm: Arm, tasks: list[Task]) -> list[FloatArray]:
    """Least singular values of the Jacobians of some tasks at 16 configurations; 0 where a combination of rows stays."""
    T, J = kinematics(arm, arm.sample(np.random.default_rng(0), 16))
    J = J / np.array([arm.length] * 3 + [1.0] * 3)[:, None]
    return [np.linalg.svd(task_jacobian(task, J, T), compute_uv=False)[:, -1] for task in tasks]


def load_task(arm: Arm, name: str | Task | None) -> Task:
    """The task by name, checked against the arm; None means `default_task`.

    Example:
        >>> load_task(sim.load_arm("ur5e"), "x,y,z,yaw").about
        "x and y and z and turn about the tip's z axis"
        >>> load_task(sim.load_arm("planar3"), None).name
        'planar_pose'

    Args:
        arm: The arm that is to do it.
        name: A key of `sim.TASKS`, a `Task`, None, or rows between commas: any of x, y, z along the base's axes, and
            one of roll, pitch, yaw (the turn about the tip's x, y, z axis), axis_x, axis_y, axis_z (the direction of
            that axis of the tip) and rotation (all of it), as in "x,y,z,yaw" or "x,z".

    Returns:
        The task. It may fix more numbers than the arm has joints: then the arm meets the targets of a set without
        volume, those that some joint vector makes, and no other.

    Raises:
        UnknownNameError: No task of that name.
        TaskError: A planar task for an arm that leaves the plane, or, between commas, a row of a position or a turn that
            the arm cannot move at all.
    """
    check_kinds(Arm, arm=arm)
    check_kinds(str, Task, type(None), name=name)
    if name is None or name == "movable":
        return default_task(arm)
    task = name if isinstance(name, Task) else TASKS.get(name) or _task_of_words(arm, name)
    planar = task.name.startswith("planar")
    if planar and not arm.is_planar:
        raise TaskError(f"arm {arm.name!r} leaves the x-y plane of {arm.base!r}; task {task.name!r} needs a planar arm")
    if arm.is_planar and not planar and task in TASKS.values():
        raise TaskError(f"arm {arm.name!r} is planar; use task planar_position or planar_pose instead of {task.name!r}")
    if task.name == "planar_pose" and not _tip_is_upright(arm):
        raise TaskError(
            f"the z axis of tip {arm.tip!r} of arm {arm.name!r} is not perpendicular to the plane, so it has no "
            "heading; use task planar_position or another tip"
        )
    return task


def _task_of_words(arm: Arm, name: str) -> Task:
    """The task of rows between commas."""
    words = [word.strip() for word in name.split(",")]
    turns = [word for word in words if word in _TURNS]
    if len(turns) > 1 or len(set(words)) < len(words) or not set(words) <= {*"xyz", *_TURNS}:
        raise UnknownNameError(
            f"unknown task {name!r}; allowed: {', '.join(TASKS)}, or rows between commas: any of x, y, z and one of "
            f"{', '.join(_TURNS)}",
            name=name,
        )
    can = motions(arm)
    for word in words:
        if word in "xyz" and np.linalg.norm(can.along["xyz".index(word)]) < ROUNDING:
            raise TaskError(f"arm {arm.name!r} cannot move its tip {arm.tip!r} along {word} of {arm.base!r}")
    if turns and not _can_turn(can, turns[0]).any():
        able = [turn for turn in _TURNS if _can_turn(can, turn).all()]
        raise TaskError(
            f"arm {arm.name!r} cannot change the {_TURNS[turns[0]][2]} ({turns[0]}); "
            + (f"use {' or '.join(able)} instead" if able else "leave the turn out")
        )
    task = _task_of_rows(*("x" in words, "y" in words, "z" in words), turns[0] if turns else None)
    return _by_its_name(arm, task)


def _can_turn(can: Motions, turn: str) -> NDArray[np.bool_]:
    """Of each axis of the tip that a turn is about, whether the arm turns the tip about it."""
    angular, axis, _ = _TURNS[turn]
    single, count = np.arange(3) == "xyz".index(axis), sum(angular)
    counts = single if count == 1 else ~single if count == 2 else np.full(3, True)
    return np.asarray(np.linalg.norm(can.about, axis=1)[counts] > ROUNDING)


def _by_its_name(arm: Arm, task: Task) -> Task:
    """The task of `sim.TASKS` that counts the same rows, where the arm may have it, or the task itself."""
    known = next(
        (each for each in TASKS.values() if (each.rows, None, None) == (task.rows, task.R_base_task, task.R_tip_task)),
        task,
    )
    return known if known.name.startswith("planar") == arm.is_planar else task


def _task_of_rows(x: bool, y: bool, z: bool, turn: str | None, R_base_task: Rows | None = None) -> Task:
    angular, axis, about = _TURNS[turn] if turn else (ANGULAR_ROWS[0], "z", "")
    linear = [word for word, on in zip("xyz", (x, y, z), strict=True) if on]
    words = [*linear, *([turn] if turn else [])]
    return Task(
        ",".join(words),
        (x, y, z, *angular),
        " and ".join([*linear, about][: len(words)]),
        R_base_task,
        _WITH_Z_ON[axis],
    )


def _movable_task(arm: Arm, can: Motions) -> Task:
    """All directions that the tip can move along, and the turn that is left for the joints."""
    along, about = can
    count = along.shape[1]
    turn = None
    if about.shape[1] == 1 and arm.n_joints > count:
        turn = next((word for word, i in (("roll", 0), ("pitch", 1), ("yaw", 2)) if abs(about[i, 0]) == 1.0), "other")
    elif about.shape[1] == 3 and arm.n_joints >= count + 3:
        turn = "rotation"
    if turn != "other" and set(np.unique(along)) <= {0.0, 1.0}:
        x, y, z = (bool(row.any()) for row in along)
        return _task_of_rows(x, y, z, turn)
    angular = ANGULAR_ROWS[0] if turn is None else ANGULAR_ROWS[3 if turn == "rotation" else 1]
    R_tip_task = np.roll(_frame(about), 2, axis=1) if about.shape[1] == 1 else np.eye(3)
    rows = (count > 0, count > 1, count > 2, *angular)
    return Task("movable", rows, "what this arm can move", _as_rows(_frame(along)), _as_rows(R_tip_task))


def _as_rows(R: FloatArray) -> Rows:
    return tuple(tuple(row) for row in R.tolist())


def _frame(directions: FloatArray) -> FloatArray:
    """A rotation (3, 3) whose first columns are orthonormal directions (3, k)."""
    R = np.linalg.qr(np.concatenate([directions, np.eye(3)], axis=1))[0]
    R[:, : directions.shape[1]] = directions
    R[:, 2] *= np.sign(np.linalg.det(R))
    return np.asarray(R)


def _tip_is_upright(arm: Arm) -> bool:
    """Whether a planar arm's tip has its z axis along the base's (joints about z do not change that)."""
    R = np.eye(3)
    for offset in arm.offsets:
        R = R @ offset[:3, :3]
    return bool(abs(abs(R[2, 2]) - 1.0) < 1e-9)
