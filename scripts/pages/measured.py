"""A page per file of `data/results`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from results import RESULTS, to_markdown

from pages.costs import cost_page
from pages.densities import diversity_page, kruse_page, learned_page
from pages.text import CAPTIONS, made_by, page, words


def results_pages() -> dict[str, str]:
    """A page per file of `data/results`, by name."""
    makers = {
        "compare_arms": comparison_page,
        "benchmark": benchmark_page,
        "unseen_arms": unseen_page,
        "reach_suites": reach_page,
        "track_paths": paths_page,
        "kruse_arm": kruse_page,
        "learned": learned_page,
        "diversity": diversity_page,
        "robots": robots_page,
        "viewer": viewer_page,
        "cost": cost_page,
    }
    return {f"results/{name}.md": make(_read(name)) for name, make in makers.items()}


def comparison_page(found: Mapping[str, Any]) -> str:
    """Every method on held-out poses, and executed in the simulator."""
    return page(
        "The comparison",
        "Mean squared error, one Gaussian, the mixture, refinement and PyBullet's own inverse kinematics, on the same poses.",
        comparison_tables(found),
        "![Where the regressor's arm ends, and the mixture's modes](../../../data/figures/compare_poses.png)",
        f"*{CAPTIONS['compare_poses.png']}*",
        "![Distribution of the position error of each method](../../../data/figures/compare_errors.png)",
        "Random restarts through the same refinement are as exact; what the network adds is which answers there are, how "
        "probable each is, and how few steps it takes to get to all of them.",
        made_by(
            "compare_arms.json",
            f"python scripts/compare_arms.py --count {found['count']} --targets {found['targets']} --seed {found['seed']} "
            "--data data",
        ),
    )


def comparison_tables(found: Mapping[str, Any]) -> str:
    """The two tables of the comparison, and what their numbers mean.

    Args:
        found: What `data/results/compare_arms.json` holds.
    """
    arms = found["arms"]
    return "\n\n".join(
        [
            f"{found['count']:,} held-out poses per arm, seed {found['seed']}, nothing trimmed: median position error, and the "
            "share answered within 1 mm and 0.01 rad with every joint inside its limits.",
            _methods_table(arms, "methods", _pose_cell),
            f"The same methods executed in PyBullet, {found['targets']} targets per arm and method: share that came to rest "
            "within 1 mm and 0.01 rad without touching itself, and in brackets the share of motions on which links "
            "touched (only the controller looks at that). Answers beyond a limit were clamped to it.",
            _methods_table(arms, "executed", _executed_cell),
        ]
    )


def benchmark_page(found: Mapping[str, Any]) -> str:
    """Other solvers on the same poses."""
    return page(
        "Against other solvers",
        *_benchmark(found),
        "![Share of branches found against CPU time per pose](../../../data/figures/recall_time.png)",
        made_by(
            "benchmark.json",
            _benchmark_command(found) + " --out data/results/benchmark.json --figure data/figures/recall_time.png",
        ),
    )


def unseen_page(found: Mapping[str, Any]) -> str:
    """The same on arms that played no part in development."""
    return page(
        "Arms that played no part",
        "Nothing in the solver, the network or its training was tried on these arms or set for them: each was read from a "
        "public description, trained once at default settings for a few minutes, and measured.",
        *_benchmark(found),
        made_by("unseen_arms.json", _benchmark_command(found) + " --out data/results/unseen_arms.json"),
    )


def _benchmark(found: Mapping[str, Any]) -> list[str]:
    from benchmarking.tables import all_tables

    machine, settings = found["machine"], found["settings"]
    others = max(busy for arm in found["arms"].values() for busy in arm["bystanders"].values())
    return [
        "Same poses, same machine, in turns, every answer judged by one forward kinematics that all models agree with to "
        "1e-9. The truth is the union of the branches that EAIK, ssik and our thorough mode find.",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, of which other processes kept at most {others:.2f} busy in any "
        f"section; Python {machine['python']}, torch {machine['torch']}. Ratios with [least, largest] of "
        f"{settings['rounds']} rounds. Closed forms win where they exist.",
        all_tables(found["arms"]),
    ]


def _benchmark_command(found: Mapping[str, Any]) -> str:
    sizes = ("poses", "slow", "singles", "singular", "many", "rounds")
    options = " ".join(f"--{key} {found['settings'][key]}" for key in sizes)
    return f"python scripts/benchmark.py --arms {' '.join(found['arms'])} {options}"


def reach_page(found: Mapping[str, Any]) -> str:
    """Reach tasks in the simulator."""
    from ik_mdn.evaluation import millimetres

    header = ["arm", "scene, suite", "episodes", "succeeded", "touched", "largest error [mm]", "statuses"]
    rows = []
    for cell in found["cells"]:
        worst = cell["err_pos"]["max"]
        shown = "" if worst is None else millimetres(worst)
        rows.append(
            [
                *(cell["arm"], f"{cell['scene']}, {cell['suite']}", str(cell["episodes"]), str(cell["succeeded"])),
                *(str(cell["touched"]), shown, _tally(cell["statuses"])),
            ]
        )
    return page(
        "Reach tasks",
        "Targets reached by the controller under PyBullet's dynamics: at rest within 1 mm and 0.01 rad without a contact. "
        "In the suite `unreachable` success is to say so and not to move.",
        to_markdown(header, rows),
        made_by("reach_suites.json", "python scripts/reach_suites.py"),
    )


def paths_page(found: Mapping[str, Any]) -> str:
    """Lines and circles followed on one branch."""
    header = [
        "arm",
        "paths by status",
        "silent switches",
        "largest error, by Bullet [m, rad]",
        "largest step, of the limit",
    ]
    header += ["longest delay [s]", "simple loop: ended, with a step too large"]
    rows = []
    for arm, one in found["arms"].items():
        loop = one["simple_loop"]
        rows.append(
            [
                *(arm, _tally(one["statuses_all"]), str(one["silent_switches"]), f"{one['err_bullet']:.0e}"),
                *(f"{one['step_over_limit']:.4f}", f"{one['longest_delay_s']:.2f}"),
                f"{loop['ended']}, {loop['of_those_with_a_step_over_the_limit']}",
            ]
        )
    return page(
        "Cartesian paths",
        f"{found['count']} lines and circles per arm at {found['rate_hz']} Hz, seed {found['seed']}, some through or beside "
        "singularities. A silent switch is a change of branch without a status, looked for independently. The simple "
        "loop refines each sample from the last one.",
        to_markdown(header, rows),
        made_by("track_paths.json", "python scripts/track_paths.py"),
    )


def robots_page(found: Mapping[str, Any]) -> str:
    """Every robot description of some packages, without a model."""
    from robots import reasons, totals

    header = ["file", "tip", "joints", "task", "off Bullet", "solved", "ms per pose", "reached"]
    rows = []
    for chain in found["chains"]:
        off, reached = chain["off_bullet"], chain["reached"]
        rows.append(
            [
                *(f"`{chain['file'].rpartition('/')[2]}`", f"`{chain['tip']}`", str(chain["joints"]), chain["task"]),
                *("–" if off is None else f"{off:.0e}", f"{chain['solved']} of {found['poses']}"),
                *(f"{chain['ms_per_pose']:.2f}", _tally(reached) or "–"),
            ]
        )
    refused = [[f"`{file}`", ", ".join(tips) or "–", why.replace("|", "/")] for file, tips, why in reasons(found)]
    return page(
        "Every robot at hand",
        f"{found['files']:,} URDFs, of which {found['without_joints']:,} hold nothing that moves; from the root to each end of "
        f"a chain, at most {found['chains_per_file']} chains of a file, those with most joints, each arm once. "
        f"{found['poses']} random poses per chain are given back to the solver, which has no model; `off Bullet` is the largest "
        "difference from its forward kinematics; targets are reached in Bullet with the motors' own effort limits, without "
        "meshes. Times are of a machine that did other things besides.",
        "; ".join(totals(found)) + ".",
        to_markdown(header, rows),
        "What was refused, and why:",
        words(["file", "tips", "reason"], refused),
        made_by(
            "robots.json",
            "pip install example-robot-data airo-models\n"
            "python scripts/robots.py FOLDER [FOLDER ...] --json data/results/robots.json",
        ),
    )


def viewer_page(found: Mapping[str, Any]) -> str:
    """How fast the viewer follows the mouse."""
    header = [
        "arm",
        "picture",
        "moves sent, answered",
        "to the new poses in the page",
        "to the frame with them",
        "server's part",
    ]
    header += ["solver's part", "CPU time of solving and drawing", "server without a browser", "load"]
    columns = ("arrived_ms", "drawn_ms", "server_ms", "solving_ms", "cpu_ms", "alone_ms")
    rows = [
        [
            *(row["arm"], "drawn" if row["drawing"] else "not drawn", f"{row['sent']}, {row['answered']}"),
            *(f"{row[column]['median']:.1f}, {row[column]['p95']:.1f}" for column in columns),
            f"{row['load']:.1f}",
        ]
        for row in found["rows"]
    ]
    machine = found["machine"]
    return page(
        "The viewer",
        f"A headless Chromium drags the target, {found['moves']} moves {found['period_ms']:.0f} ms apart; median and 95th "
        "percentile in ms, from the moment the page sends a move. Moves that newer ones overtook are not answered. "
        f"Browser, solver and drawing share {machine['cores']} cores, WebGL is {machine['webgl']}; `load` is the number of "
        "processes that wanted a core when the dragging began. In rows not drawn the calls of WebGL that draw do nothing: what "
        "is left is the server's and the browser's handling, what the others have more is the drawing, which a graphics card "
        "would do.",
        to_markdown(header, rows),
        made_by("viewer.json", "python scripts/measure_viewer.py --json data/results/viewer.json"),
    )


def _methods_table(arms: Sequence[Mapping[str, Any]], part: str, cell: Callable[[Mapping[str, Any]], str]) -> str:
    columns = [{result["method"]: cell(result) for result in arm.get(part, ())} for arm in arms]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(column.get(name, "–") for column in columns)] for name in names]
    rows = [[f"**{row[0]}**" if "+ refinement" in row[0] and "MDN" in row[0] else row[0], *row[1:]] for row in rows]
    return to_markdown(["method", *(arm["arm"] for arm in arms)], rows)


def _pose_cell(result: Mapping[str, Any]) -> str:
    from ik_mdn.evaluation import millimetres, percent

    return f"{millimetres(result['err_pos_m']['median'])} mm, {percent(result['usable'])}"


def _executed_cell(result: Mapping[str, Any]) -> str:
    from ik_mdn.evaluation import percent

    return f"{percent(result['reached'])} ({percent(result['touched'])})"


def _tally(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.items())


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
