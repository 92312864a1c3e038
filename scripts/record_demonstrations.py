"""Record demonstrations of the scripted expert: python scripts/record_demonstrations.py panda --episodes 1000.

Each episode becomes one Parquet file in OUT/episodes, one row per step; OUT/demonstrations.json names every number in
them. A stopped recording goes on when the command is given again. To train on it:

    import pyarrow.parquet as pq
    steps = pq.read_table("out/demonstrations/panda/episodes")
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro
from results import run_script

from ik_mdn.cli.console import progress
from ik_mdn.cli.options import ArmName, Folder, Seed
from ik_mdn.control.demonstrations import Episode, export_minari, record_demonstrations

Text = Annotated[str | None, tyro.conf.arg(metavar="NAME")]


def main(
    arm: ArmName = "panda",
    /,
    *,
    episodes: int = 100,
    seed: Seed = 0,
    task: Text = None,
    scene: Text = None,
    reward: str = "sparse",
    start: str = "random",
    speed: float = 1.0,
    tolerance_pos: float = 0.01,
    tolerance_rot: float = 0.1,
    model: Text = None,
    out: Folder = None,
    minari: Text = None,
) -> None:
    """Record demonstrations of the expert in IKReach-v0.

    Args:
        episodes: How many.
        task: What counts of the pose; without it, as much as the arm's joints allow.
        scene: Name of a shipped scene or a file; without it, free space.
        reward: sparse or dense.
        start: random or home.
        speed: Share of the velocity limits to use.
        tolerance_pos: Distance at which a target is reached [m].
        tolerance_rot: Angle at which it is [rad].
        model: Model file or name for the solver; "none": random restarts.
        out: Where to; without it, out/demonstrations/ARM.
        minari: Also make a Minari dataset of this name, such as ikreach/panda-expert-v0.
    """
    settings = {
        "arm": arm,
        "task": task,
        "scene": scene,
        "reward": reward,
        "start": start,
        "speed": speed,
        "tolerance_pos": tolerance_pos,
        "tolerance_rot": tolerance_rot,
    }
    folder = out or Path("out") / "demonstrations" / Path(arm).stem
    done = run(folder, settings, episodes, seed, model)
    steps, reached = sum(map(len, done)), sum(episode.terminated for episode in done)
    touched = sum(bool(episode.collisions.any()) for episode in done)
    print(f"{folder}: {len(done)} episodes, {steps} steps; {reached} reached the target, {touched} touched something")
    if minari:
        print(f"Minari dataset {minari}: {export_minari(done, settings, minari)}")


def run(folder: Path, settings: dict[str, Any], episodes: int, seed: int, model: str | None) -> list[Episode]:
    """All episodes, recorded now or before, with progress on stderr."""
    done: list[Episode] = []
    with progress(note="reached") as bar:
        job = bar.add_task(f"recording {settings['arm']}", total=episodes, note="")
        for episode in record_demonstrations(folder, settings, episodes=episodes, seed=seed, model=model):
            done.append(episode)
            bar.update(job, advance=1, note=f"{sum(each.terminated for each in done)} reached")
    return done


if __name__ == "__main__":
    run_script(main, description=__doc__)
