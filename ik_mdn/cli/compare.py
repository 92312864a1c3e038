"""`ik-mdn compare`: what averaging costs, what modes find, and what refinement makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import tyro

from ik_mdn.cli.console import ArmName, Link, OutFile, print_table, progress, write_json

if TYPE_CHECKING:
    from ik_mdn.comparison import MethodResult
    from ik_mdn.model import PoseModel
    from ik_mdn.solver import IKSolver
    from sim.arm import Arm

HEADER = [
    "method",
    "position error [mm]\nmedian / p95 / max",
    "rotation error [°]\nmedian / p95 / max",
    "within\n1 cm",
    "within\n1 mm",
    "within\n1e-6",
    "in\nlimits",
    "modes\nfound",
    "time per\npose [µs]",
]


def run(
    arm: ArmName,
    /,
    *,
    count: int = 2000,
    seed: int = 0,
    model: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None,
    mse: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None,
    base: Link = None,
    tip: Link = None,
    json: OutFile = None,
) -> None:
    """Compare MSE regression, the mixture, refinement and PyBullet's IK on the same held-out poses.

    Poses are made from configurations uniform in the joint limits that no model was trained on. Every pose counts:
    nothing is trimmed.

    Args:
        arm: Built-in name, planar:L1,L2,..., or path of a URDF.
        count: Number of poses.
        seed: Of the poses.
        model: Mixture to use; without it, the shipped one.
        mse: Regressor to use; without it, the shipped one.
        base: Link that poses are given in; without it, the URDF's root.
        tip: Link whose pose counts; without it, the URDF's only leaf.
        json: Write all numbers to this file ("-": standard output).
    """
    from sim.arm import load_arm

    loaded = load_arm(arm, base=base, tip=tip)
    solver, regressor = _load(loaded, model, mse)
    results = measure(solver, regressor, count=count, seed=seed)
    if json:
        methods = [result.to_dict() for result in results]
        write_json(
            json, {"arm": loaded.name, "task": solver.task.name, "count": count, "seed": seed, "methods": methods}
        )
    if json != "-":
        show(solver, results, count=count)


def measure(solver: IKSolver, mse: PoseModel | None, *, count: int, seed: int) -> list[MethodResult]:
    """Every method's result, with progress on stderr and PyBullet's IK in a world of its own."""
    from ik_mdn.comparison import METHODS, compare
    from sim.world import World

    with World() as world, progress() as bar:
        job = bar.add_task(f"comparing on {solver.arm.name}", total=len(METHODS))
        results = []
        for result in compare(solver, mse, body=world.add_arm(solver.arm), count=count, seed=seed):
            results.append(result)
            bar.update(job, advance=1)
        bar.update(job, total=len(results))
    return results


def show(solver: IKSolver, results: list[MethodResult], *, count: int) -> None:
    """Print the table of a comparison."""
    title = f"{solver.arm.name}, task {solver.task.name}, {count} held-out poses"
    print_table(title, HEADER, [row_of(result) for result in results])


def _load(arm: Arm, model: str | None, mse: str | None) -> tuple[IKSolver, PoseModel | None]:
    from ik_mdn.checkpoint import find_shipped, load_fitting, load_model
    from ik_mdn.solver import IKSolver

    regressor = mse or find_shipped(arm, kind="mse")
    return IKSolver(arm, load_fitting(arm, model)), load_model(regressor, arm=arm) if regressor else None


def row_of(result: MethodResult) -> list[str]:
    """One row of the table under `HEADER`."""
    from ik_mdn.comparison import METHODS

    errors = result.errors
    return [
        METHODS[result.name],
        " / ".join(_short(1e3 * v) for v in errors.pos),
        " / ".join(_short(57.29577951 * v) for v in errors.rot) if any(errors.rot) else "free",
        *(f"{100 * share:.1f} %" for share in errors.success.values()),
        f"{100 * result.in_limits:.1f} %",
        f"{result.modes:.1f}",
        f"{result.us_per_pose:.0f}",
    ]


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1e-3 else f"{value:.0e}" if value else "0"
