"""What is kept of an episode, and the figures that sum up many: outcomes, errors, ways, times, reasons of failures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ik_mdn.control import ReachResult, ReachStatus
from ik_mdn.evaluation import Quantiles
from ik_mdn.reach.suites import ReachTask
from sim.files import as_json

CLOCKED = ("time_solve", "time_decide")  # by the clock on the wall: no two runs agree in these

_STAYED = 1e-12  # [rad or m] change of a joint that is rounding
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class ReachSummary:
    """Figures of a suite; errors, ways and times of motion are over all episodes that moved, nothing is trimmed.

    Args:
        episodes, reached: How many, and how many of them ended at rest within tolerance.
        succeeded: Reached without touching anything; for a target that is out of reach: reported as such, not moved.
        touched: Episodes in which anything touched on the way.
        ended_touching: Episodes that ended in contact.
        moved: Episodes in which the arm moved.
        err_pos, err_rot: Median, 95th percentile and maximum at the end [m], [rad].
        path_q, path_tip: The same of the way's length in joint space [rad, m for prismatic] and of the tip [m].
        time_solve, time_decide: The same of the solver's time and of deciding, over all episodes [s].
        time_execute: The same of the simulated time of motion [s].
        statuses: How often each status came up.
        failures: How often each reason came up, for the episodes that did not succeed; reasons that differ in nothing
            but numbers are one, with the numbers of the first episode.
    """

    episodes: int
    reached: int
    succeeded: int
    touched: int
    ended_touching: int
    moved: int
    err_pos: Quantiles
    err_rot: Quantiles
    path_q: Quantiles
    path_tip: Quantiles
    time_solve: Quantiles
    time_decide: Quantiles
    time_execute: Quantiles
    statuses: dict[str, int]
    failures: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; what the clock on the wall measured comes last, in `clock`."""
        values = {name: one.to_dict() if isinstance(one, Quantiles) else one for name, one in vars(self).items()}
        clock = {name: values.pop(name) for name in CLOCKED}
        return {**values, "clock": clock}


def describe_episode(task: ReachTask, result: ReachResult, *, most: int | None = None) -> dict[str, Any]:
    """An episode as JSON types: the task, the result, and the candidates of the decision.

    Args:
        task: What was asked.
        result: What became of it.
        most: Keep only so many candidates, the best ones; None: all.

    Returns:
        Names to values, SI units; what is infinite (the margin of a candidate without limits) is None. All but
        `time_solve` and `time_decide` are the same in every run.
    """
    candidates = result.decision.candidates
    return {
        "episode": task.index,
        "suite": task.suite,
        "about": task.about,
        "reachable": task.reachable,
        **_outcome(task, result),
        "n_candidates": len(candidates),
        "q_start": task.q_start.tolist(),
        "q_made": None if task.q_made is None else task.q_made.tolist(),
        "q_end": result.q_end.tolist(),
        "T_base_target": task.T_base_target.tolist(),
        "route": [q.tolist() for q in result.decision.route],
        "candidates": [as_json(vars(candidate)) for candidate in candidates[:most]],
    }


def summarise_records(records: Iterable[Mapping[str, Any]]) -> ReachSummary:
    """The figures of episodes as `describe_episode` writes them.

    Args:
        records: One per episode, in any order.

    Returns:
        The figures; without episodes, counts are 0 and quantiles nan.
    """
    rows = list(records)
    moved = [row for row in rows if row["moved"]]
    return ReachSummary(
        episodes=len(rows),
        reached=sum(row["status"] == ReachStatus.REACHED.value for row in rows),
        succeeded=sum(row["success"] for row in rows),
        touched=sum(bool(row["contacts"]) for row in rows),
        ended_touching=sum(bool(row["contacts_end"]) for row in rows),
        moved=len(moved),
        **{
            name: Quantiles.of([row[name] for row in moved])
            for name in ("err_pos", "err_rot", "path_q", "path_tip", "time_execute")
        },
        **{name: Quantiles.of([row[name] for row in rows]) for name in CLOCKED},
        statuses=_tally(row["status"] for row in rows),
        failures=_failures(_reason(row) for row in rows if not row["success"]),
    )


def _outcome(task: ReachTask, result: ReachResult) -> dict[str, Any]:
    """What a result says of success, error, way and time."""
    moved = result.time_execute > 0 or np.abs(result.q_end - task.q_start).max() > _STAYED
    kept_off = not result.contacts and not result.contacts_end
    refused = result.status is ReachStatus.UNREACHABLE and not moved
    success = result.reached and kept_off if task.reachable else refused
    names = ("reason", "err_pos", "err_rot", "path_q", "path_tip", "time_execute", "time_solve", "time_decide")
    return {
        "status": result.status.value,
        "success": bool(success),
        "moved": bool(moved),
        **{name: getattr(result, name) for name in names},
        "contacts": [list(pair) for pair in result.contacts],
        "contacts_end": [list(pair) for pair in result.contacts_end],
    }


def _reason(row: Mapping[str, Any]) -> str:
    """Why an episode did not succeed."""
    if row["status"] == ReachStatus.REACHED.value and not row["reachable"]:
        return "reached a target that was thought to be out of reach"
    return f"{row['status']}: {row['reason'] or 'no reason given'}"


def _failures(reasons: Iterable[str]) -> dict[str, int]:
    """How often each reason came up, numbers aside, by the words of its first time; order as in `_tally`."""
    first: dict[str, str] = {}
    return _tally([first.setdefault(_NUMBER.sub("", reason), reason) for reason in reasons])


def _tally(words: Iterable[str]) -> dict[str, int]:
    """How often each word comes up, the most frequent first, ties in alphabetical order."""
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))
