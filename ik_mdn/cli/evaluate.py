"""`ik-mdn evaluate`: likelihood, components, calibration, modes and errors of a trained mixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import print_line, print_table, progress, waiting, write_json
from ik_mdn.cli.options import OPTIONAL, ArmName, Base, DeviceName, Folder, Json, ModelName, OptionalWhole, Tip, Whole

if TYPE_CHECKING:
    from ik_mdn.evaluation import ErrorSummary, Evaluation
    from ik_mdn.model import ArmModel
    from sim.arm import Arm

_ANSWERS = {"likely": "most likely component", "best": "best component by FK", "refined": "refined"}
_RANKED = 500  # poses of ranks at most: of chains of networks they take minutes


def run(
    arm: ArmName,
    /,
    *,
    model: ModelName = None,
    count: Whole = 2000,
    mode_count: Whole = 200,
    draws: Whole = 200,
    seed: Annotated[OptionalWhole, tyro.conf.arg(**OPTIONAL)] = None,
    figures: Folder = None,
    sbi: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    device: DeviceName = "cpu",
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Measure how good a trained mixture is on held-out poses.

    Args:
        count: Number of held-out poses.
        mode_count: How many of them have their modes compared with all true solutions.
        draws: Monte Carlo draws per pose.
        seed: Of poses and draws; without it, the report card's poses.
        figures: Write pit.png, coverage.png and variance.png into this folder.
        sbi: Also ranks (simulation-based calibration) and TARP, by the package sbi, of up to 500 poses.
    """
    if figures is not None:
        from sim.files import check_writable

        check_writable(figures / "pit.png")
    with waiting("loading the model"):
        from ik_mdn.evaluation import HELD_OUT_SEED, draw_evaluation, evaluate
        from ik_mdn.model import load_fitting
        from ik_mdn.solver import IKSolver
        from sim.arm import load_arm

        loaded = load_arm(arm, base=base, tip=tip)
        fitting = load_fitting(loaded, model)
        solver = IKSolver(loaded, fitting, device=device)
    # ranks first, because they need a package that may be missing
    ranks = _rank(fitting, count=min(count, _RANKED), draws=draws, seed=seed or 0) if sbi else None
    with progress(count=False) as bar:
        seed = HELD_OUT_SEED if seed is None else seed
        jobs: dict[str, Any] = {}

        def show(stage: str, done: float) -> None:
            if stage not in jobs:
                jobs[stage] = bar.add_task(stage, total=100)
            bar.update(jobs[stage], completed=round(100 * done))

        result = evaluate(solver, count=count, mode_count=mode_count, draws=draws, seed=seed, on_stage=show)
    if json:
        write_json(json, result.to_dict() | ({} if ranks is None else {"simulation_based": ranks}))
    files = []
    if figures is not None:
        with waiting("drawing"):
            files = draw_evaluation(result, loaded, figures)
    if json != "-":
        _show(result, loaded, files)
        if ranks is not None:
            _show_ranks(ranks)


def _rank(model: ArmModel, **sizes: int) -> dict[str, Any]:
    from ik_mdn.evaluation import simulation_based

    with progress(count=False) as bar:
        job = bar.add_task("ranks and TARP", total=1.0)
        return simulation_based(model, **sizes, on_step=lambda share: bar.update(job, completed=share)).to_dict()


def _show_ranks(ranks: dict[str, Any]) -> None:
    limit = 1.36 / ranks["poses"] ** 0.5
    distances = ", ".join(f"{each:.3f}" for each in ranks["rank_distance"])
    print_line(f"truth ± {ranks['blur']:g}: ranks of the joints are {distances} from uniform, TARP's regions")
    print_line(f"{ranks['tarp_distance']:.3f} from their credibility (95 % of calibrated ones: below {limit:.3f})")


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
        print_line(f"wrote {file}")


def _density_rows(result: Evaluation) -> list[list[str]]:
    health, exact, blurred = result.health, result.exact.to_dict(), result.blurred.to_dict()
    shown = ("0.5", "0.8", "0.9", "0.95")
    covered, covered_exact = (
        ", ".join(f"{100 * one['coverage'][level]:.1f}" for level in shown) for one in (blurred, exact)
    )
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
        [f"coverage of 50, 80, 90, 95 % regions, truth ± {result.floor:g}", f"{covered} %"],
        ["the same, exact truth", f"{covered_exact} %"],
        ["energy score", f"{result.energy:.4f} rad"],
    ]


def _mode_rows(result: Evaluation) -> list[list[str]]:
    modes, weights = result.modes, result.weights
    if modes is None:
        rows = [["modes", "not compared: more joints than constraints, the solutions form a continuum"]]
        if (along := result.diversity) is not None:
            means = (along.raw, along.refined, along.restarts, along.exact)
            error = max(along.errors.values(), default=float("nan"))
            shown = ", ".join(f"{value:.4f}" for value in means) + f" (standard errors up to {error:.4f})"
            label = f"MMD² of {along.draws} draws to exact ones along the curves ({along.poses} poses)"
            rows += [[f"{label}: raw, refined, random restarts, exact", shown]]
        return rows
    rows = [
        [f"true solutions, modes per pose ({modes.poses} poses)", f"{modes.solutions:.2f}, {modes.modes:.2f}"],
        ["recall of modes", f"{100 * modes.recall:.2f} %"],
        [
            "precision of modes",
            f"{100 * modes.precision:.2f} % (they carry {100 * modes.mass:.2f} % of the probability)",
        ],
        ["recall after refinement", f"{100 * modes.refined_recall:.2f} %"],
    ]
    if weights is None:
        return [*rows, ["weights", "not scored: the task fixes more numbers than there are joints"]]
    return [
        *rows,
        [
            "log score of weights: the solver's, the network's own, uniform",
            f"{weights.exact:.3f}, {weights.network:.3f}, {weights.uniform:.3f} nats",
        ],
        [
            "network's weights above the solver's, expected",
            f"{weights.excess:.4f} ± {weights.excess_error:.4f} nats",
        ],
    ]


_JOINT_COLUMNS = (
    "std within\n[°, mm]",
    "std between\n[°, mm]",
    "CRPS\n[°, mm]",
    "PIT distance\ntruth ± floor",
    "PIT distance\nexact truth",
)


def _joint_rows(result: Evaluation, arm: Arm) -> list[list[str]]:
    from ik_mdn.evaluation import DEGREES, number

    unit = [1e3 if slides else DEGREES for slides in arm.is_prismatic]
    within, between = result.within.mean(0).sqrt().tolist(), result.between.mean(0).sqrt().tolist()
    crps = result.crps.tolist()
    blurred, exact = result.blurred.to_dict()["pit_distance"], result.exact.to_dict()["pit_distance"]
    return [
        [name, *(number(u * v) for v in (within[i], between[i], crps[i])), f"{blurred[i]:.3f}", f"{exact[i]:.3f}"]
        for i, (name, u) in enumerate(zip(arm.joint_names, unit, strict=True))
    ]


def _error_row(name: str, errors: ErrorSummary) -> list[str]:
    from ik_mdn.evaluation import degrees, millimetres, percent

    pos, rot = (
        " / ".join(map(millimetres, errors.pos)),
        " / ".join(map(degrees, errors.rot)) if any(errors.rot) else "free",
    )
    return [name, pos, rot, percent(errors.success["1mm"]), percent(errors.answered)]


def _list(indices: tuple[int, ...], most: int = 12) -> str:
    return ", ".join(map(str, indices[:most])) + (", …" if len(indices) > most else "")
