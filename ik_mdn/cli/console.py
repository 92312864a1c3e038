"""What the commands share: tables and JSON on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from sim.errors import IKError
from sim.files import as_json, whole_file

WRONG, STOPPED, CUT_OFF = 2, 130, 141  # exit codes: wrong input, Ctrl-C, the reader of a pipe has gone


def plain(text: str) -> str:
    """A text as it may be shown: what would steer the terminal stands as its escape, such as "\\x1b"."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def report_error(message: str) -> int:
    """Print one error line on stderr and return exit code 2."""
    _stderr(always=True).print(Text("error: ", style="bold red") + Text(plain(message)))
    return WRONG


def report_note(message: str) -> None:
    """Print one line on stderr that is no error."""
    _stderr().print(Text(plain(message)))


def print_line(message: str) -> None:
    """Print one line on stdout."""
    sys.stdout.write(plain(message) + "\n")


def guard(action: Callable[[], object], *, explain: Callable[[str], str] = str, resumes: bool = False) -> int:
    """Run something; what goes wrong is told in one line on stderr, without a traceback.

    Args:
        action: What to run.
        explain: From an error's message to the one that is shown.
        resumes: Whether the same command goes on where Ctrl-C stopped it.

    Returns:
        The exit code: 0 for success, 2 for wrong input, 130 after Ctrl-C, 141 where the reader of a pipe has gone.
    """
    try:
        action()
        sys.stdout.flush()
    except SystemExit as stop:
        if isinstance(stop.code, int | None):  # the parser has said what it does not understand, or has shown help
            return stop.code or 0
        return report_error(str(stop.code))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at exit
        return CUT_OFF
    except IKError as error:
        return report_error(explain(str(error)))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return report_error(f"{error.strerror or error}{where}")
    except (MemoryError, OverflowError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error):
            raise
        return report_error(
            f"a number is too large for this machine: {str(error).splitlines()[0] if str(error) else ''}"
        )
    except KeyboardInterrupt:
        report_error("stopped by Ctrl-C" + ("; the same command goes on where it stopped" if resumes else ""))
        return STOPPED
    return 0


def progress(*, note: str = "", count: bool = True) -> Progress:
    """A progress bar on stderr, with the time left where the total is known, that fits 80 columns.

    Args:
        note: Not empty: show the field `note` that `update(note=...)` sets, in place of the time spent.
        count: Show "done/total"; False where the total is a mere scale.

    Returns:
        A context manager.
    """
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(20)]
    columns += [TaskProgressColumn(), *([_Count()] if count else [])]
    columns += [TextColumn("{task.fields[note]}", markup=False) if note else TimeElapsedColumn(), _TimeLeft()]
    return Progress(*columns, console=_stderr(), redirect_stdout=sys.stdout.isatty())  # a pipe gets what is printed


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal, while the block runs, what it does and for how long; nothing is left of it afterwards."""
    console = _stderr()
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task(plain(what), total=None)
        yield


class _Stdout(Console):
    """A console that leaves it to `guard` what becomes of a pipe that nobody reads."""

    def on_broken_pipe(self) -> None:
        raise


class _Count(MofNCompleteColumn):
    """ "3/20", or "3" where nobody knows of how many."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None else Text(f"{int(task.completed)}", "progress.download")


class _TimeLeft(TimeRemainingColumn):
    """ "0:00:08 left", or nothing where it cannot be known; of few and slow steps by their mean so far."""

    def render(self, task: Task) -> Text:
        if task.total is None or (not task.completed and not task.finished):
            return Text("")
        if task.time_remaining is None and not task.finished:
            seconds = (task.elapsed or 0.0) * (task.total - task.completed) / task.completed
            return Text(f"{_clock(seconds)} left", "progress.remaining")
        return super().render(task) + " left"


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds: "0:00:08"."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: bool = False) -> None:
    """Print a table on stdout; where it is too wide, on its side, in parts that fit.

    The width is COLUMNS, else the terminal's, else 80: a pipe or a file gets a table that is no wider than that.

    Args:
        title: The line above it.
        columns: Headings.
        rows: Cells, one per column in each row.
        text: Align all columns left and wrap long cells; default: only the first one, the others as numbers to the
            right, which are never cut.
    """
    console = _Stdout(highlight=False, width=shutil.get_terminal_size().columns)
    if title:
        console.print(Text(plain(title), style="italic"))
    columns, rows = [plain(column) for column in columns], [[plain(cell) for cell in row] for row in rows]
    if text or not rows or _fits(columns, rows, console.width):
        return console.print(_table(columns, rows, console.width, text=text))
    names = [column.replace("-\n", "").replace("\n", " ") for column in columns]
    while rows:
        count = len(rows)
        while count > 1 and not _fits(*_turned(names, rows[:count]), console.width):
            count -= 1
        console.print(_table(*_turned(names, rows[:count]), console.width))
        rows = rows[count:]
    return None


def _turned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Headings down the side, one column for each row."""
    head, *rest = zip(columns, *rows, strict=True)
    return list(head), [list(cells) for cells in rest]


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    return sum(_widths(columns, rows, width)) + 3 * len(columns) + 1 <= width


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of columns: whole headings where they fit, else their longest word; numbers whole; the first takes what is left."""
    cells = [
        max((cell_len(line) for line in "\n".join(each).split("\n")), default=0) for each in zip(*rows, strict=True)
    ]
    room = width - 3 * len(columns) - 1
    for part in (str.splitlines, str.split):
        heads = [max(map(cell_len, part(column)), default=0) for column in columns]
        numbers = [max(pair) for pair in zip(heads[1:], cells[1:], strict=True)]
        left = room - sum(numbers)
        if left >= max(cells[0], heads[0]):
            return [max(cells[0], heads[0]), *numbers]
    words = max(map(cell_len, " ".join([columns[0], *(row[0] for row in rows)]).split()), default=0)
    return [max(words, left), *numbers]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, text: bool = False) -> Table:
    table = Table()
    widths = [None] * len(columns) if text or not rows else _widths(columns, rows, width)
    for i, (column, wide) in enumerate(zip(columns, widths, strict=True)):
        left = i == 0 or text
        table.add_column(Text(column), justify="left" if left else "right", width=wide, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def write_json(target: str, values: Mapping[str, Any]) -> None:
    """Write values as JSON.

    Args:
        target: A path (written to a temporary name, then renamed), or "-" for stdout.
        values: See `sim.files.as_json`.
    """
    text = json.dumps(as_json(values), indent=2, allow_nan=False)
    if target == "-":
        sys.stdout.write(text + "\n")
        return
    with whole_file(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _stderr(*, always: bool = False) -> Console:
    """Of several processes that train together, the first one speaks; errors are all processes'."""
    from ik_mdn.training import rank

    return Console(stderr=True, highlight=False, soft_wrap=True, quiet=rank() > 0 and not always)
