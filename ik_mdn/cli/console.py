"""What the commands share: tables and JSON on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sim.files import whole_file

ArmName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ARM")]
Link = Annotated[str | None, tyro.conf.arg(metavar="LINK")]
OutFile = Annotated[str | None, tyro.conf.arg(metavar="FILE")]


def report_error(message: str) -> int:
    """Print one error line on stderr and return exit code 2."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {_escape(message)}")
    return 2


def report_note(message: str) -> None:
    """Print one line on stderr that is no error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(_escape(message))


def progress(*, note: str = "", count: bool = True) -> Progress:
    """A progress bar on stderr, with the time left, that fits 80 columns.

    Args:
        note: Not empty: show the field `note` that `update(note=...)` sets, in place of the time spent.
        count: Show "done/total"; False where the total is a mere scale.

    Returns:
        A context manager.
    """
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn()]
    columns += [MofNCompleteColumn()] if count else []
    columns += [TextColumn("{task.fields[note]}") if note else TimeElapsedColumn()]
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: bool = False) -> None:
    """Print a table on stdout.

    Args:
        title: The line above it.
        columns: Headings.
        rows: Cells, one per column in each row.
        text: Align all columns left; default: only the first one, the others as numbers to the right.
    """
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(_escape(column), justify="left" if i == 0 or text else "right")
    for row in rows:
        table.add_row(*(_escape(cell) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def write_json(target: str, values: Mapping[str, Any]) -> None:
    """Write values as JSON.

    Args:
        target: A path (written to a temporary name, then renamed), or "-" for stdout.
        values: JSON types only.
    """
    text = json.dumps(values, indent=2, allow_nan=False)
    if target == "-":
        sys.stdout.write(text + "\n")
        return
    with whole_file(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
