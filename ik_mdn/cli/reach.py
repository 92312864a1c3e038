"""`ik-mdn reach`: suites of reach tasks executed in PyBullet, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import print_line, progress, report_note, waiting, write_json
from ik_mdn.cli.options import (
    OPTIONAL,
    Address,
    ArmName,
    Base,
    EngineName,
    FilmFile,
    Json,
    ModelName,
    OptionalWhole,
    Seed,
    TaskName,
    Tip,
    Whole,
)
from ik_mdn.cli.reach_tables import show_decision, show_summary
from ik_mdn.control import CostWeights
from sim.errors import ShapeError
from sim.executor import LOCAL, Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress, TaskID

    from ik_mdn.control import Decision, ReachResult
    from ik_mdn.reach import EpisodeFolder, Record, Stage

_TARGETS = 5  # of a recorded series
CONFIG = ()  # options keep their prefix: --cost.travel
Episodes = Annotated[tuple[int, ...], tyro.conf.arg(metavar="EPISODE ...", **OPTIONAL)]


def run(
    arm: ArmName,
    /,
    *,
    scene: Annotated[str, tyro.conf.arg(metavar="SCENE")] = "free",
    suite: Annotated[str, tyro.conf.arg(metavar="SUITE")] = "uniform",
    episodes: Whole = 20,
    seed: Seed = 0,
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", **OPTIONAL)] = None,
    record: Episodes = (),
    video: Annotated[str | None, tyro.conf.arg(metavar="{mp4,gif}", **OPTIONAL)] = None,
    explain: Annotated[OptionalWhole, tyro.conf.arg(metavar="EPISODE", **OPTIONAL)] = None,
    engine: EngineName = "local",
    workers: Annotated[OptionalWhole, tyro.conf.arg(**OPTIONAL)] = None,
    address: Address = None,
    cost: CostWeights = CostWeights(),  # noqa: B008 - frozen
    model: ModelName = None,
    refine: bool = True,
    speed: float = 1.0,
    gui: bool = False,
    gif: FilmFile = None,
    targets: Annotated[OptionalWhole, tyro.conf.arg(**OPTIONAL)] = None,
    meshes: bool = True,
    ideal_motors: bool = False,
    base: Base = None,
    tip: Tip = None,
    task: TaskName = None,
    json: Json = None,
) -> None:
    """Let an arm reach targets under Bullet's dynamics, and measure where it ends.

    Each episode starts from a random configuration and has the tip pose of another one as its target; the suite says
    what kind of targets. The controller picks the solution that best satisfies the target in the simulator and drives
    there with motors under gravity. With --out a stopped run goes on where it stopped.

    Args:
        scene: Obstacles: free, table, shelf, cage, or a YAML or JSON file.
        suite: uniform, easy, near-limits, near-singular, behind-obstacle or unreachable.
        episodes: How many.
        out: Keep every episode in this folder as it ends, then summary.json, episodes.csv and figures.
        record: Film these episodes into the folder, the other solutions shown as ghosts.
        video: Format of the films; without it, mp4 where imageio-ffmpeg is installed, else gif.
        workers: Of the engine "processes"; without it, one per core.
        explain: Show the candidates of this episode and why one was chosen.
        cost: What a candidate costs.
        refine: Refine the model's modes to exact solutions; without, the raw mode nearest to the target is taken.
        speed: Share of the arm's velocity limits to use.
        gui: Show Bullet's window (needs a display).
        gif: Also record a series of reaches into this file.
        targets: How many targets that recording shows; without it, 5.
        meshes: Load the arm's meshes; without them there is nothing to see or to collide with.
        ideal_motors: Let the motors be as strong as it takes; without, targets that the URDF's effort limits cannot hold
            against gravity are refused.
    """
    shown, local = _TARGETS if targets is None else targets, engine == "local"
    _check(episodes, seed, shown, explain, record)
    for is_in_vain, why in (
        (record and out is None, "--record writes films into the folder of the suite; say which with --out FOLDER"),
        (video and not record, "--video is the format of what --record films; give --record too, or leave it out"),
        (targets and not gif, "--targets are those that --gif shows; give --gif too, or leave it out"),
        (gui and not local, f"--gui shows the one simulator of --engine local; leave it out with --engine {engine}"),
        (workers is not None and local, "--workers are of --engine processes; give that too, or leave it out"),
    ):
        if is_in_vain:
            raise ShapeError(why)
    with waiting("loading"):
        from ik_mdn.reach import Stage, check_suite, film_name
        from ik_mdn.solver import solver_for
        from sim.arm import load_arm
        from sim.scenes import load_scene

        film_name(0, video)  # found out before the work whether it can be
        loaded = load_arm(arm, base=base, tip=tip)
        stage = Stage(
            arm=loaded,
            solver=solver_for(loaded, model, task=task),
            scene=load_scene(scene, loaded),
            refine=refine,
            speed=speed,
            weights=cost,
            meshes=meshes,
            ideal_motors=ideal_motors,
        )
    where = Engine(engine, workers, address)
    records = run_suite_with_progress(
        stage, episodes, suite=check_suite(suite), seed=seed, out=out, engine=where, gui=gui
    )
    explained = None if explain is None else _decide_again(stage, explain, suite=suite, seed=seed)
    decision = {} if explained is None else {"explained": {"episode": explain, **explained[1].to_dict()}}
    _report(stage, records, suite=suite, seed=seed, json=json, out=out, more=decision)
    if explained is not None and json != "-":
        show_decision(*explained)
    if record:
        _film(stage, record, suite=suite, seed=seed, folder=str(out), video=video)
    if gif:
        with stage.open(gui=gui) as (world, controller):
            record_series(gif, controller, world, targets=shown, seed=seed)


def run_suite_with_progress(
    stage: Stage,
    episodes: int,
    *,
    suite: str,
    seed: int,
    out: str | None,
    engine: Engine = LOCAL,
    gui: bool = False,
) -> list[Record]:
    """Run a suite with a progress bar on stderr, and write its figures where there is a folder.

    Args:
        stage: What with.
        episodes: How many.
        suite, seed: Which.
        out: Folder to keep the episodes in, and to go on from; None: none.
        engine: Where episodes run.
        gui: Show Bullet's window.

    Returns:
        Every episode, also those that were there already.
    """
    from ik_mdn.reach import EpisodeFolder

    if out is None:
        return _run_episodes(stage, episodes, None, suite=suite, seed=seed, engine=engine, gui=gui)
    with EpisodeFolder(out, stage.settings(suite=suite, seed=seed)) as folder:
        try:
            records = _run_episodes(stage, episodes, folder, suite=suite, seed=seed, engine=engine, gui=gui)
        except KeyboardInterrupt:
            kept = len(folder.records(episodes))
            report_note(f"{kept} of {episodes} episodes are kept in {out}; the same command goes on from there")
            raise
        with waiting("drawing figures"):
            folder.finish(episodes)
    return records


def record_series(path: str, controller: Any, world: Any, *, targets: int, seed: int) -> list[ReachResult]:
    """Record a series of reaches as a GIF, with progress on stderr; see `ik_mdn.reach.recording.record_reaches`.

    Args:
        path: The GIF to write.
        controller: Of an arm in `world`.
        world: Where it is.
        targets: How many.
        seed: Of the targets.

    Returns:
        What became of each target.
    """
    from ik_mdn.reach import record_reaches

    with progress() as bar:
        job = bar.add_task(f"recording {path}", total=targets)
        return record_reaches(path, controller, world, targets=targets, seed=seed, on_reach=lambda: bar.advance(job))


def _run_episodes(
    stage: Stage, episodes: int, folder: EpisodeFolder | None, *, suite: str, seed: int, engine: Engine, gui: bool
) -> list[Record]:
    from ik_mdn.reach import run_stage

    kept = [] if folder is None else folder.records(episodes)
    good = sum(record["success"] for record in kept)
    with progress(note="succeeded") as bar:
        job = bar.add_task(f"reaching with {stage.arm.name}", total=episodes, completed=len(kept), note="")

        def show(record: Record) -> None:
            nonlocal good
            good += record["success"]
            bar.update(job, advance=1, note=f"{good} succeeded")

        return run_stage(
            stage, episodes, suite=suite, seed=seed, folder=folder, engine=engine, gui=gui, on_episode=show
        )


def _film(stage: Stage, episodes: tuple[int, ...], *, suite: str, seed: int, folder: str, video: str | None) -> None:
    from functools import partial
    from pathlib import Path

    from ik_mdn.reach import film_name, record_episode

    with progress() as bar:
        for index in episodes:
            path = Path(folder) / film_name(index, video)
            job = bar.add_task(f"filming {path.name}", total=None)
            plan, advance = partial(_set_total, bar, job), partial(bar.advance, job)
            record_episode(path, stage, index, suite=suite, seed=seed, on_plan=plan, on_frame=advance)
            bar.update(job, total=bar.tasks[job].completed)


def _set_total(bar: Progress, job: TaskID, total: int) -> None:
    bar.update(job, total=total)


def _decide_again(stage: Stage, index: int, *, suite: str, seed: int) -> tuple[str, Decision]:
    """What became of one episode, in words, and its decision."""
    from ik_mdn.reach import run_suite

    with waiting("deciding again"), stage.open() as (world, controller):
        task, result = next(run_suite(controller, world, [index], suite=suite, seed=seed))
    note = f" ({task.about})" if task.about else ""
    return f"Episode {index}{note}: {result.status.value} {result.reason}".rstrip(), result.decision


def _report(
    stage: Stage,
    records: list[Record],
    *,
    suite: str,
    seed: int,
    json: str | None,
    out: str | None,
    more: Mapping[str, Any],
) -> None:
    from ik_mdn.reach import summarise_records

    summary = summarise_records(records)
    settings = stage.settings(suite=suite, seed=seed)
    if json:
        write_json(json, {**settings, "summary": summary.to_dict(), "episodes": records, **more})
    if json == "-":
        return
    where = f"scene {settings['scene']}, suite {suite}, seed {seed}"
    title = f"{stage.arm.name}, {where}, task {settings['task']}, {stage.how}"
    show_summary(title, summary, reachable=suite != "unreachable")
    if any(record["status"] == "too_weak" for record in records):
        print_line("motors as strong as it takes, whatever effort limits the URDF gives: --ideal-motors")
    if out:
        print_line(f"{out}: episodes.jsonl, summary.json, episodes.csv, figures")


def _check(episodes: int, seed: int, targets: int, explain: int | None, record: tuple[int, ...]) -> None:
    if episodes < 1 or seed < 0 or targets < 1:
        raise ShapeError(
            f"--episodes and --targets must be at least 1, --seed at least 0; got {episodes}, {targets} and {seed}"
        )
    if explain is not None and not 0 <= explain < episodes:
        raise ShapeError(f"--explain takes the number of an episode, 0 to {episodes - 1}; got {explain}")
    if any(not 0 <= index < episodes for index in record):
        raise ShapeError(f"--record takes numbers of episodes, 0 to {episodes - 1}; got {list(record)}")
