"""Times of methods that take turns: single calls one by one, batches, and ratios within a round."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarking.methods import Method, Prepared
from sim.arrays import FloatArray

_WARM_UP = 3  # calls before the clock starts


@dataclass
class Times:
    """What was measured for one method, one entry per round.

    Args:
        poses: How many poses a batch had.
        batch: Seconds per pose in a batch, per round.
        batch_cpu: The same in seconds of CPU time, all threads together.
        first, every: Seconds of single calls, (poses,) per round.
    """

    poses: int = 0
    batch: list[float] = field(default_factory=list)
    batch_cpu: list[float] = field(default_factory=list)
    first: list[FloatArray] = field(default_factory=list)
    every: list[FloatArray] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values in microseconds; nothing is trimmed."""
        return {
            "poses_batch": self.poses,
            "batch_us": _round_values(self.batch),
            "batch_cpu_us": _round_values(self.batch_cpu),
            "first_us": _latencies(self.first),
            "every_us": _latencies(self.every),
        }


def take_turns(
    methods: Sequence[Method],
    T: FloatArray,
    *,
    rounds: int,
    singles: int,
    slow: int,
    on_turn: Callable[[str], None],
) -> dict[str, Times]:
    """Every method on the same poses, in turns, round after round.

    Args:
        methods: What is timed.
        T: Targets, (B, 4, 4).
        rounds: How often.
        singles: The first so many poses are asked one by one.
        slow: Slow methods and those without a batch call of their own get at most so many poses in a batch, and a
            third of it one by one.
        on_turn: Called with the method's name before each of its turns.
    """
    times, prepared = {method.name: Times() for method in methods}, dict[str, tuple[Prepared, Prepared]]()
    for method in methods:
        count = min(len(T), slow) if method.slow or type(method).batch is Method.batch else len(T)
        alone = min(count, max(1, singles // 3)) if method.slow else min(len(T), singles)
        prepared[method.name] = method.prepare(T[:count]), method.prepare(T[:alone])
        times[method.name].poses = count
        for target in prepared[method.name][1].single[:_WARM_UP]:
            method.first(target)
            method.every(target)
        method.batch(method.prepare(T[:_WARM_UP]).whole)
    for number in range(rounds):
        for k in range(len(methods)):
            method = methods[(k + number) % len(methods)]  # nobody is always first
            on_turn(method.name)
            _turn(method, *prepared[method.name], times[method.name])
    return times


def ratios(times: Mapping[str, Times], ours: str) -> dict[str, dict[str, list[float]]]:
    """How many times as long as ours each method took, within each round.

    Args:
        times: From `take_turns`.
        ours: The method in the denominator.

    Returns:
        Method → "batch", "first", "every" → median, least and largest of the rounds' ratios; single calls by their
        medians.
    """
    out: dict[str, dict[str, list[float]]] = {}
    mine = times[ours]
    for name, one in times.items():
        pairs = {
            "batch": (one.batch, mine.batch),
            **{
                key: ([np.median(x) for x in getattr(one, key)], [np.median(x) for x in getattr(mine, key)])
                for key in ("first", "every")
            },
        }
        out[name] = {
            key: median_and_range([float(a / b) for a, b in zip(*pair, strict=True)]) for key, pair in pairs.items()
        }
    return out


def median_and_range(values: Sequence[float]) -> list[float]:
    """Median, least and largest."""
    return [float(np.median(values)), float(min(values)), float(max(values))]


class Seconds(NamedTuple):
    """What a call took by the clock on the wall, and of the processors, all threads together."""

    wall: float
    cpu: float


def clock(function: Callable[[], Any]) -> Seconds:
    """What one call takes."""
    started, cpu = time.perf_counter(), time.process_time()
    function()
    return Seconds(time.perf_counter() - started, time.process_time() - cpu)


def beside_others(function: Callable[[], Any]) -> tuple[Any, float | None]:
    """What a call gives, and how many cores others kept busy meanwhile: on average, None where the system does not tell."""
    started, busy, ours = time.perf_counter(), _busy(), _ours()
    result, now = function(), _busy()
    if busy is None or now is None:
        return result, None
    others = (now - busy - (_ours() - ours)) / (time.perf_counter() - started)
    return result, max(0.0, round(others, 2))


def _busy() -> float | None:
    """Seconds that all cores together have worked since the machine started."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq = map(int, first[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _ours() -> float:
    """Seconds of this process and of children that have ended."""
    return sum(os.times()[:4])


def clock_in_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Seconds]]:
    """What each call takes in each round, all of them in turns, after one that is not counted."""
    for function in calls.values():
        function()
    times = [{name: clock(function) for name, function in calls.items()} for _ in range(rounds)]
    return {name: [row[name] for row in times] for name in calls}


def seconds_of(function: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each of several calls, after one that is not counted."""
    return [one.wall for one in clock_in_turns({"": function}, repeats)[""]]


def _turn(method: Method, whole: Prepared, alone: Prepared, times: Times) -> None:
    spent = clock(lambda: method.batch(whole.whole))
    times.batch.append(spent.wall / times.poses)
    times.batch_cpu.append(spent.cpu / times.poses)
    for key, call in (("first", method.first), ("every", method.every)):
        if key == "every" and not method.gives_all:
            times.every.append(times.first[-1])  # one solution is all it has
            continue
        getattr(times, key).append(np.array([_wall(call, target) for target in alone.single]))


def _wall(call: Callable[[Any], Any], target: Any) -> float:
    started = time.perf_counter()
    call(target)
    return time.perf_counter() - started


def _latencies(rounds: Sequence[FloatArray]) -> dict[str, float]:
    joined = 1e6 * np.concatenate(rounds)
    q50, q95, q99 = np.quantile(joined, (0.5, 0.95, 0.99))
    values = {"median": q50, "p95": q95, "p99": q99, "mean": joined.mean(), "max": joined.max(), "calls": len(joined)}
    return {key: round(float(value), 3) for key, value in values.items()}


def _round_values(rounds: Sequence[float]) -> dict[str, Any]:
    median, least, largest = (round(1e6 * x, 3) for x in median_and_range(rounds))
    return {"median": median, "min": least, "max": largest, "rounds": [round(1e6 * x, 3) for x in rounds]}
