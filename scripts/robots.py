"""Every robot description under some folders: what of it is understood, and what is solved without any model.

    python scripts/robots.py FOLDER [FOLDER ...] [--json data/results/robots.json]

Each file is looked at with its root link as base and each link that ends a chain as tip; what is the same arm as another
one counts once. Of each chain: the forward kinematics against Bullet's, and random poses of it given back to the solver,
which has no model; some targets are reached in Bullet with the motors' own effort limits, without meshes. What is refused
is listed with the reason. A stopped run goes on where it stopped.

Descriptions come with pybullet_data, and with `pip install example-robot-data airo-models`.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from results import keep, run_script

import sim
from ik_mdn.cli.console import progress, write_json
from ik_mdn.control import Controller
from ik_mdn.solver import IKSolver, SolutionBatch, Status
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import IKError, URDFError, WorldError

CHECKED = 20  # configurations in which the kinematics are compared with Bullet's
SAME = 1e-4  # [rad, m] solutions of one pose nearer than this in every joint are one that is given twice
NOTHING_MOVES = ("no link moves", "links and joints; found 1 and 0")  # words of what is no robot
ISOLATED = (Status.SOLVED, Status.SINGULAR)  # statuses of solutions that are no points of a curve

Folders = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER [FOLDER ...]")]


def main(
    folders: Folders,
    /,
    *,
    poses: int = 300,
    seconds: float = 60.0,
    chains: int = 4,
    targets: int = 2,
    seed: int = 0,
    json: Path = Path("out/robots.json"),
    work: Path = Path("out/robots"),
) -> None:
    """Run the table, print it, and write all numbers.

    Args:
        folders: Where to look for files that end in .urdf.
        poses: Random ones of each chain.
        seconds: Most time to solve them; poses not finished then count as not solved.
        chains: Most chains of one file, those with most joints first.
        targets: How many poses of each chain are reached in Bullet.
        seed: Of configurations and seeds.
        json: File for all numbers.
        work: Folder that keeps what is done already.
    """
    found = [named for folder in folders for named in find_files(folder)]
    settings: dict[str, Any] = {"poses": poses, "seconds": seconds, "chains": chains, "targets": targets, "seed": seed}
    robots = []
    with progress() as bar:
        job = bar.add_task("looking at robots", total=len(found))
        for name, path in found:
            key = {**settings, "digest": hashlib.sha256(path.read_bytes()).hexdigest()}
            place = work / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
            robots.append({"file": name, **keep(place, key, partial(look_at, path, **settings))})
            bar.advance(job)
    values = {**settings, "chains_per_file": chains, **sum_up(robots)}
    write_json(str(json), values)
    print("\n".join([*chain_lines(values), "", *refusal_lines(values)]))


def find_files(folder: Path) -> list[tuple[str, Path]]:
    """The URDFs under a folder: what they are called, beginning with the folder's own name, and where they are."""
    label = folder.resolve().parent.name if folder.name in ("robots", "urdf") else folder.resolve().name
    return [(f"{label}/{path.relative_to(folder).as_posix()}", path) for path in sorted(folder.rglob("*.urdf"))]


def look_at(path: Path, *, chains: int, **settings: Any) -> dict[str, Any]:
    """What became of one file: figures of its chains, what was refused, and how many chains were left out.

    Args:
        path: The file.
        chains: See `main`.
        **settings: Of `measure`.
    """
    arms, refused = read_chains(path)
    arms.sort(key=lambda arm: -arm.n_joints)
    measured = []
    for arm in arms[:chains]:
        try:
            measured.append(measure(arm, **settings))
        except IKError as error:
            refused.append({"tip": arm.tip, "why": _in_short(error, path)})
    return {"chains": measured, "refused": refused, "left_out": max(len(arms) - chains, 0)}


def read_chains(path: Path) -> tuple[list[Arm], list[dict[str, str]]]:
    """The arms from a file's root to the ends of its chains, each once, and which ends are refused for what reason."""
    try:
        return [sim.load_arm(path)], []
    except URDFError as error:
        ends = getattr(error, "candidates", []) if "name the tip" in str(error) else []
        if not ends:
            return [], [{"tip": "", "why": _in_short(error, path)}]
    arms: dict[tuple[str, ...], Arm] = {}
    refused = []
    for tip in ends:
        try:
            arm = sim.load_arm(path, tip=tip)
            arms.setdefault(arm.joint_names, arm)  # ends behind the same joints are one chain
        except IKError as error:
            refused.append({"tip": tip, "why": _in_short(error, path)})
    return list(arms.values()), refused


def measure(arm: Arm, *, poses: int, seconds: float, targets: int, seed: int) -> dict[str, Any]:
    """The figures of one chain."""
    rng = np.random.default_rng(seed)
    q = arm.sample(rng, poses)
    T, solver = sim.forward_kinematics(arm, q), IKSolver(arm)
    solver.solve(T[:1], seeds=1, restarts=1)  # compiles
    begin = time.perf_counter()
    found = solver.solve(T, seed=seed, timeout=seconds)
    spent = time.perf_counter() - begin
    square = solver.task.n_constraints == arm.n_joints
    return {
        "base": arm.base,
        "tip": arm.tip,
        "fingerprint": arm.fingerprint,
        "joints": arm.n_joints,
        "sliding": int(arm.is_prismatic.sum()),
        "task": solver.task.name,
        "solved": int(found.solved.sum()),
        "statuses": {str(status): count for status, count in found.tally().items()},
        "given_twice": count_twice(found) if square else None,
        "ms_per_pose": 1e3 * spent / poses,
        **act(solver, q[:CHECKED], targets),
    }


def count_twice(found: SolutionBatch) -> int:
    """How many poses with isolated solutions have one that is given twice."""
    alone = [one.q for one in found if one.status in ISOLATED and len(one) > 1]
    apart = [np.abs(q[:, None] - q[None]).max(axis=-1) + np.eye(len(q)) for q in alone]
    return sum(bool((each < SAME).any()) for each in apart)


def act(solver: IKSolver, q: FloatArray, targets: int) -> dict[str, Any]:
    """What Bullet makes of an arm: how far its kinematics are off at q (m, n), and how reaching the tip's poses there ends.

    Only configurations in which nothing touches give targets: the others' may have no answer but the one that touches.
    """
    try:
        with sim.World() as world:
            body = world.add_arm(solver.arm, meshes=False)
            off = float(np.abs(body.tip_pose(q) - sim.forward_kinematics(solver.arm, q)).max(initial=0.0))
            controller = Controller(body, solver)
            free = q[~body.collides(q)][:targets]
            touching = [" and ".join(pair) for pair in body.contacts_at(body.q)]
            ends = [controller.reach(each) for each in sim.forward_kinematics(solver.arm, free)]
    except WorldError as error:
        return {"off_bullet": None, "bullet": _in_short(error, solver.arm.urdf_path), "reached": {}}
    reached = dict(Counter(end.status.value for end in ends))
    why = [end.reason for end in ends if not end.reached]
    return {"off_bullet": off, "bullet": "", "reached": reached, "why": why, "touching_at_start": touching}


def sum_up(robots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All robots in one: chains (each arm once), refusals, and how many files hold nothing that moves.

    Args:
        robots: As `look_at` gives them, each with its file's name.
    """
    chains: dict[str, dict[str, Any]] = {}
    refused = []
    for robot in robots:
        for chain in robot["chains"]:
            chains.setdefault(chain["fingerprint"], {"file": robot["file"], **chain})
        refused += [{"file": robot["file"], **each} for each in robot["refused"]]
    still = [each for each in refused if any(words in each["why"] for words in NOTHING_MOVES)]
    return {
        "files": len(robots),
        "without_joints": len(still),
        "left_out": sum(robot["left_out"] for robot in robots),
        "chains": list(chains.values()),
        "refused": [each for each in refused if each not in still],
    }


def chain_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """The chains as plain text, 80 columns."""
    yield f"{'file: tip':34} {'n':>2} {'task':13} {'off':>5} {'solved':>7} {'ms':>6} {'moved':>5}"
    for chain in values["chains"]:
        name = _shortened(f"{Path(chain['file']).stem}: {chain['tip']}", 34)
        task, off = _shortened(chain["task"], 13), chain["off_bullet"]
        moved = f"{chain['reached'].get('reached', 0)}/{sum(chain['reached'].values())}"
        yield (
            f"{name:34} {chain['joints']:2} {task:13} {'–' if off is None else f'{off:.0e}':>5} "
            f"{chain['solved']:3}/{values['poses']:3} {chain['ms_per_pose']:6.2f} {moved:>5}"
        )
    yield from totals(values)


def totals(values: Mapping[str, Any]) -> list[str]:
    """Sentences on all chains together."""
    chains, poses = values["chains"], values["poses"]
    whole = sum(chain["solved"] == poses for chain in chains)
    twice = sum(chain["given_twice"] or 0 for chain in chains)
    ends = sum((Counter(chain["reached"]) for chain in chains), Counter[str]())
    return [
        f"{whole} of {len(chains)} chains solved all {poses} poses; poses with a solution given twice: {twice}",
        "reaching: " + ", ".join(f"{count} {status}" for status, count in ends.most_common()),
    ]


def refusal_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """What was refused, each reason of a file once, at most 80 columns wide."""
    yield f"{values['files']} files; {values['without_joints']} hold nothing that moves. Refused:"
    for file, tips, why in reasons(values):
        yield _shortened(f"{file} ({len(tips)} tips): {why}" if len(tips) > 1 else f"{file}: {why}", 80)


def reasons(values: Mapping[str, Any]) -> list[tuple[str, list[str], str]]:
    """Files, tips that were refused for one reason, and the reason as it was said of the first of them."""
    found: dict[tuple[str, str], tuple[str, list[str], str]] = {}
    bullet = [{**chain, "why": chain["bullet"]} for chain in values["chains"] if chain["bullet"]]
    for each in (*values["refused"], *bullet):
        kind = re.sub(r"'[^']*'", "…", each["why"])  # names of joints and links aside
        row = found.setdefault((each["file"], kind), (Path(each["file"]).stem, [], each["why"]))
        row[1].extend([each["tip"]] if each["tip"] else [])
    return list(found.values())


def _in_short(error: Exception, path: Path | None) -> str:
    """What a message says, without the folders of this machine."""
    text = " ".join(str(error).split())
    if path is None:
        return text
    return (
        text.replace(f"{path}: ", "")
        .replace(f"{path.resolve()}: ", "")
        .replace(str(path.resolve().parent), path.parent.name)
    )


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.getLogger("sim").setLevel(logging.ERROR)  # remarks on single files
    run_script(main)
