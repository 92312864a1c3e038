"""`ik-mdn solve`: every joint vector that reaches a target."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import print_line, print_table, progress, report_note, waiting, write_json
from ik_mdn.cli.options import (
    OPTIONAL,
    ArmName,
    Base,
    DeviceName,
    FilePath,
    JointNumbers,
    Json,
    ModelName,
    Numbers,
    OptionalNumber,
    OptionalWhole,
    PoseNumbers,
    TaskName,
    Tip,
)
from ik_mdn.cli.targets import (
    as_options,
    doubts_of_joints,
    doubts_of_target,
    joint_units,
    joint_vector,
    pose_matrix,
    read_targets,
    say_ignored,
    say_target,
)
from sim.words import counted

if TYPE_CHECKING:
    from ik_mdn.solver import IKSolver, SolutionBatch, Solutions
    from sim.arm import Arm
    from sim.arrays import FloatArray
    from sim.task import Task


_PART, _PART_OF_MANY_SEEDS = 2000, 50  # targets between two updates of the bar
_INSTANT = 1e-3  # [s] that are left where a timeout has passed


def run(
    arm: ArmName,
    /,
    *,
    point: Annotated[Numbers, tyro.conf.arg(metavar="X Y [Z]", **OPTIONAL)] = None,
    pose: PoseNumbers = None,
    pose_file: FilePath = None,
    model: ModelName = None,
    task: TaskName = None,
    q_seed: JointNumbers = None,
    degrees: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    refine: bool = True,
    windings: bool = False,
    thorough: bool = False,
    closest: bool = True,
    rank: Annotated[str | None, tyro.conf.arg(metavar="RANK", **OPTIONAL)] = None,
    tolerance: float = 1e-8,
    max_jump: Annotated[OptionalNumber, tyro.conf.arg(metavar="RAD", **OPTIONAL)] = None,
    timeout: Annotated[OptionalNumber, tyro.conf.arg(metavar="SECONDS", **OPTIONAL)] = None,
    max_solutions: Annotated[OptionalWhole, tyro.conf.arg(metavar="COUNT", **OPTIONAL)] = None,
    device: DeviceName = "cpu",
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Print every joint vector that reaches a target, best first, or why there is none.

    Joint values are typed and shown in radians, with --degrees in degrees; those of prismatic joints in metres. The
    last line can be pasted. JSON is in radians and metres always. A target that cannot be reached is a result: the
    exit code is 0, and the status says why (unreachable, out_of_limits, ...); 2 is for what cannot be understood.

    Args:
        point: Target position [m], for tasks without rotation.
        pose: Target position [m] and quaternion (x, y, z, w).
        pose_file: Targets from an .npy or .json file, (4, 4) or (B, 4, 4), or points.
        q_seed: Joint vector [rad, m] to stay near: solutions are ordered by distance from it.
        degrees: Joint values of turning joints in degrees, typed (--q-seed) and shown.
        refine: Make the model's proposals exact; --no-refine shows its raw modes.
        windings: Also the same solutions with joints turned by full turns inside their limits.
        thorough: Go on until no new branch turns up.
        closest: Where nothing is found, how near the arm comes.
        rank: weight, distance (from --q-seed), margin or manipulability; without it, distance with --q-seed,
            otherwise weight.
        tolerance: Largest error of a solution [m] and [rad].
        max_jump: Largest change of a joint from --q-seed [rad, m; with --degrees deg].
        timeout: Come to an end after so many seconds.
        max_solutions: Keep only so many of the best per target; without it, all.
    """
    with waiting("loading"):
        from ik_mdn.solver import solver_for
        from sim.arm import load_arm

        loaded = load_arm(arm, base=base, tip=tip)
        solver = solver_for(loaded, model, task=task or _task_of_point(loaded, point), device=device)
    target = _read_target(point, pose, pose_file)
    near = None if q_seed is None else joint_vector(loaded, q_seed, "--q-seed", degrees=degrees)
    _tell_doubts(loaded, target, near, degrees=degrees)
    found = _solve(
        solver,
        target,
        timeout,
        q_seed=near,
        refine=refine,
        windings=windings,
        thorough=thorough,
        closest=closest and refine,
        rank=rank,
        tolerance=tolerance,
        max_jump=math.radians(max_jump) if degrees and max_jump is not None else max_jump,
        max_solutions=max_solutions,
    )
    if json:
        return write_json(json, _as_dict(loaded, solver.task.name, found))
    if len(found) > 1:
        return _show_many(loaded, found)
    return _show_one(solver, target, found[0], degrees=degrees)


def _solve(solver: IKSolver, target: FloatArray, timeout: float | None, **options: Any) -> SolutionBatch:
    """All solutions; of many targets in parts, which give the same, with the time left on stderr."""
    from ik_mdn.solver import joined
    from sim.task import as_targets

    part = _PART_OF_MANY_SEEDS if options["thorough"] or options["windings"] else _PART
    if target.ndim == 1 or target.shape == (4, 4) or len(target) <= part:
        with waiting("solving"):
            return solver.solve(target, timeout=timeout, **options)
    as_targets(solver.task, target)  # what is wrong is said before any is solved
    ends = None if timeout is None else time.monotonic() + timeout
    with progress() as bar:
        job = bar.add_task("solving", total=len(target))

        def parts() -> Iterator[SolutionBatch]:
            for start in range(0, len(target), part):
                left = None if ends is None else max(ends - time.monotonic(), _INSTANT)
                found = solver.solve(target[start : start + part], timeout=left, **options)
                bar.advance(job, len(found))
                yield found

        return joined(parts())


def _task_of_point(arm: Arm, point: Numbers) -> Task | str | None:
    """A point asks for a position: of the arm's own task what is position, so far as it can move every way."""
    from sim.errors import TaskError
    from sim.task import default_task

    if point is None:
        return None
    default = default_task(arm)
    if default.point_size:
        return default
    if arm.is_planar or all(default.rows[:3]):
        return "planar_position" if arm.is_planar else "position"
    if not any(default.rows[:3]):
        raise TaskError(f"arm {arm.name!r} only turns its tip, wherever --point may be; give --pose")
    rows = (*default.rows[:3], False, False, False)
    return replace(default, name=f"position of {default.name}", rows=rows, R_tip_task=None)


def _read_target(point: Numbers, pose: Numbers, pose_file: FilePath) -> FloatArray:
    import numpy as np

    from sim.errors import PoseError

    given = [value for value in (point, pose, pose_file) if value is not None]
    if len(given) != 1:
        raise PoseError(f"{len(given)} targets given; give one of --point, --pose and --pose-file")
    if point is not None:
        return np.array(point, dtype=np.float64)
    return read_targets(pose_file) if pose_file is not None else pose_matrix(pose or ())


def _tell_doubts(arm: Arm, target: FloatArray, near: Any, *, degrees: bool) -> None:
    lines = [] if near is None else doubts_of_joints(arm, near, "--q-seed", degrees=degrees)
    if target.ndim == 1 or target.shape == (4, 4):
        lines += doubts_of_target(arm, target)
    for line in lines:
        report_note(f"warning: {line}")


def _as_dict(arm: Arm, task: str, found: SolutionBatch) -> dict[str, Any]:
    targets = [one.to_dict() for one in found]
    return {"arm": arm.name, "task": task, "joint_names": list(arm.joint_names), "targets": targets}


def _show_one(solver: IKSolver, target: FloatArray, found: Solutions, *, degrees: bool) -> None:
    from ik_mdn.evaluation import degrees as in_degrees
    from ik_mdn.evaluation import distance, millimetres

    arm = solver.arm
    free = not any(solver.task.rows[3:])
    print_line(say_target(target))
    if ignored := say_ignored(solver.task, target):
        print_line(ignored)
    units, factor = joint_units(arm, degrees=degrees)
    again = " --degrees" if degrees else ""
    redundant = arm.n_joints > solver.task.n_constraints and found.status.value == "solved"
    about = "samples of a curve; see self_motion" if redundant else found.status.about
    title = f"{arm.name}: {found.status}, {counted(len(found), 'solution')} ({about})"
    if not len(found):
        print_line(title)
        if found.closest is not None:
            angle = "" if free else f" and {in_degrees(found.closest.err_rot)}°"
            print_line(f"the nearest found in limits is {distance(found.closest.err_pos)}{angle} from the target:")
            print_line(f"--q-seed {as_options(found.closest.q * factor)}{again}")
        return
    joints = [f"{name} [{unit}]" for name, unit in zip(arm.joint_names, units, strict=True)]
    rows = [
        [
            str(i + 1),
            *(f"{value:.3f}" if unit == "°" else f"{value:.5f}" for value, unit in zip(q * factor, units, strict=True)),
            f"{found.weight[i]:.3f}",
            millimetres(found.err_pos[i]),
            "free" if free else in_degrees(found.err_rot[i]),
        ]
        for i, q in enumerate(found.q)
    ]
    print_table(title, ["#", *joints, "weight", "error [mm]", "error [°]"], rows)
    print_line(f"weights ({found.law}): {found.law.about}")
    print_line(f"the first: --q-seed {as_options(found.q[0] * factor)}{again}")


def _show_many(arm: Arm, found: SolutionBatch) -> None:
    rows = [[status.value, str(number), status.about] for status, number in found.tally().items()]
    total = f"{arm.name}: {counted(len(found), 'target')}, {counted(len(found.q), 'solution')} (--json FILE keeps them)"
    print_table(total, ["status", "targets", "meaning"], rows, text=True)
