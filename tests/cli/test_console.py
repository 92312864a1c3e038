"""Tables that never cut a number, names that steer nothing, bars that know what they do not know."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from rich.progress import Task

from ik_mdn.cli import console
from ik_mdn.cli.console import guard, plain, print_line, print_table, progress, report_error

COLUMNS = ["method", "position error [mm]\nmedian / p95 / max", "rotation\n[°]", *(f"joint{i} [rad]" for i in range(7))]
ROWS = [[f"method {i}", f"-{i}3.125 / 1,234 / < 0.001", "free", *(f"-{k}.{i}2345" for k in range(7))] for i in range(5)]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_no_number_is_cut_and_no_line_too_long(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_PIPE_WIDTH", width)
    print_table("a table", COLUMNS, ROWS)
    printed = capsys.readouterr().out
    assert "…" not in printed
    for row in ROWS:
        for cell in row[2:]:
            assert re.search(rf"{re.escape(cell)}(?![\d.])", printed), cell
    if width >= 80:
        assert all(row[1] in printed for row in ROWS)
        assert max(map(len, printed.splitlines())) <= width


def test_a_pipe_gets_whole_rows_however_wide_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table("", COLUMNS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert all(any(all(cell in line for cell in row) for line in lines) for row in ROWS)
    assert not any("\x1b" in line for line in lines)


EVIL = ["[/x]", "[bold]", "[red]x[/red]", "\x1b[2J", "\x1b]0;title\x07", "$a_{$"]


@pytest.mark.parametrize("name", EVIL)
def test_names_are_shown_as_they_are_and_steer_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(name, ["x", name], [[name, name]])
    print_line(name)
    report_error(name)
    out, err = capsys.readouterr()
    assert out.count(plain(name)) == 5  # title, heading, two cells, line
    assert plain(name) in err
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_no_colour_is_used_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert Console(force_terminal=True).no_color


def rendered(total: float | None, completed: float) -> str:
    bar = progress()
    job = bar.add_task("[/x] recording", total=total)
    bar.update(job, completed=completed)
    task: Task = bar.tasks[0]
    return " ".join(
        str(column(task)) for column in bar.columns if not isinstance(column, str) and column is not bar.columns[1]
    )


def test_a_bar_says_what_is_left_only_where_it_can_know() -> None:
    assert "75" in rendered(None, 75)
    assert "?" not in rendered(None, 75)
    assert "left" not in rendered(None, 75)
    assert "20/20" in rendered(20, 20)
    assert "[/x] recording" in rendered(20, 3)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError("cannot allocate"), 2, "too large for this machine"),
        (RuntimeError("can't allocate memory"), 2, "too large for this machine"),
        (OverflowError("int too big"), 2, "too large for this machine"),
        (IsADirectoryError(21, "Is a directory", "/"), 2, "Is a directory (/)"),
        (KeyboardInterrupt(), 130, "goes on where it stopped"),
        (SystemExit("no such cell"), 2, ""),
    ],
)
def test_what_goes_wrong_is_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert guard(fail, resumes=True) == code
    assert said in capsys.readouterr().err


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        guard(lambda: (_ for _ in ()).throw(RuntimeError("a bug")))
