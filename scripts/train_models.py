"""Train the models that ship in data/models: python scripts/train_models.py [--only ARM ...].

Bounded by steps and seeded, so that anybody can make them again; a stopped run goes on where it stopped.
Beside each mixture ship two to compare it with, on the same trunk, features and samples: a regressor, on angles and
on cosines and sines, of which the better ships, and one Gaussian (K = 1).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from results import DATA, run_script, ships_by_default

from ik_mdn.cli import train as train_command
from ik_mdn.cli.console import progress
from ik_mdn.evaluation import measure_report, recalibrate
from ik_mdn.model import ArmModel, ChainModel, load_model, save_model, shipped_models
from ik_mdn.solver import IKSolver
from ik_mdn.training import Progress, add_proposer, add_reach
from ik_mdn.training.config import TrainConfig
from sim.errors import UnknownNameError

BASE = TrainConfig(batch_size=4096, floor=0.001, branches=False, targets="angles", charts=2, first_components=0)
PLANAR = replace(BASE, steps=37_000, components=8, width=64, blocks=2)
SQUARE = replace(BASE, steps=25_400, components=24, width=192, blocks=3)
REDUNDANT = replace(SQUARE, width=240, steps=31_800)  # of which the proposer takes a fifth
WINDING: dict[str, Any] = {"targets": "cos_sin", "charts": 1}  # the default since, better for these three
CLOSER: dict[str, Any] = {"draws_weight": 50.0}  # of those whose draws missed most
RECIPES = (
    dict.fromkeys(("planar2", "planar3"), PLANAR)
    | {"ur5e": replace(SQUARE, **CLOSER), "puma560": replace(SQUARE, **WINDING)}
    | {"xarm6": replace(SQUARE, components=32, **WINDING, **CLOSER)}  # it has up to 16 solutions
    | {"panda": replace(REDUNDANT, width=224, first_components=48, first_share=0.4, **WINDING)}
    | {"iiwa": REDUNDANT}
)
# steps of mixtures trained since in batches of 1,024: sharper
SMALLER = {"ur5e": 163_265, "puma560": 100_000, "xarm6": 163_265, "panda": 187_500}
KINDS: dict[str, dict[str, Any]] = {
    "mdn": {},
    "mse": {"kind": "mse"},
    "k1": {"components": 1, "drawn_first": (), "draws_weight": 0.0},
}
PROPOSER, REACH, CARD = "proposer", "reach", "card"

_MODELS = DATA / "models"
_POSES = 4000  # that widths of chains are fitted on


@ships_by_default("only", "kinds")  # each model is by itself
def main(
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ARM [ARM ...]")] = tuple(RECIPES),
    kinds: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KIND [KIND ...]")] = tuple(KINDS),
    steps: int = 0,
    runs: Path = Path("runs"),
    out: Path = _MODELS,
) -> None:
    """Train shipped models.

    Args:
        only: Arms to train for.
        kinds: Of mdn, mse, k1; "proposer" and "reach" train that of a shipped chain anew, and nothing else; "card"
            measures the report cards of what ships anew, and fits the widths of chains.
        steps: In place of the recipe's, which takes an hour or more per arm on a CPU. (The proposer of iiwa that ships
            had 10,000: a fifth of them is its own. What tells where the others follow was trained last, by `reach`.)
        runs: Where states and metrics are kept.
        out: Folder of the models.

    Raises:
        UnknownNameError: An arm without a recipe, or an unknown kind; before anything is trained.
    """
    for what, names, known in (("arm", only, RECIPES), ("kind", kinds, (*KINDS, PROPOSER, REACH, CARD))):
        for name in names:
            if name not in known:
                raise UnknownNameError(f"unknown {what} {name!r}; allowed: {', '.join(known)}", name=name)
    for arm in only:
        for kind in kinds:
            if kind == CARD:
                for name in shipped_models():
                    if name.partition("-")[0] == arm:
                        _measure(load_model(name), out / f"{name}.safetensors")
                continue
            is_smaller = arm in SMALLER and kind in ("mdn", PROPOSER, REACH) and not steps
            smaller = {"steps": SMALLER[arm], "batch_size": 1024} if is_smaller else {}
            recipe = replace(RECIPES[arm], **{"steps": steps or RECIPES[arm].steps, **smaller})
            if kind in (PROPOSER, REACH):
                _train_part(kind, arm, recipe, out / f"{arm}.safetensors", runs / f"{arm}-{kind}")
                continue
            name = arm if kind == "mdn" else f"{arm}-{kind}"
            config = replace(recipe, **KINDS[kind])
            file = out / f"{name}.safetensors"
            train_command.run(arm, config=config, both_targets=kind == "mse", out=file, run_folder=runs / name)


def _train_part(kind: str, arm: str, config: TrainConfig, out: Path, run_folder: Path) -> None:
    model = load_model(arm)
    with progress() as bar:
        task = bar.add_task(f"{arm}: {kind}", total=1.0)

        def show(at: Progress) -> None:
            bar.update(task, completed=at.fraction)

        if kind == PROPOSER:
            add_proposer(model, config, run_folder=run_folder, on_progress=show)
        else:
            assert isinstance(model, ChainModel)
            model = add_reach(model, config, run_folder=run_folder, on_progress=show)
    _measure(model, out)


def _measure(model: ArmModel, out: Path) -> None:
    """Measure a model's report card, and write both; widths of chains are fitted on more poses than training does."""
    if isinstance(model, ChainModel):
        recalibrate(model, count=_POSES)
    found = measure_report(IKSolver(model.arm, model), training=model.report.values["training"])
    model.report.values |= found
    save_model(model, out)


if __name__ == "__main__":
    run_script(main)
