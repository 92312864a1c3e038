"""`ik-mdn evaluate`: likelihood, components, calibration, modes and errors of a trained mixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ik_mdn.cli.console import ArmName, Link, OutFile, print_table, progress, write_json

if TYPE_CHECKING:
    from ik_mdn.evaluation import ErrorSummary, Evaluation
    from ik_mdn.solver import IKSolver
    from sim.arm import Arm

_ANSWERS = {"likely": "most likely component", "best": "best component by FK", "refined": "refined"}


def run(
    arm: ArmName,
    /,
    *,
    model: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None,
    count: int = 2000,
    mode_count: int = 200,
    draws: int = 200,
    seed: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    figures: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None,
    base: Link = None,
    tip: Link = None,
    json: OutFile = None,
) -> None:
    """Measure how good a trained mixture is on held-out poses.

    Args:
        arm: Built-in name, planar:L1,L2,..., or path of a URDF.
        model: A model file or a shipped model's name; without it, the arm's shipped one.
        count: Number of held-out poses.
        mode_count: How many of them have their modes compared with all true solutions.
        draws: Monte Carlo draws per pose.
        seed: Of poses and draws; without it, the report card's poses.
        figures: Write pit.png, coverage.png and variance.png into this folder.
        base: Link that poses are given in; without it, the URDF's root.
        tip: Link whose pose counts; without it, the URDF's only leaf.
        json: Write all numbers to this file ("-": standard output).
    """
    from ik_mdn.evaluation import HELD_OUT_SEED, evaluate
    from sim.arm import load_arm

    loaded = load_arm(arm, base=base, tip=tip)
    solver = _load(loaded, model)
    with progress() as bar:
        jobs = {}

        def show(stage: str, done: float) -> None:
            if stage not in jobs:
                jobs[stage] = bar.add_task(stage, total=100)
            bar.update(jobs[stage], completed=round(100 * done))

        result = evaluate(
            solver,
            count=count,
            mode_count=mode_count,
            draws=draws,
            seed=HELD_OUT_SEED if seed is None else seed,
            on_stage=show,
        )
    files = []
    if figures is not None:
        from ik_mdn.evaluation import draw_evaluation

        files = draw_evaluation(result, loaded, figures)
    if json:
        write_json(json, result.to_dict())
    if json != "-":
        _show(result, loaded, files)


def _load(arm: Arm, model: str | None) -> IKSolver:
    from ik_mdn.model import load_fitting
    from ik_mdn.solver import IKSolver

    return IKSolver(arm, load_fitting(arm, model))


def _show(result: Evaluation, arm: Arm, files: list[Path]) -> None:
    title = f"{result.arm}, task {result.task}: mixture on {result.count} held-out poses, nothing trimmed"
    print_table(title, ["measured", "value"], [*_density_rows(result), *_mode_rows(result)], text=True)
    print_table("Each joint", ["joint", *_JOINT_COLUMNS], _joint_rows(result, arm))
    print_table(
        "Errors: median / p95 / max",
        ["answer", "position [mm]", "rotation [°]", "within 1 mm", "answered"],
        [_error_row(name, result.errors[key]) for key, name in _ANSWERS.items()],
    )
    for file in files:
        print(f"wrote {file}")


def _density_rows(result: Evaluation) -> list[list[str]]:
    health, exact, blurred = result.health, result.exact.to_dict(), result.blurred.to_dict()
    shown = ("0.5", "0.9", "0.99")
    covered = " ".join(f"{100 * blurred['coverage'][level]:.1f}" for level in shown)
    covered_exact = " ".join(f"{100 * exact['coverage'][level]:.1f}" for level in shown)
    return [
        [
            "negative log-likelihood",
            f"{result.nll:.3f} nats (no density with this floor is below {result.nll_bound:.3f})",
        ],
        [
            "effective components, exp(entropy)",
            f"{health.effective:.2f} of {health.components} (5-95 %: {health.effective_p5:.2f}-{health.effective_p95:.2f}; "
            f"of the mean weights {health.effective_overall:.2f})",
        ],
        ["live components per pose (weight ≥ 1 %)", f"{health.live:.2f}"],
        [
            "dead components (live at no pose)",
            f"{len(health.dead)}" + (f": {_list(health.dead)}" if health.dead else ""),
        ],
        ["duplicate components per pose", f"{health.duplicates:.3f}"],
        [f"coverage of 50, 90, 99 % regions, truth ± {result.floor:g}", f"{covered} %"],
        ["coverage of 50, 90, 99 % regions, exact truth", f"{covered_exact} %"],
        ["energy score", f"{result.energy:.4f} rad"],
    ]


def _mode_rows(result: Evaluation) -> list[list[str]]:
    modes = result.modes
    if modes is None:
        return [["modes", "not compared: more joints than constraints, the solutions form a continuum"]]
    return [
        [f"true solutions, modes per pose ({modes.poses} poses)", f"{modes.solutions:.2f}, {modes.modes:.2f}"],
        ["recall of modes", f"{100 * modes.recall:.2f} %"],
        [
            "precision of modes",
            f"{100 * modes.precision:.2f} % (they carry {100 * modes.mass:.2f} % of the probability)",
        ],
        ["recall after refinement", f"{100 * modes.refined_recall:.2f} %"],
    ]


_JOINT_COLUMNS = (
    "std within\n[°, mm]",
    "std between\n[°, mm]",
    "CRPS\n[°, mm]",
    "PIT distance\ntruth ± floor",
    "PIT distance\nexact truth",
)


def _joint_rows(result: Evaluation, arm: Arm) -> list[list[str]]:
    unit = [1e3 if slides else 57.29577951 for slides in arm.is_prismatic]
    within, between = result.within.mean(0).sqrt().tolist(), result.between.mean(0).sqrt().tolist()
    crps = result.crps.tolist()
    blurred, exact = result.blurred.to_dict()["pit_distance"], result.exact.to_dict()["pit_distance"]
    return [
        [name, *(f"{u * v:.3g}" for v in (within[i], between[i], crps[i])), f"{blurred[i]:.3f}", f"{exact[i]:.3f}"]
        for i, (name, u) in enumerate(zip(arm.joint_names, unit, strict=True))
    ]


def _error_row(name: str, errors: ErrorSummary) -> list[str]:
    pos = " / ".join(f"{1e3 * v:.3g}" for v in errors.pos)
    rot = " / ".join(f"{57.29577951 * v:.3g}" for v in errors.rot)
    return [name, pos, rot, f"{100 * errors.success['1mm']:.1f} %", f"{100 * errors.answered:.1f} %"]


def _list(indices: tuple[int, ...], most: int = 12) -> str:
    return ", ".join(map(str, indices[:most])) + (", …" if len(indices) > most else "")
