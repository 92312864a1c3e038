"""`ik-mdn track`: a straight line, a circle or a polyline followed on one branch of solutions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import print_line, print_table, progress, report_note, waiting, write_json
from ik_mdn.cli.options import (
    OPTIONAL,
    ArmName,
    Base,
    FigureFile,
    FilePath,
    FilmFile,
    JointNumbers,
    Json,
    ModelName,
    Numbers,
    PoseNumbers,
    TaskName,
    Tip,
)
from ik_mdn.cli.targets import doubts_of_joints, joint_vector, pose_matrix, read_targets
from sim.errors import PoseError, ShapeError

if TYPE_CHECKING:
    from ik_mdn.paths import CartesianPath, Followed, Tracked
    from ik_mdn.solver import IKSolver
    from sim.arm import Arm
    from sim.arrays import FloatArray
    from sim.scenes import Scene
    from sim.task import Task
    from sim.world import ArmBody, World

Position = tuple[float, float, float]

_PATH = (0.95, 0.55, 0.1)  # colour of its marks
_FPS = 12.0  # pictures per second of a recording
_ROUND = math.tau  # once [rad]
_GOES_WITH = {"turn": "line", "angle": "circle", "tangential": "circle"}


def run(
    arm: ArmName,
    /,
    *,
    line: Annotated[Numbers, tyro.conf.arg(metavar="X Y Z", **OPTIONAL)] = None,
    circle: Annotated[Numbers, tyro.conf.arg(metavar="X Y Z [AX AY AZ]", **OPTIONAL)] = None,
    waypoints: FilePath = None,
    q_start: JointNumbers = None,
    pose: PoseNumbers = None,
    turn: Annotated[Position, tyro.conf.arg(metavar="RX RY RZ")] = (0.0, 0.0, 0.0),
    angle: float = _ROUND,
    tangential: bool = False,
    speed: float = 0.25,
    turn_speed: float = 1.0,
    rate: float = 100.0,
    joint_speed: float = 1.0,
    scene: Annotated[str | None, tyro.conf.arg(metavar="SCENE", **OPTIONAL)] = None,
    collisions: bool = True,
    execute: bool = False,
    ideal_motors: bool = False,
    gif: FilmFile = None,
    figure: FigureFile = None,
    model: ModelName = None,
    task: TaskName = None,
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Follow a Cartesian path on one branch of solutions, and say how far that goes and why no further.

    The path starts where --q-start or --pose has the tip, or at the first of --waypoints. Of all solutions there, the
    one is taken from which most of the path can be followed, or --q-start itself. A branch is never left for another
    one; near singularities the arm is slowed down, with the tip on the path.

    Args:
        line: End of a straight line [m].
        circle: Centre of a circle [m] and its axis (without it, z); shifted along the axis to the tip's height.
        waypoints: Poses (W, 4, 4) to join by straight lines, .npy or .json; the first is the start.
        q_start: Joint vector to start from [rad, m]; with waypoints, one that has the tip at the first.
        pose: Start of the tip: position [m] and quaternion (x, y, z, w).
        turn: How the tip turns along a line: rotation vector in the tip's frame [rad].
        angle: How far round a circle [rad]; negative runs the other way.
        tangential: Turn the tip with the circle; without, its orientation stays.
        speed: Of the tip [m/s].
        turn_speed: Of its orientation [rad/s].
        rate: Samples per second [Hz].
        joint_speed: Share of the joints' velocity limits to use.
        scene: Obstacles: a shipped scene's name or a YAML or JSON file.
        collisions: Stop before the arm touches itself or an obstacle; --no-collisions does not look.
        execute: Also move along the path in Bullet with motors under gravity, and measure.
        ideal_motors: Let these motors be as strong as it takes, whatever effort limits the URDF gives.
        gif: Record that into this file.
        figure: Draw the joints over time; the ending decides the format.
    """
    given = {"line": line, "circle": circle, "waypoints": waypoints}
    used = {"turn": any(turn), "angle": angle != _ROUND, "tangential": tangential}
    _check([name for name, value in given.items() if value], [name for name in used if used[name]], q_start, pose)
    if ideal_motors and not (execute or gif):
        raise ShapeError("--ideal-motors are those of --execute and --gif; give one of them too, or leave it out")
    with waiting("loading"):
        from ik_mdn.solver import solver_for
        from sim.arm import load_arm
        from sim.scenes import load_scene
        from sim.world import World

        loaded = load_arm(arm, base=base, tip=tip)
        solver = solver_for(loaded, model, task=task)
        around = load_scene(scene, loaded) if scene is not None else None
    q = None if q_start is None else _read_joints(loaded, q_start)
    start = None if waypoints else _read_start(loaded, q, pose)
    limits = {"speed": speed, "turn_speed": turn_speed, "rate": rate}
    path = _make_path(start, line, circle, waypoints, turn, angle, tangential, limits)
    done: Followed | None = None
    if collisions or scene or execute or gif:
        with World() as world:
            body = world.add_arm(loaded, ideal_motors=ideal_motors)
            if around is not None:
                world.add_scene(around, loaded)
            tracked = _track(solver, path, q, body if collisions else None, joint_speed)
            if (execute or gif) and len(tracked.q):
                done = _execute(world, body, tracked, solver.task, gif, around)
    else:
        tracked = _track(solver, path, q, None, joint_speed)
    if json:
        write_json(json, _as_dict(loaded, solver.task.name, tracked, done))
    if json != "-":
        _show(loaded, solver.task, tracked, done)
    if figure:
        with waiting("drawing"):
            from ik_mdn.paths import draw_joints

            draw_joints(loaded, tracked, figure)


def _check(paths: list[str], used: list[str], q_start: Numbers, pose: Numbers) -> None:
    """Refuse options that do not go together: one path, one start, and nothing that another kind of path takes."""
    if len(paths) != 1:
        raise ShapeError(f"give one of --line, --circle and --waypoints; got {len(paths)} of them")
    if paths == ["waypoints"]:
        if pose is not None:
            raise PoseError("the path starts at the first of --waypoints; leave --pose out")
    elif (q_start is None) == (pose is None):
        raise PoseError("say where the path starts: give one of --q-start and --pose (or --waypoints)")
    for name in used:
        if _GOES_WITH[name] not in paths:
            raise ShapeError(f"--{name} goes with --{_GOES_WITH[name]}; leave it out with --{paths[0]}")


def _read_joints(arm: Arm, q_start: tuple[float, ...]) -> FloatArray:
    q = joint_vector(arm, q_start, "--q-start")
    for line in doubts_of_joints(arm, q, "--q-start", degrees=True):
        report_note(f"warning: {line}")
    return q


def _read_start(arm: Arm, q: FloatArray | None, pose: Numbers) -> FloatArray:
    """Where the tip starts, shape (4, 4)."""
    from sim.kinematics import forward_kinematics

    return forward_kinematics(arm, q) if q is not None else pose_matrix(pose or ())


def _make_path(
    start: Any,
    line: Numbers,
    circle: Numbers,
    waypoints: Path | None,
    turn: Position,
    angle: float,
    tangential: bool,
    limits: dict[str, float],
) -> CartesianPath:
    from ik_mdn.paths import polyline_path

    if line:
        return _line(start, line, turn, limits)
    if circle:
        return _circle(start, circle, angle, tangential, limits)
    return polyline_path(read_targets(waypoints or Path()), **limits)


def _line(start: Any, end: tuple[float, ...], turn: Position, limits: dict[str, float]) -> CartesianPath:
    from scipy.spatial.transform import Rotation

    from ik_mdn.paths import line_path

    if len(end) != 3:
        raise ShapeError(f"--line takes the end X Y Z [m]; got {len(end)} numbers")
    T = start.copy()
    T[:3, 3] = end
    T[:3, :3] = start[:3, :3] @ Rotation.from_rotvec(turn).as_matrix()
    return line_path(start, T, **limits)


def _circle(
    start: Any, numbers: tuple[float, ...], angle: float, tangential: bool, limits: dict[str, float]
) -> CartesianPath:
    import numpy as np

    from ik_mdn.paths import circle_path

    if len(numbers) not in (3, 6):
        raise ShapeError(f"--circle takes the centre X Y Z and perhaps the axis AX AY AZ; got {len(numbers)} numbers")
    centre, axis = np.array(numbers[:3]), np.array(numbers[3:] or (0.0, 0.0, 1.0))
    if not np.linalg.norm(axis) > 0:
        raise ShapeError("the axis of --circle has no direction; give AX AY AZ that are not all 0")
    axis /= np.linalg.norm(axis)
    out = start[:3, 3] - centre
    height = axis * (out @ axis)
    return circle_path(
        centre + height,
        axis,
        float(np.linalg.norm(out - height)),
        start[:3, :3],
        towards=out,
        angle=angle,
        tangential=tangential,
        **limits,
    )


def _track(
    solver: IKSolver, path: CartesianPath, q_start: FloatArray | None, body: ArmBody | None, joint_speed: float
) -> Tracked:
    """What becomes of the path, with progress on stderr."""
    from ik_mdn.paths import track

    with progress(count=False) as bar:
        job = bar.add_task("following the path", total=1.0)

        def show(share: float) -> None:
            bar.update(job, completed=share)
            if share == 1.0 and len(bar.tasks) == 1:
                bar.add_task("timing it", total=None)

        tracked = track(solver, path, q_start=q_start, body=body, speed=joint_speed, on_step=show)
        for timing in bar.task_ids[1:]:
            bar.remove_task(timing)
    return tracked


def _execute(
    world: World, body: ArmBody, tracked: Tracked, task: Task, gif: str | None, scene: Scene | None
) -> Followed:
    from ik_mdn.paths import follow_path

    body.set_q(tracked.q[0])
    if not gif:
        with waiting("moving along the path in Bullet"):
            return follow_path(body, tracked, task=task)
    from ik_mdn.reach import Recorder
    from sim.rendering import camera_for, floor_height

    with progress(count=False) as bar:
        job = bar.add_task(f"recording {gif}", total=round(_FPS * len(tracked.q) * tracked.dt))
        floor = min(floor_height(body.arm, scene, depth=0.0), float(tracked.T_base_tip[:, 2, 3].min()))
        camera = camera_for(body.arm, scene, lowest=floor)
        key = [("path of the tip", _PATH)]
        recorder = Recorder(world, camera, fps=_FPS, on_frame=lambda: bar.advance(job), key=key)
        world.add_ground(height=floor, size=3.2 * body.arm.reach)
        for T in tracked.T_base_tip[:: max(1, len(tracked.q) // 24)]:
            world.add_marker(body.T_world_base @ T, size=0.03 * body.arm.reach, colour=_PATH)
        done = follow_path(body, tracked, task=task, watch=recorder.take, watch_period=1.0 / _FPS)
        recorder.pause(0.5)
        recorder.save(gif)
        bar.update(job, total=bar.tasks[job].completed)
    return done


def _as_dict(arm: Arm, task: str, tracked: Tracked, done: Followed | None) -> dict[str, Any]:
    names = ("err_pos", "err_rot", "off_path", "end_pos", "end_rot")
    executed = None if done is None else {name: getattr(done, name) for name in names}
    if done is not None and executed is not None:
        executed |= {"settled": done.drive.settled, "contacts": [list(pair) for pair in done.drive.contacts]}
    return {
        "arm": arm.name,
        "task": task,
        "joint_names": list(arm.joint_names),
        **tracked.to_dict(),
        "executed": executed,
    }


def _show(arm: Arm, task: Task, tracked: Tracked, done: Followed | None) -> None:
    from ik_mdn.evaluation import degrees, millimetres

    turned = degrees(tracked.worst[1]) if any(task.rows[3:]) else "free"
    counts = tracked.tally()
    touching = ", ".join(f"{a} and {b}" for a, b in tracked.contacts)
    print_line(f"{arm.name}: {tracked.status} after {tracked.fraction:.1%} of the path ({tracked.status.about})")
    print_table(
        "",
        ["", "value"],
        [
            ["samples of the path", ", ".join(f"{count} {status}" for status, count in counts.items())],
            ["duration [s]", f"{max(len(tracked.q) - 1, 0) * tracked.dt:.2f} ({tracked.delay:.2f} later than planned)"],
            ["largest error [mm], [°]", f"{millimetres(tracked.worst[0])}, {turned}"],
            *([["would touch", touching]] if touching else []),
        ],
        text=True,
    )
    if done is not None:
        contacts = ", ".join(f"{a} and {b}" for a, b in done.drive.contacts) or "none"
        print_line(
            f"executed in Bullet: the tip was at most {millimetres(done.off_path)} mm off the path, "
            f"{millimetres(done.err_pos)} mm from where it should have been at that moment, {millimetres(done.end_pos)} mm "
            f"at the end; contacts: {contacts}"
        )
