"""`ik-mdn train`: train a mixture density network, or the regressor to compare it with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import print_table, progress, report_note, waiting, write_json
from ik_mdn.cli.options import OPTIONAL, ArmName, Base, Folder, Json, OutPath, TaskName, Tip
from ik_mdn.training import TrainConfig
from sim.errors import ShapeError
from sim.words import counted

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel
    from ik_mdn.solver import IKSolver
    from sim.arm import Arm
    from sim.task import Task


def run(
    arm: ArmName,
    /,
    *,
    config: TrainConfig = TrainConfig(),  # noqa: B008 - frozen
    both_targets: bool = False,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    out: OutPath = None,
    run_folder: Folder = None,
    dataset: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", **OPTIONAL)] = None,
    task: TaskName = None,
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Train a model for an arm and end with its report card.

    The run folder keeps the state: after Ctrl-C or a crash the same command goes on where it stopped. It trains on a
    GPU where there is one, and in several processes as `torchrun --nproc-per-node N -m ik_mdn train ARM --steps S`.

    Args:
        config: Budget and network.
        both_targets: Train the regressor (--kind mse) on angles and on cosines and sines, each with the whole
            budget, and keep the better one.
        overwrite: Replace a model file that another run made.
        out: The model file; without it, ARM.safetensors (ARM-mse.safetensors for a regressor) in this folder.
        run_folder: Where state and metrics are kept; without it, runs/ARM-KIND.
        dataset: Train on a folder written by `ik-mdn generate`, or on a file or folder of your own joint vectors (Parquet,
            CSV, NumPy; a column per joint by its name, rad and m), so that weights mean how this robot is usually held.
    """
    if both_targets and config.kind != "mse":
        raise ShapeError("--both-targets is of the regressor; give --kind mse too, or leave it out")
    with waiting("loading"):
        from ik_mdn.model import choose_device
        from ik_mdn.training import rank, suited_to, train  # noqa: F401 - loads torch while it is said so
        from sim.arm import load_arm
        from sim.task import load_task

        loaded = load_arm(arm, base=base, tip=tip)
        chosen = load_task(loaded, task)
        choose_device(config.device)  # or refuse, before anything is made
    label = loaded.name.replace(":", "-") + ("-mse" if config.kind == "mse" else "")
    out = out or Path(f"{label}.safetensors")
    folder = run_folder or Path("runs") / (label if config.kind == "mse" else f"{label}-mdn")
    configs = [config]
    if both_targets:
        configs = [replace(config, targets="angles"), replace(config, targets="cos_sin")]
    folders = [folder if len(configs) == 1 else folder / one.targets for one in configs]
    samples = dataset if dataset is None or "://" in dataset else Path(dataset)
    _check_files(out, folders, overwrite=overwrite)
    _show_chain(loaded, chosen, suited_to(samples, config))
    solvers = [
        _train_one(loaded, chosen, one, samples, where, out) for one, where in zip(configs, folders, strict=True)
    ]
    if rank():
        return
    best = min(solvers, key=lambda solver: _model(solver).report.values["raw"]["err_pos"]["median"])
    if len(solvers) > 1:
        _say_which(solvers, best)
    if solvers[-1] is not best:
        best.save(out)
    if json:
        write_json(json, _model(best).report.values)
    if json != "-":
        _show_report(best, out)


def _check_files(out: Path, folders: list[Path], *, overwrite: bool) -> None:
    """Before an hour of work: whether the model can be written, and is not in place of another run's."""
    from sim.errors import TrainingError
    from sim.files import check_writable

    check_writable(out)
    if not out.is_file():
        return
    if not overwrite and not any((folder / "state.safetensors").exists() for folder in folders):
        raise TrainingError(
            f"{out} exists, and the run in {folders[0]} did not make it; choose another --out, or give --overwrite"
        )
    report_note(f"{out} exists and will be replaced when training ends")


def _train_one(
    arm: Arm, task: Task, config: TrainConfig, dataset: Path | str | None, folder: Path, out: Path
) -> IKSolver:
    from ik_mdn.training import Progress, train

    name = f"{config.kind} {arm.name}" + (f" ({config.targets})" if config.kind == "mse" else "")
    with progress(note="loss", count=False) as bar:
        job = bar.add_task(name, total=1000, note="")

        def show(at: Progress) -> None:
            note = f"loss {at.loss:.2f}, floor {at.floor:.3f}"
            bar.update(job, completed=round(1000 * at.fraction), note=note)
            if at.fraction >= 1.0 and len(bar.tasks) == 1:
                bar.add_task("measuring the report card", total=None, note="")

        trained = train(arm, config, task=task, dataset=dataset, run_folder=folder, out=out, on_progress=show)
        for measuring in bar.task_ids[1:]:
            bar.remove_task(measuring)
    return trained


def _show_chain(arm: Arm, task: Task, config: TrainConfig) -> None:
    """Say on stderr what was understood of the arm, before an hour is spent on the wrong one."""
    from ik_mdn.model import features_for

    features = features_for(arm, task, config)
    symmetries = [
        f"the turn of {arm.joint_names[0]}" if features.removes_azimuth else "",
        f"the roll of {arm.joint_names[-1]}" if features.removes_roll else "",
    ]
    removed = " and ".join(s for s in symmetries if s) or "nothing"
    report_note(
        f"{arm.name}: {counted(arm.n_joints, 'joint')} from {arm.base} to {arm.tip}: {', '.join(arm.joint_names)}"
    )
    report_note(f"task {task.name}: {task.about}; divided out: {removed}")


def _model(solver: IKSolver) -> ArmModel:
    assert solver.model is not None, "training returns a solver with a model"
    return solver.model


def _say_which(solvers: list[IKSolver], best: IKSolver) -> None:
    rows = [
        f"{_model(s).config.targets} {1e3 * _model(s).report.values['raw']['err_pos']['median']:.1f} mm"
        for s in solvers
    ]
    report_note(f"median position error on held-out poses: {', '.join(rows)}; kept: {_model(best).config.targets}")


def _show_report(solver: IKSolver, out: Path) -> None:
    from ik_mdn.evaluation import is_under_trained

    report = _model(solver).report.values
    rows = _raw_rows(report)
    if "nll" in report:
        rows += _mixture_rows(report, _model(solver).config.components)
    if "branches" in report:
        rows[-1:-1] = _branch_rows(report)
    if "postures" in report:
        rows[1:1] = _posture_rows(report["postures"])
    if is_under_trained(report):
        what = "stands for less than half of the branches" if "branches" in report else "seldom draws near its target"
        report_note(f"warning: the network {what}; refinement did the rest. Train longer.")
    count = report["poses"]["count"]
    print_table(f"{out}: report card on {count} held-out poses", ["measured", "value"], rows, text=True)


def _raw_rows(report: dict[str, Any]) -> list[list[str]]:
    """What any model has: its training, and the errors of its answers as they are."""
    from ik_mdn.evaluation import degrees, millimetres

    training, raw = report["training"], report["raw"]
    return [
        ["training", f"{training['minutes']} min, {training['steps']} steps, {training['samples']:,} samples"],
        ["parameters", f"{training['parameters']:,}"],
        ["position error [mm], raw: median / p95 / max", " / ".join(map(millimetres, raw["err_pos"].values()))],
        [
            "rotation error [°], raw: median / p95 / max",
            " / ".join(map(degrees, raw["err_rot"].values())) if any(raw["err_rot"].values()) else "free",
        ],
    ]


def _mixture_rows(report: dict[str, Any], components: int) -> list[list[str]]:
    """What a mixture has: its likelihood, and what solving with it finds."""
    from ik_mdn.solver import Law

    random = "the same, random seeds instead of the network"
    return [
        ["negative log-likelihood", f"{report['nll']:.3f} nats"],
        ["effective components", f"{report['effective_components']:.1f} of {components}"],
        *_rows_of_draws(report["draws"]),
        *(
            [["draws that come near their target, unrefined", f"{100 * report['near']:.2f} %"]]
            if "near" in report
            else []
        ),
        _row_of_coverage(report),
        *([["weights of solutions", Law(report["law"]).about]] if "law" in report else []),
        ["poses solved in limits", f"{100 * report['solved']:.2f} %"],
        *([[random, f"{100 * report['solved_random']:.2f} %"]] if "solved_random" in report else []),
        ["time per pose, refined", f"{report['us_per_pose']:.0f} µs"],
    ]


def _row_of_coverage(report: dict[str, Any]) -> list[str]:
    """How often regions hold the truth, what was blurred and by how much, and what the density was made wider by."""
    levels = ", ".join(f"{100 * float(level):g}" for level in report["coverage"])
    shares = " ".join(f"{100 * v:.1f}" for v in report["coverage"].values())
    if "calibration" not in report:  # a card from before it said so
        return [f"coverage of {levels} % regions", f"{shares} %"]
    at = report["calibration"]
    label = f"coverage of {levels} % regions, truth ± {at['blur']:g}"
    return [label, f"{shares} %; widths x {at['width']:.3g}"]


def _rows_of_draws(draws: dict[str, dict[str, float]]) -> list[list[str]]:
    """Errors of independent draws, the network's own and after the kinematic head."""
    from ik_mdn.evaluation import DEGREES

    rows = []
    for name, label in (("network", "network alone"), ("kinematic_head", "with two kinematic steps")):
        if name in draws:
            at = draws[name]
            turned = f" {DEGREES * at['rot_mean']:.2f}°" if at["rot_mean"] else ""  # 0 where rotation is free
            error = f"{1e3 * at['pos_mean']:.2f} mm{turned}"
            rows.append([f"draws, {label}: mean error, in limits", f"{error}, {100 * at['in_limits']:.1f} %"])
    return rows


def _posture_rows(postures: dict[str, Any]) -> list[list[str]]:
    """What was learned of the configurations themselves."""
    return [
        ["your configurations", f"{postures['rows']:,} rows, {postures['held_out']:,} held out"],
        ["trained on", postures["trained_on"]],
        [
            "density p(q)",
            f"{postures['components']} Gaussians and {100 * postures['even_share']:.2g} % spread evenly",
        ],
        [
            "-log p(q) of rows held out; if uniform",
            f"{postures['nll']:.3f}, {postures['nll_uniform']:.3f} nats",
        ],
    ]


def _branch_rows(report: dict[str, Any]) -> list[list[str]]:
    """What a mixture has where branches can be counted."""
    branches, score = report["branches"], report["log_score"]
    return [
        ["branches of thorough mode found", f"{100 * branches['recall']:.2f} % of {branches['per_pose']:.2f} per pose"],
        ["the same, random seeds instead of the network", f"{100 * branches['random']:.2f} %"],
        ["branches that a component stands for, unrefined", f"{100 * branches['known']:.2f} %"],
        ["generating configuration found again", f"{100 * report['recall']:.2f} %"],
        [
            f"log score of weights: {report.get('law', 'exact')}, network, uniform",
            " ".join(f"{score[name]:.3f}" for name in ("exact", "network", "uniform")) + " nats",
        ],
        ["network's weights above these, expected", f"{score['excess']:.3f} ± {score['excess_error']:.3f} nats"],
    ]
