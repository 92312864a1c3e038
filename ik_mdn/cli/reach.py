"""`ik-mdn reach`: reach tasks executed in PyBullet, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import ArmName, Link, OutFile, print_table, progress, write_json

if TYPE_CHECKING:
    from ik_mdn.controller import ReachResult
    from ik_mdn.decision import Decision
    from ik_mdn.reaching import ReachSummary, ReachTask
    from ik_mdn.solver import IKSolver
    from sim.arm import Arm

_SHOWN = 8  # candidates of a decision in the table


def run(
    arm: ArmName,
    /,
    *,
    episodes: int = 20,
    seed: int = 0,
    model: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None,
    refine: bool = True,
    speed: float = 1.0,
    explain: Annotated[int | None, tyro.conf.arg(metavar="EPISODE")] = None,
    gui: bool = False,
    gif: OutFile = None,
    targets: int = 5,
    meshes: bool = True,
    base: Link = None,
    tip: Link = None,
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = None,
    json: OutFile = None,
) -> None:
    """Let an arm reach targets under Bullet's dynamics, and measure where it ends.

    Each episode starts from a random configuration and has the tip pose of another one as its target. The controller
    picks the solution that best satisfies the target in the simulator and drives there with motors under gravity.

    Args:
        arm: Built-in name, planar:L1,L2,..., or path of a URDF.
        episodes: How many.
        seed: Of starts and targets.
        model: Model file or name; without it, the shipped one if there is one; "none": random restarts.
        refine: Refine the model's modes to exact solutions; without, the raw mode nearest to the target is taken.
        speed: Share of the arm's velocity limits to use.
        explain: Show the candidates of this episode and why one was chosen.
        gui: Show Bullet's window (needs a display).
        gif: Also record a series of reaches into this file.
        targets: How many targets the recording shows.
        meshes: Load the arm's meshes; without them there is nothing to see or to collide with.
        base: Link that poses are given in; without it, the URDF's root.
        tip: Link whose pose counts; without it, the URDF's only leaf.
        task: planar_position, planar_pose, position, position_axis or pose; without it, the model's or arm's own.
        json: Write the summary and every episode to this file ("-": standard output).
    """
    from ik_mdn.controller import Controller
    from ik_mdn.solver import solver_for
    from sim.arm import load_arm
    from sim.world import World

    _check(episodes, seed, targets, explain)
    loaded = load_arm(arm, base=base, tip=tip)
    solver = solver_for(loaded, model, task=task)
    with World(gui=gui) as world:
        controller = Controller(world.add_arm(loaded, meshes=meshes), solver, refine=refine, speed=speed)
        done = _run_episodes(controller, episodes, seed)
        if gif:
            record(gif, controller, world, targets=targets, seed=seed)
    _report(loaded, solver, done, refine=refine, seed=seed, explain=explain, json=json)


def record(path: str, controller: Any, world: Any, *, targets: int, seed: int) -> list[ReachResult]:
    """Record a series of reaches as a GIF, with progress on stderr; see `ik_mdn.recording.record_reaches`.

    Args:
        path: The GIF to write.
        controller: Of an arm in `world`.
        world: Where it is.
        targets: How many.
        seed: Of the targets.

    Returns:
        What became of each target.
    """
    from ik_mdn.recording import record_reaches

    with progress() as bar:
        job = bar.add_task(f"recording {path}", total=None)
        results = record_reaches(path, controller, world, targets=targets, seed=seed, on_frame=lambda: bar.advance(job))
        bar.update(job, total=bar.tasks[job].completed)
    return results


def show(title: str, summary: ReachSummary) -> None:
    """Print a suite's figures, and the reasons where targets were not reached.

    Args:
        title: First line of the table.
        summary: The figures.
    """
    counts = f"{summary.reached} of {summary.episodes}"
    share = f" ({summary.reached / summary.episodes:.1%})" if summary.episodes else ""
    rows = [
        ["position error [mm]", *_cells(summary.err_pos, 1e3)],
        ["rotation error [rad]", *_cells(summary.err_rot, 1.0)],
        ["time to solve [ms]", *_cells(summary.time_solve, 1e3)],
        ["time to execute [s]", *_cells(summary.time_execute, 1.0)],
    ]
    print_table(
        f"{title}\nreached within 1 mm and 0.01 rad: {counts}{share}; touched on the way: {summary.touched}",
        ["at the end", "median", "p95", "max"],
        rows,
    )
    if summary.failures:
        print_table("Not reached", ["reason", "episodes"], [[why, str(n)] for why, n in summary.failures.items()])


def show_decision(title: str, decision: Decision, *, most: int = _SHOWN) -> None:
    """Print the candidates of a decision, best first.

    Args:
        title: The line above them.
        decision: What was decided.
        most: Print at most so many; the title says how many there are.
    """
    rows = [
        [
            "chosen" if candidate is decision.chosen else candidate.rejected or "",
            f"{1e3 * candidate.err_pos:.3g}",
            f"{candidate.err_rot:.2g}",
            f"{candidate.travel:.2f}",
            f"{candidate.margin:.2f}",
            f"{candidate.weight:.3f}",
            f"{candidate.cost:.2f}",
        ]
        for candidate in decision.candidates[:most]
    ]
    more = len(decision.candidates) - most
    note = f" (the first {most} of {len(decision.candidates)})" if more > 0 else ""
    columns = [
        "candidate",
        "position\nerror [mm]",
        "rotation\nerror [rad]",
        "travel\n[s]",
        "margin\n[rad, m]",
        "weight",
        "cost",
    ]
    print_table(f"{title}{note}", columns, rows)


def _run_episodes(controller: Any, episodes: int, seed: int) -> list[tuple[ReachTask, ReachResult]]:
    from ik_mdn.reaching import make_tasks, run_reach

    done: list[tuple[ReachTask, ReachResult]] = []
    with progress(note="reached") as bar:
        job = bar.add_task(f"reaching with {controller.body.arm.name}", total=episodes, note="")
        for task, result in run_reach(controller, make_tasks(controller.body, episodes, seed=seed)):
            done.append((task, result))
            bar.update(job, advance=1, note=f"{sum(each.reached for _, each in done)} reached")
    return done


def _report(
    arm: Arm,
    solver: IKSolver,
    done: list[tuple[ReachTask, ReachResult]],
    *,
    refine: bool,
    seed: int,
    explain: int | None,
    json: str | None,
) -> None:
    from dataclasses import asdict

    from ik_mdn.reaching import describe_episode, summarise

    summary = summarise(result for _, result in done)
    how = "random restarts" if solver.model is None else "mixture density network"
    how += " and refinement" if refine else ", raw modes"
    if json:
        head = {"arm": arm.name, "task": solver.task.name, "solver": how, "seed": seed}
        write_json(
            json, {**head, "summary": asdict(summary), "episodes": [describe_episode(*episode) for episode in done]}
        )
    if json == "-":
        return
    show(f"{arm.name}, task {solver.task.name}, {how}, seed {seed}", summary)
    if explain is not None:
        result = done[explain][1]
        chosen = "no candidate" if result.decision.chosen is None else result.status.value
        show_decision(f"Episode {explain}: {chosen}", result.decision)


def _cells(spread: dict[str, float | None], scale: float) -> list[str]:
    return ["-" if value is None else f"{scale * value:.3g}" for value in spread.values()]


def _check(episodes: int, seed: int, targets: int, explain: int | None) -> None:
    from sim.errors import ShapeError

    if episodes < 1 or seed < 0 or targets < 1:
        raise ShapeError(
            f"--episodes and --targets must be at least 1, --seed at least 0; got {episodes}, {targets} and {seed}"
        )
    if explain is not None and not 0 <= explain < episodes:
        raise ShapeError(f"--explain takes the number of an episode, 0 to {episodes - 1}; got {explain}")
