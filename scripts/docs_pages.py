"""The pages of the documentation that are made, not written: python scripts/docs_pages.py [--out docs/generated].

Results from `data/results`, one card per shipped model, the gallery, and an API page per package. The build of the
documentation calls `write_pages` first, so no number on these pages is typed by hand.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from results import DATA, FIGURES, RESULTS, run_script, to_markdown

ROOT = DATA.parent
DOORS = {
    "sim": ("arm", "task", "scenes", "dataset", "world", "rendering", "environment"),
    "ik_mdn": (
        *("mixture", "model", "training", "evaluation", "solver", "paths", "control", "reach"),
        *("comparison", "teaching"),
    ),
}
_CAPTIONS = {
    "planar_arms.png": "Two planar arms, three targets each: the mixture's modes, and the regressor that averages them.",
    "compare_poses.png": "Left of each pair: where the arm of the regressor trained with squared error ends. "
    "Right: the mixture's modes, before refinement, at the same target.",
    "compare_errors.png": "Distribution of the position error of each method, per arm.",
    "recall_time.png": "Share of the branches found against time per pose.",
    "xarm6_reaches.gif": "An xArm6 reaching a series of targets in PyBullet.",
}


def main(out: Path = ROOT / "docs" / "generated") -> None:
    """Write the pages.

    Args:
        out: Folder; what lies in it under the same names is replaced.
    """
    for file in write_pages(out):
        print(file)


def write_pages(out: Path) -> list[Path]:
    """All generated pages, written to a folder where they changed.

    Args:
        out: Folder, made if missing.

    Returns:
        The files.
    """
    pages = {"gallery.md": gallery(), **results_pages(), **model_pages(), **api_pages()}
    files = []
    for name, text in pages.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
        files.append(file)
    return files


# --- results --------------------------------------------------------------------------------------------------


def results_pages() -> dict[str, str]:
    """A page per file of `data/results`, by name."""
    makers = {
        "compare_arms": comparison_page,
        "benchmark": benchmark_page,
        "reach_suites": reach_page,
        "track_paths": paths_page,
        "kruse_arm": kruse_page,
    }
    return {f"results/{name}.md": make(_read(name)) for name, make in makers.items()}


def comparison_page(found: Mapping[str, Any]) -> str:
    """Every method on held-out poses, and executed in the simulator."""
    return _page(
        "The comparison",
        "Mean squared error, one Gaussian, the mixture, refinement and PyBullet's own inverse kinematics, on the same poses.",
        comparison_tables(found),
        "![Where the regressor's arm ends, and the mixture's modes](../../../data/figures/compare_poses.png)",
        f"*{_CAPTIONS['compare_poses.png']}*",
        "![Distribution of the position error of each method](../../../data/figures/compare_errors.png)",
        "Random restarts through the same refinement are as exact; what the network adds is which answers there are, how "
        "probable each is, and how few steps it takes to get to all of them.",
        _made_by(
            "compare_arms.json",
            f"python scripts/compare_arms.py --count {found['count']} --targets {found['targets']} --seed {found['seed']}",
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
    from benchmarking.tables import all_tables

    machine, settings = found["machine"], found["settings"]
    load = ", ".join(f"{value:.1f}" for value in machine["load_at_start"])
    words = " ".join(f"--{key} {settings[key]}" for key in ("poses", "slow", "singles", "singular", "many"))
    return _page(
        "Against other solvers",
        "Same poses, same machine, in turns, every answer judged by one forward kinematics that all models agree with to "
        "1e-9. The truth is the union of the branches that EAIK, ssik and our thorough mode find.",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, load average at the start {load}; Python "
        f"{machine['python']}, torch {machine['torch']}. **A loaded machine: look at the ratios, [least, largest] of "
        f"{settings['rounds']} rounds.** Closed forms win where they exist.",
        all_tables(found["arms"]),
        "![Share of branches found against time per pose](../../../data/figures/recall_time.png)",
        _made_by("benchmark.json", f"python scripts/benchmark.py --arms {' '.join(found['arms'])} {words}"),
    )


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
    return _page(
        "Reach tasks",
        "Targets reached by the controller under PyBullet's dynamics: at rest within 1 mm and 0.01 rad without a contact. "
        "In the suite `unreachable` success is to say so and not to move.",
        to_markdown(header, rows),
        _made_by("reach_suites.json", "python scripts/reach_suites.py"),
    )


def paths_page(found: Mapping[str, Any]) -> str:
    """Lines and circles followed on one branch."""
    header = ["arm", "paths by status", "silent switches", "off the path, by Bullet [m]", "largest step, of the limit"]
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
    return _page(
        "Cartesian paths",
        f"{found['count']} lines and circles per arm at {found['rate_hz']} Hz, seed {found['seed']}, some through or beside "
        "singularities. A silent switch is a change of branch without a status, looked for independently. The simple "
        "loop refines each sample from the last one.",
        to_markdown(header, rows),
        _made_by("track_paths.json", "python scripts/track_paths.py"),
    )


def kruse_page(found: Mapping[str, Any]) -> str:
    """The published density benchmark."""
    from kruse.report import PUBLISHED

    rows = [list(row[:5]) for row in PUBLISHED]
    rows.append(["exact posterior against itself", *_scores(found["exact"]), ""])
    names = {
        "tip": "tip coordinates",
        "rail": "rail coordinates",
        "rail-larger": "rail coordinates, larger",
        "raw": "x itself",
        "raw-larger": "x itself, larger",
        "raw-larger-12000-steps": "x itself, larger, longest",
    }
    for key, name in names.items():
        rows += _kruse_rows(name, found[key])
    ablations = found["ablations"]
    less = [[name, *_scores(row["raw"]), f"{100 * row['centre']:.1f} %"] for name, row in ablations["rows"].items()]
    header = ["model", "Err_post", "Err_resim [m²]", "mean distance [m]", "within 5 cm of (1.5, 0)"]
    return _page(
        "The published density benchmark",
        "The planar arm of Kruse, Ardizzone, Rother and Köthe (arXiv 2101.10763): a vertical rail and three angles, two "
        f"numbers observed with noise of 0.01; {found['targets']:,} targets with 1,000 draws each against the exact posterior. "
        "Err_post is the unbiased MMD², Err_resim the mean squared distance of the re-simulated tip. What to make of the "
        "rows stands in the [notes](../../results-notes.md).",
        to_markdown(header, rows),
        f"What each part gains, at {ablations['steps']} steps, one seed, other targets:",
        to_markdown(header, less),
        _made_by("kruse_arm.json", "python scripts/kruse_arm.py --larger-steps 3000 --ablations"),
    )


def _methods_table(arms: Sequence[Mapping[str, Any]], part: str, cell: Callable[[Mapping[str, Any]], str]) -> str:
    columns = [{result["method"]: cell(result) for result in arm[part]} for arm in arms]
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


def _scores(scores: Mapping[str, float]) -> list[str]:
    return [f"{scores['err_post']:.5f}", f"{scores['err_resim']:.1e}", f"{scores['distance']:.4f}"]


def _kruse_rows(name: str, one: Mapping[str, Any]) -> list[list[str]]:
    """Raw and refined draws of one model: numbers of one seed, or mean and standard deviation of several."""
    rows, about = (
        [],
        f"{name}, {one['parameters'] / 1e6:.2f} M parameters, {one['steps']:,} steps" if "steps" in one else name,
    )
    for kind in ("raw", "refined"):
        if kind in one:
            cells = _scores(one[kind])
        else:
            pairs = [one[f"{kind}.{key}"] for key in ("err_post", "err_resim", "distance")]
            forms = ("{:.5f}", "{:.1e}", "{:.4f}")
            cells = [" ± ".join(form.format(value) for value in pair) for form, pair in zip(forms, pairs, strict=True)]
        centre = one["centre"][0] if isinstance(one["centre"], list) else one["centre"]
        rows.append([f"{about}, {kind} draws", *cells, f"{100 * centre:.1f} %" if kind == "raw" else ""])
    return rows


def _tally(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.items())


def _made_by(name: str, command: str) -> str:
    return (
        f"Made from `data/results/{name}` when these pages were built. The numbers come from\n\n```sh\n{command}\n```"
    )


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


# --- models ---------------------------------------------------------------------------------------------------


def model_pages() -> dict[str, str]:
    """A card per shipped model from the report card inside its file, and their list."""
    from ik_mdn.model import load_model

    names = sorted(path.stem for path in (DATA / "models").glob("*.safetensors"))
    models = {name: load_model(name) for name in names}
    rows = [
        [f"[{name}]({name}.md)", model.arm.name, model.task.name, _kind(model), _at(model.report.values, "raw")]
        for name, model in models.items()
    ]
    toc = "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])
    index = _page(
        "Shipped models",
        "Each file carries the report card that was measured on held-out poses right after training; these pages show it. "
        "`IKSolver.load(name).model.report` is the same in Python, and `ik-mdn evaluate ARM` measures more.",
        _words(["model", "arm", "task", "kind", "raw error, best answer, median"], rows),
        toc,
    )
    return {"models/index.md": index, **{f"models/{name}.md": model_card(name, each) for name, each in models.items()}}


def model_card(name: str, model: Any) -> str:
    """The card of one model.

    Args:
        name: Of its file.
        model: A `PoseModel` with its report card.
    """
    config, arm, report = model.config, model.arm, model.report.values
    facts = [
        ["arm", f"{arm.name}, {arm.n_joints} joints, {arm.base} to {arm.tip}"],
        ["fingerprint of the arm", f"`{arm.fingerprint}`"],
        ["task", model.task.name],
        ["kind", _kind(model)],
        ["network", f"{config.blocks} residual blocks of width {config.width}"],
        ["floor of the standard deviation [rad, m]", f"{config.floor:g}"],
        ["symmetries divided out", "yes" if config.symmetries else "no"],
        ["trained on", "joint vectors uniform in the arm's limits"],
    ]
    measured = [
        [key, f"{value:,}" if isinstance(value, int) else f"{value:.4g}"] for key, value in _flat(report).items()
    ]
    return _page(
        f"Model `{name}`",
        _words(["", "what it is"], facts),
        "**Meant for** seeds of the solver, densities and teaching, on this arm and task only: the solver refuses it for an "
        "arm with another fingerprint. **Not meant for** raw answers where millimetres count, or postures drawn in another way "
        "than uniformly in limits: train one on your own.",
        "Measured on held-out poses after training ([m], [rad], nats; nothing trimmed):",
        _words(["what", "value"], measured) if measured else "This file carries no report card.",
        f"```python\nsolver = ik_mdn.IKSolver.load({name!r})\n```" if config.kind == "mdn" else "",
    )


def _kind(model: Any) -> str:
    config = model.config
    if config.kind == "mse":
        return f"regressor, squared error, targets: {config.targets}"
    return f"mixture, K = {config.components}, {config.covariance} covariance"


def _at(report: Mapping[str, Any], key: str) -> str:
    from ik_mdn.evaluation import millimetres

    return f"{millimetres(report[key]['err_pos']['median'])} mm" if key in report else "–"


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, float]:
    """Nested values by dotted names, numbers only."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}: ")
        elif isinstance(value, int | float):
            found[f"{before}{key}"] = value
    return found


# --- gallery and API ------------------------------------------------------------------------------------------


def gallery() -> str:
    """Every figure of `data/figures`."""
    shown = []
    for file in sorted(FIGURES.iterdir()):
        caption = _CAPTIONS.get(file.name, file.stem.replace("_", " "))
        shown.append(f"```{{figure}} ../../data/figures/{file.name}\n:alt: {caption}\n\n{caption}\n```")
    return _page("Gallery", "More figures, with a sentence each: `ik-mdn teach --out out/teach`.", *shown)


def api_pages() -> dict[str, str]:
    """A page per package door, and their list."""
    rooms = [f"{top}.{room}" for top, names in DOORS.items() for room in names]
    rows = [[f"[{name}]({name}.md)", _first_line(import_module(name))] for name in rooms]
    toc = "\n".join(["```{toctree}", ":hidden:", "", *DOORS, *rooms, "```"])
    tops = [[f"[{name}]({name}.md)", _first_line(import_module(name))] for name in DOORS]
    index = _page(
        "API reference",
        "What each package offers; what its door does not name is private. `sim` and `ik_mdn` offer the names that programs "
        "need most, which live in the rooms below them.",
        _words(["package", ""], tops + rows),
        toc,
    )
    return {
        "api/index.md": index,
        **{f"api/{name}.md": top_page(name) for name in DOORS},
        **{f"api/{name}.md": room_page(name) for name in rooms},
    }


def top_page(package: str) -> str:
    """The names that `sim` or `ik_mdn` offers, each with the room where it is described, or described here."""
    module, rows, own = import_module(package), [], []
    rooms = [f"{top}.{room}" for top, names in DOORS.items() for room in names]
    for name in module.__all__:
        thing = getattr(module, name)
        home = next((room for room in rooms if name in import_module(room).__all__), None)
        where = f"[{home}]({home}.md)" if home else "below"
        rows.append([f"`{package}.{name}`", _first_line(thing), where])
        own += [] if home else [name]
    return _page(
        f"`{package}`",
        inspect.getdoc(module) or "",
        _words(["name", "", "described in"], rows),
        _described(package, own),
    )


def room_page(package: str) -> str:
    """Everything that a room's door names."""
    module = import_module(package)
    return _page(f"`{package}`", inspect.getdoc(module) or "", _described(package, module.__all__))


def _described(package: str, names: Sequence[str]) -> str:
    """Directives for functions and classes, from their docstrings, and a table of constants."""
    module, parts, constants = import_module(package), [], []
    described = [
        name for name in names if inspect.isclass(getattr(module, name)) or inspect.isroutine(getattr(module, name))
    ]
    if described:
        listing = "\n".join(f"   {name}" for name in described)
        parts.append(f".. currentmodule:: {package}\n\n.. autosummary::\n   :nosignatures:\n\n{listing}\n")
    for name in names:
        thing = getattr(module, name)
        if name not in described:
            text = " ".join(repr(thing).split())
            constants.append(
                [f"`{name}`", f"`{text}`" if len(text) < 70 and "object at" not in text else type(thing).__name__]
            )
        elif inspect.isclass(thing):
            inherit = "\n   :inherited-members: Distribution" if name == "GaussianMixture" else ""
            parts.append(f".. autoclass:: {name}\n   :members:{inherit}\n")
        else:
            parts.append(f".. autofunction:: {name}\n")
    table = _words(["constant", "value"], constants) if constants else ""
    directives = "```{eval-rst}\n" + "\n".join(parts) + "```" if parts else ""
    return "\n\n".join(part for part in (directives, table) if part)


def _first_line(thing: Any) -> str:
    """The first line of a docstring that is its own, for a table."""
    text = (
        inspect.getdoc(thing) if inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing) else ""
    )
    return (text or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("*", "\\*")


def _words(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of words: every column starts at the left."""
    return to_markdown(header, rows).replace("---:", "---", len(header))


def _page(title: str, *parts: str) -> str:
    text = f"# {title}\n\n" + "\n\n".join(part for part in parts if part) + "\n"
    return re.sub(r"(?<=\d) (?=(%|mm|µs)(\W|$))", "\u00a0", text, flags=re.M)  # a number and its unit on one line


if __name__ == "__main__":
    run_script(main)
