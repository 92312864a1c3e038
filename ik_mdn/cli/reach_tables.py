"""Tables of reach tasks: the figures of a suite, and why a decision fell as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ik_mdn.cli.console import print_line, print_table

if TYPE_CHECKING:
    from ik_mdn.control import Decision
    from ik_mdn.reach import ReachSummary

_SHOWN = 8  # candidates of a decision in the table


def show_summary(title: str, summary: ReachSummary, *, reachable: bool = True) -> None:
    """Print a suite's figures, and the reasons where episodes did not succeed.

    Args:
        title: First line of the table.
        summary: The figures.
        reachable: Whether the suite's targets are within reach.
    """
    aim = "reached within 1 mm and 0.01 rad" if reachable else "reported as unreachable, the arm not moved"
    count = summary.reached if reachable else summary.succeeded
    share = f" ({count / summary.episodes:.1%})" if summary.episodes else ""
    from ik_mdn.evaluation import DEGREES, number

    figures = (
        ("position error [mm]", summary.err_pos, 1e3),
        ("rotation error [°]", summary.err_rot, DEGREES),
        ("way of the joints [rad, m]", summary.path_q, 1.0),
        ("way of the tip [m]", summary.path_tip, 1.0),
        ("time to solve [ms]", summary.time_solve, 1e3),
        ("time to decide [ms]", summary.time_decide, 1e3),
        ("time to execute [s]", summary.time_execute, 1.0),
    )
    rows = [[name, *(number(scale * value) for value in values)] for name, values, scale in figures]
    touched = f"touched on the way: {summary.touched}, at the end: {summary.ended_touching}"
    print_table(f"{title}\n{aim}: {count} of {summary.episodes}{share}; {touched}", ["", "median", "p95", "max"], rows)
    if summary.failures:
        print_table(
            "Not as it should be",
            ["reason (numbers of the first)", "episodes"],
            [[why, str(n)] for why, n in summary.failures.items()],
        )


def show_decision(title: str, decision: Decision, *, most: int = _SHOWN) -> None:
    """Print the candidates of a decision, best first.

    Args:
        title: The line above them.
        decision: What was decided.
        most: Print at most so many; the title says how many there are.
    """
    from ik_mdn.control import COLUMNS

    count = len(decision.candidates)
    if not count:
        print_line(f"{title}; there was no candidate")
        return
    note = f" (the first {most} of {count})" if count > most else ""
    print_table(f"{title}{note}", COLUMNS, decision.rows(most))
    if decision.law is not None:
        print_line(f"weights: {decision.law.about}")
