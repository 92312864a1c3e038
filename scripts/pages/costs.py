"""The page of how cost grows with poses, joints, workers and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results import to_markdown

from pages.text import CAPTIONS, made_by, page


def cost_page(found: Mapping[str, Any]) -> str:
    """How cost grows with poses, joints, workers and machines."""
    settings, machine, unit = found["settings"], found["machine"], found["unit"]
    load = machine["load_at_start"][0] if machine["load_at_start"] else 0.0
    short = "**A short run, to see that it works: no benchmark.** " if settings["quick"] else ""
    return page(
        "How cost grows",
        f"{short}Machine: {machine['cores']} cores, load average {load:.1f} at the start, Python {machine['python']}.",
        f"![{CAPTIONS['cost.png']}](../../../data/figures/cost.png)",
        f"Forward-kinematics samples, {settings['poses']:,} of ur5e, written to a local disk:",
        _generate_table(found["generate"]),
        "Solving without a model, random chains, µs per pose on all cores, by the number of targets in one call (– where it "
        f"would take longer than {settings['patience']:g} s):",
        _solve_table(found["solve"]),
        "Peak memory of a process [MiB], and what of it are the targets and their copies at 128 bytes each:",
        _memory_table(found["memory"]),
        f"Training {settings['steps']:,} steps at width {found['training'][0]['width']}, processes of one core each, averaging "
        "gradients by gloo:",
        _training_table(found["training"]),
        "On paper, from the costs of one core measured here "
        f"({unit['poses_per_s'] / 1e6:.2f} million poses/s, {unit['bytes_per_pose']:.1f} bytes per pose, "
        f"{unit['solve_us']:,.0f} µs to solve a pose of six joints):",
        _paper_table(found["paper"]),
        "A load is the share of the time of generating in which a thing is busy; above 100 % it decides the time. Assumed: "
        + ", ".join(f"{name} {value:g}" for name, value in found["paper"][0]["assumed"].items())
        + " (SI units, minutes per model).",
        made_by(
            "cost.json",
            f"python scripts/cost.py{_options(settings)} --out data/results/cost.json --figure data/figures/cost.png",
        ),
    )


def _options(settings: Mapping[str, Any]) -> str:
    if settings["quick"]:
        return " --quick"
    return f" --patience {settings['patience']:g} --steps {settings['steps']}"


def _generate_table(rows: Sequence[Mapping[str, Any]]) -> str:
    return to_markdown(
        ["engine", "workers", "million poses/s", "first shard after [s]"],
        [
            [row["engine"], str(row["workers"]), f"{row['poses_per_s'] / 1e6:.2f}", f"{row['first_after']:.1f}"]
            for row in rows
        ],
    )


def _solve_table(rows: Sequence[Mapping[str, Any]]) -> str:
    targets = sorted({row["targets"] for row in rows})
    chains: dict[int, dict[int, Any]] = {}
    for row in rows:
        chains.setdefault(row["joints"], {})[row["targets"]] = row
    table = [
        [
            *(str(n), next(iter(cells.values()))["task"]),
            *(f"{cells[count]['us_per_pose']:,.0f}" if count in cells else "–" for count in targets),
            f"{100 * cells[max(cells)]['solved']:.1f} %",
        ]
        for n, cells in chains.items()
    ]
    return to_markdown(["joints", "task", *(f"{count:,}" for count in targets), "solved"], table)


def _memory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    return to_markdown(
        ["what", "poses", "peak", "targets"],
        [[row["what"], f"{row['poses']:,}", f"{row['peak_mib']:.0f}", f"{row['targets_mib']:.0f}"] for row in rows],
    )


def _training_table(rows: Sequence[Mapping[str, Any]]) -> str:
    return to_markdown(
        ["processes", "batch", "samples/s"],
        [[str(row["processes"]), f"{row['batch_size']:,}", f"{row['samples_per_s']:,.0f}"] for row in rows],
    )


def _paper_table(columns: Sequence[Mapping[str, Any]]) -> str:
    """One column per number of machines."""

    def took(seconds: float) -> str:
        return (
            f"{seconds / 3600:.1f} h"
            if seconds >= 3600
            else f"{seconds / 60:.1f} min"
            if seconds >= 60
            else f"{seconds:.1f} s"
        )

    first = columns[0]
    rows = [
        [f"generate {first['poses']:.0e} poses", *(took(one["generate_s"]) for one in columns)],
        ["their size", *(f"{one['bytes'] / 1e9:,.0f} GB in {one['shards']:,} shards" for one in columns)],
        ["read them once", *(took(one["read_once_s"]) for one in columns)],
        [f"solve {first['poses']:.0e} poses of six joints", *(took(one["solve_s"]) for one in columns)],
        [
            f"train {first['arms']:,} arms, each {first['assumed']['minutes']:g} min",
            *(took(one["train_s"]) for one in columns),
        ],
        *([f"load: {name}", *(f"{100 * one['busy'][name]:.1f} %" for one in columns)] for name in first["busy"]),
        ["breaks first", *(one["breaks_first"] for one in columns)],
    ]
    return to_markdown(["", *(f"{one['machines']} machines" for one in columns)], rows)
