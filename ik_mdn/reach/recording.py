"""Films of an arm reaching a series of targets, or one of them with the other solutions as ghosts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.control import Candidate, Controller, Decision, ReachResult
from ik_mdn.reach.running import Stage
from ik_mdn.reach.suites import make_task
from sim.arrays import FloatArray
from sim.rendering import (
    CLOSE,
    Camera,
    Layers,
    Picture,
    camera_for,
    check_film,
    default_format,
    draw_key,
    floor_height,
    write_film,
)
from sim.world import FREE, REJECTED, Colour, GhostWorld, Marker, World, blend, home, pick_apart, plan_motion

_WAITING = (0.95, 0.55, 0.10)
_REACHED = (0.15, 0.70, 0.30)
_FAILED = (0.80, 0.10, 0.10)
_GHOSTS = (("could be taken", FREE), ("rejected", REJECTED))
_TARGETS = (("target", _WAITING), ("reached", _REACHED), ("missed", _FAILED))  # of the key
_SETTLING = 0.4  # [s] from the end of a motion until the arm is at rest, about
_PAUSE = 0.5  # [s] that the arm is shown at each target


@dataclass
class Recorder:
    """Collects pictures of a world.

    Args:
        world: What is shown.
        camera: Where from.
        fps: Pictures per second of simulated time.
        on_frame: Called after each picture.
        ghosts: Translucent arms to blend into every picture.
        key: What is named in a corner of every picture, each with its colour.
    """

    world: World
    camera: Camera
    fps: float = 10.0
    on_frame: Callable[[], None] | None = None
    frames: list[Picture] = field(default_factory=list)
    ghosts: Sequence[Layers] = ()
    key: Sequence[tuple[str, Colour]] = ()

    def take(self) -> None:
        """Take one picture."""
        world, camera = self.world, self.camera
        picture = blend(world.render_layers(camera), self.ghosts) if self.ghosts else world.render(camera)
        self.frames.append(draw_key(picture, self.key) if self.key else picture)
        if self.on_frame is not None:
            self.on_frame()

    def pause(self, seconds: float) -> None:
        """Show the last picture for a while."""
        self.frames.extend(self.frames[-1:] * round(seconds * self.fps))

    def save(self, path: str | Path) -> None:
        """Write the pictures as a film, GIF or MP4 by the ending, under a temporary name first.

        Raises:
            WorldError: There is no picture; see `films.write_film`.
        """
        write_film(path, self.frames, fps=self.fps)


def film_name(index: int, ending: str | None = None) -> str:
    """The file's name of an episode's film, which can be written.

    Args:
        index: Number of the episode.
        ending: mp4 or gif; None: mp4 where imageio-ffmpeg is installed, else gif.

    Raises:
        WorldError: Another ending, or mp4 without imageio-ffmpeg.
    """
    name = f"episode-{index:04d}.{ending or default_format()}"
    check_film(name)
    return name


def record_episode(
    path: str | Path,
    stage: Stage,
    index: int,
    *,
    suite: str = "uniform",
    seed: int = 0,
    fps: float = 15.0,
    camera: Camera | None = None,
    ghosts: int = 3,
    on_plan: Callable[[int], None] | None = None,
    on_frame: Callable[[], None] | None = None,
) -> ReachResult:
    """Run one episode of a suite again, and film it with the other solutions as ghosts.

    Blue ghosts are solutions that could have been taken, red ones were rejected (they collide, or nothing free leads
    there). The ball at the target is orange until the arm gets there, then green, or red where it failed.

    Args:
        path: The film, .mp4 or .gif.
        stage: What the suite was run with.
        index: Number of the episode.
        suite, seed: Of the suite.
        fps: Pictures per second of simulated time. A picture takes about 0.2 s.
        camera: Default: `sim.rendering.camera_for`, 640 by 480.
        ghosts: At most so many, those that differ most.
        on_plan: Called before the first picture with how many there will be, about.
        on_frame: Called after each picture, for progress.

    Returns:
        What became of the target, the same as in the suite.

    Raises:
        ShapeError, UnknownNameError, SuiteError, WorldError: See `suites.make_task` and `films.write_film`.
    """
    camera = camera or camera_for(stage.arm, stage.scene, width=640, height=480, distance=CLOSE, lowest=0.0)
    with stage.open() as (world, controller):
        restore = world.snapshot()
        task = make_task(controller.body, index, suite=suite, seed=seed, task=controller.solver.task)
        restore()
        controller.body.set_q(task.q_start)
        decision, T_world_base = controller.decide(task.T_base_target), controller.body.T_world_base
        restore()  # the last time: now the world gets something to look at
        world.add_ground(height=floor_height(stage.arm, stage.scene, depth=0.0), size=3.2 * stage.arm.reach)
        marker = world.add_marker(T_world_base @ task.T_base_target, size=0.16 * stage.arm.reach, colour=_WAITING)
        shown = _pick_ghosts(decision, most=ghosts)
        layers = _take_ghosts(shown, stage, T_world_base, camera)
        key = [*_TARGETS, *((name, colour) for name, colour in _GHOSTS if colour in map(_colour_of, shown))]
        recorder = Recorder(world, camera, fps=fps, on_frame=on_frame, ghosts=layers, key=key)
        controller.body.set_q(task.q_start)
        if on_plan is not None:
            on_plan(round(fps * _duration(stage, task.q_start, decision)))
        result = _show_reach(controller, recorder, marker, task.T_base_target)
    recorder.save(path)
    return result


def record_reaches(
    path: str | Path,
    controller: Controller,
    world: World,
    *,
    targets: int = 5,
    seed: int = 0,
    fps: float = 10.0,
    camera: Camera | None = None,
    on_frame: Callable[[], None] | None = None,
    on_reach: Callable[[], None] | None = None,
) -> list[ReachResult]:
    """Let the arm reach a series of targets, each from the last one, and write what it looks like.

    The targets are those of `suites.make_task` (index 0, 1, ...) whose tip lies above the floor. The ball at a
    target is orange until the arm gets there, then green, or red where it failed. A picture takes about 0.1 s.

    Args:
        path: The GIF to write.
        controller: Of an arm in `world`.
        world: Where it is; markers and a floor are added.
        targets: How many.
        seed: Of the targets.
        fps: Pictures per second of simulated time.
        camera: Default: `sim.rendering.camera_for` the arm.
        on_frame: Called after each picture.
        on_reach: Called after each target, for progress.

    Returns:
        What became of each target.
    """
    body, arm = controller.body, controller.body.arm
    body.set_q(home(arm))
    poses = _targets_in_sight(controller, targets, seed)
    world.add_ground(height=-0.04 if arm.is_planar else 0.0, size=3.2 * arm.reach)
    recorder = Recorder(world, camera or camera_for(arm, lowest=0.0), fps=fps, on_frame=on_frame, key=_TARGETS)
    results = []
    for T in poses:
        marker = world.add_marker(body.T_world_base @ T, size=0.16 * arm.reach, colour=_WAITING)
        results.append(_show_reach(controller, recorder, marker, T))
        marker.remove()
        if on_reach is not None:
            on_reach()
    recorder.save(path)
    return results


def _show_reach(controller: Controller, recorder: Recorder, marker: Marker, T: Any) -> ReachResult:
    recorder.take()
    result = controller.reach(T, watch=recorder.take, watch_period=1.0 / recorder.fps)
    marker.recolour(_REACHED if result.reached else _FAILED)
    recorder.take()
    recorder.pause(_PAUSE)
    return result


def _duration(stage: Stage, q_start: FloatArray, decision: Decision) -> float:
    """How long a motion will take until the arm is at rest, about [s]."""
    stops = [q_start, *decision.route]
    legs = [plan_motion(stage.arm, q, q_next, speed=stage.speed).duration for q, q_next in itertools.pairwise(stops)]
    return _SETTLING + sum(legs)


def _pick_ghosts(decision: Decision, *, most: int) -> list[Candidate]:
    """The candidates that were not chosen, those that differ most from it and from each other."""
    others = [candidate for candidate in decision.candidates if candidate is not decision.chosen]
    if not others or most < 1:
        return []
    shown = others[0] if decision.chosen is None else decision.chosen
    picked = pick_apart([other.q for other in others], shown.q, most=most)
    return [others[i] for i in picked] if decision.chosen else [shown, *(others[i] for i in picked[: most - 1])]


def _take_ghosts(
    candidates: Sequence[Candidate], stage: Stage, T_world_base: NDArray[np.float64], camera: Camera
) -> list[Layers]:
    """Their pictures."""
    if not candidates:
        return []
    with GhostWorld(stage.arm, T_world_base, camera, meshes=stage.meshes) as ghosts:
        return [ghosts.take(candidate.q, _colour_of(candidate)) for candidate in candidates]


def _colour_of(candidate: Candidate) -> Colour:
    return REJECTED if candidate.rejected else FREE


def _targets_in_sight(controller: Controller, count: int, seed: int) -> list[NDArray[np.float64]]:
    """Targets of the suite that are not below the floor."""
    body = controller.body
    lowest = -np.inf if body.arm.is_planar else 0.15 * body.arm.reach
    targets = (make_task(body, index, seed=seed).T_base_target for index in itertools.count())
    seen = (T for index, T in enumerate(targets) if T[2, 3] >= lowest or index >= 100 * count)
    return list(itertools.islice(seen, count))
