"""The comparison of all methods: python scripts/compare_arms.py [--report out/report.html].

Makes its pictures (data/figures) and all numbers (data/results/compare_arms.json) in one go, and prints the tables that
the documentation makes of them, on held-out poses with fixed seeds: what does not depend on the machine's speed comes
out the same again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from pages.measured import comparison_tables
from results import DATA, in_order, run_script, ships_by_default

from ik_mdn.cli.options import Address, EngineName
from sim.executor import Engine

ARMS = ("planar2", "planar3", "puma560", "ur5e", "xarm6", "panda", "iiwa")


@ships_by_default("report", "engine", "address")
def main(
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ARM [ARM ...]")] = ARMS,
    count: int = 2000,
    targets: int = 50,
    seed: int = 0,
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = DATA,
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    *,
    engine: EngineName = "local",
    address: Address = None,
) -> None:
    """Compare all arms that have models; print the tables as Markdown.

    Args:
        arms: Which ones; those without a shipped mixture are left out, with a note.
        count: Held-out poses per arm.
        targets: Targets executed per arm and method.
        seed: Of poses and targets.
        data: Pictures go to its folder figures, numbers to results.
        report: Also write the web page to this file.
    """
    from ik_mdn.cli.compare import write_report
    from ik_mdn.cli.console import report_note, write_json

    task = partial(survey_arm, count=count, targets=targets, seed=seed)
    surveys = [each for _, each in in_order(task, _with_mixture(arms), Engine(engine, address=address))]
    values = {"count": count, "targets": targets, "seed": seed, "arms": [each.to_dict() for each in surveys]}
    write_json(str(data / "results" / "compare_arms.json"), values)
    for name, draw in (("compare_poses.png", draw_poses), ("compare_errors.png", draw_all_errors)):
        if draw(surveys, data / "figures" / name):
            report_note(f"wrote {data / 'figures' / name}")
    if report is not None:
        words = ["--arms", *arms, "--count", str(count), "--targets", str(targets), "--seed", str(seed)]
        command = shlex.join(["python", "scripts/compare_arms.py", *words, "--report", str(report)])
        write_report(str(report), surveys, command=command)
    print(comparison_tables(values))


def survey_arm(name: str, **options: int) -> Any:
    """The survey of one arm; see `ik_mdn.cli.compare.survey`."""
    from ik_mdn.cli.compare import survey
    from ik_mdn.comparison import load_contestants
    from sim.arm import load_arm

    return survey(load_contestants(load_arm(name)), **options)


def draw_poses(surveys: Sequence[Any], out: Path) -> bool:
    """Where the regressor's arm ends and the mixture's modes at the target, for every arm that is not planar; False: none."""
    from ik_mdn.comparison import png
    from sim.rendering import new_figure

    pairs = {survey.arm.name: survey.panels() for survey in surveys if not survey.arm.is_planar}
    pairs = {name: panels for name, panels in pairs.items() if panels}
    if not pairs:
        return False
    wide = min(2, len(pairs))
    tall = -(-len(pairs) // wide)
    figure, grid = new_figure(tall, 2 * wide, figsize=(9.2 * wide, 4.3 * tall), squeeze=False)
    places = grid.reshape(-1, 2)
    for axes in grid.flat:
        axes.set_axis_off()
    for (name, panels), place in zip(pairs.items(), places, strict=False):
        for axes, panel in zip(place, panels, strict=True):
            panel.draw(axes)
            axes.set_title(f"{name}: {panel.title}", fontsize=10)
    _write(out, png(figure, dpi=85, photo=True))
    return True


def draw_all_errors(surveys: Sequence[Any], out: Path) -> bool:
    """The distribution of position errors, one panel per arm."""
    from ik_mdn.comparison import draw_errors, png
    from sim.rendering import new_figure

    wide = min(4 if len(surveys) > 6 else 3, len(surveys))
    tall = -(-len(surveys) // wide)
    figure, grid = new_figure(tall, wide, figsize=(4.6 * wide, 3.6 * tall + 1.0), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    legend: dict[str, Any] = {}
    for survey, axes in zip(surveys, grid.flat, strict=False):
        axes.set_axis_on()
        draw_errors(axes, survey.results)
        axes.set_title(survey.arm.name, fontsize=13, pad=16)
        handles, labels = axes.get_legend_handles_labels()
        legend.update(zip(labels, handles, strict=True))
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncol=4, frameon=False, fontsize=11)
    _write(out, png(figure, dpi=100))
    return True


def _with_mixture(arms: Sequence[str]) -> list[str]:
    from ik_mdn.cli.console import report_note
    from ik_mdn.model import find_shipped
    from sim.arm import load_arm
    from sim.errors import IKError

    found = [name for name in arms if find_shipped(load_arm(name))]
    for name in arms:
        if name not in found:
            report_note(f"{name} is left out: no mixture ships for it")
    if not found:
        raise IKError(f"no mixture ships for any of: {', '.join(arms)}; train them with scripts/train_models.py")
    return found


def _write(out: Path, content: bytes) -> None:
    from sim.files import whole_file

    with whole_file(out) as temporary:
        temporary.write_bytes(content)


if __name__ == "__main__":
    run_script(main)
