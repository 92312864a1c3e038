"""What the scripts share: how and where they run, where results go, what is kept of a stopped run, Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, TypeVar

import tyro

from ik_mdn.cli.console import guard, report_note, write_json
from sim.executor import Engine

DATA = Path(__file__).resolve().parent.parent / "data"
RESULTS, FIGURES = DATA / "results", DATA / "figures"

Script = TypeVar("Script", bound=Callable[..., None])


def run_script(main: Callable[..., None], **options: Any) -> None:
    """Run a script by its command line and end the process: one line for an error or Ctrl-C, no traceback.

    Args:
        main: The script; its parameters are its options.
        **options: Of `tyro.cli`.
    """
    raise SystemExit(guard(lambda: tyro.cli(main, **options), resumes=True))


def ships_by_default(*how: str) -> Callable[[Script], Script]:
    """A script that makes what ships as long as nothing else is asked for, and leaves that alone otherwise.

    Where an option is not at its default (a subset, a quick look, other numbers), every path that is at its default is
    moved to `out/`, and one line on stderr says so.

    Args:
        *how: Options that say how it runs or what it shows besides, and change no number.
    """

    def decorate(main: Script) -> Script:
        known = signature(main)
        paths = {name: p.default for name, p in known.parameters.items() if isinstance(p.default, Path)}
        told = [name for name, p in known.parameters.items() if p.default is not Parameter.empty and name not in how]

        @wraps(main)
        def run(*arguments: Any, **options: Any) -> None:
            given = known.bind(*arguments, **options)
            given.apply_defaults()
            values = given.arguments
            others = [name for name in told if name not in paths and values[name] != known.parameters[name].default]
            moved = {name: Path("out") / path.name for name, path in paths.items() if values[name] is path}
            if others and moved:
                values |= moved
                asked = ", ".join(f"--{name.replace('_', '-')}" for name in others)
                report_note(f"{asked}: not what ships, so it goes to {', '.join(map(str, moved.values()))}")
            main(*given.args, **given.kwargs)

        return run  # type: ignore[return-value]

    return decorate


def keep(path: Path, key: Any, measure: Callable[[], Any], *, again: bool = False) -> Any:
    """What a measurement gave, kept in a file, so that a stopped run goes on where it stopped.

    Args:
        path: The file.
        key: What the kept values must have been measured with; JSON types.
        measure: The measurement, made where nothing fitting is kept; JSON types.
        again: Measure in any case.
    """
    if path.exists() and not again:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == json.loads(json.dumps(key)):
            return kept["values"]
    values = measure()
    write_json(str(path), {"key": key, "values": values})
    return values


def in_order(task: Callable[[Any], Any], items: Sequence[Any], engine: Engine) -> Iterator[tuple[Any, Any]]:
    """Items with their results in the order of the items, each as soon as those before it are done too.

    Args:
        task, items: See `Engine.completed`; no item is there twice.
        engine: Where tasks run.
    """
    waiting, found = list(items), {}
    with closing(engine.completed(task, items)) as done:
        for item, result in done:
            found[item] = result
            while waiting and waiting[0] in found:
                yield waiting[0], found.pop(waiting.pop(0))


def to_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are right-aligned."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
