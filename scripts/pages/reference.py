"""An API page per package door, from the docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pages.text import page, words

DOORS = {
    "sim": ("arm", "task", "scenes", "dataset", "world", "rendering", "environment"),
    "ik_mdn": (
        *("mixture", "model", "training", "evaluation", "solver", "paths", "control", "reach"),
        *("comparison", "teaching", "viewer"),
    ),
}


def api_pages() -> dict[str, str]:
    """A page per package door, and their list."""
    rooms = [f"{top}.{room}" for top, names in DOORS.items() for room in names]
    rows = [[f"[{name}]({name}.md)", _first_line(import_module(name))] for name in rooms]
    toc = "\n".join(["```{toctree}", ":hidden:", "", *DOORS, *rooms, "```"])
    tops = [[f"[{name}]({name}.md)", _first_line(import_module(name))] for name in DOORS]
    index = page(
        "API reference",
        "What each package offers; what its door does not name is private. `sim` and `ik_mdn` offer the names that programs "
        "need most, which live in the rooms below them.",
        words(["package", ""], tops + rows),
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
    return page(
        f"`{package}`",
        inspect.getdoc(module) or "",
        words(["name", "", "described in"], rows),
        _described(package, own),
    )


def room_page(package: str) -> str:
    """Everything that a room's door names."""
    module = import_module(package)
    return page(f"`{package}`", inspect.getdoc(module) or "", _described(package, module.__all__))


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
    table = words(["constant", "value"], constants) if constants else ""
    directives = "```{eval-rst}\n" + "\n".join(parts) + "```" if parts else ""
    return "\n\n".join(part for part in (directives, table) if part)


def _first_line(thing: Any) -> str:
    """The first line of a docstring that is its own, for a table."""
    text = (
        inspect.getdoc(thing) if inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing) else ""
    )
    return (text or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("*", "\\*")
