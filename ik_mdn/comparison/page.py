"""A comparison as one web page that needs no network: text, tables and pictures in one file."""

from __future__ import annotations

import platform
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ik_mdn.comparison.contestants import Contestants
from ik_mdn.comparison.execution import ExecutedResult, executed_names
from ik_mdn.comparison.figures import averaging_picture, errors_picture
from ik_mdn.comparison.measuring import MethodResult
from ik_mdn.comparison.methods import METHODS, missing_methods
from ik_mdn.comparison.survey import Survey
from ik_mdn.evaluation import degrees, distance, millimetres, percent
from ik_mdn.model import ArmModel, PoseModel
from sim.files import whole_file

_PACKAGES = ("ik-mdn", "torch", "numpy", "pybullet", "numba")


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Args:
        png: The file's content.
        alt: What it shows, for those who do not see it.
        caption: The line below it.
    """

    png: bytes
    alt: str
    caption: str = ""

    @property
    def uri(self) -> str:
        """The picture itself as an address."""
        return "data:image/png;base64," + b64encode(self.png).decode("ascii")


def write_page(
    path: Path | str, surveys: Sequence[Survey], *, command: str, on_step: Callable[[str], None] | None = None
) -> None:
    """Write the page of a comparison; see `render_page`.

    Args:
        path: The file.
        surveys: One per arm.
        command: What makes the page again, quoted for a shell.
        on_step: Called with an arm's name when its pictures are drawn, for progress.
    """
    text = render_page(surveys, command=command, on_step=on_step)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render_page(surveys: Sequence[Survey], *, command: str, on_step: Callable[[str], None] | None = None) -> str:
    """The page of a comparison as HTML, self-contained: style and pictures are in it, and it loads nothing.

    Args:
        surveys: One per arm.
        command: What makes the page again, quoted for a shell.
        on_step: Called with an arm's name when its pictures are drawn.

    Returns:
        The whole document.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ik_mdn.comparison"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = []
    for number, survey in enumerate(surveys):
        sections.append(_describe_arm(survey, number))
        if on_step is not None:
            on_step(survey.arm.name)
    averaging = Picture(
        averaging_picture(),
        "Two links reach a target with the elbow up or down; the average of both answers is a straight arm that "
        "reaches past the target.",
    )
    return environment.get_template("report.html").render(
        sections=sections,
        overview=overview_rows(surveys),
        arms=[survey.arm.name for survey in surveys],
        averaging=averaging,
        versions=_versions(),
        command=command,
        methods=[METHODS[name] for name in _measured(surveys)],
        same=_same_settings(surveys),
    )


def overview_rows(surveys: Sequence[Survey]) -> list[tuple[str, list[str]]]:
    """Each method with, per arm, the share of the poses that it answers within 1 mm and 0.01 rad and inside the limits."""
    tables = [{result.name: result for result in survey.results} for survey in surveys]
    return [
        (METHODS[name].name, [percent(t[name].usable) if name in t else "–" for t in tables])
        for name in _measured(surveys)
    ]


def _measured(surveys: Sequence[Survey]) -> list[str]:
    """Keys of the methods that any survey has, in the order of `METHODS`."""
    found = {result.name for survey in surveys for result in survey.results}
    return [name for name in METHODS if name in found]


def result_row(result: MethodResult) -> list[str]:
    """A method's cells in the table of poses, the name first."""
    pos, rot = result.errors.pos, result.errors.rot
    shares = [*result.errors.success.values(), result.in_limits, result.usable]
    return [
        METHODS[result.name].name,
        *(millimetres(value) for value in pos),
        *(degrees(value) if any(rot) else "free" for value in rot[:2]),
        *map(percent, shares),
        f"{result.modes:.1f}",
        f"{result.us_per_pose:,.0f}",
    ]


def executed_row(result: ExecutedResult) -> list[str]:
    """A method's cells in the table of executed answers, the name first."""
    shares = [result.errors.success["1cm"], result.errors.success["1mm"], result.touched, result.reached]
    answered = [result.errors.answered, result.clamped]
    return [
        executed_names()[result.name],
        *map(percent, answered),
        *map(millimetres, result.errors.pos),
        *map(percent, shares),
    ]


def _describe_arm(survey: Survey, number: int) -> dict[str, Any]:
    arm, solver = survey.arm, survey.contestants.solver
    results = {result.name: result for result in survey.results}
    return {
        "name": arm.name,
        "anchor": f"arm-{number}",
        "chain": f"{arm.n_joints} joints, from {arm.base} to {arm.tip}",
        "task": solver.task.about,
        "summary": _summarise(results),
        "panels": [Picture(p.picture(), p.alt, p.title) for p in survey.panels()],
        "planar": arm.is_planar,
        "errors": Picture(errors_picture(survey.results), _alt_of_errors(survey)),
        "rows": [(result.name, result_row(result)) for result in survey.results],
        "executed": [(result.name, executed_row(result)) for result in survey.executed],
        "missing": list(missing_methods(survey.contestants)),
        "count": f"{survey.count:,}",
        "targets": survey.targets,
        "seed": survey.seed,
        "models": [_describe_model(name, model) for name, model in _models(survey.contestants).items()],
    }


def _summarise(results: dict[str, MethodResult]) -> str:
    """One sentence that compares the regressor with the mixture."""
    parts = []
    if "mse" in results:
        parts.append(f"the regressor misses by {distance(results['mse'].errors.pos[0])} in the median")
    if "best" in results:
        best = results["best"]
        parts.append(f"the best of the mixture’s {best.modes:.1f} modes misses by {distance(best.errors.pos[0])}")
    if "refined" in results:
        parts.append(f"refined modes reach {percent(results['refined'].usable)} of the poses exactly and within limits")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def _alt_of_errors(survey: Survey) -> str:
    shares = ", ".join(f"{METHODS[r.name].name} {percent(r.errors.success['1mm'])}" for r in survey.results)
    return f"Share of the poses over position error for {survey.arm.name}. Within 1 mm and 0.01 rad: {shares}."


def _models(contestants: Contestants) -> dict[str, PoseModel]:
    """The models that are there: name of the method → model."""
    found = {METHODS[kind].name: getattr(contestants, kind) for kind in ("mse", "k1")}
    return {name: model for name, model in {**found, "MDN": contestants.mixture}.items() if model is not None}


def _describe_model(name: str, model: ArmModel) -> list[str]:
    training = model.report.values.get("training", {})
    numbers = [training.get(key) for key in ("parameters", "samples")]
    components = str(model.config.components) if model.kind == "mdn" else "–"
    return [name, components, *("–" if number is None else f"{number:,}" for number in numbers)]


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _same_settings(surveys: Sequence[Survey]) -> bool:
    return len({(survey.count, survey.targets, survey.seed) for survey in surveys}) <= 1
