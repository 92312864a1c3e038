"""From an arm to a solver with a trained model: its networks one after the other, then its report card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ik_mdn.model import ArmModel, ChainModel, SavedModel, check_kept, model_for
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.configurations import describe_dataset, own_configurations, suited_to
from ik_mdn.training.processes import rank
from ik_mdn.training.runs import Progress
from ik_mdn.training.stages import Stage, build_model, chains_of, proposer_stage, reach_stages, stages_of
from ik_mdn.training.trainer import Trainer
from sim.arm import Arm
from sim.files import check_writable
from sim.inputs import check_kinds
from sim.task import Task

if TYPE_CHECKING:
    from ik_mdn.solver import IKSolver

_WORTH_RECALIBRATING = 1_000_000  # samples; after fewer the density is in the wrong places, and widths are no help


def train(
    arm: Arm,
    config: TrainConfig,
    *,
    task: Task | str | None = None,
    dataset: Path | str | None = None,
    run_folder: Path | str | None = None,
    out: Path | str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> IKSolver:
    """A solver whose model was trained on this arm, with its report card.

    Minimises the negative log-likelihood (or the squared error) of configurations given their poses, q uniform in
    limits, T = FK(q), with Muon and AdamW (`TrainConfig`) and averaged weights.

    Example:
        >>> config = TrainConfig(steps=20, width=16, blocks=1, components=4)  # far too few steps
        >>> train(sim.load_arm("planar2"), config)
        IKSolver(arm 'planar2', task 'planar_position', a model's seeds)

    Args:
        arm: The arm.
        config: Budget and model.
        task: Which part of the pose counts; default: `sim.default_task`.
        dataset: Folder written by `ik-mdn generate`, or file or folder of joint vectors of one's own (`read_joints`), of
            which the density p(q) is learned too (`OwnConfigurations`), and no symmetry is divided out (`suited_to`);
            default: fresh samples without end.
        run_folder: Where state and metrics are kept; a second call with the same arguments goes on from there.
        out: Write the model here as soon as it is trained, and again with its report card; default: nowhere.
        on_progress: Called every few steps.

    Returns:
        An `IKSolver`; `solver.save(path)` keeps it. Of several processes (`torchrun`) only the first measures the report
        card and writes.

    Raises:
        TrainingError: The loss or gradient became NaN, or the run folder holds a run with another config, or another
            process is training in it.
        DatasetError: The dataset is damaged or of another arm, or its joint vectors cannot be used.
        OSError: The model could not be written; found before training where that can be.
    """
    from ik_mdn.evaluation import measure_report, recalibrate
    from ik_mdn.solver import IKSolver

    check_kinds(Arm, arm=arm)
    check_kinds(TrainConfig, config=config)
    if out is not None:
        check_writable(out)
    own, config = own_configurations(arm, dataset, seed=config.seed), suited_to(dataset, config)
    model = build_model(arm, config, task=task)
    if out is not None:
        check_kept(arm, model.task)
    model.postures = None if own is None else own.learned.postures
    identity = {"arm": arm.fingerprint, "task": model.task.name, "dataset": describe_dataset(dataset, own)}
    given = (None if own else dataset, own.draw if own else None)
    parts, last = stages_of(model, config, *given), proposer_stage(model, config, *given)
    summary = _train_stages([*parts, *([last] if last else [])], run_folder, identity, on_progress)
    model.proposer = SavedModel.of(last.network) if last else None
    solver = IKSolver(arm, model)
    model.report.values["training"] = summary
    if rank():
        return solver  # the first process measures and writes
    if model.kind == "mdn" and summary["samples"] >= _WORTH_RECALIBRATING:
        recalibrate(model)
    if out is not None:
        solver.save(out)
    model.report.values.update(measure_report(solver, training=summary, **(own.scoring() if own else {})))
    if out is not None:
        solver.save(out)
    return solver


def add_proposer(
    model: ArmModel,
    config: TrainConfig,
    *,
    run_folder: Path | str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Give a trained model a new proposer, in the share of the budget that `train` has for it.

    Args:
        model: The model.
        config: The whole budget that it was trained with.
        run_folder, on_progress: As for `train`.
    """
    config = replace(config, symmetries=model.config.symmetries)
    last = proposer_stage(model, config, source=None if model.postures is None else model.postures.sample)
    if last is not None:
        _train_parts([last], model, run_folder, on_progress)
    model.proposer = SavedModel.of(last.network) if last else None


def add_reach(
    model: ChainModel,
    config: TrainConfig,
    *,
    run_folder: Path | str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> ChainModel:
    """A trained chain with new networks that tell where the other joints can follow, in their share of the budget.

    Args:
        model: The chain; it stays as it is.
        config: The whole budget; its `reach_width` is that of the networks.
        run_folder, on_progress: As for `train`.

    Returns:
        The same densities with the new networks. Its widths are fitted again, its report is the old one's.
    """
    from ik_mdn.evaluation import recalibrate

    saved = SavedModel.of(model)
    kept = {name: torch.tensor(value) for name, value in saved.weights.items() if "reach." not in name}
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        found = model_for(model.arm, model.task, replace(model.config, reach_width=config.reach_width))
    assert isinstance(found, ChainModel)
    found.load_state_dict(kept, strict=False)
    found.report, found.postures, found.proposer = model.report, model.postures, model.proposer
    _train_parts(reach_stages(chains_of(found.eval()), config, 0.0), model, run_folder, on_progress)
    recalibrate(found)
    return found


def _train_parts(
    parts: list[Stage],
    model: ArmModel,
    run_folder: Path | str | None,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Train parts of a model by themselves; they are all that progress tells of."""
    whole = [replace(part, start=i / len(parts), share=1 / len(parts)) for i, part in enumerate(parts)]
    _train_stages(whole, run_folder, {"arm": model.arm.fingerprint, "task": model.task.name}, on_progress)


def _train_stages(
    parts: list[Stage],
    run_folder: Path | str | None,
    identity: Mapping[str, Any],
    on_progress: Callable[[Progress], None] | None,
) -> dict[str, Any]:
    """Train one network after the other; what all of it cost."""
    summaries: list[dict[str, Any]] = []
    for part in parts:
        folder = run_folder if run_folder is None or not part.name else Path(run_folder) / part.name
        trainer = Trainer(
            part.network,
            part.config,
            part.stream,
            run_folder=folder,
            identity=identity,
            branches=part.branches,
            goes_on=part.goes_on,
        )

        def show(at: Progress, part: Stage = part) -> None:
            if on_progress is not None:
                on_progress(at._replace(fraction=part.start + part.share * at.fraction))

        trainer.run(show)
        summaries.append(trainer.summary() | ({"parameters": 0} if part.goes_on else {}))
    added = ("steps", "samples", "minutes", "parameters")
    return summaries[0] | {name: round(sum(one[name] for one in summaries), 2) for name in added}
