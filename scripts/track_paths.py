"""Follow random Cartesian paths on every arm, some of them through wrist singularities, and check what comes out.

Each result is checked by other means than those that made it: poses by Bullet, joint steps against the velocity limits,
and the branch by plain Newton steps between samples, forwards and backwards, 32 (where that is not conclusive 2048)
to a sample. For comparison the same paths are followed the simple way, each sample refined from the last one.

    python scripts/track_paths.py --arms xarm6 --count 20
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from results import RESULTS, in_order, run_script, ships_by_default
from scipy.spatial.transform import Rotation

import sim
from ik_mdn.cli.console import progress, write_json
from ik_mdn.cli.options import Address, EngineName
from ik_mdn.paths.following import follow_path
from ik_mdn.paths.path import CartesianPath, circle_path, line_path
from ik_mdn.paths.tracked import PathStatus, Tracked
from ik_mdn.paths.tracking import track, track_many
from ik_mdn.solver import IKSolver, solver_for
from ik_mdn.solver.refinement import refine
from sim.arm.arm import Arm
from sim.errors import IKError
from sim.executor import Engine
from sim.kinematics import forward_kinematics, kinematics
from sim.task import Task, error_norms, task_error, task_jacobian
from sim.world.motion import speed_limits
from sim.world.world import World

ARMS = ("planar2", "planar3", "puma560", "ur5e", "xarm6", "panda", "iiwa")
WRIST = {"planar2": 1, "planar3": 1, "puma560": 4, "ur5e": 4, "xarm6": 4, "panda": 5, "iiwa": 5}  # singular at 0
MISSES = (0.0, 1e-9, 1e-6, 1e-4, 1e-2)  # [rad] by which a path passes the singular configuration
SAME = 1e-5  # [rad] within which two ways to a sample agree
EXECUTED = 5  # paths per arm that are executed in Bullet
KINDS = ("line", "circle", "singular")
_MIX = ("line", "line", "circle", "circle", "singular")  # kinds of five paths, one after the other


@ships_by_default("engine", "address")
def main(
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ARM [ARM ...]")] = ARMS,
    *,
    count: int = 100,
    seed: int = 0,
    engine: EngineName = "local",
    address: Address = None,
    out: Path = RESULTS / "track_paths.json",
) -> None:
    """Follow the paths, check them, and print what came out.

    Args:
        arms: Built-in names.
        count: Paths of each arm, at least 5: of five, two are lines, two circles, and one leads through a singularity.
        seed: Of the paths.
        out: The figures as JSON.
    """
    if count < len(_MIX):
        raise IKError(f"--count {count} has no path through a singularity; give at least {len(_MIX)}")
    results: dict[str, Any] = {"count": count, "seed": seed, "rate_hz": 100, "arms": {}}
    with progress() as bar:
        job = bar.add_task("following paths", total=len(arms))
        for name, figures in in_order(partial(run, count=count, seed=seed), arms, Engine(engine, address=address)):
            results["arms"][name] = figures
            show(name, figures)
            write_json(str(out), results)
            bar.advance(job)
    print(f"wrote {out}")


def run(name: str, count: int, seed: int) -> dict[str, Any]:
    """The figures of one arm."""
    torch.set_num_threads(1)
    arm = sim.load_arm(name)
    solver = solver_for(arm)
    kinds = [_MIX[i % len(_MIX)] for i in range(count)]
    paths = [make_path(solver, kind, i, seed) for i, kind in enumerate(kinds)]
    track_many(solver, paths[:1])  # compiles, loads
    begin, begin_cpu = time.perf_counter(), time.process_time()
    tracked = track_many(solver, paths)
    spent, spent_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    begin_cpu = time.process_time()
    some = [track(solver, path) for path in paths[:10]]
    alone = time.process_time() - begin_cpu
    samples = sum(len(one.q) for one in tracked)
    return {
        "task": solver.task.name,
        "model": solver.model is not None,
        "statuses": {kind: tally([t for t, k in zip(tracked, kinds, strict=True) if k == kind]) for kind in KINDS},
        "statuses_all": tally(tracked),
        "samples": samples,
        **measure(arm, solver.task, tracked),
        **check_branches(arm, solver.task, tracked),
        "longest_delay_s": max(one.delay for one in tracked),
        "microseconds_per_sample": 1e6 * spent / samples,
        "cpu_microseconds_per_sample": 1e6 * spent_cpu / samples,
        "cpu_microseconds_per_sample_one_by_one": 1e6 * alone / sum(len(one.q) for one in some),
        "simple_loop": follow_simply(solver, paths),
        "singular_paths_on_every_branch": try_every_branch(
            solver, [p for p, k in zip(paths, kinds, strict=True) if k == "singular"]
        ),
        "executed": execute(arm, solver.task, [one for one in tracked if one.status.followed]),
    }


def try_every_branch(solver: IKSolver, paths: list[CartesianPath]) -> dict[str, Any]:
    """The figures of paths through singularities from each of their solutions, the worst of them too."""
    starts = solver.solve(np.array([path.T_base_tip[0] for path in paths]))
    begin = time.perf_counter()
    tracked = track_many(solver, [paths[i] for i in starts.pose_index], q_start=starts.q)
    spent = time.perf_counter() - begin
    return {
        "branches": len(tracked),
        "statuses": tally(tracked),
        "longest_delay_s": max((one.delay for one in tracked), default=0.0),
        "seconds": spent,
        **measure(solver.arm, solver.task, tracked),
        **check_branches(solver.arm, solver.task, tracked),
    }


def execute(arm: Arm, task: Task, tracked: list[Tracked]) -> dict[str, Any]:
    """The first paths that were followed without a self-collision, with motors under gravity: how far the tip was off."""
    with World() as world:
        body = world.add_arm(arm)
        done = []
        for one in tracked:
            if len(done) == EXECUTED:
                break
            if body.collides(one.q).any():
                continue
            body.set_q(one.q[0])
            done.append(follow_path(body, one, task=task))
    return {
        "paths": len(done),
        "off_path_max_mm": 1e3 * max((one.off_path for one in done), default=0.0),
        "late_or_off_max_mm": 1e3 * max((one.err_pos for one in done), default=0.0),
        "end_max_mm": 1e3 * max((one.end_pos for one in done), default=0.0),
        "settled": sum(one.drive.settled for one in done),
    }


def make_path(solver: IKSolver, kind: str, index: int, seed: int) -> CartesianPath:
    """A random path from a reachable pose; the same for the same arm, kind, index and seed."""
    arm, rng = solver.arm, np.random.default_rng([seed, index, KINDS.index(kind)])
    if kind == "singular":
        for _ in range(200):  # until both ends can be reached, if that is possible
            path = make_singular(arm, MISSES[index // 5 % len(MISSES)], rng)
            if solver.solve(path.T_base_tip[[0, -1]]).solved.all():
                break
        return path
    q = arm.sample(rng)
    T = forward_kinematics(arm, q)
    if kind == "line":
        T_end = T.copy()
        T_end[:3, 3] += rng.uniform(0.1, 0.4) * arm.reach * direction(arm, rng)
        T_end[:3, :3] = T[:3, :3] @ turn(arm, rng.uniform(0.0, 1.0), rng)
        return line_path(T, T_end)
    axis = np.array([0.0, 0.0, 1.0]) if arm.is_planar else direction(arm, rng)
    radius, out = rng.uniform(0.03, 0.15) * arm.reach, np.cross(axis, direction(arm, rng))
    out /= np.linalg.norm(out)
    tangential = bool(rng.integers(2))
    return circle_path(T[:3, 3] - radius * out, axis, radius, T[:3, :3], towards=out, tangential=tangential)


def make_singular(arm: Arm, miss: float, rng: np.random.Generator) -> CartesianPath:
    """A line that has its middle at a configuration next to a singular one (of planar2: the tip at the base)."""
    q = arm.sample(rng)
    q[WRIST[arm.name]] = np.pi - miss if arm.name == "planar2" else miss
    T = forward_kinematics(arm, q)
    way, by = rng.uniform(0.05, 0.1) * arm.reach * direction(arm, rng), turn(arm, rng.uniform(0.1, 0.5), rng)
    ends = []
    for sign, R in ((-1.0, by.T), (1.0, by)):
        end = T.copy()
        end[:3, 3] += sign * way
        end[:3, :3] = T[:3, :3] @ R
        ends.append(end)
    return line_path(*ends)


def direction(arm: Arm, rng: np.random.Generator) -> Any:
    """A unit vector, in the plane of a planar arm."""
    v = rng.normal(size=3) * (1.0, 1.0, 0.0 if arm.is_planar else 1.0)
    return v / np.linalg.norm(v)


def turn(arm: Arm, angle: float, rng: np.random.Generator) -> Any:
    """A rotation by an angle [rad] about a random axis, about z for a planar arm."""
    axis = np.array([0.0, 0.0, 1.0]) if arm.is_planar else direction(arm, rng)
    return Rotation.from_rotvec(angle * axis).as_matrix()


def tally(tracked: list[Tracked]) -> dict[str, int]:
    """How often each status came up."""
    counts = Counter(str(one.status) for one in tracked)
    return {str(status): counts[str(status)] for status in PathStatus if counts[str(status)]}


def measure(arm: Arm, task: Task, tracked: list[Tracked]) -> dict[str, Any]:
    """Largest joint step against its limit, and largest error by Bullet's kinematics and by ours."""
    step = max((np.abs(np.diff(t.q, axis=0)) / (speed_limits(arm) * t.dt)).max(initial=0.0) for t in tracked)
    with World() as world:
        body = world.add_arm(arm, meshes=False)
        err = max(
            float(
                torch.cat(
                    error_norms(task_error(task, *map(torch.from_numpy, (body.tip_pose(t.q), t.T_base_tip))))
                ).max()
            )
            for t in tracked
            if len(t.q)
        )
    own = max((max(t.err_pos.max(initial=0.0), t.err_rot.max(initial=0.0)) for t in tracked), default=0.0)
    out = sum(bool(((t.q < arm.q_min) | (t.q > arm.q_max)).any()) for t in tracked)
    return {"step_over_limit": float(step), "err_bullet": err, "err_own": float(own), "paths_out_of_limits": out}


def check_branches(arm: Arm, task: Task, tracked: list[Tracked]) -> dict[str, Any]:
    """Steps that Newton's method does not take when it walks from sample to sample."""
    pairs = [(t, k) for t in tracked for k in range(len(t.q) - 1)]
    first = [walk_back_and_forth(arm, task, pairs[i : i + 8192], 32) for i in range(0, len(pairs), 8192)]
    apart = np.concatenate([apart for apart, _ in first]) if first else np.zeros(0)
    unclear = [pairs[i] for i in np.flatnonzero(~(apart <= same(arm, task)))]
    apart, meet = walk_back_and_forth(arm, task, unclear, 2048) if unclear else (np.zeros(0), np.zeros(0))
    differ = ~(apart <= same(arm, task))
    through = differ & (meet <= 1e-3)  # both ways meet in a singularity: straight through it
    switched = np.flatnonzero(differ & ~through)
    where = [{"place": float(unclear[i][0].u[unclear[i][1]]), "apart": float(apart[i])} for i in switched]
    return {
        "steps_checked": len(pairs),
        "passed_straight_through": int(through.sum()),
        "silent_switches": len(switched),
        "where": where,
    }


def same(arm: Arm, task: Task) -> float:
    """How near two ways to a sample must end [rad]; with a spare joint they differ by its drift."""
    return SAME if arm.n_joints == task.n_constraints else 0.05


def walk_back_and_forth(arm: Arm, task: Task, pairs: list[tuple[Tracked, int]], steps: int) -> tuple[Any, Any]:
    """How far Newton's way from sample k ends from sample k + 1, and how near it comes to the way back."""
    q, poses = [], []
    shares = np.linspace(0.0, 1.0, steps + 1)
    for t, k in pairs:
        q.append(t.q[k : k + 2])
        places = t.u[k] + shares * (t.u[k + 1] - t.u[k])
        poses.append(t.path.pose_at(places))
    ends, T = np.array(q), torch.from_numpy(np.array(poses))
    forth = newton(arm, task, torch.from_numpy(ends[:, 0]), T)
    back = newton(arm, task, torch.from_numpy(ends[:, 1]), T.flip(1)).flip(1)
    apart = (forth[:, -1].numpy() - ends[:, 1]).__abs__().max(axis=-1)
    meet = (forth - back).abs().amax(-1).amin(-1).numpy()
    return np.nan_to_num(apart, nan=np.inf), np.nan_to_num(meet, nan=np.inf)


def newton(arm: Arm, task: Task, q: torch.Tensor, T: torch.Tensor) -> torch.Tensor:
    """Joint vectors (P, S, n) along poses (P, S, 4, 4): one undamped step for each pose, three for the last."""
    way = [q]
    for k in [*range(1, T.shape[1]), -1, -1]:
        at, J_full = kinematics(arm, q)
        J = task_jacobian(task, J_full, at)
        keep = [i for i, on in enumerate(task.rows) if on]
        e = task_error(task, at, T[:, k])[:, keep, None]
        if J.shape[1] == J.shape[2]:
            dq = torch.linalg.solve_ex(J, e)[0]
        else:
            dq = J.mT @ torch.linalg.solve_ex(J @ J.mT, e)[0]
        q = q + dq[..., 0].nan_to_num(0.0, 0.0, 0.0).clamp(-0.1, 0.1)
        way = [*way, q] if k > 0 else [*way[:-1], q]
    return torch.stack(way, dim=1)


def follow_simply(solver: IKSolver, paths: list[CartesianPath]) -> dict[str, int]:
    """The usual loop, each sample refined from the last one: how many paths it ends, and how many of those with a jump."""
    arm, starts = solver.arm, solver.solve(np.array([path.T_base_tip[0] for path in paths]))
    ended = jumped = 0
    for path, found in zip(paths, starts, strict=True):
        if not len(found):
            continue
        q, worst = torch.from_numpy(found.q[:1].copy()), 0.0
        for T in path.T_base_tip[1:]:
            end = refine(arm, solver.task, torch.from_numpy(T[None]), q)
            if float(torch.maximum(end.err_pos, end.err_rot)) > 1e-8:
                break
            worst = max(worst, float(((end.q - q).abs().numpy() / (speed_limits(arm) * path.dt)).max()))
            q = end.q
        else:
            ended += 1
            jumped += worst > 1.0
    return {"ended": ended, "of_those_with_a_step_over_the_limit": jumped}


def show(name: str, figures: dict[str, Any]) -> None:
    """One line per arm."""
    print(
        f"{name:8} {figures['statuses_all']}; step/limit {figures['step_over_limit']:.4f}, "
        f"error {figures['err_bullet']:.1e} (Bullet), silent switches {figures['silent_switches']} of "
        f"{figures['steps_checked']} steps, {figures['passed_straight_through']} straight through a singularity, "
        f"{figures['cpu_microseconds_per_sample']:.0f} µs of CPU per sample together, "
        f"{figures['cpu_microseconds_per_sample_one_by_one']:.0f} one by one; simple loop: {figures['simple_loop']}",
        flush=True,
    )
    every = figures["singular_paths_on_every_branch"]
    print(
        f"{'':8} through singularities: {figures['statuses']['singular']}; on each of {every['branches']} branches: "
        f"{every['statuses']}, step/limit {every['step_over_limit']:.4f}, silent switches {every['silent_switches']}, "
        f"{every['passed_straight_through']} straight through; in Bullet {figures['executed']['off_path_max_mm']:.3f} mm off",
        flush=True,
    )


if __name__ == "__main__":
    run_script(main)
