"""`ik-mdn solve`: every joint vector that reaches a target."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import ArmName, Link, OutFile, print_table, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.solver import SolutionBatch, Solutions
    from sim.arm import Arm

_DEGREES = 57.29577951308232  # per radian

Numbers = tuple[float, ...] | None


def run(
    arm: ArmName,
    /,
    *,
    point: Annotated[Numbers, tyro.conf.arg(metavar="X Y [Z]")] = None,
    pose: Annotated[Numbers, tyro.conf.arg(metavar="X Y Z QX QY QZ QW")] = None,
    pose_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    model: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None,
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = None,
    q_seed: Annotated[Numbers, tyro.conf.arg(metavar="Q1 .. QN")] = None,
    refine: bool = True,
    windings: bool = False,
    thorough: bool = False,
    closest: bool = True,
    rank: Annotated[str | None, tyro.conf.arg(metavar="RANK")] = None,
    max_jump: Annotated[float | None, tyro.conf.arg(metavar="RAD")] = None,
    timeout: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
    max_solutions: Annotated[int | None, tyro.conf.arg(metavar="COUNT")] = None,
    base: Link = None,
    tip: Link = None,
    json: OutFile = None,
) -> None:
    """Print every joint vector that reaches a target, best first, or why there is none.

    Args:
        arm: Built-in name, planar:L1,L2,..., or path of a URDF.
        point: Target position [m], for tasks without rotation.
        pose: Target position [m] and quaternion (x, y, z, w).
        pose_file: Targets from an .npy or .json file, (4, 4) or (B, 4, 4), or points.
        model: A .safetensors file, a shipped model's name, or "none" for random restarts; without it, the
            shipped model if this arm has one.
        task: planar_position, planar_pose, position, position_axis or pose; without it, what the arm can meet.
        q_seed: Joint vector [rad, m] to stay near: solutions are ordered by distance from it.
        refine: Make the model's proposals exact; --no-refine shows its raw modes.
        windings: Also the same solutions with joints turned by full turns inside their limits.
        thorough: Go on until no new branch turns up.
        closest: Where nothing is found, how near the arm comes.
        rank: weight, distance (from --q-seed), margin or manipulability; without it, distance with --q-seed,
            otherwise weight.
        max_jump: Largest change of a joint from --q-seed [rad, m].
        timeout: Begin nothing new after so many seconds.
        max_solutions: Keep only so many of the best per target; without it, all.
        base: Link that poses are given in; without it, the URDF's root.
        tip: Link whose pose counts; without it, the URDF's only leaf.
        json: Write JSON to this file ("-": standard output) instead of a table.
    """
    from ik_mdn.solver import solver_for
    from sim.arm import load_arm

    loaded = load_arm(arm, base=base, tip=tip)
    solver = solver_for(loaded, model, task=task or _task_of_point(loaded, point))
    found = solver.solve(
        _read_target(point, pose, pose_file),
        q_seed=None if q_seed is None else _vector(q_seed),
        refine=refine,
        windings=windings,
        thorough=thorough,
        closest=closest and refine,
        rank=rank,  # type: ignore[arg-type]  # solve refuses what it does not know
        max_jump=max_jump,
        timeout=timeout,
        max_solutions=max_solutions,
    )
    if json:
        return write_json(json, _as_dict(loaded, solver.task.name, found))
    return _show_one(loaded, found[0]) if len(found) == 1 else _show_many(loaded, found)


def _task_of_point(arm: Arm, point: Numbers) -> str | None:
    """A point asks for a position task, whatever else the arm could meet."""
    if point is None:
        return None
    return "planar_position" if arm.is_planar else "position"


def _read_target(point: Numbers, pose: Numbers, pose_file: Path | None) -> Tensor:
    from sim.errors import PoseError

    given = [value for value in (point, pose, pose_file) if value is not None]
    if len(given) != 1:
        raise PoseError(f"{len(given)} targets given; give one of --point, --pose and --pose-file")
    if point is not None:
        return _vector(point)
    return _read_file(pose_file) if pose_file is not None else _pose_matrix(pose or ())


def _pose_matrix(pose: tuple[float, ...]) -> Tensor:
    import torch

    import sim
    from sim.errors import PoseError

    if len(pose) != 7:
        raise PoseError(f"--pose takes 7 numbers x y z qx qy qz qw; got {len(pose)} numbers")
    return torch.from_numpy(sim.pose(pose[:3], quat_xyzw=pose[3:]))


def _read_file(path: Path) -> Tensor:
    import numpy as np
    import torch

    from sim.errors import PoseError

    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = json_format.loads(path.read_text(encoding="utf-8"))
        return torch.as_tensor(np.asarray(values, dtype=np.float64))
    except (ValueError, TypeError, EOFError) as error:  # what numpy and json raise for damaged or ragged content
        raise PoseError(
            f"cannot read targets from {path}: {error}; give an .npy or .json file of shape (4, 4), (B, 4, 4) or points"
        ) from error


def _vector(values: tuple[float, ...]) -> Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64)


def _as_dict(arm: Arm, task: str, found: SolutionBatch) -> dict[str, Any]:
    targets = [one.to_dict() for one in found]
    return {"arm": arm.name, "task": task, "joint_names": list(arm.joint_names), "targets": targets}


def _show_one(arm: Arm, found: Solutions) -> None:
    title = f"{arm.name}: {found.status}, {len(found)} solutions ({found.status.about})"
    if not len(found):
        print(title)
        if found.closest is not None:
            q = ", ".join(f"{value:.4g}" for value in found.closest.q)
            miss = f"{1e3 * found.closest.err_pos:.4g} mm and {_DEGREES * found.closest.err_rot:.3g}° from the target"
            print(f"the nearest found in limits is {miss}, at q = [{q}]")
        return
    joints = [f"{name} [{'mm' if s else '°'}]" for name, s in zip(arm.joint_names, arm.is_prismatic, strict=True)]
    factor = [1e3 if slides else _DEGREES for slides in arm.is_prismatic]
    rows = [
        [
            str(i + 1),
            *(f"{value * by:.3f}" for value, by in zip(found.q[i], factor, strict=True)),
            f"{found.weight[i]:.3f}",
            f"{1e3 * found.err_pos[i]:.2g}",
            f"{_DEGREES * found.err_rot[i]:.2g}",
        ]
        for i in range(len(found))
    ]
    print_table(title, ["#", *joints, "weight", "error [mm]", "error [°]"], rows)


def _show_many(arm: Arm, found: SolutionBatch) -> None:
    rows = [[status.value, str(number), status.about] for status, number in found.tally().items()]
    total = f"{arm.name}: {len(found)} targets, {len(found.q)} solutions (--json FILE keeps them)"
    print_table(total, ["status", "targets", "meaning"], rows, text=True)
