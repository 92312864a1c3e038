"""The main job, as `make demo` runs it: pictures in out/ and one table of MSE against MDN."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from results import run_script

from ik_mdn.cli.console import print_table, progress, report_note, waiting

TARGETS = {  # x, y [m] and heading [rad]; in the last column the elbow is bent by more than 90°
    "planar2": ((1.4, 0.7, 0.0), (-0.9, 1.3, 0.0), (0.3, -0.9, 0.0)),
    "planar3": ((1.7, 0.7, 0.4), (-1.3, 1.3, 2.2), (0.6, -1.3, -1.0)),
}


def main(out: Path = Path("out"), poses: int = 2000, targets: int = 5) -> None:
    """Draw planar arms, record a real arm reaching, and print the comparison.

    Args:
        out: Where the pictures go.
        poses: Held-out poses per arm in the comparison.
        targets: Targets that xArm6 reaches in the GIF.
    """
    started = time.perf_counter()
    report_note("1/3 drawing planar arms ...")
    with waiting("drawing"):
        draw_planar_arms(out / "planar_arms.png")
    report_note("2/3 recording xArm6 reaching targets in PyBullet ...")
    record_xarm6(out / "xarm6_reaches.gif", targets=targets)
    report_note("3/3 comparing on held-out poses ...")
    print_comparison(poses)
    report_note(
        f"done in {time.perf_counter() - started:.0f} s; pictures: {out}/planar_arms.png, {out}/xarm6_reaches.gif"
    )


def planar_target(x: float, y: float, yaw: float) -> np.ndarray:
    """`T_base_tip` of a pose in the plane, shape (4, 4)."""
    T = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    T[:2, :2], T[:2, 3] = [[c, -s], [s, c]], (x, y)
    return T


def draw_planar_arms(out: Path) -> None:
    """Both modes of the mixture, the regressor's pose and its miss, for three targets of two planar arms."""
    import torch

    from ik_mdn.comparison.figures import draw_target_panel
    from ik_mdn.mixture import find_modes
    from ik_mdn.model.checkpoint import load_model
    from sim.rendering.figure import new_figure, save_figure

    figure, axes = new_figure(len(TARGETS), 3, figsize=(12, 8.4))
    for row, (arm, targets) in zip(axes, TARGETS.items(), strict=True):
        model, mse = load_model(arm), load_model(f"{arm}-mse")
        for panel, target in zip(row, targets, strict=True):
            T = planar_target(*target)
            modes = find_modes(model.posterior(torch.tensor(T[None])))  # as the network says them: nothing is refined
            clear = modes.valid[0] & (modes.weight[0] > 0.05)
            q_mse = mse.mean(torch.tensor(T[None]))[0].numpy()
            q, weight = modes.loc[0, clear].numpy(), modes.weight[0, clear].numpy()
            draw_target_panel(panel, model.arm, T, modes=q, weights=weight, q_mse=q_mse)
        row[0].set_ylabel(f"{arm}\n\ny [m]")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=len(labels), frameon=False)
    figure.suptitle("One target, two answers: the mixture keeps both, squared error averages them and misses")
    save_figure(figure, out)


def record_xarm6(out: Path, *, targets: int) -> None:
    """xArm6 with its meshes reaching a series of targets."""
    from ik_mdn.control.controller import Controller
    from ik_mdn.reach.recording import record_reaches
    from ik_mdn.solver.solver import IKSolver
    from sim.world.world import World

    solver = IKSolver.load("xarm6")
    with World() as world, progress() as bar:
        job = bar.add_task("targets", total=targets)
        controller = Controller(world.add_arm(solver.arm), solver)
        record_reaches(out, controller, world, targets=targets, seed=0, fps=8, on_reach=lambda: bar.advance(job))


def print_comparison(poses: int) -> None:
    """One table: every shipped arm, MSE against the mixture read in several ways."""
    from ik_mdn.cli.compare import HEADER, row_of
    from ik_mdn.comparison.contestants import Contestants
    from ik_mdn.comparison.measuring import compare
    from ik_mdn.model.checkpoint import load_model
    from ik_mdn.solver.solver import IKSolver

    rows = []
    for arm in ("planar2", "planar3", "xarm6"):
        solver, mse = IKSolver.load(arm), load_model(f"{arm}-mse")
        for result in compare(Contestants(solver, mse), methods=("mse", "likely", "best", "refined"), count=poses):
            method, *numbers = row_of(result)
            rows.append([f"{arm}: {method}", *numbers])
    print_table(f"MSE against MDN on {poses} held-out poses per arm, nothing trimmed", HEADER, rows)


if __name__ == "__main__":
    run_script(main)
