"""Running reach tasks: what with, and each from its start in a world that keeps nothing of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ik_mdn.control import Controller, CostWeights, ReachResult
from ik_mdn.reach.episodes import EpisodeFolder, Record
from ik_mdn.reach.suites import ReachTask, make_task
from ik_mdn.reach.summary import describe_episode
from ik_mdn.solver import IKSolver
from sim.arm import Arm
from sim.executor import LOCAL, Engine
from sim.scenes import Scene
from sim.world import World

_TOGETHER = 4  # episodes that a worker runs before it gives them back: opening a world takes as long as some of them
_KEPT = 12  # candidates of each decision that a folder keeps


@dataclass(frozen=True, eq=False)
class Stage:
    """What decides the numbers of a suite, apart from suite, seed and index.

    Args:
        arm: The arm.
        solver: Its solver.
        scene: Obstacles around it; None: nothing.
        refine: See `Controller`.
        speed: Share of the velocity limits to use.
        weights: What the controller's cost counts.
        meshes: Load the arm's meshes.
        ideal_motors: Let the motors be as strong as it takes.
    """

    arm: Arm
    solver: IKSolver
    scene: Scene | None = None
    refine: bool = True
    speed: float = 1.0
    weights: CostWeights = field(default_factory=CostWeights)
    meshes: bool = True
    ideal_motors: bool = False

    @contextmanager
    def open(self, *, gui: bool = False) -> Iterator[tuple[World, Controller]]:
        """A fresh world with the scene and the arm in it, and the arm's controller; closed when the block ends.

        Args:
            gui: Show Bullet's window.
        """
        with World(gui=gui) as world:
            body = world.add_arm(self.arm, meshes=self.meshes, ideal_motors=self.ideal_motors)
            if self.scene is not None:
                world.add_scene(self.scene, self.arm)
            yield world, Controller(body, self.solver, refine=self.refine, speed=self.speed, weights=self.weights)

    @property
    def how(self) -> str:
        """How targets are solved, in words."""
        proposals = "random restarts" if self.solver.model is None else "mixture density network"
        return f"{proposals}{' and refinement' if self.refine else ', raw modes'}"

    def settings(self, *, suite: str, seed: int) -> dict[str, Any]:
        """What must agree for two runs to give the same numbers, JSON types; geometry and weights as fingerprints.

        Args:
            suite, seed: Of the tasks.
        """
        return {
            "arm": self.arm.name,
            "fingerprint": self.arm.fingerprint,
            "description_fingerprint": self.arm.description_fingerprint,
            "base": self.arm.base,
            "tip": self.arm.tip,
            "meshes": self.meshes,
            "task": self.solver.task.name,
            "scene": "free" if self.scene is None else self.scene.name,
            "scene_fingerprint": "" if self.scene is None else self.scene.fingerprint,
            "suite": suite,
            "seed": seed,
            "solver": self.how,
            "model_fingerprint": self.solver.model_fingerprint,
            "speed": self.speed,
            **({"ideal_motors": True} if self.ideal_motors else {}),
            **{f"cost.{name}": value for name, value in asdict(self.weights).items()},
        }


def run_stage(
    stage: Stage,
    episodes: int,
    *,
    suite: str = "uniform",
    seed: int = 0,
    folder: EpisodeFolder | None = None,
    engine: Engine = LOCAL,
    gui: bool = False,
    on_episode: Callable[[Record], None] | None = None,
) -> list[Record]:
    """Run the episodes 0 to `episodes` - 1 of a suite, but for those that a folder already holds.

    Args:
        stage: What with.
        episodes: How many.
        suite: A key of `suites.SUITES`.
        seed: Of the suite.
        folder: Open, of `stage.settings`; each episode is added to it as it ends. None keeps them in memory only,
            with all their candidates.
        engine: Where episodes run. Elsewhere they end in any order; but for what clocks measure they come out the same.
        gui: Show Bullet's window; here only.
        on_episode: Called with each episode that was run.

    Returns:
        All episodes in their order; see `summary.describe_episode`.

    Raises:
        ShapeError, UnknownNameError, SuiteError, WorldError: See `suites.make_task`.
    """
    done = {} if folder is None else folder.done
    missing = [index for index in range(episodes) if index not in done]
    most = None if folder is None else _KEPT
    for record in _records(stage, missing, suite=suite, seed=seed, most=most, engine=engine, gui=gui):
        if folder is not None:
            folder.append(record)
        done[record["episode"]] = record
        if on_episode is not None:
            on_episode(record)
    return [done[index] for index in range(episodes)]


def _records(
    stage: Stage, indices: list[int], *, suite: str, seed: int, most: int | None, engine: Engine, gui: bool
) -> Iterator[Record]:
    """The records of episodes as they end, here or elsewhere, where a world is opened for a few of them."""
    if engine.kind == "local":
        yield from _run_here(stage, indices, suite=suite, seed=seed, most=most, gui=gui)
        return
    parts = [indices[i : i + _TOGETHER] for i in range(0, len(indices), _TOGETHER)]
    task = partial(_run_some, stage, suite, seed, most)
    with closing(engine.completed(task, parts)) as finished:
        for _, records in finished:
            yield from records


def _run_here(
    stage: Stage, indices: list[int], *, suite: str, seed: int, most: int | None, gui: bool = False
) -> Iterator[Record]:
    if indices:
        with stage.open(gui=gui) as (world, controller):
            body = controller.body
            stage.solver.solve(body.tip_pose(), q_seed=body.q, refine=stage.refine)  # loads what no clock is to count
            for task, result in run_suite(controller, world, indices, suite=suite, seed=seed):
                yield describe_episode(task, result, most=most)


def _run_some(stage: Stage, suite: str, seed: int, most: int | None, indices: list[int]) -> list[Record]:
    return list(_run_here(stage, indices, suite=suite, seed=seed, most=most))


def run_suite(
    controller: Controller,
    world: World,
    indices: Iterable[int],
    *,
    suite: str = "uniform",
    seed: int = 0,
) -> Iterator[tuple[ReachTask, ReachResult]]:
    """The episodes of a suite, one after the other, each as if it were the only one.

    Before a task is made and again before the arm starts, the world is put back as it was at the call, so that
    nothing of one episode (a cached contact, a finger that gave way) is left in the next: the numbers do not
    depend on which other episodes ran.

    Args:
        controller: Of an arm in `world`.
        world: Where it is, obstacles in place; nothing may be added or removed meanwhile.
        indices: Which episodes, in the order to run them.
        suite: A key of `SUITES`.
        seed: Of the suite.

    Returns:
        An iterator of tasks and results; nothing runs before the next item is asked for.

    Raises:
        ShapeError, UnknownNameError, SuiteError, WorldError: See `suites.make_task`.
    """
    restore = world.snapshot()
    for index in indices:
        restore()
        task = make_task(controller.body, index, suite=suite, seed=seed, task=controller.solver.task)
        restore()
        controller.body.set_q(task.q_start)
        yield task, controller.reach(task.T_base_target)
