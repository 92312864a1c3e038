"""The planar arm benchmark of Kruse et al. (2021), repeated: python scripts/kruse_arm.py [--seeds 0 1 2] [--black-box] [--ablations].

Trains one mixture density network per seed, scores raw and refined draws against exact posterior draws for the 1,000
test targets, and prints a Markdown table with the published rows. The network is told as much of the arm's kinematics
as its coordinates divide out (kruse/coordinates.py); the same network on less is trained beside it. A stopped run goes
on where it stopped; rows of the file that a run does not make stay. Nothing was chosen by the test targets: settings and
ablations are compared on other ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from kruse.coordinates import Coordinates
from kruse.evaluation import Row, Truth, evaluate, load_truth
from kruse.metrics import score
from kruse.model import Recipe, Trained, train_posterior
from kruse.report import HEADER, PUBLISHED, draw_figure, scores_cells, seeds_cells, summarise
from results import RESULTS, run_script, ships_by_default, to_markdown

from ik_mdn.cli.console import progress, write_json
from ik_mdn.training.config import TrainConfig
from sim.files import parse_json

BASE = TrainConfig(steps=1500, components=16, width=128, blocks=3, batch_size=512, floor=0.003)
BLACK_BOX = TrainConfig(  # of the arm nothing is known but pairs; chosen by other targets than those of the test
    steps=18_000, components=256, width=64, blocks=3, batch_size=512, floor=0.003
)
LARGER = replace(BASE, components=64, width=256)  # where more is left to learn
ABLATION_STEPS = 500
ABLATION_SEED, ABLATION_TARGETS = 7, 200  # targets for comparing settings, none of them a test target
KNOWN: dict[Coordinates, str] = {
    "tip": "tip coordinates: both constraints divided out",
    "rail": "rail coordinates: the rail divided out",
    "raw": "x itself: nothing divided out",
}
ABLATIONS: dict[str, Callable[[Recipe], Recipe]] = {
    "as above": lambda r: r,
    "K = 4": lambda r: _with(r, components=4),
    "diagonal covariance": lambda r: _with(r, covariance="diagonal"),
    "floor not annealed": lambda r: _with(r, floor_start=r.train.floor),
    "means start together": lambda r: replace(r, spread=False),
    "rail coordinates": lambda r: replace(r, coordinates="rail"),
    "rail coordinates, K = 64": lambda r: _with(replace(r, coordinates="rail"), components=64),
    "x itself": lambda r: replace(r, coordinates="raw"),
    "x itself, K = 64": lambda r: _with(replace(r, coordinates="raw"), components=64),
    "x itself, diagonal covariance": lambda r: _with(replace(r, coordinates="raw"), covariance="diagonal"),
}


@ships_by_default("less", "larger_steps", "black_box", "ablations", "threads")  # these only add rows
def main(
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="SEED [SEED ...]")] = (0, 1, 2),
    *,
    minutes: float = 0.0,
    steps: int = BASE.steps,
    less: Annotated[tuple[Coordinates, ...], tyro.conf.arg(metavar="[{rail,raw} ...]")] = ("rail", "raw"),
    larger_steps: int = 0,
    black_box: bool = False,
    ablations: bool = False,
    targets: int = 1000,
    threads: int = 2,
    runs: Path = Path("runs/kruse"),
    out: Path = RESULTS / "kruse_arm.json",
    figure: Path = Path("out/kruse_arm.png"),
) -> None:
    """Train, score, and print the table.

    Args:
        seeds: One network each.
        minutes: Bound on the training time of a network; 0 is none.
        steps: Bound on its steps.
        less: Coordinates that know less of the arm, to train the first seed on too.
        larger_steps: Also train a larger network (K = 64) on those, for this many steps; 0 is off.
        black_box: Only the network on x itself that is made for it, for each seed.
        ablations: Also measure what each part gains, at a shorter budget and on other targets.
        targets: How many of the test targets; fewer only for a quick look.
        threads: Of torch.
        runs: Where states, metrics and exact draws are kept.
        out: The figures as JSON, put among those that it holds.
        figure: Arms drawn from the network beside exact ones.
    """
    torch.set_num_threads(threads)
    truth = _truth(runs, targets=targets)
    exact = score(truth.again, truth.x, truth.y, within_exact=truth.within)
    table = [*PUBLISHED, scores_cells("exact posterior against itself", exact)]
    results: dict[str, Any] = {"targets": targets, "exact": asdict(exact)}
    if black_box:
        results["black_box"], cells = _black_box(seeds, replace(BLACK_BOX, minutes=minutes), runs, truth)
        print(to_markdown(HEADER, [*table, *cells]))
        _put(out, results)
        return

    train = replace(BASE, steps=steps, minutes=minutes)
    trained = [_train(Recipe(replace(train, seed=seed)), runs / f"tip-{seed}") for seed in seeds]
    draw_figure(trained[0].posterior, figure)
    rows = [evaluate(one.posterior, truth, seed=seed) for one, seed in zip(trained, seeds, strict=True)]
    table += seeds_cells(KNOWN["tip"], rows)
    results["tip"] = {**_cost(trained[0]), **summarise(rows), "rows": [asdict(row) for row in rows]}

    others: dict[str, tuple[str, Recipe]] = {}
    larger = replace(LARGER, steps=larger_steps, seed=seeds[0])
    for coordinates in less:
        others[KNOWN[coordinates]] = (coordinates, Recipe(replace(train, seed=seeds[0]), coordinates))
        if larger_steps:
            label = f"{KNOWN[coordinates]}; K = {larger.components}, width {larger.width}, {larger_steps} steps"
            others[label] = (f"{coordinates}-larger-{larger_steps}-steps", Recipe(larger, coordinates))
    for label, (name, recipe) in others.items():
        other = _train(recipe, runs / f"{name}-{seeds[0]}")
        row = evaluate(other.posterior, truth, seed=seeds[0])
        table += seeds_cells(label, [row])
        results[name] = {**_cost(other), **asdict(row)}
    print(_headline(results["tip"], len(seeds)) + to_markdown(HEADER, table))
    if ablations:
        results["ablations"] = _ablate(replace(train, steps=ABLATION_STEPS, seed=seeds[0]), runs)
    _put(out, results)
    print(f"\n{out}, {figure}")


def _black_box(
    seeds: tuple[int, ...], train: TrainConfig, runs: Path, truth: Truth
) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Train and score the network that knows nothing of the arm: its figures, and its rows of the table."""
    trained = [_train(Recipe(replace(train, seed=seed), "raw"), runs / f"black-box-{seed}") for seed in seeds]
    rows = [evaluate(one.posterior, truth, seed=seed) for one, seed in zip(trained, seeds, strict=True)]
    minutes = {"minutes_each": [one.minutes for one in trained], "K": train.components, "width": train.width}
    found = {**_cost(trained[0]), **minutes, **summarise(rows), "rows": [asdict(row) for row in rows]}
    return found, seeds_cells(f"x itself, K = {train.components}, pairs only", rows)


def _put(out: Path, results: dict[str, Any]) -> None:
    """Write results into the file, in place of those of the same names."""
    kept = parse_json(out.read_text(encoding="utf-8")) if out.exists() else {}
    write_json(str(out), {**kept, **results})


def _ablate(train: TrainConfig, runs: Path) -> dict[str, Any]:
    """What changes when one part is left out, all at the same number of steps."""
    truth = _truth(runs, targets=ABLATION_TARGETS, seed=ABLATION_SEED)
    rows: dict[str, Row] = {}
    for name, change in ABLATIONS.items():
        folder = runs / f"ablation-{name.replace(' = ', '').replace(', ', '-').replace(' ', '-')}"
        trained = _train(change(Recipe(train)), folder)
        rows[name] = evaluate(trained.posterior, truth, seed=train.seed, refined=False)
        if name == "as above":
            rows["weights not averaged"] = evaluate(trained.last, truth, seed=train.seed, refined=False)
    cells = [
        (*scores_cells(name, row.raw)[:5], f"{100 * row.centre:.1f} %", f"{row.nll:.3f}") for name, row in rows.items()
    ]
    header = ("left out or changed", *HEADER[1:6], "NLL [nats]")
    print(f"\n{train.steps} steps each, raw draws, {ABLATION_TARGETS} other targets:\n\n{to_markdown(header, cells)}")
    return {"steps": train.steps, "rows": {name: asdict(row) for name, row in rows.items()}}


def _truth(runs: Path, *, targets: int, **options: int) -> Truth:
    """Exact draws with a progress line."""
    with progress() as bar:
        task = bar.add_task("exact draws", total=2 * targets)
        truth = load_truth(runs, targets=targets, on_progress=lambda n: bar.update(task, completed=n), **options)
        bar.update(task, completed=2 * targets)
    return truth


def _train(recipe: Recipe, folder: Path) -> Trained:
    """A trained network with a progress line."""
    with progress(note="loss", count=False) as bar:
        task = bar.add_task(folder.name, total=1000, note="")
        trained = train_posterior(
            recipe, folder, lambda p: bar.update(task, completed=int(1000 * p.fraction), note=f"NLL {p.loss:.3f}")
        )
        bar.update(task, completed=1000)
    return trained


def _with(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, train=replace(recipe.train, **changes))


def _cost(trained: Trained) -> dict[str, float]:
    return {"minutes": trained.minutes, "steps": trained.steps, "parameters": trained.parameters}


def _headline(cost: dict[str, float], seeds: int) -> str:
    return (
        f"\nK = {BASE.components}, full covariance, {cost['parameters'] / 1e6:.2f} M parameters, {cost['steps']} steps, "
        f"{cost['minutes']:.1f} min; mean ± standard deviation over {seeds} seeds where there are several:\n\n"
    )


if __name__ == "__main__":
    run_script(main)
