"""`ik-mdn compare`: what averaging costs, what modes find, and what refinement makes of them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import tyro

from ik_mdn.cli.console import print_table, progress, report_note, waiting, write_json
from ik_mdn.cli.options import OPTIONAL, Base, DeviceName, Json, OptionalWhole, OutFile, Seed, Tip, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ik_mdn.comparison import Contestants, ExecutedResult, LearnedResult, MethodResult, Survey
    from ik_mdn.solver import IKSolver

ArmNames = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ARM [ARM ...]", **OPTIONAL)]
ModelFile = Annotated[str | None, tyro.conf.arg(metavar="MODEL", **OPTIONAL)]

_MOST_EXECUTED = 100_000
REPORTED = 30  # targets executed for a report, where the user does not say how many

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
HEADER_LEARNED = [
    "density",
    "trained, samples",
    "position error [mm]\nmean / median",
    "rotation error [°]\nmean / median",
    "in\nlimits",
    "time per\ndraw [µs]",
]
HEADER_EXECUTED = [
    "method",
    "tip at rest: error [mm]\nmedian / p95 / max",
    "within\n1 cm",
    "within\n1 mm",
    "answer\nclamped",
    "touched\nitself",
    "1 mm and\nuntouched",
]


def run(
    arms: ArmNames,
    /,
    *,
    count: Whole = 2000,
    seed: Seed = 0,
    execute: Annotated[OptionalWhole, tyro.conf.arg(metavar="TARGETS", **OPTIONAL)] = None,
    report: OutFile = None,
    model: ModelFile = None,
    mse: ModelFile = None,
    k1: ModelFile = None,
    learned: Annotated[float | None, tyro.conf.arg(metavar="SECONDS", **OPTIONAL)] = None,
    meshes: bool = True,
    device: DeviceName = "cpu",
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Compare MSE regression, the mixture, refinement and PyBullet's IK on the same held-out poses.

    Poses are made from configurations uniform in the joint limits that no model was trained on. Every pose counts:
    nothing is trimmed. A method whose model is not there is left out.

    Args:
        arms: One or several: built-in names, planar:L1,L2,..., or paths of URDFs.
        count: Number of poses per arm.
        execute: Also let the simulated arm drive to each method's answers, for so many targets; without it, 30 with
            --report and none otherwise.
        report: Write a web page with tables and pictures to this file; it needs no network.
        model: Mixture to use, with one arm; without it, the shipped one.
        mse: Regressor to use, with one arm; without it, the shipped one.
        k1: Mixture of one component to use, with one arm; without it, the shipped one.
        learned: Also train a spline flow (zuko) and sbi's mixture for so many seconds each, beside ours as long on poses of the
            same stream, and compare their draws as they are (extra flows).
        meshes: Load the arms' meshes; without them there is nothing to see or to collide with.
    """
    from sim.errors import ShapeError

    targets = execute if execute is not None else REPORTED if report else 0
    special = {"--model": model, "--mse": mse, "--k1": k1, "--base": base, "--tip": tip}
    given = [name for name, value in special.items() if value is not None]
    if not arms or (len(arms) > 1 and given):
        why = f"{', '.join(given)} can be given with one arm only" if arms else "give at least one arm"
        raise ShapeError(f"{why}; got {len(arms)} arms. Try: ik-mdn compare planar2 xarm6")
    _check_numbers(count, seed, targets)
    with waiting("loading models"):
        from ik_mdn.comparison import check_learned, load_contestants
        from sim.arm import load_arm

        loaded = [load_arm(name, base=base, tip=tip) for name in arms]
        if learned is not None:
            for one in loaded:
                check_learned(one, learned)
        contestants = [load_contestants(arm, model=model, mse=mse, k1=k1, device=device) for arm in loaded]
    _tell_of_own([each.solver for each in contestants])
    surveys = [survey(each, count=count, targets=targets, seed=seed, meshes=meshes) for each in contestants]
    trained = [_train_learned(each, learned, seed) for each in contestants] if learned is not None else []
    if json:
        values = [each.to_dict() for each in surveys]
        for value, densities in zip(values, trained, strict=False):
            value["learned"] = [density.to_dict() for density in densities]
        write_json(json, values[0] if len(values) == 1 else {"arms": values})
    if json != "-":
        for each in surveys:
            show_survey(each)
        for contestant, densities in zip(contestants, trained, strict=False):
            _show_learned(contestant, densities)
    if report:
        options = {"--count": count, "--seed": seed, "--execute": targets, **special, "--report": report}
        flags = [*([] if meshes else ["--no-meshes"]), *([] if device == "cpu" else ["--device", device])]
        words = [str(word) for name, value in options.items() if value is not None for word in (name, value)]
        write_report(report, surveys, command=shlex.join(["ik-mdn", "compare", *arms, *words, *flags]))


def _train_learned(contestants: Contestants, seconds: float, seed: int) -> list[LearnedResult]:
    """Learned densities of one arm, with progress on stderr; see `ik_mdn.comparison.compare_learned`."""
    from ik_mdn.comparison import compare_learned

    solver, found = contestants.solver, []
    with progress() as bar:
        job = bar.add_task(f"training densities for {solver.arm.name}", total=3)
        for result in compare_learned(solver.arm, solver.task, seconds, seed=seed):
            found.append(result)
            bar.advance(job)
    return found


def _show_learned(contestants: Contestants, results: Sequence[LearnedResult]) -> None:
    """Print the draws of learned densities, and for Panda what others have published."""
    from ik_mdn.comparison import PUBLISHED
    from ik_mdn.evaluation import degrees, millimetres, percent

    arm, turns = contestants.solver.arm, any(contestants.solver.task.rows[3:])
    rows = [
        [
            each.name,
            f"{each.seconds:.0f} s, {each.samples:,}",
            f"{millimetres(each.pos_mean)} / {millimetres(each.pos_median)}",
            f"{degrees(each.rot_mean)} / {degrees(each.rot_median)}" if turns else "free",
            percent(each.in_limits),
            f"{each.us_per_draw:.1f}",
        ]
        for each in results
    ]
    if arm.name == "panda":
        rows += [
            [
                f"{each.name} (published, other hardware)",
                each.source,
                millimetres(each.pos_mean),
                "–" if each.rot_mean is None else degrees(each.rot_mean),
                "–",
                "–",
            ]
            for each in PUBLISHED
        ]
    print_table(f"{arm.name}: draws of learned densities, nothing refined", HEADER_LEARNED, rows)


def survey(contestants: Contestants, *, count: int, targets: int, seed: int, meshes: bool = True) -> Survey:
    """Compare the methods on one arm, with progress on stderr; see `ik_mdn.comparison.take_survey`."""
    from ik_mdn.comparison import missing_methods, take_survey

    name = contestants.solver.arm.name
    for method in missing_methods(contestants):
        report_note(f"{name}: {method} is left out, there is no model of it")
    with progress() as bar:
        job = bar.add_task(f"comparing on {name}", total=None)

        def show(done: int, total: int) -> None:
            bar.update(job, completed=done, total=total)

        return take_survey(contestants, count=count, targets=targets, seed=seed, meshes=meshes, on_step=show)


def write_report(path: str, surveys: Sequence[Survey], *, command: str) -> None:
    """Write the web page, with progress on stderr; see `ik_mdn.comparison.write_page`."""
    from ik_mdn.comparison import write_page

    with progress() as bar:
        job = bar.add_task("drawing the report", total=len(surveys))
        write_page(path, surveys, command=command, on_step=lambda _: bar.advance(job))
    report_note(f"wrote {path}")


def show_survey(survey: Survey) -> None:
    """Print the tables of a comparison."""
    title = f"{survey.arm.name}, task {survey.contestants.solver.task.name}, {survey.count} held-out poses"
    print_table(title, HEADER, [row_of(result) for result in survey.results])
    if survey.executed:
        title = f"{survey.arm.name}: answers to {survey.targets} targets driven to in the simulator"
        print_table(title, HEADER_EXECUTED, [executed_row_of(result) for result in survey.executed])


def row_of(result: MethodResult) -> list[str]:
    """One row of the table under `HEADER`."""
    from ik_mdn.comparison import METHODS
    from ik_mdn.evaluation import degrees, millimetres, percent

    errors = result.errors
    return [
        METHODS[result.name].name,
        " / ".join(map(millimetres, errors.pos)),
        " / ".join(map(degrees, errors.rot)) if any(errors.rot) else "free",
        *map(percent, errors.success.values()),
        percent(result.in_limits),
        f"{result.modes:.1f}",
        f"{result.us_per_pose:.0f}",
    ]


def executed_row_of(result: ExecutedResult) -> list[str]:
    """One row of the table under `HEADER_EXECUTED`."""
    from ik_mdn.comparison import executed_names
    from ik_mdn.evaluation import millimetres, percent

    success = result.errors.success
    shares = (success["1cm"], success["1mm"], result.clamped, result.touched, result.reached)
    return [executed_names()[result.name], " / ".join(map(millimetres, result.errors.pos)), *map(percent, shares)]


def _tell_of_own(solvers: list[IKSolver]) -> None:
    """Say whose poses these are not."""
    for solver in solvers:
        if solver.postures is not None:
            report_note(
                f"{solver.arm.name}: the mixture was trained on configurations of one's own, and the poses here are of joints "
                "uniform in limits; its report card says how good it is on its own"
            )


def _check_numbers(count: int, seed: int, targets: int) -> None:
    from sim.errors import ShapeError

    if count < 1 or min(seed, targets) < 0:
        raise ShapeError(
            f"--count must be at least 1, --seed and --execute at least 0; got {count}, {seed} and {targets}"
        )
    if targets > _MOST_EXECUTED:
        raise ShapeError(
            f"--execute goes up to {_MOST_EXECUTED:,} targets, which are drawn before the first; got {targets}"
        )
