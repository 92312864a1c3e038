"""What the benchmark prints: Markdown tables for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results import to_markdown

from benchmarking.ours import OURS, PEERS, RESTARTS, THOROUGH
from benchmarking.poses import OFFSETS, SINGULARITIES

Results = Mapping[str, Mapping[str, Any]]  # arm → sections


def all_tables(arms: Results) -> str:
    """Every table that the results have something for, with a line above each."""
    parts = []
    for name, one in arms.items():
        parts.append(f"**{name}**, {one['joints']} joints{_missing(one)}\n\n" + _main_table(one))
    for title, table in (
        ("Near singularities: generating configuration found again, error at most 1e-8 (1e-6)", _singular_table(arms)),
        ("Random restarts at the recall of the network's seeds", _worth_table(arms)),
        ("Where our time goes [µs per pose]", _parts_table(arms)),
        ("Refinement, compiled and by torch [ns of CPU per seed and iteration]", _refinement_table(arms)),
        ("100 solutions of one pose of a redundant arm", _many_table(arms)),
    ):
        if table:
            parts.append(f"**{title}**\n\n{table}")
    parts.append(_legend(arms))
    return "\n\n".join(parts) + "\n"


def _main_table(one: Mapping[str, Any]) -> str:
    header = [
        "method",
        "threads",
        "batch [µs]",
        "its CPU [µs]",
        f"× {one['reference']}",
        "one pose, all [µs]",
        "one pose, first [µs]",
    ]
    six = one["joints"] == 6
    header += ["branches found", "false, duplicate, unmatched"] if six else []
    header += ["in limits at 1e-3, 1e-6"]
    rows = []
    for name, about in one["methods"].items():
        times, answers = one["times"][name], one["answers"][name]
        row = [name, str(about["threads"])]
        whole = about["gives_all"]
        batch = [_number(times[key]["median"]) for key in ("batch_us", "batch_cpu_us")]
        row += [*batch, _ratio(times["ratio"]["batch"])] if whole else [""] * 3
        row += [_latency(times["every_us"]) if whole else "one only", _latency(times["first_us"])]
        if six:
            found = whole and "recall" in answers
            row += [f"{_share(answers['recall'])} ({answers['branches'] - answers['found']} missed)"] if found else [""]
            row += [", ".join(str(answers[key]) for key in ("false", "duplicates", "unmatched"))] if found else [""]
        rows.append([*row, f"{_share(answers['success_1e-3'])}, {_share(answers['success_1e-6'])}"])
    return to_markdown(header, rows)


def _singular_table(arms: Results) -> str:
    rows, order = list[list[str]](), (OURS, THOROUGH, RESTARTS, *PEERS)
    given = {m for one in arms.values() for m, about in one["methods"].items() if about["gives_all"]}
    names = [name for name in order if name in given]
    for arm, one in arms.items():
        if "singular" not in one:
            continue
        for kind in SINGULARITIES:
            for offset in OFFSETS:
                cell = one["singular"][kind][f"{offset:.0e}"]
                values = [f"{_share(cell[m]['1e-8'])} ({_share(cell[m]['1e-6'])})" if m in cell else "" for m in names]
                rows.append([f"{arm}, {kind}, {offset:.0e} rad", str(cell["poses"]), *values])
    return to_markdown(["next to", "poses", *names], rows) if rows else ""


def _worth_table(arms: Results) -> str:
    header = ["arm", "poses", "recall", "seeds", "iterations per pose", "random seeds", "their iterations", "ratio"]
    rows = []
    for arm, one in arms.items():
        if "worth" in one:
            w = one["worth"]
            least = "" if w["restart_recall"] >= w["recall"] else "> "
            iterations, ratio = f"{least}{w['restart_iterations']:.0f}", f"{least}{w['ratio']:.1f}"
            row = [arm, str(w["poses"]), _share(w["recall"]), f"{w['seeds']:.1f}", f"{w['iterations']:.1f}"]
            rows.append([*row, f"{least}{w['restarts']}", iterations, ratio])
    return to_markdown(header, rows) if rows else ""


def _parts_table(arms: Results) -> str:
    rows, parts = [], list[str]()
    for arm, one in arms.items():
        if "parts" not in one:
            continue
        p = one["parts"]
        parts = [key for key in p["batch_us"] if key != "total"]
        for label, key, floor in (
            ("batch", "batch_us", p["network_floor_us"]),
            ("one pose", "single_us", p["network_floor_single_us"]),
        ):
            row = [f"{arm}, {label}", _number(p[key]["total"]), *(_number(p[key][part]) for part in parts)]
            rows.append([*row, _number(floor), _number(p["kinematics_floor_us"])])
    header = ["", "total", *parts, "floor: products", "floor: 2 FK + J per solution, batch"]
    return to_markdown(header, rows) if rows else ""


def _refinement_table(arms: Results) -> str:
    header = ["arm", "seeds", "compiled", "torch", "torch / compiled", "× floor: 2 FK + J and a step", "converged"]
    rows = []
    for arm, one in arms.items():
        for label, r in one.get("refinement", {}).items():
            row = [arm, label, _number(r["numba_ns"]), _number(r["torch_ns"]), _ratio(r["torch_to_numba"])]
            rows.append([*row, _ratio(r["numba_to_floor"]), _share(r["converged"])])
    return to_markdown(header, rows) if rows else ""


def _many_table(arms: Results) -> str:
    header = [
        "arm, method",
        "solutions",
        "exact",
        "in limits",
        "fewest",
        "largest gap [rad]",
        "as many chosen greedily [rad]",
    ]
    header += ["batch [µs]", "one pose [µs]"]
    rows = []
    for arm, one in arms.items():
        for name, m in one.get("many", {}).items():
            gap, even = (f"{m[key][0]:.2f} (worst {m[key][2]:.2f})" for key in ("gap_rad", "spread_rad"))
            row = [f"{arm}, {name}", f"{m['solutions']:.0f}", _share(m["exact"]), f"{m['exact_in_limits']:.0f}"]
            row += [str(m["fewest_in_limits"]), gap, even]
            rows.append([*row, _number(m["batch_us"][0]), _number(m["single_us"][0])])
    return to_markdown(header, rows) if rows else ""


def _legend(arms: Results) -> str:
    lines, seen = (
        ["Times of single calls are median / p95 / p99. Ratios are median [least, largest] over rounds."],
        set(),
    )
    for arm, one in arms.items():
        for name, about in one["methods"].items():
            if name not in seen:
                seen.add(name)
                lines.append(f"{name} {about['version']}".strip() + f": {about['note']}.")
        lines += [f"{arm} without {name}: {why}." for name, why in one["left_out"].items()]
        others = [cores for cores in one["bystanders"].values() if cores is not None]
        if others:
            lines.append(f"{arm}: other processes kept at most {max(others):.2f} cores busy during a section.")
    return "\n".join(f"- {line}" for line in lines)


def _missing(one: Mapping[str, Any]) -> str:
    return "" if OURS in one["methods"] else ", no shipped model yet"


def _ratio(values: Sequence[float]) -> str:
    return "{} [{}, {}]".format(*map(_number, values))


def _latency(values: Mapping[str, float]) -> str:
    return " / ".join(_number(values[key]) for key in ("median", "p95", "p99"))


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _share(value: float) -> str:
    """Percent, never rounded up to 100."""
    text = f"{100 * value:.2f}"
    return "100 %" if value == 1.0 else f"{'99.99' if text == '100.00' else text} %"
