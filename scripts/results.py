"""What the scripts share: how and where they run, where results go, what is kept of a stopped run, Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import tyro

from ik_mdn.cli.console import guard, write_json
from sim.executor import Engine

DATA = Path(__file__).resolve().parent.parent / "data"
RESULTS, FIGURES = DATA / "results", DATA / "figures"


def run_script(main: Callable[..., None], **options: Any) -> None:
    """Run a script by its command line and end the process: one line for an error or Ctrl-C, no traceback.

    Args:
        main: The script; its parameters are its options.
        **options: Of `tyro.cli`.
    """
    raise SystemExit(guard(lambda: tyro.cli(main, **options), resumes=True))


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
