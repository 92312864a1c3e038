"""Pictures of an arm reaching a series of targets, as a GIF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.controller import Controller, ReachResult
from ik_mdn.reaching import make_task
from sim.body import home
from sim.camera import Camera, camera_for
from sim.errors import WorldError
from sim.files import whole_file
from sim.world import Marker, World

Picture = NDArray[np.uint8]

_WAITING = (0.95, 0.55, 0.10)
_REACHED = (0.15, 0.70, 0.30)
_FAILED = (0.80, 0.10, 0.10)
_COLOURS = 96  # of the GIF's palette
_PAUSE = 0.5  # [s] that the arm is shown at each target


@dataclass
class Recorder:
    """Collects pictures of a world.

    Args:
        world: What is shown.
        camera: Where from.
        fps: Pictures per second of simulated time.
        on_frame: Called after each picture.
    """

    world: World
    camera: Camera
    fps: float = 10.0
    on_frame: Callable[[], None] | None = None
    frames: list[Picture] = field(default_factory=list)

    def take(self) -> None:
        """Take one picture."""
        self.frames.append(self.world.render(self.camera))
        if self.on_frame is not None:
            self.on_frame()

    def pause(self, seconds: float) -> None:
        """Show the last picture for a while."""
        self.frames.extend(self.frames[-1:] * round(seconds * self.fps))

    def save(self, path: str | Path) -> None:
        """Write the pictures as a looping GIF, under a temporary name first.

        Raises:
            WorldError: There is no picture.
        """
        if not self.frames:
            raise WorldError(f"no pictures to write to {path}; take some first")
        write_gif(path, self.frames, fps=self.fps)


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
) -> list[ReachResult]:
    """Let the arm reach a series of targets, each from the last one, and write what it looks like.

    The targets are those of `reaching.make_task` (index 0, 1, ...) whose tip lies above the floor. The ball at a
    target is orange until the arm gets there, then green, or red where it failed. A picture takes about 0.1 s.

    Args:
        path: The GIF to write.
        controller: Of an arm in `world`.
        world: Where it is; markers and a floor are added.
        targets: How many.
        seed: Of the targets.
        fps: Pictures per second of simulated time.
        camera: Default: `sim.camera.camera_for` the arm.
        on_frame: Called after each picture, for progress.

    Returns:
        What became of each target.
    """
    body, arm = controller.body, controller.body.arm
    body.set_q(home(arm))
    poses = _targets_in_sight(controller, targets, seed)
    world.add_ground(height=-0.04 if arm.is_planar else 0.0, size=3.2 * arm.reach)
    recorder = Recorder(world, camera or camera_for(arm), fps=fps, on_frame=on_frame)
    results = []
    for T in poses:
        marker = world.add_marker(body.T_world_base @ T, size=0.16 * arm.reach, colour=_WAITING)
        results.append(_show_reach(controller, recorder, marker, T))
        marker.remove()
    recorder.save(path)
    return results


def write_gif(path: str | Path, frames: Sequence[Picture], *, fps: float) -> None:
    """Write pictures as a looping GIF with one palette, so that what does not move costs nothing.

    Args:
        path: The file; its folder is made.
        frames: RGB, shape (height, width, 3).
        fps: Pictures per second.
    """
    from PIL import Image

    sample = np.concatenate(frames[:: max(1, len(frames) // 6)])
    palette = Image.fromarray(sample).quantize(_COLOURS)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = round(1000 / fps)
    with whole_file(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False
        )


def _show_reach(controller: Controller, recorder: Recorder, marker: Marker, T: Any) -> ReachResult:
    recorder.take()
    result = controller.reach(T, watch=recorder.take, watch_period=1.0 / recorder.fps)
    marker.recolour(_REACHED if result.reached else _FAILED)
    recorder.take()
    recorder.pause(_PAUSE)
    return result


def _targets_in_sight(controller: Controller, count: int, seed: int) -> list[NDArray[np.float64]]:
    """Targets of the suite that are not below the floor."""
    body = controller.body
    lowest = -np.inf if body.arm.is_planar else 0.15 * body.arm.reach
    poses: list[NDArray[np.float64]] = []
    index = 0
    while len(poses) < count:
        T = make_task(body, index, seed=seed).T_base_target
        index += 1
        if T[2, 3] >= lowest or index > 100 * count:
            poses.append(T)
    return poses
