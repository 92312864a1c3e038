"""`ik-mdn choose`: the number of components and the covariance by cross-validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ik_mdn.cli.console import print_line, print_table, progress, report_note, waiting, write_json
from ik_mdn.cli.options import ArmName, Base, FigureFile, Json, Seed, TaskName, Tip, Whole
from ik_mdn.model import Covariance
from ik_mdn.training import TrainConfig

if TYPE_CHECKING:
    from ik_mdn.training import ModelSelection

_DEFAULT = TrainConfig(
    steps=600, width=64, blocks=2, batch_size=256, learning_rate=3e-3, floor=0.02, average=0.99
)  # small: it is trained once per fold and candidate


def run(
    arm: ArmName,
    /,
    *,
    components: Annotated[tuple[int, ...], tyro.conf.arg(metavar="K [K ...]")] = (1, 2, 4, 8),
    covariances: tuple[Covariance, ...] = ("diagonal", "full"),
    folds: Whole = 5,
    count: Whole = 5000,
    steps: Whole = _DEFAULT.steps,
    width: Whole = _DEFAULT.width,
    blocks: Whole = _DEFAULT.blocks,
    floor: float = _DEFAULT.floor,
    learning_rate: float = _DEFAULT.learning_rate,
    seed: Seed = 0,
    task: TaskName = None,
    figure: FigureFile = None,
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Choose the number of components by cross-validation and the one-standard-error rule.

    Every candidate is trained on all folds but one and scored on that one; the smallest mixture whose mean negative
    log-likelihood is within one standard error of the best is picked. The bias-variance curve shows all of them.

    Args:
        components: Numbers of components to try.
        covariances: Shapes of a component to try.
        folds: Number of folds.
        count: Samples, joint vectors uniform in limits, that the folds share.
        steps: Training steps of each fold and candidate.
        width: Width of the network's layers.
        blocks: Number of its residual blocks.
        floor: Smallest standard deviation after training [rad or m].
        learning_rate: Its peak.
        figure: The bias-variance curve; the ending decides the format. Without it, ARM-choice.png in this folder.
    """
    from sim.errors import ShapeError

    if count < 1 or seed < 0:
        raise ShapeError(f"got --count {count} and --seed {seed}; allowed: count >= 1, seed >= 0")
    with waiting("loading"):
        import torch

        from ik_mdn.training import PoseStream, build_model, choose, draw_choice
        from sim.arm import load_arm
        from sim.files import check_writable

        loaded = load_arm(arm, base=base, tip=tip)
    out = figure or Path(f"{loaded.name.replace(':', '-')}-choice.png")
    check_writable(out)
    torch.set_num_threads(1)  # the networks are small: threads that wait for each other only slow them down
    config = replace(
        _DEFAULT, steps=steps, width=width, blocks=blocks, floor=floor, learning_rate=learning_rate, seed=seed
    )
    model = build_model(loaded, config, task=task)
    if model.task.n_constraints < loaded.n_joints:
        report_note(
            f"{loaded.name} has joints to spare: this chooses K of one mixture over all of them; `ik-mdn train` draws "
            "some first (--drawn-first), given which the others need fewer components"
        )
    x, y = PoseStream(model).draw(count, torch.Generator().manual_seed(seed))
    with progress() as bar:
        job = bar.add_task(f"training on {loaded.name}", total=len(components) * len(covariances) * folds)
        choice = choose(
            x,
            y,
            config,
            components=components,
            covariances=covariances,
            folds=folds,
            period=loaded.period.tolist(),
            on_fit=lambda done, total: bar.update(job, completed=done, total=total),
        )
    if json:
        about = {"arm": loaded.name, "task": model.task.name, "folds": folds, "count": count, "steps": steps}
        write_json(json, {**about, "seed": seed, **choice.to_dict()})
    if json != "-":
        _show(choice, f"{loaded.name}, task {model.task.name}: {folds} folds of {count} samples, {steps} steps each")
    with waiting("drawing"):
        draw_choice(choice, out)
    if json != "-":
        print_line(f"wrote {out}")


def _show(choice: ModelSelection, title: str) -> None:
    rows = []
    for one in choice.candidates:
        marks = ["best"] * (one == choice.best) + ["picked"] * (one == choice.picked)
        rows.append(
            [
                f"K = {one.components}, {one.covariance}",
                str(one.size),
                f"{one.training.mean:.3f} ± {one.training.error:.3f}",
                f"{one.validation.mean:.3f} ± {one.validation.error:.3f}",
                ", ".join(marks),
            ]
        )
    columns = ["mixture", "numbers", "NLL in training\n± standard error", "NLL in validation\n± standard error", ""]
    print_table(title, columns, rows)
    print_line(
        f"one-standard-error rule: the smallest with a validation NLL of at most {choice.limit:.3f} is "
        f"K = {choice.picked.components}, {choice.picked.covariance} covariance"
    )
