"""A card per shipped model, from the report card inside its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results import DATA

from pages.text import page, words


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
    index = page(
        "Shipped models",
        "Each file carries the report card that was measured on held-out poses, after training or anew since; these pages show it. "
        "`IKSolver.load(name).model.report` is the same in Python, and `ik-mdn evaluate ARM` measures more.",
        words(["model", "arm", "task", "kind", "raw error, best answer, median"], rows),
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
    return page(
        f"Model `{name}`",
        words(["", "what it is"], facts),
        "**Meant for** seeds of the solver, densities and teaching, on this arm and task only: the solver refuses it for an "
        "arm with another fingerprint. **Not meant for** raw answers where millimetres count, or postures drawn in another way "
        "than uniformly in limits: train one on your own.",
        "Measured on held-out poses after training ([m], [rad], nats; nothing trimmed):",
        words(["what", "value"], measured) if measured else "This file carries no report card.",
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
