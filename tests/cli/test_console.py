"""Tables that never cut a number, names that steer nothing, bars that know what they do not know."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from rich.progress import Task

from ik_mdn.cli.console import guard, plain, print_line, print_table, progress, report_error

COLUMNS = ["method", "position error [mm]\nmedian / p95 / max", "rotation\n[°]", *(f"joint{i} [rad]" for i in range(7))]
ROWS = [[f"method {i}", f"-{i}3.125 / 1,234 / < 0.001", "free", *(f"-{k}.{i}2345" for k in range(7))] for i in range(5)]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_no_number_is_cut_and_no_line_too_long(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("a table", COLUMNS, ROWS)
    printed = capsys.readouterr().out
    assert "…" not in printed
    for row in ROWS:
        for cell in row[2:]:
            assert re.search(rf"{re.escape(cell)}(?![\d.])", printed), cell
    if width >= 80:
        assert all(row[1] in printed for row in ROWS)
        assert max(map(len, printed.splitlines())) <= width


@pytest.mark.parametrize(("columns", "width"), [("60", 60), (None, 80), ("all", 80)])
def test_a_pipe_gets_no_line_wider_than_columns_or_80(
    columns: str | None, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    print_table("a long title " * 20, ["name", "what it is"], [["one", "many words " * 30]], text=True)
    print_table("numbers", [f"joint{i}" for i in range(20)], [["1.2345"] * 20] * 20)
    printed = capsys.readouterr().out
    assert width - 10 < max(map(len, printed.splitlines())) <= width
    assert printed.count("1.2345") == 400
    assert "\x1b" not in printed


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
    assert "left" not in rendered(4, 0)
    assert "0:00:00 left" in rendered(4, 1)  # one slow step tells how long the others take


def test_what_is_printed_beside_a_bar_goes_where_stdout_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a terminal for the bar and a pipe for the results, lines belong to the pipe."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, as far as the bar knows
    with progress() as bar:
        bar.add_task("drawing", total=2)
        print_line("a result")
    out, err = capsys.readouterr()
    assert "a result" in out
    assert "a result" not in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError("cannot allocate"), 2, "too large for this machine"),
        (RuntimeError("can't allocate memory"), 2, "too large for this machine"),
        (OverflowError("int too big"), 2, "too large for this machine"),
        (IsADirectoryError(21, "Is a directory", "/"), 2, "Is a directory (/)"),
        (KeyboardInterrupt(), 130, "goes on where it stopped"),
        (SystemExit("no such cell"), 2, "no such cell"),
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
